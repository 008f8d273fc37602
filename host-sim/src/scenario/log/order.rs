//! Sorts requests by their start.
//!
//! A proxy logs a request when it ends, so a log is sorted by ends. A request that took long stands
//! behind many that began after it. A request is handed on once no later line can have begun before
//! it: when the newest end is a window later. Requests that took longer than the window may come
//! too late, and are counted.

use crate::scenario::log::entry::Entry;
use crate::sim::clock::Time;
use crate::sim::queue::Queue;
use crate::sim::span::Span;

/// Number of requests that wait at most, which bounds the memory. The window is shorter at more
/// than 2,000 requests per second, if it is a minute.
const WAITING_MAX: usize = 131_072;

/// Requests on their way into the order of their start.
pub(super) struct Order {
    window: Span,
    waiting: Queue<Entry>,
    newest_end: Time,
    handed_on: Time,
}

impl Order {
    /// Creates an empty order.
    pub(super) fn new(window: Span) -> Order {
        Order {
            window,
            waiting: Queue::default(),
            newest_end: Time::ZERO,
            handed_on: Time::ZERO,
        }
    }

    /// Adds a request. Returns false if it comes too late.
    pub(super) fn add(&mut self, entry: Entry) -> bool {
        let start = Time::from_ns(entry.start_ns);
        if start < self.handed_on {
            return false;
        }
        self.newest_end = self.newest_end.max(Time::from_ns(entry.end_ns()));
        self.waiting.push(start, entry);
        true
    }

    /// Takes the next request. `None` if an earlier one may still come. `ended` means that none
    /// comes.
    pub(super) fn take(&mut self, ended: bool) -> Option<Entry> {
        let first = self.waiting.next_at()?;
        let ready =
            ended || self.waiting.count() > WAITING_MAX || first + self.window <= self.newest_end;
        if !ready {
            return None;
        }
        self.handed_on = first;
        self.waiting.pop().map(|(_, entry)| entry)
    }
}

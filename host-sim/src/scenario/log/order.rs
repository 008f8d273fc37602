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

/// Number of requests that wait at most. The window is shorter at more than 2,000 requests per
/// second, if it is a minute.
const WAITING_MAX: usize = 131_072;

/// Bytes that waiting requests take at most. Only long paths and the like come to it before their
/// number does.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Requests on their way into the order of their start.
pub(super) struct Order {
    window: Span,
    waiting: Queue<Entry>,
    waiting_bytes: usize,
    newest_end: Time,
    handed_on: Time,
}

impl Order {
    /// Creates an empty order.
    pub(super) fn new(window: Span) -> Order {
        Order {
            window,
            waiting: Queue::default(),
            waiting_bytes: 0,
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
        self.waiting_bytes += entry.byte_size();
        self.waiting.push(start, entry);
        true
    }

    /// Takes the next request. `None` if an earlier one may still come. `ended` means that none
    /// comes.
    pub(super) fn take(&mut self, ended: bool) -> Option<Entry> {
        let first = self.waiting.next_at()?;
        let is_full = self.waiting.count() > WAITING_MAX || self.waiting_bytes > WAITING_BYTES_MAX;
        if !ended && !is_full && first + self.window > self.newest_end {
            return None;
        }
        self.handed_on = first;
        let (_, entry) = self.waiting.pop()?;
        self.waiting_bytes -= entry.byte_size();
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_requests_take_bounded_memory_however_long_they_are() {
        let second_ns = 1_000_000_000;
        for (bytes, count) in [(100, 50_000), (1 << 20, 500)] {
            let mut order = Order::new(Span::from_ns(1_000_000 * second_ns));
            let mut taken = 0;
            for number in 0..count {
                let entry = Entry {
                    start_ns: number * second_ns,
                    path: "/".repeat(bytes),
                    ..Entry::default()
                };
                assert!(order.add(entry));
                while let Some(entry) = order.take(false) {
                    assert_eq!(entry.start_ns, taken * second_ns);
                    taken += 1;
                }
                let waiting = order.waiting.count();
                assert!(waiting * bytes <= WAITING_BYTES_MAX, "{waiting} of {bytes}");
            }
            assert_eq!(taken > 0, bytes > 100, "{taken} of {bytes}");
            while order.take(true).is_some() {
                taken += 1;
            }
            assert_eq!((taken, order.waiting_bytes), (count, 0));
        }
    }
}

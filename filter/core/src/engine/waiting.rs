//! Queues of requests that wait for their upstreams, one queue per policy.
//!
//! The threshold for slow requests is the same for a whole policy, so its queue is in the
//! order in which requests pass it, and those that have passed it are at the front.
//!
//! A request leaves the queue with its response, wherever in the queue it is, so that a queue
//! never holds more than the requests that wait now. One that was counted keeps its entry until
//! it ends: then the window counts its outcome in place of the waiting request.

use alloc::vec::Vec;

use crate::circuit::breaker::Permit;
use crate::time::{Instant, Span};

/// Maximum number of entries in total: some 3 MB. Requests beyond that are counted when they
/// end.
const ENTRIES_MAX: usize = 65_536;

/// The position of no entry.
const NONE: u32 = u32::MAX;

/// The entries of all queues. They are linked, so that a request joins and leaves in the same
/// time however many there are.
#[derive(Debug)]
pub(super) struct Waiting {
    entries: Vec<Entry>,
    /// The first of the entries that are free, linked by `after`.
    free: u32,
    /// Requests that are in a queue.
    len: u32,
}

/// The ends of one policy's queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    first: u32,
    last: u32,
}

#[derive(Debug)]
pub(super) struct Entry {
    before: u32,
    after: u32,
    /// The position of its key in the table of keys.
    at: u32,
    /// Whether it was counted. If so, it is in no queue.
    pub(super) counted: bool,
    /// When it began to wait, or when it was counted.
    pub(super) when: Instant,
    permit: Permit,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting {
            entries: Vec::new(),
            free: NONE,
            len: 0,
        }
    }
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            first: NONE,
            last: NONE,
        }
    }
}

impl Waiting {
    /// Whether no request waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of entries, used or free.
    #[cfg(test)]
    pub(super) fn entries_held(&self) -> usize {
        self.entries.len()
    }

    /// Appends a request that begins to wait. `None` if there are too many.
    #[inline]
    pub(super) fn push(
        &mut self,
        queue: &mut Queue,
        at: u32,
        permit: Permit,
        now: Instant,
    ) -> Option<u32> {
        let entry = Entry {
            before: queue.last,
            after: NONE,
            at,
            counted: false,
            when: now,
            permit,
        };
        let mut place = self.free;
        if let Some(free) = self.entries.get_mut(place as usize) {
            self.free = free.after;
            *free = entry;
        } else {
            place = u32::try_from(self.entries.len()).ok()?;
            if self.entries.len() >= ENTRIES_MAX {
                return None;
            }
            self.entries.push(entry);
        }
        match self.entries.get_mut(queue.last as usize) {
            Some(last) => last.after = place,
            None => queue.first = place,
        }
        queue.last = place;
        self.len = self.len.saturating_add(1);
        Some(place)
    }

    #[inline]
    pub(super) fn get(&self, place: u32) -> Option<&Entry> {
        self.entries.get(place as usize)
    }

    /// Joins the neighbours of an entry that leaves its queue.
    #[inline]
    fn join(&mut self, queue: &mut Queue, before: u32, after: u32) {
        match self.entries.get_mut(before as usize) {
            Some(before) => before.after = after,
            None => queue.first = after,
        }
        match self.entries.get_mut(after as usize) {
            Some(after) => after.before = before,
            None => queue.last = before,
        }
        self.len = self.len.saturating_sub(1);
    }

    /// Whether the first request of a queue has waited longer than `threshold`.
    #[inline]
    pub(super) fn is_overdue(&self, queue: &Queue, threshold: Span, now: Instant) -> bool {
        let first = self.get(queue.first);
        first.is_some_and(|entry| now.since(entry.when) > threshold)
    }

    /// Takes the first request out of a queue if it has waited longer than `threshold`.
    pub(super) fn pop_overdue(
        &mut self,
        queue: &mut Queue,
        threshold: Span,
        now: Instant,
    ) -> Option<(u32, Permit)> {
        if !self.is_overdue(queue, threshold, now) {
            return None;
        }
        let entry = self.entries.get_mut(queue.first as usize)?;
        entry.counted = true;
        entry.when = now;
        let (before, after) = (entry.before, entry.after);
        let found = (entry.at, entry.permit.again());
        self.join(queue, before, after);
        Some(found)
    }

    /// Frees an entry. Returns when it was counted, if it was.
    #[inline]
    pub(super) fn free(&mut self, queue: &mut Queue, place: u32) -> Option<Instant> {
        let free = self.free;
        let entry = self.entries.get_mut(place as usize)?;
        let (before, after) = (entry.before, core::mem::replace(&mut entry.after, free));
        self.free = place;
        if entry.counted {
            return Some(entry.when);
        }
        self.join(queue, before, after);
        None
    }
}

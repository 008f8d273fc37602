//! Requests that wait for their upstream, and count as slow as soon as they have waited longer
//! than their policy's `slow_threshold`.
//!
//! A service that hangs answers nothing, so whoever counts requests when they end notices it
//! when callers have given up. Here each request is appended to its policy's queue when the
//! client has sent all of it. The threshold is the same for a whole policy, so the queue is in
//! the order in which requests pass it, and to find those that have is to look at its front.
//!
//! A request leaves the queue with its response, wherever in the queue it is, so that it never
//! holds more than the requests that wait now. One that was counted keeps its entry until it
//! ends: the window counts its outcome then in place of the request that waits.

use alloc::vec::Vec;

use crate::circuit::breaker::Permit;
use crate::event::Counter;
use crate::policy::{Policy, SlowUntil};
use crate::shared::records::Records;
use crate::time::{Instant, Span};

use super::Engine;
use super::sync::Shared;
use super::ticket::Ticket;

/// Most entries, in total: some 3 MB. Requests beyond that are counted when they end.
const ENTRIES_MAX: usize = 65_536;

/// Most requests that one call counts, so that it cannot hold up the worker's requests.
const COUNTED_PER_CALL: usize = 1_000;

/// The place of no entry.
const NONE: u32 = u32::MAX;

/// The queues of all policies. They are linked through their entries, so that a request joins
/// and leaves in the same time however many there are.
#[derive(Debug)]
pub(super) struct Waiting {
    entries: Vec<Entry>,
    /// By policy.
    queues: Vec<Queue>,
    /// The first of the entries that are free, linked by `after`.
    free: u32,
    /// Requests that are in a queue.
    len: u32,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Entry {
    before: u32,
    after: u32,
    /// The place of its key in the policy's table.
    at: u32,
    /// Whether it was counted; it is in no queue then.
    counted: bool,
    /// Since when it waits, or when it was counted.
    when: Instant,
    permit: Permit,
}

impl Waiting {
    /// Empty queues for so many policies.
    pub(super) fn new(policies: usize) -> Waiting {
        let empty = Queue {
            first: NONE,
            last: NONE,
        };
        Waiting {
            entries: Vec::new(),
            queues: alloc::vec![empty; policies],
            free: NONE,
            len: 0,
        }
    }

    /// Whether no request waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many entries there are, used or free.
    #[cfg(test)]
    pub(super) fn entries_held(&self) -> usize {
        self.entries.len()
    }

    /// Appends a request that waits from now on. None if there are too many.
    #[inline]
    fn push(&mut self, policy: usize, at: u32, permit: Permit, now: Instant) -> Option<u32> {
        let queue = self.queues.get_mut(policy)?;
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
    fn get(&self, place: u32) -> Option<&Entry> {
        self.entries.get(place as usize)
    }

    /// Joins the neighbours of an entry that leaves its queue.
    #[inline]
    fn join(&mut self, policy: usize, before: u32, after: u32) {
        if let Some(queue) = self.queues.get_mut(policy) {
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
    }

    /// Takes the first request out of a queue if it has waited longer than `threshold`.
    fn pop_overdue(
        &mut self,
        policy: usize,
        threshold: Span,
        now: Instant,
    ) -> Option<(u32, Permit)> {
        let place = self.queues.get(policy)?.first;
        let entry = self.entries.get_mut(place as usize)?;
        if now.since(entry.when) <= threshold {
            return None;
        }
        entry.counted = true;
        entry.when = now;
        let (before, after) = (entry.before, entry.after);
        let found = (entry.at, entry.permit.again());
        self.join(policy, before, after);
        Some(found)
    }

    /// Frees an entry. When it was counted, if it was.
    #[inline]
    fn free(&mut self, policy: usize, place: u32) -> Option<Instant> {
        let free = self.free;
        let entry = self.entries.get_mut(place as usize)?;
        let (before, after) = (entry.before, core::mem::replace(&mut entry.after, free));
        self.free = place;
        if entry.counted {
            return Some(entry.when);
        }
        self.join(policy, before, after);
        None
    }
}

/// Whether requests of a policy count before they end: there has to be a rule for slow ones.
pub(super) fn counts_early(policy: &Policy) -> bool {
    policy.breaker.effective_slow_rate_bp() > 0
}

impl<R: Records> Engine<R> {
    /// A request begins to wait for its upstream, of a policy that counts early: the client has
    /// sent all of it. One that counts for nothing is not watched.
    pub(super) fn begin_wait(&mut self, ticket: &mut Ticket, now: Instant) {
        if let Some(admitted) = &ticket.admitted
            && let Some(permit) = &admitted.permit
            && ticket.waits.is_none()
        {
            let (at, permit) = (admitted.at, permit.again());
            ticket.waits = self.waiting.push(ticket.policy, at, permit, now);
            if self.merge_at.is_none() {
                self.merge_at = Some(now.after(self.tick_period()));
            }
        }
    }

    /// Whether requests of a policy count before they end.
    pub(super) fn is_early(&self, policy: usize) -> bool {
        self.needs.get(policy).is_some_and(|needs| needs.early)
    }

    /// The response to a request has begun. Where slowness is measured to there, the wait is
    /// over; if it was too long, that counts now though no tick has come since.
    pub(super) fn end_wait(&mut self, ticket: &mut Ticket, now: Instant) {
        let Some(rules) = self.policies.get(ticket.policy).map(|it| &it.breaker) else {
            return;
        };
        if rules.slow_until == SlowUntil::Headers
            && let Some(place) = ticket.waits
            && let Some(entry) = self.waiting.get(place)
            && !entry.counted
        {
            if rules.slow_threshold < Some(now.since(entry.when)) {
                self.count_overdue(ticket.policy, now);
                self.stop_wait(ticket);
            } else {
                self.waiting.free(ticket.policy, place);
                ticket.waits = None;
            }
        }
    }

    /// Nothing is waited for any more. A request that was counted keeps its entry.
    #[inline(never)]
    pub(super) fn stop_wait(&mut self, ticket: &mut Ticket) {
        if let Some(place) = ticket.waits
            && self.waiting.get(place).is_some_and(|entry| !entry.counted)
        {
            self.waiting.free(ticket.policy, place);
            ticket.waits = None;
        }
    }

    /// An attempt has ended: if it was counted when it passed the threshold, its outcome is
    /// counted in place of that.
    #[inline(never)]
    pub(super) fn settle_wait(&mut self, ticket: &mut Ticket) {
        let place = ticket.waits.take();
        let counted_at = place.and_then(|place| self.waiting.free(ticket.policy, place));
        if let (Some(counted_at), Some(admitted)) = (counted_at, &ticket.admitted)
            && let Some(permit) = admitted.permit.as_ref().filter(|it| !it.is_probe())
            && let Some((_, _, replica)) = self.table.entry(admitted.at)
        {
            replica.wait(permit, counted_at, -1);
        }
    }

    /// Counts the requests of all policies that have passed their thresholds.
    pub(super) fn count_all_overdue(&mut self, now: Instant) {
        for policy in 0..self.policies.len() {
            if self.waiting.is_empty() {
                return;
            }
            self.count_overdue(policy, now);
        }
    }

    /// Counts the requests of a policy that have passed its threshold.
    #[inline(never)]
    pub(super) fn count_overdue(&mut self, policy: usize, now: Instant) {
        let rules = self.policies.get(policy);
        let Some(threshold) = rules.and_then(|rules| rules.breaker.slow_threshold) else {
            return;
        };
        for _ in 0..COUNTED_PER_CALL {
            let overdue = self.waiting.pop_overdue(policy, threshold, now);
            let Some((at, permit)) = overdue else {
                return;
            };
            self.count_slow(policy, at, &permit, now);
        }
    }

    #[cold]
    fn count_slow(&mut self, policy: usize, at: u32, permit: &Permit, now: Instant) {
        if permit.is_probe() {
            let shared = self.share(policy, at, now, &mut |circuit, moment| {
                circuit.breaker.probe_is_slow(permit, moment);
            });
            if shared == Shared::GivenUp {
                self.count(policy, Counter::MergeGivenUp);
            }
        } else if let Some((_, _, replica)) = self.table.entry(at) {
            replica.wait(permit, now, 1);
            self.merge_or_queue(policy, at, now);
        }
    }
}

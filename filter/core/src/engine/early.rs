//! Counts requests as slow as soon as they have waited longer than their policy's
//! `slow_threshold`.
//!
//! A service that hangs answers nothing, so a breaker that counts requests when they end
//! learns of it only when callers have given up. Here each request joins its policy's queue
//! when the client has sent all of it, and counts when it passes the threshold.

use crate::circuit::breaker::Permit;
use crate::event::Counter;
use crate::policy::SlowUntil;
use crate::shared::records::Records;
use crate::time::Instant;

use super::policy_state::PolicyState;
use super::sync::Shared;
use super::ticket::CircuitUse;
use super::workspace::Workspace;

/// Maximum number of requests that one call counts, so that it cannot delay the worker's
/// requests.
const COUNTED_PER_CALL: usize = 1_000;

impl PolicyState {
    /// Queues a request that begins to wait for its upstream, under a policy that counts early:
    /// the client has sent all of it. One without a permit counts for nothing and is not queued.
    pub(super) fn begin_wait<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        circuit: &mut CircuitUse,
        now: Instant,
    ) {
        if let Some(admitted) = &circuit.admitted
            && let Some(permit) = &admitted.permit
            && circuit.waits.is_none()
        {
            let (at, permit) = (admitted.at, permit.again());
            circuit.waits = ws.waiting.push(&mut self.queue, at, permit, now);
            if ws.merge_at.is_none() {
                ws.merge_at = Some(now.after(ws.tick_period()));
            }
        }
    }

    /// Ends the wait of a request whose response has begun, if slowness is measured to there.
    /// If it was too long, it counts now even if no tick has come since.
    pub(super) fn end_wait<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        circuit: &mut CircuitUse,
        now: Instant,
    ) {
        let breaker = &self.policy.breaker;
        if breaker.slow_until == SlowUntil::Headers
            && let Some(place) = circuit.waits
            && let Some(entry) = ws.waiting.get(place)
            && !entry.counted
        {
            if breaker.slow_threshold < Some(now.since(entry.when)) {
                self.count_overdue(ws, now);
                self.stop_wait(ws, circuit);
            } else {
                ws.waiting.free(&mut self.queue, place);
                circuit.waits = None;
            }
        }
    }

    /// Takes a request out of the queue. One that was counted keeps its entry.
    #[inline(never)]
    pub(super) fn stop_wait<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        circuit: &mut CircuitUse,
    ) {
        if let Some(place) = circuit.waits
            && ws.waiting.get(place).is_some_and(|entry| !entry.counted)
        {
            ws.waiting.free(&mut self.queue, place);
            circuit.waits = None;
        }
    }

    /// Frees the entry of an attempt that has ended. If the attempt was counted when it passed
    /// the threshold, takes that back: its outcome counts in place of it.
    #[inline(never)]
    pub(super) fn settle_wait<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        circuit: &mut CircuitUse,
    ) {
        let place = circuit.waits.take();
        let counted_at = place.and_then(|place| ws.waiting.free(&mut self.queue, place));
        if let (Some(counted_at), Some(admitted)) = (counted_at, &circuit.admitted)
            && let Some(permit) = admitted.permit.as_ref().filter(|it| !it.is_probe())
            && let Some((_, _, replica)) = ws.table.entry(admitted.at)
        {
            replica.wait(permit, counted_at, -1);
        }
    }

    /// Whether a request has passed the threshold and is not counted yet.
    #[inline]
    pub(super) fn has_overdue<R>(&self, ws: &Workspace<R>, now: Instant) -> bool {
        let threshold = self.policy.breaker.slow_threshold;
        threshold.is_some_and(|it| ws.waiting.is_overdue(&self.queue, it, now))
    }

    /// Counts the requests that have passed the threshold.
    #[inline(never)]
    pub(super) fn count_overdue<R: Records>(&mut self, ws: &mut Workspace<R>, now: Instant) {
        let Some(threshold) = self.policy.breaker.slow_threshold else {
            return;
        };
        for _ in 0..COUNTED_PER_CALL {
            let overdue = ws.waiting.pop_overdue(&mut self.queue, threshold, now);
            let Some((at, permit)) = overdue else {
                return;
            };
            self.count_slow(ws, at, &permit, now);
        }
    }

    #[cold]
    fn count_slow<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        at: u32,
        permit: &Permit,
        now: Instant,
    ) {
        if permit.is_probe() {
            let shared = self.share(ws, at, now, &mut |circuit, step| {
                circuit.breaker.mark_probe_slow(permit, step);
            });
            if shared == Shared::GivenUp {
                ws.count(self.index, Counter::MergeGivenUp);
            }
        } else if let Some((_, _, replica)) = ws.table.entry(at) {
            replica.wait(permit, now, 1);
            self.merge_or_queue(ws, at, now);
        }
    }
}

//! How an engine shares its circuits with those of other workers.
//!
//! What can wait is counted here and merged later; what changes a circuit is done to the
//! shared one at once. If the compare-and-swap is lost to other workers again and again, the
//! request continues without: an outcome waits, a probe is not admitted.

use crate::circuit::Circuit;
use crate::event::Counter;
use crate::shared::key::OVERFLOW_KEY;
use crate::shared::records::Records;
use crate::shared::replica::{Act, Scope, SyncError};
use crate::shared::slots::Placement;
use crate::time::Instant;

use super::policies::Policies;
use super::policy_state::PolicyState;
use super::workspace::Workspace;

/// Maximum number of circuits that one tick merges, so that it cannot delay the worker's
/// requests.
const MERGES_PER_TICK: usize = 500;

/// The result of a step on a shared circuit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    Done,
    /// Other workers won every compare-and-swap.
    GivenUp,
    /// The key's slot is taken by another key, and there is no other slot for it.
    NoPlace,
}

impl PolicyState {
    /// Merges what waits if it is due, and queues for the next tick what still does.
    pub(super) fn merge_or_queue<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        at: u32,
        now: Instant,
    ) {
        let Some((_, _, replica)) = ws.table.entry(at) else {
            return;
        };
        if !replica.has_pending() {
            return;
        }
        let due = replica.is_due(&self.policy.breaker, ws.interval, now);
        if !(due && self.merge(ws, at, now)) {
            ws.queue(self.index, at, now);
        }
    }

    /// Merges what waits. Returns false if something has to go on waiting.
    fn merge<R: Records>(&mut self, ws: &mut Workspace<R>, at: u32, now: Instant) -> bool {
        if self.sync(ws, at, now) == Shared::GivenUp {
            ws.count(self.index, Counter::MergeGivenUp);
            return false;
        }
        // Retries that were taken and that no request asks for are to be given back.
        let entry = ws.table.entry(at);
        entry.is_none_or(|(_, _, replica)| !replica.has_pending())
    }

    /// Brings a circuit's copy and the shared one together.
    pub(super) fn sync<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        at: u32,
        now: Instant,
    ) -> Shared {
        self.share(ws, at, now, &mut |_, _| {})
    }

    /// Does `act` to the shared circuit of an entry, and reports the result.
    pub(super) fn share<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        at: u32,
        now: Instant,
        act: Act<'_>,
    ) -> Shared {
        // A second time for a key whose slot another key has taken meanwhile.
        for _ in 0..2 {
            match self.share_once(ws, at, now, &mut *act) {
                Ok(discarded) => {
                    self.report_changes(ws, at, discarded, now);
                    self.watch_keys(ws, at, now);
                    self.watch_open(ws, at, now);
                    return Shared::Done;
                }
                Err(SyncError::GivenUp) => return Shared::GivenUp,
                Err(SyncError::Displaced) => {}
            }
            if self.place_again(ws, at, now).is_none() {
                break;
            }
        }
        if let Some((_, _, replica)) = ws.table.entry(at) {
            replica.drop_pending();
        }
        Shared::NoPlace
    }

    fn share_once<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        at: u32,
        now: Instant,
        act: Act<'_>,
    ) -> Result<u32, SyncError> {
        let Some((_, key, replica)) = ws.table.entry(at) else {
            return Err(SyncError::GivenUp);
        };
        let mut discarded = 0;
        let mut scope = Scope {
            records: &mut ws.records,
            policy: &self.policy.name,
            config: &self.policy.breaker,
            retry: self.policy.retry.as_ref(),
            now,
            loaded_at: ws.loaded_at,
            random: &mut ws.random,
            transitions: &mut ws.transitions,
            buffer: &mut ws.buffer,
            discarded: &mut discarded,
        };
        let done = replica.sync(key, &mut scope, act);
        if done.is_err() {
            ws.discarded(discarded);
        }
        done.map(|()| discarded)
    }

    /// Puts a key that has lost its slot into a slot again: with the state that this worker
    /// knew, so that requests under way still count, or with a new one if nobody has asked for
    /// the key for so long that the state may be forgotten.
    fn place_again<R: Records>(&self, ws: &mut Workspace<R>, at: u32, now: Instant) -> Option<()> {
        let (hash, key, replica) = ws.table.entry(at)?;
        if key == OVERFLOW_KEY {
            return None;
        }
        let key = key.to_vec();
        let mut fresh = replica.view().clone();
        let (breaker, budget) = (&self.policy.breaker, self.policy.budget());
        if !fresh.is_closed(now) && fresh.is_forgettable(breaker, now) {
            fresh = Circuit::new(breaker, budget, now, ws.loaded_at);
        }
        fresh.used_at = now;
        let placed = self.place(ws, hash, &key, &fresh, now);
        let (_, _, replica) = ws.table.entry(at)?;
        match placed {
            Placement::Found {
                slot: place, taken, ..
            } => replica.move_to(place, taken.circuit, true),
            Placement::New(place) => replica.move_to(place, fresh, false),
            Placement::Full => return None,
        }
        Some(())
    }
}

impl Policies {
    /// Merges what will have waited for an interval by `time`, as far as one call may.
    pub(super) fn merge_due<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        time: Instant,
        now: Instant,
    ) {
        for _ in 0..ws.pending.len().min(MERGES_PER_TICK) {
            let interval = ws.interval;
            let due = ws
                .pending
                .pop_front_if(|it| it.since.after(interval) <= time);
            let Some(it) = due else {
                return;
            };
            ws.table.leave(it.at);
            let waits = ws.table.entry(it.at).is_some_and(|(_, _, replica)| {
                replica.set_queued(false);
                replica.has_pending()
            });
            if waits
                && let Some(policy) = self.own.get_mut(it.policy)
                && !policy.merge(ws, it.at, now)
            {
                ws.queue(it.policy, it.at, now);
            }
        }
    }
}

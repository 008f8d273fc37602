//! Finds the slots of keys in the shared records.

use alloc::vec::Vec;

use crate::circuit::Circuit;
use crate::shared::key;
use crate::shared::records::Records;
use crate::shared::slots::{Placement, Seeker};
use crate::time::Instant;

use super::policy_state::PolicyState;
use super::workspace::Workspace;

impl PolicyState {
    /// Finds the slot of a key, or makes `fresh` its circuit in one.
    pub(super) fn place<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        hash: u64,
        key: &[u8],
        fresh: &Circuit,
        now: Instant,
    ) -> Placement {
        let mut discarded = 0;
        let placed = self.seek(ws, hash, key, now, |seeker, records, buffer| {
            seeker.place(records, fresh, buffer, &mut discarded)
        });
        ws.discarded(discarded);
        match &placed {
            Placement::New(place) => self.note_slot(ws, *place, now),
            Placement::Found {
                vacated: Some(place),
                ..
            } => self.note_slot(ws, *place, now),
            Placement::Found { .. } | Placement::Full => {}
        }
        placed
    }

    /// Seeks a key in its slots.
    pub(super) fn seek<R: Records, T>(
        &self,
        ws: &mut Workspace<R>,
        hash: u64,
        key: &[u8],
        now: Instant,
        seek: impl FnOnce(&Seeker<'_>, &mut R, &mut Vec<u8>) -> T,
    ) -> T {
        let (seed, table) = (ws.hash_seed, &ws.table);
        let seeker = Seeker {
            policy: &self.policy.name,
            capacity: self.needs.capacity,
            config: &self.policy.breaker,
            key,
            hash,
            now,
            in_use: &|other| table.in_use(self.index, key::hash(seed, other), other),
        };
        seek(&seeker, &mut ws.records, &mut ws.buffer)
    }
}

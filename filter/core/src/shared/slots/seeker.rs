//! The search for the slot of a key.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Slot, Taken, candidates, vacate, write_slot};
use crate::circuit::Circuit;
use crate::policy::BreakerConfig;
use crate::shared::records::{Name, Records, TRIES, Version};
use crate::time::Instant;

/// A key that looks for its slot.
pub(crate) struct Seeker<'a> {
    /// Name of the policy.
    pub(crate) policy: &'a str,
    /// Number of the policy's slots.
    pub(crate) capacity: u32,
    /// Settings that say when a circuit may be dropped.
    pub(crate) config: &'a BreakerConfig,
    pub(crate) key: &'a [u8],
    pub(crate) hash: u64,
    pub(crate) now: Instant,
    /// Whether this worker is using another key, whose slot must then stay.
    pub(crate) in_use: &'a dyn Fn(&[u8]) -> bool,
}

/// Result of [`Seeker::place`].
#[derive(Debug)]
pub(crate) enum Placement {
    /// The key has a circuit already.
    Found {
        /// Its slot.
        slot: u32,
        /// Content of the slot.
        taken: Box<Taken>,
        /// Slot that this worker had just filled with the key as well, and has vacated.
        vacated: Option<u32>,
    },
    /// The fresh circuit is in this slot, which was vacant or another key's.
    New(u32),
    /// Every slot that the key can use is in use.
    Full,
}

impl Seeker<'_> {
    /// Finds the slot of the key. If it has none, puts `fresh` into a vacant slot, or into that
    /// of the least recently used circuit that may be dropped.
    ///
    /// Adds the number of unreadable records to `discarded`.
    pub(crate) fn place<R: Records>(
        &self,
        records: &mut R,
        fresh: &Circuit,
        buffer: &mut Vec<u8>,
        discarded: &mut u32,
    ) -> Placement {
        for _ in 0..TRIES {
            let (slot, version) = match self.search(records, discarded) {
                Search::Found(slot, taken) => {
                    let vacated = None;
                    return Placement::Found {
                        slot,
                        taken,
                        vacated,
                    };
                }
                Search::Free(slot, version) => (slot, version),
                Search::Full => return Placement::Full,
            };
            write_slot(Some((self.key, fresh)), buffer);
            if records.write(Name::Slot(self.policy, slot), buffer, version) {
                return self.resolve_duplicate(records, slot, buffer);
            }
        }
        Placement::Full
    }

    /// Returns the content of the key's slot; `None` if it has no slot.
    pub(crate) fn find<R: Records>(
        &self,
        records: &mut R,
        discarded: &mut u32,
    ) -> Option<Box<Taken>> {
        match self.search(records, discarded) {
            Search::Found(_, taken) => Some(taken),
            Search::Free(..) | Search::Full => None,
        }
    }

    fn search<R: Records>(&self, records: &mut R, discarded: &mut u32) -> Search {
        let (mut vacant, mut oldest) = (None, None);
        for slot in candidates(self.hash, self.capacity) {
            match Slot::read(records, self.policy, slot) {
                Slot::Taken(taken) if taken.key == self.key => return Search::Found(slot, taken),
                Slot::Taken(taken) => {
                    let used_at = taken.circuit.used_at;
                    let older = oldest.is_none_or(|(_, _, at)| used_at < at);
                    if older
                        && taken.circuit.is_forgettable(self.config, self.now)
                        && !(self.in_use)(&taken.key)
                    {
                        oldest = Some((slot, taken.version, used_at));
                    }
                }
                Slot::Damaged(version) => {
                    *discarded = discarded.saturating_add(1);
                    vacant = vacant.or(Some((slot, Some(version))));
                }
                Slot::Vacant(version) => {
                    vacant = vacant.or(Some((slot, version)));
                    // Slots are filled in this order, so none after one that was never written
                    // can hold the key.
                    if version.is_none() {
                        break;
                    }
                }
            }
        }
        match (vacant, oldest) {
            (Some((slot, version)), _) => Search::Free(slot, version),
            (None, Some((slot, version, _))) => Search::Free(slot, Some(version)),
            (None, None) => Search::Full,
        }
    }

    /// Vacates the slot `mine` again if the key is in another slot too. Two workers can put one
    /// key into two slots at the same time; the second writer sees the first one's slot.
    fn resolve_duplicate<R: Records>(
        &self,
        records: &mut R,
        mine: u32,
        buffer: &mut Vec<u8>,
    ) -> Placement {
        for slot in candidates(self.hash, self.capacity).filter(|slot| *slot != mine) {
            match Slot::read(records, self.policy, slot) {
                Slot::Taken(taken) if taken.key == self.key => {
                    vacate(records, self.policy, mine, Some(self.key), buffer);
                    let vacated = Some(mine);
                    return Placement::Found {
                        slot,
                        taken,
                        vacated,
                    };
                }
                Slot::Vacant(None) => break,
                _ => {}
            }
        }
        Placement::New(mine)
    }
}

enum Search {
    Found(u32, Box<Taken>),
    Free(u32, Option<Version>),
    Full,
}

#[cfg(test)]
mod tests;

//! The circuits that this worker uses, by policy and key.
//!
//! This is a cache over the shared slots. It is bounded for each policy, as the slots are, and
//! in total, so that keys which a client invents under many policies do not add up. A full table
//! evicts the key that has been idle the longest; nothing is lost, since its circuit is in the
//! slot. Keys in use are never evicted. If all are in use, a new key shares the overflow circuit.
//! But each policy always has room for one key, so that a client that keeps all other keys in use
//! cannot take away the breaker of a policy.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::shared::key::OVERFLOW_KEY;
use crate::shared::replica::Replica;
use hashbrown::HashTable;

mod entry;
mod list;

use entry::{Entry, Links, NO_POLICY};
use list::List;

/// Most entries to examine for one to evict. If so many are in use, the next key may as well
/// share the overflow circuit.
const SEARCH_MAX: usize = 256;

/// The circuits of all policies.
#[derive(Debug)]
pub(crate) struct KeyTable {
    index: HashTable<u32>,
    /// Boxed: a growing vector of entries would need up to three times its size for a moment,
    /// and the memory of a VM never shrinks.
    #[expect(
        clippy::vec_box,
        reason = "a vector of boxes does not move entries as it grows"
    )]
    entries: Vec<Box<Entry>>,
    policies: Vec<PolicyKeys>,
    /// Number of keys, without overflow entries.
    held: usize,
    capacity: usize,
    /// Free entries.
    free: Vec<u32>,
    /// Where the search for an entry to evict continues when the total is reached. It moves
    /// around like the hand of a clock and skips entries that were used since it last passed.
    /// That is nearly the order of last use (Corbato, "A Paging Experiment with the Multics
    /// System", 1969), without a second queue that every request would have to update.
    hand: usize,
}

/// The keys of one policy.
#[derive(Debug)]
struct PolicyKeys {
    /// Entries that are not in use, longest idle first.
    idle: List,
    held: u32,
    capacity: u32,
    /// The entry found last. Most traffic uses the same key again, and a comparison costs a
    /// fraction of a hash.
    recent: u32,
    /// The entry that keys without a slot share.
    overflow: Option<u32>,
}

impl KeyTable {
    /// Creates an empty table for `capacity` keys in total, and for the given number of keys of
    /// each policy.
    pub(crate) fn new(capacity: u32, policies: impl Iterator<Item = u32>) -> KeyTable {
        let of_policy = |capacity| PolicyKeys {
            idle: List::default(),
            held: 0,
            capacity,
            recent: u32::MAX,
            overflow: None,
        };
        KeyTable {
            index: HashTable::new(),
            entries: Vec::new(),
            policies: policies.map(of_policy).collect(),
            held: 0,
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX),
            free: Vec::new(),
            hand: 0,
        }
    }

    /// Returns the entry found last under a policy if its key is the wanted one.
    #[inline]
    pub(crate) fn find_recent(
        &mut self,
        policy: usize,
        is_wanted: impl FnOnce(&[u8]) -> bool,
    ) -> Option<u32> {
        let at = self.policies.get(policy)?.recent;
        let recent = entry::get_mut(&mut self.entries, at)?;
        if recent.policy != policy || !is_wanted(&recent.key) {
            return None;
        }
        recent.recently_used = true;
        Some(at)
    }

    /// Returns the entry of a key.
    #[inline(never)]
    pub(crate) fn find(&mut self, policy: usize, hash: u64, key: &[u8]) -> Option<u32> {
        let at = self.position(policy, hash, key)?;
        self.policies.get_mut(policy)?.recent = at;
        entry::get_mut(&mut self.entries, at)?.recently_used = true;
        Some(at)
    }

    #[inline]
    fn position(&self, policy: usize, hash: u64, key: &[u8]) -> Option<u32> {
        let same = |at: &u32| {
            let entry = entry::get(&self.entries, *at);
            entry.is_some_and(|entry| entry.policy == policy && entry.key == key)
        };
        self.index.find(spread(policy, hash), same).copied()
    }

    /// Whether a key is in use.
    pub(crate) fn in_use(&self, policy: usize, hash: u64, key: &[u8]) -> bool {
        let position = self.position(policy, hash, key);
        position
            .and_then(|at| entry::get(&self.entries, at))
            .is_some_and(|entry| entry.uses > 0)
    }

    /// Makes room for another key of a policy; evicts an idle one if necessary. Returns false if
    /// there is no room.
    pub(crate) fn make_room(&mut self, policy: usize) -> bool {
        let Some(own) = self.policies.get(policy) else {
            return false;
        };
        let evicted = if own.held >= own.capacity {
            own.idle.first()
        } else if self.held < self.capacity {
            return true;
        } else if let Some(found) = self.turn_hand() {
            Some(found)
        } else {
            return self.policies.get(policy).is_some_and(|own| own.held == 0);
        };
        evicted.is_some_and(|at| self.evict(at))
    }

    /// Returns an idle entry, preferably one that was not used since the hand last passed.
    fn turn_hand(&mut self) -> Option<u32> {
        let mut second_best = None;
        for _ in 0..self.entries.len().min(SEARCH_MAX) {
            let at = self.hand.checked_rem(self.entries.len()).unwrap_or(0);
            self.hand = at.saturating_add(1);
            let at = u32::try_from(at).ok()?;
            let entry = entry::get_mut(&mut self.entries, at)?;
            if entry.policy == NO_POLICY {
                continue;
            }
            if entry.uses == 0 && !core::mem::replace(&mut entry.recently_used, false) {
                return Some(at);
            }
            if entry.uses == 0 {
                second_best = second_best.or(Some(at));
            }
        }
        second_best
    }

    /// Inserts a new key. Returns its entry; `None` if there is no room.
    pub(crate) fn insert(
        &mut self,
        policy: usize,
        hash: u64,
        key: &[u8],
        replica: Replica,
    ) -> Option<u32> {
        if !self.make_room(policy) {
            return None;
        }
        let entry = Entry {
            policy,
            hash,
            key: key.into(),
            replica,
            uses: 0,
            recently_used: false,
            links: Links::default(),
        };
        let at = match self.free.pop() {
            Some(at) => {
                *entry::get_mut(&mut self.entries, at)? = entry;
                at
            }
            None => self.push(entry)?,
        };
        let entries = &self.entries;
        let rehash = |at: &u32| {
            let entry = entry::get(entries, *at);
            entry.map_or(0, |entry| spread(entry.policy, entry.hash))
        };
        self.index.insert_unique(spread(policy, hash), at, rehash);
        self.held = self.held.saturating_add(1);
        let own = self.policies.get_mut(policy)?;
        own.held = own.held.saturating_add(1);
        own.idle.push_back(at, &mut self.entries);
        Some(at)
    }

    fn push(&mut self, entry: Entry) -> Option<u32> {
        let at = u32::try_from(self.entries.len()).ok()?;
        self.entries.push(Box::new(entry));
        Some(at)
    }

    /// Frees an idle entry.
    fn evict(&mut self, at: u32) -> bool {
        let Some(entry) = entry::get_mut(&mut self.entries, at) else {
            return false;
        };
        // A free entry keeps its key, but no lookup can match it.
        let policy = core::mem::replace(&mut entry.policy, NO_POLICY);
        let hash = spread(policy, entry.hash);
        if let Some(own) = self.policies.get_mut(policy) {
            own.idle.remove(at, &mut self.entries);
            own.held = own.held.saturating_sub(1);
        }
        if let Ok(old) = self.index.find_entry(hash, |other| *other == at) {
            old.remove();
        }
        self.held = self.held.saturating_sub(1);
        self.free.push(at);
        true
    }

    /// The entry that keys without a slot share, if there is one.
    #[inline]
    pub(crate) fn overflow(&self, policy: usize) -> Option<u32> {
        self.policies.get(policy)?.overflow
    }

    /// Adds the entry that keys without a slot share. It is always in use.
    pub(crate) fn insert_overflow(&mut self, policy: usize, replica: Replica) -> Option<u32> {
        let at = self.push(Entry {
            policy,
            hash: 0,
            key: OVERFLOW_KEY.into(),
            replica,
            uses: 1,
            recently_used: false,
            links: Links::default(),
        })?;
        self.policies.get_mut(policy)?.overflow = Some(at);
        Some(at)
    }

    /// Number of requests in flight that use an entry.
    pub(crate) fn in_flight(&self, at: u32) -> u32 {
        entry::get(&self.entries, at).map_or(0, |entry| {
            let queued = u32::from(entry.replica.is_queued());
            let pinned = u32::from(self.overflow(entry.policy) == Some(at));
            entry.uses.saturating_sub(queued).saturating_sub(pinned)
        })
    }

    /// Returns the hash, the key and the circuit of an entry.
    #[inline]
    pub(crate) fn entry(&mut self, at: u32) -> Option<(u64, &[u8], &mut Replica)> {
        let entry = entry::get_mut(&mut self.entries, at)?;
        Some((entry.hash, &entry.key, &mut entry.replica))
    }

    /// Returns the policy of an entry; `None` if the entry is free.
    pub(crate) fn policy_of(&self, at: u32) -> Option<usize> {
        let policy = entry::get(&self.entries, at)?.policy;
        (policy != NO_POLICY).then_some(policy)
    }

    /// Returns the indices of all entries, free ones included.
    pub(crate) fn entries(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Adds a use of an entry.
    #[inline]
    pub(crate) fn enter(&mut self, at: u32) {
        self.adjust(at, |uses| uses.saturating_add(1));
    }

    /// Removes a use of an entry.
    #[inline]
    pub(crate) fn leave(&mut self, at: u32) {
        self.adjust(at, |uses| uses.saturating_sub(1));
    }

    /// Moves an idle entry to the end of its queue.
    #[inline]
    pub(crate) fn touch(&mut self, at: u32) {
        self.adjust(at, |uses| uses);
    }

    /// Changes the number of uses. Idle entries are in their policy's queue, in order of use.
    #[inline]
    fn adjust(&mut self, at: u32, change: impl FnOnce(u32) -> u32) {
        let Some(entry) = entry::get_mut(&mut self.entries, at) else {
            return;
        };
        let before = entry.uses;
        entry.uses = change(before);
        let after = entry.uses;
        let Some(own) = self.policies.get_mut(entry.policy) else {
            return;
        };
        if before == 0 {
            own.idle.remove(at, &mut self.entries);
        }
        if after == 0 {
            own.idle.push_back(at, &mut self.entries);
        }
    }
}

/// Mixes the policy into the hash of a key. Otherwise the same key under many policies would
/// form one chain.
fn spread(policy: usize, hash: u64) -> u64 {
    let policy = u64::try_from(policy).unwrap_or(0);
    // 2^64 divided by the golden ratio (Knuth, TAOCP 6.4).
    hash ^ policy.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests;

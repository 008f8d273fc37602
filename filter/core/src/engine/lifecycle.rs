//! What an engine does to records when its configuration comes and goes.
//!
//! Circuits outlive configurations: a policy that is still there finds its own as they
//! were. What nobody will ask for again is emptied, by the configuration that has used
//! it when its last request is over: the slots of a policy that is gone, and keys that
//! stand elsewhere now.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::keys::{self, KeyTable, OVERFLOW_KEY};
use crate::policy::Mode;
use crate::shared::census::Census;
use crate::shared::directory::{Directory, Entry};
use crate::shared::records::{self, Outline, Records, Slot, TRIES};
use crate::stale::{self, StaleStore};
use crate::time::Instant;

use super::Engine;

impl<R: Records> Engine<R> {
    /// Enters the policies into the directory and takes over its seed. Circuits whose keys
    /// stand elsewhere now move there. A configuration without policies only looks on.
    pub(super) fn enter_directory(&mut self, now: Instant) {
        for _ in 0..TRIES {
            let (found, version) = Directory::read(&mut self.records);
            if found.is_none() && version.is_some() {
                self.discarded(1);
                self.hash_seed = self.seed_of_others();
            }
            let old = found.unwrap_or(Directory {
                seed: self.hash_seed,
                policies: Vec::new(),
            });
            self.hash_seed = old.seed;
            if self.policies.is_empty() {
                return;
            }
            let shards = self.shelf.as_ref().map_or(0, StaleStore::shards);
            stale::clear(&mut self.records, shards, &mut self.buffer);
            let new = self.directory_after(&old);
            if new == old || new.write(&mut self.records, version, &mut self.buffer) {
                for entry in &old.policies {
                    let same = new.find(&entry.name);
                    if same.is_some_and(|same| !same.has_slots_of(entry)) {
                        self.clear(entry, same, now);
                    }
                }
                return;
            }
        }
    }

    /// The directory with the policies of this configuration. Those that it does not have
    /// stay listed: their requests may still be under way, and the configuration before
    /// may yet prove to be the one that stays. They go when it does.
    fn directory_after(&self, old: &Directory) -> Directory {
        let mut new = Directory {
            seed: old.seed,
            policies: self.entries(),
        };
        let gone = old.policies.iter();
        let gone = gone.filter(|entry| new.find(&entry.name).is_none());
        let gone = gone.map(|entry| Entry {
            current: false,
            ..entry.clone()
        });
        let gone = gone.collect();
        new.join(gone);
        new
    }

    /// The seed that other workers go by, where the directory has lost it.
    fn seed_of_others(&mut self) -> u64 {
        let records = &mut self.records;
        let mut policies = self.policies.iter();
        let found = policies.find_map(|policy| Census::seed(records, &policy.name));
        found.unwrap_or(self.hash_seed)
    }

    /// Shares what is still to be shared, and empties the slots of policies that no
    /// configuration has any more, and those that nobody looks into any more.
    pub fn retire(&mut self, now: Instant) {
        for at in self.table.entries() {
            if let Some((_, _, replica)) = self.table.entry(at) {
                replica.ask_for_nothing();
            }
        }
        let mut before = usize::MAX;
        while self.pending.len() < before {
            before = self.pending.len();
            self.merge_due(Instant::from_ns(u64::MAX), now);
        }
        let (Some(directory), _) = Directory::read(&mut self.records) else {
            return;
        };
        let mut gone = Vec::new();
        let own = self.entries();
        self.leave(&own, &directory, now);
        for entry in own {
            match directory.find(&entry.name) {
                Some(listed) if !listed.has_slots_of(&entry) => {}
                Some(listed) if listed.current => {}
                _ => {
                    self.clear(&entry, None, now);
                    gone.push(entry.name);
                }
            }
        }
        self.strike_out(&gone);
        self.table = KeyTable::new(0, core::iter::empty());
    }

    /// Takes policies, which are in order, out of the directory, if no configuration has
    /// taken them up again.
    fn strike_out(&mut self, gone: &[Box<str>]) {
        for _ in 0..TRIES {
            let (Some(mut directory), version) = Directory::read(&mut self.records) else {
                return;
            };
            let before = directory.policies.len();
            directory.policies.retain(|entry| {
                let named = gone.binary_search_by(|name| name.cmp(&entry.name));
                entry.current || named.is_err()
            });
            let unchanged = directory.policies.len() == before;
            if unchanged || directory.write(&mut self.records, version, &mut self.buffer) {
                return;
            }
        }
    }

    /// Empties the slots in which requests that ended late have put their keys again,
    /// where keys now stand elsewhere.
    fn leave(&mut self, own: &[Entry], listed: &Directory, time: Instant) {
        for at in self.table.entries() {
            let name = self
                .table
                .policy_of(at)
                .and_then(|at| self.policies.get(at));
            let name = name.map(|policy| &policy.name);
            let mine = name.and_then(|name| {
                let at = own.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
                own.get(at)
            });
            let now = name.and_then(|name| listed.find(name));
            if let (Some(mine), Some(now)) = (mine, now)
                && !now.has_slots_of(mine)
                && let Some((hash, key, replica)) = self.table.entry(at)
            {
                let (place, key) = (replica.place(), key.to_vec());
                self.leave_slot((mine, now), (hash, &key), place, time);
            }
        }
    }

    fn leave_slot(
        &mut self,
        (mine, now): (&Entry, &Entry),
        (hash, key): (u64, &[u8]),
        place: u32,
        time: Instant,
    ) {
        if now.key_hash == mine.key_hash && self.is_found_at(now, hash, key, place) {
            return;
        }
        // A newer configuration may have put the same key there for its own.
        let slot = Slot::read(&mut self.records, &mine.name, place);
        let newer = matches!(slot, Slot::Taken(it) if it.circuit.loaded_at > self.loaded_at);
        let buffer = &mut self.buffer;
        if !newer && records::vacate(&mut self.records, &mine.name, place, Some(key), buffer) {
            let policy = self.index_of(&mine.name);
            let left = [(place, Outline::default())];
            self.note_in_census(policy, now.slots(), left.into(), time);
        }
    }

    /// Whether workers who look for a key find it in this slot, and in no other.
    fn is_found_at(&mut self, entry: &Entry, hash: u64, key: &[u8], place: u32) -> bool {
        let places = records::places(hash, entry.capacity);
        let records = &mut self.records;
        let holds = |place: u32| {
            let slot = Slot::read(records, &entry.name, place);
            matches!(slot, Slot::Taken(taken) if taken.key == key)
        };
        places.clone().any(|other| other == place)
            && !places.filter(|other| *other != place).any(holds)
    }

    /// The policies as the directory lists them. A disabled one is as if it were missing:
    /// what it has counted goes.
    fn entries(&self) -> Vec<Entry> {
        let entry = |at: &usize| {
            let policy = self.policies.get(*at)?;
            (policy.mode != Mode::Disabled).then(|| Entry {
                name: policy.name.clone(),
                capacity: self.capacity_of(*at),
                key_hash: keys::make_of(&policy.key),
                mode: policy.mode,
                recovery: policy.breaker.recovery.duration,
                current: true,
            })
        };
        self.by_name.iter().filter_map(entry).collect()
    }

    /// Empties the slots of a policy. Circuits that are not closed move to where the
    /// policy's keys stand now, if they are made of the same parts.
    fn clear(&mut self, gone: &Entry, now_as: Option<&Entry>, now: Instant) {
        let moves = now_as.is_some_and(|now| now.key_hash == gone.key_hash);
        let buffer = &mut self.buffer;
        let (overflow, key) = (gone.capacity, Some(OVERFLOW_KEY));
        records::vacate(&mut self.records, &gone.name, overflow, key, buffer);
        let census = Census::read(&mut self.records, &gone.name, gone.capacity);
        if census.is_empty() {
            return;
        }
        let mut moving = Vec::new();
        for place in census.taken() {
            if moves
                && let Slot::Taken(taken) = Slot::read(&mut self.records, &gone.name, place)
                && !taken.circuit.is_closed(now)
            {
                moving.push(taken);
            }
            let buffer = &mut self.buffer;
            records::vacate(&mut self.records, &gone.name, place, None, buffer);
        }
        Census::clear(
            &mut self.records,
            &gone.name,
            self.hash_seed,
            &mut self.buffer,
        );
        let policy = self.index_of(&gone.name);
        self.clear_gauges(policy, gone.capacity, census.totals());
        for taken in moving {
            let hash = keys::hash(self.hash_seed, &taken.key);
            self.place(policy, hash, &taken.key, &taken.circuit, now);
        }
    }

    /// The place of a policy of this name, whether it is one of this configuration or
    /// not.
    pub(super) fn index_of(&mut self, name: &str) -> usize {
        let of_place = |at: &usize| self.policies.get(*at).map(|policy| &*policy.name);
        let found = self
            .by_name
            .binary_search_by(|at| of_place(at).cmp(&Some(name)));
        let own = found.ok().and_then(|at| self.by_name.get(at)).copied();
        own.unwrap_or_else(|| self.policies.len().saturating_add(self.other_of(name)))
    }

    /// The place of a policy among the others.
    fn other_of(&mut self, name: &str) -> usize {
        let of_place = |at: &usize| self.others.get(*at).map(|other| &**other);
        let found = self
            .others_by_name
            .binary_search_by(|at| of_place(at).cmp(&Some(name)));
        let place = self.others.len();
        match found {
            Ok(at) => self.others_by_name.get(at).copied().unwrap_or(place),
            Err(at) => {
                self.others.push(name.into());
                self.others_by_name.insert(at, place);
                place
            }
        }
    }
}

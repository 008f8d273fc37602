//! What an engine does to the records when its configuration comes and goes.
//!
//! Circuits outlive configurations: a policy that is still there finds its own as they were.
//! What no worker will ask for again is emptied, by the configuration that has used it, when
//! its last request has ended: the slots of a policy that is gone, and keys that have moved to
//! other slots.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::keys::KeyTable;
use crate::policy::Mode;
use crate::shared::census::Census;
use crate::shared::directory::{Directory, Entry};
use crate::shared::key::{self, OVERFLOW_KEY};
use crate::shared::records::{Records, TRIES};
use crate::shared::slots::{self, Placement, Slot, SlotSummary};
use crate::stale::{self, StaleStore};
use crate::time::Instant;

use super::policies::Policies;
use super::workspace::Workspace;

impl Policies {
    /// Enters the policies into the directory and adopts its seed. Circuits whose keys have
    /// other slots now move there. A configuration without policies only reads.
    pub(super) fn enter_directory<R: Records>(&mut self, ws: &mut Workspace<R>, now: Instant) {
        for _ in 0..TRIES {
            let (found, version) = Directory::read(&mut ws.records);
            if found.is_none() && version.is_some() {
                ws.discarded(1);
                ws.hash_seed = self.seed_of_others(ws);
            }
            let old = found.unwrap_or(Directory {
                seed: ws.hash_seed,
                policies: Vec::new(),
            });
            ws.hash_seed = old.seed;
            if self.own.is_empty() {
                return;
            }
            let sets = ws.stale.as_ref().map_or(0, StaleStore::sets);
            stale::clear(&mut ws.records, sets, &mut ws.buffer);
            let new = self.directory_after(&old);
            if new == old || new.write(&mut ws.records, version, &mut ws.buffer) {
                for entry in &old.policies {
                    let same = new.find(&entry.name);
                    if same.is_some_and(|same| !same.has_slots_of(entry)) {
                        self.clear(ws, entry, same, now);
                    }
                }
                return;
            }
        }
    }

    /// The directory with the policies of this configuration. Those that it does not have stay
    /// listed: their requests may still be under way, and the configuration before may yet be
    /// the one that stays. They are removed when it goes.
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

    /// The seed that other workers use, if the directory has lost it.
    fn seed_of_others<R: Records>(&self, ws: &mut Workspace<R>) -> u64 {
        let records = &mut ws.records;
        let mut policies = self.own.iter();
        let found = policies.find_map(|state| Census::seed(records, &state.policy.name));
        found.unwrap_or(ws.hash_seed)
    }

    /// Shares what is still to be shared, and empties the slots of policies that no
    /// configuration has any more, and those that no worker looks into any more.
    pub(super) fn retire<R: Records>(&mut self, ws: &mut Workspace<R>, now: Instant) {
        self.count_requests(ws);
        for at in ws.table.entries() {
            if let Some((_, _, replica)) = ws.table.entry(at) {
                replica.clear_demand();
            }
        }
        let mut before = usize::MAX;
        while ws.pending.len() < before {
            before = ws.pending.len();
            self.merge_due(ws, Instant::from_ns(u64::MAX), now);
        }
        let (Some(directory), _) = Directory::read(&mut ws.records) else {
            return;
        };
        let mut gone = Vec::new();
        let own = self.entries();
        self.leave(ws, &own, &directory, now);
        for entry in own {
            match directory.find(&entry.name) {
                Some(listed) if !listed.has_slots_of(&entry) => {}
                Some(listed) if listed.current => {}
                _ => {
                    self.clear(ws, &entry, None, now);
                    gone.push(entry.name);
                }
            }
        }
        ws.strike_out(&gone);
        ws.table = KeyTable::new(0, core::iter::empty());
    }

    /// Empties the slots into which requests that ended late have put their keys again, although
    /// the keys have other slots now.
    fn leave<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        own: &[Entry],
        listed: &Directory,
        time: Instant,
    ) {
        for at in ws.table.entries() {
            let policy = ws.table.policy_of(at).and_then(|at| self.own.get(at));
            let Some(policy) = policy else {
                continue;
            };
            let name = &policy.policy.name;
            let mine = own.binary_search_by(|entry| entry.name.cmp(name));
            let mine = mine.ok().and_then(|at| own.get(at));
            if let (Some(mine), Some(now)) = (mine, listed.find(name))
                && !now.has_slots_of(mine)
                && let Some((hash, key, replica)) = ws.table.entry(at)
            {
                let (place, key) = (replica.slot(), key.to_vec());
                ws.leave_slot((policy.index, mine, now), (hash, &key), place, time);
            }
        }
    }

    /// The policies as the directory lists them. A disabled one is left out as if it were
    /// missing: what it has counted goes.
    fn entries(&self) -> Vec<Entry> {
        let enabled = self
            .sorted()
            .filter(|state| state.policy.mode != Mode::Disabled);
        let entries = enabled.map(|state| Entry {
            name: state.policy.name.clone(),
            capacity: state.needs.capacity,
            key_hash: key::hash_parts(&state.policy.key),
            mode: state.policy.mode,
            recovery: state.policy.breaker.recovery.duration,
            current: true,
        });
        entries.collect()
    }

    /// Empties the slots of a policy. Circuits that are not closed move to the slots that the
    /// policy's keys have now, if the keys are made of the same parts.
    fn clear<R: Records>(
        &mut self,
        ws: &mut Workspace<R>,
        gone: &Entry,
        now_as: Option<&Entry>,
        now: Instant,
    ) {
        let moves = now_as.is_some_and(|now| now.key_hash == gone.key_hash);
        let (overflow, key) = (gone.capacity, Some(OVERFLOW_KEY));
        slots::vacate(&mut ws.records, &gone.name, overflow, key, &mut ws.buffer);
        let census = Census::read(&mut ws.records, &gone.name, gone.capacity);
        if census.is_empty() {
            return;
        }
        let mut moving = Vec::new();
        for place in census.taken() {
            if moves
                && let Slot::Taken(taken) = Slot::read(&mut ws.records, &gone.name, place)
                && !taken.circuit.is_closed(now)
            {
                moving.push(taken);
            }
            slots::vacate(&mut ws.records, &gone.name, place, None, &mut ws.buffer);
        }
        Census::clear(&mut ws.records, &gone.name, ws.hash_seed, &mut ws.buffer);
        let index = self.index_of(&gone.name);
        ws.clear_gauges(index, gone.slots(), census.totals());
        if let Some(policy) = self.own.get(index) {
            for taken in moving {
                let hash = key::hash(ws.hash_seed, &taken.key);
                let placed = policy.place(ws, hash, &taken.key, &taken.circuit, now);
                if let Placement::New(place) = placed {
                    ws.show_circuit(&gone.name, &taken.key, place);
                }
            }
        }
    }
}

impl<R: Records> Workspace<R> {
    /// Removes policies, which are in order, from the directory, unless a configuration has
    /// them again.
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

    fn leave_slot(
        &mut self,
        (policy, mine, now): (usize, &Entry, &Entry),
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
        if !newer && slots::vacate(&mut self.records, &mine.name, place, Some(key), buffer) {
            let left = [(place, SlotSummary::default())];
            self.note_in_census(policy, now.slots(), left.into(), time);
        }
    }

    /// Whether workers that look for a key find it in this slot, and in no other.
    fn is_found_at(&mut self, entry: &Entry, hash: u64, key: &[u8], place: u32) -> bool {
        let places = slots::candidates(hash, entry.capacity);
        let records = &mut self.records;
        let holds = |place: u32| {
            let slot = Slot::read(records, &entry.name, place);
            matches!(slot, Slot::Taken(taken) if taken.key == key)
        };
        places.clone().any(|other| other == place)
            && !places.filter(|other| *other != place).any(holds)
    }
}

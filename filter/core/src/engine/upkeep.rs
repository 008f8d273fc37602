//! What an engine does to records when its configuration comes and goes.
//!
//! Circuits outlive configurations: a policy that is still there finds its own as they
//! were. What nobody will ask for again is emptied: the slots of a policy that is
//! gone, and keys that are made of other parts now.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::keys;
use crate::policy::Policy;
use crate::records::{self, Census, Directory, Entry, Records, Slot, TRIES, Totals};
use crate::time::Instant;

use super::Engine;

impl<R: Records> Engine<R> {
    /// Enters the policies into the directory, takes over its seed, and empties what
    /// stood there and is gone. A configuration without policies only looks on.
    pub(super) fn enter_directory(&mut self) {
        for _ in 0..TRIES {
            let (found, version) = Directory::read(&mut self.records);
            if found.is_none() && version.is_some() {
                self.discarded(1);
            }
            let old = found.unwrap_or(Directory {
                seed: self.hash_seed,
                policies: Vec::new(),
            });
            self.hash_seed = old.seed;
            if self.policies.is_empty() {
                return;
            }
            let new = Directory {
                seed: old.seed,
                policies: self.entries(),
            };
            if new == old || new.write(&mut self.records, version, &mut self.buffer) {
                for entry in &old.policies {
                    let same = new.find(&entry.name);
                    if same.is_none_or(|now| !now.has_slots_of(entry)) {
                        self.clear(entry, same);
                    }
                }
                return;
            }
        }
    }

    /// Shares what is still to be shared, and empties the slots of policies that no
    /// configuration has any more.
    pub fn retire(&mut self, now: Instant) {
        while self.has_pending() {
            let before = self.pending.len();
            self.tick(now);
            if self.pending.len() >= before {
                break;
            }
        }
        let (Some(directory), _) = Directory::read(&mut self.records) else {
            return;
        };
        for entry in self.entries() {
            if directory.find(&entry.name).is_none() {
                self.clear(&entry, None);
            }
        }
        self.tables.clear();
    }

    /// The policies as the directory lists them.
    fn entries(&self) -> Vec<Entry> {
        let entry = |policy: &Policy| Entry {
            name: policy.name.clone(),
            capacity: self.capacity,
            key_hash: keys::make_of(&policy.key),
            mode: policy.mode,
        };
        let mut entries: Vec<Entry> = self.policies.iter().map(entry).collect();
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        entries
    }

    /// Empties the slots of a policy. Circuits that are not closed move to where the
    /// policy's keys stand now, if they are made of the same parts.
    fn clear(&mut self, gone: &Entry, now_as: Option<&Entry>) {
        let moves = now_as.is_some_and(|now| now.key_hash == gone.key_hash);
        let census = Census::read(&mut self.records, &gone.name, gone.capacity);
        if census == Census::default() {
            return;
        }
        let mut moving = Vec::new();
        for place in census.taken() {
            if moves
                && let Slot::Taken(taken) = Slot::read(&mut self.records, &gone.name, place)
                && !taken.circuit.is_closed()
            {
                moving.push(taken);
            }
            let buffer = &mut self.buffer;
            records::vacate(&mut self.records, &gone.name, place, None, buffer);
        }
        Census::clear(&mut self.records, &gone.name, &mut self.buffer);
        let policy = self.index_of(&gone.name);
        self.gauges(policy, Some(census.totals()), Totals::default());
        for taken in moving {
            let hash = keys::hash(self.hash_seed, &taken.key);
            let now = self.loaded_at;
            self.place(policy, hash, &taken.key, &taken.circuit, now);
        }
    }

    /// The place of a policy of this name, whether it is one of this configuration or
    /// not.
    pub(super) fn index_of(&mut self, name: &str) -> usize {
        let named = |other: &Box<str>| **other == *name;
        let own = self.policies.iter().position(|policy| named(&policy.name));
        own.unwrap_or_else(|| {
            let place = self.others.iter().position(named).unwrap_or_else(|| {
                self.others.push(name.into());
                self.others.len().saturating_sub(1)
            });
            self.policies.len().saturating_add(place)
        })
    }
}

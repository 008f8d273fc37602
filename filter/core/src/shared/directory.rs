//! The policies that have slots, and the seed of their hash.
//!
//! Names of records cannot be listed, so this one says what there is: a new
//! configuration finds what an old one has left behind, and who shows circuits on
//! another listener finds those of this one.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::codec::{self, Encode, Kind, Reader};
use crate::policy::{KEYS_MAX, Mode};
use crate::shared::records::{Name, Records, Slots, Version};
use crate::time::Span;

/// The policies of a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// What all workers hash keys with.
    pub seed: u64,
    /// The policies, by name.
    pub policies: Vec<Entry>,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Box<str>,
    /// How many slots it has.
    pub capacity: u32,
    /// What its keys are made of, as a hash: keys of another make are never found.
    pub key_hash: u64,
    /// Its mode, for who shows it.
    pub mode: Mode,
    /// How long its circuits recover, for who shows them.
    pub recovery: Span,
    /// Whether the configuration that was loaded last has it. One that does not may
    /// still have requests under way.
    pub current: bool,
}

impl Entry {
    /// Its slots.
    pub fn slots(&self) -> Slots<'_> {
        Slots {
            policy: &self.name,
            capacity: self.capacity,
            recovery: self.recovery,
        }
    }

    /// Whether circuits of one policy stand where those of the other are looked for.
    pub fn has_slots_of(&self, other: &Entry) -> bool {
        (self.capacity, self.key_hash) == (other.capacity, other.key_hash)
    }
}

impl Directory {
    /// Reads the directory, and the number of its last write. It is empty where it is
    /// damaged, and absent where there is none.
    pub fn read<R: Records>(records: &mut R) -> (Option<Directory>, Option<Version>) {
        let Some((record, version)) = records.read(Name::Directory) else {
            return (None, None);
        };
        let directory = codec::open(Kind::Directory, &record).and_then(|mut from| {
            let directory = Directory::read_from(&mut from)?;
            from.end(directory)
        });
        (directory, Some(version))
    }

    /// Enters policies, which are in the order of their names and not listed yet.
    pub fn join(&mut self, more: Vec<Entry>) {
        let mut joined = Vec::with_capacity(self.policies.len().saturating_add(more.len()));
        let mut own = core::mem::take(&mut self.policies).into_iter().peekable();
        for entry in more {
            while let Some(before) = own.next_if(|own| own.name < entry.name) {
                joined.push(before);
            }
            joined.push(entry);
        }
        joined.extend(own);
        self.policies = joined;
    }

    /// Writes it over the one of this version.
    pub fn write<R: Records>(
        &self,
        records: &mut R,
        version: Option<Version>,
        buffer: &mut Vec<u8>,
    ) -> bool {
        codec::seal(Kind::Directory, buffer, |out| {
            self.seed.write(out);
            let count = u32::try_from(self.policies.len()).unwrap_or(u32::MAX);
            count.write(out);
            for entry in &self.policies {
                codec::write_text(entry.name.as_bytes(), out);
                entry.capacity.write(out);
                entry.key_hash.write(out);
                (entry.mode as u8).write(out);
                entry.recovery.write(out);
                entry.current.write(out);
            }
        });
        records.write(Name::Directory, buffer, version)
    }

    /// The policy of this name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        let by_name = |entry: &Entry| (*entry.name).cmp(name);
        let at = self.policies.binary_search_by(by_name).ok()?;
        self.policies.get(at)
    }

    fn read_from(from: &mut Reader<'_>) -> Option<Directory> {
        let (seed, count) = (u64::read(from)?, u32::read(from)?);
        let mut policies = Vec::new();
        for _ in 0..count {
            let name = core::str::from_utf8(from.text()?).ok()?;
            policies.push(Entry {
                name: name.into(),
                capacity: u32::read(from).filter(|capacity| *capacity <= KEYS_MAX)?,
                key_hash: u64::read(from)?,
                mode: {
                    let tag = u8::read(from)?;
                    Mode::ALL.into_iter().find(|mode| *mode as u8 == tag)?
                },
                recovery: Span::read(from)?,
                current: bool::read(from)?,
            });
        }
        Some(Directory { seed, policies })
    }
}

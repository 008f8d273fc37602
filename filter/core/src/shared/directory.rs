//! The list of policies that have slots, and the seed of the hash of keys.
//!
//! The host cannot list names of records, so this record does. With it a new configuration finds
//! what an old one has left behind, and the operator's page of one listener finds the circuits of
//! all.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::codec::{self, Encode, Kind, Reader};
use crate::policy::{KEYS_MAX, Mode};
use crate::shared::records::{Name, Records, Version};
use crate::shared::slots::Slots;
use crate::time::Span;

/// The directory of a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    /// Seed by which all workers hash keys.
    pub(crate) seed: u64,
    /// The policies, in the order of their names.
    pub(crate) policies: Vec<Entry>,
}

/// A policy in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Name of the policy.
    pub(crate) name: Box<str>,
    /// Number of its slots.
    pub(crate) capacity: u32,
    /// Hash of the parts that its keys consist of. Keys of other parts are never found.
    pub(crate) key_hash: u64,
    /// Its mode, for the operator's page.
    pub(crate) mode: Mode,
    /// Recovery time of its circuits, for the operator's page.
    pub(crate) recovery: Span,
    /// Whether the last loaded configuration has the policy. Another one may still have
    /// requests in flight.
    pub(crate) current: bool,
}

impl Entry {
    pub(crate) fn slots(&self) -> Slots<'_> {
        Slots {
            policy: &self.name,
            capacity: self.capacity,
            recovery: self.recovery,
        }
    }

    /// Whether the same keys select the same slots as under another entry.
    pub(crate) fn has_slots_of(&self, other: &Entry) -> bool {
        (self.capacity, self.key_hash) == (other.capacity, other.key_hash)
    }
}

impl Directory {
    /// Reads the directory and its version. The directory is `None` if it was never written or is
    /// damaged, the version only if it was never written.
    pub(crate) fn read<R: Records>(records: &mut R) -> (Option<Directory>, Option<Version>) {
        let Some((record, version)) = records.read(Name::Directory) else {
            return (None, None);
        };
        let directory = codec::open(Kind::Directory, &record).and_then(|mut from| {
            let directory = Directory::read_from(&mut from)?;
            from.end(directory)
        });
        (directory, Some(version))
    }

    /// Adds policies, which must be in the order of their names and not in the directory yet.
    pub(crate) fn join(&mut self, more: Vec<Entry>) {
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

    /// Writes the directory if its version is still `version`. Returns whether it did.
    pub(crate) fn write<R: Records>(
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

    /// Returns the policy with this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Entry> {
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

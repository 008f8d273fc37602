//! The core's records, stored in the host's shared data.
//!
//! Names are `spillway/LAYOUT/PLUGIN[/POLICY[/SLOT]]`. In place of a policy, `.stale` stands
//! for stored responses, `.history` for the last transitions, `.shown` for the circuits that
//! have series, and `.survey` for the last surveys, by policy. The host can neither list nor
//! delete names, so every name comes from the configuration and none from a client.
//! Plugins with the same `vm_id` and the same name share their circuits across all workers
//! and listeners.
//!
//! If the host has no shared data, records are stored in a map in the VM's own memory. Each
//! worker then has its own circuits, and everything else works as usual.

use core::fmt::Write;

use spillway_core::{Name, Records, Version};

use crate::host;

/// The CAS number with which a host always writes.
const ANY: Version = 0;

/// Buckets of the VM's own records. Names are made of numbers that rise, so they fill all.
const BUCKETS: usize = 4_096;

/// Records in the VM's own memory. A name selects a bucket. Few hosts need them, so they are as
/// simple as possible.
#[derive(Debug)]
struct Own(Vec<Vec<OwnRecord>>);

#[derive(Debug)]
struct OwnRecord {
    name: Box<str>,
    bytes: Box<[u8]>,
    /// Number of its last write.
    version: Version,
}

impl Own {
    fn new() -> Own {
        Own((0..BUCKETS).map(|_| Vec::new()).collect())
    }

    /// Returns the bucket of a name, by the hash FNV-1a.
    fn bucket(name: &str) -> usize {
        let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        usize::try_from(hash).unwrap_or(0) % BUCKETS
    }

    fn find(&mut self, name: &str) -> Option<&mut OwnRecord> {
        let bucket = self.0.get_mut(Own::bucket(name))?;
        bucket.iter_mut().find(|record| *record.name == *name)
    }

    fn set(&mut self, name: &str, bytes: &[u8], version: Version) {
        if let Some(record) = self.find(name) {
            (record.bytes, record.version) = (bytes.into(), version);
        } else if let Some(bucket) = self.0.get_mut(Own::bucket(name)) {
            let (name, bytes) = (name.into(), bytes.into());
            bucket.push(OwnRecord {
                name,
                bytes,
                version,
            });
        }
    }
}

/// Records shared by all workers, or by none if the host has no shared data.
#[derive(Debug)]
pub(crate) struct SharedRecords {
    plugin: String,
    /// Buffer for names, reused by every call.
    name: String,
    /// `None` if the host has shared data.
    own: Option<Own>,
    writes: Version,
}

impl SharedRecords {
    /// Opens the records of the plugin with this name. Checks once whether the host has shared
    /// data.
    pub(crate) fn new(plugin: &str) -> SharedRecords {
        let mut store = SharedRecords {
            // A slash would make one plugin's name look like another's policy.
            plugin: plugin.replace('%', "%25").replace('/', "%2F"),
            name: String::new(),
            own: None,
            writes: 0,
        };
        store.set_name(Name::Directory);
        if host::shared_data(&store.name).is_err() {
            store.own = Some(Own::new());
        }
        store
    }

    /// Returns whether all workers see these records.
    pub(crate) fn is_shared(&self) -> bool {
        self.own.is_none()
    }

    fn set_name(&mut self, name: Name<'_>) {
        self.name.clear();
        let (layout, plugin) = (spillway_core::VERSION, &self.plugin);
        // Writing to a string cannot fail.
        let _ = write!(self.name, "spillway/{layout}/{plugin}");
        let _ = match name {
            Name::Directory => Ok(()),
            Name::Census(policy) => write!(self.name, "/{policy}"),
            Name::Slot(policy, place) => write!(self.name, "/{policy}/{place}"),
            // A dot cannot occur in the name of a policy.
            Name::Survey(policy) => write!(self.name, "/.survey/{policy}"),
            Name::History => write!(self.name, "/.history"),
            Name::Shown => write!(self.name, "/.shown"),
            Name::StaleSet(set) => write!(self.name, "/.stale/{set}"),
            Name::StoredResponse(set, slot) => write!(self.name, "/.stale/{set}/{slot}"),
        };
    }
}

impl Records for SharedRecords {
    fn read(&mut self, name: Name<'_>) -> Option<(Vec<u8>, Version)> {
        self.set_name(name);
        match &mut self.own {
            None => host::shared_data(&self.name).ok().flatten(),
            Some(own) => {
                let record = own.find(&self.name)?;
                Some((record.bytes.to_vec(), record.version))
            }
        }
    }

    fn write(&mut self, name: Name<'_>, record: &[u8], version: Option<Version>) -> bool {
        self.set_name(name);
        if self.own.is_none() {
            // For an unknown name the host accepts any number; for a known one only that of
            // the last write, or 0. So a new record is written with the largest number: no
            // write ever has it, so it cannot overwrite a record. 0 would.
            let expected = version.unwrap_or(Version::MAX);
            match host::set_shared_data(&self.name, record, expected) {
                Ok(written) => return written,
                // This host can read shared data but not write it.
                Err(_) => self.own = Some(Own::new()),
            }
        }
        let own = self.own.get_or_insert_with(Own::new);
        if own.find(&self.name).map(|record| record.version) != version {
            return false;
        }
        self.writes = self.writes.wrapping_add(1);
        own.set(&self.name, record, self.writes);
        true
    }

    fn put(&mut self, name: Name<'_>, record: &[u8]) {
        self.set_name(name);
        match &mut self.own {
            // If the write fails, later reads do not find the record.
            None => drop(host::set_shared_data(&self.name, record, ANY)),
            Some(own) => {
                self.writes = self.writes.wrapping_add(1);
                own.set(&self.name, record, self.writes);
            }
        }
    }
}

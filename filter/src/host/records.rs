//! The core's records, stored in the host's shared data.
//!
//! Names are `spillway/LAYOUT/PLUGIN[/POLICY[/SLOT]]`. In place of a policy, `.stale` stands
//! for stored responses and `.history` for the last transitions. The host can neither list
//! nor delete names, so every name comes from the configuration and none from a client.
//! Plugins with the same `vm_id` and the same name share their circuits across all workers
//! and listeners.
//!
//! If the host has no shared data, records are stored in a map in the VM's own memory. Each
//! worker then has its own circuits, and everything else works as usual.

use core::fmt::Write;

use hashbrown::HashMap;
use spillway_core::{Name, Records, Version};

use crate::host;

/// The CAS number with which a host always writes.
const ANY: Version = 0;

/// Records in the VM's own memory, with the numbers of their last writes.
type Own = HashMap<Box<str>, (Box<[u8]>, Version)>;

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
            store.own = Some(HashMap::new());
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
        let _ = match name {
            Name::Directory => write!(self.name, "spillway/{layout}/{plugin}"),
            Name::Census(policy) => write!(self.name, "spillway/{layout}/{plugin}/{policy}"),
            Name::Slot(policy, place) => {
                write!(self.name, "spillway/{layout}/{plugin}/{policy}/{place}")
            }
            // A dot cannot occur in the name of a policy.
            Name::History => write!(self.name, "spillway/{layout}/{plugin}/.history"),
            Name::Shard(shard) => write!(self.name, "spillway/{layout}/{plugin}/.stale/{shard}"),
            Name::StoredResponse(shard, slot) => {
                write!(
                    self.name,
                    "spillway/{layout}/{plugin}/.stale/{shard}/{slot}"
                )
            }
        };
    }
}

impl Records for SharedRecords {
    fn read(&mut self, name: Name<'_>) -> Option<(Vec<u8>, Version)> {
        self.set_name(name);
        match &self.own {
            None => host::shared_data(&self.name).ok().flatten(),
            Some(own) => {
                let (record, version) = own.get(&*self.name)?;
                Some((record.to_vec(), *version))
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
                Err(_) => self.own = Some(HashMap::new()),
            }
        }
        let own = self.own.get_or_insert_default();
        if own.get(&*self.name).map(|(_, last)| *last) != version {
            return false;
        }
        self.writes = self.writes.wrapping_add(1);
        own.insert(self.name.as_str().into(), (record.into(), self.writes));
        true
    }

    fn put(&mut self, name: Name<'_>, record: &[u8]) {
        self.set_name(name);
        match &mut self.own {
            // If the write fails, later reads do not find the record.
            None => drop(host::set_shared_data(&self.name, record, ANY)),
            Some(own) => {
                self.writes = self.writes.wrapping_add(1);
                own.insert(self.name.as_str().into(), (record.into(), self.writes));
            }
        }
    }
}

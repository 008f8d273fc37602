//! The records of circuits, in the host's shared data.
//!
//! Names are `spillway/LAYOUT/PLUGIN[/POLICY[/SLOT]]`, `.stale` in place of a policy for kept
//! answers and `.history` for the last transitions: all of them come from the configuration, none from a client, since the host can neither list names nor delete
//! one. Plugins of one `vm_id` and one name share their circuits, over all workers and
//! listeners.
//!
//! A host without shared data gets a map in this module's own memory instead: each of
//! its workers then has circuits of its own, and everything else goes on as it does.

use core::fmt::Write;

use hashbrown::HashMap;
use spillway_core::codec;
use spillway_core::shared::records::{Name, Records, Version};

use crate::host;

/// Whatever the number of the last write is.
const ANY: Version = 0;

/// Records in this module's own memory, with the numbers of their last writes.
type Own = HashMap<Box<str>, (Box<[u8]>, Version)>;

/// Where records are kept.
#[derive(Debug)]
pub struct SharedRecords {
    plugin: String,
    /// Used anew for each name.
    name: String,
    /// There where the host has no shared data.
    own: Option<Own>,
    writes: Version,
}

impl SharedRecords {
    /// The records of the plugin of this name. Asks once whether the host shares data.
    pub fn new(plugin: &str) -> SharedRecords {
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

    /// Whether all workers see these records.
    pub fn is_shared(&self) -> bool {
        self.own.is_none()
    }

    fn set_name(&mut self, name: Name<'_>) {
        self.name.clear();
        let (layout, plugin) = (codec::VERSION, &self.plugin);
        // Writing to a string cannot fail.
        let _ = match name {
            Name::Directory => write!(self.name, "spillway/{layout}/{plugin}"),
            Name::Census(policy) => write!(self.name, "spillway/{layout}/{plugin}/{policy}"),
            Name::Slot(policy, place) => {
                write!(self.name, "spillway/{layout}/{plugin}/{policy}/{place}")
            }
            // No policy's name has a dot.
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
            // A host takes any number for a name that it does not know, and none that is
            // not the last for one that it does. So the largest, which counts no write
            // in practice, makes a record and never overwrites one; 0 always would.
            let expected = version.unwrap_or(Version::MAX);
            match host::set_shared_data(&self.name, record, expected) {
                Ok(written) => return written,
                // It can be read and not be written: no use.
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
            // What cannot be written is not found.
            None => drop(host::set_shared_data(&self.name, record, ANY)),
            Some(own) => {
                self.writes = self.writes.wrapping_add(1);
                own.insert(self.name.as_str().into(), (record.into(), self.writes));
            }
        }
    }
}

//! The data that all virtual machines of a process share.

use std::collections::BTreeMap;

/// Values by VM id and key, each with the number of its last write.
#[derive(Clone, Debug, Default)]
pub struct SharedData {
    spaces: BTreeMap<Box<[u8]>, Space>,
}

type Space = BTreeMap<Box<[u8]>, (Vec<u8>, u32)>;

impl SharedData {
    /// The value of `key` under `vm_id`, with the number to compare and swap by.
    pub fn value(&self, vm_id: &[u8], key: &[u8]) -> Option<(&[u8], u32)> {
        let (value, cas) = self.spaces.get(vm_id)?.get(key)?;
        Some((value, *cas))
    }
}

//! Data that all VMs of a process share.

use std::collections::BTreeMap;
use std::rc::Rc;

/// Values by VM id and key, each with the number of its last write, the `cas`.
#[derive(Clone, Debug, Default)]
pub struct SharedData {
    spaces: BTreeMap<Box<[u8]>, Space>,
    /// One counter for all keys.
    last_cas: u32,
}

type Space = BTreeMap<Box<[u8]>, (Rc<[u8]>, u32)>;

impl SharedData {
    /// Returns the value of `key` and its `cas`.
    pub fn value(&self, vm_id: &[u8], key: &[u8]) -> Option<(&Rc<[u8]>, u32)> {
        let (value, cas) = self.spaces.get(vm_id)?.get(key)?;
        Some((value, *cas))
    }

    /// Iterates over the keys of a VM id. Plugins cannot list keys.
    pub fn keys(&self, vm_id: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.spaces
            .get(vm_id)
            .into_iter()
            .flat_map(|space| space.keys().map(|key| &**key))
    }

    /// Returns the number of keys, over all VM ids.
    pub fn key_count(&self) -> usize {
        self.spaces.values().map(Space::len).sum()
    }

    /// Returns the size of all values in bytes, over all VM ids.
    pub fn bytes(&self) -> usize {
        let values = self.spaces.values().flat_map(Space::values);
        values.map(|(value, _)| value.len()).sum()
    }

    /// Writes a value. Returns false if `cas` is not 0 and the key exists with another `cas`. A
    /// missing key is written whatever `cas` is.
    pub fn set(&mut self, vm_id: &[u8], key: &[u8], value: &[u8], cas: u32) -> bool {
        if !self.spaces.contains_key(vm_id) {
            self.spaces.insert(vm_id.into(), Space::new());
        }
        let Some(space) = self.spaces.get_mut(vm_id) else {
            return false;
        };
        let known = space.get_mut(key);
        if known
            .as_ref()
            .is_some_and(|(_, last)| cas != 0 && cas != *last)
        {
            return false;
        }
        self.last_cas = next_cas(self.last_cas);
        match known {
            Some(entry) => *entry = (value.into(), self.last_cas),
            None => {
                space.insert(key.into(), (value.into(), self.last_cas));
            }
        }
        true
    }
}

/// A write with 0 always succeeds, so no value may have 0 as its `cas`.
fn next_cas(last: u32) -> u32 {
    last.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_accepts_any_cas_and_an_existing_one_only_its_own() {
        let mut data = SharedData::default();
        assert!(data.set(b"", b"k", b"1", u32::MAX));
        assert!(!data.set(b"", b"k", b"2", u32::MAX));
        let cas = data.value(b"", b"k").unwrap().1;
        assert!(data.set(b"", b"k", b"3", cas));
        assert!(!data.set(b"", b"k", b"4", cas));
        assert!(data.set(b"", b"k", b"5", 0));
        assert_eq!(&**data.value(b"", b"k").unwrap().0, b"5");
    }

    #[test]
    fn each_vm_id_has_its_own_keys() {
        let mut data = SharedData::default();
        data.set(b"a", b"k", b"1", 0);
        assert!(data.value(b"b", b"k").is_none());
        assert_eq!(data.keys(b"a").collect::<Vec<_>>(), [b"k"]);
        data.set(b"b", b"k", b"1", 0);
        data.set(b"b", b"l", b"1", 0);
        assert_eq!((data.key_count(), data.bytes()), (3, 3));
    }
}

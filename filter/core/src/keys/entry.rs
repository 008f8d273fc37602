//! Entries of the table, by index.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::shared::replica::Replica;

/// A key and its circuit.
#[derive(Debug)]
pub(super) struct Entry {
    /// Index of the policy; [`NO_POLICY`] if the entry is free.
    pub(super) policy: usize,
    pub(super) hash: u64,
    pub(super) key: Vec<u8>,
    pub(super) replica: Replica,
    /// Requests in flight, plus one while outcomes wait for the next merge.
    pub(super) uses: u32,
    /// Whether the key was looked up since the hand last passed. A key that is used only once,
    /// like those that a client invents, is evicted first.
    pub(super) recently_used: bool,
    /// Neighbours in the idle queue of the policy.
    pub(super) links: Links,
}

/// An entry's neighbours in its queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links {
    pub(super) before: Option<u32>,
    pub(super) after: Option<u32>,
}

/// Policy of a free entry.
pub(super) const NO_POLICY: usize = usize::MAX;

#[inline]
pub(super) fn get(entries: &[Box<Entry>], at: u32) -> Option<&Entry> {
    entries.get(usize::try_from(at).ok()?).map(|entry| &**entry)
}

#[inline]
pub(super) fn get_mut(entries: &mut [Box<Entry>], at: u32) -> Option<&mut Entry> {
    let entry = entries.get_mut(usize::try_from(at).ok()?);
    entry.map(|entry| &mut **entry)
}

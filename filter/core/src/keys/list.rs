//! A queue through the entries, least recently used first.
//!
//! The links are in the entries, so moving an entry to the end takes constant time and no
//! allocation.

use alloc::boxed::Box;

use super::entry::{self, Entry, Links};

/// First and last entry of a queue.
#[derive(Debug, Default)]
pub(super) struct List {
    first: Option<u32>,
    last: Option<u32>,
}

impl List {
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        self.first
    }

    /// Appends an entry that is not in a queue.
    #[inline]
    pub(super) fn push_back(&mut self, at: u32, entries: &mut [Box<Entry>]) {
        let before = self.last.replace(at);
        match before {
            None => self.first = Some(at),
            Some(before) => set(entries, before, |links| links.after = Some(at)),
        }
        set(entries, at, |links| {
            *links = Links {
                before,
                after: None,
            }
        });
    }

    /// Removes an entry of this queue.
    #[inline]
    pub(super) fn remove(&mut self, at: u32, entries: &mut [Box<Entry>]) {
        let Some(Links { before, after }) = entry::get(entries, at).map(|entry| entry.links) else {
            return;
        };
        match before {
            None => self.first = after,
            Some(before) => set(entries, before, |links| links.after = after),
        }
        match after {
            None => self.last = before,
            Some(after) => set(entries, after, |links| links.before = before),
        }
    }
}

#[inline]
fn set(entries: &mut [Box<Entry>], at: u32, change: impl FnOnce(&mut Links)) {
    if let Some(entry) = entry::get_mut(entries, at) {
        change(&mut entry.links);
    }
}

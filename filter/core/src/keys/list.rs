//! A queue through the entries: what was used longest ago stands first.
//!
//! The links live in the entries, so that moving an entry to the end allocates
//! nothing and takes the same time however many there are.

use alloc::boxed::Box;

use super::{Entry, entry_of, entry_of_mut};

/// First and last entry of a queue.
#[derive(Debug, Default)]
pub(super) struct List {
    first: Option<u32>,
    last: Option<u32>,
}

/// An entry's neighbours in the queue that it is in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links {
    before: Option<u32>,
    after: Option<u32>,
}

impl List {
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        self.first
    }

    /// Appends an entry that is in no queue.
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

    /// Takes out an entry that is in this queue.
    #[inline]
    pub(super) fn remove(&mut self, at: u32, entries: &mut [Box<Entry>]) {
        let Some(Links { before, after }) = entry_of(entries, at).map(|entry| entry.links) else {
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
    if let Some(entry) = entry_of_mut(entries, at) {
        change(&mut entry.links);
    }
}

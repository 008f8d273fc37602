//! A queue through the slots: what was used longest ago stands first.
//!
//! The links live in the slots, so that moving a slot to the end allocates
//! nothing and takes the same time however many there are.

use super::{Slot, slot_of, slot_of_mut};

/// First and last slot of a queue.
#[derive(Debug, Default)]
pub(super) struct List {
    first: Option<u32>,
    last: Option<u32>,
}

/// A slot's neighbours in the queue that it is in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links {
    before: Option<u32>,
    after: Option<u32>,
}

impl List {
    pub(super) fn first(&self) -> Option<u32> {
        self.first
    }

    pub(super) fn iter<'a>(&self, slots: &'a [Slot]) -> impl Iterator<Item = u32> + use<'a> {
        core::iter::successors(self.first, |at| slot_of(slots, *at)?.links.after)
    }

    /// Appends a slot that is in no queue.
    pub(super) fn push_back(&mut self, at: u32, slots: &mut [Slot]) {
        let before = self.last.replace(at);
        match before {
            None => self.first = Some(at),
            Some(before) => set(slots, before, |links| links.after = Some(at)),
        }
        set(slots, at, |links| {
            *links = Links {
                before,
                after: None,
            }
        });
    }

    /// Takes out a slot that is in this queue.
    pub(super) fn remove(&mut self, at: u32, slots: &mut [Slot]) {
        let Some(Links { before, after }) = slot_of(slots, at).map(|slot| slot.links) else {
            return;
        };
        match before {
            None => self.first = after,
            Some(before) => set(slots, before, |links| links.after = after),
        }
        match after {
            None => self.last = before,
            Some(after) => set(slots, after, |links| links.before = before),
        }
    }
}

fn set(slots: &mut [Slot], at: u32, change: impl FnOnce(&mut Links)) {
    if let Some(slot) = slot_of_mut(slots, at) {
        change(&mut slot.links);
    }
}

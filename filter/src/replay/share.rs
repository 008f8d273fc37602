//! What all copies of a VM take together, over all configurations.
//!
//! Each copy has a limit of its own, but clients choose how many requests they send and how
//! slowly, so the total is limited too. To make room the oldest copy is dropped, rather than a
//! new one refused: otherwise one client with enough slow uploads could keep out the copies of
//! all others for as long as it likes.

use std::cell::Cell;

thread_local! {
    /// Bytes of all shares.
    static BYTES: Cell<usize> = const { Cell::new(0) };
    /// The part of them that can be evicted.
    static EVICTABLE: Cell<usize> = const { Cell::new(0) };
}

/// A share of the total, which is returned when dropped.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Share(usize);

impl Share {
    /// Its size.
    pub(crate) fn bytes(&self) -> usize {
        self.0
    }

    /// Grows the share by `more` bytes of the total, or returns false if there is no room. `evict`
    /// drops the oldest entry, and returns false if none is left.
    pub(crate) fn grow(&mut self, more: usize, room: Room) -> bool {
        let total = usize::try_from(room.total).unwrap_or(usize::MAX);
        // Evicting everything would not make enough room, so nothing is evicted.
        let fixed = BYTES.get().saturating_sub(EVICTABLE.get());
        if fixed.saturating_add(more) > total {
            return false;
        }
        while BYTES.get().saturating_add(more) > total {
            if !(room.evict)() {
                return false;
            }
        }
        self.0 = self.0.saturating_add(more);
        BYTES.set(BYTES.get().saturating_add(more));
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        BYTES.set(BYTES.get().saturating_sub(self.0));
    }
}

/// The total, and how to make room in it.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Bytes of all shares at most.
    pub total: u32,
    /// Drops the oldest copy; false if there is none.
    pub evict: fn() -> bool,
}

/// Notes that so many bytes can be evicted from now on.
pub(crate) fn add_evictable(bytes: usize) {
    EVICTABLE.set(EVICTABLE.get().saturating_add(bytes));
}

/// Notes that so many bytes cannot be evicted any more.
pub(crate) fn remove_evictable(bytes: usize) {
    EVICTABLE.set(EVICTABLE.get().saturating_sub(bytes));
}

//! A ring of counts, one for each stretch of time.

use alloc::vec::Vec;

use crate::codec::{Encode, Reader};

/// Stretches of an interval, and of a lease.
pub(in crate::circuit) const STRETCHES: u64 = 10;

/// Stretches in a ring: those of an interval, and two future ones for pledges, which are
/// counted at the stretch with which they end.
const RING_STRETCHES: u64 = STRETCHES + 2;

/// Counts by the number of their stretch.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::circuit) struct Ring {
    /// Number of the newest stretch.
    pub(in crate::circuit) head: u64,
    counts: [u32; RING_STRETCHES as usize],
}

impl Ring {
    pub(super) const NEW: Ring = Ring {
        head: 0,
        counts: [0; RING_STRETCHES as usize],
    };

    /// Moves the head to `number` and empties the stretches that are new then, at most all.
    pub(super) fn turn_to(&mut self, number: u64) {
        let steps = number.saturating_sub(self.head).min(RING_STRETCHES);
        for step in 0..steps {
            if let Some(count) = self.count(number.wrapping_sub(step)) {
                *count = 0;
            }
        }
        self.head = self.head.max(number);
    }

    fn count(&mut self, number: u64) -> Option<&mut u32> {
        self.counts.get_mut((number % RING_STRETCHES) as usize)
    }

    pub(super) fn at(&self, number: u64) -> u32 {
        let count = self.counts.get((number % RING_STRETCHES) as usize);
        count.copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, number: u64, more: u32) {
        if let Some(count) = self.count(number) {
            *count = count.saturating_add(more);
        }
    }

    pub(super) fn subtract(&mut self, number: u64, less: u32) {
        if let Some(count) = self.count(number) {
            *count = count.saturating_sub(less);
        }
    }

    /// Adds the counts of another ring, as far as this one still holds their stretches.
    pub(super) fn join(&mut self, other: &Ring) {
        self.turn_to(other.head);
        for age in 0..RING_STRETCHES {
            let number = other.head.wrapping_sub(age);
            let count = other.at(number);
            if number <= other.head && self.head.saturating_sub(number) < RING_STRETCHES {
                self.add(number, count);
            }
        }
    }

    /// Sum of the last `stretches`, including the current one.
    pub(super) fn last(&self, stretches: u64) -> u64 {
        let numbers = (0..stretches).filter_map(|age| self.head.checked_sub(age));
        numbers.map(|number| u64::from(self.at(number))).sum()
    }

    /// Sum of all stretches.
    pub(in crate::circuit) fn sum(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }
}

impl Encode for Ring {
    fn write(&self, out: &mut Vec<u8>) {
        self.head.write(out);
        self.counts.iter().for_each(|count| count.write(out));
    }

    fn read(from: &mut Reader<'_>) -> Option<Ring> {
        let mut ring = Ring::NEW;
        ring.head = u64::read(from)?;
        for count in &mut ring.counts {
            *count = u32::read(from)?;
        }
        Some(ring)
    }
}

//! The content of a count window: the last outcomes, two bits each.

use alloc::vec::Vec;

use super::counts::Counts;
use crate::codec::{Encode, Reader};
use crate::policy::COUNT_SIZE_MAX;

/// The last `size` outcomes. The buffer grows only as outcomes arrive.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Last {
    pub(super) size: u32,
    /// Index of the next outcome.
    next: u32,
    pub(super) bits: Vec<u8>,
}

const FAILURE: u8 = 0b01;
const SLOW: u8 = 0b10;
const OUTCOME: u8 = FAILURE | SLOW;
const OUTCOME_BITS: u32 = 2;
const OUTCOMES_PER_BYTE: u32 = 4;

impl Last {
    pub(super) fn new(size: u32) -> Last {
        Last {
            size: size.max(1),
            next: 0,
            bits: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.next = 0;
        self.bits = Vec::new();
    }

    #[inline]
    pub(super) fn record(&mut self, total: &mut Counts, failure: bool, slow: bool) {
        let failure = u8::from(failure).wrapping_mul(FAILURE);
        self.push(total, failure | u8::from(slow).wrapping_mul(SLOW));
    }

    /// Adds the bits of one outcome in place of the oldest one.
    pub(super) fn push(&mut self, total: &mut Counts, outcome: u8) {
        let at = self.next;
        self.next = at.saturating_add(1).checked_rem(self.size).unwrap_or(0);
        let (index, shift) = position(at);
        if index >= self.bits.len() {
            self.bits.push(0);
        }
        let Some(byte) = self.bits.get_mut(index) else {
            return;
        };
        if total.requests >= self.size {
            total.subtract(counts_of(*byte >> shift));
        }
        *byte = (*byte & !(OUTCOME << shift)) | (outcome << shift);
        total.join(counts_of(outcome));
    }

    /// Calls `take` with the bits of each of the `requests` outcomes, oldest first.
    pub(super) fn each(&self, requests: u32, mut take: impl FnMut(u8)) {
        let full = requests >= self.size;
        let first = if full { self.next } else { 0 };
        for age in 0..requests.min(self.size) {
            let at = first.saturating_add(age).checked_rem(self.size);
            let (index, shift) = position(at.unwrap_or(0));
            let byte = self.bits.get(index).copied().unwrap_or(0);
            take(byte >> shift & OUTCOME);
        }
    }

    pub(super) fn write(&self, requests: u32, out: &mut Vec<u8>) {
        self.size.write(out);
        requests.write(out);
        self.next.write(out);
        out.extend_from_slice(&self.bits);
    }

    /// Reads the outcomes and computes their total.
    pub(super) fn read(from: &mut Reader<'_>) -> Option<(Counts, Last)> {
        let (size, requests, next) = (u32::read(from)?, u32::read(from)?, u32::read(from)?);
        let consistent = next < size && (requests == size || requests == next);
        if size > COUNT_SIZE_MAX || !consistent {
            return None;
        }
        let bits = from.bytes(requests.div_ceil(OUTCOMES_PER_BYTE) as usize)?;
        let last = Last {
            size,
            next,
            bits: bits.into(),
        };
        let mut total = Counts::default();
        last.each(requests, |outcome| total.join(counts_of(outcome)));
        Some((total, last))
    }
}

/// Byte and shift of the outcome with this index.
fn position(at: u32) -> (usize, u32) {
    let shift = (at % OUTCOMES_PER_BYTE).wrapping_mul(OUTCOME_BITS);
    ((at / OUTCOMES_PER_BYTE) as usize, shift)
}

fn counts_of(outcome: u8) -> Counts {
    let mut counts = Counts::default();
    counts.add(outcome & FAILURE != 0, outcome & SLOW != 0);
    counts
}

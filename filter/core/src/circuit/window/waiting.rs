//! Requests that have passed the slow threshold and have not ended.
//!
//! They count as slow requests, but their outcome is not known. So they are in a ring of their
//! own beside the outcomes. When such a request ends it leaves this ring, and its outcome is
//! recorded like any other. It is in the window only once, its failure counts as long as any
//! failure, and failures never exceed requests. Old buckets are emptied here too, so a worker
//! that died cannot leave a request waiting forever.
//!
//! A worker's pending counts are differences, which may be negative: the request may have been
//! merged before it ended.

use alloc::vec::Vec;

use super::ring::BUCKETS;
use crate::codec::{Encode, Reader};

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Waiting {
    /// Number of the newest bucket that was written.
    pub(super) head: u64,
    buckets: [i32; BUCKETS as usize],
    total: i32,
}

impl Waiting {
    /// Number of waiting requests.
    #[inline]
    pub(super) fn total(&self) -> u32 {
        u32::try_from(self.total).unwrap_or(0)
    }

    /// Adds `more` to a bucket, unless it is too old. The bucket does not fall below `least`.
    pub(super) fn add(&mut self, number: u64, more: i32, least: i32) {
        self.turn_to(number);
        if self.head.saturating_sub(number) >= BUCKETS {
            return;
        }
        if let Some(bucket) = self.buckets.get_mut((number % BUCKETS) as usize) {
            let before = *bucket;
            *bucket = before.saturating_add(more).max(least);
            let grown = bucket.saturating_sub(before);
            self.total = self.total.saturating_add(grown);
        }
    }

    /// Adds the differences in `more`, bucket by bucket.
    pub(super) fn merge(&mut self, more: &Waiting) {
        self.turn_to(more.head);
        for age in 0..BUCKETS.min(more.head.saturating_add(1)) {
            let number = more.head.saturating_sub(age);
            match more.buckets.get((number % BUCKETS) as usize) {
                None | Some(0) => {}
                Some(&difference) => self.add(number, difference, 0),
            }
        }
    }

    /// Moves the head to `number` and empties the buckets that are too old then.
    pub(super) fn turn_to(&mut self, number: u64) {
        let steps = number.saturating_sub(self.head).min(BUCKETS);
        for step in 0..steps {
            let index = (number.wrapping_sub(step) % BUCKETS) as usize;
            if let Some(bucket) = self.buckets.get_mut(index) {
                self.total = self.total.saturating_sub(core::mem::take(bucket));
            }
        }
        self.head = self.head.max(number);
    }
}

/// The record has the buckets only if a request waits, which is rare.
impl Encode for Waiting {
    fn write(&self, out: &mut Vec<u8>) {
        self.head.write(out);
        (self.total > 0).write(out);
        if self.total > 0 {
            for bucket in self.buckets {
                u32::try_from(bucket).unwrap_or(0).write(out);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Waiting> {
        let mut waiting = Waiting {
            head: u64::read(from)?,
            ..Waiting::default()
        };
        if bool::read(from)? {
            for bucket in &mut waiting.buckets {
                *bucket = i32::try_from(u32::read(from)?).ok()?;
                waiting.total = waiting.total.checked_add(*bucket)?;
            }
        }
        Some(waiting)
    }
}

//! The content of a time window: ten buckets of counts.

use alloc::vec::Vec;

use super::counts::Counts;
use crate::codec::{Encode, Reader};
use crate::time::{Instant, Span};

/// Buckets of a time window. Ten of them, as in Hystrix and Polly, keep the step at a tenth of
/// the window in 120 bytes.
pub const BUCKETS: u64 = 10;

/// Returns the number of the bucket that contains `at`, in a window of this length.
#[inline]
pub(super) fn bucket_number(window: Span, at: Instant) -> u64 {
    let width_ns = (window.as_ns() / BUCKETS).max(1);
    at.as_ns().checked_div(width_ns).unwrap_or(0)
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ring {
    pub(super) duration: Span,
    /// Number of the newest bucket that was written.
    head: u64,
    buckets: [Counts; BUCKETS as usize],
}

impl Ring {
    pub(super) fn new(duration: Span) -> Ring {
        Ring {
            duration,
            head: 0,
            buckets: [Counts::default(); BUCKETS as usize],
        }
    }

    pub(super) fn clear(&mut self) {
        self.buckets = [Counts::default(); BUCKETS as usize];
    }

    /// Adds one outcome and returns the number of its bucket.
    #[inline]
    pub(super) fn record(
        &mut self,
        total: &mut Counts,
        failure: bool,
        slow: bool,
        now: Instant,
    ) -> u64 {
        let number = self.number_at(now);
        self.turn_to(number, total);
        // After a step back of the clock the newest bucket gets the outcome.
        if let Some(bucket) = self.bucket(self.head) {
            bucket.add(failure, slow);
            total.add(failure, slow);
        }
        number
    }

    pub(super) fn number_at(&self, at: Instant) -> u64 {
        bucket_number(self.duration, at)
    }

    pub(super) fn counts_at(&self, now: Instant) -> Counts {
        let number = self.number_at(now);
        let mut counts = Counts::default();
        // After a step back of the clock ages count from the newest bucket.
        let newest = number.max(self.head);
        for age in number.saturating_sub(self.head)..BUCKETS {
            if let Some(number) = newest.checked_sub(age) {
                counts.join(self.bucket_at(number));
            }
        }
        counts
    }

    pub(super) fn merge(&mut self, total: &mut Counts, more: &Ring) {
        self.turn_to(more.head, total);
        for age in 0..BUCKETS {
            let number = more.head.saturating_sub(age);
            let counts = more.bucket_at(number);
            if self.head.saturating_sub(number) < BUCKETS
                && let Some(bucket) = self.bucket(number)
            {
                bucket.join(counts);
                total.join(counts);
            }
            if number == 0 {
                break;
            }
        }
    }

    /// Moves the head to `number` and empties the buckets that are too old then, at most all.
    #[inline]
    pub(super) fn turn_to(&mut self, number: u64, total: &mut Counts) {
        if number <= self.head {
            return;
        }
        let steps = number.saturating_sub(self.head).min(BUCKETS);
        for step in 0..steps {
            if let Some(bucket) = self.bucket(number.wrapping_sub(step)) {
                total.subtract(core::mem::take(bucket));
            }
        }
        self.head = number;
    }

    #[inline]
    fn bucket(&mut self, number: u64) -> Option<&mut Counts> {
        self.buckets.get_mut((number % BUCKETS) as usize)
    }

    fn bucket_at(&self, number: u64) -> Counts {
        let bucket = self.buckets.get((number % BUCKETS) as usize);
        bucket.copied().unwrap_or_default()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.duration.write(out);
        self.head.write(out);
        self.buckets.iter().for_each(|bucket| bucket.write(out));
    }

    /// Reads a ring and computes its total.
    pub(super) fn read(from: &mut Reader<'_>) -> Option<(Counts, Ring)> {
        let mut ring = Ring::new(Span::read(from)?);
        ring.head = u64::read(from)?;
        let mut total = Counts::default();
        for bucket in &mut ring.buckets {
            *bucket = Counts::read(from)?;
            total.join(*bucket);
        }
        Some((total, ring))
    }
}

//! What ended lately: the counts that a breaker's rates are made of.
//!
//! Two shapes. A *time* window is a ring of ten equal buckets, so it forgets in
//! steps of a tenth of its length; a *count* window holds the last N outcomes.
//! Both keep running totals and subtract what leaves. Not an exponentially
//! weighted average: weighted by arrival it hides bursts, and the rate that it
//! shows is one that no operator can recount from a log.
//!
//! Buckets are numbered from the clock's origin, not from the first request, so
//! that all workers of a process cut time at the same places.

use alloc::vec::Vec;

use crate::policy::WindowShape;
use crate::time::{Instant, Span};

/// Buckets of a time window: ten keep the step at a tenth of the window, as
/// Hystrix and Polly do, in 120 bytes.
pub const BUCKETS: u64 = 10;

/// How many outcomes of each kind; failures and slow ones are among the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Successes and failures together.
    pub requests: u32,
    /// Failures.
    pub failures: u32,
    /// Slow outcomes, successful or not.
    pub slow: u32,
}

impl Counts {
    /// Adds one outcome.
    pub fn add(&mut self, failure: bool, slow: bool) {
        self.requests = self.requests.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(failure));
        self.slow = self.slow.saturating_add(u32::from(slow));
    }

    fn subtract(&mut self, gone: Counts) {
        self.requests = self.requests.saturating_sub(gone.requests);
        self.failures = self.failures.saturating_sub(gone.failures);
        self.slow = self.slow.saturating_sub(gone.slow);
    }
}

/// The outcomes that still count.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    total: Counts,
    kept: Kept,
}

#[derive(Clone, Debug, PartialEq)]
enum Kept {
    Time(Ring),
    Count(Last),
}

impl Window {
    /// An empty window.
    pub fn new(shape: &WindowShape) -> Window {
        let kept = match *shape {
            WindowShape::Time { duration } => Kept::Time(Ring::new(duration)),
            WindowShape::Count { size } => Kept::Count(Last::new(size)),
        };
        Window {
            total: Counts::default(),
            kept,
        }
    }

    /// Adds one outcome at `now` and returns what the window then holds.
    pub fn record(&mut self, failure: bool, slow: bool, now: Instant) -> Counts {
        match &mut self.kept {
            Kept::Time(ring) => ring.record(&mut self.total, failure, slow, now),
            Kept::Count(last) => last.record(&mut self.total, failure, slow),
        }
        self.total
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.total = Counts::default();
        match &mut self.kept {
            Kept::Time(ring) => ring.buckets = [Counts::default(); BUCKETS as usize],
            Kept::Count(last) => last.clear(),
        }
    }
}

/// Ten buckets; `head` is the number of the newest one that was written.
#[derive(Clone, Debug, PartialEq)]
struct Ring {
    width_ns: u64,
    head: u64,
    buckets: [Counts; BUCKETS as usize],
}

impl Ring {
    fn new(duration: Span) -> Ring {
        Ring {
            width_ns: (duration.as_ns() / BUCKETS).max(1),
            head: 0,
            buckets: [Counts::default(); BUCKETS as usize],
        }
    }

    fn record(&mut self, total: &mut Counts, failure: bool, slow: bool, now: Instant) {
        let number = now.as_ns().checked_div(self.width_ns).unwrap_or(0);
        self.turn_to(number, total);
        if let Some(bucket) = self.bucket(self.head) {
            bucket.add(failure, slow);
            total.add(failure, slow);
        }
    }

    /// Empties the buckets that `number` makes too old: at most all ten.
    fn turn_to(&mut self, number: u64, total: &mut Counts) {
        let steps = number.saturating_sub(self.head).min(BUCKETS);
        for step in 0..steps {
            if let Some(bucket) = self.bucket(number.wrapping_sub(step)) {
                total.subtract(core::mem::take(bucket));
            }
        }
        self.head = self.head.max(number);
    }

    fn bucket(&mut self, number: u64) -> Option<&mut Counts> {
        self.buckets.get_mut((number % BUCKETS) as usize)
    }
}

/// The last `size` outcomes, two bits each; grows only as outcomes come.
#[derive(Clone, Debug, PartialEq)]
struct Last {
    size: u32,
    next: u32,
    bits: Vec<u8>,
}

const FAILURE: u8 = 0b01;
const SLOW: u8 = 0b10;
const OUTCOME_BITS: u32 = 2;
const OUTCOMES_PER_BYTE: u32 = 4;

impl Last {
    fn new(size: u32) -> Last {
        Last {
            size: size.max(1),
            next: 0,
            bits: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.next = 0;
        self.bits = Vec::new();
    }

    fn record(&mut self, total: &mut Counts, failure: bool, slow: bool) {
        let at = self.next;
        self.next = at.saturating_add(1).checked_rem(self.size).unwrap_or(0);
        let index = (at / OUTCOMES_PER_BYTE) as usize;
        if index >= self.bits.len() {
            self.bits.push(0);
        }
        let shift = (at % OUTCOMES_PER_BYTE).wrapping_mul(OUTCOME_BITS);
        let Some(byte) = self.bits.get_mut(index) else {
            return;
        };
        if total.requests >= self.size {
            let old = *byte >> shift;
            let mut gone = Counts::default();
            gone.add(old & FAILURE != 0, old & SLOW != 0);
            total.subtract(gone);
        }
        let outcome = u8::from(failure).wrapping_mul(FAILURE) | u8::from(slow).wrapping_mul(SLOW);
        *byte = (*byte & !((FAILURE | SLOW) << shift)) | (outcome << shift);
        total.add(failure, slow);
    }
}

#[cfg(test)]
mod tests;

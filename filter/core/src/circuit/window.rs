//! What ended lately: the counts that a breaker's rates are made of.
//!
//! Two shapes. A *time* window is a ring of ten equal buckets, so it forgets in
//! steps of a tenth of its length; a *count* window holds the last N outcomes.
//! Both keep running totals and subtract what leaves. Not an exponentially
//! weighted average: weighted by arrival it hides bursts, and the rate that it
//! shows is one that no operator can recount from a log.
//!
//! A request that passes the threshold for slowness while it waits is in the window from then
//! on, as a slow request whose outcome is not known: see `waiting`.
//!
//! Buckets are numbered from the clock's origin, not from the first request, so
//! that all workers of a process cut time at the same places, and one worker's
//! window can be merged into another's bucket by bucket.

use alloc::vec::Vec;

use crate::codec::{Encode, Reader};
use crate::policy::WindowShape;
use crate::time::{Instant, Span};

mod waiting;

use waiting::Waiting;

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
    #[inline]
    pub fn add(&mut self, failure: bool, slow: bool) {
        self.requests = self.requests.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(failure));
        self.slow = self.slow.saturating_add(u32::from(slow));
    }

    /// Adds all of `more`.
    pub fn join(&mut self, more: Counts) {
        self.requests = self.requests.saturating_add(more.requests);
        self.failures = self.failures.saturating_add(more.failures);
        self.slow = self.slow.saturating_add(more.slow);
    }

    #[inline]
    fn subtract(&mut self, gone: Counts) {
        self.requests = self.requests.saturating_sub(gone.requests);
        self.failures = self.failures.saturating_sub(gone.failures);
        self.slow = self.slow.saturating_sub(gone.slow);
    }
}

/// The outcomes that still count, and the requests that are slow already.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    total: Counts,
    kept: StoredResponse,
    waiting: Waiting,
}

/// For how long a count window counts a request that waits. It has no time of its own, and
/// no request that is worth counting waits much longer.
const COUNT_WAIT: Span = Span::from_secs(60);

#[derive(Clone, Debug, PartialEq)]
enum StoredResponse {
    Time(Ring),
    Count(Last),
}

impl Window {
    /// An empty window.
    pub fn new(shape: &WindowShape) -> Window {
        let kept = match *shape {
            WindowShape::Time { duration } => StoredResponse::Time(Ring::new(duration)),
            WindowShape::Count { size } => StoredResponse::Count(Last::new(size)),
        };
        Window {
            total: Counts::default(),
            kept,
            waiting: Waiting::default(),
        }
    }

    /// The shape it was made in.
    pub fn shape(&self) -> WindowShape {
        match &self.kept {
            StoredResponse::Time(ring) => WindowShape::Time {
                duration: ring.duration,
            },
            StoredResponse::Count(last) => WindowShape::Count { size: last.size },
        }
    }

    /// What it holds, as of the last call that added to it. Requests that wait are among the
    /// requests and the slow ones.
    #[inline]
    pub fn counts(&self) -> Counts {
        with_waiting(self.total, self.waiting())
    }

    /// The outcomes that it holds, without requests that wait.
    #[inline]
    pub fn outcomes(&self) -> Counts {
        self.total
    }

    /// What it holds at `now`: a time window forgets by the clock alone.
    pub fn counts_at(&self, now: Instant) -> Counts {
        let mut waiting = self.waiting.clone();
        waiting.turn_to(self.bucket_number(now));
        let counts = match &self.kept {
            StoredResponse::Time(ring) => ring.counts_at(now),
            StoredResponse::Count(_) => self.total,
        };
        with_waiting(counts, waiting.total())
    }

    /// How many requests wait.
    #[inline]
    pub fn waiting(&self) -> u32 {
        self.waiting.total()
    }

    /// Adds `more` requests that passed the threshold at `at` and wait; at most so many leave
    /// as there are.
    pub fn wait(&mut self, at: Instant, more: i32) {
        self.wait_at_least(at, more, 0);
    }

    /// The same in a window of differences, which is merged later.
    pub fn wait_later(&mut self, at: Instant, more: i32) {
        self.wait_at_least(at, more, i32::MIN);
    }

    fn wait_at_least(&mut self, at: Instant, more: i32, least: i32) {
        let number = self.bucket_number(at);
        if let StoredResponse::Time(ring) = &mut self.kept {
            ring.turn_to(number, &mut self.total);
        }
        self.waiting.add(number, more, least);
    }

    #[inline]
    fn bucket_number(&self, at: Instant) -> u64 {
        match &self.kept {
            StoredResponse::Time(ring) => ring.number_at(at),
            StoredResponse::Count(_) => number(COUNT_WAIT, at),
        }
    }

    /// Adds what another window of the same shape holds: to the buckets where it
    /// stands there, or behind the last outcome. Nothing where the shapes differ.
    pub fn merge(&mut self, other: &Window) {
        if self.shape() == other.shape() {
            self.waiting.merge(&other.waiting);
        }
        match (&mut self.kept, &other.kept) {
            (StoredResponse::Time(ring), StoredResponse::Time(more))
                if ring.duration == more.duration =>
            {
                ring.merge(&mut self.total, more);
            }
            (StoredResponse::Count(last), StoredResponse::Count(more))
                if last.size == more.size =>
            {
                more.each(other.total.requests, |outcome| {
                    last.push(&mut self.total, outcome);
                });
            }
            _ => {}
        }
    }

    /// Adds one outcome at `now` and returns the outcomes that the window then holds.
    #[inline]
    pub fn record(&mut self, failure: bool, slow: bool, now: Instant) -> Counts {
        let number = match &mut self.kept {
            StoredResponse::Time(ring) => ring.record(&mut self.total, failure, slow, now),
            StoredResponse::Count(last) => {
                last.record(&mut self.total, failure, slow);
                number(COUNT_WAIT, now)
            }
        };
        if number > self.waiting.head {
            self.waiting.turn_to(number);
        }
        self.total
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.total = Counts::default();
        self.waiting = Waiting::default();
        match &mut self.kept {
            StoredResponse::Time(ring) => ring.buckets = [Counts::default(); BUCKETS as usize],
            StoredResponse::Count(last) => last.clear(),
        }
    }
}

/// Outcomes, and so many requests that wait.
#[inline]
fn with_waiting(mut counts: Counts, waiting: u32) -> Counts {
    counts.join(Counts {
        requests: waiting,
        failures: 0,
        slow: waiting,
    });
    counts
}

/// The number of a bucket of a window this long.
#[inline]
fn number(window: Span, at: Instant) -> u64 {
    let width_ns = (window.as_ns() / BUCKETS).max(1);
    at.as_ns().checked_div(width_ns).unwrap_or(0)
}

/// Ten buckets; `head` is the number of the newest one that was written.
#[derive(Clone, Debug, PartialEq)]
struct Ring {
    duration: Span,
    head: u64,
    buckets: [Counts; BUCKETS as usize],
}

impl Ring {
    fn new(duration: Span) -> Ring {
        Ring {
            duration,
            head: 0,
            buckets: [Counts::default(); BUCKETS as usize],
        }
    }

    /// Adds one outcome, and returns the number of its bucket.
    #[inline]
    fn record(&mut self, total: &mut Counts, failure: bool, slow: bool, now: Instant) -> u64 {
        let number = self.number_at(now);
        self.turn_to(number, total);
        if let Some(bucket) = self.bucket(self.head) {
            bucket.add(failure, slow);
            total.add(failure, slow);
        }
        number
    }

    /// The number of the bucket of `now`.
    fn number_at(&self, now: Instant) -> u64 {
        number(self.duration, now)
    }

    fn counts_at(&self, now: Instant) -> Counts {
        let number = self.number_at(now);
        let mut counts = Counts::default();
        // Ages count from the newest bucket after a step back of the clock.
        let newest = number.max(self.head);
        for age in number.saturating_sub(self.head)..BUCKETS {
            if let Some(number) = newest.checked_sub(age) {
                counts.join(self.bucket_at(number));
            }
        }
        counts
    }

    fn merge(&mut self, total: &mut Counts, more: &Ring) {
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

    /// Empties the buckets that `number` makes too old: at most all ten.
    #[inline]
    fn turn_to(&mut self, number: u64, total: &mut Counts) {
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
}

/// The last `size` outcomes, two bits each; grows only as outcomes come.
#[derive(Clone, Debug, PartialEq)]
struct Last {
    size: u32,
    next: u32,
    bits: Vec<u8>,
}

/// Most outcomes of a count window: 2.5 KB a key.
pub const COUNT_SIZE_MAX: u32 = 10_000;

const FAILURE: u8 = 0b01;
const SLOW: u8 = 0b10;
const OUTCOME: u8 = FAILURE | SLOW;
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

    #[inline]
    fn record(&mut self, total: &mut Counts, failure: bool, slow: bool) {
        let failure = u8::from(failure).wrapping_mul(FAILURE);
        self.push(total, failure | u8::from(slow).wrapping_mul(SLOW));
    }

    fn push(&mut self, total: &mut Counts, outcome: u8) {
        let at = self.next;
        self.next = at.saturating_add(1).checked_rem(self.size).unwrap_or(0);
        let (index, shift) = place_of(at);
        if index >= self.bits.len() {
            self.bits.push(0);
        }
        let Some(byte) = self.bits.get_mut(index) else {
            return;
        };
        if total.requests >= self.size {
            total.subtract(counted(*byte >> shift));
        }
        *byte = (*byte & !(OUTCOME << shift)) | (outcome << shift);
        total.join(counted(outcome));
    }

    /// Hands out the `requests` outcomes that are held, oldest first.
    fn each(&self, requests: u32, mut take: impl FnMut(u8)) {
        let full = requests >= self.size;
        let first = if full { self.next } else { 0 };
        for age in 0..requests.min(self.size) {
            let at = first.saturating_add(age).checked_rem(self.size);
            let (index, shift) = place_of(at.unwrap_or(0));
            let byte = self.bits.get(index).copied().unwrap_or(0);
            take(byte >> shift & OUTCOME);
        }
    }
}

fn place_of(at: u32) -> (usize, u32) {
    let shift = (at % OUTCOMES_PER_BYTE).wrapping_mul(OUTCOME_BITS);
    ((at / OUTCOMES_PER_BYTE) as usize, shift)
}

fn counted(outcome: u8) -> Counts {
    let mut counts = Counts::default();
    counts.add(outcome & FAILURE != 0, outcome & SLOW != 0);
    counts
}

impl Encode for Counts {
    fn write(&self, out: &mut Vec<u8>) {
        self.requests.write(out);
        self.failures.write(out);
        self.slow.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Counts> {
        Some(Counts {
            requests: u32::read(from)?,
            failures: u32::read(from)?,
            slow: u32::read(from)?,
        })
    }
}

const TIME: u8 = 0;
const COUNT: u8 = 1;

impl Encode for Window {
    fn write(&self, out: &mut Vec<u8>) {
        match &self.kept {
            StoredResponse::Time(ring) => {
                TIME.write(out);
                ring.duration.write(out);
                ring.head.write(out);
                ring.buckets.iter().for_each(|bucket| bucket.write(out));
            }
            StoredResponse::Count(last) => {
                COUNT.write(out);
                last.size.write(out);
                self.total.requests.write(out);
                last.next.write(out);
                out.extend_from_slice(&last.bits);
            }
        }
        self.waiting.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Window> {
        let (total, kept) = match u8::read(from)? {
            TIME => read_ring(from)?,
            COUNT => read_last(from)?,
            _ => return None,
        };
        let waiting = Waiting::read(from)?;
        Some(Window {
            total,
            kept,
            waiting,
        })
    }
}

fn read_ring(from: &mut Reader<'_>) -> Option<(Counts, StoredResponse)> {
    let mut ring = Ring::new(Span::read(from)?);
    ring.head = u64::read(from)?;
    let mut total = Counts::default();
    for bucket in &mut ring.buckets {
        *bucket = Counts::read(from)?;
        total.join(*bucket);
    }
    Some((total, StoredResponse::Time(ring)))
}

fn read_last(from: &mut Reader<'_>) -> Option<(Counts, StoredResponse)> {
    let (size, requests, next) = (u32::read(from)?, u32::read(from)?, u32::read(from)?);
    let follows = next < size && (requests == size || requests == next);
    if size > COUNT_SIZE_MAX || !follows {
        return None;
    }
    let bits = from.bytes(requests.div_ceil(OUTCOMES_PER_BYTE) as usize)?;
    let last = Last {
        size,
        next,
        bits: bits.into(),
    };
    let mut total = Counts::default();
    last.each(requests, |outcome| total.join(counted(outcome)));
    Some((total, StoredResponse::Count(last)))
}

#[cfg(test)]
mod tests;

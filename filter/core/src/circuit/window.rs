//! The recent outcomes that a breaker's rates are computed from.
//!
//! There are two shapes. A *time* window is a ring of ten equal buckets, so it forgets in steps
//! of a tenth of its length. A *count* window holds the last N outcomes. Both keep running
//! totals and subtract what leaves. An exponentially weighted average would not do: weighted by
//! arrival it hides bursts, and no operator can recompute its rate from a log.
//!
//! A request that passes the slow threshold counts from then on, as a slow request with an
//! unknown outcome, see [`waiting`].
//!
//! Buckets are numbered from the clock's origin, not from the first request. So all workers of
//! a process cut time at the same points, and one worker's window can be merged into another's
//! bucket by bucket.

use alloc::vec::Vec;

use crate::codec::{Encode, Reader};
use crate::policy::WindowShape;
use crate::time::{Instant, Span};

mod counts;
mod last;
mod ring;
mod waiting;

pub(crate) use counts::Counts;
pub use ring::BUCKETS;

use last::Last;
use ring::{Ring, bucket_number};
use waiting::Waiting;

/// Outcomes that still count, and requests that wait past the slow threshold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    total: Counts,
    content: Content,
    waiting: Waiting,
}

/// How long a count window counts a waiting request. It has no length in time of its own, and
/// few requests that matter wait longer.
const COUNT_WAIT: Span = Span::from_secs(60);

#[derive(Clone, Debug, PartialEq)]
enum Content {
    Time(Ring),
    Count(Last),
}

impl Window {
    pub(crate) fn new(shape: &WindowShape) -> Window {
        let content = match *shape {
            WindowShape::Time { duration } => Content::Time(Ring::new(duration)),
            WindowShape::Count { size } => Content::Count(Last::new(size)),
        };
        Window {
            total: Counts::default(),
            content,
            waiting: Waiting::default(),
        }
    }

    pub(crate) fn shape(&self) -> WindowShape {
        match &self.content {
            Content::Time(ring) => WindowShape::Time {
                duration: ring.duration,
            },
            Content::Count(last) => WindowShape::Count { size: last.size },
        }
    }

    /// Counts as of the last call that added to the window. Waiting requests are among the
    /// requests and the slow ones.
    #[inline]
    pub(crate) fn counts(&self) -> Counts {
        with_waiting(self.total, self.waiting())
    }

    /// Counts without waiting requests.
    #[inline]
    pub(crate) fn outcomes(&self) -> Counts {
        self.total
    }

    /// Counts at `now`: a time window forgets by the clock alone.
    pub(crate) fn counts_at(&self, now: Instant) -> Counts {
        let mut waiting = self.waiting.clone();
        waiting.turn_to(self.bucket_number(now));
        let counts = match &self.content {
            Content::Time(ring) => ring.counts_at(now),
            Content::Count(_) => self.total,
        };
        with_waiting(counts, waiting.total())
    }

    /// Number of waiting requests.
    #[inline]
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.total()
    }

    /// Adds `more` waiting requests that passed the slow threshold at `at`. A negative number
    /// removes requests, but no more than there are.
    pub(crate) fn wait(&mut self, at: Instant, more: i32) {
        self.wait_at_least(at, more, 0);
    }

    /// Like [`Window::wait`], for a window of differences that is merged later.
    pub(crate) fn wait_later(&mut self, at: Instant, more: i32) {
        self.wait_at_least(at, more, i32::MIN);
    }

    fn wait_at_least(&mut self, at: Instant, more: i32, least: i32) {
        let number = self.bucket_number(at);
        if let Content::Time(ring) = &mut self.content {
            ring.turn_to(number, &mut self.total);
        }
        self.waiting.add(number, more, least);
    }

    #[inline]
    fn bucket_number(&self, at: Instant) -> u64 {
        match &self.content {
            Content::Time(ring) => ring.number_at(at),
            Content::Count(_) => bucket_number(COUNT_WAIT, at),
        }
    }

    /// Adds the content of another window of the same shape, into the same buckets or after the
    /// last outcome. Does nothing if the shapes differ.
    pub(crate) fn merge(&mut self, other: &Window) {
        if self.shape() == other.shape() {
            self.waiting.merge(&other.waiting);
        }
        match (&mut self.content, &other.content) {
            (Content::Time(ring), Content::Time(more)) if ring.duration == more.duration => {
                ring.merge(&mut self.total, more);
            }
            (Content::Count(last), Content::Count(more)) if last.size == more.size => {
                more.each(other.total.requests, |outcome| {
                    last.push(&mut self.total, outcome);
                });
            }
            _ => {}
        }
    }

    /// Adds one outcome at `now` and returns the outcomes in the window after that.
    #[inline]
    pub(crate) fn record(&mut self, failure: bool, slow: bool, now: Instant) -> Counts {
        let number = match &mut self.content {
            Content::Time(ring) => ring.record(&mut self.total, failure, slow, now),
            Content::Count(last) => {
                last.record(&mut self.total, failure, slow);
                bucket_number(COUNT_WAIT, now)
            }
        };
        if number > self.waiting.head {
            self.waiting.turn_to(number);
        }
        self.total
    }

    /// Removes all content.
    pub(crate) fn clear(&mut self) {
        self.total = Counts::default();
        self.waiting = Waiting::default();
        match &mut self.content {
            Content::Time(ring) => ring.clear(),
            Content::Count(last) => last.clear(),
        }
    }
}

/// Adds waiting requests to the counts of outcomes.
#[inline]
fn with_waiting(mut counts: Counts, waiting: u32) -> Counts {
    counts.join(Counts {
        requests: waiting,
        failures: 0,
        slow: waiting,
    });
    counts
}

const TIME: u8 = 0;
const COUNT: u8 = 1;

impl Encode for Window {
    fn write(&self, out: &mut Vec<u8>) {
        match &self.content {
            Content::Time(ring) => {
                TIME.write(out);
                ring.write(out);
            }
            Content::Count(last) => {
                COUNT.write(out);
                last.write(self.total.requests, out);
            }
        }
        self.waiting.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Window> {
        let (total, content) = match u8::read(from)? {
            TIME => {
                let (total, ring) = Ring::read(from)?;
                (total, Content::Time(ring))
            }
            COUNT => {
                let (total, last) = Last::read(from)?;
                (total, Content::Count(last))
            }
            _ => return None,
        };
        let waiting = Waiting::read(from)?;
        Some(Window {
            total,
            content,
            waiting,
        })
    }
}

#[cfg(test)]
mod tests;

//! The timer of a root context: the only place that sets the host's tick period.
//!
//! A host has one timer for each root context, and setting its period restarts it. So each
//! caller says by when it needs a tick, and the period is set only if the next tick would be
//! too late. After each tick the period is set for the next deadline, so one stream's short
//! wait does not leave a short period behind.

use std::cell::Cell;

use spillway_core::time::{Instant, Span};

use crate::host;

/// Shortest period. The jitter of waits is coarser than this.
const PERIOD_MIN_MS: u64 = 5;

/// The state of the host's timer.
#[derive(Default)]
pub(crate) struct Ticker {
    /// The current period, or 0 if the timer is off.
    period_ms: Cell<u32>,
    /// When the next tick is expected. Valid only if the timer is on.
    next: Cell<Instant>,
    /// Whether the host accepted the last period. `None` before the first.
    works: Cell<Option<bool>>,
}

impl Ticker {
    /// Returns whether the host has a timer.
    pub(crate) fn works(&self) -> bool {
        // No period has been set yet, so 0 stops nothing.
        self.works.get().unwrap_or_else(|| self.set(0))
    }

    /// Makes sure that a tick comes by `due`.
    pub(crate) fn ask(&self, due: Instant, now: Instant) {
        // Every request comes here, and usually the next tick is early enough.
        if self.period_ms.get() > 0 && self.next.get() <= due {
            return;
        }
        let period_ms = period_ms(due, now);
        let tick = now.after(Span::from_ms(period_ms.into()));
        if self.period_ms.get() == 0 || self.next.get() > tick {
            self.next.set(tick);
            self.set(period_ms);
        }
    }

    /// Handles a tick. `due` is when the next one is needed, or `None` if none is.
    pub(crate) fn ticked(&self, due: Option<Instant>, now: Instant) {
        let wanted_ms = due.map_or(0, |due| period_ms(due, now));
        self.next.set(now.after(Span::from_ms(wanted_ms.into())));
        if wanted_ms != self.period_ms.get() {
            self.set(wanted_ms);
        }
    }

    fn set(&self, period_ms: u32) -> bool {
        // Without a timer, the next request does the work of a tick.
        let works = host::set_tick_period(period_ms).is_ok();
        self.works.set(Some(works));
        self.period_ms.set(period_ms);
        works
    }
}

/// Returns the milliseconds from `now` to `due`, rounded up and at least the shortest period.
fn period_ms(due: Instant, now: Instant) -> u32 {
    let ms = due.since(now).as_ns().div_ceil(Span::from_ms(1).as_ns());
    u32::try_from(ms.max(PERIOD_MIN_MS)).unwrap_or(u32::MAX)
}

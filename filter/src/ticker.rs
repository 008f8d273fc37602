//! The timer of a root context: the only place that sets the host's tick period.
//!
//! A host has one timer for each root context, and each setting restarts it. So whoever needs
//! a tick says by when, and the period is set only if the tick that is coming would be too
//! late. When a tick has come, the period becomes what the next need asks for: a short wait
//! of one stream leaves nothing behind.

use std::cell::Cell;

use spillway_core::time::{Instant, Span};

use crate::host;

/// Shortest period. Waits are jittered more coarsely than this.
const PERIOD_MIN_MS: u64 = 5;

/// The timer, as the host has it.
#[derive(Default)]
pub struct Ticker {
    /// The host's period; 0 if the timer is off.
    period_ms: Cell<u32>,
    /// When the next tick is expected, unless the timer is off.
    next: Cell<Instant>,
    /// Whether the host took the last period; `None` before the first.
    works: Cell<Option<bool>>,
}

impl Ticker {
    /// Whether the host has a timer.
    pub fn works(&self) -> bool {
        // Before the first period was set there is no timer that this could stop.
        self.works.get().unwrap_or_else(|| self.set(0))
    }

    /// Makes sure that a tick comes by `due`.
    pub fn ask(&self, due: Instant, now: Instant) {
        // On the way of every request: mostly the tick that comes is soon enough.
        if self.period_ms.get() > 0 && self.next.get() <= due {
            return;
        }
        let period_ms = period_ms(due, now);
        let ours = now.after(Span::from_ms(period_ms.into()));
        if self.period_ms.get() == 0 || self.next.get() > ours {
            self.next.set(ours);
            self.set(period_ms);
        }
    }

    /// A tick has come. The next one is needed at `due`; none is if that is `None`.
    pub fn ticked(&self, due: Option<Instant>, now: Instant) {
        let wanted_ms = due.map_or(0, |due| period_ms(due, now));
        self.next.set(now.after(Span::from_ms(wanted_ms.into())));
        if wanted_ms != self.period_ms.get() {
            self.set(wanted_ms);
        }
    }

    fn set(&self, period_ms: u32) -> bool {
        // A host without a timer is served by the next request.
        let works = host::set_tick_period(period_ms).is_ok();
        self.works.set(Some(works));
        self.period_ms.set(period_ms);
        works
    }
}

/// Milliseconds from `now` to `due`, rounded up.
fn period_ms(due: Instant, now: Instant) -> u32 {
    let ms = due.since(now).as_ns().div_ceil(Span::from_ms(1).as_ns());
    u32::try_from(ms.max(PERIOD_MIN_MS)).unwrap_or(u32::MAX)
}

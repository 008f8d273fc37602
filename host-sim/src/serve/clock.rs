//! The only place of the host that reads clocks: a run of `serve` is in real time.

use std::time::{Duration, Instant, SystemTime};

use crate::sim::clock::Time;

/// Real time since the start of the proxy.
#[derive(Clone, Copy)]
pub(super) struct Clock(Instant);

#[expect(clippy::disallowed_methods, reason = "the proxy runs in real time")]
impl Clock {
    /// Starts now.
    pub(super) fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Returns the time since the start.
    pub(super) fn now(self) -> Time {
        Time::ZERO + (Instant::now() - self.0)
    }

    /// Returns the wall clock, in nanoseconds since 1970.
    pub(super) fn wall_ns() -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let since = since.unwrap_or(Duration::ZERO);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Returns a time as tokio's timers take it.
    pub(super) fn instant(self, at: Time) -> tokio::time::Instant {
        let span = at.since(Time::ZERO).min(FAR);
        tokio::time::Instant::from_std(self.0 + span)
    }
}

/// Further than any timer waits.
const FAR: Duration = Duration::from_secs(365 * 24 * 3_600);

//! How far a run is, on a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::sim::clock::Time;
use crate::sim::span::Span;

/// A bar on stderr, if that is a terminal; runs that are over at once show none.
pub struct Progress {
    bar: ProgressBar,
    next: Time,
    step: Span,
}

impl Progress {
    /// For a run that takes `duration`.
    pub fn new(duration: Span) -> Progress {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::with_draw_target(
                Some(duration.as_ms()),
                ProgressDrawTarget::stderr_with_hz(10),
            ),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent} %  {eta} left") {
            bar.set_style(style);
        }
        Progress {
            bar,
            next: Time::ZERO,
            step: Span::from_ns(duration.as_ns() / 500),
        }
    }

    /// The run is at `now`.
    pub fn tell(&mut self, now: Time) {
        if now < self.next {
            return;
        }
        self.next = now + self.step;
        // A bar that flashes up for a moment is noise.
        if self.bar.elapsed() > Duration::from_millis(500) {
            self.bar.set_position(now.as_ns() / 1_000_000);
        }
    }

    /// The run is over.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

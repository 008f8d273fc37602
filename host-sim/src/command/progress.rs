//! The progress of a run, on a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::sim::clock::Time;
use crate::sim::span::Span;

/// A progress bar on stderr, if it is a terminal. Short runs show none.
pub(super) struct Progress {
    bar: ProgressBar,
    next: Time,
    step: Span,
}

impl Progress {
    /// Creates the bar for a run of length `duration`.
    pub(super) fn new(duration: Span) -> Progress {
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

    /// Sets the progress to `now`.
    pub(super) fn set(&mut self, now: Time) {
        if now < self.next {
            return;
        }
        self.next = now + self.step;
        // A bar that is visible for only a moment would be distracting.
        if self.bar.elapsed() > Duration::from_millis(500) {
            self.bar.set_position(now.as_ns() / 1_000_000);
        }
    }

    /// Removes the bar.
    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

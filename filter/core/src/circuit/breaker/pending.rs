//! What a worker counts on its own until it merges into the shared breaker.

use crate::circuit::window::Window;
use crate::outcome::classify::Verdict;
use crate::policy::{Outcome, WindowShape};
use crate::time::{Instant, Span};

/// Outcomes that one worker has counted since its last merge.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(super) generation: u64,
    pub(super) window: Window,
    /// Failures before the first success.
    pub(super) leading_failures: u32,
    pub(super) had_success: bool,
    /// Failures after the last success.
    pub(super) trailing_failures: u32,
    /// Hint of the last failure.
    hint: Option<Span>,
}

impl Pending {
    pub(super) fn new(generation: u64, shape: &WindowShape) -> Pending {
        Pending {
            generation,
            window: Window::new(shape),
            leading_failures: 0,
            had_success: false,
            trailing_failures: 0,
            hint: None,
        }
    }

    /// Counts an outcome that the worker's own copy has counted as well.
    #[inline]
    pub(crate) fn record(&mut self, verdict: Verdict, now: Instant) {
        let failure = verdict.outcome == Outcome::Failure;
        self.window.record(failure, verdict.slow, now);
        let run = match self.had_success {
            false => &mut self.leading_failures,
            true => &mut self.trailing_failures,
        };
        if failure {
            *run = run.saturating_add(1);
            self.hint = verdict.hint;
        } else {
            self.had_success = true;
            self.trailing_failures = 0;
        }
    }

    /// Counts waiting requests that the worker's own copy has counted as well.
    pub(crate) fn wait(&mut self, at: Instant, more: i32) {
        self.window.wait_later(at, more);
    }

    /// Hint of the last failure.
    pub(crate) fn hint(&self) -> Option<Span> {
        self.hint
    }
}

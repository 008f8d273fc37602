//! What a worker counts by itself, until the breaker that all share hears of it.

use super::Breaker;
use crate::circuit::window::Window;
use crate::outcome::classify::Verdict;
use crate::policy::Outcome;
use crate::time::{Instant, Span};

/// What one worker has counted since it last brought the shared breaker up to date.
#[derive(Clone, Debug)]
pub struct Pending {
    pub(super) generation: u64,
    pub(super) window: Window,
    /// Failures before the first success.
    pub(super) leading_failures: u32,
    pub(super) had_success: bool,
    /// Failures after the last success.
    pub(super) trailing_failures: u32,
    /// The hint of the last failure.
    pub(super) hint: Option<Span>,
}

impl Pending {
    /// Nothing yet, to be merged into a copy of `breaker`.
    pub fn new(breaker: &Breaker) -> Pending {
        Pending {
            generation: breaker.generation,
            window: Window::new(&breaker.window.shape()),
            leading_failures: 0,
            had_success: false,
            trailing_failures: 0,
            hint: None,
        }
    }

    /// Counts an outcome that [`Breaker::note`] counted.
    #[inline]
    pub fn note(&mut self, verdict: Verdict, now: Instant) {
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

    /// Counts requests that wait, as [`Breaker::wait`] did.
    pub fn wait(&mut self, at: Instant, more: i32) {
        self.window.wait_later(at, more);
    }

    /// The hint of the last failure.
    pub fn hint(&self) -> Option<Span> {
        self.hint
    }
}

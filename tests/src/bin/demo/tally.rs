//! Counts of the requests that clients sent and the responses they received.

use std::sync::Mutex;

use spillway_tests::Answer;

/// The result of one request, as its client saw it.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Good,
    Fallback,
    Error,
}

/// Totals since the start, or for one second.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub sent: usize,
    pub good: usize,
    pub fallback: usize,
    pub errors: usize,
}

/// Totals shared by all requests.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

impl Kind {
    pub(crate) fn of(answer: Result<Answer, String>) -> Self {
        match answer {
            Ok(answer) if answer.headers.contains_key("x-circuit-fallback") => Self::Fallback,
            Ok(answer) if answer.status == 200 => Self::Good,
            _ => Self::Error,
        }
    }
}

impl Tally {
    pub(crate) fn sent(&self) {
        self.0.lock().expect("the counts").sent += 1;
    }

    pub(crate) fn answered(&self, kind: Kind) {
        let mut counts = self.0.lock().expect("the counts");
        match kind {
            Kind::Good => counts.good += 1,
            Kind::Fallback => counts.fallback += 1,
            Kind::Error => counts.errors += 1,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.0.lock().expect("the counts")
    }
}

impl Counts {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            sent: self.sent - before.sent,
            good: self.good - before.good,
            fallback: self.fallback - before.fallback,
            errors: self.errors - before.errors,
        }
    }
}

//! Counts of the requests that clients sent and the responses they received.

use std::sync::Mutex;

use spillway_tests::Answer;

/// The result of one request, as its client saw it.
#[derive(Clone, Copy)]
pub enum Kind {
    Good,
    Fallback,
    Error,
}

/// Totals since the start, or for one second.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub sent: usize,
    pub good: usize,
    pub fallback: usize,
    pub errors: usize,
}

/// Totals shared by all requests.
#[derive(Default)]
pub struct Tally(Mutex<Counts>);

impl Kind {
    pub fn of(answer: Result<Answer, String>) -> Self {
        match answer {
            Ok(answer) if answer.headers.contains_key("x-circuit-fallback") => Self::Fallback,
            Ok(answer) if answer.status == 200 => Self::Good,
            _ => Self::Error,
        }
    }
}

impl Tally {
    pub fn sent(&self) {
        self.0.lock().expect("the counts").sent += 1;
    }

    pub fn answered(&self, kind: Kind) {
        let mut counts = self.0.lock().expect("the counts");
        match kind {
            Kind::Good => counts.good += 1,
            Kind::Fallback => counts.fallback += 1,
            Kind::Error => counts.errors += 1,
        }
    }

    pub fn counts(&self) -> Counts {
        *self.0.lock().expect("the counts")
    }
}

impl Counts {
    pub fn since(self, before: Self) -> Self {
        Self {
            sent: self.sent - before.sent,
            good: self.good - before.good,
            fallback: self.fallback - before.fallback,
            errors: self.errors - before.errors,
        }
    }
}

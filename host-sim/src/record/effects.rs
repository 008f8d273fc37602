//! What a policy did to recorded requests, by how they would have ended without it.

use crate::record::Outcome;

/// What a recording says about a request at its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The upstream gave a usable response.
    Good,
    /// It did not.
    Bad,
    /// The request did not reach it, or its client left.
    Unknown,
}

/// Numbers of requests, by recorded result and by outcome in the replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects([[u64; Outcome::ALL.len()]; 3]);

impl Effects {
    /// Counts a request.
    pub fn count(&mut self, recorded: Recorded, outcome: Outcome) {
        self.0[recorded as usize][outcome as usize] += 1;
    }

    /// Returns the number of requests with a recorded result.
    pub fn all(&self, recorded: Recorded) -> u64 {
        self.0[recorded as usize].iter().sum()
    }

    /// Returns the number of them with one of these outcomes.
    pub fn of(&self, recorded: Recorded, outcomes: &[Outcome]) -> u64 {
        let count = |outcome: &Outcome| self.0[recorded as usize][*outcome as usize];
        outcomes.iter().map(count).sum()
    }

    /// Returns the requests with a good upstream that the filter rejected or answered itself.
    pub fn good_kept_away(&self) -> u64 {
        self.of(Recorded::Good, &[Outcome::Rejected, Outcome::Fallback])
    }

    /// Returns the failures of upstreams that reached a client.
    pub fn errors_let_through(&self) -> u64 {
        let seen = [Outcome::Error, Outcome::GaveUp, Outcome::Broken];
        self.of(Recorded::Bad, &seen)
    }
}

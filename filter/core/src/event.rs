//! What the core wants counted or logged; the adapter knows how.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::admin::Action;
use crate::circuit::breaker::{StateName, Transition};
use crate::fallback::{Kind, Skip};
use crate::policy::{On, Outcome};
use crate::retry::Denial;

/// One thing that happened under a policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A counter of this policy goes up.
    Count {
        /// Index of the policy in the configuration.
        policy: usize,
        /// Which counter.
        counter: Counter,
        /// By how much.
        more: u32,
    },
    /// A gauge of this policy has this value now, over all workers.
    Gauge {
        /// Index of the policy in the configuration.
        policy: usize,
        /// Which gauge.
        gauge: Gauge,
        /// The value.
        value: u64,
    },
    /// A circuit changed its state.
    Transition {
        /// Index of the policy in the configuration.
        policy: usize,
        /// The parts of the key tuple; absent ones are those the request did not have.
        key: Vec<Option<Box<[u8]>>>,
        /// The change.
        transition: Transition,
    },
    /// An operator did something to a circuit.
    Operator {
        /// Index of the policy in the configuration, or behind it.
        policy: usize,
        /// The parts of the key tuple.
        key: Vec<Option<Box<[u8]>>>,
        /// What was done.
        action: Action,
    },
    /// Records that were none were discarded, so many.
    Discarded(u32),
}

/// Things that are counted, per policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counter {
    /// A request that was let through ended.
    Request(Outcome),
    /// It was slow.
    Slow,
    /// A request was kept from its upstream.
    Rejected,
    /// A request would have been, but the mode let it through.
    WouldReject,
    /// A circuit changed its state.
    Transition(StateName, StateName),
    /// A probe was admitted.
    Probe,
    /// A fallback answered.
    Fallback(On, Kind),
    /// A fallback that had its turn gave no answer.
    FallbackSkipped(Kind, Skip),
    /// An answer was kept.
    StaleKept,
    /// A kept answer made room for another.
    StaleEvicted,
    /// An answer that might be kept is too large for it.
    StaleTooLarge,
    /// A response could not be recorded, since too much was.
    StaleOverflowed,
    /// A failure that a fallback is meant for was known only after the answer had begun.
    FallbackTooLate,
    /// Retries that were made of requests which then ended so.
    Retries(Outcome),
    /// A request was not granted any retry, or was not sent again.
    RetryDenied(Denial),
    /// It would not have been, but the mode leaves that to others.
    WouldDenyRetry(Denial),
    /// Nothing was saved of a request for placeholders: there was no room for it.
    NothingSaved,
    /// A request shared the overflow breaker.
    KeyOverflowed,
    /// Outcomes wait for the next merge, since other workers came before.
    MergeGivenUp,
    /// A request was rejected that might have been a probe, since other workers came
    /// before.
    PermitGivenUp,
}

/// Things that are held, per policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gauge {
    /// Circuits that are open or half-open.
    OpenCircuits,
    /// Key tuples with a breaker of their own.
    Keys,
    /// Retries that can be granted, of the key that was merged last.
    RetryBudget,
}

//! Events for the adapter to count, set or log.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::admin::Action;
use crate::circuit::breaker::{StateName, Transition};
use crate::fallback::{Kind, Skip};
use crate::policy::{On, Outcome};
use crate::retry::Denial;

pub(crate) mod series;

pub use series::Series;

/// One event under a policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A counter rises.
    Count {
        /// Index of the policy in the configuration.
        policy: usize,
        /// The counter.
        counter: Counter,
        /// How much it rises.
        more: u32,
    },
    /// A gauge has a new value, over all workers.
    Gauge {
        /// Index of the policy in the configuration.
        policy: usize,
        /// The gauge.
        gauge: Gauge,
        /// The value.
        value: u64,
    },
    /// A circuit with series of its own is, or is no longer, in a state.
    CircuitState {
        /// Index of the policy in the configuration.
        policy: usize,
        /// The circuit's place in the list of those that have series, and its name,
        /// `[A-Za-z0-9_-]{1,64}`.
        circuit: (usize, Box<str>),
        /// The state: open, half-open or recovering.
        state: StateName,
        /// Whether it is in it.
        is: bool,
    },
    /// A circuit changed its state.
    Transition {
        /// Index of the policy in the configuration.
        policy: usize,
        /// The parts of the key tuple; `None` for a part that the request did not have.
        key: Vec<Option<Box<[u8]>>>,
        /// The change of state.
        transition: Transition,
    },
    /// An operator changed a circuit.
    Operator {
        /// Index of the policy in the configuration, or its length for a policy that is not in
        /// it.
        policy: usize,
        /// The parts of the key tuple.
        key: Vec<Option<Box<[u8]>>>,
        /// The action.
        action: Action,
    },
    /// Number of unreadable records discarded.
    Discarded(u32),
}

/// Counters of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counter {
    /// An admitted request ended.
    Request(Outcome),
    /// An admitted request was slow.
    Slow,
    /// A request was rejected.
    Rejected,
    /// A request would have been rejected, but the mode admitted it.
    WouldReject,
    /// A circuit changed its state, from the first to the second.
    Transition(StateName, StateName),
    /// A probe was admitted.
    Probe,
    /// A fallback provided the response.
    Fallback(On, Kind),
    /// A fallback was tried and provided no response.
    FallbackSkipped(Kind, Skip),
    /// A response was stored in the stale cache.
    StaleStored,
    /// A stored response was evicted for another one.
    StaleEvicted,
    /// A response was not stored because it was too large.
    StaleTooLarge,
    /// A response was not recorded because too many others were.
    StaleOverflowed,
    /// A failure that a fallback covers was detected after the response had begun.
    FallbackTooLate,
    /// Retries of requests that ended with this outcome.
    Retries(Outcome),
    /// A request was granted no retry, or was not retried.
    RetryDenied(Denial),
    /// A retry would have been denied, but the mode does not enforce that.
    WouldDenyRetry(Denial),
    /// Nothing of a request was saved for placeholders, for lack of room.
    NothingSaved,
    /// A request used the overflow circuit.
    KeyOverflowed,
    /// A merge lost every compare-and-swap; its outcomes wait for the next one.
    MergeGivenUp,
    /// A request that might have been a probe was rejected, because its step lost every
    /// compare-and-swap.
    PermitGivenUp,
}

/// Gauges of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gauge {
    /// Circuits that are open.
    OpenCircuits,
    /// Circuits that are half-open.
    HalfOpenCircuits,
    /// Share of failures in the windows of all keys, in percent.
    FailureRate,
    /// Keys with a circuit of their own.
    Keys,
    /// Retries that can be granted, of the key with the fewest.
    RetryBudget,
}

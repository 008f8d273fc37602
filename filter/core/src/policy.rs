//! A checked policy file: types that cannot express an invalid policy.
//!
//! [`Config::parse`] is the only way in. It reads the whole file and reports every error at
//! once, as [`parse::error::PolicyError`]. It guesses nothing and ignores nothing. The types
//! here hold no defaults and no ranges: those belong to the parser.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::time::Span;

mod breaker;
mod fallback;
mod limits;
mod lite;
mod matching;
mod media;
mod needs;
mod outcome;
pub mod parse;
mod retry;
pub(crate) mod template;

pub use breaker::{
    BreakerConfig, HalfOpenConfig, OpenConfig, RecoveryConfig, SlowUntil, WindowShape,
};
pub(crate) use breaker::{COUNT_SIZE_MAX, PERMITS_MAX};
pub use fallback::{
    ClusterConfig, Fallback, FallbackType, On, OnSet, Respond, RouteConfig, StaleConfig,
};
pub(crate) use limits::KEYS_MAX;
pub use limits::{Admin, Events, Host, Limits, Metrics, Sync};
pub use matching::{Authority, HeaderCondition, HeaderTest, KeyPart, Match, PathKind, PathPattern};
pub use media::Media;
pub(crate) use outcome::GRPC_CODES;
pub use outcome::{JudgeAt, Outcome, OutcomeRules, StatusSet};
pub use retry::{BackoffConfig, BudgetConfig, Condition, Conditions, RetryConfig, RetryEngine};

/// One hundred percent. Shares are in basis points: hundredths of a percent.
pub const WHOLE_BP: u32 = 10_000;

/// A whole policy file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The policies, in the order in which they are tried.
    pub policies: Vec<Policy>,
    /// Bounds on the filter's memory.
    pub limits: Limits,
    /// How workers share their circuits.
    pub sync: Sync,
    /// What the host does not report by itself.
    pub host: Host,
    /// Metrics beyond those that every file has.
    pub metrics: Metrics,
    /// The collector that events are sent to; `None` if events are only logged.
    pub events: Option<Events>,
    /// The endpoint for operators; `None` if this listener has none.
    pub admin: Option<Admin>,
}

/// One named policy: which requests it applies to, and what happens to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Unique name, `[A-Za-z0-9_-]{1,64}`: it is part of metric names.
    pub name: Box<str>,
    /// Whether decisions are made, and applied.
    pub mode: Mode,
    /// Share of requests to which decisions are applied, in basis points.
    pub enforce_bp: u32,
    /// Whether replaced responses carry `x-circuit-fallback` and `x-circuit-state`.
    pub label: bool,
    /// Which requests the policy applies to.
    pub matcher: Match,
    /// The request parts that make up a key. Each key has its own circuit.
    pub key: Vec<KeyPart>,
    /// Which responses are failures.
    pub outcome: OutcomeRules,
    /// When a circuit opens, and how it closes again.
    pub breaker: BreakerConfig,
    /// How long the upstream may take, retries included; `None` if only the route limits it.
    pub timeout: Option<Span>,
    /// How failed requests are retried; `None` if this policy retries nothing.
    pub retry: Option<RetryConfig>,
    /// The fallbacks to try, in order.
    pub fallback: Vec<Fallback>,
}

/// Whether decisions are made, and applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Decisions are applied.
    Enforce,
    /// Decisions are made and reported; no request is affected.
    Shadow,
    /// As if the policy were missing.
    Disabled,
    /// Every request is rejected.
    ForcedOpen,
    /// Every request passes. The breaker is off, and the rest of the policy applies.
    ForcedClosed,
}

impl Mode {
    /// All modes.
    pub const ALL: [Mode; 5] = [
        Mode::Enforce,
        Mode::Shadow,
        Mode::Disabled,
        Mode::ForcedOpen,
        Mode::ForcedClosed,
    ];

    /// Returns its name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Shadow => "shadow",
            Mode::Disabled => "disabled",
            Mode::ForcedOpen => "forced_open",
            Mode::ForcedClosed => "forced_closed",
        }
    }
}

#[cfg(test)]
mod tests;

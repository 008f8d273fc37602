//! What the user wrote, checked: types in which a bad policy cannot be expressed.
//!
//! [`Config::parse`] is the only way in. It reads the whole file and reports
//! every error at once ([`parse::error::PolicyError`]); nothing is guessed and nothing is
//! ignored. `wire` mirrors the JSON field by field and holds every default and
//! range; this file holds what they become.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::time::Span;

mod fallback;
mod media;
mod outcome;
pub mod parse;
pub mod template;

pub use fallback::{
    ClusterConfig, Fallback, FallbackType, On, OnSet, Respond, RouteConfig, StaleConfig,
};
pub use media::Media;
pub use outcome::{JudgeAt, Outcome, OutcomeRules, StatusSet};

/// One hundred percent. Shares are held in basis points: hundredths of a percent.
pub const WHOLE_BP: u32 = 10_000;

/// Most key tuples of one policy.
pub const KEYS_MAX: u32 = 100_000;

/// What Envoy buffers unless a listener says otherwise.
pub const BUFFER_LIMIT_BYTES: u32 = 1_048_576;

/// Most probes of one half-open time: each lease is remembered.
pub const PERMITS_MAX: u32 = 100;

/// A whole policy file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The policies, in the order in which they are tried.
    pub policies: Vec<Policy>,
    /// Bounds on what the filter may hold.
    pub limits: Limits,
    /// How workers share what they know of the circuits.
    pub sync: Sync,
    /// What the user says of the host.
    pub host: Host,
    /// Where circuits are shown and forced; absent: nowhere.
    pub admin: Option<Admin>,
}

/// Bounds on what the filter may hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Key tuples with a breaker of their own, per policy.
    pub keys: u32,
    /// Key tuples that one worker holds, over all policies.
    pub keys_total: u32,
    /// Largest request body of which a copy is kept, to be sent again.
    pub replay_body_bytes: u32,
    /// What copies of requests may take together in a VM, over all policies.
    pub copies_bytes: u32,
    /// Largest answer to a request that was sent again, or to another cluster, which is
    /// handed on.
    pub replay_answer_bytes: u32,
    /// What kept answers may take, for the whole proxy.
    pub stale_bytes: u32,
    /// What responses may take while they are recorded, per VM and over all policies.
    pub recording_bytes: u32,
}

/// What the user says of the host, which it does not tell by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Whether a request's body comes while its headers are held back.
    pub headers_stop_iteration: bool,
    /// What the host buffers of a paused message before it answers by itself.
    pub buffer_limit_bytes: u32,
}

impl Default for Host {
    fn default() -> Host {
        Host {
            headers_stop_iteration: false,
            buffer_limit_bytes: BUFFER_LIMIT_BYTES,
        }
    }
}

/// How workers share what they know of the circuits.
#[derive(Clone, Debug, PartialEq)]
pub struct Sync {
    /// How old a worker's view of a circuit may get, and how often at most it merges
    /// what it counted into the shared record; 10ms to 5s.
    pub interval: Span,
}

/// Where circuits are shown and forced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The path under which it answers: it begins with `/` and does not end with it,
    /// and no segment is empty, `.` or `..`.
    pub path_prefix: Box<str>,
}

/// One named policy: which requests it is for, and what becomes of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Unique, `[A-Za-z0-9_-]{1,64}`: it stands in metric names.
    pub name: Box<str>,
    /// Whether decisions are made, and applied.
    pub mode: Mode,
    /// The share of requests to which decisions are applied, in basis points.
    pub enforce_bp: u32,
    /// Whether answers carry `x-circuit-fallback` and `x-circuit-state`.
    pub label: bool,
    /// Which requests the policy is for.
    pub matcher: Match,
    /// What has a breaker of its own.
    pub key: Vec<KeyPart>,
    /// Which answers are failures.
    pub outcome: OutcomeRules,
    /// When the circuit opens, and how it closes again.
    pub breaker: BreakerConfig,
    /// How failed requests are sent again; absent: not by this policy.
    pub retry: Option<RetryConfig>,
    /// The answers to try, in order.
    pub fallback: Vec<Fallback>,
}

/// Whether decisions are made, and applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Decisions are applied.
    Enforce,
    /// The state machine runs and is reported; no request is touched.
    Shadow,
    /// As if the policy were absent.
    Disabled,
    /// Every request is rejected.
    ForcedOpen,
}

impl Mode {
    /// All modes.
    pub const ALL: [Mode; 4] = [
        Mode::Enforce,
        Mode::Shadow,
        Mode::Disabled,
        Mode::ForcedOpen,
    ];

    /// The word for it in policies.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Shadow => "shadow",
            Mode::Disabled => "disabled",
            Mode::ForcedOpen => "forced_open",
        }
    }
}

/// The conditions of a policy. All must hold; an empty list is an absent
/// condition, and within a list one match is enough.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    /// Names of the host's clusters.
    pub clusters: Vec<Box<str>>,
    /// Names of the host's routes.
    pub routes: Vec<Box<str>>,
    /// Host names.
    pub authorities: Vec<Authority>,
    /// Paths, without the query.
    pub paths: Vec<PathPattern>,
    /// Methods, compared as they are.
    pub methods: Vec<Box<str>>,
    /// Headers; unlike the lists above, all of these must hold.
    pub headers: Vec<HeaderCondition>,
}

/// A host name in lower case. Without a port it holds for every port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// This very name.
    Exact(Box<str>),
    /// Any name that ends so, with at least one character before: `.example.com`.
    Suffix(Box<str>),
}

/// A pattern over the path without its query; the text it was written as is what
/// stands in a key, so that the number of keys does not follow the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    /// The pattern as written.
    pub text: Box<str>,
    /// How it is compared.
    pub kind: PathKind,
}

/// How a path pattern is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// The whole path.
    Exact,
    /// The path's beginning.
    Prefix,
    /// Segment by segment; `{name}` stands for any one segment that is not empty.
    Template,
}

/// A condition on one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderCondition {
    /// The name in lower case.
    pub name: Box<str>,
    /// What must hold.
    pub test: HeaderTest,
}

/// What must hold of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderTest {
    /// One of its values is this.
    Exact(Box<str>),
    /// It is there, or it is not.
    Present(bool),
}

/// One part of a key tuple.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The host's cluster.
    Cluster,
    /// The host's route.
    Route,
    /// The host name of the request, in lower case and without its port.
    Authority,
    /// The method.
    Method,
    /// The text of the path pattern that matched.
    Path,
    /// The first value of this header, its name in lower case.
    Header(Box<str>),
}

/// The numbers of a circuit breaker. With the three trip rules off it never opens by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerConfig {
    /// Whether the policy has a breaker. Without one every request passes and nothing is
    /// counted, whatever state an earlier configuration has left behind.
    pub enabled: bool,
    /// What the rates are taken over.
    pub window: WindowShape,
    /// Outcomes that must be in the window before a rate can trip; with a count
    /// window at most its size.
    pub minimum_requests: u32,
    /// Share of failures that trips, in basis points; 0 is off.
    pub failure_rate_bp: u32,
    /// Strictly longer than this is slow; absent: nothing is.
    pub slow_threshold: Option<Span>,
    /// Where the clock for slowness stops.
    pub slow_until: SlowUntil,
    /// Share of slow outcomes that trips, in basis points; 0 is off.
    pub slow_rate_bp: u32,
    /// Failures in a row that trip, whatever the volume; 0 is off.
    pub consecutive_failures: u32,
    /// How long the circuit stays open.
    pub open: OpenConfig,
    /// How recovery is tried.
    pub half_open: HalfOpenConfig,
    /// How traffic returns.
    pub recovery: RecoveryConfig,
}

/// What the rates are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowShape {
    /// The outcomes of the last `duration`.
    Time {
        /// Length of the window.
        duration: Span,
    },
    /// The last `size` outcomes.
    Count {
        /// 1 to 10,000.
        size: u32,
    },
}

/// Where the clock for slowness stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowUntil {
    /// At the response's headers.
    Headers,
    /// At the response's end.
    End,
}

/// How long a circuit stays open.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenConfig {
    /// The first time.
    pub duration: Span,
    /// Growth per further opening, in basis points: 20,000 doubles.
    pub multiplier_bp: u32,
    /// The longest time, before hints.
    pub max_duration: Span,
    /// Spread around the time, in basis points of it.
    pub jitter_bp: u32,
    /// The longest hint of an upstream that is obeyed; zero ignores hints.
    pub retry_after_max: Span,
}

/// How recovery is tried.
#[derive(Clone, Debug, PartialEq)]
pub struct HalfOpenConfig {
    /// Probes in all, 1 to 100.
    pub permits: u32,
    /// How long a probe may take before its permit is decided without it.
    pub lease: Span,
}

/// How traffic returns after a good verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveryConfig {
    /// Length of the ramp; zero closes at once.
    pub duration: Span,
    /// Share admitted at its start, in basis points.
    pub start_bp: u32,
}

/// How requests that failed are sent again.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryConfig {
    /// Who sends them.
    pub engine: RetryEngine,
    /// Most retries of one request, 0 to 10.
    pub max_retries: u32,
    /// What is retried.
    pub retry_on: Conditions,
    /// The statuses of a gRPC answer that are retried, as the host's router names them,
    /// separated by commas.
    pub grpc_retry_on: Box<str>,
    /// Methods whose requests may be sent twice.
    pub methods: Vec<Box<str>>,
    /// A header by which a client says that its request may be, in lower case.
    pub idempotency_header: Box<str>,
    /// Whether what is already a retry is retried too.
    pub nested: bool,
    /// How long one attempt may take; absent: as long as all.
    pub per_try_timeout: Option<Span>,
    /// How long all attempts may take that the filter makes.
    pub timeout: Span,
    /// How long the filter waits before an attempt.
    pub backoff: BackoffConfig,
    /// How many retries there are.
    pub budget: BudgetConfig,
}

/// Who sends requests again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryEngine {
    /// The host's own router, as often as the filter grants.
    Router,
    /// The filter, by calls of its own.
    Filter,
}

/// What is retried: a set of [`Condition`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    set: u16,
    words: String,
}

/// What may be wrong with an attempt, in the words of Envoy's `x-envoy-retry-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A status from 500 to 599, or no answer at all.
    ServerError,
    /// 502, 503, 504, or no answer at all.
    GatewayError,
    /// No answer.
    Reset,
    /// No answer, and nothing of the request was sent.
    ResetBeforeRequest,
    /// No connection.
    ConnectFailure,
    /// The upstream refused the stream and did nothing of it.
    RefusedStream,
    /// 409.
    Retriable4xx,
    /// An answer with `x-envoy-ratelimited`, which is not retried otherwise.
    RateLimited,
}

impl Condition {
    /// All conditions, with their words.
    pub const ALL: [(&str, Condition); 8] = [
        ("5xx", Condition::ServerError),
        ("gateway-error", Condition::GatewayError),
        ("reset", Condition::Reset),
        ("reset-before-request", Condition::ResetBeforeRequest),
        ("connect-failure", Condition::ConnectFailure),
        ("refused-stream", Condition::RefusedStream),
        ("retriable-4xx", Condition::Retriable4xx),
        ("envoy-ratelimited", Condition::RateLimited),
    ];
}

impl Conditions {
    /// Adds a condition, if it is not there yet.
    pub fn insert(&mut self, (word, condition): (&str, Condition)) {
        if self.contains(condition) {
            return;
        }
        self.set |= 1 << condition as u16;
        if !self.words.is_empty() {
            self.words.push(',');
        }
        self.words.push_str(word);
    }

    /// Whether a condition is in the set.
    #[inline]
    pub fn contains(&self, condition: Condition) -> bool {
        self.set & 1 << condition as u16 != 0
    }

    /// The words, separated by commas.
    pub fn words(&self) -> &str {
        &self.words
    }
}

/// How long the filter waits before it sends a request again: a random time of at most
/// `base_interval`, doubled with each retry, up to `max_interval` ("full jitter", Marc
/// Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffConfig {
    /// The longest first wait.
    pub base_interval: Span,
    /// The longest wait.
    pub max_interval: Span,
}

/// How many retries an upstream can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetConfig {
    /// Retries that successes pay for, in basis points of them; 10,000 is one each.
    pub percent_bp: u32,
    /// How long successes and retries count.
    pub interval: Span,
    /// Retries that are always there, each `min_interval`.
    pub min_count: u32,
    /// What `min_count` is per.
    pub min_interval: Span,
    /// How long a request may hold what it was granted.
    pub lease: Span,
}

impl BudgetConfig {
    /// The retries of one interval that nobody has to earn, rounded down.
    pub fn minimum(&self) -> u64 {
        let count = u64::from(self.min_count);
        let all = Span::from_ns(count).scale(self.interval.as_ns(), self.min_interval.as_ns());
        all.as_ns()
    }
}

impl Policy {
    /// The retry budget of each key.
    #[inline]
    pub fn budget(&self) -> Option<&BudgetConfig> {
        self.retry.as_ref().map(|retry| &retry.budget)
    }
}

impl BreakerConfig {
    /// The least volume at which rates count.
    #[inline]
    pub fn volume(&self) -> u32 {
        match self.window {
            WindowShape::Time { .. } => self.minimum_requests,
            WindowShape::Count { size } => self.minimum_requests.min(size),
        }
    }

    /// The slow rate, or 0 where nothing can be slow.
    #[inline]
    pub fn effective_slow_rate_bp(&self) -> u32 {
        self.slow_threshold.map_or(0, |_| self.slow_rate_bp)
    }
}

/// The names of the gRPC codes, by number.
pub const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Lower case of an ASCII text.
fn lower(text: &str) -> Box<str> {
    let mut owned = String::from(text);
    owned.make_ascii_lowercase();
    owned.into_boxed_str()
}

#[cfg(test)]
mod tests;

//! `retry`: which requests are retried, by whom, and how often.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::time::Span;

/// How failed requests are retried.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryConfig {
    /// Who sends the retries.
    pub engine: RetryEngine,
    /// Most retries of one request, 0 to 10.
    pub max_retries: u32,
    /// Failures that are retried.
    pub retry_on: Conditions,
    /// The gRPC statuses that are retried, named as in `x-envoy-retry-grpc-on` and separated
    /// by commas.
    pub grpc_retry_on: Box<str>,
    /// Methods whose requests may be repeated.
    pub methods: Vec<Box<str>>,
    /// A header, in lower case, by which a client marks its request as repeatable.
    pub idempotency_header: Box<str>,
    /// Whether requests that are already retries are retried too.
    pub nested: bool,
    /// Timeout of one attempt; `None` if only `timeout` bounds it.
    pub per_try_timeout: Option<Span>,
    /// Timeout of all attempts that the filter makes.
    pub timeout: Span,
    /// How long the filter waits before an attempt.
    pub backoff: BackoffConfig,
    /// How many retries there are in all.
    pub budget: BudgetConfig,
}

/// Who sends the retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryEngine {
    /// The host's router, as often as the filter grants it.
    Router,
    /// The filter, with HTTP calls.
    Filter,
}

/// A set of [`Condition`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    set: u16,
    words: String,
}

/// A failure of an attempt, as in Envoy's `x-envoy-retry-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A status from 500 to 599, or no response.
    ServerError,
    /// 502, 503, 504, or no response.
    GatewayError,
    /// No response.
    Reset,
    /// No response, and nothing of the request was sent.
    ResetBeforeRequest,
    /// No connection.
    ConnectFailure,
    /// The upstream refused the stream without processing it.
    RefusedStream,
    /// 409.
    Retriable4xx,
    /// A response with `x-envoy-ratelimited`, which is not retried otherwise.
    RateLimited,
}

impl Condition {
    /// All conditions, with their names.
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
    /// Adds a condition, unless the set already contains it.
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

    /// Whether the set contains a condition.
    #[inline]
    pub fn contains(&self, condition: Condition) -> bool {
        self.set & 1 << condition as u16 != 0
    }

    /// Returns the names, separated by commas.
    pub fn words(&self) -> &str {
        &self.words
    }
}

/// How long the filter waits before a retry: a random time of at most `base_interval`, which
/// doubles with each retry up to `max_interval` ("full jitter", Marc Brooker, "Exponential
/// Backoff And Jitter", AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffConfig {
    /// The longest wait before the first retry.
    pub base_interval: Span,
    /// The longest wait before any retry.
    pub max_interval: Span,
}

/// How many retries an upstream may receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetConfig {
    /// Retries earned by successes, in basis points: 10,000 is one retry for each.
    pub percent_bp: u32,
    /// How long successes and retries count.
    pub interval: Span,
    /// Retries that are always available, in each `min_interval`.
    pub min_count: u32,
    /// The interval that `min_count` refers to.
    pub min_interval: Span,
    /// How long a request may hold the retries that it was granted.
    pub lease: Span,
}

impl BudgetConfig {
    /// Returns the retries of one `interval` that need no successes, rounded down.
    pub fn minimum(&self) -> u64 {
        let count = u64::from(self.min_count);
        let all = Span::from_ns(count).scale(self.interval.as_ns(), self.min_interval.as_ns());
        all.as_ns()
    }
}

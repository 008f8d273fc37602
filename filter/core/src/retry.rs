//! Which requests may be sent again, which answers are a reason to, and when.
//!
//! Three rules keep retries from multiplying an outage: only what may be repeated is,
//! nobody retries a retry (a chain of three services that each try four times makes 64
//! requests of one), and what cannot be done in the time that is left is not begun. How
//! many retries there are at all is the [budget](crate::circuit::budget)'s business.

use crate::exchange::{Request, Response};
use crate::http_value::{grpc_timeout, number};
use crate::outcome::hint;
use crate::policy::{BackoffConfig, Condition, RetryConfig};
use crate::random::Random;
use crate::time::Span;

/// Why a request that may be sent again is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The budget is spent.
    Budget,
    /// The circuit is not closed, or the request is a probe.
    Circuit,
    /// It is a retry already, made by somebody nearer to the user.
    Nested,
    /// There is no time left for it.
    Deadline,
    /// The upstream asks for none.
    Pushback,
    /// There is no whole copy of the request: its body is too large or was not all there.
    RequestBody,
    /// There is no copy of the request: all copies together take `limits.copies_bytes`.
    CopiesFull,
    /// The request has what a copy cannot have: trailers, or a header that is no text.
    RequestShape,
    /// The answer is too large, or has trailers.
    AnswerShape,
    /// The host does not send it.
    Host,
}

impl Denial {
    /// The word for it in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Denial::Budget => "budget",
            Denial::Circuit => "circuit",
            Denial::Nested => "nested",
            Denial::Deadline => "deadline",
            Denial::Pushback => "pushback",
            Denial::RequestBody => "request_body",
            Denial::CopiesFull => "copies_full",
            Denial::RequestShape => "request_shape",
            Denial::AnswerShape => "answer_shape",
            Denial::Host => "host",
        }
    }
}

/// What a request's headers say about sending it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryEligibility {
    /// It is not one that may be repeated.
    Once,
    /// It is, but not here or now.
    Denied(Denial),
    /// At most so many times, and not after so long where its caller has said so.
    Again(u32, Option<Span>),
}

/// What a request's headers say.
pub fn wish(config: &RetryConfig, request: &impl Request, grpc: bool) -> RetryEligibility {
    if config.max_retries == 0 || !is_repeatable(config, request, grpc) {
        return RetryEligibility::Once;
    }
    if !config.nested && is_retry(request) {
        return RetryEligibility::Denied(Denial::Nested);
    }
    let left = time_left(request);
    // A retry that begins when all the time is gone, since those before it took theirs.
    let fitting = match (left, config.per_try_timeout) {
        (Some(left), _) if left == Span::ZERO => 0,
        (Some(left), Some(each)) => left.as_ns().div_ceil(each.as_ns().max(1)).saturating_sub(1),
        _ => u64::MAX,
    };
    match config
        .max_retries
        .min(u32::try_from(fitting).unwrap_or(u32::MAX))
    {
        0 => RetryEligibility::Denied(Denial::Deadline),
        retries => RetryEligibility::Again(retries, left),
    }
}

fn is_repeatable(config: &RetryConfig, request: &impl Request, grpc: bool) -> bool {
    if grpc {
        return !config.grpc_retry_on.is_empty();
    }
    if config.retry_on.words().is_empty() {
        return false;
    }
    let method = request.header(":method").unwrap_or_default();
    let mut methods = config.methods.iter();
    methods.any(|it| it.as_bytes() == method)
        || request.header(&config.idempotency_header).is_some()
}

/// Whether a proxy nearer to the user, or the client itself, has sent it before.
fn is_retry(request: &impl Request) -> bool {
    let count = |name| request.header(name).and_then(number).unwrap_or(0);
    count("x-envoy-attempt-count") > 1 || count("grpc-previous-rpc-attempts") > 0
}

/// How long the caller will wait, where it has said so.
fn time_left(request: &impl Request) -> Option<Span> {
    let expected = request.header("x-envoy-expected-rq-timeout-ms");
    let expected = expected.and_then(number).filter(|ms| *ms > 0);
    let deadline = request.header("grpc-timeout").and_then(grpc_timeout);
    let expected = expected.map(Span::from_ms);
    expected.into_iter().chain(deadline).min()
}

/// What access logs show as response code details of an answer to a request that was sent
/// again.
pub const DETAILS: &str = "spillway_retry";

/// Envoy's response flags that say how an attempt failed without an answer.
mod flag {
    /// UF: there was no connection.
    pub const NO_CONNECTION: u64 = 0x20;
    /// LR, UR, UC: what there was of a connection ended.
    pub const RESET: u64 = 0x8 | 0x10 | 0x40;
}

/// Envoy's word for a stream that the upstream did not take.
const REFUSED: &[u8] = b"upstream_reset_before_response_started{remote_refused_stream_reset";

/// Whether an answer, or that there is none, is a reason to send the request again: as
/// Envoy's router decides it.
pub fn is_wanted(config: &RetryConfig, response: &impl Response) -> bool {
    let when_limited = config.retry_on.contains(Condition::RateLimited);
    let otherwise = is_failure(config, response);
    // Most answers are no reason either way, and need no further look.
    if when_limited == otherwise {
        return otherwise;
    }
    match response.header("x-envoy-ratelimited") {
        Some(_) => when_limited,
        None => otherwise,
    }
}

/// Whether an answer is a reason that does not say that it is one of too many.
fn is_failure(config: &RetryConfig, response: &impl Response) -> bool {
    let on = |condition| config.retry_on.contains(condition);
    let Some(status) = response.status() else {
        return on(Condition::Reset) || on(Condition::ServerError) || on(Condition::GatewayError);
    };
    match status {
        409 => return on(Condition::Retriable4xx),
        502..=504 if on(Condition::GatewayError) => return true,
        500..=599 if on(Condition::ServerError) => return true,
        503 => {}
        _ => return false,
    }
    // The host's own 503: why there was no answer.
    let flags = response.flags();
    if flags & flag::NO_CONNECTION != 0 {
        return on(Condition::ConnectFailure)
            || on(Condition::Reset)
            || on(Condition::ResetBeforeRequest);
    }
    let refused = |details: &[u8]| details.starts_with(REFUSED);
    flags & flag::RESET != 0
        && (on(Condition::Reset)
            || on(Condition::RefusedStream)
                && response.details().is_some_and(|it| refused(it.as_ref())))
}

/// What the upstream says about coming back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// Nothing.
    None,
    /// Not before this long.
    After(Span),
    /// Not at all.
    Never,
}

/// What an answer says about sending its request again: `grpc-retry-pushback-ms` as gRFC
/// A6 has it, where anything but a number means never; else `retry-after`.
pub fn pushback(response: &impl Response) -> Pushback {
    if let Some(value) = response.header("grpc-retry-pushback-ms") {
        let wait = number(value.as_ref()).map(Span::from_ms);
        return wait.map_or(Pushback::Never, Pushback::After);
    }
    hint::read(false, response.status(), response).map_or(Pushback::None, Pushback::After)
}

/// How long to wait before a retry: the first has the number 0.
pub fn backoff(config: &BackoffConfig, number: u32, random: &mut Random) -> Span {
    let doubled = 1_u64.checked_shl(number).unwrap_or(u64::MAX);
    let limit = config
        .base_interval
        .scale(doubled, 1)
        .min(config.max_interval);
    Span::from_ns(random.between(0, limit.as_ns()))
}

#[cfg(test)]
mod tests;

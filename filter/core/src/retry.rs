//! Which requests may be retried, which responses cause a retry, and when.
//!
//! Three rules keep retries from multiplying an outage. Only requests that may be repeated are
//! retried. Retries are not retried: in a chain of three services with four attempts each, one
//! request would become 64. And no retry starts that cannot end before the caller's deadline.
//! The [budget](crate::circuit::budget) limits the number of all retries.

use crate::exchange::{EXPECTED_TIMEOUT, Request, Response, timeout};
use crate::http_value::{grpc_timeout, number};
use crate::outcome::hint;
use crate::policy::{BackoffConfig, Condition, RetryConfig};
use crate::random::Random;
use crate::time::Span;

/// Why a retry is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The budget has no retry left.
    Budget,
    /// The circuit is not closed, or the request is a probe.
    Circuit,
    /// It is already a retry, made by a client or a proxy in front.
    Nested,
    /// No time is left for it.
    Deadline,
    /// The upstream asked for none.
    Pushback,
    /// The request could not be saved: its body is too large or incomplete.
    RequestBody,
    /// The request could not be saved: all saved requests together use `limits.copies_bytes`.
    CopiesFull,
    /// The request could not be saved: it has trailers, or a header that is not UTF-8.
    RequestShape,
    /// The response is too large, or has trailers.
    AnswerShape,
    /// The host cannot send it.
    Host,
}

impl Denial {
    /// Returns its name in metrics.
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

/// Whether a request may be retried, according to its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryEligibility {
    /// It may not be repeated.
    Once,
    /// It may be repeated, but not by this policy or not now.
    Denied(Denial),
    /// At most this many times, and only within this time if the caller set a deadline.
    Again(u32, Option<Span>),
}

/// Returns whether a request may be retried.
#[inline(never)]
pub(crate) fn eligibility(
    config: &RetryConfig,
    request: &impl Request,
    grpc: bool,
) -> RetryEligibility {
    // One pass over the headers costs less than looking for two of them.
    let [method, mark, attempts @ .., expected, deadline] = request.headers(&[
        ":method",
        &config.idempotency_header,
        "x-envoy-attempt-count",
        "grpc-previous-rpc-attempts",
        EXPECTED_TIMEOUT,
        "grpc-timeout",
    ]);
    let may_repeat = match grpc {
        true => !config.grpc_retry_on.is_empty(),
        false => is_repeatable(config, method.unwrap_or_default(), mark.is_some()),
    };
    if config.max_retries == 0 || !may_repeat {
        return RetryEligibility::Once;
    }
    if !config.nested && is_retry(attempts) {
        return RetryEligibility::Denied(Denial::Nested);
    }
    let expected = expected.and_then(timeout);
    let deadline = deadline.and_then(grpc_timeout);
    // How long the caller will wait; `None` if it does not say.
    let left = expected.into_iter().chain(deadline).min();
    // Attempts that would start after the deadline, if each before took its whole time.
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

/// Whether an HTTP request may be repeated, by its method or because its client says so.
fn is_repeatable(config: &RetryConfig, method: &[u8], marked: bool) -> bool {
    let mut methods = config.methods.iter();
    let repeats = marked || methods.any(|it| it.as_bytes() == method);
    repeats && !config.retry_on.words().is_empty()
}

/// Whether the client or a proxy in front has sent the request before.
fn is_retry(attempts: [Option<&[u8]>; 2]) -> bool {
    let [attempts, previous] = attempts.map(|value| value.and_then(number).unwrap_or(0));
    attempts > 1 || previous > 0
}

/// Returns how many retries the host's router has made, if it says so.
pub(crate) fn made(response: &impl Response) -> Option<u64> {
    response.attempts().map(|all| all.saturating_sub(1))
}

/// Response code details of a response to a retry, for access logs.
pub(crate) const DETAILS: &str = "spillway_retry";

/// Envoy's response flags of attempts without a response.
mod flag {
    /// UF: no connection.
    pub(super) const NO_CONNECTION: u64 = 0x20;
    /// LR, UR, UC: the connection or the stream was reset.
    pub(super) const RESET: u64 = 0x8 | 0x10 | 0x40;
}

/// Envoy's details of a stream that the upstream refused.
const REFUSED: &[u8] = b"upstream_reset_before_response_started{remote_refused_stream_reset";

/// Whether a response, or a missing one, causes a retry. Decides like Envoy's router.
pub(crate) fn is_wanted(config: &RetryConfig, response: &impl Response) -> bool {
    let when_limited = config.retry_on.contains(Condition::RateLimited);
    let otherwise = is_failure(config, response);
    // Most responses cause no retry either way, and their headers need not be read.
    if when_limited == otherwise {
        return otherwise;
    }
    match response.header("x-envoy-ratelimited") {
        Some(_) => when_limited,
        None => otherwise,
    }
}

/// Whether a response without `x-envoy-ratelimited` causes a retry.
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
    // The host's own 503. Its flags say why there was no response.
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

/// What the upstream says about retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushback {
    /// Nothing.
    None,
    /// Not before this time has passed.
    After(Span),
    /// Not at all.
    Never,
}

/// Returns what a response says about retries: `grpc-retry-pushback-ms`, in which anything but
/// a number means never (gRFC A6), else `retry-after`.
pub(crate) fn pushback(response: &impl Response) -> Pushback {
    if let Some(value) = response.header("grpc-retry-pushback-ms") {
        let wait = number(value.as_ref()).map(Span::from_ms);
        return wait.map_or(Pushback::Never, Pushback::After);
    }
    hint::read(false, response.status(), response).map_or(Pushback::None, Pushback::After)
}

/// Returns how long to wait before a retry. The first has the number 0.
pub(crate) fn backoff(config: &BackoffConfig, number: u32, random: &mut Random) -> Span {
    let doubled = 1_u64.checked_shl(number).unwrap_or(u64::MAX);
    let limit = config
        .base_interval
        .scale(doubled, 1)
        .min(config.max_interval);
    Span::from_ns(random.between(0, limit.as_ns()))
}

#[cfg(test)]
mod tests;

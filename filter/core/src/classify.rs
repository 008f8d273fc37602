//! How a request ended: success, failure, or not the upstream's business.
//!
//! The host is asked only for what is in doubt. Almost every request ends with
//! "the upstream answered" and a status; only where the host says something else
//! happened are its flags and its count of attempts looked at. Each question may
//! cost the host a copy into the guest, so [`Response`] is asked lazily.

use alloc::vec::Vec;

use crate::hint;
use crate::policy::{OutcomeRules, SlowUntil};
use crate::snapshot::{Layout, Reader};
use crate::time::{Instant, Span};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The upstream answered well.
    Success,
    /// The upstream failed, or could not be reached.
    Failure,
    /// It says nothing about the upstream.
    Ignored,
}

impl Outcome {
    /// The word for it in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Ignored => "ignored",
        }
    }
}

/// What is concluded about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it took longer than the policy's threshold.
    pub slow: bool,
    /// Whether the host gave up waiting.
    pub timeout: bool,
    /// For how long the upstream asks to be left alone.
    pub hint: Option<Span>,
}

impl Verdict {
    /// A verdict of this outcome, neither slow nor timed out, without a hint.
    pub fn of(outcome: Outcome) -> Verdict {
        Verdict {
            outcome,
            slow: false,
            timeout: false,
            hint: None,
        }
    }
}

impl Layout for Verdict {
    fn write(&self, out: &mut Vec<u8>) {
        (self.outcome as u8).write(out);
        self.slow.write(out);
        self.timeout.write(out);
        self.hint.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Verdict> {
        let outcomes = [Outcome::Success, Outcome::Failure, Outcome::Ignored];
        let tag = u8::read(from)?;
        Some(Verdict {
            outcome: outcomes.into_iter().find(|it| *it as u8 == tag)?,
            slow: bool::read(from)?,
            timeout: bool::read(from)?,
            hint: Option::read(from)?,
        })
    }
}

/// What the host knows of the answer. Every answer may be absent, on hosts that
/// do not have it.
pub trait Response {
    /// The HTTP status, absent where there was no answer at all.
    fn status(&self) -> Option<u16>;
    /// Envoy's `response.code_details`.
    fn details(&self) -> Option<impl AsRef<[u8]>>;
    /// Envoy's `response.flags`, 0 where unknown.
    fn flags(&self) -> u64;
    /// Tries at the upstream, as far as the host counts them.
    fn attempts(&self) -> Option<u64>;
    /// The gRPC status of the whole answer, or of its headers while it goes on.
    fn grpc_status(&self) -> Option<u32>;
    /// The host's own measure from the end of the request to the response's headers.
    fn service_time(&self) -> Option<Span>;
    /// A response header or, for gRPC, trailer.
    fn hint_header(&self, name: &str) -> Option<impl AsRef<[u8]>>;
    /// Seconds since 1970, for hints that are dates.
    fn unix_secs(&self) -> u64;
}

/// What was noted about a request on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Whether it speaks gRPC.
    pub grpc: bool,
    /// Whether the client has sent all of it.
    pub request_complete: bool,
    /// When that was; absent where nobody looked at the clock.
    pub request_end: Option<Instant>,
    /// When the response's headers came; absent if they did not, or if nobody looked.
    pub response_start: Option<Instant>,
}

/// Envoy's response flags (`response.flags`, the legacy bit mask) that matter here.
mod flag {
    /// UT and UMSDR: the host's clocks over the upstream ran out.
    pub const TIMEOUT: u64 = 0x4 | 0x8_0000;
    /// LH, UH, UT, LR, UR, UF, UC, UMSDR, UPE, DF: the upstream was at fault.
    pub const UPSTREAM_FAILED: u64 =
        TIMEOUT | 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80_0000 | 0x400_0000;
    /// DC, DPE and DR: the client was gone, broke its protocol, or reset its stream.
    pub const CLIENT_GONE: u64 = 0x4000 | 0x4_0000 | 0x1000_0000;
    pub const STREAM_IDLE: u64 = 0x1_0000;
}

/// Envoy's words for its clocks over a whole stream that set no flag.
const STREAM_CLOCKS: [&[u8]; 2] = [b"max_duration_timeout", b"request_overall_timeout"];

/// Judges a request that has ended, at `now`.
pub fn at_end(
    rules: &Rules<'_>,
    course: &Course,
    response: &impl Response,
    now: Instant,
) -> Verdict {
    judge(rules, course, response, now, true)
}

/// Judges a request by the response's headers, which came at `now`. For gRPC a
/// status that will only come in trailers counts as success so far.
pub fn at_headers(
    rules: &Rules<'_>,
    course: &Course,
    response: &impl Response,
    now: Instant,
) -> Verdict {
    judge(rules, course, response, now, false)
}

/// The part of a policy that judges.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Which answers are failures.
    pub outcome: &'a OutcomeRules,
    /// Strictly longer than this is slow.
    pub slow_threshold: Option<Span>,
    /// Where the clock for slowness stops.
    pub slow_until: SlowUntil,
    /// Whether hints are obeyed at all.
    pub hints: bool,
}

fn judge(
    rules: &Rules<'_>,
    course: &Course,
    response: &impl Response,
    now: Instant,
    ended: bool,
) -> Verdict {
    let status = response.status();
    let (outcome, timeout) = outcome(rules, course, response, status, ended);
    let mut verdict = Verdict {
        timeout,
        ..Verdict::of(outcome.unwrap_or(Outcome::Ignored))
    };
    // A client that had sent all lost patience with an upstream that had all it needed.
    let client_waited = outcome.is_none() && course.request_complete;
    if verdict.outcome != Outcome::Ignored || client_waited {
        verdict.slow = is_slow(rules, course, response, status, now, ended);
    }
    if client_waited && verdict.slow {
        verdict.outcome = Outcome::Success;
    }
    if verdict.outcome == Outcome::Failure && rules.hints {
        verdict.hint = hint::read(course.grpc, status, response);
    }
    verdict
}

/// The outcome, absent where the client went away, and whether the host gave up waiting.
fn outcome(
    rules: &Rules<'_>,
    course: &Course,
    response: &impl Response,
    status: Option<u16>,
    ended: bool,
) -> (Option<Outcome>, bool) {
    let details = response.details();
    let details = details.as_ref().map(AsRef::as_ref);
    let by_status = || answered(rules, course, response, status, ended);
    match details {
        None | Some(b"via_upstream") => return (Some(by_status()), false),
        Some(details) if is_overflow(details) => return (Some(Outcome::Ignored), false),
        Some(_) => {}
    }
    if response.attempts() == Some(0) {
        return (Some(Outcome::Ignored), false);
    }
    let flags = response.flags();
    let timeout = flags & flag::TIMEOUT != 0;
    if flags & flag::CLIENT_GONE != 0 || details.is_some_and(|d| d.starts_with(b"downstream_")) {
        // A status that had already said failure stands, whatever the client did after.
        let failed = !course.grpc && status.is_some() && by_status() == Outcome::Failure;
        return (failed.then_some(Outcome::Failure), false);
    }
    if flags & flag::UPSTREAM_FAILED != 0 {
        return (Some(Outcome::Failure), timeout);
    }
    let clock = details.is_some_and(|d| STREAM_CLOCKS.contains(&d));
    if clock || flags & flag::STREAM_IDLE != 0 {
        // Whose silence it was shows in whether the client had still to send.
        let upstream = course.request_complete;
        let outcome = if upstream {
            Outcome::Failure
        } else {
            Outcome::Ignored
        };
        return (Some(outcome), upstream);
    }
    (Some(by_status()), false)
}

/// The host's own connection limits refused the request.
fn is_overflow(details: &[u8]) -> bool {
    details.starts_with(b"upstream_reset_before_response_started{overflow")
}

/// An answer came from the upstream, or the host says nothing of where it came from.
fn answered(
    rules: &Rules<'_>,
    course: &Course,
    response: &impl Response,
    status: Option<u16>,
    ended: bool,
) -> Outcome {
    let Some(status) = status else {
        return Outcome::Ignored;
    };
    if course.grpc {
        let known = response.grpc_status();
        // A gRPC answer whose status is still to come is always a 200.
        let final_status = ended || status != 200;
        return match known.or_else(|| final_status.then(|| grpc_from_http(status))) {
            None => Outcome::Success,
            Some(code) => grpc_outcome(rules.outcome, code),
        };
    }
    if rules.outcome.ignore_status.contains(status) {
        Outcome::Ignored
    } else if rules.outcome.failure_status.contains(status) {
        Outcome::Failure
    } else {
        Outcome::Success
    }
}

const GRPC_CANCELLED: u32 = 1;
const GRPC_UNKNOWN: u32 = 2;

fn grpc_outcome(rules: &OutcomeRules, code: u32) -> Outcome {
    // gRPC reads a code it does not know as UNKNOWN.
    let code = if code > 16 { GRPC_UNKNOWN } else { code };
    if code == GRPC_CANCELLED {
        Outcome::Ignored
    } else if rules.failure_grpc & 1_u32.wrapping_shl(code) != 0 {
        Outcome::Failure
    } else {
        Outcome::Success
    }
}

/// gRPC's own mapping for an answer without a `grpc-status`
/// (grpc/doc/http-grpc-status-mapping.md).
fn grpc_from_http(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => GRPC_UNKNOWN,
    }
}

/// Whether more than the threshold passed between the end of the request and the
/// response's headers, or its end where the policy says so. A request whose end
/// was not seen is not slow: a slow upload is not a slow service.
fn is_slow(
    rules: &Rules<'_>,
    course: &Course,
    response: &impl Response,
    status: Option<u16>,
    now: Instant,
    ended: bool,
) -> bool {
    let Some(threshold) = rules.slow_threshold else {
        return false;
    };
    let measured = |end: Instant| course.request_end.map(|start| end.since(start));
    let taken = match rules.slow_until {
        SlowUntil::End if ended => measured(now),
        SlowUntil::End => None,
        SlowUntil::Headers => {
            let host = status.and_then(|_| response.service_time());
            host.or_else(|| measured(course.response_start.unwrap_or(now)))
        }
    };
    taken.is_some_and(|taken| taken > threshold)
}

/// Whether a request's content type is gRPC's; gRPC-Web is not, its answers are HTTP.
pub fn is_grpc(content_type: Option<&[u8]>) -> bool {
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

#[cfg(test)]
mod tests;

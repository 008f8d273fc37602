//! How a request ended: success, failure, or not the upstream's business.
//!
//! The host is asked only for what is in doubt. Almost every request ends with
//! "the upstream answered" and a status; only where the host says something else
//! happened are its flags and its count of attempts looked at. Each question may
//! cost the host a copy into the guest, so [`Response`] is asked lazily.

use alloc::vec::Vec;
use core::cell::OnceCell;
use core::ops::RangeInclusive;

use crate::codec::{Encode, Reader};
use crate::exchange::{Deadlines, RequestTiming, Response};
use crate::http_value::{is_grpc, number};
use crate::outcome::hint;
use crate::policy::{Outcome, OutcomeRules, SlowUntil};
use crate::time::{Instant, Span};

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
    #[inline]
    pub fn of(outcome: Outcome) -> Verdict {
        Verdict {
            outcome,
            slow: false,
            timeout: false,
            hint: None,
        }
    }
}

impl Encode for Verdict {
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

/// Envoy's response flags (`response.flags`, the legacy bit mask) that matter here.
mod flag {
    /// DF: the name of the upstream could not be resolved.
    pub const DNS_FAILED: u64 = 0x400_0000;
    /// LH, UH, UF, DF: the upstream was never reached.
    pub const NOT_REACHED: u64 = 0x1 | 0x2 | 0x20 | DNS_FAILED;
    /// UT and UMSDR: the host's timeouts of the upstream expired.
    pub const TIMEOUT: u64 = 0x4 | 0x8_0000;
    /// Those and LR, UR, UC, UPE: the upstream was at fault.
    pub const UPSTREAM_FAILED: u64 = NOT_REACHED | TIMEOUT | 0x8 | 0x10 | 0x40 | 0x80_0000;
    /// DPE: the client broke its protocol.
    pub const CLIENT_PROTOCOL: u64 = 0x4_0000;
    /// DC, DPE and DR: the client was gone, broke its protocol, or reset its stream.
    pub const CLIENT_GONE: u64 = CLIENT_PROTOCOL | 0x4000 | 0x1000_0000;
    pub const STREAM_IDLE: u64 = 0x1_0000;
}

/// Envoy's details of the timeouts by which it rotates streams, however well they do.
const ROTATIONS: [&[u8]; 4] = [
    MAX_DURATION,
    b"request_overall_timeout",
    b"upstream_max_stream_duration_reached",
    b"upstream_per_try_idle_timeout",
];
const MAX_DURATION: &[u8] = b"max_duration_timeout";
const SWITCHING_PROTOCOLS: u16 = 101;

/// Judges a request that has ended, at `now`.
pub fn at_end(
    rules: &Rules<'_>,
    course: &RequestTiming,
    response: &impl Response,
    now: Instant,
) -> Verdict {
    Case::new(rules, course, response, now, true).judge()
}

/// Judges a request by the response's headers, which came at `now`. For gRPC a
/// status that will only come in trailers counts as success so far.
pub fn at_headers(
    rules: &Rules<'_>,
    course: &RequestTiming,
    response: &impl Response,
    now: Instant,
) -> Verdict {
    Case::new(rules, course, response, now, false).judge()
}

/// The part of a policy that judges.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Which responses are failures.
    pub outcome: &'a OutcomeRules,
    /// Strictly longer than this is slow.
    pub slow_threshold: Option<Span>,
    /// Where the clock for slowness stops.
    pub slow_until: SlowUntil,
    /// Whether hints are obeyed at all.
    pub hints: bool,
}

/// One request, and how far its judge has come in asking the host.
struct Case<'a, R> {
    rules: &'a Rules<'a>,
    course: &'a RequestTiming,
    response: &'a R,
    now: Instant,
    ended: bool,
    status: OnceCell<Option<u16>>,
    grpc: OnceCell<bool>,
}

impl<'a, R: Response> Case<'a, R> {
    fn new(
        rules: &'a Rules<'a>,
        course: &'a RequestTiming,
        response: &'a R,
        now: Instant,
        ended: bool,
    ) -> Case<'a, R> {
        Case {
            rules,
            course,
            response,
            now,
            ended,
            status: OnceCell::new(),
            grpc: OnceCell::new(),
        }
    }

    fn judge(&self) -> Verdict {
        let (outcome, timeout) = self.outcome();
        let mut verdict = Verdict {
            timeout,
            ..Verdict::of(outcome.unwrap_or(Outcome::Ignored))
        };
        // A client that had sent all lost patience with an upstream that had all it needed.
        let client_waited = outcome.is_none() && self.course.request_complete;
        if verdict.outcome != Outcome::Ignored || client_waited {
            verdict.slow = self.is_slow();
        }
        if client_waited && verdict.slow {
            verdict.outcome = Outcome::Success;
        }
        if verdict.outcome == Outcome::Failure && self.rules.hints {
            verdict.hint = hint::read(self.is_grpc(), self.status(), self.response);
        }
        verdict
    }

    /// The outcome, None if the client gave up waiting, and whether the host did.
    fn outcome(&self) -> (Option<Outcome>, bool) {
        let details = self.response.details();
        let details = match details.as_ref().map(AsRef::as_ref) {
            None | Some(b"via_upstream") => return (self.by_response(), false),
            Some(details) if is_overflow(details) => {
                return (Some(self.rules.outcome.overflow), false);
            }
            Some(details) => details,
        };
        let attempts = self.response.attempts();
        let flags = self.response.flags();
        if attempts == Some(0) {
            let outcome = match flags & flag::DNS_FAILED {
                0 => Outcome::Ignored,
                _ => Outcome::Failure,
            };
            return (Some(outcome), false);
        }
        if flags & flag::CLIENT_GONE != 0 || details.starts_with(b"downstream_") {
            // To a client that broke its protocol the proxy itself has responded.
            let own = match flags & flag::CLIENT_PROTOCOL {
                0 => &[][..],
                _ => &[400..=599],
            };
            return (self.by_begun(own), false);
        }
        self.by_flags(details, flags)
    }

    /// The outcome of a request that the host ended, or that the upstream broke off.
    fn by_flags(&self, details: &[u8], flags: u64) -> (Option<Outcome>, bool) {
        let complete = self.course.request_complete;
        let rotated = ROTATIONS.contains(&details) || flags & flag::STREAM_IDLE != 0;
        let callers = self.is_callers(details);
        if rotated || callers {
            // With these statuses the proxy itself has responded.
            let begun = self.by_begun(&[408..=408, 504..=504]);
            return match begun {
                Some(_) => (begun, false),
                None if callers => (None, false),
                // Whose silence it was shows in whether the client had still to send.
                None if complete => (Some(Outcome::Failure), true),
                None => (Some(Outcome::Ignored), false),
            };
        }
        if flags & flag::UPSTREAM_FAILED == 0 {
            return (self.by_response(), false);
        }
        if flags & flag::NOT_REACHED == 0 && !complete {
            // Either side may close an upgraded connection; a server is the first to
            // (RFC 6455, 7.1.1). Else the upstream may have refused that very upload.
            let upgraded = self.status() == Some(SWITCHING_PROTOCOLS);
            let outcome = match upgraded {
                true => self.by_begun(&[]),
                false => Some(Outcome::Ignored),
            };
            return (outcome, false);
        }
        (Some(Outcome::Failure), flags & flag::TIMEOUT != 0)
    }

    /// The outcome of the response's headers alone, which is that of a response that the
    /// upstream has not ended; None if there was none, or the proxy's `own`.
    fn by_begun(&self, own: &[RangeInclusive<u16>]) -> Option<Outcome> {
        let status = self.status()?;
        if own.iter().any(|own| own.contains(&status)) {
            return None;
        }
        if !self.is_grpc() {
            return Some(self.by_status(status));
        }
        match self.grpc_status_sent() {
            // The proxy's own response to a gRPC request is a status without a body.
            Some(_) if !own.is_empty() => None,
            Some(code) => Some(self.by_code(code)),
            None => Some(self.by_headers(status)),
        }
    }

    /// The outcome of a response that came from the upstream, or of whose origin the host
    /// says nothing. None if the service ended it at the caller's deadline.
    fn by_response(&self) -> Option<Outcome> {
        if !self.is_grpc() {
            let status = self.status();
            return Some(status.map_or(Outcome::Ignored, |status| self.by_status(status)));
        }
        let Some(code) = self.response.grpc_status() else {
            let Some(status) = self.status() else {
                return Some(Outcome::Ignored);
            };
            return Some(match self.ended {
                true => self.by_code(grpc_from_http(status)),
                false => self.by_headers(status),
            });
        };
        let outcome = self.by_code(code);
        let timely = code != GRPC_DEADLINE_EXCEEDED || outcome != Outcome::Failure;
        (timely || !self.has_passed(|deadlines| deadlines.grpc)).then_some(outcome)
    }

    fn by_status(&self, status: u16) -> Outcome {
        let rules = self.rules.outcome;
        if rules.ignore_status.contains(status) {
            Outcome::Ignored
        } else if rules.failure_status.contains(status) {
            Outcome::Failure
        } else {
            Outcome::Success
        }
    }

    fn by_code(&self, code: u32) -> Outcome {
        // gRPC reads a code it does not know as UNKNOWN.
        let code = if code > 16 { GRPC_UNKNOWN } else { code };
        if code == GRPC_CANCELLED {
            Outcome::Ignored
        } else if self.rules.outcome.failure_grpc & 1_u32.wrapping_shl(code) != 0 {
            Outcome::Failure
        } else {
            Outcome::Success
        }
    }

    /// The outcome of the headers of a gRPC response whose status is still to come. A good
    /// one always begins with 200.
    fn by_headers(&self, status: u16) -> Outcome {
        match status {
            200 => Outcome::Success,
            _ => self.by_code(grpc_from_http(status)),
        }
    }

    fn status(&self) -> Option<u16> {
        *self.status.get_or_init(|| self.response.status())
    }

    /// Whether the call is gRPC: what its request claims, its response has to confirm.
    #[inline]
    fn is_grpc(&self) -> bool {
        let confirmed = || {
            let content_type = self.response.header("content-type");
            is_grpc(content_type.as_ref().map(AsRef::as_ref)) || self.grpc_status_sent().is_some()
        };
        self.course.grpc && *self.grpc.get_or_init(confirmed)
    }

    fn grpc_status_sent(&self) -> Option<u32> {
        let code = number(self.response.header("grpc-status")?.as_ref())?;
        u32::try_from(code).ok()
    }

    /// Whether the deadline that expired, by the host's details, is one that the caller set:
    /// in place of the route's timeouts, or, for gRPC, as a bound on them.
    fn is_callers(&self, details: &[u8]) -> bool {
        match details {
            b"response_timeout" => self.has_passed(|it| it.whole.or(it.grpc)),
            b"upstream_per_try_timeout" => self.has_passed(|it| it.each),
            MAX_DURATION => self.has_passed(|it| it.grpc),
            _ => false,
        }
    }

    /// Whether a deadline of the caller is over, or all but over: timers of others began later,
    /// and a service that knows its deadline may give up before.
    fn has_passed(&self, deadline: impl Fn(&Deadlines) -> Option<Span>) -> bool {
        let deadline = self.course.deadlines.as_deref().and_then(deadline);
        let taken = self.now.since(self.course.started).as_ns();
        deadline.is_some_and(|it| taken.saturating_add(taken / 8) >= it.as_ns())
    }

    /// Whether more than the threshold passed between the end of the request and the
    /// response's headers, or its end where the policy says so. A request whose end
    /// was not seen is not slow: a slow upload is not a slow service. The filter's own
    /// clock measures it: a header that says so may be the upstream's.
    fn is_slow(&self) -> bool {
        let (Some(threshold), Some(start)) = (self.rules.slow_threshold, self.course.request_end)
        else {
            return false;
        };
        let end = match self.rules.slow_until {
            SlowUntil::End if self.ended => self.now,
            SlowUntil::End => return false,
            SlowUntil::Headers => self.course.response_start.unwrap_or(self.now),
        };
        end.since(start) > threshold
    }
}

/// Whether a response is the upstream's own, as far as the host says where it came from.
pub fn is_answered(response: &impl Response) -> bool {
    let details = response.details();
    let details = details.as_ref().map(AsRef::as_ref);
    response.status().is_some() && matches!(details, None | Some(b"via_upstream"))
}

/// The host's own connection limits refused the request.
#[inline]
fn is_overflow(details: &[u8]) -> bool {
    details.starts_with(b"upstream_reset_before_response_started{overflow")
}

const GRPC_CANCELLED: u32 = 1;
const GRPC_UNKNOWN: u32 = 2;
const GRPC_DEADLINE_EXCEEDED: u32 = 4;

/// gRPC's own mapping for a response without a `grpc-status`
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

#[cfg(test)]
mod tests;

//! The outcome of a request: success, failure, or ignored if it says nothing about the upstream.
//!
//! Each call of a [`Response`] may cost the host a copy into the guest, so only what is in doubt
//! is read. Almost every request ends with the detail `via_upstream` and a status. The host's
//! flags and its count of attempts are read only if it reports another detail.

use alloc::vec::Vec;
use core::cell::OnceCell;
use core::ops::RangeInclusive;

use crate::codec::{Encode, Reader};
use crate::exchange::{Deadlines, RequestTiming, Response};
use crate::http_value::{is_grpc, number};
use crate::outcome::hint;
use crate::policy::{Outcome, OutcomeRules, SlowUntil};
use crate::time::{Instant, Span};

mod envoy;
mod grpc;

pub(crate) use envoy::is_answered;

use envoy::{MAX_DURATION, ROTATIONS, flag, is_overflow};

/// The judgement of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    /// Whether it took longer than the policy's threshold.
    pub(crate) slow: bool,
    /// Whether the host timed out.
    pub(crate) timeout: bool,
    /// How long the upstream asks clients to wait.
    pub(crate) hint: Option<Span>,
}

impl Verdict {
    /// Returns a verdict that is neither slow nor timed out and has no hint.
    #[inline]
    pub(crate) fn of(outcome: Outcome) -> Verdict {
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

/// HTTP status of a response that upgrades the connection.
const SWITCHING_PROTOCOLS: u16 = 101;

/// How much earlier than by the filter's clock a host's timer may expire.
const TIMER_SLACK: Span = Span::from_ms(5);

/// Judges a request that has ended, at `now`.
pub(crate) fn at_end(
    rules: &Rules<'_>,
    timing: &RequestTiming,
    response: &impl Response,
    now: Instant,
) -> Verdict {
    Case::new(rules, timing, response, now, true).judge()
}

/// Judges a request by the response's headers, which arrived at `now`. A gRPC status that will
/// only arrive in trailers counts as success so far.
pub(crate) fn at_headers(
    rules: &Rules<'_>,
    timing: &RequestTiming,
    response: &impl Response,
    now: Instant,
) -> Verdict {
    Case::new(rules, timing, response, now, false).judge()
}

/// The part of a policy that judges requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    /// Which responses are failures.
    pub(crate) outcome: &'a OutcomeRules,
    /// A response that takes longer than this is slow.
    pub(crate) slow_threshold: Option<Span>,
    /// Where the measurement of slowness stops.
    pub(crate) slow_until: SlowUntil,
    /// Whether hints are honoured.
    pub(crate) hints: bool,
}

/// One request, and the values that have been read from the host.
struct Case<'a, R> {
    rules: &'a Rules<'a>,
    timing: &'a RequestTiming,
    response: &'a R,
    now: Instant,
    ended: bool,
    status: OnceCell<Option<u16>>,
    grpc: OnceCell<bool>,
}

impl<'a, R: Response> Case<'a, R> {
    fn new(
        rules: &'a Rules<'a>,
        timing: &'a RequestTiming,
        response: &'a R,
        now: Instant,
        ended: bool,
    ) -> Case<'a, R> {
        Case {
            rules,
            timing,
            response,
            now,
            ended,
            status: OnceCell::new(),
            grpc: OnceCell::new(),
        }
    }

    #[inline(never)]
    fn judge(&self) -> Verdict {
        let (outcome, timeout) = self.outcome();
        let mut verdict = Verdict {
            timeout,
            ..Verdict::of(outcome.unwrap_or(Outcome::Ignored))
        };
        // The upstream had the whole request, and the client gave up waiting for the response.
        let client_waited = outcome.is_none() && self.timing.request_complete;
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

    /// Returns the outcome, `None` if the client gave up waiting, and whether the host timed out.
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
            // The proxy itself has responded to a client that broke its protocol.
            let own = match flags & flag::CLIENT_PROTOCOL {
                0 => &[][..],
                _ => &[400..=599],
            };
            return (self.by_begun(own), false);
        }
        self.by_flags(details, flags)
    }

    /// Returns the outcome of a request that the host ended or the upstream reset.
    fn by_flags(&self, details: &[u8], flags: u64) -> (Option<Outcome>, bool) {
        let complete = self.timing.request_complete;
        let rotated = ROTATIONS.contains(&details) || flags & flag::STREAM_IDLE != 0;
        let callers = self.is_callers_deadline(details);
        if rotated || callers {
            // Responses with these statuses are the proxy's own.
            let begun = self.by_begun(&[408..=408, 504..=504]);
            return match begun {
                Some(_) => (begun, false),
                None if callers => (None, false),
                // A stream went silent. If the client had more to send, it was the client.
                None if complete => (Some(Outcome::Failure), true),
                None => (Some(Outcome::Ignored), false),
            };
        }
        if flags & flag::UPSTREAM_FAILED == 0 {
            return (self.by_response(), false);
        }
        if flags & flag::NOT_REACHED == 0 && !complete {
            // Either side may close an upgraded connection, and the server usually closes
            // first (RFC 6455, 7.1.1). Otherwise the upstream may have rejected this upload.
            let upgraded = self.status() == Some(SWITCHING_PROTOCOLS);
            let outcome = match upgraded {
                true => self.by_begun(&[]),
                false => Some(Outcome::Ignored),
            };
            return (outcome, false);
        }
        (Some(Outcome::Failure), flags & flag::TIMEOUT != 0)
    }

    /// Returns the outcome by the response's headers, for a response that the upstream has not
    /// ended. `None` if there is no response, or if it has a status in `own` and so is the
    /// proxy's.
    fn by_begun(&self, own: &[RangeInclusive<u16>]) -> Option<Outcome> {
        let status = self.status()?;
        if own.iter().any(|own| own.contains(&status)) {
            return None;
        }
        if !self.is_grpc() {
            return Some(self.by_status(status));
        }
        match self.grpc_status_sent() {
            // The proxy's own response to a gRPC request has a status and no body.
            Some(_) if !own.is_empty() => None,
            Some(code) => Some(self.by_code(code)),
            None => Some(self.by_headers(status)),
        }
    }

    /// Returns the outcome of a response from the upstream, or of unknown origin. `None` if the
    /// service ended it at the caller's deadline.
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
                true => self.by_code(grpc::from_http(status)),
                false => self.by_headers(status),
            });
        };
        let outcome = self.by_code(code);
        let timely = code != grpc::DEADLINE_EXCEEDED || outcome != Outcome::Failure;
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
        // gRPC treats unknown codes as UNKNOWN.
        let code = if code > 16 { grpc::UNKNOWN } else { code };
        if code == grpc::CANCELLED {
            Outcome::Ignored
        } else if self.rules.outcome.failure_grpc & 1_u32.wrapping_shl(code) != 0 {
            Outcome::Failure
        } else {
            Outcome::Success
        }
    }

    /// Returns the outcome of a gRPC response whose status has not arrived yet. A valid one
    /// always starts with 200.
    fn by_headers(&self, status: u16) -> Outcome {
        match status {
            200 => Outcome::Success,
            _ => self.by_code(grpc::from_http(status)),
        }
    }

    fn status(&self) -> Option<u16> {
        *self.status.get_or_init(|| self.response.status())
    }

    /// Whether the call is gRPC. The request claims it, and the response has to confirm it.
    #[inline]
    fn is_grpc(&self) -> bool {
        let confirmed = || {
            let content_type = self.response.header("content-type");
            is_grpc(content_type.as_ref().map(AsRef::as_ref)) || self.grpc_status_sent().is_some()
        };
        self.timing.grpc && *self.grpc.get_or_init(confirmed)
    }

    fn grpc_status_sent(&self) -> Option<u32> {
        let code = number(self.response.header("grpc-status")?.as_ref())?;
        u32::try_from(code).ok()
    }

    /// Whether the deadline that expired, according to the host's details, is one that the
    /// caller set. It replaces the route's timeouts or, for gRPC, bounds them.
    fn is_callers_deadline(&self, details: &[u8]) -> bool {
        match details {
            b"response_timeout" => self.has_passed(|it| it.whole.or(it.grpc)),
            b"upstream_per_try_timeout" => self.has_passed(|it| it.each),
            MAX_DURATION => self.has_passed(|it| it.grpc),
            _ => false,
        }
    }

    /// Whether a deadline of the caller has passed, or nearly has. A service that knows its
    /// deadline may give up before it. Other timers started later, and a busy host starts its own
    /// by the time at which it last looked at the clock.
    fn has_passed(&self, deadline: impl Fn(&Deadlines) -> Option<Span>) -> bool {
        let deadline = self.timing.deadlines.as_deref().and_then(deadline);
        let taken = self.now.since(self.timing.started).as_ns();
        let nearly = taken
            .saturating_add(taken / 8)
            .saturating_add(TIMER_SLACK.as_ns());
        deadline.is_some_and(|it| nearly >= it.as_ns())
    }

    /// Whether more time than the threshold passed between the end of the request and the
    /// response's headers, or the response's end if the policy says so. A request whose end is
    /// unknown is not slow, because a slow upload is not a slow service. The filter's own clock
    /// measures it, since the upstream may have set any header that states a duration.
    fn is_slow(&self) -> bool {
        let (Some(threshold), Some(start)) = (self.rules.slow_threshold, self.timing.request_end)
        else {
            return false;
        };
        let end = match self.rules.slow_until {
            SlowUntil::End if self.ended => self.now,
            SlowUntil::End => return false,
            SlowUntil::Headers => self.timing.response_start.unwrap_or(self.now),
        };
        end.since(start) > threshold
    }
}

#[cfg(test)]
mod tests;

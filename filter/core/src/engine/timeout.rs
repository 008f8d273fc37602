//! The policy's `timeout`, which the host's router enforces.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::exchange::Request;
use crate::http_value::number;
use crate::time::Span;

use super::decision::HeaderEdit;
use super::policy_state::PolicyState;
use super::ticket::Ticket;

/// The headers by which Envoy's router limits a request, in place of its route's timeout. The
/// second is what an Envoy before this one leaves for the request; the router prefers it if the
/// route has `respect_expected_rq_timeout`.
const LIMITS: [&str; 2] = [
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-expected-rq-timeout-ms",
];

impl PolicyState {
    /// Adds the headers that limit a request to the policy's timeout. A shorter limit that the
    /// request came with stays, and is the caller's. Otherwise the deadline is the policy's, so
    /// that a response after it is a failure.
    pub(super) fn limit_time(
        &self,
        ticket: &mut Ticket,
        request: &impl Request,
        edits: &mut Vec<HeaderEdit>,
    ) {
        let Some(timeout) = self.policy.timeout.filter(|_| ticket.enforced) else {
            return;
        };
        let limits = request.headers(&LIMITS);
        for (name, limit) in LIMITS.into_iter().zip(limits) {
            let first = name == LIMITS[0];
            // Zero is no limit, and the router ignores what is no number.
            let ms = limit.and_then(number).filter(|ms| *ms > 0);
            let is_shorter = ms.is_some_and(|ms| Span::from_ms(ms) <= timeout);
            if is_shorter || !first && limit.is_none() {
                continue;
            }
            if first && let Some(deadlines) = &mut ticket.timing.deadlines {
                deadlines.whole = None;
            }
            edits.push(HeaderEdit::set(name, timeout.as_ms().to_string()));
        }
    }
}

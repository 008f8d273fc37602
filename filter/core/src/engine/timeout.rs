//! The policy's `timeout`, which the host's router enforces.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::exchange::{EXPECTED_TIMEOUT, Request, WHOLE_TIMEOUT, timeout};

use super::decision::HeaderEdit;
use super::policy_state::PolicyState;
use super::ticket::Ticket;

impl PolicyState {
    /// Adds the headers that limit a request to the policy's timeout, in place of the timeout of
    /// its route. A shorter limit that the request came with stays, and is the caller's.
    /// Otherwise the deadline is the policy's, so that a response after it is a failure.
    pub(super) fn limit_time(
        &self,
        ticket: &mut Ticket,
        request: &impl Request,
        edits: &mut Vec<HeaderEdit>,
    ) {
        let Some(limit) = self.policy.timeout.filter(|_| ticket.enforced) else {
            return;
        };
        let ms = limit.as_ms().to_string();
        let deadlines = &mut ticket.timing.deadlines;
        let callers = deadlines.as_ref().and_then(|it| it.whole);
        if callers.is_none_or(|callers| callers > limit) {
            if let Some(deadlines) = deadlines {
                deadlines.whole = None;
            }
            edits.push(HeaderEdit::set(WHOLE_TIMEOUT, ms.clone()));
        }
        // The router prefers this one if the route has `respect_expected_rq_timeout`.
        if let Some(expected) = request.header(EXPECTED_TIMEOUT)
            && timeout(expected).is_none_or(|expected| expected > limit)
        {
            edits.push(HeaderEdit::set(EXPECTED_TIMEOUT, ms));
        }
    }
}

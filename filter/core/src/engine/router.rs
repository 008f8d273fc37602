//! What the host's router is told about a request that passes: how often it may retry, and the
//! policy's `timeout`.
//!
//! The router reads it in the request's headers. Orders are a few words, and their texts are
//! written only when the headers are edited, so that a request needs no allocation for them.

use crate::exchange::timeout;
use crate::exchange::{EACH_TIMEOUT, EXPECTED_TIMEOUT, Request, RequestTiming, WHOLE_TIMEOUT};
use crate::text::{DECIMAL_LEN, decimal};

use super::policy_state::PolicyState;

/// What the host's router is told about a request, for
/// [`Engine::each_edit`](super::Engine::each_edit).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterOrders {
    /// Index of the policy.
    pub(super) policy: usize,
    /// Maximum number of retries. `None` if the request's own headers stand.
    pub(super) max_retries: Option<u32>,
    grpc: bool,
    /// Whether the request has conditions for retries, to which those of the policy are added.
    adds: bool,
    /// Whether the policy's timeout replaces that of the request or its route.
    whole: bool,
    /// Whether it also replaces the time that the caller says it will wait.
    expected: bool,
}

/// Takes the name of a request header, a value, and whether the value is added to the header's
/// other values rather than replacing them.
pub(super) type Edit<'a> = &'a mut dyn FnMut(&str, &[u8], bool);

impl PolicyState {
    /// Returns the orders for a request, of which the router may make `granted` retries;
    /// `None` if they are not decided here. Where the policy's limits replace the caller's,
    /// a response after them is a failure, so the caller's leave `timing`.
    #[inline(never)]
    pub(super) fn orders(
        &self,
        request: &impl Request,
        granted: Option<u32>,
        timing: &mut RequestTiming,
    ) -> RouterOrders {
        let mut orders = RouterOrders {
            policy: self.index,
            max_retries: granted,
            grpc: timing.grpc,
            ..RouterOrders::default()
        };
        let [merged, expected] = request.headers(&[orders.conditions_name(), EXPECTED_TIMEOUT]);
        orders.adds = merged.is_some();
        let timed = self.policy.retry.as_ref().map(|it| it.per_try_timeout);
        if granted > Some(0)
            && timed.flatten().is_some()
            && let Some(deadlines) = &mut timing.deadlines
        {
            deadlines.each = None;
        }
        if let Some(limit) = self.policy.timeout {
            // A shorter limit that the request came with stays, and is the caller's.
            let callers = timing.deadlines.as_ref().and_then(|it| it.whole);
            orders.whole = callers.is_none_or(|callers| callers > limit);
            if orders.whole
                && let Some(deadlines) = &mut timing.deadlines
            {
                deadlines.whole = None;
            }
            // The router prefers this one if the route has `respect_expected_rq_timeout`.
            let is_longer = |value| timeout(value).is_none_or(|expected| expected > limit);
            orders.expected = expected.is_some_and(is_longer);
        }
        orders
    }

    /// Calls `edit` with each header by which the router is told its orders.
    #[inline(never)]
    pub(super) fn each_edit(&self, orders: RouterOrders, edit: Edit<'_>) {
        let mut room = [0; DECIMAL_LEN];
        if let (Some(retries), Some(config)) = (orders.max_retries, &self.policy.retry) {
            let number = decimal(retries.into(), &mut room);
            edit("x-envoy-max-retries", number, false);
            if retries > 0 {
                let words = match orders.grpc {
                    true => &*config.grpc_retry_on,
                    false => config.retry_on.words(),
                };
                edit(orders.conditions_name(), words.as_bytes(), orders.adds);
                if let Some(each) = config.per_try_timeout {
                    edit(EACH_TIMEOUT, decimal(each.as_ms(), &mut room), false);
                }
            }
        }
        if let Some(limit) = self.policy.timeout {
            let ms = decimal(limit.as_ms(), &mut room);
            for (name, is_set) in [
                (WHOLE_TIMEOUT, orders.whole),
                (EXPECTED_TIMEOUT, orders.expected),
            ] {
                if is_set {
                    edit(name, ms, false);
                }
            }
        }
    }
}

impl RouterOrders {
    /// The header that says what is retried.
    fn conditions_name(self) -> &'static str {
        match self.grpc {
            true => "x-envoy-retry-grpc-on",
            false => "x-envoy-retry-on",
        }
    }
}

//! What a policy needs of each request, found out once per configuration.

use crate::policy::{Mode, Policy, RetryEngine, WHOLE_BP};
use crate::shared::key;

/// What a policy needs of a request that passes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    /// Whether it looks at the response's headers.
    pub(super) response: bool,
    /// Whether fields of the request are echoed once the response is there.
    pub(super) echo: bool,
    /// Whether it may send a copy of the request to another cluster.
    pub(super) copy: bool,
    /// Whether the adapter may have to do something about any request that passes.
    pub(super) instructions: bool,
    /// What it does with stored responses.
    pub(super) stale: Option<StaleNeeds>,
    /// Number of slots for its keys.
    pub(super) capacity: u32,
    /// Whether its requests count as slow before they end.
    pub(super) early: bool,
    /// Whether the short path can serve a request that passes its closed circuit.
    pub(super) short: bool,
}

/// What a policy does with stored responses.
#[derive(Clone, Copy, Debug)]
pub(super) struct StaleNeeds {
    /// Hash of its name, of what its keys are made of, and of the parameters that it ignores.
    pub(super) policy: u64,
    /// Whether it may answer with one after the request passed, or after a rejection that
    /// comes later.
    pub(super) gives_later: bool,
}

impl Needs {
    pub(super) fn of(policy: &Policy, capacity: u32) -> Needs {
        let (echo, copy) = (policy.echoes_request_later(), policy.asks_cluster_later());
        let response = policy.wants_response();
        let instructions = echo || copy || policy.retry.is_some() || policy.timeout.is_some();
        let certain = match policy.mode {
            Mode::Enforce => policy.enforce_bp == WHOLE_BP,
            Mode::Shadow => true,
            Mode::Disabled | Mode::ForcedOpen | Mode::ForcedClosed => false,
        };
        let breaker = &policy.breaker;
        let by_filter = |engine| engine == RetryEngine::Filter;
        let saves = echo || copy || policy.retry.as_ref().is_some_and(|it| by_filter(it.engine));
        let at_end = !policy.judges_at_headers();
        Needs {
            capacity,
            response,
            echo,
            copy,
            instructions,
            short: certain && breaker.enabled && !saves && at_end,
            stale: policy.keeps_answers().then(|| StaleNeeds {
                policy: policy.ignored_query().iter().fold(
                    key::hash(key::hash_parts(&policy.key), policy.name.as_bytes()),
                    |hash, name| key::hash(hash, name.as_bytes()),
                ),
                gives_later: policy.gives_stale_later(),
            }),
            // Only a rule for slow requests makes them count early.
            early: breaker.effective_slow_rate_bp() > 0,
        }
    }
}

//! What a policy needs of each request, found out once per configuration.

use super::waiting;
use crate::keys;
use crate::policy::Policy;

/// What a policy needs of a request that passes, and what it is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    /// A look at the response's headers.
    pub(super) response: bool,
    /// What the request says, once the response is there.
    pub(super) echo: bool,
    /// A copy of the request.
    pub(super) copy: bool,
    /// That responses are stored.
    pub(super) storing: Option<Stores>,
    /// How many slots it has for keys.
    pub(super) capacity: u32,
    /// That they count as slow before they end.
    pub(super) early: bool,
}

/// What a policy does with stored responses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stores {
    /// Its name and what its keys are made of, as a hash.
    pub(super) policy: u64,
    /// Whether it may give one to a request that passed, or was not let through.
    pub(super) gives_later: bool,
}

impl Needs {
    pub(super) fn of(policy: &Policy, capacity: u32) -> Needs {
        Needs {
            capacity,
            response: policy.wants_response(),
            echo: policy.echoes_request_later(),
            copy: policy.asks_cluster_later(),
            storing: policy.keeps_answers().then(|| Stores {
                policy: keys::hash(keys::make_of(&policy.key), policy.name.as_bytes()),
                gives_later: policy.gives_stale_later(),
            }),
            early: waiting::counts_early(policy),
        }
    }
}

//! Names of what a fallback did, and of why it did nothing.

use crate::policy::FallbackType;
use crate::retry::Denial;

/// Source of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A fixed response of the policy.
    Respond,
    /// The stale cache.
    Stale,
    /// Another cluster.
    Cluster,
    /// Another route.
    Route,
    /// The default for rejections.
    Default,
}

impl Kind {
    /// Returns its name in labels and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Respond => "respond",
            Kind::Stale => "stale",
            Kind::Cluster => "cluster",
            Kind::Route => "route",
            Kind::Default => "default",
        }
    }

    /// Returns the kind of an entry.
    pub fn of(entry: &FallbackType) -> Kind {
        match entry {
            FallbackType::Respond(_) => Kind::Respond,
            FallbackType::Stale(_) => Kind::Stale,
            FallbackType::Cluster(_) => Kind::Cluster,
            FallbackType::Route(_) => Kind::Route,
        }
    }
}

/// Why an entry was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// The stale cache has no response that this request may receive.
    NotKept,
    /// The request's body is incomplete, or was not saved.
    RequestBody,
    /// The request could not be saved: all saved requests together use `limits.copies_bytes`.
    CopiesFull,
    /// A call cannot carry the request: it is gRPC, has trailers, is an upgrade, or is not
    /// UTF-8.
    RequestShape,
    /// The response cannot be passed on: it has trailers, or more bytes than
    /// `limits.replay_answer_bytes`.
    AnswerShape,
    /// The other cluster failed.
    Failure,
    /// The host has no such cluster, no endpoint in it, or makes no calls.
    Host,
}

impl Skip {
    /// Returns why no other cluster is asked about a request that could not be saved.
    pub fn without_copy(denial: Denial) -> Skip {
        match denial {
            Denial::RequestBody => Skip::RequestBody,
            Denial::CopiesFull => Skip::CopiesFull,
            Denial::AnswerShape => Skip::AnswerShape,
            Denial::RequestShape => Skip::RequestShape,
            _ => Skip::Host,
        }
    }

    /// Returns its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Skip::NotKept => "not_kept",
            Skip::RequestBody => "request_body",
            Skip::CopiesFull => "copies_full",
            Skip::RequestShape => "request_shape",
            Skip::AnswerShape => "answer_shape",
            Skip::Failure => "failure",
            Skip::Host => "host",
        }
    }
}

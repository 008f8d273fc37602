//! The answers that are made here, for a request that the upstream will not, or could
//! not, answer.
//!
//! Which entry of a policy has its turn is the engine's to say; this is what a fixed answer,
//! and the default for rejections, are. What callers sent may stand in an answer only
//! through a [`Template`], which escapes it for the place where it stands.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::circuit::breaker::StateName;
use crate::policy::template::{Values, grpc_message};
use crate::policy::{FallbackType, On, Policy, Respond};
use crate::retry::Denial;
use crate::time::Span;

mod accept;
mod details;
mod in_place;

/// An answer to be sent in place of the upstream's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, and values without control characters.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body; empty for gRPC.
    pub body: Vec<u8>,
    /// The gRPC status, for gRPC requests only. It is among the headers too, with its
    /// message: the host writes it only for clients that sent gRPC themselves, and not for
    /// those for whom a filter in front translates.
    pub grpc_status: Option<u8>,
    /// What access logs show as response code details.
    pub details: &'static str,
    /// What it was made for.
    pub on: On,
    /// How it was made.
    pub kind: Kind,
}

/// How an answer was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It is the fixed one of an entry.
    Respond,
    /// It is the last good one.
    Stale,
    /// Another cluster gave it.
    Cluster,
    /// The request went elsewhere.
    Route,
    /// It is the default for rejections.
    Default,
}

impl Kind {
    /// The word for it in labels and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Respond => "respond",
            Kind::Stale => "stale",
            Kind::Cluster => "cluster",
            Kind::Route => "route",
            Kind::Default => "default",
        }
    }

    /// The kind of an entry.
    pub fn of(entry: &FallbackType) -> Kind {
        match entry {
            FallbackType::Respond(_) => Kind::Respond,
            FallbackType::Stale(_) => Kind::Stale,
            FallbackType::Cluster(_) => Kind::Cluster,
            FallbackType::Route(_) => Kind::Route,
        }
    }
}

/// Why an entry that has its turn gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// Nothing is kept that this request may have.
    NotKept,
    /// The request's body is not all there, or there is no copy of it.
    RequestBody,
    /// There is no copy of the request: all copies together take `limits.copies_bytes`.
    CopiesFull,
    /// The request has something that a call cannot carry: gRPC, trailers, an upgrade, what
    /// is no text.
    RequestShape,
    /// The answer has something that cannot be handed on: trailers, or more bytes than
    /// `limits.replay_answer_bytes`.
    AnswerShape,
    /// The other cluster failed.
    Failure,
    /// The host has no such cluster, nobody in it, or makes no calls.
    Host,
}

impl Skip {
    /// Why no other cluster is asked for a request of which there is no copy for this reason.
    pub fn without_copy(denial: Denial) -> Skip {
        match denial {
            Denial::RequestBody => Skip::RequestBody,
            Denial::CopiesFull => Skip::CopiesFull,
            Denial::AnswerShape => Skip::AnswerShape,
            Denial::RequestShape => Skip::RequestShape,
            _ => Skip::Host,
        }
    }

    /// The word for it in metrics.
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

/// Why, and about what, an answer is made.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// What happened.
    pub on: On,
    /// The circuit's state as the request met it.
    pub state: StateName,
    /// When the circuit may let requests through again.
    pub retry_after: Span,
    /// Whether the client expects gRPC.
    pub grpc: bool,
    /// The request's path with query; empty where it has none.
    pub path: &'a [u8],
    /// The request's `x-request-id`; empty where it has none.
    pub request_id: &'a [u8],
    /// The request's `accept`; empty where it has none.
    pub accept: &'a [u8],
}

impl Occasion<'_> {
    /// Whole seconds a caller should wait: at least one, since a zero invites at once.
    fn wait_secs(&self) -> u64 {
        self.retry_after.as_secs_ceil().max(1)
    }

    /// What access logs show as response code details.
    pub fn details(&self) -> &'static str {
        match (self.on, self.state) {
            (On::Failure, _) => "spillway_failure",
            (On::Timeout, _) => "spillway_timeout",
            (On::Open, StateName::HalfOpen) => "spillway_half_open",
            (On::Open, StateName::Recovering) => "spillway_recovering",
            (On::Open, StateName::ForcedOpen) => "spillway_forced_open",
            (On::Open, _) => "spillway_open",
        }
    }
}

/// The default for rejections.
pub fn default(policy: &Policy, occasion: &Occasion<'_>) -> Answer {
    if occasion.grpc {
        default_grpc(policy, occasion)
    } else {
        default_http(policy, occasion)
    }
}

/// The headers by which callers see that an answer is a fallback; none where the policy
/// wants none.
pub fn labels(policy: &Policy, kind: Kind, state: StateName) -> Vec<(String, Vec<u8>)> {
    let mut headers = Vec::new();
    if policy.label {
        push(&mut headers, "x-circuit-fallback", kind.name());
        push(&mut headers, "x-circuit-state", state.name());
    }
    headers
}

fn push(headers: &mut Vec<(String, Vec<u8>)>, name: &str, value: &str) {
    headers.push((name.into(), value.as_bytes().into()));
}

/// The fixed answer of an entry.
pub fn respond(policy: &Policy, entry: &Respond, occasion: &Occasion<'_>) -> Answer {
    let values = Values {
        policy: &policy.name,
        retry_after: occasion.wait_secs(),
        path: occasion.path,
        request_id: occasion.request_id,
    };
    let mut headers = Vec::new();
    for (name, template) in &entry.headers {
        if !occasion.grpc || &**name != "content-type" {
            headers.push((String::from(&**name), template.fill(&values)));
        }
    }
    let mut body = Vec::new();
    if occasion.grpc {
        let message = entry.grpc_message.fill(&values);
        let own = (headers.iter()).any(|(name, _)| name == details::HEADER);
        if entry.grpc_status != 0 && !own {
            details::push(&mut headers, policy, occasion, entry.grpc_status, &message);
        }
        push_grpc(&mut headers, entry.grpc_status, &message);
    } else if let Some((media, variant)) = accept::choose(&entry.variants, occasion.accept) {
        push(&mut headers, "content-type", media.content_type());
        push(&mut headers, "vary", "accept");
        body = variant.fill(&values);
    } else {
        body = entry.body.fill(&values);
    }
    Answer {
        status: if occasion.grpc {
            GRPC_HTTP_STATUS
        } else {
            entry.status
        },
        headers,
        body,
        grpc_status: occasion.grpc.then_some(entry.grpc_status),
        details: occasion.details(),
        on: occasion.on,
        kind: Kind::Respond,
    }
}

/// 503 with all that keeps callers and their proxies from coming back at once.
fn default_http(policy: &Policy, occasion: &Occasion<'_>) -> Answer {
    let wait = occasion.wait_secs();
    let state = occasion.state.name();
    // A policy's name and a state's need no escaping.
    let body = format!(
        "{{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
         \"detail\":\"The circuit is {state}; try again in {wait} s.\",\
         \"policy\":\"{}\",\"retry_after\":{wait}}}",
        policy.name
    );
    let mut headers = Vec::with_capacity(6);
    push(&mut headers, "content-type", "application/problem+json");
    push(&mut headers, "retry-after", &format!("{wait}"));
    push_restraint(&mut headers);
    Answer {
        status: 503,
        headers,
        body: body.into_bytes(),
        grpc_status: None,
        details: occasion.details(),
        on: occasion.on,
        kind: Kind::Default,
    }
}

/// UNAVAILABLE, with the pushback by which gRPC clients know not to retry (gRFC A6).
fn default_grpc(policy: &Policy, occasion: &Occasion<'_>) -> Answer {
    let mut headers = Vec::with_capacity(5);
    push(&mut headers, "grpc-retry-pushback-ms", "-1");
    push_restraint(&mut headers);
    let message = format!(
        "circuit of policy {} is {}",
        policy.name,
        occasion.state.name()
    );
    push_grpc(&mut headers, UNAVAILABLE, message.as_bytes());
    Answer {
        status: GRPC_HTTP_STATUS,
        headers,
        body: Vec::new(),
        grpc_status: Some(UNAVAILABLE),
        details: occasion.details(),
        on: occasion.on,
        kind: Kind::Default,
    }
}

/// The HTTP status of every gRPC response, whatever its gRPC status is.
const GRPC_HTTP_STATUS: u16 = 200;

/// The gRPC status of the default for rejections.
const UNAVAILABLE: u8 = 14;

/// Adds the status of a gRPC response that is nothing but headers.
fn push_grpc(headers: &mut Vec<(String, Vec<u8>)>, status: u8, message: &[u8]) {
    push(headers, "grpc-status", &format!("{status}"));
    if !message.is_empty() {
        headers.push(("grpc-message".into(), grpc_message(message)));
    }
}

/// Envoy's router does not retry an answer with `x-envoy-ratelimited`, so a
/// rejection does not multiply in the proxies between here and the caller.
fn push_restraint(headers: &mut Vec<(String, Vec<u8>)>) {
    push(headers, "x-envoy-overloaded", "true");
    push(headers, "x-envoy-ratelimited", "true");
}

#[cfg(test)]
mod tests;

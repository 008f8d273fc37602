//! The answer for a request that the upstream will not, or could not, answer.
//!
//! The first entry of the policy that is meant for the occasion answers; on a
//! rejection without such an entry there is a default, and on a failure the
//! upstream's own answer stands. What callers sent may stand in an answer only
//! through a [`Template`], which escapes it for the place where it stands.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::breaker::StateName;
use crate::policy::{On, Policy, Respond};
use crate::time::Span;

mod template;

pub use template::{Escape, Template, Values};

/// An answer to be sent in place of the upstream's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, and values without control characters.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body; for gRPC the message.
    pub body: Vec<u8>,
    /// The gRPC status, for gRPC requests only.
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
    /// By an entry of the policy.
    Respond,
    /// By the default for rejections.
    Default,
}

impl Kind {
    /// The word for it in labels and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Respond => "respond",
            Kind::Default => "default",
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
    /// Whether the request speaks gRPC.
    pub grpc: bool,
    /// The request's path with query; empty where it has none.
    pub path: &'a [u8],
    /// The request's `x-request-id`; empty where it has none.
    pub request_id: &'a [u8],
}

impl Occasion<'_> {
    /// Whole seconds a caller should wait: at least one, since a zero invites at once.
    fn wait_secs(&self) -> u64 {
        self.retry_after.as_secs_ceil().max(1)
    }

    fn details(&self) -> &'static str {
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

/// The answer of `policy` for `occasion`; absent where the upstream's stands.
pub fn answer(policy: &Policy, occasion: &Occasion<'_>) -> Option<Answer> {
    let entry = policy.fallback.iter().find(|e| e.on.contains(occasion.on));
    let mut answer = match (entry, occasion.on) {
        (Some(entry), _) => responded(policy, entry, occasion),
        (None, On::Open) if occasion.grpc => default_grpc(policy, occasion),
        (None, On::Open) => default_http(policy, occasion),
        (None, On::Failure | On::Timeout) => return None,
    };
    if policy.label {
        push(
            &mut answer.headers,
            "x-circuit-fallback",
            answer.kind.name(),
        );
        push(
            &mut answer.headers,
            "x-circuit-state",
            occasion.state.name(),
        );
    }
    Some(answer)
}

fn push(headers: &mut Vec<(String, Vec<u8>)>, name: &str, value: &str) {
    headers.push((name.into(), value.as_bytes().into()));
}

fn responded(policy: &Policy, entry: &Respond, occasion: &Occasion<'_>) -> Answer {
    let values = Values {
        policy: &policy.name,
        retry_after: occasion.wait_secs(),
        path: occasion.path,
        request_id: occasion.request_id,
    };
    let fill = |(name, template): &(_, Template)| {
        let name: &str = <alloc::boxed::Box<str> as AsRef<str>>::as_ref(name);
        (String::from(name), template.fill(&values))
    };
    let body = if occasion.grpc {
        &entry.grpc_message
    } else {
        &entry.body
    };
    Answer {
        status: entry.status,
        headers: entry
            .headers
            .iter()
            .filter(|(name, _)| !occasion.grpc || &**name != "content-type")
            .map(fill)
            .collect(),
        body: body.fill(&values),
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
    Answer {
        status: 503,
        headers,
        body: message.into_bytes(),
        grpc_status: Some(14),
        details: occasion.details(),
        on: occasion.on,
        kind: Kind::Default,
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

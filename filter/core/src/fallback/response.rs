//! Fixed responses, and the default for rejections.
//!
//! What a client sent appears in a response only through a
//! [`Template`](crate::policy::template::Template), which escapes it for its place.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::kind::Kind;
use super::occasion::Occasion;
use super::{accept, details};
use crate::circuit::breaker::StateName;
use crate::headers::Pairs;
use crate::policy::template::{Values, grpc_message};
use crate::policy::{On, Policy, Respond};

/// A response that replaces the upstream's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackResponse {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, and values without control characters.
    pub headers: Pairs,
    /// The body; empty for gRPC.
    pub body: Vec<u8>,
    /// The gRPC status, for gRPC requests only. It is also among the headers, with its message:
    /// the host adds it only for clients that speak gRPC themselves, not for those for whom a
    /// filter in front translates.
    pub grpc_status: Option<u8>,
    /// Response code details for access logs.
    pub details: &'static str,
    /// The event that it is for.
    pub on: On,
    /// Its source.
    pub kind: Kind,
}

/// Returns the default for rejections.
pub(crate) fn default(policy: &Policy, occasion: &Occasion<'_>) -> FallbackResponse {
    if occasion.grpc {
        default_grpc(policy, occasion)
    } else {
        default_http(policy, occasion)
    }
}

/// Returns the headers that mark a response as a fallback, none if the policy turns them off.
pub(crate) fn labels(policy: &Policy, kind: Kind, state: StateName) -> Pairs {
    let mut headers = Vec::new();
    if policy.label {
        push(&mut headers, "x-circuit-fallback", kind.name());
        push(&mut headers, "x-circuit-state", state.name());
    }
    headers
}

pub(super) fn push(headers: &mut Pairs, name: &str, value: &str) {
    headers.push((name.into(), value.as_bytes().into()));
}

/// Returns the fixed response of an entry.
pub(crate) fn respond(
    policy: &Policy,
    entry: &Respond,
    occasion: &Occasion<'_>,
) -> FallbackResponse {
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
    FallbackResponse {
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

/// Returns a 503, with the headers that keep clients and proxies from retrying at once.
fn default_http(policy: &Policy, occasion: &Occasion<'_>) -> FallbackResponse {
    let wait = occasion.wait_secs();
    let state = occasion.state.name();
    // The names of policies and states need no escaping.
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
    FallbackResponse {
        status: 503,
        headers,
        body: body.into_bytes(),
        grpc_status: None,
        details: occasion.details(),
        on: occasion.on,
        kind: Kind::Default,
    }
}

/// Returns UNAVAILABLE, with the pushback that tells gRPC clients not to retry (gRFC A6).
fn default_grpc(policy: &Policy, occasion: &Occasion<'_>) -> FallbackResponse {
    let mut headers = Vec::with_capacity(5);
    push(&mut headers, "grpc-retry-pushback-ms", "-1");
    push_restraint(&mut headers);
    let message = format!(
        "circuit of policy {} is {}",
        policy.name,
        occasion.state.name()
    );
    push_grpc(&mut headers, UNAVAILABLE, message.as_bytes());
    FallbackResponse {
        status: GRPC_HTTP_STATUS,
        headers,
        body: Vec::new(),
        grpc_status: Some(UNAVAILABLE),
        details: occasion.details(),
        on: occasion.on,
        kind: Kind::Default,
    }
}

/// HTTP status of every gRPC response, whatever its gRPC status is.
const GRPC_HTTP_STATUS: u16 = 200;

/// gRPC status of the default for rejections.
const UNAVAILABLE: u8 = 14;

/// Adds the status and the message of a gRPC response that consists of headers only.
fn push_grpc(headers: &mut Pairs, status: u8, message: &[u8]) {
    push(headers, "grpc-status", &format!("{status}"));
    if !message.is_empty() {
        headers.push(("grpc-message".into(), grpc_message(message)));
    }
}

/// Adds headers that stop retries. Envoy's router does not retry a response with
/// `x-envoy-ratelimited`, so proxies in front of this one do not multiply a rejection.
fn push_restraint(headers: &mut Pairs) {
    push(headers, "x-envoy-overloaded", "true");
    push(headers, "x-envoy-ratelimited", "true");
}

#[cfg(test)]
mod tests;

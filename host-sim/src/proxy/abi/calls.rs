//! HTTP calls of plugins to clusters. They belong to the root context.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::guest::{Guest, HostcallResult};
use super::pairs;
use crate::headers::HeaderMap;
use crate::proxy::ids::CallId;
use crate::proxy::process::call::{Call, CallKind, ClusterState, OpenCall};
use crate::proxy::process::effect::Effect;
use crate::proxy::vm::{Deferred, Status, VmState};

/// Headers that the request of a plugin must have.
const REQUIRED: [&[u8]; 3] = [b":path", b":method", b":authority"];

#[allow(clippy::too_many_arguments, reason = "the ABI has that many")]
pub(crate) fn http(
    guest: &mut Guest<'_>,
    cluster: u32,
    cluster_len: u32,
    headers: u32,
    headers_len: u32,
    body: u32,
    body_len: u32,
    trailers: u32,
    trailers_len: u32,
    timeout_ms: u32,
    token_out: u32,
) -> HostcallResult {
    let places = [
        (cluster, cluster_len),
        (headers, headers_len),
        (body, body_len),
        (trailers, trailers_len),
    ];
    let ([cluster, headers, body, trailers], _) = guest.slices(places)?;
    let request = Request {
        kind: CallKind::Http,
        cluster: cluster.into(),
        headers: host_to_authority(&pairs::to_map(&pairs::decode(headers))),
        body: Bytes::copy_from_slice(body),
        trailers: pairs::to_map(&pairs::decode(trailers)),
        timeout_ms,
    };
    guest.write_u32(token_out, 0)?;
    let sent = send_http(guest.state(), request);
    guest.write_u32(token_out, sent.token)?;
    sent.result
}

/// A request of a plugin.
pub(super) struct Request {
    pub kind: CallKind,
    pub cluster: Vec<u8>,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
    pub timeout_ms: u32,
}

struct Sent {
    token: u32,
    result: HostcallResult,
}

fn send_http(state: &mut VmState, mut request: Request) -> Sent {
    let refused = |status| Sent {
        token: 0,
        result: Err(status),
    };
    let timeout_is_negative = i32::try_from(request.timeout_ms).is_err();
    let is_known = state
        .process
        .clusters
        .contains_key(request.cluster.as_slice());
    let is_complete = REQUIRED
        .iter()
        .all(|name| request.headers.value(name).is_some());
    if timeout_is_negative || !is_known || !is_complete {
        return refused(Status::BadArgument);
    }
    if !request.body.is_empty() {
        request
            .headers
            .replace(b"content-length", request.body.len().to_string().as_bytes());
    }
    match send(state, request) {
        Ok(token) => Sent {
            token,
            result: Ok(()),
        },
        Err(status) => refused(status),
    }
}

/// Adds the headers that Envoy gives to every call of a plugin.
fn mark(request: &mut Request) {
    let headers = &mut request.headers;
    headers.replace(b":scheme", b"http");
    headers.replace(b"x-envoy-internal", b"true");
    if request.timeout_ms > 0 {
        let timeout = request.timeout_ms.to_string();
        headers.replace(b"x-envoy-expected-rq-timeout-ms", timeout.as_bytes());
    }
}

/// Sends a request that passed the checks of its kind. Returns its token.
pub(super) fn send(state: &mut VmState, mut request: Request) -> Result<u32, Status> {
    mark(&mut request);
    let root = state.subject_root().ok_or(Status::BadArgument)?;
    let token = state.next_token(request.kind);
    let cluster_state = state.process.clusters.get(request.cluster.as_slice());
    if cluster_state != Some(&ClusterState::Ready) {
        if request.kind != CallKind::Http {
            state.deferred.push_back(Deferred::Refused { root, token });
        }
        return Err(Status::InternalFailure);
    }
    let stream = state.subject_stream();
    let vm = state.setup.id;
    let process = &mut *state.process;
    process.last_call += 1;
    let call = CallId::new(process.last_call);
    let kind = request.kind;
    let open = OpenCall {
        vm,
        root,
        token,
        kind,
        closed_here: false,
        closed_there: false,
    };
    process.calls.insert(call, open);
    process.effects.push_back(Effect::Call(Call {
        call,
        stream,
        worker: vm.thread,
        kind,
        cluster: Rc::from(&*String::from_utf8_lossy(&request.cluster)),
        headers: request.headers,
        body: request.body,
        trailers: request.trailers,
        timeout: (request.timeout_ms > 0)
            .then(|| Duration::from_millis(u64::from(request.timeout_ms))),
    }));
    state.calls.insert(token, call);
    Ok(token)
}

/// Moves `host` to `:authority`, as Envoy stores both in one header.
fn host_to_authority(headers: &HeaderMap) -> HeaderMap {
    let mut map = headers.clone();
    if let Some(host) = headers.value(b"host") {
        map.remove(b"host");
        map.replace(b":authority", host);
    }
    map
}

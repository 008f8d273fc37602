//! Decisions put into hostcalls.
//!
//! A host may refuse each of them. Without a note, a label or an edited header a request is
//! still served, so those refusals are ignored; that a response was refused is counted.

use proxy_wasm::types::Action;
use spillway_core::engine::{DecisionNote, Reply};
use spillway_core::{FallbackResponse, Pairs};

use crate::host::{self, Buffer, Map, Status};
use crate::runtime::Runtime;

/// Publishes a decision in the filter state, for access logs.
pub(crate) fn publish(note: Option<&DecisionNote>) {
    if let Some(note) = note {
        let _ = host::set_property("spillway", note.text().as_bytes());
    }
}

/// Sets a header of the request, or adds a value to it.
pub(crate) fn edit(name: &str, value: &[u8], adds: bool) {
    let _ = match adds {
        true => host::add_header(Map::RequestHeaders, name, value),
        false => host::set_header(Map::RequestHeaders, name, value),
    };
}

/// Puts headers on the response, in place of any of their names.
pub(crate) fn label(labels: &Pairs) {
    for (name, value) in labels {
        let _ = host::set_header(Map::ResponseHeaders, name, value);
    }
}

/// Replaces all headers of the response.
pub(crate) fn replace(headers: &Pairs) -> Result<(), Status> {
    host::set_headers(Map::ResponseHeaders, headers)
}

/// Replaces the response's body, of which `size` bytes are in the host's buffer.
pub(crate) fn replace_body(runtime: &Runtime, size: usize, body: &[u8]) {
    runtime.is_taken(host::set_front(Buffer::ResponseBody, size, body));
}

/// Removes the response's trailers.
pub(crate) fn remove_trailers() {
    let _ = host::set_headers(Map::ResponseTrailers, &[]);
}

/// Sends a local reply, or returns false if the host refuses.
pub(crate) fn reply(runtime: &Runtime, reply: &Reply) -> bool {
    runtime.is_taken(host::send_local_response(
        reply.status,
        reply.details,
        &reply.headers,
        &reply.body,
        reply.grpc_status,
    ))
}

/// Sends a fallback response as a local reply, or returns false if the host refuses.
pub(crate) fn respond(runtime: &Runtime, reply: &FallbackResponse) -> bool {
    runtime.is_taken(host::send_local_response(
        reply.status,
        reply.details,
        &reply.headers,
        &reply.body,
        reply.grpc_status,
    ))
}

/// Sends a local reply that only has a status, or returns false if the host refuses.
pub(crate) fn reply_status(runtime: &Runtime, status: u16, details: &str) -> bool {
    runtime.is_taken(host::send_local_response(status, details, &[], &[], None))
}

/// Ends a stream whose request the host has lost a part of.
pub(crate) fn fail(runtime: &Runtime) {
    let reporter = &runtime.reporter;
    reporter.internal_error("the body of a request is lost");
    let _ = host::send_local_response(503, "spillway_error", &[], &[], None);
}

/// What a callback returns, by whether its stream stays paused.
pub(crate) fn action(paused: bool) -> Action {
    if paused {
        Action::Pause
    } else {
        Action::Continue
    }
}

/// Resumes the request of the current stream, or its response.
pub(crate) fn resume(runtime: &Runtime, request: bool) {
    let resumed = if request {
        host::continue_request()
    } else {
        host::continue_response()
    };
    if resumed.is_err() {
        let reporter = &runtime.reporter;
        reporter.internal_error("the host does not resume a stream");
    }
}

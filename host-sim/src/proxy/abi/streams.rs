//! Resuming and closing streams, and local replies. All of it takes effect once the callback
//! has returned.

use bytes::Bytes;

use super::guest::{Guest, HostcallResult};
use super::pairs;
use crate::proxy::stream::half::Side;
use crate::proxy::stream::reply::LocalReply;
use crate::proxy::vm::{Deferred, Status};

const REQUEST: u32 = 0;
const RESPONSE: u32 = 1;
const DOWNSTREAM: u32 = 2;
const UPSTREAM: u32 = 3;

const CLOSED_DETAILS: &str = "wasm_close_stream";
/// The highest status code of gRPC.
const GRPC_STATUS_MAX: u32 = 16;

pub(crate) fn resume(guest: &mut Guest<'_>, kind: u32) -> HostcallResult {
    let state = guest.state();
    let stream = state.subject_stream();
    match (kind, stream) {
        (REQUEST, Some(stream)) => state.deferred.push_back(Deferred::ContinueRequest(stream)),
        (RESPONSE, Some(stream)) => state.deferred.push_back(Deferred::ContinueResponse(stream)),
        (REQUEST | RESPONSE, None) => {}
        // Directions of TCP streams, which do not exist here.
        (DOWNSTREAM, _) => return Ok(()),
        (UPSTREAM, _) => return Err(Status::Unimplemented),
        _ => return Err(Status::BadArgument),
    }
    // Whichever direction resumes, Envoy hides the request's maps.
    if let Some(stream) = guest.stream() {
        stream.half_mut(Side::Request).hide();
    }
    Ok(())
}

pub(crate) fn close(guest: &mut Guest<'_>, kind: u32) -> HostcallResult {
    match kind {
        REQUEST | RESPONSE => {}
        DOWNSTREAM | UPSTREAM => return Ok(()),
        _ => return Err(Status::BadArgument),
    }
    if let Some(stream) = guest.stream() {
        if stream.info.details.is_empty() {
            stream.info.details = CLOSED_DETAILS.into();
        }
        let state = guest.state();
        let stream = state.subject_stream();
        state.deferred.extend(stream.map(Deferred::Close));
    }
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "the ABI has that many")]
pub(crate) fn reply(
    guest: &mut Guest<'_>,
    code: u32,
    details: u32,
    details_len: u32,
    body: u32,
    body_len: u32,
    headers: u32,
    headers_len: u32,
    grpc_status: i32,
) -> HostcallResult {
    let places = [
        (details, details_len),
        (body, body_len),
        (headers, headers_len),
    ];
    let ([details, body, headers], state) = guest.slices(places)?;
    let owned = |(name, value): &(&[u8], &[u8])| (name.to_ascii_lowercase(), value.to_vec());
    let reply = LocalReply {
        // Envoy's type of status codes has 16 bits.
        code: code & 0xffff,
        details: without_spaces(details).into(),
        body: Bytes::copy_from_slice(body),
        headers: pairs::decode(headers).iter().map(owned).collect(),
        grpc_status: u32::try_from(grpc_status)
            .ok()
            .filter(|status| *status <= GRPC_STATUS_MAX),
    };
    if let Some(stream) = state.subject_stream() {
        state.deferred.push_back(Deferred::Reply(stream, reply));
    }
    state.stop = true;
    Ok(())
}

/// Replaces spaces, which would split a field of the access log.
fn without_spaces(details: &[u8]) -> String {
    let text = String::from_utf8_lossy(details);
    text.chars()
        .map(|c| if c.is_ascii_whitespace() { '_' } else { c })
        .collect()
}

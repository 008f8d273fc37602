//! gRPC calls of plugins.

use std::rc::Rc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::common::{RESPONSE_MAX, answer, request, within};
use crate::grpc::{UNAVAILABLE, UNKNOWN, failure, status_of_http};
use crate::headers::HeaderMap;
use crate::model::cause::{Details, LocalCause};
use crate::proxy::{Call, CallKind, CallOutcome};
use crate::serve::engine::Engine;
use crate::serve::messages;
use crate::serve::pipe::PipeBody;
use crate::serve::upstream::Upstream;

/// gRPC's INTERNAL: a response that breaks the protocol.
const INTERNAL: u32 = 13;

/// Length of a message's prefix: a byte of flags, and the length.
const PREFIX: usize = 5;

/// Returns a message with its prefix.
pub(super) fn frame(message: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(message);
    framed.freeze()
}

/// Returns what the plugin sees if the call gets no response.
pub(super) fn failed(cause: LocalCause) -> CallOutcome {
    let texts = Details::default();
    let (_, details) = texts.flags_and_details(cause);
    closed(UNAVAILABLE, &failure(&cause.body(false), &details))
}

/// Returns how a call ends by a response of the cluster.
fn ended(status: u32, message: &str) -> CallOutcome {
    closed(status, &failure(message, &Details::default().via_upstream))
}

fn closed(status: u32, message: &str) -> CallOutcome {
    let message = message.into();
    CallOutcome::Closed { status, message }
}

/// Makes a call, and passes its messages to the plugin.
pub(super) async fn call(engine: &Rc<Engine>, upstream: &Upstream, call: &Call, body: PipeBody) {
    let request = request(upstream, call, body);
    let whole = async {
        match upstream.send(request).await {
            Ok(response) => receive(engine, call, response).await,
            Err(why) => failed(why.into()),
        }
    };
    let last = within(call.timeout, whole).await;
    let last = last.unwrap_or_else(|| failed(LocalCause::RouteTimeout));
    answer(engine, call.call, last);
}

/// Receives a response. Returns how it ends.
async fn receive(engine: &Rc<Engine>, call: &Call, response: Response<Incoming>) -> CallOutcome {
    let status = response.status().as_u16();
    if status != 200 {
        return ended(status_of_http(status.into()), "");
    }
    let headers = messages::response(&response);
    if let Some(status) = status_in(&headers) {
        return ended(status, headers.text("grpc-message").unwrap_or_default());
    }
    let is_stream = call.kind == CallKind::GrpcStream;
    if is_stream {
        answer(engine, call.call, CallOutcome::InitialMetadata(headers));
    }
    let (mut body, mut buffer, mut last) = (response.into_body(), BytesMut::new(), None);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return closed(UNAVAILABLE, "upstream reset");
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                let map = frame.into_trailers().unwrap_or_default();
                return end(engine, call, &messages::trailers(&map), last);
            }
        };
        buffer.extend_from_slice(&data);
        while let Some(message) = next_message(&mut buffer) {
            match is_stream {
                true => answer(engine, call.call, CallOutcome::Message(message)),
                false => last = Some(message),
            }
        }
        if buffer.len() > RESPONSE_MAX {
            return closed(INTERNAL, "message too long");
        }
    }
    end(engine, call, &HeaderMap::default(), last)
}

/// Returns how a call with these trailers ends. A unary call gives its message only now.
fn end(
    engine: &Rc<Engine>,
    call: &Call,
    trailers: &HeaderMap,
    message: Option<Bytes>,
) -> CallOutcome {
    let status = status_in(trailers).unwrap_or(UNKNOWN);
    if call.kind == CallKind::GrpcStream {
        let metadata = CallOutcome::TrailingMetadata(trailers.clone());
        answer(engine, call.call, metadata);
    }
    match (call.kind, status, message) {
        (CallKind::Grpc, 0, Some(message)) => CallOutcome::Message(message),
        (CallKind::Grpc, 0, None) => closed(INTERNAL, ""),
        _ => ended(status, trailers.text("grpc-message").unwrap_or_default()),
    }
}

fn status_in(map: &HeaderMap) -> Option<u32> {
    map.text("grpc-status")?.parse().ok()
}

/// Takes a whole message from the front of `buffer`.
fn next_message(buffer: &mut BytesMut) -> Option<Bytes> {
    let mut prefix = buffer.get(1..PREFIX)?;
    let length = prefix.get_u32() as usize;
    if buffer.len() - PREFIX < length {
        return None;
    }
    buffer.advance(PREFIX);
    Some(buffer.split_to(length).freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_once_they_are_whole() {
        let framed = [
            frame(&"one".into()),
            frame(&Bytes::new()),
            frame(&"three".into()),
        ]
        .concat();
        for cut in 0..framed.len() {
            let (mut buffer, mut seen) = (BytesMut::new(), Vec::new());
            for piece in [&framed[..cut], &framed[cut..]] {
                buffer.extend_from_slice(piece);
                seen.extend(std::iter::from_fn(|| next_message(&mut buffer)));
            }
            assert_eq!(seen, ["one", "", "three"], "{cut}");
            assert!(buffer.is_empty());
        }
    }
}

//! HTTP calls of plugins.

use bytes::{Bytes, BytesMut};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::common::{RESPONSE_MAX, request, within};
use crate::headers::HeaderMap;
use crate::model::retry::Reset;
use crate::proxy::{Call, CallOutcome};
use crate::serve::messages;
use crate::serve::pipe::PipeBody;
use crate::serve::upstream::{Failed, Upstream};

/// Makes a call, and returns what the plugin sees.
pub(super) async fn call(upstream: &Upstream, call: &Call, body: PipeBody) -> CallOutcome {
    let request = request(upstream, call, body);
    let whole = async {
        let response = match upstream.send(request).await {
            Ok(response) => response,
            Err(failed) => return failure(failed),
        };
        let headers = messages::response(&response);
        match collect(response).await {
            None => CallOutcome::Reset,
            Some((body, trailers)) => CallOutcome::Response {
                headers,
                body,
                trailers,
            },
        }
    };
    within(call.timeout, whole)
        .await
        .unwrap_or_else(CallOutcome::timed_out)
}

fn failure(failed: Failed) -> CallOutcome {
    match failed {
        Failed::Reset(Reset::ConnectionTermination) => CallOutcome::terminated(),
        Failed::Reset(_) | Failed::Unknown => CallOutcome::refused(),
    }
}

/// Returns the rest of a response. `None` if it is reset, or too long.
async fn collect(response: Response<Incoming>) -> Option<(Bytes, HeaderMap)> {
    let mut incoming = response.into_body();
    let (mut body, mut trailers) = (BytesMut::new(), HeaderMap::default());
    while let Some(frame) = incoming.frame().await {
        match frame.ok()?.into_data() {
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => {
                if let Ok(map) = frame.into_trailers() {
                    trailers = messages::trailers(&map);
                }
            }
        }
        if body.len() > RESPONSE_MAX {
            return None;
        }
    }
    Some((body.freeze(), trailers))
}

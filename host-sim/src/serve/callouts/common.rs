//! What calls of all kinds have in common.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderValue, Request};

use crate::proxy::{Call, CallId, CallKind, CallOutcome};
use crate::serve::engine::Engine;
use crate::serve::messages;
use crate::serve::pipe::PipeBody;
use crate::serve::upstream::Upstream;

/// Longest response that a plugin gets: Envoy's buffer limit.
pub(super) const RESPONSE_MAX: usize = 1024 * 1024;

/// Passes an outcome to the plugin.
pub(super) fn answer(engine: &Rc<Engine>, call: CallId, outcome: CallOutcome) {
    engine.enter(|host| host.answer_call(call, outcome));
}

/// Returns what `work` gives, or `None` if the time is over first. Zero means no limit.
pub(super) async fn within<T>(
    timeout: Option<Duration>,
    work: impl Future<Output = T>,
) -> Option<T> {
    match timeout.filter(|timeout| !timeout.is_zero()) {
        Some(timeout) => tokio::time::timeout(timeout, work).await.ok(),
        None => Some(work.await),
    }
}

/// Builds a request with the headers that Envoy adds to calls.
pub(super) fn request(upstream: &Upstream, call: &Call, body: PipeBody) -> Request<PipeBody> {
    let http2 = upstream.speaks_http2(call.kind != CallKind::Http);
    let mut request = messages::to_upstream(&call.headers, upstream.authority(), http2, body);
    let headers = request.headers_mut();
    headers.insert("x-envoy-internal", HeaderValue::from_static("true"));
    if let Some(timeout) = call.timeout.filter(|timeout| !timeout.is_zero()) {
        let ms = HeaderValue::from(timeout.as_millis() as u64);
        headers.insert("x-envoy-expected-rq-timeout-ms", ms);
    }
    if call.kind == CallKind::Http && !call.body.is_empty() {
        headers.insert("content-length", call.body.len().into());
    }
    request
}

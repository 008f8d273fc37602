//! The upstream's response, on its way to the filter.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};

use super::state::{Attempt, Phase, Response};
use super::{Exchange, Received, ends};
use crate::headers::HeaderMap;
use crate::model::exchange::NEVER;
use crate::model::retry::Reset;
use crate::proxy::Part;
use crate::proxy::stream::info::flag;
use crate::serve::{messages, upstream};
use crate::sim::span::Span;

impl Exchange {
    /// Handles the headers of a response.
    pub(super) fn receive(&mut self, response: Response) {
        self.deadlines.per_try = NEVER;
        let mut map = messages::response(&response);
        let local = upstream::local_address(&response);
        let status = response.status().as_u16();
        let is_bare = self.router.is_head || matches!(status, 204 | 304);
        self.router.http2 = response.version() == http::Version::HTTP_2;
        self.router.has_length = map.value(b"content-length").is_some();
        let incoming = response.into_body();
        let end = is_bare || incoming.is_end_stream();
        let wanted = self.wants_retry(status, &map);
        // This also gives back the permit of the retry that led here.
        if self.schedule_retry(wanted) {
            return;
        }
        if let Some(from) = self.router.complete_at {
            let ms = Span::between(from, self.engine.now()).as_ms();
            let text = ms.to_string();
            map.replace(b"x-envoy-upstream-service-time", text.as_bytes());
        }
        let details = self.site.texts.via_upstream.clone();
        self.inform(|info| {
            info.code = Some(status.into());
            info.details = details;
            info.upstream_local_address = local;
            info.pool_ready = Some(Duration::ZERO);
        });
        self.router.phase = match end {
            true => Phase::Done,
            false => Phase::Streaming,
        };
        self.router.attempt = match end {
            true => Attempt::None,
            false => Attempt::Receiving(incoming),
        };
        if end {
            self.end_request();
        }
        self.pass_response(Part::Headers { map, end });
    }

    fn wants_retry(&self, status: u16, map: &HeaderMap) -> bool {
        let grpc = map.text("grpc-status").and_then(|text| text.parse().ok());
        let is_rate_limited = map.value(b"x-envoy-ratelimited").is_some();
        let plan = self.router.plan.as_ref();
        plan.is_some_and(|plan| plan.retries_response(status, grpc, is_rate_limited))
    }

    /// Takes a part of the response off the connection. `None` is its end.
    pub(super) fn take_from_upstream(&mut self, frame: Option<Result<Frame<Bytes>, hyper::Error>>) {
        let http2 = self.router.http2;
        let part = match frame.map(|frame| frame.map(Received::of)) {
            Some(Err(error)) => return self.handle_break(&error),
            Some(Ok(Received::Body(data))) => {
                let end = match &self.router.attempt {
                    Attempt::Receiving(incoming) => ends(incoming, http2),
                    _ => false,
                };
                Part::Body { data, end }
            }
            Some(Ok(Received::Trailers(map))) if http2 => Part::Trailers { map },
            Some(Ok(Received::Trailers(_))) | None => Part::bare_end(),
        };
        if part.is_end() {
            self.note_latency();
            self.router.phase = Phase::Done;
            self.end_request();
        }
        self.pass_response(part);
    }

    fn note_latency(&self) {
        let (now, complete_at) = (self.engine.now(), self.router.complete_at);
        // Envoy stops an upload that gets an early response, and measures from there.
        let took = complete_at.map_or(Duration::ZERO, |from| now.since(from));
        self.inform(|info| info.backend_latency = Some(took));
    }

    /// Passes a part of the response to the filter.
    pub(super) fn pass_response(&mut self, part: Part) {
        self.reset_idle_timeout();
        let stream = self.stream;
        self.engine.enter(|host| host.response(stream, part));
    }

    /// The upstream ended the response before its end.
    fn handle_break(&mut self, error: &hyper::Error) {
        let texts = &self.site.texts;
        // Without a length, the codec misses the last chunk.
        let is_framed = self.router.http2 || self.router.has_length;
        let (flags, details) = if upstream::reset(error) != Reset::ConnectionTermination {
            (flag::UPSTREAM_REMOTE_RESET, &texts.reset_later)
        } else if is_framed {
            (flag::UPSTREAM_CONNECTION_TERMINATION, &texts.closed)
        } else {
            (flag::UPSTREAM_PROTOCOL_ERROR, &texts.broken)
        };
        let details = details.clone();
        self.router.phase = Phase::Done;
        self.break_response(flags, details);
    }

    /// Resets a response that has begun.
    pub(super) fn break_response(&mut self, flags: u64, details: Rc<str>) {
        self.end_request();
        self.inform(|info| {
            info.flags |= flags;
            info.details = details;
        });
        let stream = self.stream;
        self.engine
            .enter(|host| host.upstream_reset_after_headers(stream));
    }
}

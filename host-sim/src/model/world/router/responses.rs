//! Responses of upstreams, on their way to the filter.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::framing::SWITCHING_PROTOCOLS;
use crate::model::exchange::{Exchange, NEVER, Phase};
use crate::model::keys::ExchangeKey;
use crate::model::response::{GrpcPlace, Response, UpstreamEvent};
use crate::model::retry::Reset;
use crate::model::world::event::Feed;
use crate::model::world::state::World;
use crate::proxy::Part;
use crate::proxy::stream::info::flag;
use crate::record::What;
use crate::sim::span::Span;

impl World {
    /// Handles what comes back from the upstream.
    pub(in crate::model::world) fn handle_upstream_event(
        &mut self,
        key: ExchangeKey,
        cluster: usize,
        event: UpstreamEvent,
    ) {
        match event {
            UpstreamEvent::Response(response) => self.handle_response(key, cluster, response),
            UpstreamEvent::Chunk(number) => self.handle_chunk(key, cluster, number),
            UpstreamEvent::Rest => self.handle_rest(key, cluster),
            UpstreamEvent::Break => self.handle_break(key, cluster),
            UpstreamEvent::Unreachable => self.fail_attempt(key, cluster, Reset::ConnectionTimeout),
            UpstreamEvent::Refused => self.fail_attempt(key, cluster, Reset::ConnectionFailure),
            UpstreamEvent::Reset => self.fail_attempt(key, cluster, Reset::ConnectionTermination),
            UpstreamEvent::Unwritable => self.refuse_request(key, cluster),
            UpstreamEvent::ByProxy(ending) => self.end_by_proxy(key, cluster, ending),
        }
        self.settle_and_arm(key);
    }

    fn handle_response(&mut self, key: ExchangeKey, cluster: usize, response: Response) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let (status, grpc) = (response.status, response.grpc);
        let (request, head) = (exchange.request, exchange.head);
        let note = What::Response {
            request,
            cluster: cluster as u16,
            status,
        };
        self.record.note(self.now, note);
        if status >= 500 || grpc.is_some_and(|(status, _)| status != 0) {
            self.record
                .count(self.now, |tally| tally.clusters[cluster].failures += 1);
        }
        if response.complete {
            exchange.attempt = None;
        }
        exchange.deadlines.per_try = NEVER;
        exchange.deadlines.known = NEVER;
        let parts = &mut self.clusters[cluster].parts;
        let rate_limited = parts.is_rate_limited(&response);
        let in_headers = match grpc {
            Some((status, GrpcPlace::Headers)) => Some(status),
            _ => None,
        };
        let plan = exchange.plan.as_ref();
        let wanted =
            plan.is_some_and(|plan| plan.retries_response(status, in_headers, rate_limited));
        let service_ms = exchange
            .complete_at
            .filter(|_| !self.suppress_envoy_headers);
        let service_ms = service_ms.map(|from| Span::between(from, self.now).as_ms());
        let bare = head || matches!(status, 204 | 304);
        let headers = parts.headers(&response, service_ms, bare);
        if !self.schedule_retry(key, cluster, wanted) {
            self.pass_response(key, cluster, response, headers);
        }
    }

    /// Passes a response to the filter: the headers, and the rest if it is there.
    fn pass_response(
        &mut self,
        key: ExchangeKey,
        cluster: usize,
        response: Response,
        headers: Part,
    ) {
        let Response {
            status,
            grpc,
            complete,
            ..
        } = response;
        let details = self.texts.via_upstream.clone();
        let Some(exchange) = self.set_response_info(key, status, 0, details) else {
            return;
        };
        let ends = headers.is_end();
        exchange.phase = if complete {
            Phase::Done
        } else {
            Phase::Streaming
        };
        if complete {
            exchange.deadlines.drop_router();
        }
        let stream = exchange.stream;
        self.reset_idle_timeout(key);
        if let Some(info) = self.host.info_mut(stream) {
            // Connecting takes no time.
            info.pool_ready = Some(Duration::ZERO);
        }
        self.host.response(stream, headers);
        if !ends && complete {
            let trailer = grpc.map(|(status, _)| status);
            let data = self.clusters[cluster].parts.body().clone();
            self.feed_rest(key, cluster, data, trailer);
        }
    }

    fn handle_chunk(&mut self, key: ExchangeKey, cluster: usize, number: u32) {
        let data = self.clusters[cluster].parts.chunk(number);
        let part = Part::Body { data, end: false };
        self.feeds.push_back(Feed {
            exchange: key,
            part,
            upwards: false,
        });
    }

    fn handle_rest(&mut self, key: ExchangeKey, cluster: usize) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.attempt = None;
        exchange.phase = Phase::Done;
        exchange.deadlines.drop_router();
        let grpc = exchange.grpc;
        let status = self.clusters[cluster].upstream.spec().answer.grpc_status;
        let data = self.clusters[cluster].parts.last_chunk();
        self.feed_rest(key, cluster, data, grpc.then_some(status));
    }

    fn feed_rest(&mut self, exchange: ExchangeKey, cluster: usize, data: Bytes, grpc: Option<u32>) {
        for part in self.clusters[cluster].parts.rest(data, grpc) {
            self.feeds.push_back(Feed {
                exchange,
                part,
                upwards: false,
            });
        }
    }

    fn handle_break(&mut self, key: ExchangeKey, cluster: usize) {
        // An upgraded connection has no codec that could miss the end.
        let upgraded = self.clusters[cluster].upstream.spec().answer.status == SWITCHING_PROTOCOLS;
        let parts = &self.clusters[cluster].parts;
        let (details, flags, data) = match upgraded {
            true => (
                self.texts.closed.clone(),
                flag::UPSTREAM_CONNECTION_TERMINATION,
                parts.last_chunk(),
            ),
            false => (
                self.texts.broken.clone(),
                flag::UPSTREAM_PROTOCOL_ERROR,
                parts.body().clone(),
            ),
        };
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.attempt = None;
        exchange.phase = Phase::Done;
        exchange.deadlines.drop_router();
        exchange.router_details = Some(details.clone());
        let stream = exchange.stream;
        if let Some(info) = self.host.info_mut(stream) {
            info.flags |= flags;
            info.details = details;
        }
        let begun = Part::Body { data, end: false };
        self.host.response(stream, begun);
        self.host.upstream_reset_after_headers(stream);
    }

    /// The filter replaces the response of the upstream with its own.
    pub(in crate::model::world) fn replace_response(&mut self, key: ExchangeKey) {
        self.abandon_request(key);
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.phase = Phase::Replaced;
            exchange.deadlines.drop_router();
        }
    }

    /// Records status, flags and details of the response, and returns the exchange.
    pub(in crate::model::world) fn set_response_info(
        &mut self,
        key: ExchangeKey,
        status: u16,
        flags: u64,
        details: Rc<str>,
    ) -> Option<&mut Exchange> {
        let exchange = self.exchanges.get_mut(key)?;
        exchange.router_details = Some(details.clone());
        if let Some(info) = self.host.info_mut(exchange.stream) {
            info.code = Some(status.into());
            info.flags |= flags;
            info.details = details;
        }
        Some(exchange)
    }
}

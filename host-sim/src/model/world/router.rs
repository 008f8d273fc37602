//! The router: it picks a route, sends attempts and passes on their responses.

mod attempts;
mod responses;

use crate::framing::Reading;
use crate::headers::HeaderMap;
use crate::model::cause::LocalCause;
use crate::model::exchange::{NEVER, Phase};
use crate::model::keys::ExchangeKey;
use crate::model::outgoing::Unwritable;
use crate::model::retry::HEADERS;
use crate::model::spec::UpstreamProtocol;
use crate::model::timeouts::{StreamLimits, is_grpc};
use crate::model::world::state::World;
use crate::proxy::Part;
use crate::record::Failure;
use crate::sim::span::Span;

impl World {
    /// Receives a part of a request from the filter.
    pub(super) fn receive_from_filter(&mut self, key: ExchangeKey, part: Part, rerouted: bool) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let end = part.is_end();
        match (exchange.phase, part) {
            (Phase::Filter, Part::Headers { map, .. }) => {
                if rerouted {
                    self.route_again(key, &map);
                }
                self.begin_request(key, map, end, rerouted);
            }
            (Phase::Trying | Phase::BackingOff | Phase::Streaming, part) => {
                if let Part::Body { data, .. } = &part {
                    let taken = exchange.request_read.take(data);
                    if let Some(transcript) = &mut self.transcript {
                        let request = transcript.request.get_or_insert_default();
                        request.extend_from_slice(&taken);
                    }
                }
                if end {
                    self.complete_request(key);
                    self.complete_upload(key);
                }
            }
            _ => {}
        }
    }

    /// Picks the route again, since the filter has changed headers that decide it.
    fn route_again(&mut self, key: ExchangeKey, map: &HeaderMap) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        // A recording has no route table: its requests stay in their cluster.
        if exchange.fate.is_none() {
            exchange.picked = self.routes.pick(map, &self.names);
        }
        let picked = exchange.picked.as_ref();
        if let Some(info) = self.host.info_mut(exchange.stream) {
            info.route = picked.map(|picked| picked.info.clone());
        }
        if let Some(route) = picked.and_then(|picked| self.routes.at(picked.route)) {
            let limits = StreamLimits::new(route.spec(), map);
            self.limit_stream(key, limits);
        }
    }

    /// Handles the request headers. `end` means that they are the whole request, and `changed` that
    /// the filter may have made them invalid.
    fn begin_request(&mut self, key: ExchangeKey, mut map: HeaderMap, end: bool, changed: bool) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.phase = Phase::Trying;
        exchange.claims_grpc = is_grpc(&map);
        let picked = exchange.picked.as_ref();
        let route = picked.and_then(|picked| self.routes.at(picked.route));
        exchange.plan = route.map(|route| route.plan(&map));
        if exchange.plan.as_ref().is_some_and(|plan| plan.had_headers) {
            self.host.remove_request_headers(exchange.stream, &HEADERS);
            for name in HEADERS {
                map.remove(name.as_bytes());
            }
        }
        exchange.unwritable = Some(&map).filter(|_| changed).and_then(Unwritable::find);
        let cluster = picked.and_then(|picked| picked.cluster);
        let protocol = cluster.map(|cluster| self.clusters[cluster].upstream.spec().protocol);
        // A recording says how its requests ended.
        if exchange.fate.is_none() {
            let is_http2 = protocol == Some(UpstreamProtocol::Http2);
            exchange.request_read = Reading::request(&map, is_http2);
        }
        if let Some(direct) = route.and_then(|route| route.direct()) {
            let (status, body) = (direct.status, direct.body.clone());
            return self.reply_directly(key, status, &body);
        }
        if route.is_none() {
            return self.reply_locally(key, LocalCause::NoRoute);
        }
        let Some(cluster) = cluster else {
            return self.reply_locally(key, LocalCause::NoCluster);
        };
        let upstream = &self.clusters[cluster].upstream;
        exchange.headers = upstream.calls().map(|_| map);
        if upstream.faults.unresolved() {
            self.note_failure(key, cluster, Failure::Unresolved);
            return self.reply_locally(key, LocalCause::Unresolved);
        }
        if end {
            self.complete_request(key);
        }
        self.attempt(key);
    }

    /// The router has the whole request: the route's timeout begins.
    fn complete_request(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.complete_at = Some(self.now);
        let Some(plan) = &exchange.plan else {
            return;
        };
        if plan.timeout > Span::ZERO {
            exchange.deadlines.route = self.now + plan.timeout;
        }
        if exchange.attempt.is_some() && plan.per_try > Span::ZERO {
            exchange.deadlines.per_try = self.now + plan.per_try;
        }
    }

    /// The service has the whole request.
    fn complete_upload(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        // The fault `cut_upload` no longer applies to a complete upload.
        exchange.deadlines.known = NEVER;
        let cluster = exchange.picked.as_ref().and_then(|picked| picked.cluster);
        if let (Some(job), Some(cluster)) = (exchange.attempt, cluster)
            && !self.misreads(key, cluster)
        {
            let upstream = &mut self.clusters[cluster].upstream;
            upstream.complete(job, self.now, &mut self.wakes);
            self.expect_event(key, cluster, job);
            self.flush_wakes(cluster);
        }
        self.arm(key);
    }
}

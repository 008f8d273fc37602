//! The router: routes, attempts, and what comes of them.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::headers::HeaderMap;
use crate::model::exchange::{Exchange, NEVER, Phase};
use crate::model::retry::{HEADERS, Reset};
use crate::model::spec::ATTEMPT_COUNT;
use crate::model::timeouts::{StreamLimits, is_grpc};
use crate::model::upstream::{Answer, Attempt, GrpcPlace, JobKey, Refusal, Reply, SWITCHING};
use crate::model::world::own::Own;
use crate::model::world::{ExchangeKey, Feed, Owner, World};
use crate::proxy::Part;
use crate::proxy::stream::info::flag;
use crate::record::{Failure, What};
use crate::sim::clock::Time;
use crate::sim::span::Span;

impl World {
    /// A part of a request leaves the filter.
    pub(super) fn reach_router(&mut self, key: ExchangeKey, part: Part, rerouted: bool) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let end = part.is_end();
        match (exchange.phase, part) {
            (Phase::Filter, Part::Headers { map, .. }) => {
                if rerouted {
                    self.route_again(key, &map);
                }
                self.begin_request(key, map, end);
            }
            (Phase::Trying | Phase::BackingOff | Phase::Answering, _) if end => {
                self.complete_request(key);
                self.complete_upload(key);
            }
            _ => {}
        }
    }

    /// The filter has changed the headers that the route goes by.
    fn route_again(&mut self, key: ExchangeKey, map: &HeaderMap) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.picked = self.routes.pick(map, &self.names);
        let picked = exchange.picked.as_ref();
        if let Some(info) = self.host.info_mut(exchange.stream) {
            info.route = picked.map(|picked| picked.info.clone());
        }
        if let Some(route) = picked.and_then(|picked| self.routes.at(picked.route)) {
            let limits = StreamLimits::new(route.spec(), map);
            self.limit_stream(key, limits);
        }
    }

    /// The router has the headers, and `end`: all of the request.
    fn begin_request(&mut self, key: ExchangeKey, mut map: HeaderMap, end: bool) {
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
        let cluster = picked.and_then(|picked| picked.cluster);
        if let Some(direct) = route.and_then(|route| route.direct()) {
            let (status, body) = (direct.status, direct.body.clone());
            return self.answer_directly(key, status, &body);
        }
        if route.is_none() {
            return self.answer_by_itself(key, Own::NoRoute);
        }
        let Some(cluster) = cluster else {
            return self.answer_by_itself(key, Own::NoCluster);
        };
        let upstream = &self.clusters[cluster].upstream;
        exchange.headers = upstream.calls().map(|_| map);
        if upstream.faults.unresolved() {
            self.note_failure(key, cluster, Failure::Unresolved);
            return self.answer_by_itself(key, Own::Unresolved);
        }
        if end {
            self.complete_request(key);
        }
        self.attempt(key);
    }

    /// The router has all of the request: the route's time begins.
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

    /// The service has all of the request.
    fn complete_upload(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        // A connection that was to be cut is not any more.
        exchange.deadlines.known = NEVER;
        let cluster = exchange.picked.as_ref().and_then(|picked| picked.cluster);
        if let (Some(job), Some(cluster)) = (exchange.attempt, cluster) {
            let upstream = &mut self.clusters[cluster].upstream;
            upstream.complete(job, self.now, &mut self.wakes);
            self.expect_reply(key, cluster, job);
            self.flush_wakes(cluster);
        }
        self.arm(key);
    }

    /// Notes when something comes of the job, if that is known.
    fn expect_reply(&mut self, key: ExchangeKey, cluster: usize, job: JobKey) {
        let own = |(_, other): &&(Time, _)| *other == job;
        let known = self.wakes.iter().find(own).map(|(at, _)| *at);
        // When a service answers that has to ask another first, nobody knows.
        let known = known.filter(|_| self.clusters[cluster].upstream.calls().is_none());
        if let (Some(exchange), Some(known)) = (self.exchanges.get_mut(key), known) {
            exchange.deadlines.known = known;
        }
    }

    pub(super) fn attempt(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let Some(cluster) = exchange.picked.as_ref().and_then(|picked| picked.cluster) else {
            return;
        };
        let place = &mut self.clusters[cluster];
        exchange.attempts += 1;
        exchange.phase = Phase::Trying;
        exchange.deadlines.backoff = NEVER;
        let (request, nth) = (exchange.request, exchange.attempts);
        let note = What::Attempt {
            request,
            cluster: cluster as u16,
            nth: nth as u16,
        };
        self.record.note(self.now, note);
        let mut headers = exchange.headers.clone();
        if let Some(headers) = headers.as_mut().filter(|_| self.include_attempt_count) {
            headers.replace(ATTEMPT_COUNT.as_bytes(), nth.to_string().as_bytes());
        }
        let attempt = Attempt {
            owner: Owner::Exchange(key),
            grpc: exchange.grpc,
            whole: exchange.complete_at.is_some(),
            headers,
        };
        let begun = place.upstream.begin(attempt, self.now, &mut self.wakes);
        if let Some(info) = self.host.info_mut(exchange.stream) {
            info.attempts = Some(nth.into());
            if matches!(begun, Ok(_) | Err(Refusal::Overflow)) {
                info.upstream_address = Some(place.address.clone());
            }
        }
        match begun {
            Ok(job) => {
                exchange.attempt = Some(job);
                let per_try = exchange
                    .plan
                    .as_ref()
                    .map_or(Span::ZERO, |plan| plan.per_try);
                if per_try > Span::ZERO && exchange.complete_at.is_some() {
                    exchange.deadlines.per_try = self.now + per_try;
                }
                let longest = place.upstream.spec().max_stream_duration;
                if longest > Span::ZERO {
                    exchange.deadlines.attempt = self.now + longest;
                }
                self.expect_reply(key, cluster, job);
                self.record.count(self.now, |tally| {
                    tally.clusters[cluster].attempts += 1;
                    tally.clusters[cluster].retries += u64::from(nth > 1);
                });
                self.flush_wakes(cluster);
                self.arm(key);
            }
            Err(Refusal::NoHealthyHost) => {
                self.note_failure(key, cluster, Failure::NoHealthyHost);
                self.answer_by_itself(key, Own::NoHealthyHost);
            }
            Err(Refusal::Overflow | Refusal::PendingOverflow) => {
                self.record
                    .count(self.now, |tally| tally.clusters[cluster].overflows += 1);
                self.fail_attempt(key, cluster, Reset::Overflow);
            }
        }
    }

    /// Something comes back from the upstream.
    pub(super) fn hear(&mut self, key: ExchangeKey, cluster: usize, reply: Reply) {
        match reply {
            Reply::Answer(answer) => self.hear_answer(key, cluster, answer),
            Reply::Chunk(number) => self.hear_chunk(key, cluster, number),
            Reply::Rest => self.hear_rest(key, cluster),
            Reply::Break => self.hear_break(key, cluster),
            Reply::Unreachable => self.fail_attempt(key, cluster, Reset::ConnectionTimeout),
            Reply::Refused => self.fail_attempt(key, cluster, Reset::ConnectionFailure),
            Reply::Reset => self.fail_attempt(key, cluster, Reset::ConnectionTermination),
        }
        self.settle_and_arm(key);
    }

    fn hear_answer(&mut self, key: ExchangeKey, cluster: usize, answer: Answer) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let Answer {
            status,
            grpc,
            complete,
            healthy,
        } = answer;
        let (request, head) = (exchange.request, exchange.head);
        self.record.note(
            self.now,
            What::Reply {
                request,
                cluster: cluster as u16,
                status,
            },
        );
        if status >= 500 || grpc.is_some_and(|(status, _)| status != 0) {
            self.record
                .count(self.now, |tally| tally.clusters[cluster].failures += 1);
        }
        if complete {
            exchange.attempt = None;
        }
        exchange.deadlines.per_try = NEVER;
        exchange.deadlines.known = NEVER;
        let answers = &mut self.clusters[cluster].answers;
        let rate_limited = healthy && answers.rate_limited;
        let in_headers = match grpc {
            Some((status, GrpcPlace::Headers)) => Some(status),
            _ => None,
        };
        let plan = exchange.plan.as_ref();
        let wanted =
            plan.is_some_and(|plan| plan.wants_after_answer(status, in_headers, rate_limited));
        let service_ms = exchange
            .complete_at
            .filter(|_| !self.suppress_envoy_headers);
        let service_ms = service_ms.map(|from| Span::between(from, self.now).as_ms());
        let bare = head || matches!(status, 204 | 304);
        let headers = answers.headers(&answer, service_ms, bare);
        if self.retried(key, cluster, wanted) {
            return;
        }
        let details = self.texts.via_upstream.clone();
        let Some(exchange) = self.tell(key, status, 0, details) else {
            return;
        };
        let ends = headers.is_end();
        exchange.phase = if complete {
            Phase::Answered
        } else {
            Phase::Answering
        };
        if complete {
            exchange.deadlines.drop_router();
        }
        let stream = exchange.stream;
        self.touch(key);
        if let Some(info) = self.host.info_mut(stream) {
            // Connections are there at once.
            info.pool_ready = Some(Duration::ZERO);
        }
        self.host.response(stream, headers);
        if !ends && complete {
            let trailer = grpc.map(|(status, _)| status);
            let data = self.clusters[cluster].answers.body().clone();
            self.feed_rest(key, cluster, data, trailer);
        }
    }

    fn hear_rest(&mut self, key: ExchangeKey, cluster: usize) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.attempt = None;
        exchange.phase = Phase::Answered;
        exchange.deadlines.drop_router();
        let grpc = exchange.grpc;
        let status = self.clusters[cluster].upstream.spec().answer.grpc_status;
        let data = self.clusters[cluster].answers.last_chunk();
        self.feed_rest(key, cluster, data, grpc.then_some(status));
    }

    fn hear_chunk(&mut self, key: ExchangeKey, cluster: usize, number: u32) {
        let data = self.clusters[cluster].answers.chunk(number);
        let part = Part::Body { data, end: false };
        self.feeds.push_back(Feed {
            exchange: key,
            part,
            upwards: false,
        });
    }

    fn feed_rest(&mut self, exchange: ExchangeKey, cluster: usize, data: Bytes, grpc: Option<u32>) {
        for part in self.clusters[cluster].answers.rest(data, grpc) {
            self.feeds.push_back(Feed {
                exchange,
                part,
                upwards: false,
            });
        }
    }

    fn hear_break(&mut self, key: ExchangeKey, cluster: usize) {
        // Of an upgraded connection no codec can miss the end.
        let upgraded = self.clusters[cluster].upstream.spec().answer.status == SWITCHING;
        let answers = &self.clusters[cluster].answers;
        let (details, flags, data) = match upgraded {
            true => (
                self.texts.closed.clone(),
                flag::UPSTREAM_CONNECTION_TERMINATION,
                answers.last_chunk(),
            ),
            false => (
                self.texts.broken.clone(),
                flag::UPSTREAM_PROTOCOL_ERROR,
                answers.body().clone(),
            ),
        };
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.attempt = None;
        exchange.phase = Phase::Answered;
        exchange.deadlines.drop_router();
        exchange.told = Some(details.clone());
        let stream = exchange.stream;
        if let Some(info) = self.host.info_mut(stream) {
            info.flags |= flags;
            info.details = details;
        }
        let begun = Part::Body { data, end: false };
        self.host.response(stream, begun);
        self.host.upstream_reset_after_headers(stream);
    }

    /// An attempt ended without an answer.
    pub(super) fn fail_attempt(&mut self, key: ExchangeKey, cluster: usize, reset: Reset) {
        let (failure, own) = match reset {
            Reset::ConnectionFailure => (Failure::Refused, Own::Refused),
            Reset::ConnectionTermination => (Failure::Reset, Own::Terminated),
            Reset::ConnectionTimeout => (Failure::ConnectTimeout, Own::ConnectTimeout),
            Reset::PerTryTimeout => (Failure::TryTimeout, Own::TryTimeout),
            Reset::MaxDuration => (Failure::MaxDuration, Own::MaxDuration),
            Reset::Overflow => (Failure::Overflow, Own::Overflow),
        };
        self.abandon_attempt_only(key);
        self.note_failure(key, cluster, failure);
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let plan = exchange.plan.as_ref();
        let wanted = plan.is_some_and(|plan| plan.wants_after_reset(reset));
        if !self.retried(key, cluster, wanted) {
            self.answer_by_itself(key, own);
        }
    }

    pub(super) fn note_failure(&mut self, key: ExchangeKey, cluster: usize, why: Failure) {
        if let Some(exchange) = self.exchanges.get(key) {
            let request = exchange.request;
            let what = What::Failed {
                request,
                cluster: cluster as u16,
                why,
            };
            self.record.note(self.now, what);
        }
        self.record
            .count(self.now, |tally| tally.clusters[cluster].failures += 1);
    }

    /// Whether there will be another attempt; if one was `wanted` and there is none, the
    /// flags say why.
    fn retried(&mut self, key: ExchangeKey, cluster: usize, wanted: bool) -> bool {
        self.release_retry(key);
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return false;
        };
        let Some(plan) = exchange.plan.as_mut().filter(|_| wanted) else {
            return false;
        };
        let missing = if !plan.take() {
            flag::RETRY_LIMIT_EXCEEDED
        } else if !self.clusters[cluster].upstream.begin_retry() {
            flag::UPSTREAM_OVERFLOW
        } else {
            0
        };
        if missing != 0 {
            if missing == flag::UPSTREAM_OVERFLOW {
                self.record
                    .count(self.now, |tally| tally.clusters[cluster].overflows += 1);
            }
            if let Some(info) = self.host.info_mut(exchange.stream) {
                info.flags |= missing;
            }
            return false;
        }
        let wait = plan.backoff(&mut self.backoff_draws);
        exchange.holds_retry = true;
        exchange.phase = Phase::BackingOff;
        exchange.deadlines.backoff = self.now + wait;
        let request = exchange.request;
        self.abandon_attempt_only(key);
        self.record.note(self.now, What::Backoff { request, wait });
        self.arm(key);
        true
    }

    fn release_retry(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let cluster = exchange.picked.as_ref().and_then(|picked| picked.cluster);
        if std::mem::take(&mut exchange.holds_retry)
            && let Some(cluster) = cluster
        {
            self.clusters[cluster].upstream.end_retry();
        }
    }

    /// The attempt that is on its way is not wanted any more.
    fn abandon_attempt_only(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.deadlines.drop_attempt();
        let cluster = exchange.picked.as_ref().and_then(|picked| picked.cluster);
        if let (Some(job), Some(cluster)) = (exchange.attempt.take(), cluster) {
            let upstream = &mut self.clusters[cluster].upstream;
            upstream.cancel(job, self.now, &mut self.wakes);
            self.flush_wakes(cluster);
            self.drop_call_on(cluster, job);
        }
    }

    /// The router has nothing more to do for the request.
    pub(super) fn abandon_attempt(&mut self, key: ExchangeKey) {
        self.release_retry(key);
        self.abandon_attempt_only(key);
    }

    /// The filter answers by itself.
    pub(super) fn overrule(&mut self, key: ExchangeKey) {
        self.abandon_attempt(key);
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.phase = Phase::Overruled;
            exchange.deadlines.drop_router();
        }
    }

    /// Writes down how the answer came about.
    pub(super) fn tell(
        &mut self,
        key: ExchangeKey,
        status: u16,
        flags: u64,
        details: Rc<str>,
    ) -> Option<&mut Exchange> {
        let exchange = self.exchanges.get_mut(key)?;
        exchange.told = Some(details.clone());
        if let Some(info) = self.host.info_mut(exchange.stream) {
            info.code = Some(status);
            info.flags |= flags;
            info.details = details;
        }
        Some(exchange)
    }
}

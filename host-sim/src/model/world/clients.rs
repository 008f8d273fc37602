//! Clients: they call, wait, give up and retry. Calls of services are sent the same way.

use crate::framing::Reading;
use crate::headers::HeaderMap;
use crate::model::client::ArrivalMode;
use crate::model::exchange::{Caller, Exchange, NEVER, Seen};
use crate::model::keys::{CallKey, ExchangeKey};
use crate::model::recorded::{Fate, RecordedRequest};
use crate::model::route::Picked;
use crate::model::template::Template;
use crate::model::timeouts::StreamLimits;
use crate::model::world::call::Call;
use crate::model::world::event::{Event, Feed};
use crate::model::world::state::World;
use crate::proxy::Part;
use crate::proxy::stream::info::{StreamInfo, flag};
use crate::record::{Outcome, What};
use crate::sim::span::Span;

/// A request to send.
pub(super) struct Sending {
    pub caller: Caller,
    pub source: usize,
    pub kind: usize,
    /// The worker that has the caller's connection.
    pub worker: usize,
    /// The client, in a closed loop: it keeps its connection.
    pub client: Option<u32>,
    /// The request, if it is from a recording.
    pub recorded: Option<RecordedRequest>,
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    GaveUp,
    Reset,
}

impl World {
    /// Begins a call of an open loop or of a recording, and schedules the next one.
    pub(super) fn arrive(&mut self, source: usize) {
        let recorded = self.sources[source].take_recorded();
        if let Some(at) = self.sources[source].next_arrival() {
            self.queue.push(at, Event::Arrival { source });
        }
        if let Some(request) = &recorded
            && let Some(ending) = request.fate.ending()
            && let Some(backend) = self.clusters.get_mut(request.cluster)
        {
            backend.upstream.recall(ending);
        }
        self.begin_call(source, None, recorded);
    }

    pub(super) fn begin_call(
        &mut self,
        source: usize,
        client: Option<u32>,
        recorded: Option<RecordedRequest>,
    ) {
        // A client of a closed loop keeps its connection, and so its worker. The callers of an open
        // loop are many, and their connections are spread over all workers.
        let worker = match client {
            Some(client) => u64::from(client) % self.workers,
            None if self.workers == 1 => 0,
            None => self.worker_draws.below(self.workers),
        };
        let call = self.calls.insert(Call {
            source,
            client,
            kind: self.sources[source].draw_kind(),
            recorded,
            began: self.now,
            tries: 0,
            worker: worker as usize,
        });
        self.record
            .count_of(self.now, source, |tally| tally.calls += 1);
        self.send(call);
    }

    /// Sends the next request of a call.
    pub(super) fn send(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        call.tries += 1;
        let sending = Sending {
            caller: Caller::Client(key),
            source: call.source,
            kind: call.kind,
            worker: call.worker,
            client: call.client,
            // Nobody sends a recorded call again.
            recorded: call.recorded.take(),
        };
        let source = call.source;
        self.record
            .count_of(self.now, source, |tally| tally.requests += 1);
        self.send_request(&sending, &[]);
    }

    /// Sends a request. `headers` replace those of its template.
    pub(super) fn send_request(&mut self, sending: &Sending, headers: &[(String, Box<[u8]>)]) {
        self.requests += 1;
        let (request, source) = (self.requests, sending.source);
        let sent = What::Sent {
            request,
            source: source as u16,
            kind: sending.kind as u16,
        };
        self.record.note(self.now, sent);
        let map = self.headers_of(sending, headers);
        let picked = self.route_of(sending, &map, headers.is_empty());
        let from = &self.sources[source];
        let Some(kind) = from.kinds.get(sending.kind) else {
            return;
        };
        let route = picked.as_ref().and_then(|it| self.routes.at(it.route));
        let limits = route.map(|route| StreamLimits::new(route.spec(), &map));
        let stream = self.host.open(StreamInfo {
            worker: sending.worker,
            connection_id: sending.client.map_or(request, u64::from),
            start: self.now,
            route: picked.as_ref().map(|picked| picked.info.clone()),
            downstream_address: Some(from.address.clone()),
            ..StreamInfo::default()
        });
        let patience = kind.timeout.or(from.timeout);
        let patience = patience.map_or(NEVER, |timeout| self.now + timeout);
        let Template {
            body,
            upload,
            trailers,
            grpc,
            head,
            ..
        } = &kind.template;
        let recorded = sending.recorded.as_ref();
        let exchange = self.exchanges.insert(Exchange {
            grpc: recorded.map_or(*grpc, |it| it.grpc),
            head: recorded.map_or(*head, |it| it.head),
            fate: recorded.map(|it| it.fate),
            sent: body.is_empty() && upload.is_none() && trailers.is_none(),
            picked,
            chunks_left: upload.as_ref().map_or(0, |upload| upload.chunks),
            source,
            kind: sending.kind,
            ..Exchange::new(stream, request, sending.caller, self.now, patience)
        });
        self.by_stream.insert(stream, exchange);
        if let Caller::Service { cluster, job } = sending.caller {
            self.clusters[cluster].nested.insert(job, exchange);
        }
        let end = self.exchanges.get(exchange).is_none_or(|it| it.sent);
        if let Some(upload) = upload {
            let at = self.now + upload.interval;
            self.queue.push(at, Event::Chunk(exchange));
        } else if !end {
            let (data, end) = (body.clone(), false);
            let parts = [Part::Body { data, end }, last_part(trailers.as_ref())];
            self.feed_upwards(exchange, parts);
        }
        if let Some(limits) = limits {
            self.limit_stream(exchange, limits);
        }
        self.host.request(stream, Part::Headers { map, end });
        self.settle_and_arm(exchange);
    }

    /// Returns the headers of a request, with `headers` in place of those of its template.
    fn headers_of(&mut self, sending: &Sending, headers: &[(String, Box<[u8]>)]) -> HeaderMap {
        if let Some(recorded) = &sending.recorded {
            return recorded.headers.clone();
        }
        let mut map = self.sources[sending.source].headers(sending.kind, self.requests);
        for (name, value) in headers {
            map.replace(name.as_bytes(), value);
        }
        map
    }

    /// Returns the route of a request. `usual` means that its headers are those of its template.
    fn route_of(&self, sending: &Sending, map: &HeaderMap, usual: bool) -> Option<Picked> {
        if let Some(recorded) = &sending.recorded {
            return self.routes.to_cluster(recorded.cluster);
        }
        let kind = self.sources[sending.source].kinds.get(sending.kind)?;
        match &kind.picked {
            Some(picked) if usual => picked.clone(),
            _ => self.routes.pick(map, &self.names),
        }
    }

    /// Sends the next chunk of a body. The last chunk is followed by the end, if there is one.
    pub(super) fn send_chunk(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let template = self.sources[exchange.source]
            .kinds
            .get(exchange.kind)
            .map(|kind| &kind.template);
        let Some((template, upload)) =
            template.and_then(|template| Some((template, template.upload.as_ref()?)))
        else {
            return;
        };
        let mut parts = Vec::new();
        if exchange.chunks_left > 0 {
            exchange.chunks_left -= 1;
            let len = template.body.len() / upload.chunks.max(1) as usize;
            let data = template.body.slice(..len);
            parts.push(Part::Body { data, end: false });
        }
        if exchange.chunks_left > 0 {
            let at = self.now + upload.interval;
            self.queue.push(at, Event::Chunk(key));
        } else if !upload.unfinished {
            parts.push(last_part(template.trailers.as_ref()));
        }
        self.feed_upwards(key, parts);
        self.settle_and_arm(key);
    }

    fn feed_upwards(&mut self, exchange: ExchangeKey, parts: impl IntoIterator<Item = Part>) {
        let feed = |part| Feed {
            exchange,
            part,
            upwards: true,
        };
        self.feeds.extend(parts.into_iter().map(feed));
    }

    /// Settles, then queues the next deadline of the request.
    pub(super) fn settle_and_arm(&mut self, key: ExchangeKey) {
        self.settle();
        self.arm(key);
    }

    /// Delivers a part of a response to the client, as far as the client reads it.
    pub(super) fn deliver_to_client(&mut self, key: ExchangeKey, mut part: Part) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let reading = &mut exchange.response_read;
        match &mut part {
            Part::Headers { map, .. } => *reading = Reading::response(map, exchange.head),
            Part::Body { data, .. } => *data = reading.take(data),
            Part::Trailers { .. } => {}
        }
        let broken = reading.end().filter(|_| part.is_end());
        let broken = broken.is_some_and(|fault| fault.breaks());
        if reading.is_unreadable() {
            // A client that cannot read the headers has no response.
            if broken {
                self.reset_client(key);
            }
            return;
        }
        if let Some(transcript) = &mut self.transcript {
            transcript.response.push(part.clone());
            transcript.reset |= broken;
        }
        match &part {
            Part::Headers { map, .. } => {
                let number = |name| map.text(name).and_then(|text| text.parse::<u64>().ok());
                let seen = &mut exchange.seen;
                seen.status = map.status().unwrap_or(0) as u16;
                if exchange.grpc {
                    seen.grpc_status = number("grpc-status").map(|status| status as u32);
                }
                if seen.status >= 400 {
                    seen.retry_after = number("retry-after");
                }
            }
            Part::Trailers { map } => {
                let status = map.text("grpc-status").and_then(|text| text.parse().ok());
                exchange.seen.grpc_status = status.or(exchange.seen.grpc_status);
            }
            Part::Body { .. } => {}
        }
        match part.is_end() {
            true if broken => self.finish(key, End::Reset),
            true => self.finish(key, End::Complete),
            false => {}
        }
    }

    /// Resets the client's stream.
    pub(super) fn reset_client(&mut self, key: ExchangeKey) {
        self.finish(key, End::Reset);
    }

    /// The client stops waiting and disconnects.
    pub(super) fn give_up(&mut self, key: ExchangeKey) {
        if let Some(exchange) = self.exchanges.get(key)
            && let Some(info) = self.host.info_mut(exchange.stream)
        {
            info.flags |= flag::DOWNSTREAM_DISCONNECT;
            info.details = self.texts.client_left.clone();
        }
        self.finish(key, End::GaveUp);
    }

    fn finish(&mut self, key: ExchangeKey, end: End) {
        self.abandon_request(key);
        let Some(exchange) = self.exchanges.remove(key) else {
            return;
        };
        self.by_stream.remove(&exchange.stream);
        let info = self.host.close(exchange.stream).unwrap_or_default();
        let by_filter = is_by_filter(&exchange, &info);
        let refused = by_filter && is_refusal(&exchange, &info);
        let outcome = outcome(&exchange, end, by_filter, refused);
        let Exchange {
            request,
            seen,
            caller,
            source,
            fate,
            ..
        } = exchange;
        let status = if end == End::GaveUp { 0 } else { seen.status };
        self.record.note(
            self.now,
            What::Ended {
                request,
                outcome,
                status,
            },
        );
        let call = match caller {
            Caller::Client(call) => call,
            Caller::Service { cluster, job } => {
                return self.end_service_call(cluster, job, outcome.is_good());
            }
        };
        self.record
            .reasons
            .count(info.code, info.flags, &info.details);
        self.record.count_of(self.now, source, |tally| {
            tally.outcomes[outcome as usize] += 1;
        });
        if let Some(recorded) = fate.map(Fate::verdict) {
            self.record.effects.count(recorded, outcome);
        }
        self.after_request(call, request, outcome, seen.retry_after);
    }

    fn after_request(
        &mut self,
        key: CallKey,
        request: u64,
        outcome: Outcome,
        retry_after: Option<u64>,
    ) {
        let Some(call) = self.calls.get(key) else {
            return;
        };
        let source = &mut self.sources[call.source];
        if !outcome.is_good()
            && self.now < self.duration
            && let Some(wait) = source.backoff(call.tries, retry_after)
        {
            self.record.note(self.now, What::Resend { request, wait });
            self.queue.push(self.now + wait, Event::Resend(key));
            return;
        }
        let took = Span::between(call.began, self.now);
        let source = call.source;
        let client = call.client.map(|client| (source, client));
        self.calls.remove(key);
        self.record.count_of(self.now, source, |tally| {
            tally.end_call(outcome.is_good(), took);
        });
        if let Some((source, client)) = client {
            self.think(source, client);
        }
    }

    fn think(&mut self, number: usize, client: u32) {
        let source = &mut self.sources[number];
        let at = self.now + source.think();
        if matches!(source.mode, ArrivalMode::Closed { .. }) && at < source.to {
            let source = number as u32;
            self.queue.push(at, Event::Thought { source, client });
        }
    }
}

/// Returns the part that ends a body.
fn last_part(trailers: Option<&HeaderMap>) -> Part {
    trailers.map_or_else(Part::bare_end, |map| Part::Trailers { map: map.clone() })
}

/// Returns whether the filter made the response.
///
/// The response details differ from the router's then, with two exceptions: the response to a
/// request that the filter has sent again is the service's, and the filter keeps the details of a
/// failed response that it replaces.
fn is_by_filter(exchange: &Exchange, info: &StreamInfo) -> bool {
    let decision = info.filter_state.get(&b"spillway"[..]);
    let replaced = decision.is_some_and(|text| text.ends_with(REPLACED));
    let details = &*info.details;
    replaced || exchange.router_details.as_deref() != Some(details) && details != FILTER_RETRY
}

/// How the filter's decision record ends if it has replaced a failed response.
const REPLACED: &[u8] = b"decision=fallback";

/// The details of a response to the filter's own retry.
const FILTER_RETRY: &str = "spillway_retry";

/// Returns whether the response is a refusal by a plugin that does not say what it decided: a
/// client error, such as a 401.
fn is_refusal(exchange: &Exchange, info: &StreamInfo) -> bool {
    exchange.seen.status >= 400 && !info.filter_state.contains_key(&b"spillway"[..])
}

fn outcome(exchange: &Exchange, end: End, by_filter: bool, refused: bool) -> Outcome {
    let Seen {
        status,
        grpc_status,
        ..
    } = exchange.seen;
    let good = status < 500 && (!exchange.grpc || grpc_status == Some(0));
    match (end, good && !refused, by_filter) {
        (End::GaveUp, ..) => Outcome::GaveUp,
        (End::Reset, ..) => Outcome::Broken,
        (End::Complete, true, true) => Outcome::Fallback,
        (End::Complete, true, false) => Outcome::Success,
        (End::Complete, false, true) => Outcome::Rejected,
        (End::Complete, false, false) => Outcome::Error,
    }
}

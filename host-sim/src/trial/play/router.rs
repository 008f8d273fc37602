//! The router: one route to one cluster, and what Envoy's router does without a configuration.

use std::rc::Rc;

use bytes::Bytes;

use super::parts::parts;
use super::state::{Event, Player, State};
use crate::framing::{Fault, Reading};
use crate::headers::HeaderMap;
use crate::model::outgoing::{Unwritable, is_routable};
use crate::proxy::stream::info::{RouteInfo, StreamInfo, flag};
use crate::proxy::{LocalReply, Part};
use crate::sim::span::Span;
use crate::trial::chain::VIA_UPSTREAM;
use crate::trial::file::Reset;
use crate::trial::mock::Answer;
use crate::trial::spec::UPSTREAM;
use crate::trial::transcript::{Message, What};

/// Envoy's default timeout of a route, from the end of the request.
const TIMEOUT: Span = Span::from_ms(15_000);

/// Status for a request that the upstream cannot read.
const BAD_REQUEST: u16 = 400;

/// Returns the only route.
pub(super) fn route() -> Rc<RouteInfo> {
    Rc::new(RouteInfo {
        name: "default".into(),
        cluster: UPSTREAM.into(),
        virtual_host: "default".into(),
    })
}

impl Player<'_> {
    /// The router gets a part of the request.
    pub(super) fn receive(&mut self, part: Part) {
        self.last_byte = self.now;
        let is_end = part.is_end();
        if let (Part::Headers { map, .. }, State::Waiting) = (&part, &self.router.state)
            && !is_routable(map)
        {
            self.chain.inform(|info| info.route = None);
            return self.reply((404, "route_not_found", &[]), flag::NO_ROUTE);
        }
        match (&mut self.router.state, part) {
            (State::Waiting, Part::Headers { map: headers, .. }) => {
                self.router.request_read = Reading::request(&headers, false);
                self.router.state = State::Receiving(Message {
                    headers,
                    ..Message::default()
                });
            }
            (State::Receiving(message), Part::Body { data, .. }) => {
                message.append(&self.router.request_read.take(&data));
            }
            (State::Receiving(message), Part::Trailers { map }) => message.trailers = map,
            _ => return,
        }
        if is_end {
            self.send();
        }
    }

    /// The router has sent the whole request, if it can be written.
    fn send(&mut self) {
        let State::Receiving(mut message) = std::mem::take(&mut self.router.state) else {
            return;
        };
        self.chain.inform(attempted);
        if let Some(why) = Unwritable::find(&message.headers) {
            let details = why.details();
            let reply = (503, &*details, &*why.message);
            return self.reply(reply, flag::DOWNSTREAM_PROTOCOL_ERROR);
        }
        message.fault = self.router.request_read.end();
        let waits = matches!(message.fault, Some(Fault::Short { .. }));
        let answer = match &message.fault {
            Some(Fault::Length(_)) => Answer::bare(BAD_REQUEST),
            Some(Fault::Encoding) => Answer {
                reset: Some(Reset::BeforeHeaders),
                ..Answer::default()
            },
            _ => {
                let path = message.headers.text(":path").unwrap_or_default();
                let answer = self.mocks.answer(UPSTREAM, path);
                answer.unwrap_or_else(|| Answer::bare(200))
            }
        };
        self.step.upstream.push(message);
        self.push(What::Upstream);
        // An upstream that waits for the rest of the request never answers.
        if !waits {
            let at = self.now + answer.delay;
            self.queue.push(at, Event::Answer(self.stream));
        }
        self.queue
            .push(self.now + TIMEOUT, Event::RouteTimeout(self.stream));
        self.router.state = State::Sent(answer, self.now);
    }

    /// The upstream answers.
    pub(super) fn answer(&mut self) {
        match std::mem::replace(&mut self.router.state, State::Done) {
            State::Sent(answer, from) => {
                let ms = Span::between(from, self.now).as_ms();
                self.pass(&answer, ms);
            }
            other => self.router.state = other,
        }
    }

    /// The route's timeout has passed.
    pub(super) fn time_out(&mut self) {
        if let State::Sent(..) = self.router.state {
            let body = b"upstream request timeout";
            let reply = (504, "response_timeout", &body[..]);
            self.reply(reply, flag::UPSTREAM_TIMEOUT);
        }
    }

    fn pass(&mut self, answer: &Answer, ms: u64) {
        match answer.reset {
            Some(reset @ Reset::Connect) => {
                let (details, body) = broken(reset);
                self.reply(
                    (503, details, body.as_bytes()),
                    flag::UPSTREAM_CONNECTION_FAILURE,
                );
            }
            Some(reset @ Reset::BeforeHeaders) => {
                let (details, body) = broken(reset);
                self.reply(
                    (503, details, body.as_bytes()),
                    flag::UPSTREAM_CONNECTION_TERMINATION,
                );
            }
            Some(Reset::AfterHeaders) => {
                let body = answer.body();
                let details = "upstream_reset_after_response_started{connection_termination}";
                let flags = flag::UPSTREAM_CONNECTION_TERMINATION;
                self.break_off(answer, ms, body.slice(..body.len() / 2), (flags, details));
            }
            None => self.pass_read(answer, ms),
        }
    }

    /// Passes an answer on as Envoy reads it: a length that does not fit breaks it.
    fn pass_read(&mut self, answer: &Answer, ms: u64) {
        if answer.grpc.is_some() {
            return self.pass_whole(answer, answer.parts(), ms);
        }
        let mut reading = Reading::from_upstream(&headers(answer, ms), self.router.is_head);
        let chunks = answer.chunks.iter().map(|it| reading.take(it));
        let chunks: Vec<_> = chunks.filter(|it| !it.is_empty()).collect();
        match reading.end() {
            None | Some(Fault::Long { .. } | Fault::Forbidden { .. }) => {
                self.pass_whole(answer, chunks, ms);
            }
            // The upstream closes its connection.
            Some(Fault::Short { .. }) => {
                let details = "upstream_reset_after_response_started{protocol_error}";
                let why = (flag::UPSTREAM_PROTOCOL_ERROR, details);
                self.break_off(answer, ms, chunks.concat().into(), why);
            }
            Some(Fault::Length(_) | Fault::Encoding | Fault::Status(_)) => {
                let body = b"upstream connect error or disconnect/reset before headers. \
                            reset reason: protocol error";
                let details = "upstream_reset_before_response_started{protocol_error}";
                self.reply((502, details, body), flag::UPSTREAM_PROTOCOL_ERROR);
            }
        }
    }

    /// Sends a local reply of the router: its status, details and body.
    fn reply(&mut self, (code, details, body): (u16, &str, &[u8]), flags: u64) {
        self.router.cancel();
        let details: Rc<str> = details.into();
        self.push(What::UpstreamAnswer(format!(
            "{code} by the router: {details}"
        )));
        self.chain.inform(|info| {
            info.code = Some(code.into());
            info.flags |= flags;
            info.details = details.clone();
        });
        let reply = LocalReply {
            code: code.into(),
            body: Bytes::copy_from_slice(body),
            ..LocalReply::default()
        };
        let prepared = reply.prepare(self.router.is_grpc, self.router.is_head);
        let end = prepared.body.is_none();
        let map = prepared.headers;
        let body = prepared.body.map(|data| Part::Body { data, end: true });
        self.feeds.push_back(Part::Headers { map, end });
        self.feeds.extend(body);
    }

    fn begin(&mut self, answer: &Answer) {
        let (status, details): (_, Rc<str>) = (answer.status, VIA_UPSTREAM.into());
        self.push(What::UpstreamAnswer(status.to_string()));
        self.chain.inform(|info| {
            info.code = Some(status.into());
            info.details = details.clone();
        });
    }

    fn pass_whole(&mut self, answer: &Answer, chunks: Vec<Bytes>, ms: u64) {
        self.begin(answer);
        let is_bare = self.router.is_head || matches!(answer.status, 204 | 304);
        let (body, trailers) = match is_bare {
            true => Default::default(),
            false => (chunks, answer.all_trailers().into_iter().collect()),
        };
        self.feeds
            .extend(parts(headers(answer, ms), body, trailers));
    }

    /// Passes the headers and a part of the body, and then breaks the connection: the response
    /// flags and details say why.
    fn break_off(&mut self, answer: &Answer, ms: u64, data: Bytes, why: (u64, &str)) {
        self.begin(answer);
        let map = headers(answer, ms);
        self.chain.response(Part::Headers { map, end: false });
        self.chain.response(Part::Body { data, end: false });
        let details: Rc<str> = why.1.into();
        self.chain.inform(|info| {
            info.flags |= why.0;
            info.details = details.clone();
        });
        self.push(What::UpstreamAnswer("reset".into()));
        self.chain.reset_response();
    }
}

/// Returns the details and the body of the router's reply if a connection ends before an answer.
pub(super) fn broken(reset: Reset) -> (&'static str, &'static str) {
    match reset {
        Reset::Connect => (
            "upstream_reset_before_response_started{remote_connection_failure|\
             delayed_connect_error:_Connection_refused}",
            "upstream connect error or disconnect/reset before headers. reset reason: \
             remote connection failure",
        ),
        Reset::BeforeHeaders | Reset::AfterHeaders => (
            "upstream_reset_before_response_started{connection_termination}",
            "upstream connect error or disconnect/reset before headers. reset reason: \
             connection termination",
        ),
    }
}

/// The router has begun its only attempt.
fn attempted(info: &mut StreamInfo) {
    info.attempts = Some(1);
    info.upstream_address = Some("127.0.0.1:8080".into());
}

/// Returns the headers of an answer, with those that servers and the router add.
pub(super) fn headers(answer: &Answer, ms: u64) -> HeaderMap {
    let mut map = HeaderMap::from([(":status", answer.status.to_string())]);
    for (name, value) in &answer.headers {
        map.add(name.as_bytes(), value.as_bytes());
    }
    let has_length = answer.chunks.len() == 1 && answer.trailers.is_empty();
    if has_length && answer.grpc.is_none() && map.value(b"content-length").is_none() {
        map.add(
            b"content-length",
            answer.body().len().to_string().as_bytes(),
        );
    }
    if answer.grpc.is_some() && map.value(b"content-type").is_none() {
        map.add(b"content-type", b"application/grpc");
    }
    map.replace(b"x-envoy-upstream-service-time", ms.to_string().as_bytes());
    map
}

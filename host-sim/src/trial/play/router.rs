//! The router: one route to one cluster, and what Envoy's router does without a configuration.

use std::rc::Rc;

use bytes::Bytes;

use super::parts::parts;
use super::state::{Event, Player, State};
use crate::headers::HeaderMap;
use crate::proxy::stream::info::{RouteInfo, flag};
use crate::proxy::{LocalReply, Part};
use crate::sim::span::Span;
use crate::trial::chain::VIA_UPSTREAM;
use crate::trial::file::Reset;
use crate::trial::mock::Answer;
use crate::trial::spec::UPSTREAM;
use crate::trial::transcript::{Message, What};

/// Envoy's default timeout of a route, from the end of the request.
const TIMEOUT: Span = Span::from_ms(15_000);

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
        match (&mut self.router.state, part) {
            (State::Waiting, Part::Headers { map: headers, .. }) => {
                self.router.state = State::Receiving(Message {
                    headers,
                    ..Message::default()
                });
            }
            (State::Receiving(message), Part::Body { data, .. }) => message.append(&data),
            (State::Receiving(message), Part::Trailers { map }) => message.trailers = map,
            _ => return,
        }
        if is_end {
            self.send();
        }
    }

    /// The upstream has the whole request.
    fn send(&mut self) {
        let State::Receiving(message) = std::mem::take(&mut self.router.state) else {
            return;
        };
        let path = message.headers.text(":path").unwrap_or_default().to_owned();
        let answer = self.mocks.answer(UPSTREAM, &path);
        let answer = answer.unwrap_or_else(|| Answer::bare(200));
        self.step.upstream.push(message);
        self.push(What::Upstream);
        self.chain.inform(|info| {
            info.attempts = Some(1);
            info.upstream_address = Some("127.0.0.1:8080".into());
        });
        self.queue
            .push(self.now + answer.delay, Event::Answer(self.stream));
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
            let reply = (504, "response_timeout", "upstream request timeout");
            self.reply(reply, flag::UPSTREAM_TIMEOUT);
        }
    }

    fn pass(&mut self, answer: &Answer, ms: u64) {
        let before = "upstream connect error or disconnect/reset before headers. reset reason: ";
        match answer.reset {
            Some(Reset::Connect) => {
                let body = &format!("{before}remote connection failure");
                let details = "upstream_reset_before_response_started{remote_connection_failure|\
                               delayed_connect_error:_Connection_refused}";
                self.reply((503, details, body), flag::UPSTREAM_CONNECTION_FAILURE);
            }
            Some(Reset::BeforeHeaders) => {
                let body = &format!("{before}connection termination");
                let details = "upstream_reset_before_response_started{connection_termination}";
                self.reply((503, details, body), flag::UPSTREAM_CONNECTION_TERMINATION);
            }
            Some(Reset::AfterHeaders) => self.break_off(answer, ms),
            None => self.pass_whole(answer, ms),
        }
    }

    /// Sends a local reply of the router: its status, details and body.
    fn reply(&mut self, (code, details, body): (u16, &str, &str), flags: u64) {
        self.router.cancel();
        let details: Rc<str> = details.into();
        self.push(What::UpstreamAnswer(format!(
            "{code} by the router: {details}"
        )));
        self.chain.inform(|info| {
            info.code = Some(code);
            info.flags |= flags;
            info.details = details.clone();
        });
        let reply = LocalReply {
            code: code.into(),
            body: Bytes::copy_from_slice(body.as_bytes()),
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
            info.code = Some(status);
            info.details = details.clone();
        });
    }

    fn pass_whole(&mut self, answer: &Answer, ms: u64) {
        self.begin(answer);
        let is_bare = self.router.is_head || matches!(answer.status, 204 | 304);
        let (body, trailers) = match is_bare {
            true => Default::default(),
            false => (answer.parts(), answer.all_trailers().into_iter().collect()),
        };
        self.feeds
            .extend(parts(headers(answer, ms), body, trailers));
    }

    /// Passes the headers and a part of the body, and then breaks the connection.
    fn break_off(&mut self, answer: &Answer, ms: u64) {
        self.begin(answer);
        let map = headers(answer, ms);
        self.chain.response(Part::Headers { map, end: false });
        let body = answer.body();
        let data = body.slice(..body.len() / 2);
        self.chain.response(Part::Body { data, end: false });
        let details: Rc<str> =
            "upstream_reset_after_response_started{connection_termination}".into();
        self.chain.inform(|info| {
            info.flags |= flag::UPSTREAM_CONNECTION_TERMINATION;
            info.details = details.clone();
        });
        self.push(What::UpstreamAnswer("reset".into()));
        self.chain.reset_response();
    }
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

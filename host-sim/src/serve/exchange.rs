//! One request and its response, as a task.
//!
//! The task waits for what happens next: an effect of the host, a part from the client, an event of
//! the upstream, or a time limit. It handles one after the other. The rules are those of the
//! simulated router, see [`crate::model`]; this is their other driver, with real messages.

pub(super) mod client;
mod downstream;
mod kept;
mod limits;
mod response;
mod router;
mod state;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use tokio::time::Sleep;

use super::engine::{Engine, Mailbox};
use super::site::Site;
use super::upstream::Failed;
use crate::headers::HeaderMap;
use crate::model::exchange::{Deadlines, NEVER};
use crate::model::timeouts::StreamLimits;
use crate::proxy::stream::half::Side;
use crate::proxy::stream::info::StreamInfo;
use crate::proxy::{Part, StreamId};
use crate::sim::clock::Time;
use client::{Client, Incomer};
use kept::BUFFER_MAX;
use state::{Attempt, Response, Router};

/// One request and its response.
pub(super) struct Exchange {
    engine: Rc<Engine>,
    site: Rc<Site>,
    stream: StreamId,
    mailbox: Rc<Mailbox>,
    client: Client,
    router: Router,
    limits: StreamLimits,
    deadlines: Deadlines,
    began: Time,
    idle_replies: u32,
    sleep: Pin<Box<Sleep>>,
    over: bool,
}

/// What happens next.
enum Event {
    Effects,
    ClientGone,
    FromClient(Option<Result<Frame<Bytes>, hyper::Error>>),
    Answered(Result<Response, Failed>),
    FromUpstream(Option<Result<Frame<Bytes>, hyper::Error>>),
    Deadline,
}

impl Exchange {
    /// Opens a stream for a request with these headers.
    pub(super) fn new(site: &Rc<Site>, from: Incomer, info: StreamInfo) -> Exchange {
        let engine = site.engine.clone();
        let began = info.start;
        let (stream, mailbox) = engine.open(site.listener.get(), info);
        Exchange {
            sleep: Box::pin(tokio::time::sleep_until(engine.instant(NEVER))),
            engine,
            site: site.clone(),
            stream,
            mailbox,
            client: Client::new(from),
            router: Router::default(),
            limits: StreamLimits::default(),
            deadlines: Deadlines::new(NEVER),
            began,
            idle_replies: 0,
            over: false,
        }
    }

    /// Runs it to its end. `end` means that the headers are the whole request.
    pub(super) async fn run(mut self, headers: HeaderMap, end: bool) {
        self.begin(&headers);
        self.pass_request(Part::Headers { map: headers, end });
        loop {
            self.apply_effects();
            if self.over {
                break;
            }
            self.arm();
            let event = std::future::poll_fn(|cx| self.poll(cx)).await;
            self.handle(event);
        }
        self.engine.close(self.stream);
    }

    /// Picks the route, and sets its limits.
    fn begin(&mut self, headers: &HeaderMap) {
        self.router.begin(headers);
        self.pick_route(headers);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if self.mailbox.poll_ready(cx).is_ready() {
            return Poll::Ready(Event::Effects);
        }
        if self.client.body.poll_abandoned(cx).is_ready() {
            return Poll::Ready(Event::ClientGone);
        }
        if let Poll::Ready(event) = self.poll_upstream(cx) {
            return Poll::Ready(event);
        }
        if self.reads_client(cx)
            && let Some(incoming) = &mut self.client.incoming
            && let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx)
        {
            return Poll::Ready(Event::FromClient(frame));
        }
        self.sleep.as_mut().poll(cx).map(|()| Event::Deadline)
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let has_room = self.client.body.poll_room(cx).is_ready() && !self.is_full(Side::Response);
        match &mut self.router.attempt {
            Attempt::None => Poll::Pending,
            Attempt::Waiting(answer) => answer.as_mut().poll(cx).map(Event::Answered),
            Attempt::Receiving(incoming) if has_room => {
                Pin::new(incoming).poll_frame(cx).map(Event::FromUpstream)
            }
            Attempt::Receiving(_) => Poll::Pending,
        }
    }

    /// Whether the next part of the request may be read: whoever takes it has room.
    fn reads_client(&self, cx: &Context<'_>) -> bool {
        let upload = self.router.upload.as_ref();
        let has_room = upload.is_none_or(|upload| upload.poll_room(cx).is_ready());
        has_room && !self.router.kept.is_full() && !self.is_full(Side::Request)
    }

    /// Whether a pause that lets the sender wait has buffered enough.
    fn is_full(&self, side: Side) -> bool {
        let (bytes, waits) = self.engine.buffered(self.stream, side);
        waits && bytes >= BUFFER_MAX
    }

    fn handle(&mut self, event: Event) {
        match event {
            // They are applied before the next event anyway.
            Event::Effects => {}
            Event::ClientGone => self.lose_client(),
            Event::FromClient(frame) => self.take_from_client(frame),
            Event::Answered(Ok(response)) => self.receive(response),
            Event::Answered(Err(failed)) => self.fail(failed),
            Event::FromUpstream(frame) => self.take_from_upstream(frame),
            Event::Deadline => self.handle_deadline(),
        }
    }

    /// Writes what the proxy knows about the stream.
    fn inform(&self, write: impl FnOnce(&mut StreamInfo)) {
        let stream = self.stream;
        self.engine.enter(|host| host.info_mut(stream).map(write));
    }
}

/// A part of a message as hyper received it.
enum Received {
    Body(Bytes),
    Trailers(HeaderMap),
}

impl Received {
    fn of(frame: Frame<Bytes>) -> Received {
        match frame.into_data() {
            Ok(data) => Received::Body(data),
            Err(frame) => {
                let map = frame.into_trailers().unwrap_or_default();
                Received::Trailers(super::messages::trailers(&map))
            }
        }
    }
}

/// Whether nothing follows. Envoy's codec of HTTP/1.1 tells the end only after the last byte.
fn ends(incoming: &Incoming, http2: bool) -> bool {
    http2 && incoming.is_end_stream()
}

//! Plays a plugin test.
//!
//! The world is small: one client that sends one request at a time, a router without retries,
//! and clusters that say what they are told to say. Time is virtual.

mod callouts;
mod parts;
mod router;
mod state;

use crate::framing::Reading;
use crate::headers::HeaderMap;
use crate::proxy::stream::info::{StreamInfo, flag};
use crate::proxy::{CallId, LocalReply, Module, Part};
use crate::sim::clock::Time;
use crate::sim::span::Span;
use crate::trial::chain::{Chain, Outward};
use crate::trial::spec::{Request, Step, Trial, Update};
use crate::trial::target::Refused;
use crate::trial::transcript::{Callout, Ending, Entry, Message, StepTranscript, Transcript, What};

use parts::parts;
use state::{Event, Player, Router};

/// Envoy's default timeout of a stream without a byte.
const IDLE: Span = Span::from_ms(300_000);

/// How long a step waits for answers to calls that outlive their request.
const LINGER: Span = Span::from_ms(60_000);

/// Limit of events in one step. Plugins that call and pause in turn would go on for ever.
const EVENTS_MAX: u32 = 100_000;

/// How many times an idle stream gets a local reply, before it is reset.
const IDLE_REPLIES: u32 = 2;

/// Plays a plugin test with `modules`, one for each plugin.
pub fn play(trial: &Trial, modules: &[Module]) -> Transcript {
    let mut transcript = Transcript {
        plugins: trial.plugins.iter().map(|it| it.name.clone()).collect(),
        ..Transcript::default()
    };
    let (chain, start) = match Chain::start(trial, modules) {
        Ok(started) => started,
        Err((ending, start)) => {
            transcript.start = start;
            transcript.ending = Some(ending);
            return transcript;
        }
    };
    transcript.start = start;
    let mut player = Player::new(chain, &trial.mocks);
    player.settle();
    for step in &trial.steps {
        if player.ending.is_none() {
            transcript.steps.push(player.play(step));
        }
    }
    transcript.ending = player.ending;
    transcript
}

impl Player<'_> {
    fn play(&mut self, step: &Step) -> StepTranscript {
        self.steps += 1;
        self.events = 0;
        let until = self.now + step.wait;
        while self.next_at().is_some_and(|at| at <= until) && self.ending.is_none() {
            self.next();
        }
        self.advance_to(until);
        self.step.name = step.name.clone();
        if let Some(update) = &step.update {
            self.update(update);
        }
        if let Some(request) = &step.request
            && self.ending.is_none()
        {
            self.exchange(request, step.worker);
        }
        self.linger();
        self.step.metrics = self.chain.metrics();
        std::mem::take(&mut self.step)
    }

    fn update(&mut self, update: &Update) {
        let plugin = update.plugin;
        let updated = self.chain.update(plugin, update.configuration.clone());
        let refused = updated.err().map(|error| error.to_string());
        self.note();
        self.step.refused = refused.clone();
        self.push(What::Configured { plugin, refused });
        self.settle();
    }

    fn exchange(&mut self, request: &Request, worker: usize) {
        self.stream += 1;
        self.is_done = false;
        self.idle_replies = 0;
        self.router = Router::new(&request.headers);
        self.response_read = Reading::default();
        self.step.request = Some(Message {
            headers: request.headers.clone(),
            body: request.chunks.concat().into(),
            trailers: request.trailers.clone(),
            fault: None,
        });
        self.chain.open(&StreamInfo {
            worker,
            connection_id: self.stream,
            start: self.now,
            route: Some(router::route()),
            downstream_address: Some("127.0.0.1:50000".into()),
            downstream_local_address: Some("127.0.0.1:80".into()),
            ..StreamInfo::default()
        });
        self.queue.push(self.now + IDLE, Event::Idle(self.stream));
        match &request.refused {
            Some(refused) => self.refuse(request, refused),
            None => self.send_parts(request.clone()),
        }
        while !self.is_done && self.ending.is_none() {
            self.next();
        }
        self.step.client.details = self.chain.details();
        self.chain.close();
        self.settle();
    }

    fn send_parts(&mut self, request: Request) {
        // A CONNECT stays open until the client leaves.
        let is_open = request.headers.value(b":method") == Some(b"CONNECT");
        let mut parts = parts(request.headers, request.chunks, request.trailers);
        if let Some(Part::Headers { end, .. }) = parts.first_mut().filter(|_| is_open) {
            *end = false;
        }
        for part in parts {
            self.last_byte = self.now;
            self.chain.request(part);
            self.settle();
        }
    }

    /// Answers a request that no plugin sees.
    fn refuse(&mut self, request: &Request, refused: &Refused) {
        let reply = LocalReply {
            code: refused.status.into(),
            body: refused.body.into(),
            ..LocalReply::default()
        };
        let is_grpc = refused.has_headers && self.router.is_grpc;
        let reply = reply.prepare(is_grpc, self.router.is_head);
        self.chain.inform(|info| {
            info.code = Some(refused.status.into());
            info.details = refused.details.into();
            info.flags = refused.flags;
            info.route = None;
        });
        let seen = Some(&request.headers).filter(|_| refused.has_headers);
        self.chain.answered_elsewhere(seen, &reply.headers);
        let body = reply.body.into_iter().collect();
        for part in parts(reply.headers, body, HeaderMap::default()) {
            self.deliver(part);
        }
    }

    /// Waits for the answers to the calls that are open now.
    fn linger(&mut self) {
        let open: Vec<_> = self.callouts.keys().copied().collect();
        let until = self.now + LINGER;
        while open.iter().any(|call| self.callouts.contains_key(call))
            && self.next_at().is_some_and(|at| at <= until)
            && self.ending.is_none()
        {
            self.next();
        }
    }

    fn next_at(&self) -> Option<Time> {
        match (self.queue.next_at(), self.chain.next_timer()) {
            (Some(event), Some(timer)) => Some(event.min(timer)),
            (event, timer) => event.or(timer),
        }
    }

    fn advance_to(&mut self, at: Time) {
        self.now = self.now.max(at);
        self.chain.advance_to(self.now);
    }

    /// Handles the next event.
    fn next(&mut self) {
        let Some(at) = self.next_at() else {
            // Unreachable during a request: its idle timeout is in the queue.
            self.is_done = true;
            return;
        };
        self.events += 1;
        if self.events > EVENTS_MAX {
            self.ending = Some(Ending::Endless { events: EVENTS_MAX });
            return;
        }
        self.advance_to(at);
        if self.queue.next_at().is_none_or(|event| event > at) {
            self.chain.run_timers();
        } else if let Some((_, event)) = self.queue.pop() {
            self.handle(event);
        }
        self.settle();
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Answer(stream) if stream == self.stream => self.answer(),
            Event::RouteTimeout(stream) if stream == self.stream => self.time_out(),
            Event::Idle(stream) if stream == self.stream && !self.is_done => self.idle(),
            Event::Answer(_) | Event::RouteTimeout(_) | Event::Idle(_) => {}
            Event::CalloutAnswer(plugin, call) => self.answer_callout(plugin, call),
            Event::CalloutTimeout(plugin, call) => self.time_out_callout(plugin, call),
        }
    }

    /// Ends a stream on which nothing has happened for [`IDLE`].
    fn idle(&mut self) {
        let due = self.last_byte + IDLE;
        if due > self.now {
            return self.queue.push(due, Event::Idle(self.stream));
        }
        self.router.cancel();
        if self.idle_replies == IDLE_REPLIES {
            self.step.client.reset = true;
            return self.finish("reset".into());
        }
        self.idle_replies += 1;
        self.chain
            .inform(|info| info.flags |= flag::STREAM_IDLE_TIMEOUT);
        self.chain.local_reply(&LocalReply {
            code: 504,
            details: "stream_idle_timeout".into(),
            body: "stream timeout".into(),
            ..LocalReply::default()
        });
        // A plugin may pause the reply.
        self.last_byte = self.now;
        self.queue.push(self.now + IDLE, Event::Idle(self.stream));
    }

    /// Applies what leaves the chain, and feeds the rest of the response, until nothing is left.
    fn settle(&mut self) {
        loop {
            while let Some(outward) = self.chain.next() {
                self.note();
                self.apply(outward);
            }
            self.note();
            match self.feeds.pop_front() {
                Some(part) => self.chain.response(part),
                None => break,
            }
        }
        if self.ending.is_none() {
            self.ending = self.chain.ending();
        }
    }

    pub(super) fn note(&mut self) {
        self.step.entries.extend(self.chain.take_notes());
    }

    pub(super) fn push(&mut self, what: What) {
        self.step.entries.push(Entry { at: self.now, what });
    }

    fn apply(&mut self, outward: Outward) {
        match outward {
            Outward::ToUpstream(part) => self.receive(part),
            Outward::ToClient(part) => self.deliver(part),
            Outward::ResetClient => {
                self.step.client.reset = true;
                self.finish("reset".into());
            }
            Outward::CancelUpstream => {
                self.router.cancel();
                self.feeds.clear();
            }
            Outward::Call(plugin, call) => self.begin_callout(plugin, call),
            Outward::Message(plugin, call, data) => {
                if let Some(callout) = self.callout(plugin, call) {
                    callout.request.append(&data);
                }
            }
            Outward::CancelCall(plugin, call) => {
                if let Some(callout) = self.callout(plugin, call) {
                    callout.answer = Some("cancelled".into());
                }
                self.callouts.remove(&(plugin, call));
            }
        }
    }

    fn callout(&mut self, plugin: usize, call: CallId) -> Option<&mut Callout> {
        let open = self.callouts.get(&(plugin, call))?;
        let of_this_step = open.step == self.steps;
        self.step.callouts.get_mut(open.at).filter(|_| of_this_step)
    }

    /// The client gets a part of the response, as far as it reads it.
    fn deliver(&mut self, part: Part) {
        self.last_byte = self.now;
        let is_end = part.is_end();
        let response = self.step.client.response.get_or_insert_default();
        match part {
            Part::Headers { map, .. } => {
                self.response_read = Reading::response(&map, self.router.is_head);
                response.headers = map;
            }
            Part::Body { data, .. } => response.append(&self.response_read.take(&data)),
            Part::Trailers { map } => response.trailers = map,
        }
        if is_end {
            let status = response
                .headers
                .text(":status")
                .unwrap_or_default()
                .to_owned();
            response.fault = self.response_read.end();
            self.finish(match self.step.client.is_broken() {
                true => format!("{status}, broken"),
                false => status,
            });
        }
    }

    fn finish(&mut self, what: String) {
        if !std::mem::replace(&mut self.is_done, true) {
            self.push(What::ClientDone(what));
        }
    }
}

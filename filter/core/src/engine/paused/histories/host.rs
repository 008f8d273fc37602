//! A host that is as small as can be, checked against the model after every event.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::engine::paused::*;
use crate::engine::{Admission, Arrival, Capabilities, EchoedFields, Engine, Reaction};
use crate::event::{Counter, Event};
use crate::retry::Denial;
use crate::testing::{Memory, TestRequest, TestResponse, at_ms, config};
use crate::time::Instant;

use super::kinds::{RETRY, Step, Step::*};
use super::model::{End, Kind, Model, Phase};
use super::{BUFFER_BYTES, CHUNK_BYTES, COPY_BYTES, TICK};

#[derive(Debug)]
struct Able;

impl Capabilities for Able {
    fn sends_requests(&self) -> bool {
        true
    }

    fn reports_ends(&self) -> bool {
        true
    }
}

/// What this host keeps for a stream.
#[derive(Debug)]
struct Kept {
    /// Whether its copy is here, and cannot be evicted.
    copy: bool,
    engine: usize,
}

/// One stream as the host and the model have it.
#[derive(Debug)]
struct Lane {
    id: u32,
    /// `None` once it is gone.
    model: Option<Model>,
    ended: Option<End>,
    /// Whether the copy and the fields are with those that may be evicted.
    stored_copy: bool,
    stored_fields: Option<Box<EchoedFields>>,
    fields_lost: bool,
    /// Bytes in the host's buffer of the paused side.
    buffered: usize,
}

/// Two configurations of one root context, and what is under way.
pub(super) struct Host {
    kind: Kind,
    engines: [Engine<Memory>; 2],
    pub(super) now: Instant,
    streams: PausedStreams<Kept>,
    lanes: Vec<Lane>,
    /// Calls under way: the host's number, and the stream's id.
    calls: Vec<(u32, u32)>,
    last_call: u32,
    last_id: u32,
    entries: Vec<(usize, u32)>,
}

impl Host {
    pub(super) fn new(kind: Kind) -> Host {
        let retry = |most: &str| RETRY.replace('N', most);
        let fields = kind
            .fields
            .replace("RETRY2", &retry("2"))
            .replace("RETRY1", &retry("1"))
            .replace(
                "CLUSTER",
                r#"{"type": "cluster", "on": ["open", "failure"], "cluster": "o", "timeout": "2s"}"#,
            )
            .replace(
                "RESPOND",
                r#"{"type": "respond", "on": ["open", "failure"], "body": "{path}"}"#,
            )
            .replace(
                "ROUTE",
                r#"{"type": "route", "header": {"name": "x-to", "value": "b"}}"#,
            );
        let json = format!(
            r#"{{"policies": [{{"name": "p", "circuit_breaker": {{"failure_rate_threshold": 0,
                "slow_rate_threshold": 0}}, {fields}}}], "limits": {{"replay_body_bytes": {COPY_BYTES}}},
                "host": {{"headers_stop_iteration": true, "buffer_limit_bytes": {BUFFER_BYTES}}}}}"#
        );
        let now = at_ms(5_000);
        let engine = || Engine::new(config(&json), 1, Memory::default(), Rc::new(Able), now);
        Host {
            kind,
            engines: [engine(), engine()],
            now,
            streams: PausedStreams::default(),
            lanes: Vec::new(),
            calls: Vec::new(),
            last_call: 0,
            last_id: 0,
            entries: Vec::new(),
        }
    }

    /// A request under a configuration, up to its pause.
    pub(super) fn begin(&mut self, engine: usize) {
        self.last_id += 1;
        let (id, kind, now) = (self.last_id, self.kind, self.now);
        let request = TestRequest::cluster("a")
            .with(":method", "GET")
            .with(":path", "/a");
        let of = &mut self.engines[engine];
        let (paused, step) = match of.admit(&request, !kind.body_comes, now) {
            Admission::Reject(ticket, step, _) => (Paused::request(ticket), step),
            Admission::Pass(mut ticket, Some(instructions)) => {
                assert!(instructions.copies);
                let at = ticket.circuit.admitted.as_ref().unwrap().at;
                self.entries.push((engine, at));
                if let Some(echo) = instructions.saves {
                    ticket.give_saved(echo);
                }
                let arrival = Arrival {
                    ends: kind.bodiless,
                    has_copy: true,
                };
                let failed = TestResponse::status(503);
                match of.response_arrived(&mut ticket, &failed, arrival, now) {
                    Reaction::Pause(step) => (Paused::response(ticket, kind.bodiless), step),
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        };
        self.lanes.push(Lane {
            id,
            model: Some(Model::new(kind)),
            ended: None,
            stored_copy: false,
            stored_fields: None,
            fields_lost: false,
            buffered: 0,
        });
        let host = Kept { copy: true, engine };
        let mut stream = Box::new(Stream { paused, host });
        let command = stream.paused.begin(&mut of.parts(), step, now);
        let lane = self.lanes.len() - 1;
        self.carry_out(lane, &mut stream, command);
        self.streams.insert(id, stream);
    }

    /// Does what it is told, as an adapter has to.
    fn carry_out(&mut self, lane: usize, stream: &mut Stream<Kept>, mut command: Command) {
        let now = self.now;
        loop {
            let lane = &mut self.lanes[lane];
            let mut engine = self.engines[stream.host.engine].parts();
            command = match command {
                Command::Pass | Command::Wait => return,
                Command::Store(fields) => {
                    assert!(core::mem::take(&mut stream.host.copy) && !lane.stored_copy);
                    lane.stored_copy = true;
                    lane.stored_fields = fields;
                    stream.paused.handle_stored(&mut engine, true)
                }
                Command::Save(chunk) => {
                    assert!(lane.stored_copy && chunk.size == lane.buffered);
                    let total = match chunk.moves {
                        true => lane.model.as_ref().unwrap().body_bytes(),
                        false => chunk.size,
                    };
                    if total > COPY_BYTES {
                        lane.stored_copy = false;
                        stream.paused.handle_saved(Err(Denial::RequestBody), false)
                    } else {
                        if chunk.moves {
                            lane.buffered = 0;
                        }
                        stream.paused.handle_saved(Ok(()), chunk.moves && total > 0)
                    }
                }
                Command::Release { keeps_copy } => {
                    stream.host.copy = core::mem::take(&mut lane.stored_copy) && keeps_copy;
                    assert_eq!(stream.host.copy, keeps_copy);
                    let fields = lane.stored_fields.take();
                    stream.paused.handle_released(&mut engine, fields, now)
                }
                Command::Send(call) => {
                    assert!(stream.host.copy, "{call:?}");
                    self.last_call += 1;
                    self.calls.push((self.last_call, lane.id));
                    let sent = Some(self.last_call);
                    stream.paused.handle_sent(&mut engine, sent, now)
                }
                Command::End(_, ending) => {
                    assert_eq!(lane.ended, None, "ended twice");
                    lane.ended = Some(end_of(&ending, &self.kind, lane));
                    return;
                }
            };
        }
    }

    /// Lets an event of a stream reach it, if it is still there.
    fn event(
        &mut self,
        lane: usize,
        handle: impl FnOnce(&mut Paused, &mut EngineParts<'_, Memory>, Instant) -> Command,
    ) {
        let Some(mut stream) = self.streams.take(self.lanes[lane].id) else {
            panic!("a stream is lost");
        };
        let ended = self.lanes[lane].ended.is_some();
        let mut engine = self.engines[stream.host.engine].parts();
        let command = handle(&mut stream.paused, &mut engine, self.now);
        assert!(!ended || matches!(command, Command::Pass), "{command:?}");
        self.carry_out(lane, &mut stream, command);
        self.streams.insert(self.lanes[lane].id, stream);
    }

    /// A call has ended, whether or not somebody still waits for it.
    fn call_ended(&mut self, call: u32, id: u32, answered: bool) {
        let Some((found, mut stream)) = self.streams.take_called(call) else {
            return;
        };
        assert_eq!(found, id, "the response of another stream's call");
        let lane = self.lanes.iter().position(|lane| lane.id == id).unwrap();
        let (response, delivered) = if answered {
            let headers = [(&b":status"[..], &b"200"[..]), (b"x-call", b"1")];
            let delivered = CallResponse::new(headers.into_iter(), Vec::new());
            (TestResponse::status(200), delivered)
        } else {
            let reset = TestResponse {
                details: Some("upstream_reset_before_response_started"),
                flags: 0x10,
                ..TestResponse::default()
            };
            (reset, None)
        };
        let mut engine = self.engines[stream.host.engine].parts();
        let paused = &mut stream.paused;
        let command = paused.handle_response(&mut engine, &response, delivered, self.now);
        self.carry_out(lane, &mut stream, command);
        self.streams.insert(id, stream);
        if let Some(model) = &mut self.lanes[lane].model {
            if answered {
                model.answered();
            } else {
                model.failed();
            }
        }
    }

    fn tick(&mut self) {
        self.now = self.now.after(TICK);
        while let Some((id, mut stream)) = self.streams.take_due(self.now) {
            let lane = self.lanes.iter().position(|lane| lane.id == id).unwrap();
            let mut engine = self.engines[stream.host.engine].parts();
            let command = stream.paused.handle_timeout(&mut engine, self.now);
            self.carry_out(lane, &mut stream, command);
            self.streams.insert(id, stream);
        }
        for model in self.lanes.iter_mut().filter_map(|lane| lane.model.as_mut()) {
            model.tick();
        }
    }

    /// Whether an event can happen now to the first stream.
    pub(super) fn can(&self, step: Step) -> bool {
        let lane = &self.lanes[0];
        let comes = lane.model.as_ref().is_some_and(|it| !it.body_ended);
        match step {
            Tick => true,
            Answered | Failed => !self.calls.is_empty(),
            Gone => lane.model.is_some(),
            Chunk | LastChunk => comes,
            Trailers => comes && self.kind.rejected,
            Evicted => lane.stored_copy,
            Reconfigured => self.lanes.len() == 1,
        }
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Tick => self.tick(),
            Answered | Failed => {
                // Jitter decides which of two streams sends first.
                self.calls.sort_by_key(|(call, id)| (*id, *call));
                let (call, id) = self.calls.remove(0);
                self.call_ended(call, id, step == Answered);
            }
            Gone => self.end(0),
            Chunk | LastChunk => self.chunk(step == LastChunk),
            Trailers => {
                self.lanes[0].model.as_mut().unwrap().trailers();
                self.event(0, |paused, _, _| paused.handle_trailers());
            }
            Evicted => {
                let lane = &mut self.lanes[0];
                lane.stored_copy = false;
                lane.fields_lost |= lane.stored_fields.take().is_some();
                lane.model.as_mut().unwrap().evicted = true;
            }
            Reconfigured => self.begin(1),
        }
    }

    fn chunk(&mut self, ends: bool) {
        let lane = &mut self.lanes[0];
        let size = if ends { 0 } else { CHUNK_BYTES };
        lane.model.as_mut().unwrap().chunk(size, ends);
        lane.buffered += size;
        let (chunk, has_copy) = ((lane.buffered, ends), lane.stored_copy);
        if self.kind.rejected {
            self.event(0, |paused, engine, _| {
                paused.handle_body(engine, chunk, has_copy)
            });
        } else {
            self.event(0, |paused, engine, now| {
                paused.handle_response_body(engine, chunk, now)
            });
        }
    }

    /// A stream is over, however far it got.
    fn end(&mut self, lane: usize) {
        let lane = &mut self.lanes[lane];
        let stream = self.streams.take(lane.id).expect("the stream");
        lane.stored_copy = false;
        lane.stored_fields = None;
        lane.model = None;
        let engine = &mut self.engines[stream.host.engine];
        engine.settle(
            stream.paused.into_ticket(),
            &TestResponse::status(200),
            self.now,
        );
    }

    /// Compares each stream with its model.
    pub(super) fn check(&self, history: &[Step]) {
        for lane in &self.lanes {
            let Some(model) = &lane.model else {
                assert!(!self.streams.is_paused(lane.id));
                continue;
            };
            let expected = match model.phase {
                Phase::Ended(end) => Some(end),
                _ => None,
            };
            assert_eq!(lane.ended, expected, "{history:?} {model:?}");
            assert_eq!(self.streams.is_paused(lane.id), expected.is_none());
            let calls = self.calls.iter().filter(|(_, id)| *id == lane.id).count();
            match model.phase {
                Phase::Call(_) => assert_eq!(calls, 1, "{history:?} {model:?}"),
                Phase::Backoff => assert_eq!(calls, 0, "{history:?} {model:?}"),
                Phase::Body(_) => assert_eq!((calls, lane.stored_copy), (0, !model.evicted)),
                Phase::Ended(_) => {
                    assert!(calls <= 1 && !lane.stored_copy, "{history:?} {model:?}");
                }
            }
        }
    }

    /// Lets calls time out and ticks come until nothing is paused, and ends all streams: nothing
    /// may be left of them.
    pub(super) fn finish(&mut self, history: &[Step]) {
        for _ in 0..8 {
            for (call, id) in core::mem::take(&mut self.calls) {
                self.call_ended(call, id, false);
            }
            self.tick();
        }
        self.check(history);
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].model.is_some() {
                assert!(
                    self.lanes[lane].ended.is_some(),
                    "paused for ever: {history:?}"
                );
                self.end(lane);
            }
        }
        assert_eq!(self.streams.poll_timeout(), None);
        for (engine, at) in self.entries.drain(..) {
            assert_eq!(self.engines[engine].workspace.table.in_flight(at), 0);
        }
        for engine in &mut self.engines {
            while let Some(event) = engine.next_event() {
                let denied = matches!(event, Event::Count { counter, .. }
                    if counter == Counter::RetryDenied(Denial::Budget));
                assert!(!denied, "a grant is lost");
            }
        }
        self.lanes.clear();
    }
}

/// How the pause of a stream ended. A fixed response echoes the request's path, unless that made
/// room for others.
fn end_of(ending: &Ending, kind: &Kind, lane: &Lane) -> End {
    match ending {
        Ending::Resume => End::Resumed,
        Ending::Divert(_) => End::Diverted,
        Ending::Replace(_) => End::Replaced,
        Ending::Reply(reply) if reply.headers.iter().any(|(name, _)| name == "x-call") => {
            End::Delivered
        }
        Ending::Reply(reply) => {
            if kind.fields.contains("RESPOND") {
                let path = if lane.fields_lost { "" } else { "/a" };
                assert_eq!(reply.body, path.as_bytes());
            }
            End::Answered
        }
        Ending::Fail => panic!("a part of the request is lost"),
    }
}

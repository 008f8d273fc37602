//! Requests that the filter itself sends again.
//!
//! A response that is a reason to is held back; its request waits here until its time has
//! come, is sent by a call of the host, and what comes back is handed on in the held
//! response's place. All of that happens in callbacks of the root context, since a wait
//! ends with a tick; the stream may be gone by then, and then so is its request here.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use spillway_core::engine::{Step, Ticket};
use spillway_core::retry::Denial;
use spillway_core::time::{Instant, Span};

use crate::facts::LiveResponse;
use crate::host::{self, Buffer, Map};
use crate::http::{is_taken, publish, send};
use crate::pairs::Pairs;
use crate::root::Shared;

/// What access logs show as response code details of an answer that was handed on.
const DETAILS: &str = "spillway_retry";

/// How often waits are looked at: their jitter is coarser than this.
const TICK_MS: u32 = 5;

/// All requests of one root context that wait, or are on their way again.
#[derive(Default)]
pub struct Replays {
    /// By their HTTP contexts.
    streams: RefCell<ById<Box<Replay>>>,
    /// The ends of waits with their HTTP contexts, latest first.
    waits: RefCell<Vec<(Instant, u32)>>,
    /// HTTP contexts by the host's number for the call.
    calls: RefCell<ById<u32>>,
    /// Whether the host can do it; absent before it was asked.
    is_served: Cell<Option<bool>>,
}

/// Values by numbers that mostly rise: a list in their order.
struct ById<T>(Vec<(u32, T)>);

impl<T> ById<T> {
    fn insert(&mut self, id: u32, value: T) {
        let at = self.0.partition_point(|(other, _)| *other < id);
        self.0.insert(at, (id, value));
    }

    fn remove(&mut self, id: u32) -> Option<T> {
        let at = self.0.binary_search_by_key(&id, |(other, _)| *other).ok()?;
        Some(self.0.remove(at).1)
    }
}

impl<T> Default for ById<T> {
    fn default() -> ById<T> {
        ById(Vec::new())
    }
}

/// One request that is being sent again.
pub struct Replay {
    pub shared: Rc<Shared>,
    pub ticket: Ticket,
    pub copy: Box<Copy>,
    /// Whether the response that is held back has no body.
    pub bodiless: bool,
}

/// A copy of a request.
pub struct Copy {
    cluster: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// How often it was sent, the first time included.
    attempts: u32,
}

/// An answer to a request that was sent again.
struct Answered {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Copy {
    /// The copy of a request without its body; absent where something of it is no text, or
    /// it asks for another protocol, which a call cannot.
    pub fn new<'a>(
        cluster: &[u8],
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Option<Copy> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.into()).ok();
        let mut copied = Vec::new();
        let mut hops = Hops::default();
        for (name, value) in headers {
            let (name, value) = (text(name)?, text(value)?);
            match &*name {
                "upgrade" => return None,
                "connection" => hops.add(&value),
                _ if is_hop(&name) || is_framing(&name) || name.starts_with("x-envoy-") => {}
                _ => copied.push((name, value)),
            }
        }
        copied.retain(|(name, _)| !hops.have(name));
        Some(Copy {
            cluster: text(cluster)?,
            headers: copied,
            body: Vec::new(),
            attempts: 1,
        })
    }

    /// Keeps a piece of the body; false where the copy would be larger than `most`.
    pub fn push(&mut self, piece: &[u8], most: u32) -> bool {
        let len = self.body.len().saturating_add(piece.len());
        let fits = u32::try_from(len).is_ok_and(|len| len <= most);
        if fits {
            self.body.extend_from_slice(piece);
        }
        fits
    }

    /// Whether it is one to which no answer has a body.
    pub fn is_head(&self) -> bool {
        let mut headers = self.headers.iter();
        headers.any(|(name, value)| name == ":method" && value == "HEAD")
    }

    /// Sends it, and returns the host's number for the call.
    fn send(&mut self, timeout: Span) -> Option<u32> {
        let attempt = self.attempts.saturating_add(1);
        let number = attempt.to_string();
        let mut headers: Vec<(&str, &str)> = Vec::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            headers.push((name, value));
        }
        headers.push(("x-envoy-attempt-count", &number));
        let timeout = Duration::from_millis(timeout.as_ms());
        let body = Some(&*self.body).filter(|body| !body.is_empty());
        // By the SDK, which hands on answers only to calls that it has made.
        let call = hostcalls::dispatch_http_call(&self.cluster, headers, body, Vec::new(), timeout);
        self.attempts = attempt;
        call.ok()
    }
}

/// Whether a header is about one connection (RFC 9110, 7.6.1).
fn is_hop(name: &str) -> bool {
    let hop = [
        "keep-alive",
        "proxy-connection",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    hop.contains(&name)
}

/// Whether a request's header is about how its body is sent.
fn is_framing(name: &str) -> bool {
    matches!(name, "content-length" | "expect")
}

/// The headers that a message's `connection` names: they are about one connection too.
#[derive(Default)]
struct Hops(String);

impl Hops {
    fn add(&mut self, names: &str) {
        self.0.push_str(names);
        self.0.push(',');
    }

    fn have(&self, name: &str) -> bool {
        let mut names = self.0.split(',');
        names.any(|it| it.trim().eq_ignore_ascii_case(name))
    }
}

impl Answered {
    /// The answer of the call that this callback is about, whose body has `len` bytes;
    /// absent where it is none.
    fn read(len: usize) -> Option<Answered> {
        let pairs = Pairs::new(host::header_pairs(Map::CallResponseHeaders).ok()?);
        let mut answered = Answered {
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
        };
        let mut hops = Hops::default();
        for (name, value) in pairs.iter() {
            let name = String::from_utf8_lossy(name);
            match &*name {
                ":status" => answered.status = std::str::from_utf8(value).ok()?.parse().ok()?,
                "connection" => hops.add(&String::from_utf8_lossy(value)),
                _ if is_hop(&name) => {}
                _ => answered.headers.push((name.into(), value.into())),
            }
        }
        answered.headers.retain(|(name, _)| !hops.have(name));
        if len > 0 {
            answered.body = host::buffer(Buffer::CallResponseBody, len).ok()?;
        }
        Some(answered)
    }

    /// Hands it on in place of the response that is held back.
    fn hand_on(mut self, bodiless: bool, shared: &Shared) {
        // What has no body goes into the place of what has none, headers and all: an
        // answer of the filter would lose the length that a HEAD asks for.
        if bodiless && self.body.is_empty() {
            let status = self.status.to_string().into_bytes();
            self.headers.insert(0, (String::from(":status"), status));
            is_taken(
                shared,
                host::set_headers(Map::ResponseHeaders, &self.headers),
            );
            pass(shared);
            return;
        }
        self.headers.retain(|(name, _)| name != "content-length");
        let sent = host::send_local_response(self.status, DETAILS, &self.headers, &self.body, None);
        if !is_taken(shared, sent) {
            pass(shared);
        }
    }
}

/// Lets the response go on that is held back.
fn pass(shared: &Shared) {
    if host::continue_response().is_err() {
        shared
            .reporter
            .internal_error("the host holds a response back");
    }
}

impl Replays {
    /// How often ticks have to come; absent where nothing waits for one.
    pub fn tick_ms(&self) -> Option<u32> {
        let waits = self.waits.try_borrow().ok()?;
        (!waits.is_empty()).then_some(TICK_MS)
    }

    /// Whether the host sends requests for plugins, and ticks: without, a response that is
    /// held back would never go on.
    pub fn is_served(&self) -> bool {
        let ask = || host::sends_requests() && host::set_tick_period(TICK_MS).is_ok();
        let served = self.is_served.get().unwrap_or_else(ask);
        self.is_served.set(Some(served));
        served
    }

    /// Takes a request that is to be sent again at `due`.
    pub fn hold(&self, context: u32, replay: Replay, due: Instant) {
        if let Ok(mut streams) = self.streams.try_borrow_mut() {
            streams.insert(context, Box::new(replay));
        }
        self.wait(context, due);
    }

    fn wait(&self, context: u32, due: Instant) {
        if let Ok(mut waits) = self.waits.try_borrow_mut() {
            let at = waits.partition_point(|(other, _)| *other > due);
            waits.insert(at, (due, context));
        }
    }

    /// Gives a request back: its stream is over. A call that is under way cannot be taken
    /// back; what it brings will find nobody.
    pub fn take(&self, context: u32) -> Option<Ticket> {
        let replay = self.streams.try_borrow_mut().ok()?.remove(context)?;
        if let Ok(mut waits) = self.waits.try_borrow_mut() {
            waits.retain(|(_, other)| *other != context);
        }
        Some(replay.ticket)
    }

    /// Sends what has waited long enough.
    pub fn tick(&self, now: Instant) {
        loop {
            let next = self.waits.try_borrow_mut().ok().and_then(|mut waits| {
                let (_, context) = waits.pop_if(|(due, _)| *due <= now)?;
                Some(context)
            });
            let Some(context) = next else {
                return;
            };
            self.with(context, |replay| self.send(context, replay, now));
        }
    }

    fn send(&self, context: u32, replay: &mut Replay, now: Instant) {
        let shared = replay.shared.clone();
        let Some(mut engine) = shared.engine() else {
            return pass_in(context, &shared);
        };
        let step = match engine.replay(&mut replay.ticket, now) {
            Err(step) => step,
            Ok(timeout) => match replay.copy.send(timeout) {
                Some(call) => {
                    engine.replay_sent(&mut replay.ticket, now);
                    if let Ok(mut calls) = self.calls.try_borrow_mut() {
                        calls.insert(call, context);
                    }
                    return shared.follow_up(&mut engine);
                }
                None => engine.give_up(&mut replay.ticket, Denial::Host),
            },
        };
        shared.follow_up(&mut engine);
        drop(engine);
        self.go_on(context, replay, step, None, now);
    }

    /// A call has ended, with an answer where it has headers.
    pub fn answered(&self, call: u32, headers: usize, body: usize, trailers: usize) {
        let context = self
            .calls
            .try_borrow_mut()
            .ok()
            .and_then(|mut calls| calls.remove(call));
        if let Some(context) = context {
            self.with(context, |replay| {
                self.judge(context, replay, headers, body, trailers);
            });
        }
    }

    fn judge(
        &self,
        context: u32,
        replay: &mut Replay,
        headers: usize,
        body: usize,
        trailers: usize,
    ) {
        let shared = replay.shared.clone();
        let (Some(now), Some(mut engine)) = (shared.now(), shared.engine()) else {
            return pass_in(context, &shared);
        };
        let small = u32::try_from(body).is_ok_and(|len| len <= engine.replay_answer_bytes());
        let answer = (headers > 0 && small && trailers == 0)
            .then(|| Answered::read(body))
            .flatten();
        let answered = headers > 0;
        let response = LiveResponse::Replayed { answered };
        let step = engine.replayed(&mut replay.ticket, &response, answer.is_some(), now);
        shared.follow_up(&mut engine);
        drop(engine);
        self.go_on(context, replay, step, answer, now);
    }

    /// Does what the core has decided about the response of a stream.
    fn go_on(
        &self,
        context: u32,
        replay: &mut Replay,
        step: Step,
        answer: Option<Answered>,
        now: Instant,
    ) {
        let shared = &replay.shared;
        if let Step::Retry(wait) = step {
            self.wait(context, now.after(wait));
            if let Some(mut engine) = shared.engine() {
                shared.follow_up(&mut engine);
            }
            return;
        }
        // Should the stream be gone, then so is its request here; and no other stream may
        // get what was meant for it.
        if host::set_effective_context(context).is_err() {
            return;
        }
        if let Some(engine) = shared.engine() {
            publish(&engine, replay.ticket.note());
        }
        match (step, answer) {
            (Step::Answer(fallback), _) => {
                if !send(shared, &fallback) {
                    pass(shared);
                }
            }
            (Step::Pass, Some(answer)) => answer.hand_on(replay.bodiless, shared),
            (Step::Pass, None) | (Step::Retry(_), _) => pass(shared),
        }
    }

    /// Does something to a request that is still there. It is not in the map meanwhile, so
    /// that whatever the host calls back for finds the map free.
    fn with(&self, context: u32, act: impl FnOnce(&mut Replay)) {
        let taken = self
            .streams
            .try_borrow_mut()
            .ok()
            .and_then(|mut streams| streams.remove(context));
        let Some(mut replay) = taken else {
            return;
        };
        act(&mut replay);
        if let Ok(mut streams) = self.streams.try_borrow_mut() {
            streams.insert(context, replay);
        }
    }
}

fn pass_in(context: u32, shared: &Shared) {
    if host::set_effective_context(context).is_ok() {
        pass(shared);
    }
}

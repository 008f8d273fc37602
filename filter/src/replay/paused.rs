//! Streams that are held back: while the filter waits before it sends their request again,
//! or asks another cluster for an answer in its place.
//!
//! Either way the request, or the response that was no good, stays where it is, and what is
//! known of it stays here, by its HTTP context, until the stream is over. A wait ends with a
//! tick, which is a callback of the root context; a call's answer comes to the context that
//! made the call. The stream may be gone by then, and then so is its entry here: nothing is
//! done, and no other stream gets what was meant for it.

use std::cell::{Cell, RefCell};

use proxy_wasm::types::Action;
use spillway_core::engine::{Step, Ticket};
use spillway_core::fallback::Skip;
use spillway_core::retry::Denial;
use spillway_core::time::Instant;

use crate::facts::LiveResponse;
use crate::host::{self, Buffer, Map};
use crate::http::{copy_limits, edit, label, publish, send};
use crate::replay::copies::{self, Share};
use crate::replay::response::{CallResponse, Delivery};
use crate::root::Engine;
use crate::ticker::Ticker;

use crate::replay::stream::{After, WaitsFor};
pub use crate::replay::stream::{Paused, Side};

/// All streams of one root context that are held back, or were.
#[derive(Default)]
pub struct PausedStreams {
    /// By their HTTP contexts.
    streams: RefCell<ById<Box<Paused>>>,
    /// The ends of waits with their HTTP contexts, latest first.
    waits: RefCell<Vec<(Instant, u32)>>,
    /// HTTP contexts by the host's number for the call.
    calls: RefCell<ById<u32>>,
    /// Whether the host can do it; absent before it was asked.
    is_served: Cell<Option<bool>>,
    /// The timer, which streams that are held back share with the circuits.
    pub ticker: Ticker,
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

/// Takes a value out of a map; no call is made while one is borrowed.
fn taken<T>(from: &RefCell<ById<T>>, id: u32) -> Option<T> {
    from.try_borrow_mut().ok()?.remove(id)
}

impl PausedStreams {
    /// When the first wait ends; `None` if nothing waits.
    pub fn next_due(&self) -> Option<Instant> {
        let waits = self.waits.try_borrow().ok()?;
        waits.last().map(|(due, _)| *due)
    }

    /// Whether the host sends requests for plugins, and ticks: without, what is held back
    /// would never go on.
    pub fn is_served(&self) -> bool {
        let ask = || host::sends_requests() && self.ticker.works();
        let served = self.is_served.get().unwrap_or_else(ask);
        self.is_served.set(Some(served));
        served
    }

    /// Takes a stream for which this step was decided, in one of its own callbacks.
    pub fn hold(&self, context: u32, mut stream: Paused, step: Step, now: Instant) -> Action {
        let comes = matches!(step, Step::Call) && !stream.ticket.is_complete();
        let after = if comes && self.is_served() {
            self.wait_for_body(context, &mut stream, now)
        } else {
            self.act(context, &mut stream, step, None, now)
        };
        self.insert(context, Box::new(stream));
        after.action()
    }

    /// The rest of a request is on its way, if the host is what its configuration says. If
    /// it is not, nothing comes, and the other cluster's time is up with that.
    fn wait_for_body(&self, context: u32, stream: &mut Paused, now: Instant) -> After {
        let shared = stream.shared.clone();
        let Some(mut engine) = shared.engine() else {
            return After::Goes;
        };
        // Clients choose how slowly it comes: it must not keep the copies of others away.
        if let Some(copy) = stream.copy.take() {
            copies::keep(context, copy);
        }
        if let Some(echo) = stream.ticket.take_saved() {
            stream.saved = copies::save(context, echo, engine.copies_bytes());
            if !stream.saved {
                engine.save_nothing(&mut stream.ticket);
            }
        }
        let timeout = engine.call(&stream.ticket).map(|to| to.timeout);
        stream.waits_for = WaitsFor::Body;
        self.wait(context, now.after(timeout.unwrap_or_default()), now);
        shared.follow_up(&mut engine, now);
        After::Stays
    }

    /// A piece of the request of a stream has come; with it `size` bytes are in the host's
    /// buffer.
    pub fn request_body(&self, context: u32, size: usize, ends: bool) -> Action {
        self.request_part(context, |engine, stream, now| {
            if size > 0 {
                stream.ticket.body_came();
            }
            let Some(mut copy) = copies::take(context) else {
                give_saved(context, engine, stream);
                return Some(pass_over(engine, stream, Denial::CopiesFull, now));
            };
            let limits = copy_limits(engine);
            let (body, from) = (&mut copy.body, Buffer::RequestBody);
            let taken = if !engine.may_divert(&stream.ticket) {
                body.take(from, size, ends, limits)
            } else if !engine.fits_buffer(size, ends) {
                Err(Denial::RequestBody)
            } else if ends {
                body.copy(from, size, limits)
            } else {
                Ok(())
            };
            stream.moved |= copy.body.is_moved();
            if ends || taken.is_err() {
                give_saved(context, engine, stream);
            }
            match taken {
                Ok(()) if !ends => {
                    copies::keep(context, copy);
                    None
                }
                Ok(()) => {
                    stream.copy = Some(copy);
                    engine.request_complete(&mut stream.ticket, Some(now));
                    Some(Step::Call)
                }
                Err(denial) => Some(pass_over(engine, stream, denial, now)),
            }
        })
    }

    /// The request of a stream has trailers, which no call can carry.
    pub fn request_trailers(&self, context: u32) -> Action {
        self.request_part(context, |engine, stream, now| {
            stream.ticket.body_came();
            copies::take(context);
            give_saved(context, engine, stream);
            Some(pass_over(engine, stream, Denial::RequestShape, now))
        })
    }

    /// A part of the request of a stream has come. If the stream waits for it, `decide` says
    /// what is done, or nothing where the wait goes on.
    fn request_part(
        &self,
        context: u32,
        decide: impl FnOnce(&mut Engine, &mut Paused, Instant) -> Option<Step>,
    ) -> Action {
        let after = self.with(context, |stream| {
            if stream.waits_for != WaitsFor::Body {
                return After::of(stream);
            }
            let shared = stream.shared.clone();
            let (Some(now), Some(mut engine)) = (shared.now(), shared.engine()) else {
                return stream.goes();
            };
            let Some(step) = decide(&mut engine, stream, now) else {
                return After::Stays;
            };
            drop(engine);
            self.end_wait(context);
            self.act(context, stream, step, None, now)
        });
        after.unwrap_or(After::Goes).action()
    }

    /// Response headers pass by a stream that is here: an answer of the filter's own, or
    /// what came from where the request was sent instead.
    pub fn response_headers(&self, context: u32) {
        self.with(context, |stream| {
            for (name, value) in std::mem::take(&mut stream.stripped) {
                let _ = host::set_header(Map::ResponseHeaders, &name, &value);
            }
            let shared = stream.shared.clone();
            if let (Some(now), Some(mut engine)) = (shared.now(), shared.engine()) {
                let begun = LiveResponse::Begun;
                if let Step::Label(labels) =
                    engine.response_headers(&mut stream.ticket, &begun, now)
                {
                    label(&labels);
                }
            }
        });
    }

    /// A piece of the response of a stream has come, with which `size` bytes are in the host's
    /// buffer; `None` if the stream is not paused.
    pub fn response_body(&self, context: u32, size: usize, ends: bool) -> Option<Action> {
        let after = self.with(context, |stream| {
            if stream.waits_for == WaitsFor::Nothing {
                return None;
            }
            let shared = stream.shared.clone();
            let (Some(now), Some(mut engine)) = (shared.now(), shared.engine()) else {
                return Some(After::Goes);
            };
            if engine.fits_buffer(size, ends) {
                return Some(After::Stays);
            }
            let step = self.cut_short(context, stream, &mut engine, now);
            drop(engine);
            Some(self.act(context, stream, step, None, now))
        });
        after.flatten().map(After::action)
    }

    /// Ends the wait of a stream whose failed response has no room in the host's buffer: that
    /// has to go on, or make way for what needs no wait.
    fn cut_short(
        &self,
        context: u32,
        stream: &mut Paused,
        engine: &mut Engine,
        now: Instant,
    ) -> Step {
        self.end_wait(context);
        if let WaitsFor::Attempt(call) | WaitsFor::Call(call) = stream.waits_for {
            taken(&self.calls, call);
        }
        match stream.waits_for {
            WaitsFor::Call(_) => pass_over(engine, stream, Denial::AnswerShape, now),
            _ => {
                stream.ticket.spoil(Denial::AnswerShape);
                engine.give_up(&mut stream.ticket, Denial::AnswerShape, now)
            }
        }
    }

    /// Whether a stream is held back just now.
    pub fn holds(&self, context: u32) -> bool {
        let after = self.with(context, |stream| After::of(stream));
        after == Some(After::Stays)
    }

    fn wait(&self, context: u32, due: Instant, now: Instant) {
        self.ticker.ask(due, now);
        if let Ok(mut waits) = self.waits.try_borrow_mut() {
            let at = waits.partition_point(|(other, _)| *other > due);
            waits.insert(at, (due, context));
        }
    }

    fn end_wait(&self, context: u32) {
        if let Ok(mut waits) = self.waits.try_borrow_mut() {
            waits.retain(|(_, other)| *other != context);
        }
    }

    /// Gives a ticket back: its stream is over. A call that is under way cannot be taken
    /// back; what it brings will find nobody.
    pub fn take(&self, context: u32) -> Option<Box<Ticket>> {
        let stream = taken(&self.streams, context)?;
        self.end_wait(context);
        copies::take(context);
        copies::take_saved(context);
        if let WaitsFor::Attempt(call) | WaitsFor::Call(call) = stream.waits_for {
            taken(&self.calls, call);
        }
        Some(stream.ticket)
    }

    /// Ends the waits that have been long enough.
    pub fn tick(&self, now: Instant) {
        loop {
            let next = self.waits.try_borrow_mut().ok().and_then(|mut waits| {
                let (_, context) = waits.pop_if(|(due, _)| *due <= now)?;
                Some(context)
            });
            let Some(context) = next else {
                return;
            };
            self.with(context, |stream| self.waited(context, stream, now));
        }
    }

    fn waited(&self, context: u32, stream: &mut Paused, now: Instant) {
        let shared = stream.shared.clone();
        let Some(mut engine) = shared.engine() else {
            return self.let_go(context, stream);
        };
        let step = if stream.waits_for == WaitsFor::Body {
            copies::take(context);
            give_saved(context, &mut engine, stream);
            pass_over(&mut engine, stream, Denial::RequestBody, now)
        } else {
            match self.send_again(context, stream, &mut engine, now) {
                Ok(()) => return shared.follow_up(&mut engine, now),
                Err(step) => step,
            }
        };
        shared.follow_up(&mut engine, now);
        drop(engine);
        self.go_on(context, stream, step, None, now);
    }

    fn send_again(
        &self,
        context: u32,
        stream: &mut Paused,
        engine: &mut Engine,
        now: Instant,
    ) -> Result<(), Step> {
        let timeout = engine.replay(&mut stream.ticket, now)?;
        let copy = stream.copy.as_mut();
        let Some(call) = copy.and_then(|copy| copy.send_again(timeout)) else {
            return Err(engine.give_up(&mut stream.ticket, Denial::Host, now));
        };
        engine.replay_sent(&mut stream.ticket, now);
        stream.waits_for = WaitsFor::Attempt(call);
        self.note_call(call, context);
        Ok(())
    }

    fn note_call(&self, call: u32, context: u32) {
        if let Ok(mut calls) = self.calls.try_borrow_mut() {
            calls.insert(call, context);
        }
    }

    /// A call has ended, with an answer where it has headers.
    pub fn answered(&self, call: u32, headers: usize, body: usize, trailers: usize) {
        if let Some(context) = taken(&self.calls, call) {
            self.with(context, |stream| {
                self.judge(context, stream, (headers, body, trailers));
            });
        }
    }

    fn judge(&self, context: u32, stream: &mut Paused, sizes: (usize, usize, usize)) {
        let (headers, body, trailers) = sizes;
        let shared = stream.shared.clone();
        let (Some(now), Some(mut engine)) = (shared.now(), shared.engine()) else {
            return self.let_go(context, stream);
        };
        let small = u32::try_from(body).is_ok_and(|len| len <= engine.replay_answer_bytes());
        let answered = headers > 0;
        // While it is handed on it is here as well as in the host.
        let mut share = Share::default();
        let fits = small && share.grow(body, engine.copies_bytes());
        let answer = (answered && fits && trailers == 0)
            .then(|| CallResponse::read(body))
            .flatten();
        let response = LiveResponse::Replayed { answered };
        let fits = answer.is_some();
        let ticket = &mut stream.ticket;
        let step = match stream.waits_for {
            WaitsFor::Call(_) => engine.called(ticket, &response, fits, now),
            _ => engine.replayed(ticket, &response, fits, now),
        };
        shared.follow_up(&mut engine, now);
        drop(engine);
        self.go_on(context, stream, step, answer, now);
    }

    /// Does what the core has decided about a stream, outside its own callbacks.
    fn go_on(
        &self,
        context: u32,
        stream: &mut Paused,
        step: Step,
        answer: Option<CallResponse>,
        now: Instant,
    ) {
        // Should the stream be gone, then so is its entry here; and no other stream may get
        // what was meant for it.
        if host::set_effective_context(context).is_ok()
            && self.act(context, stream, step, answer, now) == After::Goes
        {
            stream.go();
        }
    }

    fn let_go(&self, context: u32, stream: &mut Paused) {
        stream.waits_for = WaitsFor::Nothing;
        if host::set_effective_context(context).is_ok() && stream.goes() == After::Goes {
            stream.go();
        }
    }

    /// Does what the core has decided about a stream.
    fn act(
        &self,
        context: u32,
        stream: &mut Paused,
        step: Step,
        answer: Option<CallResponse>,
        now: Instant,
    ) -> After {
        let after = self.take_step(context, stream, step, answer, now);
        match after {
            After::Goes => stream.goes(),
            After::Stays => After::Stays,
        }
    }

    fn take_step(
        &self,
        context: u32,
        stream: &mut Paused,
        mut step: Step,
        answer: Option<CallResponse>,
        now: Instant,
    ) -> After {
        let shared = stream.shared.clone();
        let Some(mut engine) = shared.engine() else {
            return After::Goes;
        };
        stream.waits_for = WaitsFor::Nothing;
        while let Step::Call = step {
            let whole = stream.ticket.is_complete() && self.is_served();
            let to = engine.call(&stream.ticket).filter(|_| whole);
            let copy = stream.copy.as_ref();
            if let Some(call) = to.zip(copy).and_then(|(to, copy)| copy.send_to(to)) {
                stream.waits_for = WaitsFor::Call(call);
                self.note_call(call, context);
                break;
            }
            step = engine.skip(&mut stream.ticket, Skip::Host, now);
        }
        if let Step::Retry(wait) = step {
            stream.waits_for = WaitsFor::Retry;
            self.wait(context, now.after(wait), now);
        }
        shared.follow_up(&mut engine, now);
        if stream.waits_for != WaitsFor::Nothing {
            return After::Stays;
        }
        publish(engine.note(&stream.ticket));
        match (step, answer) {
            (Step::Answer(fallback), _) if send(&shared, &fallback) => After::Stays,
            (Step::HandOn { labels, details }, Some(answer)) => {
                match answer.hand_on(&stream.side, labels, details, &shared) {
                    Delivery::Sent => After::Stays,
                    Delivery::Written => After::Goes,
                    Delivery::SentBare(headers) => {
                        stream.stripped = headers;
                        After::Stays
                    }
                }
            }
            (Step::Divert(header), _) => {
                edit(&header);
                After::Goes
            }
            _ => After::Goes,
        }
    }

    fn insert(&self, context: u32, stream: Box<Paused>) {
        if let Ok(mut streams) = self.streams.try_borrow_mut() {
            streams.insert(context, stream);
        }
    }

    /// Does something to a stream that is still there. It is not in the map meanwhile, so
    /// that whatever the host calls back for finds the map free.
    fn with<T>(&self, context: u32, act: impl FnOnce(&mut Paused) -> T) -> Option<T> {
        let mut stream = taken(&self.streams, context)?;
        let value = act(&mut stream);
        self.insert(context, stream);
        Some(value)
    }
}

/// Gives a ticket back what was saved for its answer while its request came, if it still is.
fn give_saved(context: u32, engine: &mut Engine, stream: &mut Paused) {
    if std::mem::take(&mut stream.saved) {
        match copies::take_saved(context) {
            Some(echo) => stream.ticket.give_saved(echo),
            None => engine.save_nothing(&mut stream.ticket),
        }
    }
}

/// No other cluster gets a request that has not come as a whole, or that no call can carry.
fn pass_over(engine: &mut Engine, stream: &mut Paused, denial: Denial, now: Instant) -> Step {
    stream.ticket.spoil(denial);
    engine.skip(&mut stream.ticket, Skip::without_copy(denial), now)
}

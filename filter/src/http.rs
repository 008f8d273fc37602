//! The HTTP context: one request, from its headers to its end.

use std::cell::RefMut;
use std::rc::Rc;

use proxy_wasm::types::Action;
use spillway_core::Denial;
use spillway_core::engine::{
    Admission, Arrival, DecisionNote, Instructions, Paused, Reaction, Slip, Step, Ticket,
};
use spillway_core::time::Instant;

use crate::apply;
use crate::facts::{LiveRequest, LiveResponse};
use crate::host::{self, Buffer};
use crate::replay::copies::Limits;
use crate::replay::paused::PausedStreams;
use crate::replay::request::SavedRequest;
use crate::runtime::{Engine, Runtime};

mod operator;
mod replacement;
mod saved;

use replacement::Replacement;
use saved::Saved;

/// One request.
pub(crate) struct Http {
    id: u32,
    /// The configuration when the request began.
    runtime: Option<Rc<Runtime>>,
    paused: Rc<PausedStreams>,
    /// The slip of a request that is only counted. It has no ticket then.
    slip: Option<Slip>,
    /// The ticket, from admission to the end, except while `paused` owns it.
    ticket: Option<Box<Ticket>>,
    saved: Saved,
    /// Whether `paused` owns the stream.
    is_paused: bool,
    /// What replaces the response's body and trailers, if a fallback replaces the response.
    replacement: Option<Replacement>,
}

impl Http {
    /// Creates the context of a request under the current configuration.
    pub(crate) fn new(id: u32, runtime: Option<Rc<Runtime>>, paused: Rc<PausedStreams>) -> Http {
        Http {
            id,
            runtime,
            paused,
            slip: None,
            ticket: None,
            saved: Saved::nothing(id),
            is_paused: false,
            replacement: None,
        }
    }

    /// Carries out the instructions for an admitted request.
    fn instruct(
        &mut self,
        (runtime, mut engine): (&Runtime, RefMut<'_, Engine>),
        request: &LiveRequest<'_>,
        (ticket, mut instructions): (&mut Ticket, Box<Instructions>),
        now: Instant,
    ) {
        if let Some(echo) = instructions.saves.take() {
            self.saved.save_fields(echo, ticket, &mut engine);
        }
        runtime.follow_up(&mut engine, now);
        apply::publish(instructions.note.as_ref());
        if instructions.copies {
            self.saved.copy(request, ticket, &engine);
        }
        if let Some(orders) = instructions.orders {
            engine.each_edit(orders, &mut apply::edit);
        }
    }

    /// Carries out the decision about a request that does not reach its upstream.
    #[cold]
    fn reject(
        &mut self,
        (runtime, mut engine): (&Rc<Runtime>, RefMut<'_, Engine>),
        request: &LiveRequest<'_>,
        (mut ticket, mut step, mut note): (Box<Ticket>, Step, Option<DecisionNote>),
        now: Instant,
    ) -> Action {
        if let Step::Call = step
            && !cfg!(feature = "lite")
        {
            match SavedRequest::of(request, Limits::of(&engine).room()) {
                Ok(copy) => {
                    apply::publish(note.as_ref());
                    self.is_paused = true;
                    let stream = (Paused::request(ticket), Box::new(copy));
                    let paused = &self.paused;
                    return paused.pause(self.id, (runtime, engine), stream, step, now);
                }
                Err(denial) => {
                    step = engine.without_copy(&mut ticket, denial, now);
                    note = engine.note(&ticket);
                }
            }
        }
        runtime.follow_up(&mut engine, now);
        apply::publish(note.as_ref());
        if let Step::Respond(reply) = step {
            // A rejected request counts already, however it ends.
            engine.abandon(ticket, now);
            return apply::action(apply::respond(runtime, &reply));
        }
        self.ticket = Some(ticket);
        if let Step::Divert(header) = step {
            apply::edit(&header.name, header.value.as_bytes(), false);
        }
        Action::Continue
    }

    fn request_complete(&mut self) {
        if let Some(slip) = &mut self.slip {
            if slip.watches_clock()
                && let Some(runtime) = &self.runtime
                && let (Some(now), Some(mut engine)) = (runtime.now(), runtime.engine())
            {
                engine.slip_complete(slip, now);
                // A tick counts the request if its upstream hangs.
                runtime.follow_up(&mut engine, now);
            }
            slip.request_complete();
            return;
        }
        let (Some(runtime), Some(ticket)) = (&self.runtime, &mut self.ticket) else {
            return;
        };
        let now = ticket.watches_clock().then(|| runtime.now()).flatten();
        if let Some(mut engine) = runtime.engine() {
            engine.request_complete(ticket, now);
            if let Some(now) = now {
                runtime.follow_up(&mut engine, now);
            }
        }
    }

    /// Shows the response's headers to the engine if the request has a slip. If a fallback may
    /// replace the response, a ticket takes the place of the slip.
    fn slip_answered(&mut self) {
        let watches = self.slip.as_ref().is_some_and(Slip::watches_response);
        let Some(runtime) = self.runtime.as_ref().filter(|_| watches) else {
            return;
        };
        let (Some(now), Some(mut engine)) = (runtime.now(), runtime.engine()) else {
            return;
        };
        self.ticket = engine.slip_answered(&mut self.slip, &LiveResponse::Begun, now);
        if self.ticket.is_none() {
            runtime.follow_up(&mut engine, now);
        }
    }

    /// Records a chunk of the response's body if the stale cache may store it.
    #[inline(never)]
    fn record_body(&mut self, size: usize, ends: bool) {
        let (Some(runtime), Some(ticket)) = (&self.runtime, &mut self.ticket) else {
            return;
        };
        let (Some(now), Some(mut engine)) = (runtime.now(), runtime.engine()) else {
            return;
        };
        let read = || host::buffer(Buffer::ResponseBody, size).ok();
        engine.response_body(ticket, (size, ends), read, now);
        runtime.follow_up(&mut engine, now);
    }

    /// Returns the ticket to the engine, with the host's report of how the request ended if
    /// there is one.
    fn settle(&mut self, response: Option<LiveResponse>) {
        let Some(runtime) = &self.runtime else {
            return;
        };
        if self.is_paused && self.ticket.is_none() && !cfg!(feature = "lite") {
            self.ticket = self.paused.take(self.id);
        }
        self.saved.drop();
        if self.slip.is_none() && self.ticket.is_none() {
            return;
        }
        let (Some(now), Some(mut engine)) = (runtime.now(), runtime.engine()) else {
            return;
        };
        let ticket = self.ticket.take();
        engine.settle_slip(&mut self.slip, response.as_ref(), now);
        match (ticket, response) {
            (Some(ticket), Some(response)) => engine.settle(ticket, &response, now),
            (Some(ticket), None) => engine.abandon(ticket, now),
            (None, _) => {}
        }
        runtime.follow_up(&mut engine, now);
    }
}

/// The callbacks.
impl Http {
    pub(crate) fn request_headers(&mut self, end_of_stream: bool) -> Action {
        let Some(runtime) = self.runtime.clone() else {
            return Action::Continue;
        };
        let (Some(now), Some(mut engine)) = (runtime.now(), runtime.engine()) else {
            return Action::Continue;
        };
        let mut request = LiveRequest::new(&runtime.dialect);
        let reserved = engine.reserved_headers();
        if !reserved.is_empty() {
            request = request.without(reserved);
        }
        if let Some(replied) = operator::reply(&runtime, &mut engine, &request, now) {
            return apply::action(replied);
        }
        let slip = &mut self.slip;
        match engine.request_arrived(&request, end_of_stream, slip, now) {
            Admission::Unmatched => Action::Continue,
            Admission::Count(orders) => {
                if let Some(orders) = orders {
                    engine.each_edit(orders, &mut apply::edit);
                }
                if self.slip.as_ref().is_some_and(Slip::reports) {
                    runtime.follow_up(&mut engine, now);
                }
                Action::Continue
            }
            Admission::Pass(mut ticket, instructions) => {
                if let Some(instructions) = instructions {
                    let todo = (&mut *ticket, instructions);
                    self.instruct((&runtime, engine), &request, todo, now);
                } else {
                    runtime.follow_up(&mut engine, now);
                }
                self.ticket = Some(ticket);
                Action::Continue
            }
            Admission::Reject(ticket, step, note) => {
                self.reject((&runtime, engine), &request, (ticket, step, note), now)
            }
        }
    }

    #[cfg(not(feature = "lite"))]
    pub(crate) fn request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if self.is_paused {
            return self.paused.request_body(self.id, size, end_of_stream);
        }
        let (runtime, ticket) = (self.runtime.as_deref(), self.ticket.as_mut());
        self.saved.copy_body((size, end_of_stream), ticket, runtime);
        if size > 0
            && let Some(ticket) = &mut self.ticket
        {
            ticket.body_came();
        }
        if end_of_stream {
            self.request_complete();
        }
        Action::Continue
    }

    #[cfg(not(feature = "lite"))]
    pub(crate) fn request_trailers(&mut self) -> Action {
        if self.is_paused {
            return self.paused.request_trailers(self.id);
        }
        self.saved.spoil(self.ticket.as_mut(), Denial::RequestShape);
        if let Some(ticket) = &mut self.ticket {
            ticket.body_came();
        }
        self.request_complete();
        Action::Continue
    }

    #[cfg(not(feature = "lite"))]
    pub(crate) fn response_headers(&mut self, end_of_stream: bool) -> Action {
        if self.is_paused {
            self.paused.response_headers(self.id);
            return Action::Continue;
        }
        if self.slip.is_some() {
            self.slip_answered();
        }
        // The filter's own local reply passes here too. It is not judged.
        let Some(ticket) = self.ticket.as_mut().filter(|it| it.watches_response()) else {
            return Action::Continue;
        };
        let Some(runtime) = self.runtime.clone() else {
            return Action::Continue;
        };
        let (Some(now), Some(mut engine)) = (runtime.now(), runtime.engine()) else {
            return Action::Continue;
        };
        let copy = self.saved.take(ticket, &mut engine);
        let arrival = Arrival {
            ends: end_of_stream,
            has_copy: copy.is_some(),
        };
        let reaction = engine.response_arrived(ticket, &LiveResponse::Begun, arrival, now);
        let mut paused = false;
        match (reaction, copy) {
            (Reaction::Pause(step), Some(copy)) => {
                let Some(ticket) = self.ticket.take() else {
                    return Action::Continue;
                };
                self.is_paused = true;
                let bodiless = end_of_stream || copy.is_head();
                let stream = (Paused::response(ticket, bodiless), copy);
                return self
                    .paused
                    .pause(self.id, (&runtime, engine), stream, step, now);
            }
            (Reaction::Respond(reply, headers, note), _) => {
                apply::publish(note.as_ref());
                let limits = Limits::of(&engine);
                let replaced =
                    Replacement::begin(&runtime, &reply, (headers, ticket.is_head()), limits);
                paused = replaced == Err(true);
                self.replacement = replaced.ok();
            }
            (Reaction::Label(labels), _) => apply::label(&labels),
            _ => {}
        }
        runtime.follow_up(&mut engine, now);
        apply::action(paused)
    }

    #[cfg(not(feature = "lite"))]
    pub(crate) fn response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if self.is_paused {
            return self.paused.response_body(self.id, size, end_of_stream);
        }
        if let (Some(replacement), Some(runtime)) = (&mut self.replacement, &self.runtime) {
            replacement.replace_chunk(runtime, size);
        } else if self.ticket.as_ref().is_some_and(|it| it.is_keeping()) {
            self.record_body(size, end_of_stream);
        }
        Action::Continue
    }

    #[cfg(not(feature = "lite"))]
    pub(crate) fn response_trailers(&mut self) -> Action {
        if self.is_paused {
            return self.paused.response_trailers(self.id);
        }
        match (&self.replacement, &self.runtime) {
            (Some(replacement), Some(runtime)) => {
                apply::action(replacement.replace_trailers(runtime))
            }
            _ => Action::Continue,
        }
    }

    pub(crate) fn log(&mut self) {
        if let Some(runtime) = &self.runtime {
            runtime.note_end();
        }
        self.settle(Some(LiveResponse::Ended));
    }
}

/// Some hosts never report the end of a stream, and Envoy does not after its VM has failed another
/// stream. The permit of the request is returned here all the same.
impl Drop for Http {
    fn drop(&mut self) {
        self.settle(None);
    }
}

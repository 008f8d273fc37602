//! Saved parts of a request in progress, and their effect on its ticket.

use spillway_core::Denial;
use spillway_core::engine::{EchoedFields, Ticket};

use crate::facts::LiveRequest;
use crate::replay::copies::{self, Limits};
use crate::replay::request::SavedRequest;
use crate::runtime::{Engine, Runtime};

/// The saved parts of one request, until its response arrives.
pub(super) struct Saved {
    context: u32,
    copy: bool,
    fields: bool,
}

impl Saved {
    /// Nothing of the request of this HTTP context.
    pub(super) fn nothing(context: u32) -> Saved {
        Saved {
            context,
            copy: false,
            fields: false,
        }
    }

    /// Saves fields that a response may echo.
    pub(super) fn save_fields(
        &mut self,
        echo: Box<EchoedFields>,
        ticket: &mut Ticket,
        engine: &mut Engine,
    ) {
        self.fields = copies::save_fields(self.context, echo, Limits::of(engine));
        if !self.fields {
            engine.save_nothing(ticket);
        }
    }

    /// Stores a copy of the request.
    pub(super) fn copy(&mut self, request: &LiveRequest<'_>, ticket: &mut Ticket, engine: &Engine) {
        match SavedRequest::of(request, Limits::of(engine).room()) {
            Ok(copy) => {
                copies::store(self.context, Box::new(copy));
                self.copy = true;
            }
            Err(denial) => ticket.spoil(denial),
        }
    }

    /// Adds a chunk of the request's body to the copy, as long as there is one.
    pub(super) fn copy_body(
        &mut self,
        (size, ends): (usize, bool),
        ticket: Option<&mut Box<Ticket>>,
        runtime: Option<&Runtime>,
    ) {
        let (Some(runtime), true) = (runtime, self.copy) else {
            return;
        };
        let limits = runtime.engine().map(|engine| Limits::of(&engine));
        if let Some(limits) = limits
            && let Err(denial) = copies::copy_body(self.context, size, ends, limits)
        {
            self.spoil(ticket, denial);
        }
    }

    /// Drops the copy, of which no more use can be made.
    pub(super) fn spoil(&mut self, ticket: Option<&mut Box<Ticket>>, denial: Denial) {
        if core::mem::take(&mut self.copy) {
            copies::take(self.context);
            if let Some(ticket) = ticket {
                ticket.spoil(denial);
            }
        }
    }

    /// Takes all of it back, now that the response is here.
    pub(super) fn take(
        &mut self,
        ticket: &mut Ticket,
        engine: &mut Engine,
    ) -> Option<Box<SavedRequest>> {
        let mut copy = None;
        if core::mem::take(&mut self.copy) {
            copy = copies::take(self.context);
            if copy.is_none() {
                ticket.spoil(Denial::CopiesFull);
            }
        }
        if core::mem::take(&mut self.fields) {
            match copies::take_fields(self.context) {
                Some(echo) => ticket.give_saved(echo),
                None => engine.save_nothing(ticket),
            }
        }
        copy
    }

    /// Drops all of it.
    pub(super) fn drop(&mut self) {
        if core::mem::take(&mut self.copy) {
            copies::take(self.context);
        }
        if core::mem::take(&mut self.fields) {
            copies::take_fields(self.context);
        }
    }
}

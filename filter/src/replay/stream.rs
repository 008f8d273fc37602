//! One stream that is held back, and what is known of it.

use std::rc::Rc;

use proxy_wasm::types::Action;
use spillway_core::engine::Ticket;
use spillway_core::headers::Pairs;

use crate::host;
use crate::replay::request::SavedRequest;
use crate::root::Runtime;

/// One stream that is held back, or was.
pub struct Paused {
    pub shared: Rc<Runtime>,
    pub ticket: Box<Ticket>,
    /// The copy of its request. While that still comes, it is among those that may be dropped.
    pub copy: Option<Box<SavedRequest>>,
    /// Whether the host does not have all of the request any more.
    pub moved: bool,
    /// Whether what its answer may repeat is saved outside of its ticket.
    pub saved: bool,
    pub side: Side,
    pub waits_for: WaitsFor,
    /// Headers that the host takes off an answer of the filter's own.
    pub stripped: Pairs,
}

/// What of a stream is held back.
#[derive(Clone, Copy)]
pub enum Side {
    /// The request.
    Request {
        /// Whether no answer to it has a body.
        is_head: bool,
    },
    /// The response.
    Response {
        /// Whether it has no body.
        bodiless: bool,
    },
}

/// What a stream is held back for.
#[derive(Clone, Copy, PartialEq)]
pub enum WaitsFor {
    /// The time to send its request again.
    Retry,
    /// The rest of its request.
    Body,
    /// The answer to another attempt.
    Attempt(u32),
    /// The answer of another cluster.
    Call(u32),
    /// Nothing: it was let go, or answered.
    Nothing,
}

/// What became of a stream after a step.
#[derive(Clone, Copy, PartialEq)]
pub enum After {
    /// It is held back still, or is answered.
    Stays,
    /// It is to be let go.
    Goes,
}

impl After {
    pub fn action(self) -> Action {
        match self {
            After::Stays => Action::Pause,
            After::Goes => Action::Continue,
        }
    }
}

impl Paused {
    pub fn new(
        shared: Rc<Runtime>,
        ticket: Box<Ticket>,
        copy: Box<SavedRequest>,
        side: Side,
    ) -> Paused {
        Paused {
            shared,
            ticket,
            copy: Some(copy),
            moved: false,
            saved: false,
            side,
            waits_for: WaitsFor::Nothing,
            stripped: Pairs::new(),
        }
    }

    /// What becomes of it if it is to go on. A request whose body the host does not have any
    /// more cannot: that only happens if something has gone wrong.
    pub fn goes(&self) -> After {
        if !self.moved || !matches!(self.side, Side::Request { .. }) {
            return After::Goes;
        }
        self.shared
            .reporter
            .internal_error("the body of a request is lost");
        let _ = host::send_local_response(503, "spillway_error", &[], &[], None);
        After::Stays
    }

    /// Resumes the paused side.
    pub fn go(&self) {
        let gone = match self.side {
            Side::Request { .. } => host::continue_request(),
            Side::Response { .. } => host::continue_response(),
        };
        if gone.is_err() {
            self.shared
                .reporter
                .internal_error("the host holds a stream back");
        }
    }
}

impl After {
    pub fn of(stream: &Paused) -> After {
        match stream.waits_for {
            WaitsFor::Nothing => After::Goes,
            _ => After::Stays,
        }
    }
}

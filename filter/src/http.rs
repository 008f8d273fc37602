//! The HTTP context: one request's way through the filter.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use spillway_core::admin::{self, Clocks};
use spillway_core::engine::{Admission, Note, Ticket};
use spillway_core::fallback::Answer;
use spillway_core::select::Request;
use spillway_core::time::Instant;

use crate::facts::{LiveRequest, LiveResponse};
use crate::host;
use crate::root::{Engine, Shared};

/// One request.
pub struct Http {
    shared: Option<Rc<Shared>>,
    /// There from admission to settlement.
    ticket: Option<Ticket>,
}

impl Http {
    /// A request under the configuration of now.
    pub fn new(shared: Option<Rc<Shared>>) -> Http {
        Http {
            shared,
            ticket: None,
        }
    }

    fn request_complete(&mut self) {
        let (Some(shared), Some(ticket)) = (&self.shared, &mut self.ticket) else {
            return;
        };
        let now = ticket.watches_clock().then(|| shared.now()).flatten();
        if let Some(mut engine) = shared.engine() {
            engine.request_complete(ticket, now);
        }
    }

    /// Gives the ticket back, with the host's word on how the request ended if
    /// there is one.
    fn settle(&mut self, response: Option<LiveResponse>) {
        let (Some(shared), Some(ticket)) = (&self.shared, self.ticket.take()) else {
            return;
        };
        let (Some(now), Some(mut engine)) = (shared.now(), shared.engine()) else {
            return;
        };
        match response {
            Some(response) => engine.settle(ticket, &response, now),
            None => engine.abandon(ticket, now),
        }
        shared.follow_up(&mut engine);
    }
}

impl Context for Http {}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let Some(shared) = self.shared.clone() else {
            return Action::Continue;
        };
        let (Some(now), Some(mut engine)) = (shared.now(), shared.engine()) else {
            return Action::Continue;
        };
        let request = LiveRequest::new(&shared.dialect, engine.wants_many_headers());
        if let Some(action) = administer(&shared, &mut engine, &request, now) {
            return action;
        }
        let admission = engine.admit(&request, end_of_stream, now);
        shared.follow_up(&mut engine);
        match admission {
            Admission::Unmatched => Action::Continue,
            Admission::Pass(mut ticket) => {
                if !shared.host_logs.get() {
                    ticket.watch_response();
                }
                publish(&engine, ticket.note());
                self.ticket = Some(ticket);
                Action::Continue
            }
            Admission::Reject(answer, note) => {
                publish(&engine, Some(note));
                send(&shared, &answer)
            }
        }
    }

    fn on_http_request_body(&mut self, _size: usize, end_of_stream: bool) -> Action {
        if end_of_stream {
            self.request_complete();
        }
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.request_complete();
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        // A request that was answered here has no ticket: its own answer passes by.
        let (Some(shared), Some(ticket)) = (&self.shared, &mut self.ticket) else {
            return Action::Continue;
        };
        if !ticket.watches_response() {
            return Action::Continue;
        }
        let (Some(now), Some(mut engine)) = (shared.now(), shared.engine()) else {
            return Action::Continue;
        };
        let answer = engine.response_headers(ticket, &LiveResponse::Begun, now);
        shared.follow_up(&mut engine);
        match answer {
            None => Action::Continue,
            Some(answer) => {
                publish(&engine, ticket.note());
                send(shared, &answer)
            }
        }
    }

    fn on_log(&mut self) {
        if let Some(shared) = &self.shared {
            shared.host_logs.set(true);
        }
        self.settle(Some(LiveResponse::Ended));
    }
}

/// Some hosts never say that a stream is over, and Envoy does not once its VM has
/// failed another: what was admitted is given back all the same.
impl Drop for Http {
    fn drop(&mut self) {
        self.settle(None);
    }
}

/// Answers an operator, where this configuration has a place for them and the request
/// came there.
fn administer(
    shared: &Shared,
    engine: &mut Engine,
    request: &LiveRequest<'_>,
    now: Instant,
) -> Option<Action> {
    let prefix = engine.admin_prefix()?;
    if !admin::is_under(prefix, request.header(":path")?) {
        return None;
    }
    let prefix: Box<str> = prefix.into();
    let clocks = Clocks {
        now,
        unix_ms: host::wall_time().map_or(0, |since_1970| since_1970.as_ms()),
    };
    let answer = admin::answer(&prefix, request, clocks, &mut engine.operator(now))?;
    shared.follow_up(engine);
    let sent = host::send_local_response(
        answer.status,
        admin::DETAILS,
        &answer.headers,
        &answer.body,
        None,
    );
    Some(match sent {
        Ok(()) => Action::Pause,
        Err(_) => {
            let what = "the host refuses the answer";
            shared.reporter.internal_error(what);
            Action::Continue
        }
    })
}

/// Leaves the decision where access logs find it.
fn publish(engine: &Engine, note: Option<Note>) {
    if let Some(note) = note {
        let text = format!(
            "policy={} state={} decision={}",
            engine.policy_of(&note),
            note.state.name(),
            note.decision.name()
        );
        // A host without properties has no access log that could show it.
        let _ = host::set_property("spillway", text.as_bytes());
    }
}

/// Answers in place of the upstream. Should the host refuse, the request goes on.
fn send(shared: &Shared, answer: &Answer) -> Action {
    let sent = host::send_local_response(
        answer.status,
        answer.details,
        &answer.headers,
        &answer.body,
        answer.grpc_status,
    );
    match sent {
        Ok(()) => Action::Pause,
        Err(_) => {
            shared
                .reporter
                .internal_error("the host refuses the answer");
            Action::Continue
        }
    }
}

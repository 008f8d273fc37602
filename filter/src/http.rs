//! The HTTP context: one request's way through the filter.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use spillway_core::admin::{self, Clocks};
use spillway_core::engine::{Admission, Note, Step, Ticket};
use spillway_core::fallback::Answer;
use spillway_core::retry::Denial;
use spillway_core::select::Request;
use spillway_core::time::Instant;

use crate::facts::{LiveRequest, LiveResponse};
use crate::host::{self, Buffer, Map, Status};
use crate::replay::{Copy, Replay};
use crate::root::{Engine, Shared};

/// One request.
pub struct Http {
    id: u32,
    shared: Option<Rc<Shared>>,
    /// There from admission to settlement, but while the request is being sent again.
    ticket: Option<Ticket>,
    /// There while the request may yet be.
    copy: Option<Box<Copy>>,
    /// Whether the request is being sent again, or was.
    replayed: bool,
}

impl Http {
    /// A request under the configuration of now.
    pub fn new(id: u32, shared: Option<Rc<Shared>>) -> Http {
        Http {
            id,
            shared,
            ticket: None,
            copy: None,
            replayed: false,
        }
    }

    /// Keeps a piece of the request's body for as long as there is a copy.
    fn copy_body(&mut self, size: usize) {
        let (Some(shared), Some(copy)) = (&self.shared, &mut self.copy) else {
            return;
        };
        let most = shared
            .engine()
            .map_or(0, |engine| engine.replay_body_bytes());
        let piece = match u32::try_from(size) {
            Ok(0) => Ok(Vec::new()),
            Ok(size) if size > most => Err(()),
            _ => host::buffer(Buffer::RequestBody, size).map_err(|_| ()),
        };
        if !piece.is_ok_and(|piece| copy.push(&piece, most)) {
            self.spoil(Denial::RequestBody);
        }
    }

    fn spoil(&mut self, denial: Denial) {
        if self.copy.take().is_some()
            && let Some(ticket) = &mut self.ticket
        {
            ticket.spoil(denial);
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
        let Some(shared) = &self.shared else {
            return;
        };
        if self.replayed {
            self.ticket = shared.replays.take(self.id);
        }
        let Some(ticket) = self.ticket.take() else {
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
                if ticket.wants_copy() {
                    self.copy = copied(&request, &mut ticket);
                }
                instruct(&engine, &ticket);
                self.ticket = Some(ticket);
                Action::Continue
            }
            Admission::Reject(answer, note) => {
                publish(&engine, Some(note));
                action(send(&shared, &answer))
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.copy_body(size);
        if end_of_stream {
            self.request_complete();
        }
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        self.spoil(Denial::RequestShape);
        self.request_complete();
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
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
        let mut step = engine.response_headers(ticket, &LiveResponse::Begun, now);
        let copy = self.copy.take();
        if let Step::Retry(_) = step
            && !(copy.is_some() && shared.replays.is_served())
        {
            step = engine.give_up(ticket, Denial::Host);
        }
        let action = match (step, copy) {
            (Step::Answer(answer), _) => {
                publish(&engine, ticket.note());
                action(send(shared, &answer))
            }
            (Step::Retry(wait), Some(copy)) => {
                if let Some(ticket) = self.ticket.take() {
                    let replay = Replay {
                        shared: shared.clone(),
                        ticket,
                        bodiless: end_of_stream || copy.is_head(),
                        copy,
                    };
                    self.replayed = true;
                    shared.replays.hold(self.id, replay, now.after(wait));
                }
                Action::Pause
            }
            (Step::Pass | Step::Retry(_), _) => Action::Continue,
        };
        shared.follow_up(&mut engine);
        action
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
    Some(action(is_taken(shared, sent)))
}

/// A copy of a request, to be sent again. Where there can be none the ticket knows why.
fn copied(request: &LiveRequest<'_>, ticket: &mut Ticket) -> Option<Box<Copy>> {
    let Some(cluster) = request.cluster() else {
        // The host would not know where to.
        ticket.spoil(Denial::Host);
        return None;
    };
    let copy = Copy::new(cluster, request.pairs()).map(Box::new);
    if copy.is_none() {
        ticket.spoil(Denial::RequestShape);
    }
    copy
}

/// Tells the host's router what it may do about retries.
fn instruct(engine: &Engine, ticket: &Ticket) {
    let Some(order) = engine.order(ticket) else {
        return;
    };
    let set = |name, number: u64| {
        // A host without a router has nobody to tell.
        let _ = host::set_header(Map::RequestHeaders, name, &number.to_string());
    };
    set("x-envoy-max-retries", order.max_retries.into());
    if let Some((name, words)) = order.conditions {
        let _ = host::add_header(Map::RequestHeaders, name, words);
    }
    if let Some(timeout) = order.per_try_timeout {
        set("x-envoy-upstream-rq-per-try-timeout-ms", timeout.as_ms());
    }
}

/// Leaves the decision where access logs find it.
pub fn publish(engine: &Engine, note: Option<Note>) {
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

fn action(answered: bool) -> Action {
    if answered {
        Action::Pause
    } else {
        Action::Continue
    }
}

/// Answers in place of the upstream. Should the host refuse, the request goes on, and
/// this is false.
pub fn send(shared: &Shared, answer: &Answer) -> bool {
    let sent = host::send_local_response(
        answer.status,
        answer.details,
        &answer.headers,
        &answer.body,
        answer.grpc_status,
    );
    is_taken(shared, sent)
}

/// Whether the host took an answer; that it did not is counted.
pub fn is_taken(shared: &Shared, sent: Result<(), Status>) -> bool {
    if sent.is_err() {
        shared
            .reporter
            .internal_error("the host refuses the answer");
    }
    sent.is_ok()
}

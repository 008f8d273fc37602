//! The HTTP context: one request's way through the filter.

use std::cell::RefMut;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use spillway_core::admin::{self, Clocks};
use spillway_core::engine::{Admission, DecisionNote, HeaderEdit, Instructions, Step, Ticket};
use spillway_core::exchange::{Request, Response};
use spillway_core::fallback::{Answer, Skip};
use spillway_core::headers::Pairs;
use spillway_core::retry::Denial;
use spillway_core::time::Instant;

use crate::facts::{self, LiveRequest, LiveResponse};
use crate::host::{self, Buffer, Map, Status};
use crate::replay::copies::{self, Share};
use crate::replay::paused::{Paused, Side};
use crate::replay::request::SavedRequest;
use crate::root::{Engine, Runtime};

/// One request.
pub struct Http {
    id: u32,
    shared: Option<Rc<Runtime>>,
    /// There from admission to settlement, but while the stream is among those held back.
    ticket: Option<Box<Ticket>>,
    /// Whether a copy of the request was made, since it may yet be sent once more.
    copied: bool,
    /// Whether something of it was saved for placeholders.
    saved: bool,
    /// Whether the stream is among those held back.
    held: bool,
    /// The body that takes the place of the response's, if an answer does; empty once sent. It
    /// waits for the first chunk of the failed one, which an upstream may be slow to send.
    body: Option<(Vec<u8>, Share)>,
}

impl Http {
    /// A request under the configuration of now.
    pub fn new(id: u32, shared: Option<Rc<Runtime>>) -> Http {
        Http {
            id,
            shared,
            ticket: None,
            copied: false,
            saved: false,
            held: false,
            body: None,
        }
    }

    /// Keeps a piece of the request's body for as long as there is a copy.
    fn copy_body(&mut self, size: usize) {
        let (Some(shared), true) = (&self.shared, self.copied) else {
            return;
        };
        let limits = shared.engine().map(|engine| copy_limits(&engine));
        if let Some(Err(denial)) = limits.map(|limits| copies::add_body(self.id, size, limits)) {
            self.spoil(denial);
        }
    }

    fn spoil(&mut self, denial: Denial) {
        if core::mem::take(&mut self.copied) {
            copies::take(self.id);
            if let Some(ticket) = &mut self.ticket {
                ticket.spoil(denial);
            }
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

    /// Does what was decided about a request that passes.
    fn pass(
        &mut self,
        shared: &Runtime,
        mut engine: RefMut<'_, Engine>,
        request: &LiveRequest<'_>,
        (mut ticket, instructions): (Box<Ticket>, Option<Box<Instructions>>),
        now: Instant,
    ) {
        let Some(mut instructions) = instructions else {
            shared.follow_up(&mut engine, now);
            self.ticket = Some(ticket);
            return;
        };
        if let Some(echo) = instructions.saves.take() {
            self.saved = copies::save(self.id, echo, engine.copies_bytes());
            if !self.saved {
                engine.save_nothing(&mut ticket);
            }
        }
        shared.follow_up(&mut engine, now);
        publish(instructions.note.take());
        if instructions.copies {
            match copied(request, &engine) {
                Ok(copy) => {
                    copies::keep(self.id, copy);
                    self.copied = true;
                }
                Err(denial) => ticket.spoil(denial),
            }
        }
        for header in &instructions.headers {
            edit(header);
        }
        self.ticket = Some(ticket);
    }

    /// Does what was decided about a request that does not get to its upstream.
    #[cold]
    fn rejected(
        &mut self,
        shared: &Rc<Runtime>,
        mut engine: RefMut<'_, Engine>,
        request: &LiveRequest<'_>,
        (mut ticket, mut step): (Box<Ticket>, Step),
        mut note: Option<DecisionNote>,
        now: Instant,
    ) -> Action {
        if let Step::Call = step {
            match copied(request, &engine) {
                Ok(copy) => {
                    publish(note);
                    drop(engine);
                    let is_head = copy.is_head();
                    let stream =
                        Paused::new(shared.clone(), ticket, copy, Side::Request { is_head });
                    self.held = true;
                    return shared.held.hold(self.id, stream, step, now);
                }
                // It stays so for all entries to come.
                Err(denial) => {
                    ticket.spoil(denial);
                    step = engine.skip(&mut ticket, Skip::without_copy(denial), now);
                    note = engine.note(&ticket);
                }
            }
        }
        shared.follow_up(&mut engine, now);
        publish(note);
        let answered = match &step {
            Step::Answer(answer) => send(shared, answer),
            Step::Divert(header) => {
                edit(header);
                false
            }
            _ => false,
        };
        self.ticket = Some(ticket);
        action(answered)
    }

    /// Takes a piece of the response's body, if that is being kept.
    #[inline(never)]
    fn keep_body(&mut self, size: usize, ends: bool) {
        let (Some(shared), Some(ticket)) = (&self.shared, &mut self.ticket) else {
            return;
        };
        let (Some(now), Some(mut engine)) = (shared.now(), shared.engine()) else {
            return;
        };
        if engine.expects(ticket, size, now) {
            let piece = match size {
                0 => Ok(Vec::new()),
                _ => host::buffer(Buffer::ResponseBody, size),
            };
            match piece {
                Ok(piece) if piece.len() == size => engine.collect(ticket, &piece, ends, now),
                _ => engine.drop_collection(ticket),
            }
        }
        shared.follow_up(&mut engine, now);
    }

    /// Gives the ticket back, with the host's word on how the request ended if
    /// there is one.
    fn settle(&mut self, response: Option<LiveResponse>) {
        let Some(shared) = &self.shared else {
            return;
        };
        if self.held {
            self.ticket = shared.held.take(self.id);
        }
        if core::mem::take(&mut self.copied) {
            copies::take(self.id);
        }
        if core::mem::take(&mut self.saved) {
            copies::take_saved(self.id);
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
        shared.follow_up(&mut engine, now);
    }
}

impl Context for Http {
    fn on_http_call_response(&mut self, call: u32, headers: usize, body: usize, trailers: usize) {
        if let Some(shared) = &self.shared {
            shared.held.answered(call, headers, body, trailers);
        }
    }
}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let Some(shared) = self.shared.clone() else {
            return Action::Continue;
        };
        let (Some(now), Some(mut engine)) = (shared.now(), shared.engine()) else {
            return Action::Continue;
        };
        let mut request = LiveRequest::new(&shared.dialect);
        let reserved = engine.reserved_headers();
        if !reserved.is_empty() {
            request = request.without(reserved);
        }
        if let Some(action) = administer(&shared, &mut engine, &request, now) {
            return action;
        }
        let admission = engine.admit(&request, end_of_stream, now);
        match admission {
            Admission::Unmatched => Action::Continue,
            Admission::Pass(ticket, instructions) => {
                self.pass(&shared, engine, &request, (ticket, instructions), now);
                Action::Continue
            }
            Admission::Reject(ticket, step, note) => {
                self.rejected(&shared, engine, &request, (ticket, step), note, now)
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if self.held
            && let Some(shared) = &self.shared
        {
            return shared.held.request_body(self.id, size, end_of_stream);
        }
        self.copy_body(size);
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

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        if self.held
            && let Some(shared) = &self.shared
        {
            return shared.held.request_trailers(self.id);
        }
        self.spoil(Denial::RequestShape);
        if let Some(ticket) = &mut self.ticket {
            ticket.body_came();
        }
        self.request_complete();
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let Some(shared) = &self.shared else {
            return Action::Continue;
        };
        if self.held {
            shared.held.response_headers(self.id);
            return Action::Continue;
        }
        // A request that was answered here needs no look: its own answer passes by.
        let Some(ticket) = self.ticket.as_mut().filter(|it| it.watches_response()) else {
            return Action::Continue;
        };
        let (Some(now), Some(mut engine)) = (shared.now(), shared.engine()) else {
            return Action::Continue;
        };
        let mut copy = None;
        if core::mem::take(&mut self.copied) {
            copy = copies::take(self.id);
            if copy.is_none() {
                ticket.spoil(Denial::CopiesFull);
            }
        }
        if core::mem::take(&mut self.saved) {
            match copies::take_saved(self.id) {
                Some(echo) => ticket.give_saved(echo),
                None => engine.save_nothing(ticket),
            }
        }
        let mut step = engine.response_headers(ticket, &LiveResponse::Begun, now);
        if let Step::Retry(_) = step
            && !(copy.is_some() && shared.held.is_served())
        {
            step = engine.give_up(ticket, Denial::Host, now);
        }
        if let Step::Call = step
            && copy.is_none()
        {
            step = engine.skip(ticket, Skip::Host, now);
        }
        if !end_of_stream {
            step = engine.pass_long_response(ticket, step, facts::response_length, now);
        }
        // What is answered with it is known by now, unless the stream is held back.
        if !matches!(step, Step::Retry(_) | Step::Call) {
            ticket.take_saved();
        }
        let action = match (step, copy) {
            (step @ (Step::Retry(_) | Step::Call), Some(copy)) => {
                drop(engine);
                let bodiless = end_of_stream || copy.is_head();
                let Some(ticket) = self.ticket.take() else {
                    return Action::Continue;
                };
                let side = Side::Response { bodiless };
                let stream = Paused::new(shared.clone(), ticket, copy, side);
                self.held = true;
                return shared.held.hold(self.id, stream, step, now);
            }
            (Step::Answer(answer), _) => {
                publish(engine.note(ticket));
                let total = engine.copies_bytes();
                let is_head = ticket.is_head();
                let (body, action) = replace(shared, answer, (end_of_stream, is_head), total);
                self.body = body;
                action
            }
            (Step::Label(labels), _) => {
                label(&labels);
                Action::Continue
            }
            (Step::Pass, _) if engine.wants_headers(ticket, now) => {
                let headers = facts::response_headers();
                let unix_secs = LiveResponse::Begun.unix_secs();
                engine.keep(ticket, &headers, end_of_stream, unix_secs, now);
                Action::Continue
            }
            _ => Action::Continue,
        };
        shared.follow_up(&mut engine, now);
        action
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if self.held
            && let Some(shared) = &self.shared
            && let Some(action) = shared.held.response_body(self.id, size, end_of_stream)
        {
            return action;
        }
        if let Some(body) = &mut self.body {
            // The first chunk becomes the whole body, and those after it nothing.
            let (body, _share) = std::mem::take(body);
            let replaced = host::set_front(Buffer::ResponseBody, size, &body);
            if let Some(shared) = &self.shared {
                is_taken(shared, replaced);
            }
        } else if self.ticket.as_ref().is_some_and(|it| it.is_keeping()) {
            self.keep_body(size, end_of_stream);
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        if self.held
            && let Some(shared) = &self.shared
        {
            return action(shared.held.holds(self.id));
        }
        match (&self.body, &self.shared) {
            // They are those of the failed response.
            (Some((body, _)), _) if body.is_empty() => {
                let _ = host::set_headers(Map::ResponseTrailers, &[]);
                Action::Continue
            }
            // No body came that could have been replaced, and its length has been promised:
            // so late, a local reply breaks the response off.
            (Some(_), Some(shared)) => {
                let sent = host::send_local_response(502, "spillway_no_body", &[], &[], None);
                action(is_taken(shared, sent))
            }
            _ => Action::Continue,
        }
    }

    fn on_log(&mut self) {
        if let Some(shared) = &self.shared {
            shared.abilities.reports_ends.set(true);
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
    shared: &Runtime,
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
    shared.follow_up(engine, now);
    let sent = host::send_local_response(
        answer.status,
        admin::DETAILS,
        &answer.headers,
        &answer.body,
        None,
    );
    Some(action(is_taken(shared, sent)))
}

/// A copy of a request, to be sent once more.
fn copied(request: &LiveRequest<'_>, engine: &Engine) -> Result<Box<SavedRequest>, Denial> {
    let cluster = request.cluster().unwrap_or_default();
    SavedRequest::new(cluster, request.pairs(), engine.copies_bytes()).map(Box::new)
}

/// What copies may take under this configuration.
pub fn copy_limits(engine: &Engine) -> copies::Limits {
    copies::Limits {
        body: engine.replay_body_bytes(),
        total: engine.copies_bytes(),
    }
}

/// Changes a header of the request.
pub fn edit(header: &HeaderEdit) {
    // If the host rejects the change, the request continues as it is.
    let _ = if header.adds {
        host::add_header(Map::RequestHeaders, &header.name, &header.value)
    } else {
        host::set_header(Map::RequestHeaders, &header.name, &header.value)
    };
}

/// Puts headers on a response, in place of any that it has of these names.
pub fn label(labels: &Pairs) {
    for (name, value) in labels {
        // An answer without labels is still one.
        let _ = host::set_header(Map::ResponseHeaders, name, value);
    }
}

/// Shows the decision to access logs.
pub fn publish(note: Option<DecisionNote>) {
    if let Some(note) = note {
        // A host without properties has no access log that could show it.
        let _ = host::set_property("spillway", note.to_string().as_bytes());
    }
}

fn action(paused: bool) -> Action {
    if paused {
        Action::Pause
    } else {
        Action::Continue
    }
}

/// Answers in place of the upstream. Should the host refuse, the request goes on, and
/// this is false.
pub fn send(shared: &Runtime, answer: &Answer) -> bool {
    let sent = host::send_local_response(
        answer.status,
        answer.details,
        &answer.headers,
        &answer.body,
        answer.grpc_status,
    );
    is_taken(shared, sent)
}

/// Answers in place of a failed response whose headers have come, and which is complete with
/// them if it `ends` there. Returns the body that the response is to have, if the answer is
/// written over it: it waits for that within the total of all copies.
fn replace(
    shared: &Runtime,
    answer: Answer,
    (ends, is_head): (bool, bool),
    total: u32,
) -> (Option<(Vec<u8>, Share)>, Action) {
    let mut share = Share::default();
    // A HEAD has its headers, and no body although chunks may come.
    let body_len = if is_head { 0 } else { answer.body.len() };
    let headers = answer.in_place(&facts::response_headers(), ends, is_head);
    let headers = headers.filter(|_| share.grow(body_len, total));
    match headers.map(|headers| host::set_headers(Map::ResponseHeaders, &headers)) {
        Some(Ok(())) => {
            let body = if is_head { Vec::new() } else { answer.body };
            (Some((body, share)), Action::Continue)
        }
        _ => (None, action(send(shared, &answer))),
    }
}

/// Whether the host took an answer; that it did not is counted.
pub fn is_taken(shared: &Runtime, sent: Result<(), Status>) -> bool {
    if sent.is_err() {
        shared
            .reporter
            .internal_error("the host refuses the answer");
    }
    sent.is_ok()
}

//! One paused stream.

use alloc::boxed::Box;

use crate::event::Counter;
use crate::exchange::Response;
use crate::fallback::Skip;
use crate::headers::Pairs;
use crate::retry::Denial;
use crate::shared::records::Records;
use crate::time::Instant;

use crate::engine::decision::{DecisionNote, Step};
use crate::engine::ticket::{EchoedFields, Ticket};

use super::command::{Call, Command, Ending, Intake};
use super::delivery::{CallResponse, Side};
use super::parts::EngineParts;

/// A stream that is paused, or was.
#[derive(Debug)]
pub struct Paused {
    ticket: Box<Ticket>,
    side: Side,
    state: State,
    echo: Echo,
    /// Whether the host does not have all of the request any more.
    moved: bool,
    /// Headers that the host removes from the filter's local reply.
    stripped: Pairs,
}

/// What a stream waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The time to send its request again.
    Retry(Instant),
    /// The rest of its request, for so long.
    Body(Instant),
    /// The result of [`Command::Store`], and then as [`State::Body`].
    Storing(Instant),
    /// The result of [`Command::Save`], of the last chunk if it `ends`.
    Saving { ends: bool, until: Instant },
    /// The result of [`Command::Release`]: then another cluster is called, unless the request
    /// cannot be sent.
    Releasing(Result<(), Denial>),
    /// The result of [`Command::Send`], to its own cluster.
    SendingAgain,
    /// The result of [`Command::Send`], to another cluster.
    SendingOther,
    /// The response to another attempt.
    Attempt(u32),
    /// The response of another cluster.
    Call(u32),
    /// Nothing: it was resumed, or answered.
    Ended,
}

/// Where the fields are that a response may echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    /// In the ticket, if there are any.
    Here,
    /// With the adapter, where they may be dropped.
    Stored,
}

impl Paused {
    /// A stream whose request does not continue to its upstream.
    pub fn request(ticket: Box<Ticket>) -> Paused {
        let is_head = ticket.is_head();
        Paused::new(ticket, Side::Request { is_head })
    }

    /// A stream whose response does not continue to the client.
    pub fn response(ticket: Box<Ticket>, bodiless: bool) -> Paused {
        Paused::new(ticket, Side::Response { bodiless })
    }

    fn new(ticket: Box<Ticket>, side: Side) -> Paused {
        Paused {
            ticket,
            side,
            state: State::Ended,
            echo: Echo::Here,
            moved: false,
            stripped: Pairs::new(),
        }
    }

    /// When [`Paused::handle_timeout`] is to be called, or `None` if the stream does not wait
    /// for a time. Changes with each command.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Retry(due) | State::Body(due) => Some(due),
            _ => None,
        }
    }

    /// The call whose response the stream waits for, by the host's number.
    pub fn call(&self) -> Option<u32> {
        match self.state {
            State::Attempt(call) | State::Call(call) => Some(call),
            _ => None,
        }
    }

    /// Whether the stream is still paused.
    pub fn is_paused(&self) -> bool {
        self.state != State::Ended
    }

    /// Whether the paused side is the request, so that this is what to resume.
    pub fn pauses_request(&self) -> bool {
        matches!(self.side, Side::Request { .. })
    }

    /// Ends it: the stream is gone.
    pub fn into_ticket(self) -> Box<Ticket> {
        self.ticket
    }

    /// Begins the pause by the step that was decided.
    pub fn begin<R: Records>(
        &mut self,
        engine: &mut EngineParts<'_, R>,
        step: Step,
        now: Instant,
    ) -> Command {
        self.apply(engine, step, None, now)
    }

    /// The wait has ended, if it ended by `now`.
    pub fn handle_timeout<R: Records>(
        &mut self,
        engine: &mut EngineParts<'_, R>,
        now: Instant,
    ) -> Command {
        match self.state {
            State::Retry(due) if due <= now => {
                let Some((policy, ws)) = engine.of(&self.ticket) else {
                    return self.abort();
                };
                match policy.replay(ws, &mut self.ticket, now) {
                    Ok(timeout) => {
                        self.state = State::SendingAgain;
                        Command::Send(Call::Again { timeout })
                    }
                    Err(step) => self.apply(engine, step, None, now),
                }
            }
            // A client that sends slowly must not keep the other cluster's time.
            State::Body(due) if due <= now => self.release(Err(Denial::RequestBody)),
            _ => self.idle(),
        }
    }

    /// A chunk of the request's body has come, with which `size` bytes are in the host's
    /// buffer. `has_copy` says whether the copy of the request is still there.
    pub fn handle_body<R: Records>(
        &mut self,
        engine: &mut EngineParts<'_, R>,
        (size, ends): (usize, bool),
        has_copy: bool,
    ) -> Command {
        let State::Body(until) = self.state else {
            return self.idle();
        };
        if size > 0 {
            self.ticket.body_came();
        }
        if !has_copy {
            return self.release(Err(Denial::CopiesFull));
        }
        let Some((policy, ws)) = engine.of(&self.ticket) else {
            return self.abort();
        };
        // If another route may get the body, it stays in the host's buffer until it is complete.
        let moves = !policy.may_divert(&self.ticket);
        if !moves && !ws.fits_buffer(size, ends) {
            return self.release(Err(Denial::RequestBody));
        }
        if !moves && !ends {
            return Command::Wait;
        }
        self.state = State::Saving { ends, until };
        Command::Save(Intake { size, ends, moves })
    }

    /// The result of [`Command::Save`], and whether the host has lost a part of the body.
    pub fn handle_saved(&mut self, saved: Result<(), Denial>, moved: bool) -> Command {
        let State::Saving { ends, until } = self.state else {
            return self.idle();
        };
        self.moved |= moved;
        match saved {
            Ok(()) if !ends => {
                self.state = State::Body(until);
                Command::Wait
            }
            result => self.release(result),
        }
    }

    /// The request's trailers have come. No call can carry them.
    pub fn handle_trailers(&mut self) -> Command {
        if !matches!(self.state, State::Body(_)) {
            return self.idle();
        }
        self.ticket.body_came();
        self.release(Err(Denial::RequestShape))
    }

    /// The result of [`Command::Store`]: whether there was room for the fields.
    pub fn handle_stored<R: Records>(
        &mut self,
        engine: &mut EngineParts<'_, R>,
        stored: bool,
    ) -> Command {
        let State::Storing(until) = self.state else {
            return self.idle();
        };
        self.state = State::Body(until);
        if self.echo == Echo::Stored && !stored {
            self.lose_echo(engine);
        }
        Command::Wait
    }

    /// The result of [`Command::Release`]: the fields, unless they were dropped.
    pub fn handle_released<R: Records>(
        &mut self,
        engine: &mut EngineParts<'_, R>,
        echo: Option<Box<EchoedFields>>,
        now: Instant,
    ) -> Command {
        let State::Releasing(result) = self.state else {
            return self.idle();
        };
        match echo {
            Some(echo) => {
                self.echo = Echo::Here;
                self.ticket.give_saved(echo);
            }
            None if self.echo == Echo::Stored => self.lose_echo(engine),
            None => {}
        }
        let Some((policy, ws)) = engine.of(&self.ticket) else {
            return self.abort();
        };
        let step = match result {
            Ok(()) => {
                policy.request_complete(ws, &mut self.ticket, Some(now));
                Step::Call
            }
            Err(denial) => {
                self.ticket.spoil(denial);
                policy.skip(ws, &mut self.ticket, Skip::without_copy(denial), now)
            }
        };
        self.apply(engine, step, None, now)
    }

    /// The result of [`Command::Send`]: the host's number of the call, or `None` if it refused.
    pub fn handle_sent<R: Records>(
        &mut self,
        engine: &mut EngineParts<'_, R>,
        call: Option<u32>,
        now: Instant,
    ) -> Command {
        let Some((policy, ws)) = engine.of(&self.ticket) else {
            return self.abort();
        };
        let step = match (self.state, call) {
            (State::SendingAgain, Some(call)) => {
                policy.replay_sent(ws, &mut self.ticket, now);
                self.state = State::Attempt(call);
                return Command::Wait;
            }
            (State::SendingOther, Some(call)) => {
                self.state = State::Call(call);
                return Command::Wait;
            }
            (State::SendingAgain, None) => policy.give_up(ws, &mut self.ticket, Denial::Host, now),
            (State::SendingOther, None) => policy.skip(ws, &mut self.ticket, Skip::Host, now),
            _ => return self.idle(),
        };
        self.apply(engine, step, None, now)
    }

    /// The call has ended: with this response if it can be delivered, and with what `response`
    /// says in any case.
    pub fn handle_response<R: Records>(
        &mut self,
        engine: &mut EngineParts<'_, R>,
        response: &impl Response,
        delivered: Option<CallResponse>,
        now: Instant,
    ) -> Command {
        let Some((policy, ws)) = engine.of(&self.ticket) else {
            return self.abort();
        };
        let (ticket, fits) = (&mut self.ticket, delivered.is_some());
        let step = match self.state {
            State::Attempt(_) => policy.replayed(ws, ticket, response, fits, now),
            State::Call(_) => policy.called(ws, ticket, response, fits, now),
            _ => return self.idle(),
        };
        self.apply(engine, step, delivered, now)
    }

    /// A chunk of the paused response's body has come, with which `size` bytes are in the
    /// host's buffer. One without room ends the pause: the response continues, or a fallback
    /// that needs no wait replaces it.
    pub fn handle_response_body<R: Records>(
        &mut self,
        engine: &mut EngineParts<'_, R>,
        (size, ends): (usize, bool),
        now: Instant,
    ) -> Command {
        if !self.is_paused() || engine.ws.fits_buffer(size, ends) {
            return self.idle();
        }
        let Some((policy, ws)) = engine.of(&self.ticket) else {
            return self.abort();
        };
        let ticket = &mut self.ticket;
        ticket.spoil(Denial::AnswerShape);
        let step = match self.state {
            State::Call(_) => policy.skip(ws, ticket, Skip::AnswerShape, now),
            _ => policy.give_up(ws, ticket, Denial::AnswerShape, now),
        };
        self.apply(engine, step, None, now)
    }

    /// Response headers pass, of the filter's own local reply or from another route. Returns
    /// headers to set on them.
    pub fn handle_response_headers<R: Records>(
        &mut self,
        engine: &mut EngineParts<'_, R>,
        response: &impl Response,
        now: Instant,
    ) -> Pairs {
        let mut headers = core::mem::take(&mut self.stripped);
        if let Some((policy, ws)) = engine.of(&self.ticket)
            && let Step::Label(labels) =
                policy.response_headers(ws, &mut self.ticket, response, now)
        {
            headers.extend(labels);
        }
        headers
    }

    /// The host has refused the local reply.
    pub fn handle_refused(&mut self) -> Command {
        self.stripped = Pairs::new();
        self.end(None, Ending::Resume)
    }

    /// Ends the pause because the engine cannot be asked.
    pub fn abort(&mut self) -> Command {
        self.end(None, Ending::Resume)
    }

    /// Does what was decided about the stream; `delivered` is the response to its call.
    fn apply<R: Records>(
        &mut self,
        engine: &mut EngineParts<'_, R>,
        mut step: Step,
        delivered: Option<CallResponse>,
        now: Instant,
    ) -> Command {
        while let Step::Call = step {
            let Some((policy, ws)) = engine.of(&self.ticket) else {
                return self.abort();
            };
            if let Some(config) = policy.call(&self.ticket) {
                if !self.ticket.is_complete() {
                    return self.store(now.after(config.timeout));
                }
                self.state = State::SendingOther;
                return Command::Send(Call::Other(config.clone()));
            }
            step = policy.skip(ws, &mut self.ticket, Skip::Host, now);
        }
        let ending = match (step, delivered) {
            (Step::Retry(wait), _) => {
                self.state = State::Retry(now.after(wait));
                return Command::Wait;
            }
            (Step::Respond(reply), _) => Ending::Reply((&*reply).into()),
            (Step::HandOn { labels, details }, Some(response)) => {
                let (ending, stripped) = response.deliver(self.side, labels, details);
                self.stripped = stripped;
                ending
            }
            (Step::Divert(header), _) => Ending::Divert(header),
            _ => Ending::Resume,
        };
        let policy = engine.of(&self.ticket);
        let note = policy.and_then(|(policy, _)| policy.note(&self.ticket));
        self.end(note, ending)
    }

    /// Waits for the rest of the request, until then.
    fn store(&mut self, until: Instant) -> Command {
        self.state = State::Storing(until);
        let echo = self.ticket.take_saved();
        if echo.is_some() {
            self.echo = Echo::Stored;
        }
        Command::Store(echo)
    }

    /// Stops waiting for the rest of the request: it is complete, or it cannot be sent.
    fn release(&mut self, result: Result<(), Denial>) -> Command {
        self.state = State::Releasing(result);
        Command::Release {
            keeps_copy: result.is_ok(),
        }
    }

    fn lose_echo<R: Records>(&mut self, engine: &mut EngineParts<'_, R>) {
        self.echo = Echo::Here;
        engine.ws.count(self.ticket.policy, Counter::NothingSaved);
    }

    /// Ends the pause. A request of which the host has lost a part cannot continue: its
    /// upstream would take what is left for all of it.
    fn end(&mut self, note: Option<DecisionNote>, ending: Ending) -> Command {
        self.state = State::Ended;
        let resumes = matches!(ending, Ending::Resume | Ending::Divert(_));
        let lost = resumes && self.moved && self.pauses_request();
        Command::End(note, if lost { Ending::Fail } else { ending })
    }

    /// What an event leads to that changes nothing.
    fn idle(&self) -> Command {
        match self.state {
            State::Ended => Command::Pass,
            _ => Command::Wait,
        }
    }
}

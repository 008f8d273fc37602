//! Paused streams, with what only the adapter can keep for them.
//!
//! The core decides (see [`engine::Paused`]); here its commands become hostcalls. A stream is
//! found by its HTTP context. Its wait ends with a tick, which is a callback of the root
//! context, and so is the response to its call on most hosts: the number of the call finds the
//! stream, which may be gone by then. A stream that is gone is not found here, and its event does
//! nothing.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use proxy_wasm::types::Action;
use spillway_core::engine::{self, Call, Command, Ending, Paused, Step, Ticket};
use spillway_core::time::Instant;

use crate::apply;
use crate::facts::LiveResponse;
use crate::host;
use crate::replay::copies::{self, Limits};
use crate::replay::request::SavedRequest;
use crate::replay::response;
use crate::replay::share::Share;
use crate::runtime::{Engine, Runtime};

/// The paused streams of one root context, of all configurations.
#[derive(Default)]
pub(crate) struct PausedStreams(RefCell<engine::PausedStreams<Kept>>);

/// What the adapter keeps for a paused stream.
struct Kept {
    /// The configuration under which the request began.
    runtime: Rc<Runtime>,
    /// The copy of the request, unless it is among those that may be evicted.
    copy: Option<Box<SavedRequest>>,
}

type Stream = Box<engine::Stream<Kept>>;

/// What happens to a stream in one of its own callbacks.
enum Event {
    /// Bytes in the host's buffer, and whether the body ends with them.
    RequestBody(usize, bool),
    RequestTrailers,
    /// Bytes in the host's buffer, and whether the body ends with them.
    ResponseBody(usize, bool),
}

impl Kept {
    /// Sends the copy of the request.
    fn send(&mut self, call: &Call) -> Option<u32> {
        self.copy.as_mut()?.send(call)
    }
}

/// The sizes of a response to a call.
pub(crate) struct CallSizes {
    /// Number of headers, 0 if there is no response.
    pub headers: usize,
    /// Bytes of the body.
    pub body: usize,
    /// Number of trailers.
    pub trailers: usize,
}

impl PausedStreams {
    /// When the first wait ends, or `None` if nothing waits.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.0.try_borrow().ok()?.poll_timeout()
    }

    /// Pauses a stream in one of its own callbacks, and carries out its first step.
    pub(crate) fn pause(
        &self,
        context: u32,
        (runtime, mut engine): (&Rc<Runtime>, RefMut<'_, Engine>),
        (mut paused, copy): (Paused, Box<SavedRequest>),
        step: Step,
        now: Instant,
    ) -> Action {
        let command = paused.begin(&mut engine.parts(), step, now);
        let host = Kept {
            runtime: runtime.clone(),
            copy: Some(copy),
        };
        let mut stream = Box::new(engine::Stream { paused, host });
        let resumes = carry_out(context, &mut stream, engine, command, now);
        self.insert(context, stream);
        apply::action(!resumes)
    }

    /// Handles a chunk of the request's body, with which the host buffers `size` bytes.
    pub(crate) fn request_body(&self, context: u32, size: usize, ends: bool) -> Action {
        self.handle(context, Event::RequestBody(size, ends))
    }

    /// Handles the request's trailers.
    pub(crate) fn request_trailers(&self, context: u32) -> Action {
        self.handle(context, Event::RequestTrailers)
    }

    /// Handles a chunk of the response's body, with which the host buffers `size` bytes.
    pub(crate) fn response_body(&self, context: u32, size: usize, ends: bool) -> Action {
        self.handle(context, Event::ResponseBody(size, ends))
    }

    /// Handles the response's trailers.
    pub(crate) fn response_trailers(&self, context: u32) -> Action {
        let streams = self.0.try_borrow();
        apply::action(streams.is_ok_and(|streams| streams.is_paused(context)))
    }

    /// Handles response headers of a paused or resumed stream: those of the filter's local reply,
    /// or those from the route that the request was sent to.
    pub(crate) fn response_headers(&self, context: u32) {
        let Some(mut stream) = self.take_stream(context) else {
            return;
        };
        let runtime = stream.host.runtime.clone();
        if let (Some(now), Some(mut engine)) = (runtime.now(), runtime.engine()) {
            let (mut parts, begun) = (engine.parts(), LiveResponse::Begun);
            let labels = stream
                .paused
                .handle_response_headers(&mut parts, &begun, now);
            apply::label(&labels);
        }
        self.insert(context, stream);
    }

    /// Takes the ticket of a stream that has ended. Its call cannot be cancelled, but the response
    /// will find no stream.
    pub(crate) fn take(&self, context: u32) -> Option<Box<Ticket>> {
        let stream = self.take_stream(context)?;
        copies::take(context);
        copies::take_fields(context);
        Some(stream.paused.into_ticket())
    }

    /// Ends the waits that are over.
    pub(crate) fn tick(&self, now: Instant) {
        while let Some((context, mut stream)) = self.take_due(now) {
            let runtime = stream.host.runtime.clone();
            let decided = runtime.engine().map(|mut engine| {
                let mut parts = engine.parts();
                let mut command = stream.paused.handle_timeout(&mut parts, now);
                // The root context makes this call: it survives the stream.
                if let Command::Send(call @ Call::Again { .. }) = &command {
                    let sent = stream.host.send(call);
                    command = stream.paused.handle_sent(&mut parts, sent, now);
                }
                (engine, command, now)
            });
            let waits = matches!(decided, Some((_, Command::Wait, _)));
            let is_there = waits || host::set_effective_context(context).is_ok();
            self.carry_out_outside((context, is_there), stream, decided);
        }
    }

    /// Handles the end of a call. Returns false if no stream here waits for it.
    pub(crate) fn answered(&self, call: u32, sizes: &CallSizes) -> bool {
        let called = self.0.try_borrow_mut().ok();
        let Some((context, mut stream)) = called.and_then(|mut it| it.take_called(call)) else {
            return false;
        };
        // Some hosts only give the response to the context that they call for it.
        let is_there = host::set_effective_context(context).is_ok();
        let runtime = stream.host.runtime.clone();
        // While the response is delivered it is here as well as in the host.
        let mut share = Share::default();
        let asked = runtime.now().zip(runtime.engine());
        let decided = asked.map(|(now, mut engine)| {
            let limits = Limits::of(&engine);
            let mut parts = engine.parts();
            let answered = sizes.headers > 0;
            let fits = answered
                && parts.accepts(sizes.body, sizes.trailers > 0)
                && share.grow(sizes.body, limits.room());
            let delivered = fits.then(|| response::read(sizes.body)).flatten();
            let response = LiveResponse::Replayed { answered };
            let paused = &mut stream.paused;
            let command = paused.handle_response(&mut parts, &response, delivered, now);
            (engine, command, now)
        });
        self.carry_out_outside((context, is_there), stream, decided);
        true
    }

    /// Handles an event in a callback of the stream.
    fn handle(&self, context: u32, event: Event) -> Action {
        let Some(mut stream) = self.take_stream(context) else {
            return Action::Continue;
        };
        let runtime = stream.host.runtime.clone();
        let paused = &mut stream.paused;
        let resumes = if !paused.is_paused() {
            true
        } else if let (Some(now), Some(mut engine)) = (runtime.now(), runtime.engine()) {
            let mut parts = engine.parts();
            let command = match event {
                Event::RequestBody(size, ends) => {
                    let has_copy = copies::has(context);
                    paused.handle_body(&mut parts, (size, ends), has_copy)
                }
                Event::RequestTrailers => paused.handle_trailers(),
                Event::ResponseBody(size, ends) => {
                    paused.handle_response_body(&mut parts, (size, ends), now)
                }
            };
            carry_out(context, &mut stream, engine, command, now)
        } else {
            let command = paused.abort();
            end(&mut stream, command)
        };
        self.insert(context, stream);
        apply::action(!resumes)
    }

    /// Carries out what was decided in a callback of another context, or ends the pause if
    /// nothing could be decided. If the stream is gone, the host does not know its context; then
    /// only events are reported.
    fn carry_out_outside(
        &self,
        (context, is_there): (u32, bool),
        mut stream: Stream,
        decided: Option<(RefMut<'_, Engine>, Command, Instant)>,
    ) {
        let resumes = match decided {
            Some((engine, mut command, now)) => {
                if !is_there {
                    stream.paused.abort();
                    command = Command::Pass;
                }
                carry_out(context, &mut stream, engine, command, now)
            }
            None => {
                let command = stream.paused.abort();
                end(&mut stream, command)
            }
        };
        if resumes && is_there {
            apply::resume(&stream.host.runtime, stream.paused.pauses_request());
        }
        self.insert(context, stream);
    }

    fn insert(&self, context: u32, stream: Stream) {
        if let Ok(mut streams) = self.0.try_borrow_mut() {
            streams.insert(context, stream);
        }
    }

    fn take_stream(&self, context: u32) -> Option<Stream> {
        self.0.try_borrow_mut().ok()?.take(context)
    }

    fn take_due(&self, now: Instant) -> Option<(u32, Stream)> {
        self.0.try_borrow_mut().ok()?.take_due(now)
    }
}

/// Carries out commands until the stream waits or its pause ends. Returns whether the paused
/// side resumes.
fn carry_out(
    context: u32,
    stream: &mut Stream,
    mut engine: RefMut<'_, Engine>,
    mut command: Command,
    now: Instant,
) -> bool {
    let runtime = stream.host.runtime.clone();
    let limits = Limits::of(&engine);
    loop {
        let mut parts = engine.parts();
        command = match command {
            Command::Store(echo) => {
                if let Some(copy) = stream.host.copy.take() {
                    copies::store(context, copy);
                }
                let stored = echo.is_none_or(|echo| copies::save_fields(context, echo, limits));
                stream.paused.handle_stored(&mut parts, stored)
            }
            Command::Save(chunk) => {
                let (saved, moved) = copies::add_body(context, chunk, limits);
                stream.paused.handle_saved(saved, moved)
            }
            Command::Release { keeps_copy } => {
                stream.host.copy = copies::take(context).filter(|_| keeps_copy);
                let echo = copies::take_fields(context);
                stream.paused.handle_released(&mut parts, echo, now)
            }
            Command::Send(call) => {
                let sent = stream.host.send(&call);
                stream.paused.handle_sent(&mut parts, sent, now)
            }
            Command::Pass | Command::Wait | Command::End(..) => break,
        };
    }
    if let Some(due) = stream.paused.poll_timeout() {
        runtime.ask_tick(due, now);
    }
    runtime.follow_up(&mut engine, now);
    drop(engine);
    end(stream, command)
}

/// Ends a pause by a [`Command::End`], and returns whether the paused side resumes.
fn end(stream: &mut Stream, mut command: Command) -> bool {
    let runtime = &stream.host.runtime;
    loop {
        let ending = match command {
            Command::Pass => return true,
            Command::End(note, ending) => {
                apply::publish(note.as_ref());
                ending
            }
            _ => return false,
        };
        match ending {
            Ending::Resume => return true,
            Ending::Divert(header) => {
                apply::edit(&header.name, header.value.as_bytes(), false);
                return true;
            }
            Ending::Replace(headers) => {
                runtime.is_taken(apply::replace(&headers));
                return true;
            }
            Ending::Reply(reply) if apply::reply(runtime, &reply) => return false,
            Ending::Reply(_) => command = stream.paused.handle_refused(),
            Ending::Fail => {
                apply::fail(runtime);
                return false;
            }
        }
    }
}

//! The world at work: clients, router and upstreams, played against the host.
//!
//! One loop takes the next event, either a timer of the host or an event of the queue,
//! advances the host's clock, handles the event and then settles, that is, applies effects
//! until none is left. Handlers of effects never settle, so no effect is handled within
//! another. What follows later at the same time goes into `feeds`, such as a body behind
//! its headers, which the filter may have answered by then.

mod call;
mod callouts;
mod clients;
mod deadlines;
mod event;
mod local_reply;
mod plan;
mod replay;
mod router;
mod service_calls;
mod state;
mod upstreams;

use std::time::Duration;

use crate::model::exchange::Phase;
use crate::proxy::{Effect, Halt};
use crate::sim::clock::Time;
use crate::sim::span::Span;

pub use plan::Plan;
pub use state::{Transcript, World};

use event::{Event, Feed};

/// Watches a run.
pub trait Observer {
    /// Called at mark `number`, before any other event at that time.
    fn mark(&mut self, number: usize, world: &World);
    /// Reports the progress of the run. Called often.
    fn progress(&mut self, now: Time);
}

/// Why a run ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    pub at: Time,
    pub why: Halt,
}

/// How long requests may last after the end of the traffic: a little longer than Envoy's default
/// idle timeout of a stream.
const GRACE: Span = Span::from_ms(360_000);

impl World {
    /// Runs until the traffic has stopped and every call has ended.
    ///
    /// # Errors
    ///
    /// If the plugin makes a hostcall that the host does not model, or one that crashes Envoy.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<(), Stopped> {
        self.settle();
        while let Some(next) = self.next_at() {
            // Calls between services may outlive the client's call, so both must be empty.
            let idle = self.calls.is_empty() && self.exchanges.is_empty();
            let over = next > self.duration && idle;
            if over || next > self.duration + GRACE {
                break;
            }
            self.now = next;
            self.host.advance_to(next);
            observer.progress(next);
            match self.queue.next_at() {
                Some(at) if at <= next => self.step(observer),
                _ => self.host.run_timers(),
            }
            self.settle();
            if let Some(why) = self.host.halt().cloned() {
                return Err(Stopped { at: next, why });
            }
        }
        Ok(())
    }

    fn next_at(&self) -> Option<Time> {
        match (self.queue.next_at(), self.host.next_timer()) {
            (Some(event), Some(timer)) => Some(event.min(timer)),
            (event, timer) => event.or(timer),
        }
    }

    fn step(&mut self, observer: &mut dyn Observer) {
        let Some((_, event)) = self.queue.pop() else {
            return;
        };
        match event {
            Event::Arrival { source } => self.arrive(source),
            Event::Thought { source, client } => {
                self.begin_call(source as usize, Some(client), None);
            }
            Event::Resend(call) => self.send(call),
            Event::Job { cluster, job } => self.wake_job(cluster as usize, job),
            Event::Chunk(exchange) => self.send_chunk(exchange),
            Event::Deadline(exchange) => self.handle_deadline(exchange),
            Event::CalloutDeadline(callout) => self.time_out_callout(callout),
            Event::Fault { number, begins } => self.change_fault(number as usize, begins),
            Event::Update(number) => self.update(number),
            Event::Mark(number) => observer.mark(number, self),
        }
    }

    /// Applies effects and delivers feeds until none is left.
    fn settle(&mut self) {
        loop {
            while let Some(effect) = self.host.next_effect() {
                self.apply(effect);
            }
            match self.feeds.pop_front() {
                Some(feed) => self.feed(feed),
                None => break,
            }
        }
        for line in self.host.take_log() {
            if let Some(transcript) = &mut self.transcript {
                transcript.log.push(line.text.clone());
            }
            self.record.log(line);
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::ToUpstream {
                stream,
                part,
                rerouted,
            } => {
                if let Some(key) = self.by_stream.get(&stream) {
                    self.receive_from_filter(*key, part, rerouted);
                }
            }
            Effect::ToClient { stream, part } => {
                if let Some(key) = self.by_stream.get(&stream) {
                    self.deliver_to_client(*key, part);
                }
            }
            Effect::CancelUpstream { stream } => {
                if let Some(key) = self.by_stream.get(&stream) {
                    self.replace_response(*key);
                }
            }
            Effect::ResetClient { stream, .. } => {
                if let Some(transcript) = &mut self.transcript {
                    transcript.reset = true;
                }
                if let Some(key) = self.by_stream.get(&stream) {
                    self.reset_client(*key);
                }
            }
            Effect::Call(call) => self.begin_callout(call),
            // Upstreams respond alike to every message.
            Effect::SendMessage { .. } => {}
            Effect::CancelCall { call } => self.cancel_callout(call),
        }
    }

    fn feed(&mut self, feed: Feed) {
        self.reset_idle_timeout(feed.exchange);
        let Some(exchange) = self.exchanges.get_mut(feed.exchange) else {
            return;
        };
        exchange.sent |= feed.upwards && feed.part.is_end();
        // The filter has replaced this response, so the rest of it is dropped.
        if exchange.phase == Phase::Replaced {
            return;
        }
        let stream = exchange.stream;
        if feed.upwards {
            return self.host.request(stream, feed.part);
        }
        let complete_at = exchange.complete_at;
        if feed.part.is_end()
            && let Some(info) = self.host.info_mut(stream)
            && info.details == self.texts.via_upstream
        {
            // Envoy stops an upload that gets an early response, and measures from there.
            let took = complete_at.map_or(Span::ZERO, |from| Span::between(from, self.now));
            info.backend_latency = Some(Duration::from_nanos(took.as_ns()));
        }
        self.host.response(stream, feed.part);
    }
}

#[cfg(test)]
mod tests;

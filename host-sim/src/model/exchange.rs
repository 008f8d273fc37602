//! One request in flight: its phase, and what it waits for.

use std::rc::Rc;

use crate::framing::{Fault, Reading};
use crate::headers::HeaderMap;
use crate::model::keys::CallKey;
use crate::model::outgoing::Unwritable;
use crate::model::recorded::Fate;
use crate::model::retry::Plan;
use crate::model::route::Picked;
use crate::model::timeouts::StreamLimits;
use crate::model::upstream::JobKey;
use crate::proxy::StreamId;
use crate::sim::clock::Time;

/// One request, from its first byte to the last byte of the response.
pub struct Exchange {
    pub stream: StreamId,
    /// Counted from 1 over the run.
    pub request: u64,
    pub caller: Caller,
    /// Index of the source that sends it, and of its kind there.
    pub source: usize,
    pub kind: usize,
    pub grpc: bool,
    /// Whether its content type is gRPC's.
    pub claims_grpc: bool,
    /// Whether the response has no body.
    pub head: bool,
    /// Whether the client has sent the whole request.
    pub sent: bool,
    /// When the router had the whole request. `None` until then.
    pub complete_at: Option<Time>,
    /// Limits of the whole stream.
    pub limits: StreamLimits,
    /// When it began.
    pub began: Time,
    pub picked: Option<Picked>,
    /// The headers as the filter left them, if the service forwards some of them.
    pub headers: Option<HeaderMap>,
    pub plan: Option<Plan>,
    /// Why no attempt can be written, if that is so.
    pub unwritable: Option<Unwritable>,
    pub attempts: u32,
    pub attempt: Option<JobKey>,
    /// Whether it holds one of the cluster's retries.
    pub holds_retry: bool,
    pub phase: Phase,
    pub deadlines: Deadlines,
    pub seen: Seen,
    /// The request, as the service reads it.
    pub request_read: Reading,
    /// The response, as the client reads it.
    pub response_read: Reading,
    /// Number of body chunks that the client has not sent yet.
    pub chunks_left: u32,
    /// The details that the router gave the response. If they differ at the end, the filter made
    /// the response.
    pub router_details: Option<Rc<str>>,
    /// What the recording says, if the request is from one.
    pub fate: Option<Fate>,
}

impl Exchange {
    /// Creates a request that begins `now`.
    pub fn new(
        stream: StreamId,
        request: u64,
        caller: Caller,
        now: Time,
        patience: Time,
    ) -> Exchange {
        Exchange {
            stream,
            request,
            caller,
            source: 0,
            kind: 0,
            grpc: false,
            claims_grpc: false,
            head: false,
            sent: false,
            complete_at: None,
            limits: StreamLimits::default(),
            began: now,
            picked: None,
            headers: None,
            plan: None,
            unwritable: None,
            attempts: 0,
            attempt: None,
            holds_retry: false,
            phase: Phase::Filter,
            deadlines: Deadlines::new(patience),
            seen: Seen::default(),
            request_read: Reading::default(),
            response_read: Reading::default(),
            chunks_left: 0,
            router_details: None,
            fate: None,
        }
    }

    /// Returns how the request differs from what its headers announce, once the router has sent all
    /// of it.
    pub fn request_fault(&self) -> Option<Fault> {
        self.complete_at.and_then(|_| self.request_read.end())
    }
}

/// Who waits for the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Client(CallKey),
    /// A service, for one of its jobs.
    Service {
        cluster: usize,
        job: JobKey,
    },
}

/// The progress of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The filter has it.
    Filter,
    /// An attempt is in flight. The request may still be incomplete.
    Trying,
    /// A retry waits for its backoff.
    BackingOff,
    /// The filter has the response headers, but not the whole response.
    Streaming,
    /// The filter has the whole response.
    Done,
    /// The filter has sent its own response, and the upstream's is discarded.
    Replaced,
}

/// What the client has seen of the response.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub status: u16,
    pub grpc_status: Option<u32>,
    /// Seconds.
    pub retry_after: Option<u64>,
}

/// The time limits of a request.
///
/// Only the earliest is in the event queue, and none while an upstream event is known to come
/// before it. So a request without failures, as most are, costs no event for its timeouts.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// `max_stream_duration` of the route, or `grpc-timeout`.
    pub duration: Time,
    pub idle: Time,
    pub route: Time,
    pub per_try: Time,
    /// `max_stream_duration` of the cluster.
    pub attempt: Time,
    pub backoff: Time,
    pub patience: Time,
    /// The time of the next upstream event, if that is known.
    pub known: Time,
    /// The earliest deadline in the queue.
    pub armed: Time,
}

/// The deadline that never passes.
pub const NEVER: Time = Time::from_ns(u64::MAX);

impl Deadlines {
    /// Creates the deadlines of a new request: only the caller's patience.
    pub fn new(patience: Time) -> Deadlines {
        Deadlines {
            duration: NEVER,
            idle: NEVER,
            route: NEVER,
            per_try: NEVER,
            attempt: NEVER,
            backoff: NEVER,
            patience,
            known: NEVER,
            armed: NEVER,
        }
    }

    /// Returns the earliest deadline.
    pub fn earliest(&self) -> Time {
        let attempt = self.per_try.min(self.attempt);
        let router = self.route.min(attempt).min(self.backoff);
        let stream = self.duration.min(self.idle);
        router.min(stream).min(self.patience)
    }

    /// Clears the deadlines of the router.
    pub fn drop_router(&mut self) {
        self.route = NEVER;
        self.backoff = NEVER;
        self.drop_attempt();
    }

    /// Clears the deadlines of the attempt.
    pub fn drop_attempt(&mut self) {
        self.per_try = NEVER;
        self.attempt = NEVER;
        self.known = NEVER;
    }

    /// Returns the time for which to queue a deadline event. `None` if an event for the earliest
    /// deadline is queued already, or if an upstream event comes before it.
    pub fn arm(&mut self) -> Option<Time> {
        let earliest = self.earliest();
        let needed = earliest < self.armed && earliest < self.known;
        if !needed {
            return None;
        }
        self.armed = earliest;
        Some(earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_earlier_deadline_is_queued_again() {
        let at = Time::from_ms;
        let mut deadlines = Deadlines::new(at(100));
        deadlines.known = at(20);
        assert_eq!(deadlines.arm(), None);
        deadlines.known = NEVER;
        assert_eq!(deadlines.arm(), Some(at(100)));
        assert_eq!(deadlines.arm(), None);
        deadlines.route = at(50);
        deadlines.known = at(60);
        assert_eq!(deadlines.arm(), Some(at(50)));
        deadlines.drop_router();
        assert_eq!(deadlines.arm(), None);
    }
}

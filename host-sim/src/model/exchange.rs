//! One request on its way: where it is, and what it waits for.

use std::rc::Rc;

use crate::headers::HeaderMap;
use crate::model::retry::Plan;
use crate::model::route::Picked;
use crate::model::timeouts::StreamLimits;
use crate::model::upstream::JobKey;
use crate::model::world::CallKey;
use crate::proxy::StreamId;
use crate::sim::clock::Time;

/// One request, from the client's first byte to the last of the answer.
pub struct Exchange {
    pub stream: StreamId,
    /// Counted from 1 over the run.
    pub request: u64,
    pub caller: Caller,
    /// Who sends it, and which of its kinds it is.
    pub source: usize,
    pub kind: usize,
    pub grpc: bool,
    /// Whether its headers say that it is a gRPC call.
    pub claims_grpc: bool,
    /// Whether the answer has no body.
    pub head: bool,
    /// Whether the client has sent all of the request.
    pub sent: bool,
    /// When the router had all of the request; none before.
    pub complete_at: Option<Time>,
    /// Limits of the whole stream.
    pub limits: StreamLimits,
    /// When it began.
    pub began: Time,
    pub picked: Option<Picked>,
    /// Its headers behind the filter, if a service looks at them.
    pub headers: Option<HeaderMap>,
    pub plan: Option<Plan>,
    pub attempts: u32,
    pub attempt: Option<JobKey>,
    /// Whether it holds one of the cluster's retries.
    pub holds_retry: bool,
    pub phase: Phase,
    pub deadlines: Deadlines,
    pub seen: Seen,
    /// Chunks of the body that the client has yet to send.
    pub chunks_left: u32,
    /// The details that the router gave its answer; an answer with others is the filter's.
    pub told: Option<Rc<str>>,
}

impl Exchange {
    /// A request that its caller begins to send `now`.
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
            attempts: 0,
            attempt: None,
            holds_retry: false,
            phase: Phase::Filter,
            deadlines: Deadlines::new(patience),
            seen: Seen::default(),
            chunks_left: 0,
            told: None,
        }
    }
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Client(CallKey),
    /// A service, which needs it for this job.
    Service {
        cluster: usize,
        job: JobKey,
    },
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The filter has it.
    Filter,
    /// An attempt is on its way, perhaps before all of the request has come.
    Trying,
    /// The next attempt waits.
    BackingOff,
    /// The answer's headers went to the filter, the rest has not come.
    Answering,
    /// All of the answer went to the filter.
    Answered,
    /// The filter answers by itself: what the upstream says is not wanted any more.
    Overruled,
}

/// What the client has seen of the answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub status: u16,
    pub grpc_status: Option<u32>,
    /// Seconds.
    pub retry_after: Option<u64>,
}

/// The times at which somebody loses patience.
///
/// Only the earliest is in the queue of events, and none while an answer is known to
/// come before it. So a request that goes well, as most do, costs no event for the
/// time-outs that it never meets.
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
    /// When something comes from the upstream, if that is known.
    pub known: Time,
    /// The earliest that is in the queue.
    pub armed: Time,
}

/// A deadline that is not.
pub const NEVER: Time = Time::from_ns(u64::MAX);

impl Deadlines {
    /// None yet but the client's patience.
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

    /// The earliest of them.
    pub fn earliest(&self) -> Time {
        let attempt = self.per_try.min(self.attempt);
        let router = self.route.min(attempt).min(self.backoff);
        let stream = self.duration.min(self.idle);
        router.min(stream).min(self.patience)
    }

    /// The router is done.
    pub fn drop_router(&mut self) {
        self.route = NEVER;
        self.backoff = NEVER;
        self.drop_attempt();
    }

    /// The attempt is over.
    pub fn drop_attempt(&mut self) {
        self.per_try = NEVER;
        self.attempt = NEVER;
        self.known = NEVER;
    }

    /// The time at which an event is to be put into the queue, if one is to be: the earliest
    /// deadline, unless something known comes before it or there is already one.
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
    fn only_an_earlier_deadline_is_armed_again() {
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

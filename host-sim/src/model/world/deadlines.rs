//! Time limits: those of the router, of the connection manager, and of the caller.

use crate::model::exchange::{NEVER, Phase};
use crate::model::retry::Reset;
use crate::model::timeouts::StreamLimits;
use crate::model::world::own::Own;
use crate::model::world::{Event, ExchangeKey, World};
use crate::proxy::LocalReply;
use crate::record::Failure;
use crate::sim::span::Span;

impl World {
    /// Limits the stream as its route says. Envoy does so whenever it looks a route up, and
    /// counts from the beginning of the stream.
    pub(super) fn limit_stream(&mut self, key: ExchangeKey, limits: StreamLimits) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.limits = limits;
        exchange.deadlines.duration = match limits.duration {
            Span::ZERO => NEVER,
            duration => exchange.began + duration,
        };
        self.touch(key);
    }

    /// Something is sent, in either direction.
    pub(super) fn touch(&mut self, key: ExchangeKey) {
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.deadlines.idle = match exchange.limits.idle {
                Span::ZERO => NEVER,
                idle => self.now + idle,
            };
        }
    }

    /// A deadline has come, or had come and was put off.
    pub(super) fn meet_deadline(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let due = exchange.deadlines;
        exchange.deadlines.armed = NEVER;
        let cluster = exchange.picked.as_ref().and_then(|picked| picked.cluster);
        if due.patience <= self.now {
            self.give_up(key);
        } else if due.duration <= self.now {
            self.end_stream(key, Own::Duration);
        } else if due.idle <= self.now {
            self.end_stream(key, Own::Idle);
        } else if due.route <= self.now {
            self.time_out(key, cluster, Own::RouteTimeout, Failure::RouteTimeout);
        } else if due.attempt <= self.now || due.per_try <= self.now {
            let per_try = due.attempt > self.now;
            self.time_out_attempt(key, cluster, per_try);
        } else if due.backoff <= self.now {
            self.attempt(key);
        }
        self.settle_and_arm(key);
    }

    fn time_out_attempt(&mut self, key: ExchangeKey, cluster: Option<usize>, per_try: bool) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let trying = exchange.phase == Phase::Trying;
        if per_try {
            exchange.deadlines.per_try = NEVER;
        }
        match (cluster, per_try) {
            (Some(cluster), true) if trying => {
                self.fail_attempt(key, cluster, Reset::PerTryTimeout);
            }
            (_, true) => {}
            (Some(cluster), false) if trying => {
                self.fail_attempt(key, cluster, Reset::MaxDuration);
            }
            (cluster, false) => {
                self.time_out(key, cluster, Own::MaxDuration, Failure::MaxDuration);
            }
        }
    }

    fn time_out(&mut self, key: ExchangeKey, cluster: Option<usize>, own: Own, failure: Failure) {
        let Some(exchange) = self.exchanges.get(key) else {
            return;
        };
        // An answer whose headers are with the client cannot be replaced any more.
        let begun = exchange.phase == Phase::Answering && exchange.seen.status != 0;
        if let Some(cluster) = cluster {
            self.note_failure(key, cluster, failure);
        }
        self.abandon_attempt(key);
        match begun {
            true => self.cut_off(key, own),
            false => self.answer_by_itself(key, own),
        }
    }

    fn cut_off(&mut self, key: ExchangeKey, own: Own) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.deadlines.drop_router();
        let (flags, details) = self.texts.flags_and_details(own);
        exchange.told = Some(details.clone());
        let stream = exchange.stream;
        if let Some(info) = self.host.info_mut(stream) {
            info.flags |= flags;
            info.details = details;
        }
        self.host.upstream_reset_after_headers(stream);
    }

    /// The connection manager ends the stream, wherever it is.
    fn end_stream(&mut self, key: ExchangeKey, own: Own) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let (flags, details) = self.texts.flags_and_details(own);
        exchange.deadlines.duration = NEVER;
        exchange.deadlines.idle = NEVER;
        exchange.told = Some(details.clone());
        let stream = exchange.stream;
        let reply = LocalReply {
            code: own.status(exchange.sent).into(),
            details,
            body: own.body(false).into(),
            grpc_status: own.grpc_status(),
            ..LocalReply::default()
        };
        let cluster = exchange.picked.as_ref().and_then(|picked| picked.cluster);
        if let Some(cluster) = cluster.filter(|_| exchange.attempt.is_some()) {
            self.note_failure(key, cluster, Failure::StreamTimeout);
        }
        if let Some(info) = self.host.info_mut(stream) {
            info.flags |= flags;
        }
        self.host.local_reply(stream, &reply);
    }

    /// Puts the earliest deadline into the queue, unless something known comes first.
    pub(super) fn arm(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        if let Some(at) = exchange.deadlines.arm() {
            self.queue.push(at, Event::Deadline(key));
        }
    }
}

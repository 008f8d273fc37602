//! Time limits of the router, of the connection manager and of the caller.

use crate::model::cause::LocalCause;
use crate::model::exchange::{NEVER, Phase};
use crate::model::keys::ExchangeKey;
use crate::model::retry::Reset;
use crate::model::timeouts::StreamLimits;
use crate::model::world::event::Event;
use crate::model::world::state::World;
use crate::proxy::LocalReply;
use crate::record::Failure;
use crate::sim::span::Span;

impl World {
    /// Sets the stream's limits. Envoy does so whenever it looks up a route, and counts the
    /// duration from the beginning of the stream.
    pub(super) fn limit_stream(&mut self, key: ExchangeKey, limits: StreamLimits) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.limits = limits;
        exchange.deadlines.duration = match limits.duration {
            Span::ZERO => NEVER,
            duration => exchange.began + duration,
        };
        self.reset_idle_timeout(key);
    }

    /// Restarts the idle timeout, since something is sent in either direction.
    pub(super) fn reset_idle_timeout(&mut self, key: ExchangeKey) {
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.deadlines.idle = match exchange.limits.idle {
                Span::ZERO => NEVER,
                idle => self.now + idle,
            };
        }
    }

    /// Handles the earliest deadline, unless it has been moved since.
    pub(super) fn handle_deadline(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let due = exchange.deadlines;
        exchange.deadlines.armed = NEVER;
        let cluster = exchange.picked.as_ref().and_then(|picked| picked.cluster);
        if due.patience <= self.now {
            self.give_up(key);
        } else if due.duration <= self.now {
            self.end_stream(key, LocalCause::Duration);
        } else if due.idle <= self.now {
            self.end_stream(key, LocalCause::Idle);
        } else if due.route <= self.now {
            self.time_out(
                key,
                cluster,
                LocalCause::RouteTimeout,
                Failure::RouteTimeout,
            );
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
                self.time_out(key, cluster, LocalCause::MaxDuration, Failure::MaxDuration);
            }
        }
    }

    pub(super) fn time_out(
        &mut self,
        key: ExchangeKey,
        cluster: Option<usize>,
        cause: LocalCause,
        failure: Failure,
    ) {
        let Some(exchange) = self.exchanges.get(key) else {
            return;
        };
        // Once the client has the headers, the response can only be reset.
        let begun = exchange.phase == Phase::Streaming && exchange.seen.status != 0;
        if let Some(cluster) = cluster {
            self.note_failure(key, cluster, failure);
        }
        self.abandon_request(key);
        match begun {
            true => self.reset_response(key, cause),
            false => self.reply_locally(key, cause),
        }
    }

    fn reset_response(&mut self, key: ExchangeKey, cause: LocalCause) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.deadlines.drop_router();
        let (flags, details) = self.texts.flags_and_details(cause);
        exchange.router_details = Some(details.clone());
        let stream = exchange.stream;
        if let Some(info) = self.host.info_mut(stream) {
            info.flags |= flags;
            info.details = details;
        }
        self.host.upstream_reset_after_headers(stream);
    }

    /// The connection manager ends the stream, in whichever phase it is.
    pub(super) fn end_stream(&mut self, key: ExchangeKey, cause: LocalCause) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let (flags, details) = self.texts.flags_and_details(cause);
        exchange.deadlines.duration = NEVER;
        exchange.deadlines.idle = NEVER;
        exchange.router_details = Some(details.clone());
        let stream = exchange.stream;
        let reply = LocalReply {
            code: cause.status(exchange.sent).into(),
            details,
            body: cause.body(false).into(),
            grpc_status: cause.grpc_status(),
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

    /// Queues the earliest deadline, unless an upstream event is known to come first.
    pub(super) fn arm(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        if let Some(at) = exchange.deadlines.arm() {
            self.queue.push(at, Event::Deadline(key));
        }
    }
}

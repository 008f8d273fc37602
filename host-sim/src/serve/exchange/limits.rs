//! Time limits of the router and of the connection manager.

use super::Exchange;
use super::state::Phase;
use crate::model::cause::LocalCause;
use crate::model::exchange::NEVER;
use crate::model::retry::Reset;
use crate::model::timeouts::StreamLimits;
use crate::proxy::LocalReply;
use crate::sim::span::Span;

/// How many times an idle stream gets a local reply, before it is reset.
const IDLE_REPLIES: u32 = 2;

impl Exchange {
    /// Sets the stream's limits, as Envoy does whenever it looks up a route.
    pub(super) fn limit_stream(&mut self, limits: StreamLimits) {
        self.limits = limits;
        self.deadlines.duration = match limits.duration {
            Span::ZERO => NEVER,
            duration => self.began + duration,
        };
        self.reset_idle_timeout();
    }

    /// Restarts the idle timeout, since something is sent in either direction.
    pub(super) fn reset_idle_timeout(&mut self) {
        self.deadlines.idle = match self.limits.idle {
            Span::ZERO => NEVER,
            idle => self.engine.now() + idle,
        };
    }

    /// Handles the earliest deadline, unless it has been moved since.
    pub(super) fn handle_deadline(&mut self) {
        let (due, now) = (self.deadlines, self.engine.now());
        self.deadlines.armed = NEVER;
        self.sleep.as_mut().reset(self.engine.instant(NEVER));
        if due.duration <= now {
            self.end_stream(LocalCause::Duration);
        } else if due.idle <= now {
            self.end_idle_stream();
        } else if due.route <= now {
            self.time_out(LocalCause::RouteTimeout);
        } else if due.per_try <= now {
            self.deadlines.per_try = NEVER;
            if self.router.phase == Phase::Trying {
                self.fail_attempt(Reset::PerTryTimeout);
            }
        } else if due.backoff <= now {
            self.attempt();
        }
    }

    /// Ends a stream on which nothing happens. A plugin may pause the reply, so the stream has to
    /// end in another way at last.
    fn end_idle_stream(&mut self) {
        if self.idle_replies == IDLE_REPLIES {
            self.client.reset();
            self.over = true;
            return;
        }
        self.idle_replies += 1;
        self.end_stream(LocalCause::Idle);
        self.reset_idle_timeout();
    }

    fn time_out(&mut self, cause: LocalCause) {
        // Once the client has the headers, the response can only be reset.
        let begun = self.router.phase == Phase::Streaming && self.client.has_headers();
        self.abandon_request();
        match begun {
            true => {
                let (flags, details) = self.site.texts.flags_and_details(cause);
                self.break_response(flags, details);
            }
            false => self.reply_locally(cause),
        }
    }

    /// The connection manager ends the stream, in whichever phase it is.
    fn end_stream(&mut self, cause: LocalCause) {
        let (flags, details) = self.site.texts.flags_and_details(cause);
        self.deadlines.duration = NEVER;
        let reply = LocalReply {
            code: cause.status(self.client.is_complete()).into(),
            details,
            body: cause.body(false).into(),
            grpc_status: cause.grpc_status(),
            ..LocalReply::default()
        };
        self.inform(|info| info.flags |= flags);
        let stream = self.stream;
        self.engine.enter(|host| host.local_reply(stream, &reply));
    }

    /// Sets the timer to the earliest deadline. An earlier timer stays, and finds nothing due.
    pub(super) fn arm(&mut self) {
        if let Some(at) = self.deadlines.arm() {
            let instant = self.engine.instant(at);
            self.sleep.as_mut().reset(instant);
        }
    }
}

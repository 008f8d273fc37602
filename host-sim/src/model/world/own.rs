//! Answers of the router itself, in Envoy's words.

use std::rc::Rc;

use crate::model::answers::Local;
use crate::model::exchange::Phase;
use crate::model::world::{ExchangeKey, Feed, World};
use crate::proxy::stream::info::flag;

/// The texts of `%RESPONSE_CODE_DETAILS%`.
pub struct Texts {
    pub client_left: Rc<str>,
    pub via_upstream: Rc<str>,
    no_route: Rc<str>,
    no_cluster: Rc<str>,
    direct: Rc<str>,
    no_healthy: Rc<str>,
    overflow: Rc<str>,
    refused: Rc<str>,
    terminated: Rc<str>,
    pub broken: Rc<str>,
    pub route_timeout: Rc<str>,
    try_timeout: Rc<str>,
    refused_transport: Rc<str>,
    pub closed: Rc<str>,
    connect_timeout: Rc<str>,
    unresolved: Rc<str>,
    max_duration: Rc<str>,
    duration: Rc<str>,
    idle: Rc<str>,
}

impl Default for Texts {
    fn default() -> Texts {
        Texts {
            client_left: "downstream_remote_disconnect".into(),
            via_upstream: "via_upstream".into(),
            no_route: "route_not_found".into(),
            no_cluster: "cluster_not_found".into(),
            direct: "direct_response".into(),
            no_healthy: "no_healthy_upstream".into(),
            overflow: "upstream_reset_before_response_started{overflow}".into(),
            refused: "upstream_reset_before_response_started{remote_connection_failure|\
                      delayed_connect_error:_Connection_refused}"
                .into(),
            terminated: "upstream_reset_before_response_started{connection_termination}".into(),
            // Of an answer in chunks, as one without a length is: the codec misses its end.
            broken: "upstream_reset_after_response_started{protocol_error}".into(),
            route_timeout: "response_timeout".into(),
            try_timeout: "upstream_per_try_timeout".into(),
            refused_transport: "delayed connect error: Connection refused".into(),
            closed: "upstream_reset_after_response_started{connection_termination}".into(),
            connect_timeout: "upstream_reset_before_response_started{connection_timeout}".into(),
            unresolved: "dns_resolution_failure{cares_failure:Could_not_contact_DNS_servers}"
                .into(),
            max_duration: "upstream_max_stream_duration_reached".into(),
            duration: "max_duration_timeout".into(),
            idle: "stream_idle_timeout".into(),
        }
    }
}

/// gRPC's DEADLINE_EXCEEDED.
const DEADLINE_EXCEEDED: u32 = 4;

/// Why the proxy answers by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Own {
    NoRoute,
    NoCluster,
    NoHealthyHost,
    Overflow,
    Refused,
    Terminated,
    RouteTimeout,
    TryTimeout,
    ConnectTimeout,
    /// A dynamic forward proxy has no address for the host.
    Unresolved,
    /// `max_stream_duration` of the cluster.
    MaxDuration,
    /// `max_stream_duration` of the route, or `grpc-timeout`.
    Duration,
    /// Nothing was sent for too long.
    Idle,
}

impl Texts {
    /// Response flags and details of such an answer.
    pub fn flags_and_details(&self, own: Own) -> (u64, Rc<str>) {
        let (flags, details) = match own {
            Own::NoRoute => (flag::NO_ROUTE, &self.no_route),
            Own::NoCluster => (flag::NO_CLUSTER, &self.no_cluster),
            Own::NoHealthyHost => (flag::NO_HEALTHY_UPSTREAM, &self.no_healthy),
            Own::Overflow => (flag::UPSTREAM_OVERFLOW, &self.overflow),
            Own::Refused => (flag::UPSTREAM_CONNECTION_FAILURE, &self.refused),
            Own::ConnectTimeout => (flag::UPSTREAM_CONNECTION_FAILURE, &self.connect_timeout),
            Own::Terminated => (flag::UPSTREAM_CONNECTION_TERMINATION, &self.terminated),
            Own::RouteTimeout => (flag::UPSTREAM_TIMEOUT, &self.route_timeout),
            Own::TryTimeout => (flag::UPSTREAM_TIMEOUT, &self.try_timeout),
            Own::Unresolved => (flag::DNS_FAILURE, &self.unresolved),
            Own::MaxDuration => (flag::MAX_STREAM_DURATION, &self.max_duration),
            // Envoy has a flag for it, DT, and sets it for connections alone.
            Own::Duration => (0, &self.duration),
            Own::Idle => (flag::STREAM_IDLE_TIMEOUT, &self.idle),
        };
        (flags, details.clone())
    }
}

impl World {
    pub(super) fn answer_directly(&mut self, key: ExchangeKey, status: u16, body: &str) {
        let details = self.texts.direct.clone();
        let local = Local {
            status,
            body,
            overloaded: false,
        };
        self.answer_locally(key, &local, 0, details);
    }

    pub(super) fn answer_by_itself(&mut self, key: ExchangeKey, own: Own) {
        let Some(exchange) = self.exchanges.get(key) else {
            return;
        };
        let status = own.status(exchange.complete_at.is_some());
        let (flags, details) = self.texts.flags_and_details(own);
        if own == Own::Refused
            && let Some(info) = self.host.info_mut(exchange.stream)
        {
            info.transport_failure = Some(self.texts.refused_transport.clone());
        }
        let body = own.body(exchange.attempts > 1);
        let local = Local {
            status,
            body: &body,
            overloaded: own == Own::Overflow,
        };
        self.answer_locally(key, &local, flags, details);
    }

    fn answer_locally(
        &mut self,
        key: ExchangeKey,
        local: &Local<'_>,
        flags: u64,
        details: Rc<str>,
    ) {
        let Some(exchange) = self.tell(key, local.status, flags, details) else {
            return;
        };
        exchange.phase = Phase::Answered;
        exchange.deadlines.drop_router();
        let (headers, body) = local.parts(exchange.claims_grpc);
        let stream = exchange.stream;
        if let Some(part) = body.filter(|_| !exchange.head) {
            let exchange = key;
            self.feeds.push_back(Feed {
                exchange,
                part,
                upwards: false,
            });
        }
        self.host.response(stream, headers);
    }
}

impl Own {
    /// The status; `complete`: the proxy has all of the request.
    pub fn status(self, complete: bool) -> u16 {
        match self {
            Own::NoRoute => 404,
            Own::MaxDuration | Own::Duration | Own::Idle if !complete => 408,
            Own::RouteTimeout | Own::TryTimeout | Own::MaxDuration | Own::Duration | Own::Idle => {
                504
            }
            _ => 503,
        }
    }

    /// The gRPC status, where it is not the one that stands for the HTTP status.
    pub fn grpc_status(self) -> Option<u32> {
        (self == Own::Duration).then_some(DEADLINE_EXCEEDED)
    }

    /// The body; `retried`: this was not the first attempt.
    pub fn body(self, retried: bool) -> String {
        let reason = match self {
            Own::NoRoute | Own::NoCluster => return String::new(),
            Own::NoHealthyHost => return "no healthy upstream".into(),
            Own::RouteTimeout | Own::TryTimeout => return "upstream request timeout".into(),
            Own::Unresolved => return "DNS resolution failure".into(),
            Own::MaxDuration => return "upstream max stream duration reached".into(),
            Own::Duration => return "downstream duration timeout".into(),
            Own::Idle => return "stream timeout".into(),
            Own::ConnectTimeout => "connection timeout",
            Own::Overflow => "overflow",
            Own::Refused => "remote connection failure",
            Own::Terminated => "connection termination",
        };
        let latest = if retried {
            "retried and the latest "
        } else {
            ""
        };
        let what = "upstream connect error or disconnect/reset before headers.";
        format!("{what} {latest}reset reason: {reason}")
    }
}

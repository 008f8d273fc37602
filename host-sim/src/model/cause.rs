//! Why the proxy itself ends a request, in Envoy's words.

use std::rc::Rc;

use crate::model::retry::Reset;
use crate::proxy::stream::info::flag;

/// The values of `%RESPONSE_CODE_DETAILS%`, shared by all requests.
pub struct Details {
    pub client_left: Rc<str>,
    pub via_upstream: Rc<str>,
    pub no_route: Rc<str>,
    pub no_cluster: Rc<str>,
    pub direct: Rc<str>,
    pub no_healthy: Rc<str>,
    pub overflow: Rc<str>,
    pub refused: Rc<str>,
    pub reset: Rc<str>,
    pub remote_reset: Rc<str>,
    pub refused_stream: Rc<str>,
    pub reset_later: Rc<str>,
    pub protocol_error: Rc<str>,
    pub broken: Rc<str>,
    pub route_timeout: Rc<str>,
    pub per_try_timeout: Rc<str>,
    pub refused_transport: Rc<str>,
    pub closed: Rc<str>,
    pub connect_timeout: Rc<str>,
    pub unresolved: Rc<str>,
    pub max_duration: Rc<str>,
    pub duration: Rc<str>,
    pub idle: Rc<str>,
}

impl Default for Details {
    fn default() -> Details {
        Details {
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
            reset: "upstream_reset_before_response_started{connection_termination}".into(),
            remote_reset: "upstream_reset_before_response_started{remote_reset}".into(),
            refused_stream: "upstream_reset_before_response_started{remote_refused_stream_reset}"
                .into(),
            reset_later: "upstream_reset_after_response_started{remote_reset}".into(),
            protocol_error: "upstream_reset_before_response_started{protocol_error}".into(),
            // A response that breaks off has no length, so the codec misses its last chunk.
            broken: "upstream_reset_after_response_started{protocol_error}".into(),
            route_timeout: "response_timeout".into(),
            per_try_timeout: "upstream_per_try_timeout".into(),
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

/// Why the proxy itself ends a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LocalCause {
    NoRoute,
    NoCluster,
    NoHealthyHost,
    Overflow,
    Refused,
    Reset,
    RemoteReset,
    RefusedStream,
    /// The service reset a request that is not valid.
    ProtocolError,
    RouteTimeout,
    PerTryTimeout,
    ConnectTimeout,
    /// A dynamic forward proxy cannot resolve the host.
    Unresolved,
    /// `max_stream_duration` of the cluster.
    MaxDuration,
    /// `max_stream_duration` of the route, or `grpc-timeout`.
    Duration,
    /// The idle timeout of the stream.
    Idle,
}

impl Details {
    /// Returns the response flags and details of a cause.
    pub fn flags_and_details(&self, cause: LocalCause) -> (u64, Rc<str>) {
        let (flags, details) = match cause {
            LocalCause::NoRoute => (flag::NO_ROUTE, &self.no_route),
            LocalCause::NoCluster => (flag::NO_CLUSTER, &self.no_cluster),
            LocalCause::NoHealthyHost => (flag::NO_HEALTHY_UPSTREAM, &self.no_healthy),
            LocalCause::Overflow => (flag::UPSTREAM_OVERFLOW, &self.overflow),
            LocalCause::Refused => (flag::UPSTREAM_CONNECTION_FAILURE, &self.refused),
            LocalCause::ConnectTimeout => {
                (flag::UPSTREAM_CONNECTION_FAILURE, &self.connect_timeout)
            }
            LocalCause::Reset => (flag::UPSTREAM_CONNECTION_TERMINATION, &self.reset),
            LocalCause::RemoteReset => (flag::UPSTREAM_REMOTE_RESET, &self.remote_reset),
            LocalCause::RefusedStream => (flag::UPSTREAM_REMOTE_RESET, &self.refused_stream),
            LocalCause::ProtocolError => (flag::UPSTREAM_PROTOCOL_ERROR, &self.protocol_error),
            LocalCause::RouteTimeout => (flag::UPSTREAM_TIMEOUT, &self.route_timeout),
            LocalCause::PerTryTimeout => (flag::UPSTREAM_TIMEOUT, &self.per_try_timeout),
            LocalCause::Unresolved => (flag::DNS_FAILURE, &self.unresolved),
            LocalCause::MaxDuration => (flag::MAX_STREAM_DURATION, &self.max_duration),
            // Envoy sets its flag DT for connections only.
            LocalCause::Duration => (0, &self.duration),
            LocalCause::Idle => (flag::STREAM_IDLE_TIMEOUT, &self.idle),
        };
        (flags, details.clone())
    }
}

impl From<Reset> for LocalCause {
    fn from(reset: Reset) -> LocalCause {
        match reset {
            Reset::ConnectionFailure => LocalCause::Refused,
            Reset::ConnectionTermination => LocalCause::Reset,
            Reset::ProtocolError => LocalCause::ProtocolError,
            Reset::RemoteReset => LocalCause::RemoteReset,
            Reset::RefusedStream => LocalCause::RefusedStream,
            Reset::ConnectionTimeout => LocalCause::ConnectTimeout,
            Reset::PerTryTimeout => LocalCause::PerTryTimeout,
            Reset::MaxDuration => LocalCause::MaxDuration,
            Reset::Overflow => LocalCause::Overflow,
        }
    }
}

impl LocalCause {
    /// Returns the status. `complete` means that the proxy has the whole request.
    pub fn status(self, complete: bool) -> u16 {
        match self {
            LocalCause::NoRoute => 404,
            LocalCause::ProtocolError => 502,
            LocalCause::MaxDuration | LocalCause::Duration | LocalCause::Idle if !complete => 408,
            LocalCause::RouteTimeout
            | LocalCause::PerTryTimeout
            | LocalCause::MaxDuration
            | LocalCause::Duration
            | LocalCause::Idle => 504,
            _ => 503,
        }
    }

    /// Returns the gRPC status if it differs from the one that stands for the HTTP status.
    pub fn grpc_status(self) -> Option<u32> {
        (self == LocalCause::Duration).then_some(DEADLINE_EXCEEDED)
    }

    /// Returns the body. `retried` means that this was not the first attempt.
    pub fn body(self, retried: bool) -> String {
        let reason = match self {
            LocalCause::NoRoute | LocalCause::NoCluster => return String::new(),
            LocalCause::NoHealthyHost => return "no healthy upstream".into(),
            LocalCause::RouteTimeout | LocalCause::PerTryTimeout => {
                return "upstream request timeout".into();
            }
            LocalCause::Unresolved => return "DNS resolution failure".into(),
            LocalCause::MaxDuration => return "upstream max stream duration reached".into(),
            LocalCause::Duration => return "downstream duration timeout".into(),
            LocalCause::Idle => return "stream timeout".into(),
            LocalCause::ConnectTimeout => "connection timeout",
            LocalCause::Overflow => "overflow",
            LocalCause::Refused => "remote connection failure",
            LocalCause::Reset => "connection termination",
            LocalCause::RemoteReset => "remote reset",
            LocalCause::RefusedStream => "remote refused stream reset",
            LocalCause::ProtocolError => "protocol error",
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

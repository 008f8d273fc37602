//! Answers of the router itself, in Envoy's words.

use std::rc::Rc;

use crate::model::answers::Local;
use crate::model::exchange::Phase;
use crate::model::world::{ExchangeKey, Feed, World};
use crate::stream::info::flag;

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
        }
    }
}

/// Why the router answers by itself.
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
        let texts = &self.texts;
        let (status, flags, details) = match own {
            Own::NoRoute => (404, flag::NO_ROUTE, &texts.no_route),
            Own::NoCluster => (503, flag::NO_CLUSTER, &texts.no_cluster),
            Own::NoHealthyHost => (503, flag::NO_HEALTHY_UPSTREAM, &texts.no_healthy),
            Own::Overflow => (503, flag::UPSTREAM_OVERFLOW, &texts.overflow),
            Own::Refused => (503, flag::UPSTREAM_CONNECTION_FAILURE, &texts.refused),
            Own::Terminated => (
                503,
                flag::UPSTREAM_CONNECTION_TERMINATION,
                &texts.terminated,
            ),
            Own::RouteTimeout => (504, flag::UPSTREAM_TIMEOUT, &texts.route_timeout),
            Own::TryTimeout => (504, flag::UPSTREAM_TIMEOUT, &texts.try_timeout),
        };
        let details = details.clone();
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
        let (headers, body) = local.parts(exchange.grpc);
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
    fn body(self, retried: bool) -> String {
        let reason = match self {
            Own::NoRoute | Own::NoCluster => return String::new(),
            Own::NoHealthyHost => return "no healthy upstream".into(),
            Own::RouteTimeout | Own::TryTimeout => return "upstream request timeout".into(),
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

//! Requests of operators, on the path that the configuration gives them.

use spillway_core::Request;
use spillway_core::admin::{self, Clocks};
use spillway_core::engine::Reply;
use spillway_core::time::Instant;

use crate::apply;
use crate::facts::LiveRequest;
use crate::host;
use crate::runtime::{Engine, Runtime};

/// Replies to an operator: false if the host refuses the reply, and `None` if the request is
/// not for the admin endpoint.
pub(super) fn reply(
    runtime: &Runtime,
    engine: &mut Engine,
    request: &LiveRequest<'_>,
    now: Instant,
) -> Option<bool> {
    let prefix = engine.admin_prefix()?;
    if !admin::is_under(prefix, request.header(":path")?) {
        return None;
    }
    let prefix: Box<str> = prefix.into();
    let clocks = Clocks {
        now,
        unix_ms: host::wall_time().map_or(0, |since_1970| since_1970.as_ms()),
    };
    let response = admin::respond(&prefix, request, clocks, &mut engine.operator(now))?;
    runtime.follow_up(engine, now);
    let reply = Reply {
        status: response.status,
        headers: response.headers,
        body: response.body,
        grpc_status: None,
        details: admin::DETAILS,
    };
    Some(apply::reply(runtime, &reply))
}

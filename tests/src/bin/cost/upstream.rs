//! The upstream of a measurement: a second Envoy, which responds at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::{Value, json};
use spillway_tests::Envoy;

/// The path of responses of 1 MiB.
pub(crate) const LARGE: &str = "/large";

/// The path of failures.
pub(crate) const FAIL: &str = "/fail";

const SMALL_BYTES: usize = 500;
const LARGE_BYTES: usize = 1024 * 1024;

/// The body of other responses.
pub(crate) fn small() -> Arc<[u8]> {
    Arc::from(vec![b's'; SMALL_BYTES])
}

/// The body of large responses.
pub(crate) fn large() -> Arc<[u8]> {
    Arc::from(vec![b'l'; LARGE_BYTES])
}

/// Starts it.
pub(crate) async fn start() -> Envoy {
    // Its cluster is never asked.
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    Envoy::in_front_of(nowhere)
        .manager(json!({"access_log": [], "route_config": routes()}))
        .start()
        .await
}

fn routes() -> Value {
    let respond = |place: Value, status: u16, body: &[u8]| {
        let body = String::from_utf8_lossy(body);
        let body = json!({"inline_string": body});
        json!({"match": place, "direct_response": {"status": status, "body": body}})
    };
    json!({
        "max_direct_response_body_size_bytes": LARGE_BYTES,
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            respond(json!({"path": LARGE}), 200, &large()),
            respond(json!({"path": FAIL}), 503, b"failed"),
            respond(json!({"prefix": "/"}), 200, &small()),
        ]}],
    })
}

//! Runs the table in a real Envoy, with a strict client.

use std::time::Duration;

use serde_json::json;
use spillway_tests::envoy::Setting;
use spillway_tests::{Client, Envoy, Reply, Strict, Upstream, client, eventually, raw};

use super::cells::{
    Cell, ETAG, GOOD, GOOD_TYPE, OTHER, OTHER_TYPE, On, Seen, Shape, Type, policies,
};
use super::counted;
use crate::scene::nothing_is_left;

/// How long the proxy waits for a silent upstream.
const TIMEOUT: &str = "0.3s";

/// Runs all cells one after another.
pub(super) async fn run(cells: &[Cell]) -> Vec<Seen> {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let envoy = setting(&upstream, &other).policy(policies()).start().await;
    let mut all = Vec::new();
    for cell in cells {
        all.push(play(cell, &upstream, &other, &envoy).await);
    }
    nothing_is_left(&upstream, &envoy).await;
    upstream.in_flight_reaches(0).await;
    other.in_flight_reaches(0).await;
    counts_are(cells, &envoy).await;
    all
}

/// The main upstream, a second one reached by a cluster and a route, and a route with a short
/// timeout.
pub(super) fn setting(upstream: &Upstream, other: &Upstream) -> Setting {
    let by = |name: &str| json!({"prefix": "/", "headers": [{"name": name, "string_match": {"exact": "yes"}}]});
    Envoy::in_front_of(upstream.address())
        .cluster("other", other.address())
        .route(
            json!({"name": "fallback", "match": by("x-fallback"), "route": {"cluster": "other"}}),
        )
        .route(json!({"name": "hurried", "match": by("x-hurried"),
            "route": {"cluster": "upstream", "timeout": TIMEOUT}}))
}

async fn play(cell: &Cell, upstream: &Upstream, other: &Upstream, envoy: &Envoy) -> Seen {
    let path = cell.path();
    let policy = cell.policy();
    let usual = [("x-case", &*policy), ("x-row", &*path)];
    let hurried = ("x-hurried", "yes");
    if cell.kind == Type::Stale {
        upstream.reply_on(&path, good(cell, GOOD, GOOD_TYPE));
        let mut headers = usual.to_vec();
        // Another route has its own stale entry.
        headers.extend((cell.on == On::Timeout).then_some(hurried));
        assert_eq!(envoy.get_with(&path, &headers).await.status, 200, "{cell}");
        // It is stored when its end has passed the filter, which is before the client has it.
    }
    if cell.on == On::Open {
        upstream.reply_on(&path, Reply::status(503).body("bad"));
        assert_eq!(envoy.get_with(&path, &usual).await.status, 503, "{cell}");
        let trip = format!("{path}.*\"to\":\"open\"");
        eventually(&trip, async || !envoy.log_lines(&trip).is_empty()).await;
    }
    upstream.reply_on(
        &path,
        match (cell.on, cell.shape) {
            (On::Timeout, _) | (_, Shape::Leaves) => Reply::hang(),
            _ => Reply::status(503).body("bad"),
        },
    );
    other.reply_on(
        &path,
        match cell.shape {
            Shape::Leaves => Reply::hang(),
            Shape::NotModified => Reply::status(304).body("").header("etag", ETAG),
            Shape::Grpc => Reply::status(200)
                .body("")
                .header("content-type", "application/grpc")
                .header("grpc-status", "0"),
            _ => good(cell, OTHER, OTHER_TYPE),
        },
    );
    let mut headers = usual.to_vec();
    if cell.on == On::Timeout && cell.shape != Shape::Leaves {
        headers.push(hurried);
    }
    headers.extend(cell.shape.headers());
    let seen = match cell.shape {
        Shape::Leaves => {
            leave(cell, upstream, other, envoy, &headers).await;
            return Seen::default();
        }
        Shape::Http2 | Shape::Grpc => over_http2(cell, envoy, &headers).await,
        _ => strictly(cell, envoy, &headers).await,
    };
    if cell.kind == Type::Cluster && cell.shape == Shape::Post && seen.body == OTHER {
        let asked = other.requests().pop().expect("a request");
        assert_eq!(
            (&*asked.body, asked.uri.path()),
            (cell.shape.body().as_bytes(), &*path)
        );
    }
    seen
}

/// A good response that may be stored.
fn good(cell: &Cell, body: &'static str, content_type: &str) -> Reply {
    let reply = Reply::status(200)
        .body(body)
        .header("etag", ETAG)
        .header("content-type", content_type)
        .header("cache-control", "public, max-age=60");
    if cell.shape == Shape::Chunked {
        reply.chunked()
    } else {
        reply
    }
}

async fn strictly(cell: &Cell, envoy: &Envoy, headers: &[(&str, &str)]) -> Seen {
    let (method, body) = (cell.shape.method(), cell.shape.body());
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    let request = format!(
        "{method} {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{lines}{length}\r\n{body}",
        cell.path(),
        envoy.address()
    );
    let answer = raw::closing(envoy.address(), request.as_bytes()).await;
    let strict = Strict::parse(method, &answer.0)
        .unwrap_or_else(|why| panic!("{cell}: {why}:\n{}", answer.text()));
    seen(
        strict.status,
        |name| strict.header(name).unwrap_or_default().to_owned(),
        &strict.body,
    )
}

async fn over_http2(cell: &Cell, envoy: &Envoy, headers: &[(&str, &str)]) -> Seen {
    let request = client::request(
        cell.shape.method(),
        &cell.path(),
        headers,
        cell.shape.body(),
    );
    let answer = Client::http2(envoy.address()).send(request).await;
    assert!(answer.complete, "{cell}");
    seen(
        answer.status,
        |name| answer.header(name).to_owned(),
        &answer.body,
    )
}

/// The parts of a response that both hosts have in common.
pub(super) fn seen(status: u16, header: impl Fn(&str) -> String, body: &[u8]) -> Seen {
    // Over HTTP/1.1 the scripted upstream announces that its response has no body.
    let content_length = header("content-length");
    let is_grpc = !header("grpc-status").is_empty();
    Seen {
        status,
        labels: ["x-circuit-fallback", "x-circuit-state"].map(&header),
        content_type: header("content-type"),
        content_length: if is_grpc {
            String::new()
        } else {
            content_length
        },
        body: String::from_utf8_lossy(body).into_owned(),
        grpc_status: header("grpc-status"),
        etag: header("etag"),
        kept: !header("age").is_empty() && header("cache-status").starts_with("spillway; "),
    }
}

/// A client that leaves while it waits for another upstream, or immediately.
async fn leave(
    cell: &Cell,
    upstream: &Upstream,
    other: &Upstream,
    envoy: &Envoy,
    headers: &[(&str, &str)],
) {
    let request = envoy.client().begin(&cell.path(), headers);
    if cell.waits() {
        let who = if cell.on == On::Open { other } else { upstream };
        who.in_flight_reaches(1).await;
        request.abandon().await;
        who.in_flight_reaches(0).await;
    } else {
        drop(request.answer().await);
    }
}

/// Asserts that each policy has counted its fallbacks, and the outcomes as if there were none.
async fn counts_are(cells: &[Cell], envoy: &Envoy) {
    let mut wrong = Vec::new();
    // A client that has left is counted slightly later.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let page = envoy
        .admin("/stats?format=json&filter=^wasmcustom")
        .await
        .json();
    let stats = page["stats"].as_array().expect("a list");
    let mut names: Vec<String> = cells.iter().map(Cell::policy).collect();
    names.dedup();
    for name in names {
        let prefix = format!("wasmcustom.spillway.policy.{name}.");
        let mut found: Vec<String> = stats
            .iter()
            .filter_map(|stat| {
                let rest = stat["name"].as_str()?.strip_prefix(&*prefix)?;
                // Series exist before they count.
                let counts = rest.contains("fallbacks") && stat["value"] != 0;
                counts.then(|| format!("{rest} {}", stat["value"]))
            })
            .collect();
        found.sort();
        let expected = counted(cells, &name);
        if found != expected {
            wrong.push(format!("{name}: {found:#?}\n{expected:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! What the client receives: the response to the last attempt, as if it were the only one.

use http::Method;
use serde_json::json;
use spillway_tests::raw::{self, RawAnswer};
use spillway_tests::upstream::Seen;
use spillway_tests::{Client, Envoy, Reply, Upstream};

use super::{FAIL, denied_are, get, nothing_is_left, retries_are, scene};
use crate::scene::{outcomes_are, policy};

#[tokio::test]
async fn the_client_gets_the_second_response_and_the_upstream_the_same_request() {
    let (upstream, setting) = super::setting(json!({})).await;
    let hosts_own = json!({"retry_on": "5xx", "num_retries": 3});
    let envoy = setting
        .route(json!({
            "match": {"prefix": "/"},
            "route": {"cluster": "upstream", "retry_policy": hosts_own},
        }))
        .start()
        .await;
    let reply = Reply::status(200)
        .body("second")
        .header("content-type", "text/x-second")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("keep-alive", "timeout=5")
        .header("x-end", "yes");
    upstream.reply(reply);
    let request =
        b"GET /a/../b?c=%20d HTTP/1.1\r\nhost: site.test:81\r\nx-many: 1\r\nX-Many: 2\r\n\
        cookie: a=b\r\nte: trailers\r\nkeep-alive: 5\r\nx-script: status=503 x-first=yes\r\n\
        connection: close\r\n\r\n";
    let answer = raw::exchange(envoy.address(), request).await;
    assert_eq!(
        (answer.status(), body(&answer)),
        (Some(200), "second".into())
    );
    let rows = [
        ("content-length", &["6"][..]),
        ("content-type", &["text/x-second"]),
        ("set-cookie", &["a=1", "b=2"]),
        ("x-end", &["yes"]),
        ("server", &["envoy"]),
        ("transfer-encoding", &[]),
        ("x-hop", &[]),
        ("keep-alive", &[]),
        ("x-first", &[]),
    ];
    for (name, values) in rows {
        assert_eq!(header(&answer, name), values, "{name}");
    }
    assert_eq!(header(&answer, "date").len(), 1);

    let [first, second] = &upstream.requests()[..] else {
        panic!("{:?}", upstream.requests());
    };
    same_request(first, second);
    assert_eq!(second.headers["x-envoy-attempt-count"], "2");
    let entry = envoy.access("/a/../b?c=%20d").await;
    let told = [&entry["details"], &entry["spillway"], &entry["code"]];
    let spillway = json!("policy=p state=closed decision=retry");
    assert_eq!(told, [&json!("spillway_retry"), &spillway, &json!(200)]);
    retries_are(&envoy, 1).await;
    outcomes_are(&envoy, "p", [1, 0, 0]).await;
    nothing_is_left(&upstream, &envoy).await;
}

/// Asserts that an attempt equals the previous one, except for Envoy's own headers.
fn same_request(first: &Seen, second: &Seen) {
    assert_eq!((&first.method, &first.uri), (&second.method, &second.uri));
    assert_eq!(first.body, second.body);
    let of_hosts = |name: &str| name.starts_with("x-envoy-");
    let kept = |seen: &Seen| {
        let mut headers = seen.headers.clone();
        let own: Vec<_> = headers
            .keys()
            .filter(|it| of_hosts(it.as_str()))
            .cloned()
            .collect();
        own.iter().for_each(|name| {
            headers.remove(name);
        });
        headers
    };
    assert_eq!(kept(first), kept(second));
    let added: Vec<&str> = second.headers.keys().map(|it| it.as_str()).collect();
    let expected = [
        "x-envoy-attempt-count",
        "x-envoy-expected-rq-timeout-ms",
        "x-envoy-internal",
    ];
    for name in added.into_iter().filter(|it| of_hosts(it)) {
        assert!(expected.contains(&name), "{name}");
    }
}

/// Each row: the method, the body of the first response, the status and the body of the second one,
/// the `content-length` and the body that the client receives, and its content-type.
#[tokio::test]
async fn responses_without_a_body_keep_their_framing() {
    let rows = [
        ("GET", "first", 204, "", None, ""),
        ("GET", "", 204, "", None, ""),
        ("GET", "first", 304, "", None, ""),
        ("GET", "", 304, "", None, ""),
        ("GET", "first", 200, "", Some("0"), ""),
        ("GET", "", 200, "", Some("0"), ""),
        ("GET", "", 200, "second", Some("6"), "second"),
        ("GET", "first", 404, "second", Some("6"), "second"),
        ("HEAD", "first", 200, "second", Some("6"), ""),
        ("OPTIONS", "first", 200, "second", Some("6"), "second"),
        ("DELETE", "first", 200, "second", Some("6"), "second"),
    ];
    let (upstream, envoy) = scene(json!({})).await;
    for (number, (method, first, status, second, length, got)) in rows.into_iter().enumerate() {
        let path = format!("/{number}");
        let reply = Reply::status(status).body(second).header("x-kept", "yes");
        upstream.reply_on(&path, reply);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
             x-script: status=503 body={first}\r\n\r\n"
        );
        let answer = raw::exchange(envoy.address(), request.as_bytes()).await;
        let row = format!("{method} {first} {status} {second}: {}", answer.text());
        assert_eq!(answer.status(), Some(status), "{row}");
        let lengths: Vec<&str> = length.into_iter().collect();
        assert_eq!(header(&answer, "content-length"), lengths, "{row}");
        assert_eq!(header(&answer, "transfer-encoding"), [""; 0], "{row}");
        assert_eq!(header(&answer, "x-kept"), ["yes"], "{row}");
        assert_eq!(body(&answer), got, "{row}");
        assert_eq!(upstream.hits_on(&path), 2, "{row}");
    }
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_response_without_a_body_keeps_all_headers() {
    let (upstream, envoy) = scene(json!({})).await;
    upstream.reply(
        Reply::status(200)
            .body("second")
            .header("content-type", "text/x-second"),
    );
    let client = Client::http2(envoy.address());
    for client in [envoy.client(), &client] {
        let request = spillway_tests::client::request("HEAD", "/", &[FAIL], "");
        let answer = client.send(request).await;
        assert_eq!((answer.status, answer.header("content-length")), (200, "6"));
        assert_eq!(answer.header("content-type"), "text/x-second");
    }
    assert_eq!(upstream.requests()[1].method, Method::HEAD);
    let entry = envoy.access("/").await;
    assert_eq!(entry["spillway"], "policy=p state=closed decision=retry");
}

#[tokio::test]
async fn a_retry_response_that_is_too_large_resumes_the_first_response() {
    let upstream = Upstream::start().await;
    let mut policy = policy(json!({"retry": super::retry(json!({}))}));
    policy["limits"] = json!({"replay_answer_bytes": 1024});
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy)
        .start()
        .await;
    upstream.reply_on("/fits", Reply::status(200).body("b".repeat(1024)));
    upstream.reply_on("/too_large", Reply::status(200).body("b".repeat(1025)));
    let answer = envoy.get_with("/fits", &[FAIL]).await;
    assert_eq!((answer.status, answer.body.len()), (200, 1024));
    let answer = envoy.get_with("/too_large", &[FAIL]).await;
    assert_eq!((answer.status, answer.text()), (503, "first".into()));
    denied_are(&envoy, "answer_shape", 1).await;
    outcomes_are(&envoy, "p", [1, 1, 0]).await;
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_large_response_arrives_complete() {
    let (upstream, envoy) = scene(json!({})).await;
    let body: Vec<u8> = (0..1_048_576_u32).map(|at| (at % 251) as u8).collect();
    upstream.reply(Reply::status(200).body(body.clone()));
    for client in [envoy.client(), &Client::http2(envoy.address())] {
        let answer = client.get_with("/", &[FAIL]).await;
        assert!(
            answer.complete && answer.body == body,
            "{}",
            answer.body.len()
        );
    }
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_retry_response_with_trailers_resumes_the_first_response() {
    let (upstream, setting) = super::setting(json!({})).await;
    let envoy = setting.http2_upstream().start().await;
    let answer = get(&envoy, "/", FAIL.1, "trailer=x-end").await;
    assert_eq!((answer.status, answer.text()), (503, "first".into()));
    denied_are(&envoy, "answer_shape", 1).await;
    // The first response's own headers do not matter.
    let answer = get(&envoy, "/", "status=503 trailer=x-end", "body=second").await;
    assert_eq!((answer.status, answer.text()), (200, "second".into()));
    nothing_is_left(&upstream, &envoy).await;
}

/// All values of a header.
fn header(answer: &RawAnswer, name: &str) -> Vec<String> {
    let text = answer.text();
    let (head, _body) = text.split_once("\r\n\r\n").expect("an answer");
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter(|(other, _)| *other == name)
        .map(|(_, value)| value.to_owned())
        .collect()
}

fn body(answer: &RawAnswer) -> String {
    let text = answer.text();
    let (_head, body) = text.split_once("\r\n\r\n").expect("an answer");
    body.to_owned()
}

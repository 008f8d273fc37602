//! Fallbacks that overwrite a failed response, so that the filters in front process them like any
//! other response; and those that cannot.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::envoy::Setting;
use spillway_tests::{Client, Envoy, Reply, Strict, Upstream, client, raw};

use super::real::setting;
use crate::scene::{marking, nothing_is_left, policy};

/// Long enough to be compressed.
const LONG: &str = "All of this is the same for everybody: the items are not known at present.";

fn answering(body: &str) -> Value {
    let entry = json!({"type": "respond", "on": ["failure"], "status": 298, "body": body,
        "headers": {"x-own": "1"}});
    policy(json!({"fallback": [entry]}))
}

/// A CORS filter and a compressor in front of Spillway.
fn browsers(setting: Setting) -> Setting {
    let cors = "type.googleapis.com/envoy.extensions.filters.http.cors.v3";
    let origins = json!([{"exact": "https://site.example"}]);
    let gzip = "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip";
    setting
        .before(json!({"name": "envoy.filters.http.compressor", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor",
            "compressor_library": {"name": "gzip", "typed_config": {"@type": gzip}},
        }}))
        .before(
            json!({"name": "envoy.filters.http.cors", "typed_config": {"@type": format!("{cors}.Cors")}}),
        )
        .virtual_host(json!({"typed_per_filter_config": {"envoy.filters.http.cors": {
            "@type": format!("{cors}.CorsPolicy"),
            "allow_origin_string_match": origins,
            "expose_headers": "x-own",
        }}}))
}

const BROWSER: [(&str, &str); 2] = [
    ("origin", "https://site.example"),
    ("accept-encoding", "gzip"),
];

/// The CORS header and the content coding of a response.
fn for_browsers(answer: &spillway_tests::Answer) -> [&str; 3] {
    let names = [
        "access-control-allow-origin",
        "access-control-expose-headers",
        "content-encoding",
    ];
    names.map(|name| answer.header(name))
}

#[tokio::test]
async fn a_cross_origin_page_may_read_a_fallback_response() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let stale = json!({"type": "stale", "on": ["failure"], "shared": true});
    let fixed = json!({"type": "respond", "on": ["failure"], "status": 298, "body": LONG,
        "headers": {"x-own": "1"}});
    let envoy = browsers(setting(&upstream, &other).refused_cluster("gone"))
        .policy(policy(json!({"fallback": [stale, fixed]})))
        .start()
        .await;
    let allowed = ["https://site.example", "x-own", "gzip"];
    upstream.reply_on(
        "/stored",
        Reply::status(200)
            .body(LONG)
            .header("content-type", "text/html"),
    );
    let answer = envoy.get_with("/stored", &BROWSER).await;
    assert_eq!((answer.status, for_browsers(&answer)), (200, allowed));
    let rows = [
        ("/stored", Reply::status(503).body("bad"), "", 200),
        ("/fixed", Reply::status(503).body("bad"), "", 298),
        (
            "/chunked",
            Reply::status(503).body("bad").chunked(),
            "",
            298,
        ),
        ("/reset", Reply::reset(), "", 298),
        ("/late", Reply::hang(), "hurried", 298),
        ("/gone", Reply::status(200), "gone", 298),
    ];
    for (path, reply, to, status) in rows {
        upstream.reply_on(path, reply);
        let way = [
            ("x-to", to),
            ("x-hurried", if to == "hurried" { "yes" } else { "" }),
        ];
        let answer = envoy
            .get_with(path, &[&BROWSER[..], &way[..]].concat())
            .await;
        let seen = (answer.status, for_browsers(&answer), answer.complete);
        assert_eq!(seen, (status, allowed, true), "{path}");
        assert_eq!(answer.header("x-circuit-state"), "closed", "{path}");
    }
    // No body can be added to a response without one, so a page sees a network error.
    upstream.reply_on("/empty", Reply::status(503).body(""));
    let answer = envoy.get_with("/empty", &BROWSER).await;
    assert_eq!((answer.status, for_browsers(&answer)), (298, ["", "", ""]));
    assert_eq!(answer.text(), LONG);
    nothing_is_left(&upstream, &envoy).await;
}

/// Headers that describe the failed response are removed; headers that the route adds to every
/// response stay.
#[tokio::test]
async fn headers_of_the_failed_response_are_removed() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let added = json!({"response_headers_to_add": [
        {"header": {"key": "strict-transport-security", "value": "max-age=1"}}]});
    let envoy = setting(&upstream, &other)
        .virtual_host(added)
        .policy(answering("fixed"))
        .start()
        .await;
    let failed = Reply::status(503)
        .body("not gzip at all")
        .header("content-type", "text/html")
        .header("content-encoding", "gzip")
        .header("etag", "\"v\"")
        .header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        .header("cache-control", "max-age=60")
        .header("set-cookie", "a=b")
        .header("retry-after", "9");
    for reply in [failed.clone(), failed.chunked(), Reply::reset()] {
        upstream.reply(reply);
        let strict = strictly("GET", &envoy, "").await;
        assert_eq!((strict.status, &*strict.body), (298, &b"fixed"[..]));
        let mut names: Vec<&str> = strict.headers.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        let expected = [
            "connection",
            "content-length",
            "content-type",
            "date",
            "server",
            "strict-transport-security",
            "x-circuit-fallback",
            "x-circuit-state",
            "x-own",
        ];
        assert_eq!(names, expected);
        assert_eq!(
            strict.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
    nothing_is_left(&upstream, &envoy).await;
}

async fn strictly(method: &str, envoy: &Envoy, script: &str) -> Strict {
    let script = match script {
        "" => String::new(),
        script => format!("x-script: {script}\r\n"),
    };
    let head = "HTTP/1.1\r\nhost: h\r\nconnection: close\r\n";
    let request = format!("{method} / {head}{script}\r\n");
    let answer = raw::closing(envoy.address(), request.as_bytes()).await;
    Strict::parse(method, &answer.0).unwrap_or_else(|why| panic!("{why}:\n{}", answer.text()))
}

/// Each row: the failed response, over HTTP/1.1 or HTTP/2 from the upstream, and whether the
/// filters in front see its replacement.
#[tokio::test]
async fn bodies_of_any_length_are_replaced_completely() {
    let large = "b".repeat(2_000_000);
    let own = "o".repeat(60_000);
    let rows = [
        (Reply::status(503).body("bad"), true),
        (Reply::status(503).body("bad").chunked(), true),
        (Reply::status(503).body(large.clone()), true),
        (Reply::status(503).body(large).chunked(), true),
        (Reply::status(503).body("bad").trailer("x-end", "1"), true),
        (Reply::status(503).body(""), false),
        (Reply::reset(), true),
    ];
    for http2 in [false, true] {
        let (upstream, other) = (Upstream::start().await, Upstream::start().await);
        let mut setting = setting(&upstream, &other).before(marking("x-before"));
        if http2 {
            setting = setting.http2_upstream();
        }
        let envoy = setting.policy(answering(&own)).start().await;
        for (number, (reply, in_place)) in rows.clone().into_iter().enumerate() {
            upstream.reply(reply);
            let row = format!("{number} {http2}");
            let strict = strictly("GET", &envoy, "").await;
            let mark = in_place.then_some("response");
            assert_eq!(
                (strict.status, strict.header("x-before")),
                (298, mark),
                "{row}"
            );
            assert!(
                strict.body == own.as_bytes(),
                "{row}: {} bytes",
                strict.body.len()
            );
            // A HEAD has the headers of a GET.
            let strict = strictly("HEAD", &envoy, "").await;
            let length = strict.header("content-length").map(str::to_owned);
            let expected = (298, Some(own.len().to_string()));
            assert_eq!((strict.status, length), expected, "{row}");
        }
        // Whatever happens to the rest of the failed response.
        for ending in ["reset_mid_body", "hang_mid_body"] {
            let script = format!("status=503 {ending} body=half");
            let headers = [("x-script", &*script)];
            // Envoy closes the connection of a response that breaks off after its end.
            let client = Client::unpooled(envoy.address());
            let whole =
                tokio::time::timeout(Duration::from_secs(5), client.get_with("/", &headers));
            let answer = whole.await.expect("an answer in time");
            assert!(
                answer.status == 298 && answer.body == own.as_bytes(),
                "{ending} {http2}"
            );
        }
        nothing_is_left(&upstream, &envoy).await;
    }
}

/// The connection stays usable for the next request, and an HTTP/2 client receives the whole body
/// and no trailers.
#[tokio::test]
async fn a_replaced_response_does_not_affect_the_next_one() {
    let replies = [
        Reply::status(503).body("b".repeat(100_000)).chunked(),
        Reply::status(503).body("bad").trailer("x-end", "1"),
        Reply::status(503).body(""),
        Reply::reset(),
    ];
    for http2 in [false, true] {
        let (upstream, other) = (Upstream::start().await, Upstream::start().await);
        let mut setting = setting(&upstream, &other);
        if http2 {
            setting = setting.http2_upstream();
        }
        let envoy = setting.policy(answering("fixed")).start().await;
        // Over HTTP/2 the scripted upstream sends bodies for HEAD too, which Envoy resets.
        let methods = if http2 {
            &["GET"][..]
        } else {
            &["GET", "HEAD"]
        };
        for client in [Client::new(envoy.address()), Client::http2(envoy.address())] {
            for (number, reply) in replies.iter().enumerate() {
                upstream.reply_on("/bad", reply.clone());
                for method in methods {
                    let row = format!("{number} {method} {http2}");
                    let answer = client.send(client::request(method, "/bad", &[], "")).await;
                    let body = if *method == "HEAD" { "" } else { "fixed" };
                    let seen = (answer.status, &*answer.text(), answer.complete);
                    assert_eq!(seen, (298, body, true), "{row}");
                    let good = client.get("/good").await;
                    assert_eq!((good.status, &*good.text()), (200, "ok"), "{row}");
                }
            }
        }
        nothing_is_left(&upstream, &envoy).await;
    }
}

/// The details are those of the overwritten response; the decision shows the fallback.
#[tokio::test]
async fn access_logs_show_the_replaced_response_and_the_fallback() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let envoy = setting(&upstream, &other)
        .policy(answering("fixed"))
        .start()
        .await;
    let rows = [
        (
            "/failed",
            Reply::status(503).body("bad"),
            "",
            "via_upstream",
        ),
        ("/late", Reply::hang(), "yes", "response_timeout"),
        (
            "/empty",
            Reply::status(503).body(""),
            "",
            "spillway_failure",
        ),
    ];
    for (path, reply, hurried, details) in rows {
        upstream.reply_on(path, reply);
        let answer = envoy.get_with(path, &[("x-hurried", hurried)]).await;
        assert_eq!((answer.status, &*answer.text()), (298, "fixed"));
        let entry = envoy.access(path).await;
        assert_eq!(
            (&entry["details"], &entry["code"]),
            (&json!(details), &json!(298))
        );
        let note = "policy=p state=closed decision=fallback";
        assert_eq!(entry["spillway"], note);
    }
}

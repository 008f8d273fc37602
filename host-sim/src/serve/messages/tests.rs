use http::{Request, Response, StatusCode, Version};

use super::{response, to_client, to_trailers, to_upstream};
use crate::headers::HeaderMap;

fn seen(request: Request<()>) -> Result<Vec<String>, StatusCode> {
    let (parts, ()) = request.into_parts();
    let map = super::request(&parts, || "id".to_owned())?;
    let text = |(name, value): (&[u8], &[u8])| {
        let [name, value] = [name, value].map(String::from_utf8_lossy);
        format!("{name}: {value}")
    };
    Ok(map.iter().map(text).collect())
}

#[test]
fn the_filter_sees_what_envoy_makes_of_a_request() {
    let given = Request::post("/a?b=1")
        .header("host", "h:1")
        .header("connection", "keep-alive, x")
        .header("keep-alive", "5")
        .header("te", "gzip")
        .header("transfer-encoding", "chunked")
        .header("upgrade", "h2c")
        .header("http2-settings", "x")
        .header("expect", "100-continue")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("x-envoy-max-retries", "9")
        .header("x-envoy-upstream-rq-timeout-ms", "1")
        .header("x-tag", "1")
        .header("x-tag", "2")
        .header("via", "1")
        .header("via", "2");
    let expected = [
        ":authority: h:1",
        ":path: /a?b=1",
        ":method: POST",
        ":scheme: http",
        "x-tag: 1",
        "x-tag: 2",
        "via: 1,2",
        "cookie: a=1; b=2",
        "x-forwarded-proto: http",
        "x-request-id: id",
    ];
    assert_eq!(seen(given.body(()).unwrap()).unwrap(), expected);
}

#[test]
fn what_a_client_says_about_itself_stays() {
    let given = Request::get("http://of.uri/")
        .version(Version::HTTP_2)
        .header("te", "trailers")
        .header("x-forwarded-proto", "https")
        .header("x-request-id", "mine");
    let expected = [
        ":authority: of.uri",
        ":path: /",
        ":method: GET",
        ":scheme: http",
        "te: trailers",
        "x-forwarded-proto: https",
        "x-request-id: mine",
    ];
    assert_eq!(seen(given.body(()).unwrap()).unwrap(), expected);
}

#[test]
fn envoy_refuses_some_requests() {
    let of = |method: &str, uri: &str| Request::builder().method(method).uri(uri);
    let rows = [
        (of("GET", "/"), StatusCode::BAD_REQUEST),
        (
            of("GET", "/").header("host", "h").version(Version::HTTP_10),
            StatusCode::UPGRADE_REQUIRED,
        ),
        (of("CONNECT", "h:1"), StatusCode::FORBIDDEN),
        (
            of("GET", "/")
                .header("host", "h")
                .header("upgrade", "websocket"),
            StatusCode::FORBIDDEN,
        ),
    ];
    for (given, expected) in rows {
        assert_eq!(seen(given.body(()).unwrap()), Err(expected));
    }
}

#[test]
fn http2_sends_the_authority_in_the_uri_and_http1_in_a_header() {
    let map = HeaderMap::from([
        (":authority", "shop"),
        (":path", "/a?b"),
        (":method", "PUT"),
        ("x-tag", "1"),
    ]);
    let rows = [
        (false, "http://10.0.0.1:80/a?b", Some("shop")),
        (true, "http://shop/a?b", None),
    ];
    for (http2, uri, host) in rows {
        let request = to_upstream(&map, "10.0.0.1:80", http2, ());
        assert_eq!(request.uri().to_string(), uri);
        assert_eq!(request.method(), "PUT");
        let header = |name| request.headers().get(name).map(|it| it.to_str().unwrap());
        assert_eq!((header("host"), header("x-tag")), (host, Some("1")));
    }
}

#[test]
fn neither_the_host_nor_the_path_reaches_into_the_other() {
    for (authority, path) in [
        ("shop/other?", "/a"),
        ("shop", "@evil/"),
        ("shop#", "/a"),
        ("a b", "/a"),
    ] {
        let map = HeaderMap::from([(":authority", authority), (":path", path)]);
        for http2 in [false, true] {
            let uri = to_upstream(&map, "10.0.0.1:80", http2, ())
                .uri()
                .to_string();
            let allowed = ["/", "http://10.0.0.1:80/a"];
            assert!(allowed.contains(&&*uri), "{authority} {path}: {uri}");
        }
    }
}

#[test]
fn what_no_client_can_read_is_not_sent() {
    for (name, value) in [
        (":status", ""),
        (":status", "0"),
        (":status", "101"),
        (":status", "1000"),
        (":status", "4294967496"),
        ("a b", "1"),
        ("x-line", "1\r\nx-injected: 1"),
    ] {
        let mut map = HeaderMap::from([(":status", "200")]);
        map.replace(name.as_bytes(), value.as_bytes());
        assert!(to_client(&map, ()).is_none(), "{name}: {value:?}");
    }
}

#[test]
fn the_headers_of_a_connection_are_the_proxys() {
    let map = HeaderMap::from([
        (":status", " 418"),
        ("connection", "close"),
        ("server", "mine"),
        ("x-tag", "1"),
    ]);
    let response = to_client(&map, ()).unwrap();
    assert_eq!(response.status(), 418);
    let names: Vec<_> = response.headers().keys().map(|it| it.as_str()).collect();
    assert_eq!(names, ["server", "x-tag"]);
    assert_eq!(response.headers()["server"], "envoy");
    let trailers = HeaderMap::from([("a b", "1"), ("x-tag", "1")]);
    assert_eq!(to_trailers(&trailers).len(), 1);
}

#[test]
fn a_response_has_its_status_among_its_headers() {
    let given = Response::builder().status(204).header("x-tag", "1");
    let map = response(&given.body(()).unwrap());
    assert_eq!(map, HeaderMap::from([(":status", "204"), ("x-tag", "1")]));
}

//! Headers between hyper and the host, with what Envoy's connection manager changes in them.

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, request};

use crate::headers::HeaderMap;
use crate::proxy::stream::info::Protocol;

/// Headers about one connection, which are never passed on.
const HOP_BY_HOP: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Headers by which only trusted clients may steer the router. By default, Envoy trusts none.
const OF_TRUSTED: [&str; 14] = [
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
];

/// Why a request gets no further than its headers: the status of the response.
pub(super) type Refused = StatusCode;

/// Returns Envoy's name of a version.
pub(super) fn protocol(version: Version) -> Protocol {
    match version {
        Version::HTTP_10 => Protocol::Http10,
        Version::HTTP_2 => Protocol::Http2,
        _ => Protocol::Http11,
    }
}

/// Returns the headers of a request as the filter sees them. `id` makes an id for requests
/// without one.
///
/// # Errors
///
/// If Envoy would refuse the request: it is of HTTP/1.0, upgrades the connection, or names no
/// host.
pub(super) fn request(
    head: &request::Parts,
    id: impl FnOnce() -> String,
) -> Result<HeaderMap, Refused> {
    let given = &head.headers;
    if head.version < Version::HTTP_11 {
        return Err(StatusCode::UPGRADE_REQUIRED);
    }
    let upgrade = given.get("upgrade").filter(|to| *to != "h2c");
    if head.method == "CONNECT" || upgrade.is_some() {
        return Err(StatusCode::FORBIDDEN);
    }
    let host = given.get("host").map(HeaderValue::as_bytes);
    let of_uri = head.uri.authority().map(|it| it.as_str().as_bytes());
    let authority = of_uri.or(host).ok_or(StatusCode::BAD_REQUEST)?;
    let path = head.uri.path_and_query().map_or("/", |it| it.as_str());
    let mut map = HeaderMap::from([
        (&b":authority"[..], authority),
        (b":path", path.as_bytes()),
        (b":method", head.method.as_str().as_bytes()),
        (b":scheme", b"http"),
    ]);
    let mut cookies = Vec::new();
    for (name, value) in given {
        let (name, value) = (name.as_str(), value.as_bytes());
        let dropped = matches!(name, "host" | "http2-settings" | "expect")
            || HOP_BY_HOP.contains(&name)
            || OF_TRUSTED.contains(&name)
            || name == "te" && value != b"trailers";
        match name {
            _ if dropped => {}
            "cookie" => cookies.push(value),
            _ => map.add(name.as_bytes(), value),
        }
    }
    if !cookies.is_empty() {
        map.add(b"cookie", &cookies.join(&b"; "[..]));
    }
    if map.value(b"x-forwarded-proto").is_none() {
        map.add(b"x-forwarded-proto", b"http");
    }
    if map.value(b"x-request-id").is_none() {
        map.add(b"x-request-id", id().as_bytes());
    }
    Ok(map)
}

/// Returns the headers of a response as the filter sees them.
pub(super) fn response<B>(response: &Response<B>) -> HeaderMap {
    let mut map = HeaderMap::from([(":status", response.status().as_str())]);
    for (name, value) in response.headers() {
        map.add(name.as_str().as_bytes(), value.as_bytes());
    }
    map
}

/// Returns trailers as the filter sees them.
pub(super) fn trailers(map: &http::HeaderMap) -> HeaderMap {
    map.iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

/// Returns a request to the upstream, whose absolute address is `base`. HTTP/2 sends the
/// authority of the URI, HTTP/1.1 the header.
pub(super) fn to_upstream<B>(map: &HeaderMap, base: &str, http2: bool, body: B) -> Request<B> {
    let mut request = Request::new(body);
    let authority = map.text(":authority").unwrap_or_default();
    let path = map.text(":path").unwrap_or("/");
    // Each part is parsed by itself, so that none reaches into the next.
    let server = if http2 { authority } else { base };
    let uri = Uri::builder().scheme("http").authority(server);
    if let Ok(uri) = uri.path_and_query(path).build() {
        *request.uri_mut() = uri;
    }
    if let Some(method) = map.text(":method").and_then(|it| it.parse().ok()) {
        *request.method_mut() = method;
    }
    if http2 {
        *request.version_mut() = Version::HTTP_2;
    } else if let Ok(host) = HeaderValue::from_str(authority) {
        request.headers_mut().insert("host", host);
    }
    fill(request.headers_mut(), map);
    request
}

/// Returns a response to the client. `None` if the plugin has set a status, or headers, that no
/// client can read.
pub(super) fn to_client<B>(map: &HeaderMap, body: B) -> Option<Response<B>> {
    let mut response = Response::new(body);
    let status = map.status().and_then(|it| u16::try_from(it).ok());
    let status = status.and_then(|it| StatusCode::from_u16(it).ok());
    *response.status_mut() = status.filter(|it| !it.is_informational())?;
    if !fill(response.headers_mut(), map) {
        return None;
    }
    let server = HeaderValue::from_static("envoy");
    response.headers_mut().insert("server", server);
    Some(response)
}

/// Returns how many bytes of the body the client takes, whatever follows. `None` if it waits for
/// the end.
pub(super) fn needed(response: &http::response::Parts, to_head: bool) -> Option<u64> {
    if to_head || matches!(response.status.as_u16(), 204 | 304) {
        return Some(0);
    }
    let length = response.headers.get("content-length")?;
    length.to_str().ok()?.parse().ok()
}

/// Returns trailers as hyper sends them.
pub(super) fn to_trailers(map: &HeaderMap) -> http::HeaderMap {
    let mut filled = http::HeaderMap::new();
    fill(&mut filled, map);
    filled
}

/// Adds the headers that HTTP allows. Returns whether these are all. A plugin can write others,
/// which nobody could read.
fn fill(filled: &mut http::HeaderMap, map: &HeaderMap) -> bool {
    let mut all = true;
    for (name, value) in map.iter() {
        if name.first() == Some(&b':') {
            continue;
        }
        let pair = HeaderName::from_bytes(name)
            .ok()
            .zip(HeaderValue::from_bytes(value).ok());
        match pair {
            Some((name, _)) if HOP_BY_HOP.contains(&name.as_str()) => {}
            Some((name, value)) => {
                filled.append(name, value);
            }
            None => all = false,
        }
    }
    all
}

#[cfg(test)]
mod tests;

//! What Envoy requires of a request that a plugin has changed.
//!
//! A request that no route can match gets a 404. One that the codec cannot write gets a 503 once
//! there is a connection for it.

use std::rc::Rc;

use crate::grpc::UNAVAILABLE;
use crate::headers::HeaderMap;
use crate::proxy::{CallKind, CallOutcome};

/// Why the codec does not write a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritable {
    /// The body of the 503.
    pub message: Box<[u8]>,
}

/// Returns whether a route may match at all.
pub fn is_routable(headers: &HeaderMap) -> bool {
    let has_path = headers
        .value(b":path")
        .is_some_and(|it| it.starts_with(b"/"));
    has_path
        && headers
            .value(b"x-forwarded-proto")
            .is_some_and(|it| !it.is_empty())
}

impl Unwritable {
    /// Returns why a request with these headers cannot be written, if it cannot.
    pub fn find(headers: &HeaderMap) -> Option<Unwritable> {
        let message = match missing(headers) {
            Some(name) => format!("missing required header: {name}").into_bytes(),
            None => headers.iter().find_map(invalid)?,
        };
        Some(Unwritable {
            message: message.into(),
        })
    }

    /// Returns the outcome of a call that is not written.
    pub fn outcome(&self, kind: CallKind) -> CallOutcome {
        match kind {
            CallKind::Http => CallOutcome::unwritable(&self.message),
            CallKind::Grpc | CallKind::GrpcStream => CallOutcome::Closed {
                status: UNAVAILABLE,
                message: String::from_utf8_lossy(&self.message).into(),
            },
        }
    }

    /// Returns the response code details.
    pub fn details(&self) -> Rc<str> {
        let message = String::from_utf8_lossy(&self.message).replace(' ', "_");
        format!("filter_removed_required_request_headers{{{message}}}").into()
    }
}

/// Returns the first required header that is missing. A CONNECT with a path is an extended one.
fn missing(headers: &HeaderMap) -> Option<&'static str> {
    let lacks = |name: &str| headers.value(name.as_bytes()).is_none();
    if lacks(":method") {
        return Some(":method");
    }
    if headers.value(b":method") != Some(b"CONNECT") {
        return lacks(":path").then_some(":path");
    }
    if lacks(":authority") {
        return Some(":authority");
    }
    match (lacks(":path"), lacks(":protocol")) {
        (false, true) => Some(":protocol"),
        (true, false) => Some(":path"),
        _ => None,
    }
}

fn invalid((name, value): (&[u8], &[u8])) -> Option<Vec<u8>> {
    if !is_name(name) {
        return Some([b"invalid header name: ", &*escaped(name)].concat());
    }
    let is_valid = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    let message = || [b"invalid header value for: ", name].concat();
    (!value.iter().all(is_valid)).then(message)
}

/// Whether a name is a token (RFC 9110), after the colon of a pseudo-header. The empty name passes.
fn is_name(name: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    match name.strip_prefix(b":") {
        Some(rest) => !rest.is_empty() && rest.iter().all(is_token),
        None => name.iter().all(is_token),
    }
}

/// Escapes a name as a JSON text is escaped. Bytes that are not ASCII stay.
fn escaped(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'"' => out.extend(b"\\\""),
            b'\\' => out.extend(b"\\\\"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x8 => out.extend(b"\\b"),
            0xc => out.extend(b"\\f"),
            0..=0x1f => out.extend(format!("\\u{byte:04x}").bytes()),
            plain => out.push(*plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes a valid request, and returns the message.
    fn check(change: impl FnOnce(&mut HeaderMap)) -> Option<String> {
        let mut headers = HeaderMap::from([
            (":authority", "h"),
            (":path", "/"),
            (":method", "GET"),
            ("x-forwarded-proto", "http"),
        ]);
        change(&mut headers);
        let found = Unwritable::find(&headers)?;
        Some(String::from_utf8_lossy(&found.message).into_owned())
    }

    #[test]
    fn a_header_that_a_request_needs_must_be_there() {
        let connect = |map: &mut HeaderMap| map.replace(b":method", b"CONNECT");
        let missing = |name| Some(format!("missing required header: {name}"));
        let removed = |name: &'static str| {
            check(|map| {
                map.remove(name.as_bytes());
            })
        };
        assert_eq!(check(|_| {}), None);
        assert_eq!(removed(":method"), missing(":method"));
        assert_eq!(removed(":path"), missing(":path"));
        assert_eq!(removed(":authority"), None);
        assert_eq!(check(connect), missing(":protocol"));
        let without = |name: &'static [u8]| {
            check(|map| {
                connect(map);
                map.remove(name);
            })
        };
        assert_eq!(without(b":authority"), missing(":authority"));
        assert_eq!(without(b":path"), None);
        let with = check(|map| {
            connect(map);
            map.add(b":protocol", b"x");
            map.remove(b":path");
        });
        assert_eq!(with, missing(":path"));
    }

    #[test]
    fn names_and_values_have_only_valid_bytes() {
        let name = |text: &str| Some(format!("invalid header name: {text}"));
        let value = |text: &str| Some(format!("invalid header value for: {text}"));
        let rows: [(&[u8], &[u8], Option<String>); 18] = [
            (b"x-a", b"a\tb \xff", None),
            (b"x-a", b"", None),
            (b"", b"b", None),
            (b":foo", b"b", None),
            (b"x!#$%&'*+-.^_`|~", b"b", None),
            (b"x-a", b"a\nb", value("x-a")),
            (b"x-a", b"a\0b", value("x-a")),
            (b"x-a", b"\x7f", value("x-a")),
            (b":path", b"/\r", value(":path")),
            (b"x a", b"\n", name("x a")),
            (b"x:a", b"b", name("x:a")),
            (b":", b"b", name(":")),
            (b"::a", b"b", name("::a")),
            (b"x\na", b"b", name("x\\na")),
            (b"x\0a", b"b", name("x\\u0000a")),
            (b"x\x1fa", b"b", name("x\\u001fa")),
            (b"x\"\\", b"b", name("x\\\"\\\\")),
            (b"\xff", b"b", name("\u{fffd}")),
        ];
        for (name, value, expected) in rows {
            let found = check(|map| map.replace(name, value));
            assert_eq!(found, expected, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_route_needs_a_path_and_the_protocol_of_the_client() {
        let rows = [
            ("/", "http", true),
            ("/a b#c", "foo", true),
            ("", "http", false),
            ("*", "http", false),
            ("http://h/", "http", false),
            ("/", "", false),
        ];
        for (path, proto, expected) in rows {
            let map = HeaderMap::from([(":path", path), ("x-forwarded-proto", proto)]);
            assert_eq!(is_routable(&map), expected, "{path:?} {proto:?}");
        }
        assert!(!is_routable(&HeaderMap::from([(":path", "/")])));
    }
}

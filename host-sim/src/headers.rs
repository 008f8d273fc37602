//! Header maps.
//!
//! Copies share their pairs until one of them is written. So the constant headers of a scenario
//! cost a reference count per request instead of an allocation per header. As in Envoy,
//! pseudo-headers are pairs like any others.

use std::rc::Rc;

type Pair = (Box<[u8]>, Box<[u8]>);

/// An ordered map of headers or trailers. A name may occur more than once.
///
/// Names must be in lower case; whoever builds a map ensures it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderMap(Rc<Vec<Pair>>);

impl HeaderMap {
    /// Iterates over the pairs in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the map has no pairs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first value of `name`.
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter()
            .find_map(|(other, value)| (other == name).then_some(value))
    }

    /// Iterates over all values of `name`, in their order.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter_map(move |(other, value)| (other == name).then_some(value))
    }

    /// Returns the first value of `name`, if it is valid UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name.as_bytes())
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Returns the status of a response. As Envoy does, reads any number of 64 bits, and spaces
    /// around it.
    pub fn status(&self) -> Option<u64> {
        self.text(":status")?.trim_ascii().parse().ok()
    }

    /// Appends a pair; a pseudo-header goes after the other pseudo-headers. If Envoy stores the
    /// name only once, the value is joined to the existing one.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let pairs = Rc::make_mut(&mut self.0);
        let known = pairs.iter_mut().find(|(other, _)| &**other == name);
        match known {
            Some((_, old)) if is_single(name) => *old = [&**old, value].join(&b","[..]).into(),
            _ => pairs.insert(place_of_new(pairs, name), (name.into(), value.into())),
        }
    }

    /// Sets the only value of `name`. As in Envoy, the pair moves to the end.
    pub fn replace(&mut self, name: &[u8], value: &[u8]) {
        let pairs = Rc::make_mut(&mut self.0);
        pairs.retain(|(other, _)| &**other != name);
        pairs.insert(place_of_new(pairs, name), (name.into(), value.into()));
    }

    /// Removes all pairs of `name`. Returns whether there were any.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        if self.value(name).is_none() {
            return false;
        }
        Rc::make_mut(&mut self.0).retain(|(other, _)| &**other != name);
        true
    }

    /// Returns the length of all names and values, in bytes.
    pub fn byte_size(&self) -> usize {
        self.iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for HeaderMap {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> HeaderMap {
        let boxed = |(name, value): (N, V)| (name.as_ref().into(), value.as_ref().into());
        HeaderMap(Rc::new(pairs.into_iter().map(boxed).collect()))
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>, const LEN: usize> From<[(N, V); LEN]> for HeaderMap {
    fn from(pairs: [(N, V); LEN]) -> HeaderMap {
        pairs.into_iter().collect()
    }
}

/// Returns the index of a new pair. Pseudo-headers stay in front.
fn place_of_new(pairs: &[Pair], name: &[u8]) -> usize {
    match name.first() {
        Some(b':') => pairs
            .iter()
            .position(|(other, _)| other.first() != Some(&b':'))
            .unwrap_or(pairs.len()),
        _ => pairs.len(),
    }
}

/// Whether Envoy stores the header in a slot of its own, where adding appends to the value
/// ("inline headers").
fn is_single(name: &[u8]) -> bool {
    SINGLE_HEADERS.binary_search(&name).is_ok()
}

/// As observed in Envoy 1.40, for requests and responses together, in byte order.
const SINGLE_HEADERS: [&[u8]; 84] = [
    b":authority",
    b":method",
    b":path",
    b":protocol",
    b":scheme",
    b":status",
    b"accept",
    b"accept-encoding",
    b"access-control-allow-credentials",
    b"access-control-allow-headers",
    b"access-control-allow-methods",
    b"access-control-allow-origin",
    b"access-control-expose-headers",
    b"access-control-max-age",
    b"access-control-request-headers",
    b"access-control-request-method",
    b"age",
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"date",
    b"etag",
    b"expect",
    b"expires",
    b"grpc-accept-encoding",
    b"grpc-message",
    b"grpc-status",
    b"grpc-timeout",
    b"if-modified-since",
    b"if-none-match",
    b"keep-alive",
    b"last-modified",
    b"location",
    b"origin",
    b"pragma",
    b"proxy-connection",
    b"proxy-status",
    b"referer",
    b"server",
    b"te",
    b"transfer-encoding",
    b"upgrade",
    b"user-agent",
    b"vary",
    b"via",
    b"x-client-trace-id",
    b"x-envoy-attempt-count",
    b"x-envoy-decorator-operation",
    b"x-envoy-degraded",
    b"x-envoy-downstream-service-cluster",
    b"x-envoy-downstream-service-node",
    b"x-envoy-expected-rq-timeout-ms",
    b"x-envoy-external-address",
    b"x-envoy-force-trace",
    b"x-envoy-hedge-on-per-try-timeout",
    b"x-envoy-immediate-health-check-fail",
    b"x-envoy-internal",
    b"x-envoy-ip-tags",
    b"x-envoy-is-timeout-retry",
    b"x-envoy-max-retries",
    b"x-envoy-original-host",
    b"x-envoy-original-path",
    b"x-envoy-ratelimited",
    b"x-envoy-retriable-header-names",
    b"x-envoy-retriable-status-codes",
    b"x-envoy-retry-grpc-on",
    b"x-envoy-retry-on",
    b"x-envoy-upstream-alt-stat-name",
    b"x-envoy-upstream-canary",
    b"x-envoy-upstream-healthchecked-cluster",
    b"x-envoy-upstream-rq-per-try-timeout-ms",
    b"x-envoy-upstream-rq-timeout-alt-response",
    b"x-envoy-upstream-rq-timeout-ms",
    b"x-envoy-upstream-service-time",
    b"x-envoy-upstream-stream-duration-ms",
    b"x-forwarded-client-cert",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
    b"x-request-id",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_headers_are_sorted() {
        assert!(SINGLE_HEADERS.is_sorted());
    }

    #[test]
    fn writing_to_a_map_leaves_its_copies_unchanged() {
        let mut written = HeaderMap::from([("a", "1")]);
        let copy = written.clone();
        written.add(b"b", b"2");
        assert_eq!((copy.len(), written.len()), (1, 2));
    }

    #[test]
    fn replacing_removes_all_values_and_moves_the_pair_to_the_end() {
        let mut map = HeaderMap::from([(":path", "/"), ("a", "1"), ("b", "2"), ("a", "3")]);
        map.replace(b"a", b"4");
        map.replace(b":path", b"/x");
        assert_eq!(
            map,
            HeaderMap::from([(":path", "/x"), ("b", "2"), ("a", "4")])
        );
    }

    #[test]
    fn a_name_that_envoy_stores_once_is_joined() {
        let mut map = HeaderMap::from([("via", "1"), ("x-tag", "1")]);
        map.add(b"via", b"2");
        map.add(b"x-tag", b"2");
        let expected = [("via", "1,2"), ("x-tag", "1"), ("x-tag", "2")];
        assert_eq!(map, HeaderMap::from(expected));
    }

    #[test]
    fn the_status_is_read_as_envoy_reads_it() {
        let rows = [
            ("200", Some(200)),
            ("0", Some(0)),
            ("99999", Some(99_999)),
            (" +0200\t", Some(200)),
            ("4294967296", Some(4_294_967_296)),
            ("18446744073709551616", None),
            ("-1", None),
            ("200 OK", None),
            ("2\u{0}0", None),
            ("", None),
            ("+", None),
        ];
        for (text, expected) in rows {
            let map = HeaderMap::from([(":status", text)]);
            assert_eq!(map.status(), expected, "{text:?}");
        }
        assert_eq!(HeaderMap::default().status(), None);
    }

    #[test]
    fn removing_returns_whether_there_was_a_value() {
        let mut map = HeaderMap::from([("a", "1"), ("b", "2"), ("a", "3")]);
        assert!(map.remove(b"a"));
        assert!(!map.remove(b"a"));
        assert_eq!(map.byte_size(), 2);
    }
}

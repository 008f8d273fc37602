//! Names of metrics, in Envoy and for Prometheus.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex::bytes::Regex;

/// What Envoy puts before the names of plugins' metrics. It is no part of what Prometheus sees.
const NAMESPACE: &[u8] = b"wasmcustom";

/// Returns the name that Envoy gives a plugin's metric.
pub(super) fn full_name(name: &[u8]) -> Vec<u8> {
    match name {
        [] => NAMESPACE.to_vec(),
        _ => [NAMESPACE, b".", name].concat(),
    }
}

/// Compares names as Envoy's symbol table does: segment by segment.
pub(super) fn by_segment(a: &[u8], b: &[u8]) -> Ordering {
    let segments = |name| <[u8]>::split(name, |byte| *byte == b'.');
    segments(a).cmp(segments(b))
}

/// Returns the name for Prometheus, or `None` if it would be empty or begin with a digit. A metric
/// without a name is in no namespace of a plugin, and so is one of Envoy's own.
pub(super) fn prometheus_name(family: &[u8]) -> Option<Vec<u8>> {
    let custom = family
        .strip_prefix(NAMESPACE)
        .and_then(|rest| rest.strip_prefix(b"."));
    let Some(custom) = custom else {
        return Some([b"envoy_", &*sanitized(family)].concat());
    };
    let name = sanitized(custom);
    let first = name.first();
    first
        .is_some_and(|byte| !byte.is_ascii_digit())
        .then_some(name)
}

/// A character that Prometheus does not allow. Like Envoy's RE2, it matches surrogates, but no
/// other bytes that are not UTF-8.
static FORBIDDEN: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"[^a-zA-Z0-9_]|(?-u:\xED[\xA0-\xBF][\x80-\xBF])";
    Regex::new(pattern).expect("a valid pattern")
});

/// Replaces each character that Prometheus does not allow in names.
pub(super) fn sanitized(name: &[u8]) -> Vec<u8> {
    FORBIDDEN.replace_all(name, &b"_"[..]).into_owned()
}

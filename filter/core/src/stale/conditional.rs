//! Conditional requests, and the 304 responses to them (RFC 9110, 13.1).

use crate::headers::{Headers, Map, list};
use crate::http_value::date;

/// Whether the client of a request already has the stored response (RFC 9110, 13.1; RFC 9111,
/// 4.3.2).
pub(super) fn is_unchanged(stored: &Headers, request: &Map) -> bool {
    let mut wanted = request.values(b"if-none-match").peekable();
    if wanted.peek().is_some() {
        let tag = stored.first("etag").map(opaque);
        let matches = |other: &[u8]| other == b"*" || tag == Some(opaque(other));
        // A comma is legal inside a tag, but practically unused. Such a tag never matches.
        return tag.is_some() && wanted.flat_map(list).any(matches);
    }
    let since = request.first("if-modified-since").and_then(date);
    let modified = stored.first("last-modified").and_then(date);
    since
        .zip(modified)
        .is_some_and(|(since, modified)| modified <= since)
}

/// Whether a 304 confirms the stored response: by its own tag, or by the only tag in the
/// request, else by the date (RFC 9111, 4.3.4).
pub(super) fn confirms(stored: &Headers, not_modified: &Headers, request: &Map) -> bool {
    let mut tags = request.values(b"if-none-match").flat_map(list);
    let (first, second) = (tags.next(), tags.next());
    let only = first.filter(|_| second.is_none());
    let tag = not_modified.first("etag").or(only);
    match (tag, stored.first("etag")) {
        // A weak tag means an equivalent response, a strong one exactly the same bytes.
        (Some(tag), Some(stored)) => {
            tag == stored || (tag.starts_with(b"W/") && opaque(tag) == opaque(stored))
        }
        (None, _) => {
            // Upstreams ignore the date in a request that has tags (RFC 9110, 13.1.3).
            let asked = || {
                request
                    .first("if-modified-since")
                    .filter(|_| first.is_none())
            };
            let date = not_modified.first("last-modified").or_else(asked);
            date.is_some() && date == stored.first("last-modified")
        }
        (Some(_), None) => false,
    }
}

/// Whether a header describes the body, which a 304 does not have.
pub(super) fn describes_body(name: &[u8]) -> bool {
    name.starts_with(b"content-") && name != b"content-location"
}

/// Strips the mark of a weak entity tag.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

//! Messages as they pass through the plugins: part by part.

use bytes::Bytes;

use crate::headers::HeaderMap;
use crate::proxy::Part;

/// Returns the parts of a message, as HTTP/1.1 brings them: a body without trailers ends with an
/// empty part.
pub(super) fn parts(headers: HeaderMap, chunks: Vec<Bytes>, trailers: HeaderMap) -> Vec<Part> {
    let end = chunks.is_empty() && trailers.is_empty();
    let mut parts = vec![Part::Headers { map: headers, end }];
    let chunks = chunks.into_iter();
    parts.extend(chunks.map(|data| Part::Body { data, end: false }));
    match trailers.is_empty() {
        false => parts.push(Part::Trailers { map: trailers }),
        true if end => {}
        true => parts.push(Part::Body {
            data: Bytes::new(),
            end: true,
        }),
    }
    parts
}

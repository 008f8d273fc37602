//! Responses to calls that the filter has made.

use spillway_core::engine::CallResponse;

use crate::host::pairs::Pairs;
use crate::host::{self, Buffer, Map};

/// Reads the response of the current callback, whose body has `body_bytes` bytes, or `None` if
/// it cannot be read.
pub(crate) fn read(body_bytes: usize) -> Option<CallResponse> {
    let pairs = Pairs::new(host::header_pairs(Map::CallResponseHeaders).ok()?);
    let body = match body_bytes {
        0 => Vec::new(),
        _ => host::buffer(Buffer::CallResponseBody, body_bytes).ok()?,
    };
    CallResponse::new(pairs.iter(), body)
}

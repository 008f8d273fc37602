//! How gRPC maps to HTTP: which requests are calls, and which status an HTTP status becomes.

use crate::headers::HeaderMap;

/// UNKNOWN: no other status fits.
const UNKNOWN: u32 = 2;

/// UNAVAILABLE: the service cannot be reached, or cannot serve.
pub(crate) const UNAVAILABLE: u32 = 14;

/// Returns the gRPC status of a response without one, by its HTTP status: Envoy's
/// `Grpc::Utility::httpToGrpcStatus`.
pub(crate) fn status_of_http(code: u32) -> u32 {
    match code {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// Whether Envoy treats a request as a gRPC call.
pub(crate) fn is_request(headers: &HeaderMap) -> bool {
    let rest = headers
        .value(b"content-type")
        .and_then(|ty| ty.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+"))
        && headers.value(b":path").is_some()
}

//! How gRPC maps to HTTP: which requests are calls, and which status an HTTP status becomes.

use crate::headers::HeaderMap;

/// UNKNOWN: no other status fits.
pub(crate) const UNKNOWN: u32 = 2;

/// INTERNAL: the response is not a gRPC message.
const INTERNAL: u32 = 13;

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

/// Returns the gRPC status that stands for a response without gRPC. A message begins with 0, or
/// with 1 if it is compressed.
pub(crate) fn status_of_plain(code: u16, body: &[u8]) -> u32 {
    match body.first() {
        Some(2..) if code == 200 => INTERNAL,
        _ => status_of_http(code.into()),
    }
}

/// Returns the message of a failed call with the details of its response, as plugins get it.
pub(crate) fn failure(message: &str, details: &str) -> String {
    match message {
        "" => details.to_owned(),
        message => format!("{message}{{{details}}}"),
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

//! gRPC codes.

pub(super) const CANCELLED: u32 = 1;
pub(super) const UNKNOWN: u32 = 2;
pub(super) const DEADLINE_EXCEEDED: u32 = 4;

/// Returns the code of a response without a `grpc-status`, as gRPC maps it
/// (grpc/doc/http-grpc-status-mapping.md).
pub(super) fn from_http(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => UNKNOWN,
    }
}

//! What Envoy's response details and flags mean.

use crate::exchange::Response;

/// Envoy's response flags (`response.flags`, the legacy bit mask).
pub(super) mod flag {
    /// DF: the upstream's name could not be resolved.
    pub(crate) const DNS_FAILED: u64 = 0x400_0000;
    /// LH, UH, UF, DF: the upstream was never reached.
    pub(crate) const NOT_REACHED: u64 = 0x1 | 0x2 | 0x20 | DNS_FAILED;
    /// UT and UMSDR: a timeout of the upstream expired.
    pub(crate) const TIMEOUT: u64 = 0x4 | 0x8_0000;
    /// Those and LR, UR, UC, UPE: the upstream was at fault.
    pub(crate) const UPSTREAM_FAILED: u64 = NOT_REACHED | TIMEOUT | 0x8 | 0x10 | 0x40 | 0x80_0000;
    /// DPE: the client broke its protocol.
    pub(crate) const CLIENT_PROTOCOL: u64 = 0x4_0000;
    /// DC, DPE and DR: the client disconnected, broke its protocol, or reset its stream.
    pub(crate) const CLIENT_GONE: u64 = CLIENT_PROTOCOL | 0x4000 | 0x1000_0000;
    /// SI: a stream timed out because it was idle.
    pub(crate) const STREAM_IDLE: u64 = 0x1_0000;
}

/// Details of the timeouts by which Envoy ends long streams, however healthy they are.
pub(super) const ROTATIONS: [&[u8]; 4] = [
    MAX_DURATION,
    b"request_overall_timeout",
    b"upstream_max_stream_duration_reached",
    b"upstream_per_try_idle_timeout",
];
pub(super) const MAX_DURATION: &[u8] = b"max_duration_timeout";

/// Whether a response is the upstream's own, as far as the host says.
pub(crate) fn is_answered(response: &impl Response) -> bool {
    let details = response.details();
    let details = details.as_ref().map(AsRef::as_ref);
    response.status().is_some() && matches!(details, None | Some(b"via_upstream"))
}

/// Whether the host's own connection limits rejected the request.
#[inline]
pub(super) fn is_overflow(details: &[u8]) -> bool {
    details.starts_with(b"upstream_reset_before_response_started{overflow")
}

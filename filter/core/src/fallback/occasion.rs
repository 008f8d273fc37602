//! The circumstances of a replacement.

use crate::circuit::breaker::StateName;
use crate::policy::On;
use crate::time::Span;

/// The circumstances of a replacement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion<'a> {
    /// The event.
    pub(crate) on: On,
    /// The circuit's state when the request arrived.
    pub(crate) state: StateName,
    /// Time until the circuit may admit requests again.
    pub(crate) retry_after: Span,
    /// Whether the client expects gRPC.
    pub(crate) grpc: bool,
    /// The request's path with query; empty if it has none.
    pub(crate) path: &'a [u8],
    /// The request's `x-request-id`; empty if it has none.
    pub(crate) request_id: &'a [u8],
    /// The request's `accept`; empty if it has none.
    pub(crate) accept: &'a [u8],
}

impl Occasion<'_> {
    /// Returns the whole seconds that a caller should wait. At least one, since zero invites an
    /// immediate retry.
    pub(crate) fn wait_secs(&self) -> u64 {
        self.retry_after.as_secs_ceil().max(1)
    }

    /// Returns the response code details for access logs.
    pub(crate) fn details(&self) -> &'static str {
        match (self.on, self.state) {
            (On::Failure, _) => "spillway_failure",
            (On::Timeout, _) => "spillway_timeout",
            (On::Open, StateName::HalfOpen) => "spillway_half_open",
            (On::Open, StateName::Recovering) => "spillway_recovering",
            (On::Open, StateName::ForcedOpen) => "spillway_forced_open",
            (On::Open, _) => "spillway_open",
        }
    }
}

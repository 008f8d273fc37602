//! One request and its response, as the host knows them.
//!
//! The adapter implements the traits. Both are lazy: each question may cost the host a copy
//! into the guest, so nothing is read that no policy needs.

use alloc::boxed::Box;

use crate::headers::{Headers, Map};
use crate::time::Instant;

mod deadlines;

pub use deadlines::{CLAIMS, Deadlines};

/// What the host knows of a request. Asked lazily: what no policy needs is not read.
pub trait Request {
    /// The cluster it is routed to.
    fn cluster(&self) -> Option<&[u8]>;
    /// The name of its route.
    fn route(&self) -> Option<&[u8]>;
    /// The first value of a header, by its name in lower case.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// The first value of each of these headers.
    fn headers<const N: usize>(&self, names: &[&str; N]) -> [Option<&[u8]>; N] {
        names.map(|name| self.header(name))
    }
    /// Whether any value of a header passes `test`.
    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
    /// Looks at each header once, in their order.
    fn each_header<'r>(&'r self, look: impl FnMut(&'r [u8], &'r [u8]));
    /// All headers, to be looked at once the host has let go of them.
    fn copy_headers(&self) -> Map;
}

/// What the host knows of the response. Each value may be missing, on hosts that
/// do not have it.
pub trait Response {
    /// The HTTP status, None if there was no response at all.
    fn status(&self) -> Option<u16>;
    /// Envoy's `response.code_details`.
    fn details(&self) -> Option<impl AsRef<[u8]>>;
    /// Envoy's `response.flags`, 0 where unknown.
    fn flags(&self) -> u64;
    /// Tries at the upstream, as far as the host counts them.
    fn attempts(&self) -> Option<u64>;
    /// The gRPC status of the whole response, or of its headers while it goes on. Hosts
    /// derive a missing one from the HTTP status, so it does not show that a response is gRPC.
    fn grpc_status(&self) -> Option<u32>;
    /// A response header or, once the response has ended, a trailer.
    fn header(&self, name: &str) -> Option<impl AsRef<[u8]>>;
    /// Seconds since 1970, for hints that are dates.
    fn unix_secs(&self) -> u64;
    /// A copy of all headers.
    fn copy_headers(&self) -> Headers {
        Headers::default()
    }
}

/// What was noted about a request on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestTiming {
    /// Whether it claims to be gRPC. The response decides whether it is.
    pub grpc: bool,
    /// Whether the client has sent all of it.
    pub request_complete: bool,
    /// When its headers came.
    pub started: Instant,
    /// When it was complete; None if nobody looked at the clock.
    pub request_end: Option<Instant>,
    /// When the response's headers came; None if they did not, or if nobody looked.
    pub response_start: Option<Instant>,
    /// The deadlines that its caller set, if any.
    pub deadlines: Option<Box<Deadlines>>,
}

//! One request and its response, as the host knows them.
//!
//! The adapter implements the traits. Both are lazy: each call may cost the host a copy into
//! the guest, so nothing is read that no policy needs.

use alloc::boxed::Box;

use crate::headers::{Headers, Map};
use crate::http_value::is_grpc;
use crate::time::Instant;

mod deadlines;

pub(crate) use deadlines::{Deadlines, EACH_TIMEOUT, EXPECTED_TIMEOUT, WHOLE_TIMEOUT, timeout};

use deadlines::CLAIMS;

/// What the host knows of a request.
pub trait Request {
    /// Returns the cluster that the request is routed to.
    fn cluster(&self) -> Option<&[u8]>;
    /// Returns the name of its route.
    fn route(&self) -> Option<&[u8]>;
    /// Returns the first value of a header; the name is in lower case.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// Returns the first value of each of these headers.
    fn headers<const N: usize>(&self, names: &[&str; N]) -> [Option<&[u8]>; N] {
        names.map(|name| self.header(name))
    }
    /// Whether any value of a header passes `test`.
    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
    /// Calls `look` with each header, in order.
    fn each_header<'r>(&'r self, look: impl FnMut(&'r [u8], &'r [u8]));
    /// Returns a copy of all headers, for use after the host has discarded them.
    fn copy_headers(&self) -> Map;
}

/// What the host knows of a response. Some hosts do not know every value.
pub trait Response {
    /// Returns the HTTP status, `None` if there is no response.
    fn status(&self) -> Option<u16>;
    /// Returns Envoy's `response.code_details`.
    fn details(&self) -> Option<impl AsRef<[u8]>>;
    /// Returns Envoy's `response.flags`, 0 if unknown.
    fn flags(&self) -> u64;
    /// Returns the number of upstream attempts that the host has counted.
    fn attempts(&self) -> Option<u64>;
    /// Returns the gRPC status of the whole response, or of its headers if it has not ended.
    /// Hosts derive a missing one from the HTTP status, so it does not show that a response is
    /// gRPC.
    fn grpc_status(&self) -> Option<u32>;
    /// Returns a response header or, once the response has ended, a trailer.
    fn header(&self, name: &str) -> Option<impl AsRef<[u8]>>;
    /// Returns the seconds since 1970, for hints that are dates.
    fn unix_secs(&self) -> u64;
    /// Returns a copy of all headers.
    fn copy_headers(&self) -> Headers {
        Headers::default()
    }
}

/// When a request and its response arrived, for [`classify`](crate::outcome::classify).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestTiming {
    /// Whether the request claims to be gRPC. The response decides whether it is.
    pub(crate) grpc: bool,
    /// Whether the client has sent the whole request.
    pub(crate) request_complete: bool,
    /// Arrival of the request's headers.
    pub(crate) started: Instant,
    /// End of the request; `None` if the clock was not read then.
    pub(crate) request_end: Option<Instant>,
    /// Arrival of the response's headers; `None` if they have not arrived, or if the clock was
    /// not read then.
    pub(crate) response_start: Option<Instant>,
    /// The deadlines that the caller set, if any.
    pub(crate) deadlines: Option<Box<Deadlines>>,
}

impl RequestTiming {
    /// Returns the timing of a request whose headers arrive now. `complete` says that nothing
    /// follows them.
    #[inline]
    pub(crate) fn begin(request: &impl Request, complete: bool, now: Instant) -> RequestTiming {
        let [content_type, deadlines @ ..] = request.headers(&CLAIMS);
        RequestTiming {
            grpc: is_grpc(content_type),
            request_complete: complete,
            started: now,
            request_end: complete.then_some(now),
            response_start: None,
            deadlines: Deadlines::read(deadlines),
        }
    }
}

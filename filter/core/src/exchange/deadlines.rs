//! How long a caller will wait for its response.
//!
//! The host's router removes these headers from the request, so they are read when the request
//! arrives. A host at the edge has already dropped those that a client may not set.

use alloc::boxed::Box;

use crate::http_value::{grpc_timeout, number};
use crate::time::Span;

/// The deadlines that a caller set, each `None` if it set none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// Timeout of the request (`x-envoy-upstream-rq-timeout-ms`), which replaces the route's.
    pub(crate) whole: Option<Span>,
    /// Timeout of one attempt (`x-envoy-upstream-rq-per-try-timeout-ms`), which replaces the
    /// route's.
    pub(crate) each: Option<Span>,
    /// Deadline of a gRPC call (`grpc-timeout`). Its service enforces it, and the host does
    /// too if its route says so. Envoy writes a route's `max_stream_duration` into this
    /// header, so the limit of such a route looks like the caller's.
    pub(crate) grpc: Option<Span>,
}

/// The header by which a request limits its own time, all attempts included.
pub(crate) const WHOLE_TIMEOUT: &str = "x-envoy-upstream-rq-timeout-ms";

/// The header by which a request limits the time of each attempt.
pub(crate) const EACH_TIMEOUT: &str = "x-envoy-upstream-rq-per-try-timeout-ms";

/// The header by which a host before this one says how long it waits for the response.
pub(crate) const EXPECTED_TIMEOUT: &str = "x-envoy-expected-rq-timeout-ms";

/// The request headers that affect how the response is judged: what the request claims to be,
/// and then those that [`Deadlines::read`] takes, in its order.
pub(crate) const CLAIMS: [&str; 4] = ["content-type", WHOLE_TIMEOUT, EACH_TIMEOUT, "grpc-timeout"];

impl Deadlines {
    /// Reads the values of the headers in [`CLAIMS`] after the first; `None` if they contain
    /// no deadline.
    #[inline]
    pub(crate) fn read(values: [Option<&[u8]>; 3]) -> Option<Box<Deadlines>> {
        match values {
            [None, None, None] => None,
            values => Deadlines::parse(values),
        }
    }

    fn parse([whole, each, grpc]: [Option<&[u8]>; 3]) -> Option<Box<Deadlines>> {
        let deadlines = Deadlines {
            whole: whole.and_then(timeout),
            each: each.and_then(timeout),
            grpc: grpc.and_then(grpc_timeout),
        };
        (deadlines != Deadlines::default()).then(|| Box::new(deadlines))
    }
}

/// Parses the value of a timeout header, in milliseconds. `None` if it sets no limit: zero is
/// none, and the host ignores what is not a number.
pub(crate) fn timeout(value: &[u8]) -> Option<Span> {
    number(value).filter(|ms| *ms > 0).map(Span::from_ms)
}

//! How long a caller says that it waits.
//!
//! The host's router takes these headers off the request, so they are read when the request
//! comes. A host at the edge has dropped those that a client may not set by then.

use alloc::boxed::Box;

use crate::http_value::{grpc_timeout, number};
use crate::time::Span;

/// The deadlines that a caller set, None where it set none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// Timeout of the request (`x-envoy-upstream-rq-timeout-ms`), in place of the route's.
    pub whole: Option<Span>,
    /// Timeout of one attempt (`x-envoy-upstream-rq-per-try-timeout-ms`), in place of the route's.
    pub each: Option<Span>,
    /// Deadline of a gRPC call (`grpc-timeout`), which its service enforces, and the host too
    /// if its route says so. Envoy writes a route's `max_stream_duration` into this header, so
    /// a limit of such a route looks like the caller's.
    pub grpc: Option<Span>,
}

/// The request headers that say how its response is to be judged: what it claims to be, and
/// those that [`Deadlines::read`] takes, in its order.
pub const CLAIMS: [&str; 4] = [
    "content-type",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "grpc-timeout",
];

impl Deadlines {
    /// Reads the values of the headers in [`CLAIMS`] but for the first; None if there is no deadline in them.
    #[inline]
    pub fn read(values: [Option<&[u8]>; 3]) -> Option<Box<Deadlines>> {
        match values {
            [None, None, None] => None,
            values => Deadlines::of(values),
        }
    }

    fn of([whole, each, grpc]: [Option<&[u8]>; 3]) -> Option<Box<Deadlines>> {
        let ms = |value| number(value).filter(|ms| *ms > 0).map(Span::from_ms);
        let deadlines = Deadlines {
            whole: whole.and_then(ms),
            each: each.and_then(ms),
            grpc: grpc.and_then(grpc_timeout),
        };
        (deadlines != Deadlines::default()).then(|| Box::new(deadlines))
    }
}

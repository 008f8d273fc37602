//! What the router knows of a request.

use std::future::Future;
use std::pin::Pin;

use hyper::body::Incoming;

use super::kept::Kept;
use crate::headers::HeaderMap;
use crate::model::retry::Plan;
use crate::model::route::Picked;
use crate::serve::pipe::Pipe;
use crate::serve::upstream::{Failed, Permit, RetryPermit};
use crate::sim::clock::Time;

/// A response as hyper returns it.
pub(super) type Response = http::Response<Incoming>;

/// The router's part of a request.
#[derive(Default)]
pub(super) struct Router {
    pub phase: Phase,
    pub is_head: bool,
    pub is_grpc: bool,
    pub plan: Option<Plan>,
    pub picked: Option<Picked>,
    pub attempts: u32,
    /// The headers as the filter left them.
    pub headers: HeaderMap,
    pub kept: Kept,
    /// When the router had the whole request.
    pub complete_at: Option<Time>,
    pub attempt: Attempt,
    /// Where further parts of the request go.
    pub upload: Option<Pipe>,
    pub permit: Option<Permit>,
    pub retry: Option<RetryPermit>,
    /// Whether the attempt is by HTTP/2.
    pub http2_request: bool,
    /// Whether the response is of HTTP/2, and whether it has a length.
    pub http2: bool,
    pub has_length: bool,
}

/// The progress of a request in the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The filter has it.
    #[default]
    Filter,
    /// An attempt is in flight.
    Trying,
    /// A retry waits for its backoff.
    BackingOff,
    /// The filter has the response headers, but not the whole response.
    Streaming,
    /// The router has nothing more to do.
    Done,
}

/// The attempt in flight.
#[derive(Default)]
pub(super) enum Attempt {
    #[default]
    None,
    Waiting(Pin<Box<dyn Future<Output = Result<Response, Failed>>>>),
    Receiving(Incoming),
}

impl Router {
    /// Notes what the client asks for.
    pub(super) fn begin(&mut self, headers: &HeaderMap) {
        self.is_head = headers.value(b":method") == Some(b"HEAD");
    }
}

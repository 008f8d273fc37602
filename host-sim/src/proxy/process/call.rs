//! Calls of plugins to clusters.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::headers::HeaderMap;
use crate::proxy::ids::{CallId, StreamId, VmId};

/// A call of a plugin to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub call: CallId,
    /// The stream in whose callback it was made.
    pub stream: Option<StreamId>,
    /// The worker thread that it was made on; none for the main thread.
    pub worker: Option<usize>,
    pub kind: CallKind,
    pub cluster: Rc<str>,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
    /// None: the call may last for ever.
    pub timeout: Option<Duration>,
}

/// What a plugin calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    Http,
    /// One message there, one back.
    Grpc,
    /// Messages both ways.
    GrpcStream,
}

/// How a call ends, or what comes back on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// HTTP: an answer; also the router's own ones, see
    /// [`CallOutcome::refused`] and [`CallOutcome::timed_out`].
    Response {
        headers: HeaderMap,
        body: Bytes,
        trailers: HeaderMap,
    },
    /// HTTP: the answer broke off after its headers, or did not fit the buffer.
    Reset,
    /// gRPC: a message came; on a call it is the outcome.
    Message(Bytes),
    /// gRPC stream: the headers of the answer came.
    InitialMetadata(HeaderMap),
    /// gRPC stream: the trailers of the answer came.
    TrailingMetadata(HeaderMap),
    /// gRPC: the end, with its status.
    Closed { status: u32, message: Rc<str> },
}

impl CallOutcome {
    /// What the plugin sees of a connection that was refused.
    pub fn refused() -> CallOutcome {
        CallOutcome::by_router(
            "503",
            b"upstream connect error or disconnect/reset before headers. reset reason: \
              remote connection failure",
        )
    }

    /// What the plugin sees of a connection that ended before the answer's headers.
    pub fn terminated() -> CallOutcome {
        CallOutcome::by_router(
            "503",
            b"upstream connect error or disconnect/reset before headers. reset reason: \
              connection termination",
        )
    }

    /// What the plugin sees of a call that took too long.
    pub fn timed_out() -> CallOutcome {
        CallOutcome::by_router("504", b"upstream request timeout")
    }

    fn by_router(status: &str, body: &'static [u8]) -> CallOutcome {
        let length = body.len().to_string();
        CallOutcome::Response {
            headers: HeaderMap::from([
                (":status", status),
                ("content-length", &length),
                ("content-type", "text/plain"),
            ]),
            body: Bytes::from_static(body),
            trailers: HeaderMap::default(),
        }
    }
}

/// What a cluster that plugins may call is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// Calls go out; how they end, is another matter.
    Ready,
    /// Calls fail at once: no healthy endpoint, or the cluster's limits are reached.
    Refusing,
}

/// A call that was not answered yet.
#[derive(Clone, Copy, Debug)]
pub struct OpenCall {
    pub vm: VmId,
    /// The root context that it belongs to.
    pub root: u32,
    pub token: u32,
    pub kind: CallKind,
    /// gRPC stream: the plugin sends no more.
    pub closed_here: bool,
    /// gRPC stream: the other side sends no more.
    pub closed_there: bool,
}

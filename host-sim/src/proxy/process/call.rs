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
    /// The stream in whose callback the call was made.
    pub stream: Option<StreamId>,
    /// The worker thread of the call. `None` for the main thread.
    pub worker: Option<usize>,
    pub kind: CallKind,
    pub cluster: Rc<str>,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
    /// `None` if the call never times out.
    pub timeout: Option<Duration>,
}

/// Kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    Http,
    /// One request message, one response message.
    Grpc,
    /// Messages in both directions.
    GrpcStream,
}

/// The end of a call, or a message on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// HTTP: a response. Includes local replies of the router, see [`CallOutcome::refused`] and
    /// [`CallOutcome::timed_out`].
    Response {
        headers: HeaderMap,
        body: Bytes,
        trailers: HeaderMap,
    },
    /// HTTP: the response was reset after its headers, or exceeded the buffer.
    Reset,
    /// gRPC: a message. It ends a [`CallKind::Grpc`] call.
    Message(Bytes),
    /// gRPC stream: response headers.
    InitialMetadata(HeaderMap),
    /// gRPC stream: response trailers.
    TrailingMetadata(HeaderMap),
    /// gRPC: the end, with its status.
    Closed { status: u32, message: Rc<str> },
}

impl CallOutcome {
    /// Returns what the plugin sees if the connection is refused.
    pub fn refused() -> CallOutcome {
        CallOutcome::by_router(
            "503",
            b"upstream connect error or disconnect/reset before headers. reset reason: \
              remote connection failure",
        )
    }

    /// Returns what the plugin sees if the connection ends before the response headers.
    pub fn terminated() -> CallOutcome {
        CallOutcome::by_router(
            "503",
            b"upstream connect error or disconnect/reset before headers. reset reason: \
              connection termination",
        )
    }

    /// Returns what the plugin sees if the call times out.
    pub fn timed_out() -> CallOutcome {
        CallOutcome::by_router("504", b"upstream request timeout")
    }

    /// Returns what the plugin sees if the codec does not write the call, with the reason.
    pub fn unwritable(why: &[u8]) -> CallOutcome {
        CallOutcome::by_router("503", why)
    }

    fn by_router(status: &str, body: &[u8]) -> CallOutcome {
        let length = body.len().to_string();
        CallOutcome::Response {
            headers: HeaderMap::from([
                (":status", status),
                ("content-length", &length),
                ("content-type", "text/plain"),
            ]),
            body: Bytes::copy_from_slice(body),
            trailers: HeaderMap::default(),
        }
    }
}

/// State of a cluster that plugins may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// Calls reach the cluster, and may still fail there.
    Ready,
    /// Calls fail at once: the cluster has no healthy endpoint, or is at its limits.
    Refusing,
}

/// A call without a response so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenCall {
    pub vm: VmId,
    /// The root context that made the call.
    pub root: u32,
    pub token: u32,
    pub kind: CallKind,
    /// gRPC stream: the plugin has closed its side.
    pub closed_here: bool,
    /// gRPC stream: the upstream has closed its side.
    pub closed_there: bool,
}

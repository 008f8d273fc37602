//! What goes in and out of the host.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::headers::HeaderMap;

/// One stream of a run; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

impl StreamId {
    pub(crate) fn new(slot: u32, uses: u32) -> StreamId {
        StreamId(u64::from(uses) << 32 | u64::from(slot))
    }

    pub(crate) fn slot(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    pub(crate) fn uses(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// One call of a plugin to a cluster; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

impl CallId {
    pub(crate) fn new(number: u64) -> CallId {
        CallId(number)
    }
}

/// A part of a request or of an answer. `end` says that nothing follows it; trailers
/// are always the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Headers { map: HeaderMap, end: bool },
    Body { data: Bytes, end: bool },
    Trailers { map: HeaderMap },
}

impl Part {
    /// The end of a message, after its last byte.
    pub fn bare_end() -> Part {
        Part::Body {
            data: Bytes::new(),
            end: true,
        }
    }

    /// Whether nothing follows it.
    pub fn is_end(&self) -> bool {
        match self {
            Part::Headers { end, .. } | Part::Body { end, .. } => *end,
            Part::Trailers { .. } => true,
        }
    }
}

/// What the host wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A part of the request leaves the filter. `rerouted`: a request header was
    /// written since the route was last looked up, so the router looks it up anew.
    ToUpstream {
        stream: StreamId,
        part: Part,
        rerouted: bool,
    },
    /// A part of the answer leaves the filter.
    ToClient { stream: StreamId, part: Part },
    /// Another answer took over: what the upstream still sends is dropped.
    CancelUpstream { stream: StreamId },
    /// The client sees a broken stream; the stream is to be closed.
    ResetClient { stream: StreamId, details: Rc<str> },
    /// The plugin calls a cluster; its outcome is awaited.
    Call(Call),
    /// A message on a gRPC stream that the plugin opened. `end`: it is the last.
    SendMessage {
        call: CallId,
        data: Bytes,
        end: bool,
    },
    /// The plugin no longer wants the outcome.
    CancelCall { call: CallId },
}

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

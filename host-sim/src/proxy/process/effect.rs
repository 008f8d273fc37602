//! What goes in and out of the host.

use std::rc::Rc;

use bytes::Bytes;

use super::call::Call;
use crate::headers::HeaderMap;
use crate::proxy::ids::{CallId, StreamId};

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

//! Parts of messages, and what the host wants its embedder to do.

use std::rc::Rc;

use bytes::Bytes;

use super::call::Call;
use crate::headers::HeaderMap;
use crate::proxy::ids::{CallId, StreamId};

/// A part of a request or a response. `end` marks the last part. Trailers are always the last
/// part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Headers { map: HeaderMap, end: bool },
    Body { data: Bytes, end: bool },
    Trailers { map: HeaderMap },
}

impl Part {
    /// Returns the end of a message whose last byte was sent already.
    pub fn bare_end() -> Part {
        Part::Body {
            data: Bytes::new(),
            end: true,
        }
    }

    /// Whether this is the last part.
    pub fn is_end(&self) -> bool {
        match self {
            Part::Headers { end, .. } | Part::Body { end, .. } => *end,
            Part::Trailers { .. } => true,
        }
    }
}

/// What the embedder has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Pass on a part of the request. `rerouted`: a request header was written since the last
    /// route lookup, so the router has to look up the route again.
    ToUpstream {
        stream: StreamId,
        part: Part,
        rerouted: bool,
    },
    /// Pass on a part of the response.
    ToClient { stream: StreamId, part: Part },
    /// Cancel the upstream request: a local reply replaced its response.
    CancelUpstream { stream: StreamId },
    /// Reset the client's stream, then close it.
    ResetClient { stream: StreamId, details: Rc<str> },
    /// Make a plugin's call to a cluster, and report its outcome.
    Call(Call),
    /// Send a message on a gRPC stream that the plugin opened. `end` marks the last message.
    SendMessage {
        call: CallId,
        data: Bytes,
        end: bool,
    },
    /// Cancel a plugin's call.
    CancelCall { call: CallId },
}

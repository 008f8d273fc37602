//! What the adapter does for a paused stream.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::engine::decision::{DecisionNote, HeaderEdit};
use crate::engine::ticket::EchoedFields;
use crate::fallback::FallbackResponse;
use crate::headers::Pairs;
use crate::policy::ClusterConfig;
use crate::time::Span;

/// What the adapter does next for a stream.
#[derive(Debug)]
pub enum Command {
    /// Nothing: the stream is not paused, and the event passes.
    Pass,
    /// Keep the stream paused, and tick by [`Paused::poll_timeout`].
    ///
    /// [`Paused::poll_timeout`]: super::Paused::poll_timeout
    Wait,
    /// Store the copy of the request, and these fields of it, among those that may be dropped
    /// to make room for others; then [`Paused::handle_stored`].
    ///
    /// [`Paused::handle_stored`]: super::Paused::handle_stored
    Store(Option<Box<EchoedFields>>),
    /// Add the chunk of the request's body to its copy, then [`Paused::handle_saved`].
    ///
    /// [`Paused::handle_saved`]: super::Paused::handle_saved
    Save(Intake),
    /// Take back what [`Command::Store`] stored, then [`Paused::handle_released`]. The copy is
    /// needed no more unless it `keeps_copy`.
    ///
    /// [`Paused::handle_released`]: super::Paused::handle_released
    Release {
        /// Whether the request may still be sent.
        keeps_copy: bool,
    },
    /// Send the copy of the request, then [`Paused::handle_sent`].
    ///
    /// [`Paused::handle_sent`]: super::Paused::handle_sent
    Send(Call),
    /// The end of the pause, with the note for the access log.
    End(Option<DecisionNote>, Ending),
}

/// A chunk of the request's body to save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intake {
    /// The bytes in the host's buffer.
    pub size: usize,
    /// Whether the body is complete with them.
    pub ends: bool,
    /// Whether to empty the host's buffer: the request will not reach its own upstream.
    pub moves: bool,
}

/// Where the copy of a request is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// To its own cluster again. The call outlives the stream: it is made outside of it.
    Again {
        /// How long it may take.
        timeout: Span,
    },
    /// To another cluster.
    Other(ClusterConfig),
}

/// How a pause ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// Resume the paused side.
    Resume,
    /// Set this header on the request, and resume it: the host sends it to another route.
    Divert(HeaderEdit),
    /// Write these headers over those of the paused response, and resume it.
    Replace(Pairs),
    /// Send a local reply. If the host refuses it, [`Paused::handle_refused`] says what is done
    /// instead.
    ///
    /// [`Paused::handle_refused`]: super::Paused::handle_refused
    Reply(Reply),
    /// Send a local reply with status 503, since the host has lost a part of the request's body:
    /// an internal error.
    Fail,
}

/// A local reply.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Empty for gRPC.
    pub body: Vec<u8>,
    /// The gRPC status.
    pub grpc_status: Option<u8>,
    /// Response code details for access logs.
    pub details: &'static str,
}

impl From<&FallbackResponse> for Reply {
    fn from(reply: &FallbackResponse) -> Reply {
        Reply {
            status: reply.status,
            headers: reply.headers.clone(),
            body: reply.body.clone(),
            grpc_status: reply.grpc_status,
            details: reply.details,
        }
    }
}

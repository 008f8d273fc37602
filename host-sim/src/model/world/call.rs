//! Calls in flight, of clients and of plugins.

use crate::model::outgoing::Unwritable;
use crate::model::recorded::RecordedRequest;
use crate::model::response::Response;
use crate::model::upstream::JobKey;
use crate::proxy::{CallId, CallKind};
use crate::sim::clock::Time;

/// One call of a client, with all its retries.
pub(super) struct Call {
    pub source: usize,
    /// The client, in a closed loop.
    pub client: Option<u32>,
    pub kind: usize,
    /// The request, if it is from a recording.
    pub recorded: Option<RecordedRequest>,
    pub began: Time,
    pub tries: u32,
    /// The worker that has the client's connection.
    pub worker: usize,
}

/// A plugin's call that has no response yet.
pub(super) struct Callout {
    pub call: CallId,
    pub kind: CallKind,
    pub cluster: usize,
    pub job: Option<JobKey>,
    /// Whether the method is HEAD, so that the response has no body.
    pub is_head: bool,
    /// Why it cannot be written, if that is so.
    pub unwritable: Option<Unwritable>,
    /// The response, once its headers have come before the rest.
    pub begun: Option<Response>,
}

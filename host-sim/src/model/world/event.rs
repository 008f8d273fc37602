//! Items of the world's queues.

use crate::model::keys::{CallKey, CalloutKey, ExchangeKey};
use crate::model::upstream::JobKey;
use crate::proxy::Part;

/// An event at a point in time.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// The next call of an open loop arrives.
    Arrival { source: usize },
    /// A client of a closed loop ends its think time.
    Thought { source: u32, client: u32 },
    /// A client retries a call.
    Resend(CallKey),
    /// An attempt has an event.
    Job { cluster: u32, job: JobKey },
    /// A client sends the next chunk of a body.
    Chunk(ExchangeKey),
    /// A deadline of a request may have passed.
    Deadline(ExchangeKey),
    /// A plugin's call times out.
    CalloutDeadline(CalloutKey),
    /// A fault begins or ends.
    Fault { number: u32, begins: bool },
    /// The plugin gets a new configuration.
    Update(usize),
    /// The observer is called.
    Mark(usize),
}

/// Who waits for an attempt.
#[derive(Clone, Copy)]
pub(super) enum Owner {
    Exchange(ExchangeKey),
    Callout(CalloutKey),
}

/// A part for the host, delivered after the effects of earlier ones have settled.
pub(super) struct Feed {
    pub exchange: ExchangeKey,
    pub part: Part,
    /// True towards the upstream, false towards the client.
    pub upwards: bool,
}

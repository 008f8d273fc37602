//! The buffer limit of a listener: `per_connection_buffer_limit_bytes`.
//!
//! A pause that asks for the whole body cannot wait for more than the limit, so the stream ends:
//! with a 413 for a request, and with a 500 for a response, or with a reset if response headers
//! were sent. A pause that asks for backpressure stops the sender instead. Scenarios and plugin
//! tests cannot stop a sender, so the rest is buffered. `Host::buffered` tells `serve` to stop.

use super::Flow;
use crate::proxy::ids::StreamId;
use crate::proxy::stream::half::Side;
use crate::proxy::stream::reply::LocalReply;

impl Flow<'_> {
    /// `commonHandleBufferData`
    pub(super) fn buffer_chunk(&mut self, id: StreamId, side: Side) {
        if let Some(stream) = self.stream(id) {
            stream.half_mut(side).buffer_chunk();
        }
        self.check_buffer(id, side);
    }

    /// `requestDataTooLarge`, `responseDataTooLarge`
    pub(super) fn check_buffer(&mut self, id: StreamId, side: Side) {
        let limit = self.process.buffer_limit_bytes;
        let Some(stream) = self.stream(id) else {
            return;
        };
        if stream.half_mut(side).overflows(limit) {
            self.local_reply(id, &LocalReply::too_large(side));
        }
    }
}

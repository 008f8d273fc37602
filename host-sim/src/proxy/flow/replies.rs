//! Local replies, and what goes to the client.
//!
//! A local reply takes one of three ways. Before there are response headers, it goes through
//! the filter, whose response callbacks see their own reply. While response headers are in the
//! filter, the reply goes to the client at once and replaces them. After headers were sent, the
//! stream can only be reset.

use bytes::Bytes;

use super::Flow;
use crate::headers::HeaderMap;
use crate::proxy::ids::StreamId;
use crate::proxy::process::effect::{Effect, Part};
use crate::proxy::process::halt::Crash;
use crate::proxy::stream::EndedBy;
use crate::proxy::stream::half::Side;
use crate::proxy::stream::reply::{LocalReply, PreparedReply};

impl Flow<'_> {
    /// `sendLocalReply`
    pub(crate) fn local_reply(&mut self, id: StreamId, reply: &LocalReply) {
        let Some(stream) = self
            .stream(id)
            .filter(|stream| !stream.finished && !stream.logging)
        else {
            return;
        };
        if let Some(side) = stream.calling {
            stream.half_mut(side).aborted = true;
        }
        stream.set_details(reply.details.clone());
        if !stream.headers_sent {
            stream.info.code = Some(reply.code);
        }
        let prepared = reply.prepare(stream.is_grpc, stream.is_head);
        if stream.response.headers.is_none() {
            match stream.calling {
                // Sent once the callback has returned. Of two replies, the first is sent.
                Some(Side::Request) => {
                    stream.prepared.get_or_insert(prepared);
                }
                _ => self.reply_through_filter(id, prepared),
            }
        } else if stream.headers_sent {
            self.reset(id);
        } else {
            self.reply_directly(id, prepared);
        }
    }

    /// `executeLocalReplyIfPrepared`
    pub(super) fn send_prepared(&mut self, id: StreamId) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        let was_closed = stream.ended_by == Some(EndedBy::Close);
        match stream.prepared.take() {
            Some(_) if was_closed => self.process.crash(Crash::CloseAfterEnd),
            Some(prepared) => self.reply_through_filter(id, prepared),
            None => {}
        }
    }

    fn reply_through_filter(&mut self, id: StreamId, reply: PreparedReply) {
        let end = reply.body.is_none();
        if let Some(stream) = self.stream(id) {
            stream.response.complete |= end;
        }
        self.headers(id, Side::Response, reply.headers, end);
        // The filter may have replied to its own reply.
        let is_open = self.stream(id).is_some_and(|stream| !stream.finished);
        if let Some(body) = reply.body.filter(|_| is_open) {
            self.data(id, Side::Response, body, true);
        }
    }

    /// `sendDirectLocalReply`
    fn reply_directly(&mut self, id: StreamId, reply: PreparedReply) {
        let end = reply.body.is_none();
        if let Some(stream) = self.stream(id) {
            stream.response.headers = Some(reply.headers.clone());
            stream.response.trailers = None;
            stream.response.complete = true;
        }
        self.headers_to_client(id, reply.headers, end);
        if let Some(body) = reply.body {
            self.data_to_client(id, body, true);
        }
    }

    /// Resets the client's side of the stream.
    pub(crate) fn reset(&mut self, id: StreamId) {
        let Some(stream) = self.stream(id).filter(|stream| !stream.finished) else {
            return;
        };
        if let Some(side) = stream.calling {
            stream.half_mut(side).aborted = true;
        }
        let details = stream.info.details.clone();
        self.finish(id);
        self.process.effects.push_back(Effect::ResetClient {
            stream: id,
            details,
        });
    }

    pub(super) fn headers_to_client(&mut self, id: StreamId, map: HeaderMap, end: bool) {
        let Some(stream) = self.stream(id).filter(|stream| !stream.finished) else {
            return;
        };
        stream.headers_sent = true;
        // Envoy keeps 32 bits of it.
        stream.info.code = map
            .status()
            .map(|status| status as u32)
            .or(stream.info.code);
        let part = Part::Headers { map, end };
        self.process
            .effects
            .push_back(Effect::ToClient { stream: id, part });
        if end {
            self.finish(id);
        }
    }

    pub(super) fn data_to_client(&mut self, id: StreamId, data: Bytes, end: bool) {
        let Some(stream) = self.stream(id).filter(|stream| !stream.finished) else {
            return;
        };
        stream.info.response_bytes += data.len() as u64;
        let part = Part::Body { data, end };
        self.process
            .effects
            .push_back(Effect::ToClient { stream: id, part });
        if end {
            self.finish(id);
        }
    }

    /// Ends the client's side. Whatever the router still does is pointless, so it is cancelled.
    pub(super) fn finish(&mut self, id: StreamId) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        stream.finished = true;
        if stream.reached_router && !stream.router_done {
            stream.router_done = true;
            self.process
                .effects
                .push_back(Effect::CancelUpstream { stream: id });
        }
    }
}

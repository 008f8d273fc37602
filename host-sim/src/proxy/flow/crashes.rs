//! Local replies, closes and resumes that a callback asked for. Envoy crashes on some of them, as
//! `tests/it/differential/crashes.rs` shows for each combination: it then works on a stream that
//! is gone.

use super::Flow;
use crate::proxy::ids::StreamId;
use crate::proxy::process::halt::Crash;
use crate::proxy::stream::EndedBy;
use crate::proxy::stream::half::Side;
use crate::proxy::stream::reply::LocalReply;

impl Flow<'_> {
    /// Sends a plugin's local reply.
    pub(super) fn reply(&mut self, id: StreamId, reply: &LocalReply) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        // Before the headers of a response, Envoy's codec still takes the reply.
        let is_taken = stream.ended_by == Some(EndedBy::Close)
            && !stream.headers_sent
            && stream.calling != Some(Side::Request);
        if stream.ending {
            return self.process.crash(Crash::ReplyInLog);
        }
        if stream.ended_by.is_some() && !is_taken {
            return self.process.crash(Crash::ReplyAfterEnd);
        }
        self.ending_by(id, EndedBy::Reply, |flow| flow.local_reply(id, reply));
    }

    /// Closes a stream for its plugin.
    pub(super) fn close(&mut self, id: StreamId) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        // The connection is still reading this request, and keeps the stream alive.
        let is_alive = stream.ended_by == Some(EndedBy::Close)
            && stream.calling == Some(Side::Request)
            && !stream.request.complete;
        if stream.ending {
            return self.process.crash(Crash::CloseInLog);
        }
        if stream.ended_by.is_some() && !is_alive {
            return self.process.crash(Crash::CloseAfterEnd);
        }
        self.ending_by(id, EndedBy::Close, |flow| flow.reset(id));
    }

    /// Resumes a response for its plugin.
    pub(super) fn resume_response(&mut self, id: StreamId) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        if stream.response.headers.is_none() && !stream.ending {
            return self.process.crash(Crash::ResumeBeforeResponse);
        }
        self.resume(id, Side::Response);
    }

    /// Notes on the stream if `action` ended it.
    fn ending_by(&mut self, id: StreamId, by: EndedBy, action: impl FnOnce(&mut Self)) {
        let was_open = self.stream(id).is_some_and(|stream| !stream.finished);
        action(self);
        if let Some(stream) = self.stream(id)
            && was_open
            && stream.finished
        {
            stream.ended_by.get_or_insert(by);
        }
    }
}

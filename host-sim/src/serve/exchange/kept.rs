//! The parts of a request that a retry would need.

use bytes::Bytes;

use crate::headers::HeaderMap;
use crate::proxy::{BUFFER_LIMIT_BYTES, Part};
use crate::serve::messages;
use crate::serve::pipe::{Pipe, PipeBody, pipe};

/// Bytes that a retry may keep, and that a pause may buffer of each half before the sender waits.
pub(super) const BUFFER_MAX: usize = BUFFER_LIMIT_BYTES as usize;

/// What the router has of a request.
#[derive(Default)]
pub(super) struct Kept {
    chunks: Vec<Bytes>,
    bytes: usize,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// No attempt takes the parts at the moment.
    pub waits: bool,
    /// The parts are needed by no retry.
    pub forgets: bool,
}

impl Kept {
    /// Adds a part. Returns false if there is more than a retry may keep.
    pub(super) fn add(&mut self, part: &Part) -> bool {
        self.ended |= part.is_end();
        match part {
            Part::Headers { .. } => {}
            Part::Body { data, .. } if !self.forgets => {
                self.bytes += data.len();
                self.chunks.push(data.clone());
            }
            Part::Body { .. } => {}
            Part::Trailers { map } => self.trailers = Some(map.clone()),
        }
        self.bytes <= BUFFER_MAX
    }

    /// Forgets the parts, since there is no retry.
    pub(super) fn forget(&mut self) {
        self.forgets = true;
        self.chunks.clear();
        self.bytes = 0;
    }

    /// Whether the client has to wait until an attempt takes the parts.
    pub(super) fn is_full(&self) -> bool {
        self.waits && self.bytes >= BUFFER_MAX
    }

    /// Returns the body of the next attempt, and where its further parts go.
    pub(super) fn body(&self, http2: bool) -> (Pipe, PipeBody) {
        let (upload, body) = pipe();
        for chunk in &self.chunks {
            upload.push(chunk.clone());
        }
        match &self.trailers {
            Some(map) if http2 => upload.trailers(messages::to_trailers(map)),
            _ if self.ended => upload.end(),
            _ => {}
        }
        (upload, body)
    }
}

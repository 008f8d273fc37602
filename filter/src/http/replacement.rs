//! A fallback that replaces a failed response whose headers have come.

use spillway_core::{FallbackResponse, Pairs};

use crate::apply;
use crate::replay::copies::Limits;
use crate::replay::share::Share;
use crate::runtime::Runtime;

/// What replaces the rest of a response. The body waits for the first chunk of the failed one,
/// which an upstream may be slow to send, so it takes a share of the copies' total.
#[derive(PartialEq, Eq)]
pub(super) struct Replacement {
    /// Empty once sent.
    body: Vec<u8>,
    share: Share,
}

impl Replacement {
    /// Writes `headers` over those of the response. Where there are none, or no room for the
    /// body, a local reply answers instead.
    ///
    /// # Errors
    ///
    /// If a local reply was needed: whether the host took it.
    pub(super) fn begin(
        runtime: &Runtime,
        reply: &FallbackResponse,
        (headers, is_head): (Option<Pairs>, bool),
        limits: Limits,
    ) -> Result<Replacement, bool> {
        let mut share = Share::default();
        // The response to a HEAD has no body, although chunks may come.
        let body_len = if is_head { 0 } else { reply.body.len() };
        let headers = headers.filter(|_| share.grow(body_len, limits.room()));
        match headers.map(|headers| apply::replace(&headers)) {
            Some(Ok(())) => {
                let body = match is_head {
                    true => Vec::new(),
                    false => reply.body.clone(),
                };
                Ok(Replacement { body, share })
            }
            _ => Err(apply::respond(runtime, reply)),
        }
    }

    /// Replaces a chunk of `size` bytes: the first one by the whole body, and others by nothing.
    pub(super) fn replace_chunk(&mut self, runtime: &Runtime, size: usize) {
        let body = std::mem::take(&mut self.body);
        apply::replace_body(runtime, size, &body);
        self.share = Share::default();
    }

    /// Replaces the trailers, which are those of the failed response. Returns whether a local
    /// reply pauses the response.
    pub(super) fn replace_trailers(&self, runtime: &Runtime) -> bool {
        if self.body.is_empty() {
            apply::remove_trailers();
            return false;
        }
        // No chunk came that could have been replaced, and the body's length has been promised.
        // So late, a local reply resets the stream.
        apply::reply_status(runtime, 502, "spillway_no_body")
    }
}

//! One direction of a stream: the parts that arrived, what a pause buffers, and what the guest
//! may see.
//!
//! The guest sees a map or a body from the start of its callback until that callback, or a
//! later one, returns "continue". A guest that pauses keeps them.

use super::body::Body;
use crate::headers::HeaderMap;

/// Direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// A map of a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapKind {
    Headers,
    Trailers,
}

/// What a filter's pause stops: Envoy's `IterationState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Iteration {
    #[default]
    Continue,
    /// The parts so far. The filter still sees further parts.
    StopSingle,
    /// All parts. The filter sees further parts once it resumes.
    StopAll,
}

/// One direction of a stream.
#[derive(Debug)]
pub(crate) struct Half {
    pub headers: Option<HeaderMap>,
    pub trailers: Option<HeaderMap>,
    /// Body bytes that a pause buffers.
    pub buffered: Option<Body>,
    /// Body bytes that are in the filter.
    pub chunk: Body,
    pub iteration: Iteration,
    /// The filter has passed on the headers.
    pub headers_continued: bool,
    /// Buffered parts go through the filter first when it resumes.
    pub from_current: bool,
    /// The last part has arrived.
    pub complete: bool,
    /// The filter has seen the last part.
    pub ended: bool,
    /// A local reply or a reset took over during a callback.
    pub aborted: bool,
    /// The filter sees each chunk together with the buffered bytes.
    pub buffering: bool,
    /// A full buffer stops the sender instead of ending the stream.
    pub streaming: bool,
    /// The buffer has grown above the limit, and not shrunk to half of it since.
    pub above_limit: bool,
    shows_headers: bool,
    shows_trailers: bool,
    shows_chunk: bool,
    at_end: bool,
}

impl Default for Half {
    fn default() -> Half {
        Half {
            headers: None,
            trailers: None,
            buffered: None,
            chunk: Body::default(),
            iteration: Iteration::default(),
            headers_continued: false,
            from_current: false,
            complete: false,
            ended: false,
            aborted: false,
            buffering: false,
            // As in Envoy, until a pause says otherwise.
            streaming: true,
            above_limit: false,
            shows_headers: false,
            shows_trailers: false,
            shows_chunk: false,
            at_end: false,
        }
    }
}

impl Half {
    /// Shows the headers to the guest. `end` marks them as the last part.
    pub(crate) fn show_headers(&mut self, end: bool) {
        self.shows_headers = true;
        self.at_end = end;
    }

    /// Shows the chunk to the guest, after the buffered bytes if it sees both together.
    pub(crate) fn show_body(&mut self, end: bool) {
        if self.buffering {
            self.streaming = false;
            self.buffer_chunk();
        }
        self.shows_chunk = true;
        self.at_end = end;
    }

    /// Shows the trailers to the guest.
    pub(crate) fn show_trailers(&mut self) {
        self.shows_trailers = true;
    }

    /// Hides the headers from the guest.
    pub(crate) fn hide_headers(&mut self) {
        self.shows_headers = false;
    }

    /// Hides the chunk from the guest. Bytes that it buffers itself stay visible.
    pub(crate) fn hide_body(&mut self) {
        self.shows_chunk = false;
    }

    /// Hides the trailers from the guest.
    pub(crate) fn hide_trailers(&mut self) {
        self.shows_trailers = false;
    }

    /// Hides all parts from the guest.
    pub(crate) fn hide(&mut self) {
        self.hide_headers();
        self.hide_body();
        self.hide_trailers();
    }

    /// Returns a map, if the guest may see it.
    pub(crate) fn shown_map(&self, kind: MapKind) -> Option<&HeaderMap> {
        match kind {
            MapKind::Headers => self.headers.as_ref().filter(|_| self.shows_headers),
            MapKind::Trailers => self.trailers.as_ref().filter(|_| self.shows_trailers),
        }
    }

    /// The mutable counterpart of [`Half::shown_map`]. Writing trailers in the callback of the
    /// last body bytes creates them.
    pub(crate) fn writable_map(&mut self, kind: MapKind) -> Option<&mut HeaderMap> {
        match kind {
            MapKind::Headers => self.headers.as_mut().filter(|_| self.shows_headers),
            MapKind::Trailers => {
                if self.trailers.is_none() && self.shows_chunk && self.at_end {
                    self.trailers = Some(HeaderMap::default());
                    self.shows_trailers = true;
                }
                self.trailers.as_mut().filter(|_| self.shows_trailers)
            }
        }
    }

    /// Returns the body bytes, if the guest may see them.
    pub(crate) fn shown_body(&mut self) -> Option<&mut Body> {
        if self.buffering {
            self.buffered.as_mut()
        } else if self.shows_chunk {
            Some(&mut self.chunk)
        } else {
            None
        }
    }

    /// Appends the chunk to the buffered bytes.
    pub(crate) fn buffer_chunk(&mut self) {
        let buffered = self.buffered.get_or_insert_default();
        buffered.append_body(&mut self.chunk);
    }

    /// Returns whether the buffer is now too large, as Envoy's watermarks have it: only once when
    /// it grows above `limit`, and again after it has shrunk to half of it. A limit of 0 is none.
    pub(crate) fn overflows(&mut self, limit: usize) -> bool {
        let len = self.buffered.as_ref().map_or(0, Body::len);
        if self.above_limit {
            self.above_limit = len > limit / 2;
            return false;
        }
        self.above_limit = limit > 0 && len > limit;
        self.above_limit && !self.streaming
    }

    /// Whether a pause stops all parts.
    pub(crate) fn is_stopped_all(&self) -> bool {
        self.iteration == Iteration::StopAll
    }

    /// Whether the message consists of headers only, as far as it has arrived.
    pub(crate) fn ends_with_headers(&self) -> bool {
        self.complete && self.buffered.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Buffers the lengths one after another, with a limit of 10 bytes. Returns what overflows.
    fn check(streaming: bool, lens: &[usize]) -> Vec<bool> {
        let mut half = Half {
            streaming,
            ..Half::default()
        };
        let grown = lens.iter().map(|len| {
            half.buffered = Some(bytes::Bytes::from(vec![0; *len]).into());
            half.overflows(10)
        });
        grown.collect()
    }

    #[test]
    fn a_buffer_overflows_once_until_it_has_shrunk_to_half() {
        let rows: [(bool, &[usize], &[bool]); 5] = [
            (false, &[10], &[false]),
            (false, &[11, 12], &[true, false]),
            (false, &[11, 6, 11], &[true, false, false]),
            (false, &[11, 5, 11], &[true, false, true]),
            (true, &[11, 5, 11], &[false, false, false]),
        ];
        for (streaming, lens, expected) in rows {
            assert_eq!(check(streaming, lens), expected, "{streaming} {lens:?}");
        }
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let mut half = Half {
            streaming: false,
            ..Half::default()
        };
        half.buffered = Some(bytes::Bytes::from_static(b"x").into());
        assert!(!half.overflows(0));
    }
}

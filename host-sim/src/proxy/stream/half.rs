//! One direction of a stream: what came, what is held back, what the guest may see.
//!
//! The guest sees a map or a body from the moment its callback begins until that
//! callback, or a later one, says "continue": a guest that pauses keeps them.

use super::body::Body;
use crate::headers::HeaderMap;

/// A direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// Which map of a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapKind {
    Headers,
    Trailers,
}

/// What a filter's pause holds back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Iteration {
    #[default]
    Continue,
    /// What came so far; further parts are still shown to the filter.
    StopSingle,
    /// Everything; further parts are shown once the filter goes on.
    StopAll,
}

/// One direction of a stream.
#[derive(Debug, Default)]
pub(crate) struct Half {
    pub headers: Option<HeaderMap>,
    pub trailers: Option<HeaderMap>,
    /// Body bytes that a pause holds back.
    pub buffered: Option<Body>,
    /// Body bytes in the filter's hands.
    pub chunk: Body,
    pub iteration: Iteration,
    /// The filter has let the headers pass.
    pub headers_continued: bool,
    /// What was held back goes through the filter first.
    pub from_current: bool,
    /// The last part has come.
    pub complete: bool,
    /// The last part was shown to the filter.
    pub ended: bool,
    /// A local reply or a reset took over during a callback.
    pub aborted: bool,
    /// The filter keeps what comes with what is buffered.
    pub buffering: bool,
    shows_headers: bool,
    shows_trailers: bool,
    shows_chunk: bool,
    at_end: bool,
}

impl Half {
    /// Shows the headers; `end`: nothing follows them.
    pub fn show_headers(&mut self, end: bool) {
        self.shows_headers = true;
        self.at_end = end;
    }

    /// Shows the chunk, behind what is buffered if the filter keeps both together.
    pub fn show_body(&mut self, end: bool) {
        if self.buffering {
            self.keep_chunk();
        }
        self.shows_chunk = true;
        self.at_end = end;
    }

    /// Shows the trailers.
    pub fn show_trailers(&mut self) {
        self.shows_trailers = true;
    }

    /// Takes the headers out of the guest's sight.
    pub fn hide_headers(&mut self) {
        self.shows_headers = false;
    }

    /// Takes the body out of the guest's sight, but for one that it buffers.
    pub fn hide_body(&mut self) {
        self.shows_chunk = false;
    }

    /// Takes the trailers out of the guest's sight.
    pub fn hide_trailers(&mut self) {
        self.shows_trailers = false;
    }

    /// Takes everything out of the guest's sight.
    pub fn hide(&mut self) {
        self.hide_headers();
        self.hide_body();
        self.hide_trailers();
    }

    /// A map that is shown.
    pub fn shown_map(&self, kind: MapKind) -> Option<&HeaderMap> {
        match kind {
            MapKind::Headers => self.headers.as_ref().filter(|_| self.shows_headers),
            MapKind::Trailers => self.trailers.as_ref().filter(|_| self.shows_trailers),
        }
    }

    /// A map that is shown, to be written. Writing trailers in the callback of the last
    /// body bytes makes them.
    pub fn writable_map(&mut self, kind: MapKind) -> Option<&mut HeaderMap> {
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

    /// The body bytes that are shown.
    pub fn shown_body(&mut self) -> Option<&mut Body> {
        if self.buffering {
            self.buffered.as_mut()
        } else if self.shows_chunk {
            Some(&mut self.chunk)
        } else {
            None
        }
    }

    /// Moves the chunk behind what is buffered.
    pub fn keep_chunk(&mut self) {
        let buffered = self.buffered.get_or_insert_default();
        buffered.append_body(&mut self.chunk);
    }

    /// Whether a pause holds back everything.
    pub fn is_stopped_all(&self) -> bool {
        self.iteration == Iteration::StopAll
    }

    /// Whether the headers are the last part as it stands.
    pub fn ends_with_headers(&self) -> bool {
        self.complete && self.buffered.is_none() && self.trailers.is_none()
    }
}

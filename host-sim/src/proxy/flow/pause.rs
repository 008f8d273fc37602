//! Resuming after a pause.

use super::Flow;
use crate::proxy::ids::StreamId;
use crate::proxy::stream::half::{Iteration, Side};

impl Flow<'_> {
    /// `commonContinue`. Does nothing if the direction is not paused, where Envoy asserts.
    pub(super) fn resume(&mut self, id: StreamId, side: Side) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        let over = match side {
            Side::Request => stream.response.complete || stream.finished,
            Side::Response => stream.finished,
        };
        let half = stream.half_mut(side);
        if over || half.iteration == Iteration::Continue {
            return;
        }
        half.from_current = half.is_stopped_all();
        half.iteration = Iteration::Continue;
        if !half.headers_continued {
            half.headers_continued = true;
            let end = half.ends_with_headers();
            self.next_headers(id, side, end);
        }
        self.resume_rest(id, side);
        if let Some(stream) = self.stream(id) {
            stream.half_mut(side).from_current = false;
        }
    }

    fn resume_rest(&mut self, id: StreamId, side: Side) {
        let Some(stream) = self.stream(id).filter(|stream| !stream.finished) else {
            return;
        };
        let half = stream.half_mut(side);
        let had_trailers = half.trailers.is_some();
        let end = half.complete && !had_trailers;
        if let Some(buffered) = &mut half.buffered {
            let mut buffered = std::mem::take(buffered);
            if half.from_current {
                half.buffered = None;
                half.chunk = buffered;
                self.filtered_data(id, side, end, true);
            } else {
                half.above_limit = false;
                let data = buffered.take();
                self.next_data(id, side, data, end);
            }
        }
        if !had_trailers {
            return;
        }
        let Some(stream) = self.stream(id).filter(|stream| !stream.finished) else {
            return;
        };
        if stream.half(side).from_current {
            self.filtered_trailers(id, side);
        } else {
            self.next_trailers(id, side);
        }
    }
}

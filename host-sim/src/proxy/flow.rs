//! A stream's path through the filter, event by event.
//!
//! This is a transcription of Envoy's `FilterManager` for one filter followed by the router, so
//! that corner cases come out the same: what a pause on headers buffers, in which order
//! buffered parts resume, and which of three ways a local reply takes. Comments give the names
//! of the original functions.

mod callbacks;
mod calls;
mod crashes;
mod limit;
mod pause;
mod replies;
mod roots;

use bytes::Bytes;

use crate::grpc;
use crate::headers::HeaderMap;
use crate::proxy::ids::{StreamId, VmId};
use crate::proxy::process::Process;
use crate::proxy::process::counts::Callback;
use crate::proxy::process::effect::{Effect, Part};
use crate::proxy::stream::Stream;
use crate::proxy::stream::half::{Iteration, Side};
use crate::proxy::stream::reply::LocalReply;
use crate::proxy::vm::{Deferred, Vm};

/// What one event works on: the process, and the VM of the stream's worker.
pub(crate) struct Flow<'a> {
    pub process: &'a mut Box<Process>,
    pub vm: Option<&'a mut Vm>,
    pub allow_on_headers_stop_iteration: bool,
}

/// Envoy's `FilterDataStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DataStatus {
    Continue,
    StopAndBuffer,
    StopAndWatermark,
    StopNoBuffer,
}

impl Flow<'_> {
    /// Handles a part that arrives from the client or from the router.
    pub(super) fn part(&mut self, id: StreamId, side: Side, part: Part) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        let is_end = part.is_end();
        match side {
            Side::Response => {
                stream.router_done |= is_end;
                if stream.finished {
                    return;
                }
            }
            // Once the response is complete, nobody reads the request.
            Side::Request if stream.response.complete || stream.finished => return,
            Side::Request => {}
        }
        stream.half_mut(side).complete |= is_end;
        match part {
            Part::Headers { map, end } => self.headers(id, side, map, end),
            Part::Body { data, end } => self.data(id, side, data, end),
            Part::Trailers { map } => self.trailers(id, side, map),
        }
    }

    /// Whether the thread still runs this VM.
    pub(super) fn is_on(&self, id: VmId) -> bool {
        let vm = self.vm.as_ref();
        vm.is_some_and(|vm| vm.state().setup.id == id)
    }

    fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.process.streams.get_mut(id)
    }

    /// `decodeHeaders`, `encodeHeaders`
    fn headers(&mut self, id: StreamId, side: Side, map: HeaderMap, end: bool) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        if side == Side::Request {
            stream.is_head = map.value(b":method") == Some(b"HEAD");
            stream.is_grpc = grpc::is_request(&map);
        }
        let half = stream.half_mut(side);
        half.headers = Some(map);
        half.complete |= end;
        half.ended = end;
        let iteration = self.calling(id, side, |flow| flow.filter_headers(id, side, end));
        let aborted = self.take_over(id, side);
        let Some(stream) = self.stream(id) else {
            return;
        };
        let half = stream.half_mut(side);
        half.iteration = if aborted {
            Iteration::StopSingle
        } else {
            iteration
        };
        if half.iteration == Iteration::Continue {
            half.headers_continued = true;
            self.next_headers(id, side, end);
        }
    }

    /// `decodeData`, `encodeData`
    fn data(&mut self, id: StreamId, side: Side, data: Bytes, end: bool) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        if side == Side::Request {
            stream.info.request_bytes += data.len() as u64;
        }
        let half = stream.half_mut(side);
        half.complete |= end;
        if half.is_stopped_all() {
            half.chunk = data.into();
            half.streaming = true;
            self.buffer_chunk(id, side);
        } else if !half.ended {
            half.chunk = data.into();
            self.filtered_data(id, side, end, false);
        }
    }

    /// Passes the chunk to the filter and acts on its status. `was_buffered`: the chunk was
    /// buffered by a pause before.
    fn filtered_data(&mut self, id: StreamId, side: Side, end: bool, was_buffered: bool) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        let half = stream.half_mut(side);
        let had_trailers = half.trailers.is_some();
        half.ended = end && !had_trailers;
        let shown_end = half.ended;
        let status = self.calling(id, side, |flow| flow.filter_data(id, side, shown_end));
        let aborted = self.take_over(id, side);
        let Some(stream) = self.stream(id) else {
            return;
        };
        if aborted && side == Side::Request {
            return;
        }
        let status = if aborted {
            DataStatus::StopNoBuffer
        } else {
            status
        };
        if status != DataStatus::Continue {
            self.stop_data(id, side, status, was_buffered);
        } else if stream.half(side).iteration == Iteration::StopSingle {
            self.buffer_chunk(id, side);
            self.resume(id, side);
        } else {
            let half = stream.half_mut(side);
            half.above_limit = false;
            let data = half.chunk.take();
            let trailers_added = !had_trailers && half.trailers.is_some();
            self.next_data(id, side, data, end && !trailers_added);
            if trailers_added {
                self.next_trailers(id, side);
            }
        }
    }

    /// `commonHandleAfterDataCallback` for all but "continue"
    fn stop_data(&mut self, id: StreamId, side: Side, status: DataStatus, was_buffered: bool) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        let finished = stream.finished;
        let half = stream.half_mut(side);
        half.iteration = Iteration::StopSingle;
        if was_buffered || status != DataStatus::StopNoBuffer {
            if status != DataStatus::StopNoBuffer {
                half.streaming = status == DataStatus::StopAndWatermark;
            }
            self.buffer_chunk(id, side);
            return;
        }
        half.above_limit = false;
        half.chunk.take();
        // An empty buffer, so that a later resume still ends the stream.
        if half.ends_with_headers() && !finished {
            half.buffered = Some(Bytes::new().into());
        }
    }

    /// `decodeTrailers`, `encodeTrailers`
    fn trailers(&mut self, id: StreamId, side: Side, map: HeaderMap) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        let half = stream.half_mut(side);
        half.trailers = Some(map);
        half.complete = true;
        self.filtered_trailers(id, side);
    }

    fn filtered_trailers(&mut self, id: StreamId, side: Side) {
        if self
            .stream(id)
            .is_none_or(|stream| stream.half(side).is_stopped_all())
        {
            return;
        }
        let passes = self.calling(id, side, |flow| flow.filter_trailers(id, side));
        let aborted = self.take_over(id, side);
        let Some(stream) = self.stream(id) else {
            return;
        };
        let half = stream.half_mut(side);
        half.ended = true;
        if !passes || aborted {
            if half.iteration == Iteration::Continue {
                half.iteration = Iteration::StopSingle;
            }
        } else if half.iteration == Iteration::StopSingle {
            self.resume(id, side);
        } else {
            self.next_trailers(id, side);
        }
    }

    /// Runs `call`, a callback of the filter, with the stream marked as inside it.
    fn calling<T>(&mut self, id: StreamId, side: Side, call: impl FnOnce(&mut Self) -> T) -> T {
        let before = self
            .stream(id)
            .and_then(|stream| stream.calling.replace(side));
        let result = call(self);
        if let Some(stream) = self.stream(id) {
            stream.calling = before;
        }
        result
    }

    /// Returns whether a local reply or a reset took over during the callback. Sends the reply
    /// that waited for the callback to return.
    fn take_over(&mut self, id: StreamId, side: Side) -> bool {
        let Some(stream) = self.stream(id) else {
            return true;
        };
        let aborted = stream.half(side).aborted;
        if aborted && side == Side::Request {
            self.send_prepared(id);
        }
        aborted
    }

    /// Passes the headers on, out of the filter.
    fn next_headers(&mut self, id: StreamId, side: Side, end: bool) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        let map = stream.half(side).headers.clone().unwrap_or_default();
        if side == Side::Request {
            stream.reached_router = true;
            let rerouted = std::mem::take(&mut stream.rerouted);
            let part = Part::Headers { map, end };
            self.process.effects.push_back(Effect::ToUpstream {
                stream: id,
                part,
                rerouted,
            });
        } else if map.status().is_none() {
            self.local_reply(id, &LocalReply::without_status());
        } else {
            self.headers_to_client(id, map, end);
        }
    }

    /// Passes body bytes on.
    fn next_data(&mut self, id: StreamId, side: Side, data: Bytes, end: bool) {
        if data.is_empty() && !end {
            return;
        }
        match side {
            Side::Request => {
                let part = Part::Body { data, end };
                let effect = Effect::ToUpstream {
                    stream: id,
                    part,
                    rerouted: false,
                };
                self.process.effects.push_back(effect);
            }
            Side::Response => self.data_to_client(id, data, end),
        }
    }

    /// Passes the trailers on.
    fn next_trailers(&mut self, id: StreamId, side: Side) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        let map = stream.half(side).trailers.clone().unwrap_or_default();
        let part = Part::Trailers { map };
        if side == Side::Request {
            let effect = Effect::ToUpstream {
                stream: id,
                part,
                rerouted: false,
            };
            self.process.effects.push_back(effect);
        } else if !stream.finished {
            self.process
                .effects
                .push_back(Effect::ToClient { stream: id, part });
            self.finish(id);
        }
    }

    /// Ends a stream: the guest logs it, then deletes its context.
    pub(super) fn end(&mut self, id: StreamId) {
        self.create_context(id);
        self.set_ending(id, true);
        self.set_logging(id, true);
        self.enter_guest(id, |vm, process, owner, context| {
            let func = vm.exports.log.clone()?;
            Some(vm.call(process, Callback::Log, owner, &func, context))
        });
        self.after_guest();
        self.set_logging(id, false);
        self.enter_guest(id, |vm, process, owner, context| {
            let func = vm.exports.done.clone()?;
            Some(vm.call(process, Callback::Done, owner, &func, context))
        });
        self.after_guest();
        self.set_ending(id, false);
        self.enter_guest(id, |vm, process, owner, context| {
            let func = vm.exports.delete.clone()?;
            Some(vm.call(process, Callback::Delete, owner, &func, context))
        });
        self.after_guest();
    }

    fn set_ending(&mut self, id: StreamId, ending: bool) {
        if let Some(stream) = self.stream(id) {
            stream.ending = ending;
        }
    }

    fn set_logging(&mut self, id: StreamId, logging: bool) {
        if let Some(stream) = self.stream(id) {
            stream.logging = logging;
        }
    }

    /// Carries out what the guest deferred, now that its callback has returned.
    pub(super) fn run_deferred(&mut self) {
        while let Some(deferred) = self.vm.as_mut().and_then(|vm| vm.next_deferred()) {
            match deferred {
                Deferred::ContinueRequest(id) => self.resume(id, Side::Request),
                Deferred::ContinueResponse(id) => self.resume_response(id),
                Deferred::Close(id) => self.close(id),
                Deferred::Reply(id, reply) => self.reply(id, &reply),
                Deferred::Grown(id, side) => self.check_buffer(id, side),
                Deferred::Refused { root, token } => self.grpc_refused(root, token),
                Deferred::Delete { root } => self.delete_root(root),
            }
        }
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

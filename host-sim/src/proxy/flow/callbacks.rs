//! The callbacks of a stream, and what their return values mean.
//!
//! Once the VM has failed, each of its streams gets one 503 instead.

use super::{DataStatus, Flow, count};
use crate::proxy::ids::StreamId;
use crate::proxy::process::Process;
use crate::proxy::process::counts::Callback;
use crate::proxy::stream::Filter;
use crate::proxy::stream::half::{Iteration, Side};
use crate::proxy::stream::reply::LocalReply;
use crate::proxy::vm::{Owner, Vm};

/// Return values of the callbacks, as Envoy reads them.
const CONTINUE: u32 = 0;
const STOP_SINGLE: u32 = 1;
const STOP_AND_WATERMARK: u32 = 2;

/// Result of a callback.
enum Outcome {
    /// The guest has no such function, or there is no guest.
    NotCalled,
    Returned {
        status: u32,
        stop: bool,
    },
    /// The VM has failed, in this callback or before.
    Failed,
}

impl Flow<'_> {
    pub(super) fn filter_headers(&mut self, id: StreamId, side: Side, end: bool) -> Iteration {
        if side == Side::Request {
            self.create_context(id);
        } else if !self.sees_response(id) {
            return Iteration::Continue;
        }
        let Some(stream) = self.stream(id) else {
            return Iteration::Continue;
        };
        let half = stream.half_mut(side);
        half.show_headers(end);
        let count = count(half.headers.as_ref().map_or(0, |map| map.len()));
        let outcome = self.in_guest(id, |vm, process, owner, context| {
            let (which, func) = match side {
                Side::Request => (Callback::RequestHeaders, &vm.exports.request.headers),
                Side::Response => (Callback::ResponseHeaders, &vm.exports.response.headers),
            };
            let func = func.clone()?;
            Some(vm.call(
                process,
                which,
                owner,
                &func,
                (context, count, u32::from(end)),
            ))
        });
        let iteration = self.headers_iteration(&outcome);
        self.after_guest();
        if let Some(stream) = self.stream(id).filter(|_| iteration == Iteration::Continue) {
            stream.half_mut(side).hide_headers();
        }
        iteration
    }

    /// A pause on headers stops all parts, unless the plugin is configured to see the body all
    /// the same.
    fn headers_iteration(&self, outcome: &Outcome) -> Iteration {
        match outcome {
            Outcome::NotCalled => Iteration::Continue,
            Outcome::Returned {
                status: CONTINUE,
                stop: false,
            } => Iteration::Continue,
            Outcome::Returned {
                status: STOP_SINGLE,
                stop: false,
            } if self.allow_on_headers_stop_iteration => Iteration::StopSingle,
            Outcome::Returned { .. } | Outcome::Failed => Iteration::StopAll,
        }
    }

    pub(super) fn filter_data(&mut self, id: StreamId, side: Side, end: bool) -> DataStatus {
        if !self.sees(id, side) {
            return DataStatus::Continue;
        }
        let Some(stream) = self.stream(id) else {
            return DataStatus::Continue;
        };
        let half = stream.half_mut(side);
        half.show_body(end);
        if half.buffering {
            self.check_buffer(id, side);
        }
        let Some(stream) = self.stream(id) else {
            return DataStatus::Continue;
        };
        // A response that is too large ends before the guest sees it, a request only after that.
        if side == Side::Response && stream.response.aborted {
            return DataStatus::StopNoBuffer;
        }
        let half = stream.half_mut(side);
        let size = count(half.shown_body().map_or(0, |body| body.len()));
        let outcome = self.in_guest(id, |vm, process, owner, context| {
            let (which, func) = match side {
                Side::Request => (Callback::RequestBody, &vm.exports.request.body),
                Side::Response => (Callback::ResponseBody, &vm.exports.response.body),
            };
            let func = func.clone()?;
            Some(vm.call(
                process,
                which,
                owner,
                &func,
                (context, size, u32::from(end)),
            ))
        });
        self.after_guest();
        let (status, buffers) = match outcome {
            Outcome::NotCalled => (DataStatus::Continue, false),
            Outcome::Returned {
                status: CONTINUE,
                stop: false,
            } => (DataStatus::Continue, false),
            Outcome::Returned {
                status: STOP_SINGLE,
                stop: false,
            } => (DataStatus::StopAndBuffer, true),
            Outcome::Returned {
                status: STOP_AND_WATERMARK,
                stop: false,
            } => (DataStatus::StopAndWatermark, false),
            Outcome::Returned { .. } | Outcome::Failed => (DataStatus::StopNoBuffer, false),
        };
        if let Some(stream) = self.stream(id) {
            let half = stream.half_mut(side);
            half.buffering = buffers;
            half.hide_body();
        }
        status
    }

    /// Returns whether the trailers pass on.
    pub(super) fn filter_trailers(&mut self, id: StreamId, side: Side) -> bool {
        if !self.sees(id, side) {
            return true;
        }
        let Some(stream) = self.stream(id) else {
            return true;
        };
        let half = stream.half_mut(side);
        half.show_trailers();
        let count = count(half.trailers.as_ref().map_or(0, |map| map.len()));
        let outcome = self.in_guest(id, |vm, process, owner, context| {
            let (which, func) = match side {
                Side::Request => (Callback::RequestTrailers, &vm.exports.request.trailers),
                Side::Response => (Callback::ResponseTrailers, &vm.exports.response.trailers),
            };
            let func = func.clone()?;
            Some(vm.call(process, which, owner, &func, (context, count)))
        });
        self.after_guest();
        let passes = matches!(
            outcome,
            Outcome::NotCalled
                | Outcome::Returned {
                    status: CONTINUE,
                    stop: false
                }
        );
        if let Some(stream) = self.stream(id).filter(|_| passes) {
            stream.half_mut(side).hide_trailers();
        }
        passes
    }

    /// Whether the filter sees body and trailers.
    fn sees(&mut self, id: StreamId, side: Side) -> bool {
        match side {
            Side::Request => self.stream(id).is_some_and(|stream| stream.context_created),
            Side::Response => self.sees_response(id),
        }
    }

    /// False without a context, and for the 503 that the VM's own failure caused.
    fn sees_response(&mut self, id: StreamId) -> bool {
        self.stream(id)
            .is_some_and(|stream| stream.context_created && !stream.failed)
    }

    /// Creates the guest's context of a new stream.
    pub(crate) fn create_context(&mut self, id: StreamId) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        if std::mem::replace(&mut stream.context_created, true) {
            return;
        }
        let Filter::Live { root, .. } = stream.filter else {
            return;
        };
        self.enter_guest(id, |vm, process, owner, context| {
            let func = vm.exports.context_create.clone()?;
            Some(vm.call(
                process,
                Callback::ContextCreate,
                owner,
                &func,
                (context, root),
            ))
        });
        self.after_guest();
    }

    /// Calls into the guest for a stream. If the VM has failed, sends the 503.
    fn in_guest(
        &mut self,
        id: StreamId,
        call: impl FnOnce(&mut Vm, &mut Box<Process>, Owner, u32) -> Option<Option<u32>>,
    ) -> Outcome {
        if self
            .stream(id)
            .is_none_or(|stream| stream.filter == Filter::Absent)
        {
            return Outcome::NotCalled;
        }
        let returned = match self.enter_guest(id, call) {
            Some(Some(Some(status))) => {
                let stop = self.vm.as_ref().is_some_and(|vm| vm.state().stop);
                return Outcome::Returned { status, stop };
            }
            returned => returned,
        };
        if let Some(None) = returned {
            return Outcome::NotCalled;
        }
        self.fail(id);
        Outcome::Failed
    }

    /// Calls into the guest for a stream. The outer `None` means that its VM has failed or was
    /// replaced.
    pub(crate) fn enter_guest<T>(
        &mut self,
        id: StreamId,
        call: impl FnOnce(&mut Vm, &mut Box<Process>, Owner, u32) -> Option<T>,
    ) -> Option<Option<T>> {
        let Filter::Live {
            vm: vm_id,
            context,
            root,
        } = self.stream(id)?.filter
        else {
            return None;
        };
        let vm = self.vm.as_deref_mut()?;
        if vm.state().setup.id != vm_id || vm.has_failed() {
            return None;
        }
        let owner = Owner::Stream {
            stream: id,
            context,
            root,
        };
        Some(call(vm, self.process, owner, context))
    }

    /// Carries out what the guest deferred. Must follow each callback.
    pub(crate) fn after_guest(&mut self) {
        if let Some(vm) = self.vm.as_deref_mut() {
            vm.state_mut().stop = false;
        }
        self.run_deferred();
    }

    /// `failStream`
    fn fail(&mut self, id: StreamId) {
        let is_first = self.stream(id).is_some_and(|stream| !stream.failed);
        if is_first {
            self.local_reply(id, &LocalReply::failed());
            if let Some(stream) = self.stream(id) {
                stream.failed = true;
            }
        }
    }
}

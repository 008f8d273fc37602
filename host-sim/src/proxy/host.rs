//! The host: a proxy's worker threads with a plugin in them, as a state machine.
//!
//! The host does no input or output and has no clock of its own. The caller advances the time,
//! passes in what clients, the router and called clusters do, and takes the effects out. The
//! host knows streams, VMs, shared data, queues and metrics. It does not know upstreams, routes
//! or clients.
//!
//! Effects come out in the order in which they happened. They are complete once the method that
//! caused them has returned.

mod listeners;

use std::ops::Range;

use crate::headers::HeaderMap;
use crate::proxy::flow::Flow;
use crate::proxy::ids::{CallId, StreamId, Thread};
use crate::proxy::process::Process;
use crate::proxy::process::call::{CallOutcome, ClusterState};
use crate::proxy::process::counts::Counts;
use crate::proxy::process::effect::{Effect, Part};
use crate::proxy::process::halt::Halt;
use crate::proxy::process::log::LogLine;
use crate::proxy::process::metrics::Metrics;
use crate::proxy::process::shared_data::SharedData;
use crate::proxy::process::tape::Taped;
use crate::proxy::process::timers::Task;
use crate::proxy::setup::{Setup, StartError};
use crate::proxy::stream::half::{Iteration, Side};
use crate::proxy::stream::info::StreamInfo;
use crate::proxy::stream::reply::LocalReply;
use crate::proxy::stream::{Filter, Stream};
use crate::proxy::worker::{Hosted, Worker};
use crate::sim::clock::Time;

/// One proxy process.
pub struct Host {
    process: Box<Process>,
    listeners: Vec<Listening>,
    main: Worker,
    workers: Vec<Worker>,
    seed: u64,
}

/// A listener of the process. All listeners share data, queues and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listener(usize);

/// The plugin of a listener, and the workers that serve it.
struct Listening {
    hosted: Option<Hosted>,
    workers: Range<usize>,
}

impl Host {
    /// Starts the threads at `now`. The plugin is configured in a throwaway VM first, then on
    /// the main thread and on each worker.
    ///
    /// # Errors
    ///
    /// If Envoy would reject the plugin; the message is Envoy's.
    pub fn start(setup: Setup, now: Time) -> Result<Host, StartError> {
        Host::start_with_log(setup, now, &mut Vec::new())
    }

    /// Like [`Host::start`], and adds what the plugin logged to `log` if the start fails.
    ///
    /// # Errors
    ///
    /// As [`Host::start`].
    pub fn start_with_log(
        setup: Setup,
        now: Time,
        log: &mut Vec<LogLine>,
    ) -> Result<Host, StartError> {
        let mut host = Host::idle(setup, now);
        let served = host.serve(Listener::default());
        if served.is_err() {
            log.extend(host.take_log());
        }
        served.map(|()| host)
    }

    /// Like [`Host::start`], and adds what the plugin did to `tape` if the start fails.
    ///
    /// # Errors
    ///
    /// As [`Host::start`].
    pub fn start_with_tape(
        setup: Setup,
        now: Time,
        tape: &mut Vec<Taped>,
    ) -> Result<Host, StartError> {
        let mut host = Host::idle(setup, now);
        let served = host.serve(Listener::default());
        if served.is_err() {
            tape.extend(host.take_tape());
        }
        served.map(|()| host)
    }

    /// Creates the threads without VMs.
    fn idle(setup: Setup, now: Time) -> Host {
        let mut process = Process {
            now,
            wall_start_ns: setup.wall_start_ns,
            monotonic_start_ns: setup.monotonic_start_ns,
            log_level: setup.log_level,
            tape: setup.tape.then(Vec::new),
            properties: setup.properties,
            stubs: setup.stubs,
            buffer_limit_bytes: setup.per_connection_buffer_limit_bytes as usize,
            ..Process::default()
        };
        let clusters = setup.clusters.into_iter();
        let ready = |name: String| (name.into_bytes().into(), ClusterState::Ready);
        process.clusters = clusters.map(ready).collect();
        let mut host = Host {
            process: Box::new(process),
            listeners: Vec::new(),
            main: Worker::new(None, 0, setup.seed),
            workers: Vec::new(),
            seed: setup.seed,
        };
        host.add(setup.plugin, setup.workers);
        host
    }

    /// Advances the clock, which never goes back. Timers that are due by `now` wait for
    /// [`Host::run_timers`].
    pub fn advance_to(&mut self, now: Time) {
        self.process.now = self.process.now.max(now);
    }

    /// Returns the time of the next timer.
    pub fn next_timer(&self) -> Option<Time> {
        self.process.timers.next()
    }

    /// Runs the timers that are due: ticks, and notifications of queues.
    pub fn run_timers(&mut self) {
        while let Some(task) = self.process.timers.take_due(self.process.now) {
            match task {
                Task::Tick { vm, root } => {
                    let mut flow = self.flow(vm.thread);
                    if flow.is_on(vm) {
                        flow.tick(root);
                    }
                }
                Task::QueueReady {
                    thread,
                    root,
                    queue,
                } => {
                    self.flow(thread).queue_ready(root, queue);
                }
            }
        }
    }

    fn flow(&mut self, thread: Thread) -> Flow<'_> {
        let worker = match thread.and_then(|number| self.workers.get_mut(number)) {
            Some(worker) => worker,
            None => &mut self.main,
        };
        let hosted = hosted(&self.listeners, worker);
        worker.flow(hosted, &mut self.process)
    }

    fn stream_flow(&mut self, stream: StreamId) -> Option<Flow<'_>> {
        let worker = self.process.streams.get(stream)?.info.worker;
        Some(self.flow(Some(worker)))
    }

    /// Sets the state of a cluster that plugins may call. A cluster without a state is unknown.
    pub fn cluster(&mut self, name: &str, state: ClusterState) {
        self.process.clusters.insert(name.as_bytes().into(), state);
    }

    /// Opens a stream, before its first headers. Worker numbers wrap around at the number of
    /// workers.
    pub fn open(&mut self, info: StreamInfo) -> StreamId {
        self.open_on(Listener::default(), info)
    }

    /// Opens a stream on a listener. Worker numbers count its own workers.
    pub fn open_on(&mut self, listener: Listener, mut info: StreamInfo) -> StreamId {
        if let Some(listening) = self.listeners.get(listener.0) {
            info.worker = listening.workers.start + info.worker % listening.workers.len();
        }
        let worker = info.worker;
        let start_wall_ns = self
            .process
            .wall_start_ns
            .saturating_add(info.start.as_ns());
        let stream = Stream {
            info,
            start_wall_ns,
            ..Stream::default()
        };
        let id = self.process.streams.add(stream);
        if let Some(worker) = self.workers.get_mut(worker)
            && let Some(hosted) = hosted(&self.listeners, worker)
        {
            let filter = worker.filter(hosted, &mut self.process, id);
            if let Some(stream) = self.process.streams.get_mut(id) {
                stream.filter = filter;
            }
        }
        id
    }

    /// Passes in a part that the client sends.
    pub fn request(&mut self, stream: StreamId, part: Part) {
        if let Some(mut flow) = self.stream_flow(stream) {
            flow.part(stream, Side::Request, part);
        }
    }

    /// Passes in a part that the router sends towards the client: of an upstream's response, or
    /// of the router's own local reply.
    pub fn response(&mut self, stream: StreamId, part: Part) {
        if let Some(mut flow) = self.stream_flow(stream) {
            flow.part(stream, Side::Response, part);
        }
    }

    /// Resets the upstream's response after its headers.
    pub fn upstream_reset_after_headers(&mut self, stream: StreamId) {
        if let Some(entry) = self.process.streams.get_mut(stream) {
            entry.router_done = true;
        }
        if let Some(mut flow) = self.stream_flow(stream) {
            flow.reset(stream);
        }
    }

    /// Removes request headers, as the router does with those addressed to it. Later callbacks
    /// that read the request headers do not see them.
    pub fn remove_request_headers(&mut self, stream: StreamId, names: &[&str]) {
        let stream = self.process.streams.get_mut(stream);
        if let Some(headers) = stream.and_then(|stream| stream.request.headers.as_mut()) {
            for name in names {
                headers.remove(name.as_bytes());
            }
        }
    }

    /// Sends a local reply of the proxy itself, such as that of a stream's time limit. If
    /// response headers were sent already, the stream is reset.
    pub(crate) fn local_reply(&mut self, stream: StreamId, reply: &LocalReply) {
        if let Some(mut flow) = self.stream_flow(stream) {
            flow.local_reply(stream, reply);
        }
    }

    /// Ends a stream that a filter closer to the client answered. The plugin sees only the end
    /// of the stream, with these headers.
    pub fn answered_elsewhere(
        &mut self,
        stream: StreamId,
        request: Option<HeaderMap>,
        response: Option<HeaderMap>,
    ) {
        if let Some(stream) = self.process.streams.get_mut(stream) {
            stream.finished = true;
            stream.request.headers = request;
            stream.response.headers = response;
        }
    }

    /// Returns what the proxy knows about a stream.
    pub fn info(&self, stream: StreamId) -> Option<&StreamInfo> {
        self.process.streams.get(stream).map(|stream| &stream.info)
    }

    /// The mutable counterpart of [`Host::info`].
    pub fn info_mut(&mut self, stream: StreamId) -> Option<&mut StreamInfo> {
        self.process
            .streams
            .get_mut(stream)
            .map(|stream| &mut stream.info)
    }

    /// Closes a stream, however it ended, and returns what the proxy knows about it.
    pub fn close(&mut self, stream: StreamId) -> Option<StreamInfo> {
        let now = self.process.now;
        let entry = self.process.streams.get_mut(stream)?;
        entry.info.end.get_or_insert(now);
        entry.finished = true;
        let (filter, worker) = (entry.filter, entry.info.worker);
        if let Filter::Live { .. } = filter {
            self.flow(Some(worker)).end(stream);
        }
        let removed = self.process.streams.remove(stream)?;
        if let Some(worker) = self.workers.get_mut(worker)
            && let Some(hosted) = hosted(&self.listeners, worker)
        {
            worker.forget(hosted, &mut self.process, filter);
        }
        Some(removed.info)
    }

    /// Passes in a response to a call, or its failure. Ignored if the call is no longer open.
    pub fn answer_call(&mut self, call: CallId, outcome: CallOutcome) {
        let Some(open) = self.process.calls.get(&call).copied() else {
            return;
        };
        let mut flow = self.flow(open.vm.thread);
        if flow.is_on(open.vm) {
            flow.response(call, open, outcome);
        }
    }

    /// Updates the plugin's configuration, as a discovery service would. Streams that began
    /// with the old configuration end with it. An unchanged configuration has no effect.
    ///
    /// # Errors
    ///
    /// If Envoy would reject the update. The old configuration stays in use.
    pub fn update(&mut self, configuration: Vec<u8>) -> Result<(), StartError> {
        self.update_on(Listener::default(), configuration)
    }

    /// Returns the bytes that a pause buffers of one half, and whether the pause asks the sender
    /// to wait once there are too many. If it does not, too many are an error.
    pub(crate) fn buffered(&self, stream: StreamId, side: Side) -> (usize, bool) {
        let half = self.process.streams.get(stream).map(|it| it.half(side));
        half.map_or((0, false), |half| {
            let bytes = half.buffered.as_ref().map_or(0, |body| body.len());
            // A buffer that has overflowed once does not end the stream again.
            let waits = half.streaming || half.above_limit;
            (bytes, waits && half.iteration != Iteration::Continue)
        })
    }

    /// Takes the next effect.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.process.effects.pop_front()
    }

    /// Returns the metrics that plugins defined.
    pub fn metrics(&self) -> &Metrics {
        &self.process.metrics
    }

    /// Returns the data that workers share.
    pub fn shared_data(&self) -> &SharedData {
        &self.process.shared_data
    }

    /// Returns the shared data for writes by other plugins of the process, whose VMs are not
    /// modelled.
    pub fn shared_data_mut(&mut self) -> &mut SharedData {
        &mut self.process.shared_data
    }

    /// Returns the size of the largest worker VM's linear memory, in bytes.
    pub fn vm_bytes(&self) -> usize {
        let workers = self.workers.iter().map(Worker::vm_bytes);
        workers.max().unwrap_or(0)
    }

    /// Takes the lines logged since the last call.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        std::mem::take(&mut self.process.log)
    }

    /// Takes what guests did since the last call. Empty if the setup has no tape.
    pub fn take_tape(&mut self) -> Vec<Taped> {
        let tape = self.process.tape.as_mut();
        tape.map(std::mem::take).unwrap_or_default()
    }

    /// Returns what the plugin cost so far.
    pub fn counts(&self) -> &Counts {
        &self.process.counts
    }

    /// Returns why the run means nothing from here on, once the plugin has made a hostcall that the
    /// host does not model, or one that crashes Envoy.
    pub fn halt(&self) -> Option<&Halt> {
        self.process.halt.as_ref()
    }
}

/// Returns the plugin of a worker's listener.
fn hosted<'a>(listeners: &'a [Listening], worker: &Worker) -> Option<&'a Hosted> {
    listeners.get(worker.listener())?.hosted.as_ref()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn without_a_plugin_everything_passes() {
        let mut host = Host::start(Setup::default(), Time::ZERO).unwrap();
        let stream = host.open(StreamInfo::default());
        let headers = |name| {
            let map = HeaderMap::from([(name, "200")]);
            Part::Headers { map, end: false }
        };
        let body = Part::Body {
            data: Bytes::from_static(b"x"),
            end: true,
        };
        host.request(stream, headers(":path"));
        host.request(stream, body.clone());
        host.response(stream, headers(":status"));
        let up = |part| Effect::ToUpstream {
            stream,
            part,
            rerouted: false,
        };
        let client = Effect::ToClient {
            stream,
            part: headers(":status"),
        };
        let expected = [up(headers(":path")), up(body), client];
        let seen: Vec<_> = std::iter::from_fn(|| host.next_effect()).collect();
        assert_eq!(seen, expected);
    }
}

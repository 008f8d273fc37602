//! Several plugins in a row, each in a host of its own.
//!
//! What one host sends towards the upstream is the request of the next one, and what that sends
//! towards the client is the response of the one before. The hosts have the same time. They
//! share neither data nor queues, as plugins with different VM ids.

mod notes;

use std::rc::Rc;

use crate::headers::HeaderMap;
use crate::proxy::stream::info::StreamInfo;
use crate::proxy::{
    Call, CallId, CallOutcome, Effect, Host, LocalReply, Metrics, Module, Part, Setup, StartError,
    StreamId, Taped,
};
use crate::scenario::play::plugin;
use crate::sim::clock::Time;
use crate::trial::spec::{Trial, UPSTREAM};
use crate::trial::transcript::{Ending, Entry};

/// A chain of plugins.
pub(super) struct Chain {
    hosts: Vec<Host>,
    names: Vec<String>,
    streams: Vec<StreamId>,
    /// What the plugins did since [`Chain::take_notes`].
    notes: Vec<Entry>,
}

/// What leaves the chain.
pub(super) enum Outward {
    ToUpstream(Part),
    ToClient(Part),
    ResetClient,
    CancelUpstream,
    Call(usize, Call),
    Message(usize, CallId, bytes::Bytes),
    CancelCall(usize, CallId),
}

impl Chain {
    /// Starts all plugins. Returns what they did on one thread.
    ///
    /// # Errors
    ///
    /// If a plugin does not start, with what it did until then.
    pub(super) fn start(
        trial: &Trial,
        modules: &[Module],
    ) -> Result<(Chain, Vec<Entry>), (Ending, Vec<Entry>)> {
        let mut chain = Chain {
            hosts: Vec::new(),
            names: trial.plugins.iter().map(|it| it.name.clone()).collect(),
            streams: Vec::new(),
            notes: Vec::new(),
        };
        let mut notes = Vec::new();
        for (at, (spec, module)) in trial.plugins.iter().zip(modules).enumerate() {
            let setup = Setup {
                plugin: Some(plugin(spec, module)),
                ..setup(trial)
            };
            let mut tape = Vec::new();
            let started = Host::start_with_tape(setup, Time::ZERO, &mut tape);
            let mut host = started.map_err(|error| {
                let mut notes = std::mem::take(&mut notes);
                notes.extend(notes::entries(at, tape));
                (ending(spec.name.clone(), &error), notes)
            })?;
            let of_one_thread = host
                .take_tape()
                .into_iter()
                .filter(|it| it.worker == Some(0));
            notes.extend(notes::entries(at, of_one_thread));
            chain.hosts.push(host);
        }
        Ok((chain, notes))
    }

    /// Gives a plugin a new configuration, and notes what it does on one thread.
    ///
    /// # Errors
    ///
    /// If the plugin refuses it. The old one then stays.
    pub(super) fn update(&mut self, at: usize, configuration: Vec<u8>) -> Result<(), StartError> {
        let Some(host) = self.hosts.get_mut(at) else {
            return Ok(());
        };
        let updated = host.update(configuration);
        // It is tried on another thread first, which matters only if it is refused.
        let is_shown = |it: &Taped| updated.is_err() || it.worker == Some(0);
        let tape = host.take_tape().into_iter().filter(is_shown);
        self.notes.extend(notes::entries(at, tape));
        updated
    }

    /// Opens a stream through all plugins.
    pub(super) fn open(&mut self, info: &StreamInfo) {
        for at in 0..self.hosts.len() {
            let stream = self.on(at, |host| host.open(info.clone()));
            self.streams.extend(stream);
        }
    }

    /// Closes the stream.
    pub(super) fn close(&mut self) {
        let streams = std::mem::take(&mut self.streams);
        for (at, stream) in streams.into_iter().enumerate() {
            self.on(at, |host| host.close(stream));
        }
    }

    /// Ends the stream with a response that the connection manager has sent.
    pub(super) fn answered_elsewhere(&mut self, request: Option<&HeaderMap>, response: &HeaderMap) {
        for (host, stream) in self.hosts.iter_mut().zip(&self.streams) {
            host.answered_elsewhere(*stream, request.cloned(), Some(response.clone()));
        }
    }

    /// Changes what the proxy knows about the stream.
    pub(super) fn inform(&mut self, change: impl Fn(&mut StreamInfo)) {
        for (host, stream) in self.hosts.iter_mut().zip(&self.streams) {
            host.info_mut(*stream).into_iter().for_each(&change);
        }
    }

    /// Returns the details of the response: those of a plugin, or else the router's.
    pub(super) fn details(&self) -> String {
        let infos = self.hosts.iter().zip(&self.streams);
        let details = infos.filter_map(|(host, stream)| host.info(*stream).map(|it| &it.details));
        let mut details = details.filter(|it| !it.is_empty());
        let first: Option<&Rc<str>> = details.next();
        let by_plugin = details.find(|it| Some(*it) != first && ***it != *VIA_UPSTREAM);
        let found = match first {
            Some(first) if **first != *VIA_UPSTREAM => Some(first),
            first => by_plugin.or(first),
        };
        found.map(|it| it.to_string()).unwrap_or_default()
    }

    /// Passes in a part from the client.
    pub(super) fn request(&mut self, part: Part) {
        self.request_at(0, part);
    }

    /// Passes in a part from the router.
    pub(super) fn response(&mut self, part: Part) {
        self.response_at(self.last(), part);
    }

    /// Resets the response after its headers.
    pub(super) fn reset_response(&mut self) {
        self.reset_at(self.last());
    }

    /// Sends a local reply of the proxy.
    pub(super) fn local_reply(&mut self, reply: &LocalReply) {
        self.on_stream(self.last(), |host, stream| host.local_reply(stream, reply));
    }

    /// Passes in the response to a call.
    pub(super) fn answer_call(&mut self, at: usize, call: CallId, outcome: CallOutcome) {
        self.on(at, |host| host.answer_call(call, outcome));
    }

    /// Advances the clocks.
    pub(super) fn advance_to(&mut self, now: Time) {
        self.hosts.iter_mut().for_each(|host| host.advance_to(now));
    }

    /// Returns the time of the next timer.
    pub(super) fn next_timer(&self) -> Option<Time> {
        self.hosts.iter().filter_map(Host::next_timer).min()
    }

    /// Runs the timers that are due.
    pub(super) fn run_timers(&mut self) {
        for at in 0..self.hosts.len() {
            self.on(at, Host::run_timers);
        }
    }

    /// Returns what leaves the chain next. Moves parts between plugins until something does.
    pub(super) fn next(&mut self) -> Option<Outward> {
        loop {
            let mut hosts = self.hosts.iter_mut().enumerate();
            let (at, effect) = hosts.find_map(|(at, host)| Some((at, host.next_effect()?)))?;
            if let Some(outward) = self.apply(at, effect) {
                return Some(outward);
            }
        }
    }

    fn apply(&mut self, at: usize, effect: Effect) -> Option<Outward> {
        let is_last = at + 1 == self.hosts.len();
        match effect {
            Effect::ToUpstream { part, .. } if is_last => return Some(Outward::ToUpstream(part)),
            Effect::ToUpstream { part, .. } => self.request_at(at + 1, part),
            Effect::ToClient { part, .. } if at == 0 => return Some(Outward::ToClient(part)),
            Effect::ToClient { part, .. } => self.response_at(at - 1, part),
            Effect::ResetClient { .. } if at == 0 => return Some(Outward::ResetClient),
            Effect::ResetClient { .. } => self.reset_at(at - 1),
            Effect::CancelUpstream { .. } => return Some(Outward::CancelUpstream),
            Effect::Call(call) => return Some(Outward::Call(at, call)),
            Effect::SendMessage { call, data, .. } => {
                return Some(Outward::Message(at, call, data));
            }
            Effect::CancelCall { call } => return Some(Outward::CancelCall(at, call)),
        }
        None
    }

    fn request_at(&mut self, at: usize, part: Part) {
        self.on_stream(at, |host, stream| host.request(stream, part));
    }

    fn response_at(&mut self, at: usize, part: Part) {
        self.on_stream(at, |host, stream| host.response(stream, part));
    }

    fn reset_at(&mut self, at: usize) {
        self.on_stream(at, Host::upstream_reset_after_headers);
    }

    /// Returns the index of the plugin next to the upstream.
    fn last(&self) -> usize {
        self.hosts.len().saturating_sub(1)
    }

    /// Lets a host work on its stream, if there is one.
    fn on_stream(&mut self, at: usize, work: impl FnOnce(&mut Host, StreamId)) {
        if let Some(stream) = self.streams.get(at).copied() {
            self.on(at, |host| work(host, stream));
        }
    }

    /// Lets a host work, and notes what its plugin did.
    fn on<T>(&mut self, at: usize, work: impl FnOnce(&mut Host) -> T) -> Option<T> {
        let host = self.hosts.get_mut(at)?;
        let done = work(host);
        self.notes.extend(notes::entries(at, host.take_tape()));
        Some(done)
    }

    /// Takes what the plugins did since the last call.
    pub(super) fn take_notes(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.notes)
    }

    /// Returns why the test cannot go on, once a plugin made a hostcall that is not modelled, or
    /// one that crashes Envoy.
    pub(super) fn ending(&self) -> Option<Ending> {
        let mut hosts = self.hosts.iter().zip(&self.names);
        hosts.find_map(|(host, name)| {
            let error = StartError::Halt(host.halt()?.clone());
            Some(ending(name.clone(), &error))
        })
    }

    /// Returns the metrics of all plugins, by name. Metrics of the same name are added up.
    pub(super) fn metrics(&self) -> Vec<(String, i64)> {
        let mut found = std::collections::BTreeMap::<String, i64>::new();
        for (name, _, value) in self.hosts.iter().map(Host::metrics).flat_map(Metrics::iter) {
            let sum = found
                .entry(String::from_utf8_lossy(name).into_owned())
                .or_default();
            *sum = sum.wrapping_add(value.cast_signed());
        }
        found.into_iter().collect()
    }
}

/// Details of a response that came from the upstream.
pub(super) const VIA_UPSTREAM: &str = "via_upstream";

fn setup(trial: &Trial) -> Setup {
    let default = Setup::default();
    let mut clusters: Vec<_> = trial
        .mocks
        .iter()
        .map(|mock| mock.cluster.clone())
        .collect();
    clusters.push(UPSTREAM.into());
    Setup {
        workers: trial.workers,
        seed: trial.seed,
        wall_start_ns: trial.wall_start_ns.unwrap_or(default.wall_start_ns),
        log_level: trial.log_level,
        tape: true,
        clusters,
        properties: trial.properties.clone(),
        stubs: trial.stubs.clone(),
        per_connection_buffer_limit_bytes: trial.per_connection_buffer_limit_bytes,
        ..default
    }
}

fn ending(plugin: String, error: &StartError) -> Ending {
    match error {
        StartError::Load(why) => Ending::Load {
            plugin,
            why: why.to_string(),
        },
        StartError::Configuration(why) => Ending::Refused {
            plugin,
            why: why.clone(),
        },
        StartError::Halt(halt) => Ending::Halted {
            plugin,
            halt: halt.clone(),
        },
    }
}

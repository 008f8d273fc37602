//! What a virtual machine's store holds beside the guest: contexts, timers, tokens.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use wasmtime::{Memory, StoreLimits, TypedFunc};

use super::context::{Owner, Restriction, Root};
use super::metric_ids::{KIND_BITS, MetricIds};
use super::random::Random;
use super::status::Status;
use super::traps;
use crate::headers::HeaderMap;
use crate::proxy::ids::{CallId, StreamId, VmId};
use crate::proxy::process::Process;
use crate::proxy::process::call::CallKind;
use crate::proxy::process::log::LogLevel;
use crate::proxy::process::timers::Task;
use crate::proxy::stream::reply::LocalReply;

/// What a machine is started with, apart from its module.
#[derive(Clone, Debug, Default)]
pub(crate) struct VmSetup {
    pub id: VmId,
    pub vm_id: Rc<[u8]>,
    pub vm_configuration: Rc<[u8]>,
    pub plugin_name: Rc<str>,
    pub root_id: Rc<str>,
    pub seed: u64,
    pub fuel_per_callback: Option<u64>,
}

/// Everything that hostcalls work on.
pub(crate) struct VmState {
    pub setup: VmSetup,
    /// The whole process while a callback runs; an empty one otherwise.
    pub process: Box<Process>,
    pub memory: Option<Memory>,
    pub malloc: Option<TypedFunc<u32, u32>>,
    pub limits: StoreLimits,
    pub random: Random,
    pub restriction: Restriction,
    pub failed: bool,
    /// What the first trap left in the log.
    pub failure: Option<String>,
    next_context: u32,
    pub streams: BTreeMap<u32, (StreamId, u32)>,
    pub roots: BTreeMap<u32, Root>,
    current: Owner,
    effective: Option<Owner>,
    /// The callback's return value counts as "stop": it sent a local reply.
    pub stop: bool,
    pub deferred: VecDeque<Deferred>,
    pub metrics: MetricIds,
    pub last_tokens: [u32; 3],
    pub calls: BTreeMap<u32, CallId>,
    pub incoming: Incoming,
    /// Readable while the plugin is configured.
    pub configuration: Option<Rc<[u8]>>,
}

/// What a hostcall asked for and happens once the callback has returned: a hostcall
/// never calls into the guest again.
#[derive(Debug)]
pub(crate) enum Deferred {
    ContinueRequest(StreamId),
    ContinueResponse(StreamId),
    Close(StreamId),
    Reply(StreamId, LocalReply),
    /// A gRPC call that failed at once: Envoy calls back all the same.
    Refused {
        root: u32,
        token: u32,
    },
    Delete {
        root: u32,
    },
}

/// What arrived on a call, readable while its callback runs.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub http: Option<(HeaderMap, Bytes, HeaderMap)>,
    pub message: Option<Bytes>,
    pub initial_metadata: Option<HeaderMap>,
    pub trailing_metadata: Option<HeaderMap>,
}

impl VmState {
    /// The state of a machine that has not started.
    pub fn new(setup: VmSetup, limits: StoreLimits) -> VmState {
        let thread = setup.id.thread.map_or(0, |worker| worker as u64 + 1);
        VmState {
            random: Random::new(setup.seed, thread, u64::from(setup.id.life)),
            setup,
            process: Box::default(),
            memory: None,
            malloc: None,
            limits,
            restriction: Restriction::None,
            failed: false,
            failure: None,
            next_context: 1,
            streams: BTreeMap::new(),
            roots: BTreeMap::new(),
            current: Owner::Vm,
            effective: None,
            stop: false,
            deferred: VecDeque::new(),
            metrics: MetricIds::default(),
            last_tokens: [0, 1, 2],
            calls: BTreeMap::new(),
            incoming: Incoming::default(),
            configuration: None,
        }
    }

    /// Takes the process over for a callback of `owner`; gives what to restore after it.
    pub fn enter(&mut self, process: &mut Box<Process>, owner: Owner) -> (Owner, Option<Owner>) {
        std::mem::swap(&mut self.process, process);
        let before = (self.current, self.effective);
        self.current = owner;
        self.effective = None;
        before
    }

    /// Gives the process back.
    pub fn leave(&mut self, process: &mut Box<Process>, before: (Owner, Option<Owner>)) {
        (self.current, self.effective) = before;
        std::mem::swap(&mut self.process, process);
    }

    /// The context that hostcalls act on.
    pub fn subject(&self) -> Owner {
        self.effective.unwrap_or(self.current)
    }

    /// The root context of [`VmState::subject`].
    pub fn subject_root(&self) -> Option<u32> {
        match self.subject() {
            Owner::Vm => None,
            Owner::Root(root) | Owner::Stream { root, .. } => Some(root),
        }
    }

    /// The stream of [`VmState::subject`].
    pub fn subject_stream(&self) -> Option<StreamId> {
        match self.subject() {
            Owner::Stream { stream, .. } => Some(stream),
            Owner::Vm | Owner::Root(_) => None,
        }
    }

    /// Makes hostcalls act on another context for the rest of the callback.
    pub fn set_effective(&mut self, context: u32) -> Result<(), Status> {
        let owner = match self.streams.get(&context) {
            Some((stream, root)) => Owner::Stream {
                stream: *stream,
                context,
                root: *root,
            },
            None if self.roots.contains_key(&context) => Owner::Root(context),
            None => return Err(Status::BadArgument),
        };
        self.effective = Some(owner);
        Ok(())
    }

    /// The number of a new context.
    pub fn new_context(&mut self) -> u32 {
        let id = self.next_context;
        self.next_context = id.wrapping_add(1).max(1);
        id
    }

    /// Sets a root context's tick; 0 stops it. The time runs from now.
    pub fn set_tick(&mut self, root: u32, period_ms: u32) {
        if let Some(context) = self.roots.get_mut(&root) {
            context.tick_ms = period_ms;
        }
        self.arm(root);
    }

    /// Starts a root context's timer anew, if it ticks.
    fn arm(&mut self, root: u32) {
        let context = self.roots.get_mut(&root);
        arm(context, &mut self.process, self.setup.id, root);
    }

    /// The same outside a callback, where the process is with the host.
    pub fn arm_outside(&mut self, process: &mut Process, root: u32) {
        arm(self.roots.get_mut(&root), process, self.setup.id, root);
    }

    /// Stops a root context's timer.
    pub fn disarm(&mut self, process: &mut Process, root: u32) {
        let key = self.roots.get_mut(&root).and_then(|root| root.timer.take());
        key.into_iter().for_each(|key| process.timers.remove(key));
    }

    /// A trap inside a hostcall: the machine has failed, though the guest goes on.
    pub fn fail_inside(&mut self, function: &str, error: &wasmtime::Error) {
        let text = traps::text(function, error);
        self.process
            .log(self.setup.id.thread, LogLevel::Error, text.clone());
        self.failed = true;
        self.failure.get_or_insert(text);
    }

    /// The state of a machine that will never start.
    pub fn empty() -> VmState {
        VmState::new(VmSetup::default(), StoreLimits::default())
    }

    /// The next token of a kind of call: 4, 8, .. and 5, 9, .. and 6, 10, ..
    pub fn next_token(&mut self, kind: CallKind) -> u32 {
        let Some(last) = self.last_tokens.get_mut(kind as usize) else {
            return 0;
        };
        *last = last.wrapping_add(1 << KIND_BITS);
        *last
    }
}

fn arm(context: Option<&mut Root>, process: &mut Process, vm: VmId, root: u32) {
    let Some(context) = context else {
        return;
    };
    if let Some(key) = context.timer.take() {
        process.timers.remove(key);
    }
    if context.tick_ms > 0 {
        let period = Duration::from_millis(u64::from(context.tick_ms));
        context.timer = Some(
            process
                .timers
                .add(process.now + period, Task::Tick { vm, root }),
        );
    }
}

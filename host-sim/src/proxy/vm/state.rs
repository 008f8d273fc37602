//! Data of a VM's store: contexts, timers, tokens.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use wasmtime::{Memory, StoreLimits, TypedFunc};

use super::context::{Owner, Restriction, Root};
use super::metric_ids::{KIND_BITS, MetricIds};
use super::random::Random;
use super::traps;
use crate::headers::HeaderMap;
use crate::proxy::ids::{CallId, StreamId, VmId};
use crate::proxy::process::Process;
use crate::proxy::process::call::CallKind;
use crate::proxy::process::log::LogLevel;
use crate::proxy::process::status::Status;
use crate::proxy::process::timers::Task;
use crate::proxy::stream::half::Side;
use crate::proxy::stream::reply::LocalReply;

/// What a VM starts with, apart from its module.
#[derive(Clone, Debug, Default)]
pub(crate) struct VmSetup {
    pub id: VmId,
    pub vm_id: Rc<[u8]>,
    pub vm_configuration: Rc<[u8]>,
    pub plugin_name: Rc<str>,
    pub root_id: Rc<str>,
    pub seed: u64,
    pub fuel_per_callback: Option<u64>,
    /// Variables that the guest reads through WASI, as `NAME=value`.
    pub environment: Rc<[String]>,
}

/// The state that hostcalls act on.
pub(crate) struct VmState {
    pub setup: VmSetup,
    /// The process while a callback runs, and an empty placeholder otherwise.
    pub process: Box<Process>,
    pub memory: Option<Memory>,
    pub malloc: Option<TypedFunc<u32, u32>>,
    pub limits: StoreLimits,
    pub random: Random,
    pub restriction: Restriction,
    pub failed: bool,
    /// Log text of the first trap.
    pub failure: Option<String>,
    next_context: u32,
    pub streams: BTreeMap<u32, (StreamId, u32)>,
    pub roots: BTreeMap<u32, Root>,
    current: Owner,
    effective: Option<Owner>,
    /// The callback sent a local reply, so its return value counts as "stop".
    pub stop: bool,
    pub deferred: VecDeque<Deferred>,
    pub metrics: MetricIds,
    pub last_tokens: [u32; 3],
    pub calls: BTreeMap<u32, CallId>,
    pub incoming: Incoming,
    /// Readable while the plugin is configured.
    pub configuration: Option<Rc<[u8]>>,
}

/// An action that follows the callback in which a hostcall asked for it. A hostcall itself
/// never calls back into the guest.
#[derive(Debug)]
pub(crate) enum Deferred {
    ContinueRequest(StreamId),
    ContinueResponse(StreamId),
    Close(StreamId),
    Reply(StreamId, LocalReply),
    /// Check the size of a buffered body that the guest has written.
    Grown(StreamId, Side),
    /// Report a gRPC call that failed at once. Envoy calls back although the hostcall returned
    /// an error.
    Refused {
        root: u32,
        token: u32,
    },
    Delete {
        root: u32,
    },
}

/// What arrived on a call, readable during its callback.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub http: Option<(HeaderMap, Bytes, HeaderMap)>,
    pub message: Option<Bytes>,
    pub initial_metadata: Option<HeaderMap>,
    pub trailing_metadata: Option<HeaderMap>,
}

impl VmState {
    /// Creates the state of a VM that has not started.
    pub(crate) fn new(setup: VmSetup, limits: StoreLimits) -> VmState {
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

    /// Takes over the process for a callback of `owner`. Returns what [`VmState::leave`]
    /// restores.
    pub(crate) fn enter(
        &mut self,
        process: &mut Box<Process>,
        owner: Owner,
    ) -> (Owner, Option<Owner>) {
        std::mem::swap(&mut self.process, process);
        let before = (self.current, self.effective);
        self.current = owner;
        self.effective = None;
        before
    }

    /// Gives back the process.
    pub(crate) fn leave(&mut self, process: &mut Box<Process>, before: (Owner, Option<Owner>)) {
        (self.current, self.effective) = before;
        std::mem::swap(&mut self.process, process);
    }

    /// Returns the context that hostcalls act on.
    pub(crate) fn subject(&self) -> Owner {
        self.effective.unwrap_or(self.current)
    }

    /// Returns the root context of [`VmState::subject`].
    pub(crate) fn subject_root(&self) -> Option<u32> {
        match self.subject() {
            Owner::Vm => None,
            Owner::Root(root) | Owner::Stream { root, .. } => Some(root),
        }
    }

    /// Returns the stream of [`VmState::subject`].
    pub(crate) fn subject_stream(&self) -> Option<StreamId> {
        match self.subject() {
            Owner::Stream { stream, .. } => Some(stream),
            Owner::Vm | Owner::Root(_) => None,
        }
    }

    /// Makes hostcalls act on another context until the callback returns.
    pub(crate) fn set_effective(&mut self, context: u32) -> Result<(), Status> {
        let owner = match self.streams.get(&context) {
            Some((stream, root)) => Owner::Stream {
                stream: *stream,
                context,
                root: *root,
            },
            None if self.roots.contains_key(&context) => Owner::Root(context),
            // The context of the VM itself.
            None if context == 0 => Owner::Vm,
            None => return Err(Status::BadArgument),
        };
        self.effective = Some(owner);
        Ok(())
    }

    /// Returns the id of a new context.
    pub(crate) fn new_context(&mut self) -> u32 {
        let id = self.next_context;
        self.next_context = id.wrapping_add(1).max(1);
        id
    }

    /// Sets a root context's tick period and restarts its timer. A period of 0 stops it.
    pub(crate) fn set_tick(&mut self, root: u32, period_ms: u32) {
        if let Some(context) = self.roots.get_mut(&root) {
            context.tick_ms = period_ms;
        }
        self.arm(root);
    }

    /// Restarts a root context's timer, if it ticks.
    fn arm(&mut self, root: u32) {
        let context = self.roots.get_mut(&root);
        arm(context, &mut self.process, self.setup.id, root);
    }

    /// Like [`VmState::arm`], outside a callback, when the host has the process.
    pub(crate) fn arm_outside(&mut self, process: &mut Process, root: u32) {
        arm(self.roots.get_mut(&root), process, self.setup.id, root);
    }

    /// Stops a root context's timer.
    pub(crate) fn disarm(&mut self, process: &mut Process, root: u32) {
        let key = self.roots.get_mut(&root).and_then(|root| root.timer.take());
        key.into_iter().for_each(|key| process.timers.remove(key));
    }

    /// Records a trap in the allocator, which a hostcall called. The VM has failed although the
    /// guest continues.
    pub(crate) fn fail_inside(&mut self, function: &str, error: &wasmtime::Error) {
        let text = traps::text(function, error);
        self.process
            .log(self.setup.id.thread, LogLevel::Error, text.clone());
        self.failed = true;
        self.failure.get_or_insert(text);
    }

    /// Creates the state of a VM that never starts.
    pub(crate) fn empty() -> VmState {
        VmState::new(VmSetup::default(), StoreLimits::default())
    }

    /// Returns the next token of a kind of call: 4, 8, .. or 5, 9, .. or 6, 10, ..
    pub(crate) fn next_token(&mut self, kind: CallKind) -> u32 {
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

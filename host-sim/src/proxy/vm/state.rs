//! What a virtual machine's store holds beside the guest: contexts, timers, tokens.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use wasmtime::{Memory, StoreLimits, TypedFunc};

use super::{Random, VmSetup, traps};
use crate::headers::HeaderMap;
use crate::proxy::process::timers::{Key, Task};
use crate::proxy::process::{VmId, World};
use crate::proxy::stream::reply::LocalReply;
use crate::proxy::{CallId, CallKind, LogLevel, MetricKind, StreamId};

/// Everything that hostcalls work on.
pub(crate) struct VmState {
    pub setup: VmSetup,
    /// The whole process while a callback runs; an empty one otherwise.
    pub world: Box<World>,
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

/// Whose callback runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The machine itself, before there is a root context.
    #[default]
    Vm,
    Root(u32),
    Stream {
        stream: StreamId,
        context: u32,
        root: u32,
    },
}

/// Which functions of the host the guest may call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Restriction {
    #[default]
    None,
    /// While it starts: logging and WASI.
    Starting,
    /// While it allocates for the host: logging and clocks.
    Allocating,
}

/// A root context: one configuration of the plugin in this machine.
#[derive(Debug, Default)]
pub(crate) struct Root {
    /// Streams that began under it and live.
    pub streams: u32,
    pub phase: RootPhase,
    pub tick_ms: u32,
    timer: Option<Key>,
    /// How the last call of this context failed; stays until the next failure.
    pub status: u32,
    /// Readable while the failed call's callback runs.
    pub status_message: Rc<str>,
}

/// The end of a root context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RootPhase {
    #[default]
    Serving,
    /// A newer configuration serves; streams of this one go on.
    Draining,
    /// `proxy_on_done` asked to wait for `proxy_done`.
    Finishing,
    /// `proxy_done` was called.
    Finished,
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

/// The machine's numbers for metrics; two definitions of one name give two.
#[derive(Debug, Default)]
pub(crate) struct MetricIds {
    places: [Vec<usize>; 3],
}

/// Statuses of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Status {
    NotFound = 1,
    BadArgument = 2,
    SerializationFailure = 3,
    ParseFailure = 4,
    InvalidMemoryAccess = 6,
    Empty = 7,
    CasMismatch = 8,
    InternalFailure = 10,
    BrokenConnection = 11,
    Unimplemented = 12,
}

/// Ids of metrics and tokens of calls carry their kind in the two lowest bits.
const KIND_BITS: u32 = 2;
const KIND_MASK: u32 = 3;

impl MetricIds {
    /// A new id for the metric at `place`.
    pub fn add(&mut self, kind: MetricKind, place: usize) -> u32 {
        let Some(places) = self.places.get_mut(kind as usize) else {
            return 0;
        };
        places.push(place);
        let count = u32::try_from(places.len()).unwrap_or(u32::MAX);
        (count << KIND_BITS) | kind as u32
    }

    /// What an id names; the inner absence means an id that was not given out.
    pub fn place(&self, id: u32) -> Option<(MetricKind, Option<usize>)> {
        let kinds = [
            MetricKind::Counter,
            MetricKind::Gauge,
            MetricKind::Histogram,
        ];
        let kind = *kinds.get((id & KIND_MASK) as usize)?;
        let index = (id >> KIND_BITS).checked_sub(1);
        let places = self.places.get(kind as usize)?;
        Some((
            kind,
            index.and_then(|index| places.get(index as usize).copied()),
        ))
    }
}

impl VmState {
    /// The state of a machine that has not started.
    pub fn new(setup: VmSetup, limits: StoreLimits) -> VmState {
        let thread = setup.id.thread.map_or(0, |worker| worker as u64 + 1);
        VmState {
            random: Random::new(setup.seed, thread, u64::from(setup.id.life)),
            setup,
            world: Box::default(),
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

    /// Takes the world over for a callback of `owner`; gives what to restore after it.
    pub fn enter(&mut self, world: &mut Box<World>, owner: Owner) -> (Owner, Option<Owner>) {
        std::mem::swap(&mut self.world, world);
        let before = (self.current, self.effective);
        self.current = owner;
        self.effective = None;
        before
    }

    /// Gives the world back.
    pub fn leave(&mut self, world: &mut Box<World>, before: (Owner, Option<Owner>)) {
        (self.current, self.effective) = before;
        std::mem::swap(&mut self.world, world);
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
        arm(context, &mut self.world, self.setup.id, root);
    }

    /// The same outside a callback, where the world is with the host.
    pub fn arm_outside(&mut self, world: &mut World, root: u32) {
        arm(self.roots.get_mut(&root), world, self.setup.id, root);
    }

    /// Stops a root context's timer.
    pub fn disarm(&mut self, world: &mut World, root: u32) {
        let key = self.roots.get_mut(&root).and_then(|root| root.timer.take());
        key.into_iter().for_each(|key| world.timers.remove(key));
    }

    /// A trap inside a hostcall: the machine has failed, though the guest goes on.
    pub fn fail_inside(&mut self, function: &str, error: &wasmtime::Error) {
        let text = traps::text(function, error);
        self.world
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

fn arm(context: Option<&mut Root>, world: &mut World, vm: VmId, root: u32) {
    let Some(context) = context else {
        return;
    };
    if let Some(key) = context.timer.take() {
        world.timers.remove(key);
    }
    if context.tick_ms > 0 {
        let period = Duration::from_millis(u64::from(context.tick_ms));
        context.timer = Some(
            world
                .timers
                .add(world.now + period, Task::Tick { vm, root }),
        );
    }
}

//! What all virtual machines of a process share, and what the outside sees of them.
//!
//! The world is lent to a virtual machine's store for the time of one callback and
//! taken back after it: see [`Vm`](crate::vm::Vm). So hostcalls reach it without a
//! lock or a reference count.

use std::collections::{BTreeMap, VecDeque};

use super::counts::Counts;
use super::effect::{CallId, CallKind, Effect};
use super::log::{LogLevel, LogLine};
use super::metrics::Metrics;
use super::queues::Queues;
use super::setup::{ClusterState, Fault};
use super::shared_data::SharedData;
use super::timers::Timers;
use crate::sim::clock::Time;
use crate::stream::Streams;

/// All but the virtual machines.
#[derive(Debug, Default)]
pub struct World {
    pub now: Time,
    pub wall_start_ns: u64,
    pub monotonic_start_ns: u64,
    pub log_level: LogLevel,
    pub streams: Streams,
    pub effects: VecDeque<Effect>,
    pub timers: Timers,
    pub clusters: BTreeMap<Box<[u8]>, ClusterState>,
    pub calls: BTreeMap<CallId, OpenCall>,
    pub last_call: u64,
    pub shared_data: SharedData,
    pub queues: Queues,
    pub metrics: Metrics,
    pub counts: Counts,
    pub log: Vec<LogLine>,
    pub fault: Option<Fault>,
}

/// A thread of the process: a worker, or the main thread.
pub type Thread = Option<usize>;

/// One life of a virtual machine; a reload begins another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmId {
    pub thread: Thread,
    pub life: u32,
}

/// A call that was not answered yet.
#[derive(Clone, Copy, Debug)]
pub struct OpenCall {
    pub vm: VmId,
    /// The root context that it belongs to.
    pub root: u32,
    pub token: u32,
    pub kind: CallKind,
    /// gRPC stream: the plugin sends no more.
    pub closed_here: bool,
    /// gRPC stream: the other side sends no more.
    pub closed_there: bool,
}

impl World {
    /// The wall clock, in nanoseconds since 1970.
    pub fn wall_ns(&self) -> u64 {
        self.wall_start_ns.saturating_add(self.now.as_ns())
    }

    /// The monotonic clock, in nanoseconds.
    pub fn monotonic_ns(&self) -> u64 {
        self.monotonic_start_ns.saturating_add(self.now.as_ns())
    }

    /// Adds a line to the log, if its level is shown.
    pub fn log(&mut self, worker: Thread, level: LogLevel, text: impl Into<String>) {
        if level >= self.log_level {
            let line = LogLine {
                at: self.now,
                worker,
                level,
                text: text.into(),
            };
            self.log.push(line);
        }
    }

    /// Keeps what was asked for first and is not modelled.
    pub fn not_modelled(&mut self, hostcall: impl Into<String>) {
        self.fault.get_or_insert_with(|| Fault {
            hostcall: hostcall.into(),
        });
    }
}

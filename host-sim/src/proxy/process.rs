//! State of the proxy process: what its VMs share, and what its embedder sees.
//!
//! The process is lent to a VM's store for one callback at a time, see
//! [`Vm::call`](crate::proxy::vm::Vm::call). So hostcalls reach it without a lock or a
//! reference count.

pub(crate) mod call;
pub(crate) mod counts;
pub(crate) mod effect;
pub(crate) mod halt;
pub(crate) mod histogram;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod queues;
pub(crate) mod shared_data;
pub(crate) mod status;
pub(crate) mod tape;
pub(crate) mod timers;

use std::collections::{BTreeMap, VecDeque};

use crate::proxy::ids::{CallId, Thread};
use crate::proxy::stream::Streams;
use crate::sim::clock::Time;
use call::{ClusterState, OpenCall};
use counts::Counts;
use effect::Effect;
use halt::{Crash, Halt, Unmodelled};
use log::{LogLevel, LogLine};
use metrics::Metrics;
use queues::Queues;
use shared_data::SharedData;
use status::Status;
use tape::{TapeEvent, Taped};
use timers::Timers;

/// Everything in the process except its VMs.
#[derive(Debug, Default)]
pub(crate) struct Process {
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
    pub halt: Option<Halt>,
    pub tape: Option<Vec<Taped>>,
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub stubs: BTreeMap<String, Result<(), Status>>,
    /// How much of a message a pause may buffer. 0 is no limit.
    pub buffer_limit_bytes: usize,
}

impl Process {
    /// Returns the wall clock, in nanoseconds since 1970.
    pub(crate) fn wall_ns(&self) -> u64 {
        self.wall_start_ns.saturating_add(self.now.as_ns())
    }

    /// Returns the monotonic clock, in nanoseconds.
    pub(crate) fn monotonic_ns(&self) -> u64 {
        self.monotonic_start_ns.saturating_add(self.now.as_ns())
    }

    /// Adds a line to the log, unless its level is filtered out.
    pub(crate) fn log(&mut self, worker: Thread, level: LogLevel, text: impl Into<String>) {
        if level >= self.log_level {
            let line = LogLine {
                at: self.now,
                worker,
                level,
                text: text.into(),
            };
            if self.tape.is_some() {
                let text = line.text.clone();
                self.tape(worker, TapeEvent::Logged { level, text });
            }
            self.log.push(line);
        }
    }

    /// Adds an event of a guest to the tape, if there is one.
    pub(crate) fn tape(&mut self, worker: Thread, event: TapeEvent) {
        let at = self.now;
        if let Some(tape) = &mut self.tape {
            tape.push(Taped { at, worker, event });
        }
    }

    /// Returns the result that a stub gives to a hostcall that is not modelled. Without a stub
    /// the hostcall is recorded, and ends the run. Only the first one is kept.
    pub(crate) fn not_modelled(
        &mut self,
        name: &str,
        hostcall: impl Into<String>,
    ) -> Result<(), Status> {
        if let Some(result) = self.stubs.get(name) {
            return *result;
        }
        self.halt.get_or_insert_with(|| {
            Halt::Unmodelled(Unmodelled {
                hostcall: hostcall.into(),
                name: name.to_owned(),
            })
        });
        Err(Status::Unimplemented)
    }

    /// Records that Envoy would have crashed, which ends the run. Only the first crash is kept.
    pub(crate) fn crash(&mut self, crash: Crash) {
        self.halt.get_or_insert(Halt::Crash(crash));
    }
}

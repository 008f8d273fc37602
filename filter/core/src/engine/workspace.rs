//! What all policies of an engine share: the records, the table of keys, random words,
//! queues for the next tick, buffers, and the events that wait to be taken.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::circuit::breaker::{StateName, Transition};
use crate::event::{Counter, Event};
use crate::fallback::FallbackResponse;
use crate::keys::KeyTable;
use crate::policy::{Host, Limits, On};
use crate::random::Random;
use crate::shared::key::KEY_BYTES_MAX;
use crate::shared::records::Records;
use crate::stale::StaleStore;
use crate::time::{Instant, Span};

use super::capabilities::Capabilities;
use super::waiting::Waiting;
use super::watched::Watched;

/// Longest time between two ticks that merge. A long interval lets much wait, which is
/// better shared in small portions.
const TICK_MAX: Span = Span::from_ms(100);

/// Outcomes that have waited this long for a tick, twice the longest interval, are merged
/// without one.
const TICKS_LATE: Span = Span::from_secs(10);

/// What all policies of an engine share.
#[derive(Debug)]
pub(super) struct Workspace<R> {
    pub(super) records: R,
    pub(super) table: KeyTable,
    pub(super) random: Random,
    /// Stored responses, if a policy stores any.
    pub(super) stale: Option<StaleStore>,
    pub(super) host: Host,
    pub(super) capabilities: Rc<dyn Capabilities>,
    pub(super) limits: Limits,
    pub(super) interval: Span,
    pub(super) loaded_at: Instant,
    pub(super) hash_seed: u64,
    /// Entries whose outcomes wait to be merged, the first to come at the front.
    pub(super) pending: VecDeque<PendingMerge>,
    /// When the next tick is to merge them. Set while something waits, and until a tick finds
    /// that nothing did: under steady traffic these ticks are evenly spaced.
    pub(super) merge_at: Option<Instant>,
    /// Requests that wait for their upstreams.
    pub(super) waiting: Waiting,
    /// Slots that are to be noted in the census again.
    pub(super) unnoted: VecDeque<Unnoted>,
    pub(super) watched: Watched,
    /// Policies with requests that wait to be counted.
    pub(super) uncounted: Vec<usize>,
    /// Number of circuits that may have series of their own.
    pub(super) circuits_shown: u32,
    /// The states in those series that this worker has set last, by their place in the list.
    pub(super) states_set: Vec<Option<StateName>>,
    /// The last fixed response, and the case that it is for.
    pub(super) last_fixed: Option<(FixedCase, Rc<FallbackResponse>)>,
    /// The key of the current request.
    pub(super) key: Vec<u8>,
    /// Scratch space for the bytes of records.
    pub(super) buffer: Vec<u8>,
    /// Scratch space for the transitions of one step.
    pub(super) transitions: Vec<Transition>,
    pub(super) events: VecDeque<Event>,
}

/// All that a fixed response depends on, unless it repeats something of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FixedCase {
    /// Index of the policy.
    pub(super) policy: usize,
    /// Place of the entry in the policy's `fallback`.
    pub(super) place: usize,
    pub(super) on: On,
    pub(super) state: StateName,
    pub(super) wait_secs: u64,
    pub(super) grpc: bool,
}

/// An entry whose outcomes wait to be merged.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingMerge {
    /// Index of the policy.
    pub(super) policy: usize,
    /// Position in the table of keys.
    pub(super) at: u32,
    pub(super) since: Instant,
}

/// A slot whose note in the census was lost to other workers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unnoted {
    /// Index of the policy.
    pub(super) policy: usize,
    pub(super) capacity: u32,
    pub(super) recovery: Span,
    pub(super) place: u32,
}

/// What a workspace is made of besides empty queues and buffers.
pub(super) struct Parts<R> {
    pub(super) records: R,
    pub(super) table: KeyTable,
    pub(super) random: Random,
    pub(super) stale: Option<StaleStore>,
    pub(super) host: Host,
    pub(super) capabilities: Rc<dyn Capabilities>,
    pub(super) limits: Limits,
    pub(super) interval: Span,
    pub(super) circuits_shown: u32,
}

impl<R: Records> Workspace<R> {
    pub(super) fn new(parts: Parts<R>, hash_seed: u64, now: Instant) -> Workspace<R> {
        Workspace {
            records: parts.records,
            table: parts.table,
            random: parts.random,
            stale: parts.stale,
            host: parts.host,
            capabilities: parts.capabilities,
            limits: parts.limits,
            interval: parts.interval,
            loaded_at: now,
            hash_seed,
            pending: VecDeque::new(),
            merge_at: None,
            waiting: Waiting::default(),
            unnoted: VecDeque::new(),
            watched: Watched::default(),
            uncounted: Vec::new(),
            circuits_shown: parts.circuits_shown,
            states_set: Vec::new(),
            last_fixed: None,
            key: Vec::with_capacity(KEY_BYTES_MAX),
            buffer: Vec::new(),
            transitions: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// Adopts the hash seed of the directory, which all workers share.
    pub(super) fn hash_by(&mut self, seed: u64) {
        self.hash_seed = seed;
        if let Some(stale) = &mut self.stale {
            stale.set_seed(seed);
        }
    }

    /// Time between two ticks that merge.
    pub(super) fn tick_period(&self) -> Span {
        self.interval.min(TICK_MAX)
    }

    /// When the next tick is wanted, or `None` if nothing waits for one.
    pub(super) fn next_tick(&self, now: Instant) -> Option<Instant> {
        let unnoted = || (!self.unnoted.is_empty()).then(|| now.after(self.tick_period()));
        let merge = self.merge_at.or_else(unnoted);
        merge.into_iter().chain(self.watched.next_look()).min()
    }

    /// Whether something waits to be shared, or to be counted.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty() || !self.unnoted.is_empty() || !self.waiting.is_empty()
    }

    /// Whether outcomes have waited for so long that no ticks seem to come.
    #[inline]
    pub(super) fn misses_ticks(&self, now: Instant) -> bool {
        let first = self.pending.front().map(|it| it.since).or(self.merge_at);
        first.is_some_and(|since| now >= since.after(TICKS_LATE))
    }

    /// Queues an entry for the next tick. It stays in its table until then.
    pub(super) fn queue(&mut self, policy: usize, at: u32, now: Instant) {
        let entry = self.table.entry(at);
        if !entry.is_none_or(|(_, _, replica)| replica.set_queued(true)) {
            self.table.enter(at);
            let since = now;
            self.pending.push_back(PendingMerge { policy, at, since });
            let period = self.tick_period();
            self.merge_at.get_or_insert(now.after(period));
        }
    }

    /// Adds an event for records that could not be read.
    pub(super) fn discarded(&mut self, records: u32) {
        if records > 0 {
            self.events.push_back(Event::Discarded(records));
        }
    }

    pub(super) fn count(&mut self, policy: usize, counter: Counter) {
        self.count_many(policy, counter, 1);
    }

    pub(super) fn count_many(&mut self, policy: usize, counter: Counter, more: u32) {
        if more > 0 {
            self.events.push_back(Event::Count {
                policy,
                counter,
                more,
            });
        }
    }
}

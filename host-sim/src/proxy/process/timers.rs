//! Scheduled work of the threads: ticks, and notifications of queues.
//!
//! Work is ordered by time. Work due at the same time runs in the order in which it was added,
//! so that runs are reproducible.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::proxy::ids::{Thread, VmId};
use crate::sim::clock::Time;

/// Scheduled work.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeMap<Key, Task>,
    last: u64,
}

/// Identifies an entry.
pub(crate) type Key = (Time, u64);

/// Work of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// `proxy_on_tick` of a root context.
    Tick { vm: VmId, root: u32 },
    /// `proxy_on_queue_ready`, on the last thread that registered the queue.
    QueueReady {
        thread: Thread,
        root: u32,
        queue: u32,
    },
}

/// Time that a message between threads takes. It must not be 0: a plugin that sends itself a
/// message for each message it gets would stop the clock.
const POST_DELAY: Duration = Duration::from_micros(1);

impl Timers {
    /// Schedules work.
    pub(crate) fn add(&mut self, at: Time, task: Task) -> Key {
        self.last += 1;
        let key = (at, self.last);
        self.due.insert(key, task);
        key
    }

    /// Schedules work for a thread's event loop, as soon as possible.
    pub(crate) fn post(&mut self, now: Time, task: Task) {
        self.add(now + POST_DELAY, task);
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, key: Key) {
        self.due.remove(&key);
    }

    /// Returns the time of the next work.
    pub(crate) fn next(&self) -> Option<Time> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next work that is due by `now`.
    pub(crate) fn take_due(&mut self, now: Time) -> Option<Task> {
        let entry = self.due.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

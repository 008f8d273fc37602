//! What threads have to do later: ticks, and messages that wait in queues.
//!
//! Ordered by time and, within one moment, by when it was asked for, so that runs
//! repeat.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::proxy::ids::{Thread, VmId};
use crate::sim::clock::Time;

/// The work that is due at some time.
#[derive(Debug, Default)]
pub struct Timers {
    due: BTreeMap<Key, Task>,
    last: u64,
}

/// Names one entry.
pub type Key = (Time, u64);

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// `proxy_on_tick` of a root context.
    Tick { vm: VmId, root: u32 },
    /// `proxy_on_queue_ready` on the thread that registered the queue last.
    QueueReady {
        thread: Thread,
        root: u32,
        queue: u32,
    },
}

/// How long a message between threads is on its way. Not nothing: a plugin that sends
/// itself a message for each one it gets must not stop the clock.
const POST_DELAY: Duration = Duration::from_micros(1);

impl Timers {
    /// Adds work for a moment.
    pub fn add(&mut self, at: Time, task: Task) -> Key {
        self.last += 1;
        let key = (at, self.last);
        self.due.insert(key, task);
        key
    }

    /// Hands work to a thread's event loop.
    pub fn post(&mut self, now: Time, task: Task) {
        self.add(now + POST_DELAY, task);
    }

    /// Forgets an entry.
    pub fn remove(&mut self, key: Key) {
        self.due.remove(&key);
    }

    /// When the next work is due.
    pub fn next(&self) -> Option<Time> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next work that is due by `now`.
    pub fn take_due(&mut self, now: Time) -> Option<Task> {
        let entry = self.due.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

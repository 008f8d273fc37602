//! State shared by the handle of an upstream and its connections.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use http::Request;
use tokio::sync::watch;

use super::{Reply, Seen};

/// The script of an upstream and its recorded requests.
pub(super) struct Stage {
    memory: Mutex<Memory>,
    /// Number of requests that may pass; `None` while the gate is open.
    pub(super) gate: watch::Sender<Option<usize>>,
    pub(super) in_flight: watch::Sender<usize>,
}

#[derive(Default)]
struct Memory {
    reply: Reply,
    reply_on: HashMap<String, Reply>,
    seen: Vec<Seen>,
    forgotten: usize,
}

/// Counts a request as in flight while it lives. If the client closes the connection, it is dropped
/// together with the request's handler.
pub(super) struct Underway<'a>(&'a Stage);

impl Default for Stage {
    fn default() -> Self {
        Self {
            memory: Mutex::default(),
            gate: watch::Sender::new(None),
            in_flight: watch::Sender::new(0),
        }
    }
}

impl Stage {
    pub(super) fn set_reply(&self, reply: Reply) {
        self.memory().reply = reply;
    }

    pub(super) fn set_reply_on(&self, path: &str, reply: Reply) {
        self.memory().reply_on.insert(path.to_owned(), reply);
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.memory().seen.clone()
    }

    pub(super) fn count(&self, holds: impl Fn(&Seen) -> bool) -> usize {
        self.memory().seen.iter().filter(|seen| holds(seen)).count()
    }

    pub(super) fn forget(&self) {
        let mut memory = self.memory();
        memory.forgotten += memory.seen.len();
        memory.seen.clear();
    }

    /// Records a request. Returns its number, by which its body is added later.
    pub(super) fn arrived<B>(&self, request: &Request<B>) -> (usize, Underway<'_>) {
        let mut memory = self.memory();
        memory.seen.push(Seen {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body: Bytes::new(),
        });
        self.in_flight.send_modify(|count| *count += 1);
        (memory.forgotten + memory.seen.len() - 1, Underway(self))
    }

    pub(super) fn body_arrived(&self, number: usize, body: Bytes) {
        let mut memory = self.memory();
        let at = number.checked_sub(memory.forgotten);
        if let Some(seen) = at.and_then(|at| memory.seen.get_mut(at)) {
            seen.body = body;
        }
    }

    /// Waits until the gate admits a request, and takes that admission.
    pub(super) async fn pass_gate(&self) {
        let mut passes = self.gate.subscribe();
        loop {
            // Checking and taking must be one step, or one admission would let two requests pass.
            let mut passed = false;
            self.gate.send_if_modified(|passes| {
                passed = *passes != Some(0);
                passes
                    .as_mut()
                    .filter(|count| **count > 0)
                    .map(|count| *count -= 1)
                    .is_some()
            });
            if passed || passes.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) fn reply_for(&self, path: &str) -> Reply {
        let memory = self.memory();
        memory.reply_on.get(path).unwrap_or(&memory.reply).clone()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory
            .lock()
            .expect("no handler panics while it holds the memory")
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.in_flight.send_modify(|count| *count -= 1);
    }
}

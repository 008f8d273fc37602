//! The events of a run: the last ones in full, all of them as a digest.

use std::collections::VecDeque;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::record::Outcome;
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    pub at: Time,
    pub what: What,
}

/// The kind of an event. Requests are numbered from 1. Clusters and groups of clients are given
/// by their index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// A client sent a request.
    Sent {
        request: u64,
        source: u16,
        kind: u16,
    },
    /// The proxy began the `nth` attempt.
    Attempt {
        request: u64,
        cluster: u16,
        nth: u16,
    },
    /// The upstream responded.
    Response {
        request: u64,
        cluster: u16,
        status: u16,
    },
    /// The attempt failed without a response.
    Failed {
        request: u64,
        cluster: u16,
        why: Failure,
    },
    /// The proxy will retry after a wait.
    Backoff { request: u64, wait: Span },
    /// The client got its response, or left.
    Ended {
        request: u64,
        outcome: Outcome,
        status: u16,
    },
    /// A client will retry after a wait.
    Resend { request: u64, wait: Span },
    /// A plugin called a cluster.
    Callout { cluster: u16 },
    /// The plugin's call ended.
    CalloutEnded { cluster: u16, status: u16 },
    /// A circuit changed its state. The transitions of the record are numbered from 1.
    Transition(u32),
    /// A fault of the scenario began or ended.
    Fault { number: u16, begins: bool },
    /// The plugin got a new configuration.
    Update { accepted: bool },
    /// The plugin logged a line with this hash.
    Log(u64),
}

/// Why an attempt got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Refused,
    Reset,
    PerTryTimeout,
    RouteTimeout,
    NoHealthyHost,
    Overflow,
    ConnectTimeout,
    Unresolved,
    /// `max_stream_duration` of the cluster.
    MaxDuration,
    /// The proxy's limit for the duration or the idle time of the stream.
    StreamTimeout,
    /// The codec does not write the request.
    Unwritable,
}

/// The last events, and the digest of all events.
pub struct Trace {
    last: VecDeque<Entry>,
    digest: Xxh3,
    pending: Vec<u8>,
}

/// Number of events kept: enough for a few hundred requests.
const ENTRIES_MAX: usize = 4_096;

/// Number of bytes hashed at once. The hash is slow on short input.
const BLOCK_BYTES: usize = 4_096;

impl Default for Trace {
    fn default() -> Trace {
        Trace::new()
    }
}

impl Trace {
    /// Creates an empty trace.
    pub fn new() -> Trace {
        Trace {
            last: VecDeque::with_capacity(ENTRIES_MAX),
            digest: Xxh3::new(),
            pending: Vec::with_capacity(BLOCK_BYTES + 64),
        }
    }

    /// Adds an event.
    pub fn push(&mut self, entry: Entry) {
        if self.last.len() == ENTRIES_MAX {
            self.last.pop_front();
        }
        self.last.push_back(entry);
        let [kind, a, b] = entry.what.words();
        for word in [entry.at.as_ns(), kind, a, b] {
            self.pending.extend_from_slice(&word.to_le_bytes());
        }
        if self.pending.len() >= BLOCK_BYTES {
            self.digest.update(&self.pending);
            self.pending.clear();
        }
    }

    /// Returns the last events, oldest first.
    pub fn last(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.last.iter()
    }

    /// Returns the digest. Two runs have the same digest if and only if all their events are the
    /// same, except for a chance of one in 2^128.
    pub fn digest(&self) -> u128 {
        let mut digest = self.digest.clone();
        digest.update(&self.pending);
        digest.digest128()
    }
}

impl What {
    /// Creates the event of a log line.
    pub fn log(text: &str) -> What {
        What::Log(xxh3_64(text.as_bytes()))
    }

    /// Returns its content as numbers.
    fn words(self) -> [u64; 3] {
        let both = |high: u16, low: u16| u64::from(high) << 16 | u64::from(low);
        match self {
            What::Sent {
                request,
                source,
                kind,
            } => [1, request, both(source, kind)],
            What::Attempt {
                request,
                cluster,
                nth,
            } => [2, request, both(cluster, nth)],
            What::Response {
                request,
                cluster,
                status,
            } => [3, request, both(cluster, status)],
            What::Failed {
                request,
                cluster,
                why,
            } => [4, request, both(cluster, why as u16)],
            What::Backoff { request, wait } => [5, request, wait.as_ns()],
            What::Ended {
                request,
                outcome,
                status,
            } => [6, request, both(outcome as u16, status)],
            What::Resend { request, wait } => [7, request, wait.as_ns()],
            What::Callout { cluster } => [8, cluster.into(), 0],
            What::CalloutEnded { cluster, status } => [9, cluster.into(), status.into()],
            What::Transition(number) => [10, number.into(), 0],
            What::Fault { number, begins } => [11, number.into(), begins.into()],
            What::Update { accepted } => [12, accepted.into(), 0],
            What::Log(hash) => [13, hash, 0],
        }
    }

    /// Returns the request that it concerns.
    pub fn request(self) -> Option<u64> {
        match self {
            What::Sent { request, .. }
            | What::Attempt { request, .. }
            | What::Response { request, .. }
            | What::Failed { request, .. }
            | What::Backoff { request, .. }
            | What::Ended { request, .. }
            | What::Resend { request, .. } => Some(request),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(entries: &[(u64, What)]) -> u128 {
        let mut trace = Trace::new();
        for (ms, what) in entries {
            trace.push(Entry {
                at: Time::from_ms(*ms),
                what: *what,
            });
        }
        trace.digest()
    }

    #[test]
    fn any_different_event_changes_the_digest() {
        let run = vec![(1, What::Callout { cluster: 0 }); 10_000];
        let mut other = run.clone();
        assert_eq!(digest(&run), digest(&other));
        other[17].1 = What::Callout { cluster: 1 };
        assert_ne!(digest(&run), digest(&other));
        other = run.clone();
        other[17].0 = 2;
        assert_ne!(digest(&run), digest(&other));
        other = run[1..].to_vec();
        assert_ne!(digest(&run), digest(&other));
    }

    #[test]
    fn the_trace_keeps_only_the_last_events() {
        let mut trace = Trace::new();
        for ms in 0..10_000 {
            let what = What::Log(ms);
            trace.push(Entry {
                at: Time::from_ms(ms),
                what,
            });
        }
        assert_eq!(trace.last().count(), ENTRIES_MAX);
        assert_eq!(
            trace.last().next_back().map(|it| it.what),
            Some(What::Log(9_999))
        );
    }
}

//! Every event of a run: the last ones as they were, all of them as a digest.

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

/// What happened. Requests are numbered from 1; clusters, groups of clients and circuits by
/// their place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// A client sent a request.
    Sent {
        request: u64,
        source: u16,
        kind: u16,
    },
    /// The proxy tried, for the `nth` time.
    Attempt {
        request: u64,
        cluster: u16,
        nth: u16,
    },
    /// The upstream answered.
    Response {
        request: u64,
        cluster: u16,
        status: u16,
    },
    /// The attempt failed without an answer.
    Failed {
        request: u64,
        cluster: u16,
        why: Failure,
    },
    /// The proxy will try again.
    Backoff { request: u64, wait: Span },
    /// The client got its answer, or went.
    Ended {
        request: u64,
        outcome: Outcome,
        status: u16,
    },
    /// A client will send it again.
    Resend { request: u64, wait: Span },
    /// A plugin called a cluster.
    Callout { cluster: u16 },
    /// The plugin's call ended.
    CalloutEnded { cluster: u16, status: u16 },
    /// A circuit changed its state: its number in the record.
    Transition(u32),
    /// A fault of the scenario began or ended.
    Fault { number: u16, begins: bool },
    /// The plugin got a new configuration.
    Update { accepted: bool },
    /// The plugin logged a line: the line's hash.
    Log(u64),
}

/// Why an attempt got no answer.
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
    /// The proxy's limit for the whole stream, or for its silence.
    StreamTimeout,
}

/// The last events, and the digest of all.
pub struct Trace {
    last: VecDeque<Entry>,
    digest: Xxh3,
    pending: Vec<u8>,
}

/// Enough to see a few hundred requests.
const KEPT: usize = 4_096;

/// Bytes that are hashed at once; the hash is slow on small pieces.
const PIECE: usize = 4_096;

impl Default for Trace {
    fn default() -> Trace {
        Trace::new()
    }
}

impl Trace {
    /// A trace without events.
    pub fn new() -> Trace {
        Trace {
            last: VecDeque::with_capacity(KEPT),
            digest: Xxh3::new(),
            pending: Vec::with_capacity(PIECE + 64),
        }
    }

    /// Adds an event.
    pub fn push(&mut self, entry: Entry) {
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(entry);
        let [kind, a, b] = entry.what.words();
        for word in [entry.at.as_ns(), kind, a, b] {
            self.pending.extend_from_slice(&word.to_le_bytes());
        }
        if self.pending.len() >= PIECE {
            self.digest.update(&self.pending);
            self.pending.clear();
        }
    }

    /// The last events, the oldest first.
    pub fn last(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.last.iter()
    }

    /// A number that two runs share if, and only if, all their events were the same (but for
    /// one chance in 2^128).
    pub fn digest(&self) -> u128 {
        let mut digest = self.digest.clone();
        digest.update(&self.pending);
        digest.digest128()
    }
}

impl What {
    /// A line of the log, by its hash.
    pub fn log(text: &str) -> What {
        What::Log(xxh3_64(text.as_bytes()))
    }

    /// All that it says, as numbers.
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

    /// The request that it is about.
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
    fn the_digest_tells_runs_apart_by_any_event() {
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
    fn only_the_last_events_are_kept() {
        let mut trace = Trace::new();
        for ms in 0..10_000 {
            let what = What::Log(ms);
            trace.push(Entry {
                at: Time::from_ms(ms),
                what,
            });
        }
        assert_eq!(trace.last().count(), KEPT);
        assert_eq!(
            trace.last().next_back().map(|it| it.what),
            Some(What::Log(9_999))
        );
    }
}

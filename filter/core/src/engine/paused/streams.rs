//! The paused streams of a root context, under whichever configurations.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::time::Instant;

use super::stream::Paused;

/// A stream that is paused, or was, and what the adapter keeps for it.
#[derive(Debug)]
pub struct Stream<H> {
    /// Its state.
    pub paused: Paused,
    /// The adapter's part.
    pub host: H,
}

/// Paused streams by their ids, by the ends of their waits, and by their calls.
///
/// An event takes its stream out, and the adapter inserts it again. Only a stream that is here
/// has a wait or a call: one that is gone cannot be found by what was meant for it.
#[derive(Debug)]
pub struct PausedStreams<H> {
    streams: ById<Box<Stream<H>>>,
    /// The ends of waits with the streams' ids, latest first.
    waits: Vec<(Instant, u32)>,
    /// Streams' ids by the host's numbers of calls.
    calls: ById<u32>,
}

impl<H> PausedStreams<H> {
    /// When the first wait ends, or `None` if nothing waits.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waits.last().map(|(due, _)| *due)
    }

    /// Whether a stream is here, and still paused.
    pub fn is_paused(&self, id: u32) -> bool {
        let stream = self.streams.get(id);
        stream.is_some_and(|stream| stream.paused.is_paused())
    }

    /// Inserts a stream under its id.
    pub fn insert(&mut self, id: u32, stream: Box<Stream<H>>) {
        if let Some(due) = stream.paused.poll_timeout() {
            let at = self.waits.partition_point(|(other, _)| *other > due);
            self.waits.insert(at, (due, id));
        }
        if let Some(call) = stream.paused.call() {
            self.calls.insert(call, id);
        }
        self.streams.insert(id, stream);
    }

    /// Takes a stream out, with its wait and its call.
    pub fn take(&mut self, id: u32) -> Option<Box<Stream<H>>> {
        let stream = self.streams.remove(id)?;
        if let Some(due) = stream.paused.poll_timeout() {
            let from = self.waits.partition_point(|(other, _)| *other > due);
            let rest = self.waits.get(from..).unwrap_or_default();
            let found = rest.iter().position(|(_, other)| *other == id);
            if let Some(behind) = found {
                self.waits.remove(from.saturating_add(behind));
            }
        }
        if let Some(call) = stream.paused.call() {
            self.calls.remove(call);
        }
        Some(stream)
    }

    /// Takes the stream out whose wait ended first, if one ended by `now`.
    pub fn take_due(&mut self, now: Instant) -> Option<(u32, Box<Stream<H>>)> {
        let (_, id) = *self.waits.last().filter(|(due, _)| *due <= now)?;
        let taken = self.take(id);
        if taken.is_none() {
            // Not with this module's own calls; but a wait without a stream must not stay due.
            self.waits.pop();
        }
        Some((id, taken?))
    }

    /// Takes the stream out that waits for this call.
    pub fn take_called(&mut self, call: u32) -> Option<(u32, Box<Stream<H>>)> {
        let id = *self.calls.get(call)?;
        Some((id, self.take(id)?))
    }
}

impl<H> Default for PausedStreams<H> {
    fn default() -> PausedStreams<H> {
        PausedStreams {
            streams: ById::default(),
            waits: Vec::new(),
            calls: ById::default(),
        }
    }
}

/// Values by numbers that mostly rise: a sorted list.
#[derive(Debug)]
struct ById<T>(Vec<(u32, T)>);

impl<T> ById<T> {
    fn get(&self, id: u32) -> Option<&T> {
        let at = self.0.binary_search_by_key(&id, |(other, _)| *other).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    fn insert(&mut self, id: u32, value: T) {
        let at = self.0.partition_point(|(other, _)| *other < id);
        self.0.insert(at, (id, value));
    }

    fn remove(&mut self, id: u32) -> Option<T> {
        let at = self.0.binary_search_by_key(&id, |(other, _)| *other).ok()?;
        Some(self.0.remove(at).1)
    }
}

impl<T> Default for ById<T> {
    fn default() -> ById<T> {
        ById(Vec::new())
    }
}

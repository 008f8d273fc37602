//! State of one HTTP stream in the filter.
//!
//! A stream has two halves that work alike, request and response: see [`half`]. The order of
//! callbacks, what a pause buffers and what a local reply replaces follow Envoy's
//! `FilterManager` and the wasm filter's `Context`, for a chain of one filter and the router.

pub mod body;
pub mod half;
pub mod info;
pub mod reply;

use std::rc::Rc;

use crate::headers::HeaderMap;
use crate::proxy::ids::{StreamId, VmId};
use half::{Half, MapKind, Side};
use info::StreamInfo;
use reply::PreparedReply;

/// A stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub info: StreamInfo,
    pub filter: Filter,
    pub request: Half,
    pub response: Half,
    /// The half whose callback is running. It decides which way a local reply takes.
    pub calling: Option<Side>,
    pub prepared: Option<PreparedReply>,
    /// Response headers were sent to the client.
    pub headers_sent: bool,
    /// The client's side has ended: the response is complete, or was reset.
    pub finished: bool,
    /// The router got the request.
    pub reached_router: bool,
    /// The router has sent its last part.
    pub router_done: bool,
    /// A request header was written since the last route lookup.
    pub rerouted: bool,
    pub is_grpc: bool,
    pub is_head: bool,
    /// The guest has a context of the stream.
    pub context_created: bool,
    /// The stream got a 503 because its VM had failed.
    pub failed: bool,
    /// The action of the plugin that ended the client's side.
    pub ended_by: Option<EndedBy>,
    /// `proxy_on_log` is running.
    pub logging: bool,
    /// `proxy_on_log` or `proxy_on_done` is running.
    pub ending: bool,
    pub start_wall_ns: u64,
}

/// An action of a plugin that ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndedBy {
    Reply,
    Close,
}

/// The filter of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Filter {
    /// There is no filter.
    #[default]
    Absent,
    /// A plugin whose VM has failed and was not replaced.
    Dead,
    /// A context in a VM.
    Live { vm: VmId, context: u32, root: u32 },
}

impl Stream {
    /// Returns one half.
    pub(crate) fn half(&self, side: Side) -> &Half {
        match side {
            Side::Request => &self.request,
            Side::Response => &self.response,
        }
    }

    /// The mutable counterpart of [`Stream::half`].
    pub(crate) fn half_mut(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    /// Returns a map that the guest may read now. While it logs, it sees what is left of the
    /// stream, except the request trailers.
    pub(crate) fn readable_map(&self, side: Side, kind: MapKind) -> Option<&HeaderMap> {
        let half = self.half(side);
        if !self.logging {
            return half.shown_map(kind);
        }
        match (side, kind) {
            (Side::Request, MapKind::Trailers) => None,
            (_, MapKind::Headers) => half.headers.as_ref(),
            (Side::Response, MapKind::Trailers) => half.trailers.as_ref(),
        }
    }

    /// Sets the response code details.
    pub(crate) fn set_details(&mut self, details: Rc<str>) {
        self.info.details = details;
    }
}

/// The open streams, in slots that are reused.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Number of streams that used the slot before, so that an old id never names a new stream.
    uses: u32,
    stream: Option<Box<Stream>>,
}

impl Streams {
    /// Adds a stream and returns its id.
    pub(crate) fn add(&mut self, stream: Stream) -> StreamId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let Some(entry) = self.slots.get_mut(slot as usize) else {
            return StreamId::new(slot, u32::MAX);
        };
        entry.stream = Some(Box::new(stream));
        StreamId::new(slot, entry.uses)
    }

    /// Removes a stream.
    pub(crate) fn remove(&mut self, id: StreamId) -> Option<Box<Stream>> {
        let entry = self
            .slots
            .get_mut(id.slot())
            .filter(|entry| entry.uses == id.uses())?;
        let stream = entry.stream.take()?;
        entry.uses = entry.uses.wrapping_add(1);
        self.free.extend(u32::try_from(id.slot()));
        Some(stream)
    }

    /// Returns a stream, or `None` if it is closed.
    pub(crate) fn get(&self, id: StreamId) -> Option<&Stream> {
        let entry = self
            .slots
            .get(id.slot())
            .filter(|entry| entry.uses == id.uses())?;
        entry.stream.as_deref()
    }

    /// The mutable counterpart of [`Streams::get`].
    pub(crate) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        let entry = self
            .slots
            .get_mut(id.slot())
            .filter(|entry| entry.uses == id.uses())?;
        entry.stream.as_deref_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_never_names_another_stream() {
        let mut streams = Streams::default();
        let first = streams.add(Stream::default());
        assert!(streams.remove(first).is_some());
        let second = streams.add(Stream::default());
        assert_eq!(first.slot(), second.slot());
        assert!(streams.get(first).is_none());
        assert!(streams.remove(first).is_none());
        assert!(streams.get_mut(second).is_some());
    }
}

//! One HTTP stream on its way through the filter.
//!
//! A stream has two halves, request and response, which work alike: see [`half`]. The
//! order of calls, what a pause holds back and what a local reply replaces follow
//! Envoy's `FilterManager` and the wasm filter's `Context`, here for a chain of this
//! one filter with the router behind it: see [`flow`].

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

/// Everything about one stream.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub info: StreamInfo,
    pub filter: Filter,
    pub request: Half,
    pub response: Half,
    /// Whose callback runs now: a local reply has other ways to go then.
    pub calling: Option<Side>,
    pub prepared: Option<PreparedReply>,
    /// Response headers went to the client.
    pub headers_sent: bool,
    /// Nothing more goes to the client: the answer is complete, or broken off.
    pub finished: bool,
    /// The router saw the request.
    pub reached_router: bool,
    /// The router has given its last part.
    pub router_done: bool,
    /// A request header was written since the router looked the route up.
    pub rerouted: bool,
    pub is_grpc: bool,
    pub is_head: bool,
    /// The guest knows of the stream.
    pub context_created: bool,
    /// The stream was answered since its machine had failed.
    pub failed: bool,
    /// `proxy_on_log` runs.
    pub logging: bool,
    pub start_wall_ns: u64,
}

/// What stands between the client and the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Nothing.
    #[default]
    Absent,
    /// A plugin without a machine, since its last one has failed.
    Dead,
    /// A context in a machine.
    Live { vm: VmId, context: u32, root: u32 },
}

impl Stream {
    /// One of the halves.
    pub fn half(&self, side: Side) -> &Half {
        match side {
            Side::Request => &self.request,
            Side::Response => &self.response,
        }
    }

    /// The same, to be written.
    pub fn half_mut(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    /// A map that the guest may read now. When it logs, it sees what is left of the
    /// stream, but for the request's trailers.
    pub fn readable_map(&self, side: Side, kind: MapKind) -> Option<&HeaderMap> {
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

    /// Keeps how the answer came about.
    pub fn set_details(&mut self, details: Rc<str>) {
        self.info.details = details;
    }
}

/// The streams that live, each in a slot that is used again.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Slot {
    /// How many streams were here before: an old id does not name a new stream.
    uses: u32,
    stream: Option<Box<Stream>>,
}

impl Streams {
    /// Keeps a stream; gives its id.
    pub fn add(&mut self, stream: Stream) -> StreamId {
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

    /// Forgets a stream.
    pub fn remove(&mut self, id: StreamId) -> Option<Box<Stream>> {
        let entry = self
            .slots
            .get_mut(id.slot())
            .filter(|entry| entry.uses == id.uses())?;
        let stream = entry.stream.take()?;
        entry.uses = entry.uses.wrapping_add(1);
        self.free.extend(u32::try_from(id.slot()));
        Some(stream)
    }

    /// A stream that lives.
    pub fn get(&self, id: StreamId) -> Option<&Stream> {
        let entry = self
            .slots
            .get(id.slot())
            .filter(|entry| entry.uses == id.uses())?;
        entry.stream.as_deref()
    }

    /// The same, to be written.
    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
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

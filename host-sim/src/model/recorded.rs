//! Requests of a recording, and how each of them ended.
//!
//! A recording takes the place of two things of a scenario: it says when requests arrive, and what
//! the upstream does with each of them. Both come from one record, so they travel together: the
//! request carries its [`Fate`] to the upstream. Whatever else reaches a cluster, such as a call of
//! the plugin, ends like the cluster's latest recorded request.

use crate::headers::HeaderMap;
use crate::model::response::{Response, UpstreamEvent};
use crate::record::Recorded;
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// Supplies recorded requests.
pub trait Recording {
    /// Returns the next request. Requests are sorted by their time.
    fn next_request(&mut self) -> Option<RecordedRequest>;
}

/// One recorded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    pub at: Time,
    pub headers: HeaderMap,
    /// Index of the cluster.
    pub cluster: usize,
    pub grpc: bool,
    /// Whether the method is HEAD, so that the response has no body.
    pub head: bool,
    pub fate: Fate,
}

/// What the upstream does with a recorded request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Known(Ending),
    /// The recorded proxy did not send it to the upstream.
    Unknown,
}

/// The end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Time from the request to the end.
    pub took: Span,
    pub event: UpstreamEvent,
}

impl Fate {
    /// Returns the ending, if it is known.
    pub fn ending(self) -> Option<Ending> {
        match self {
            Fate::Known(ending) => Some(ending),
            Fate::Unknown => None,
        }
    }

    /// Returns what the recording says about the upstream. A caller that left says nothing.
    pub fn verdict(self) -> Recorded {
        match self {
            Fate::Unknown => Recorded::Unknown,
            Fate::Known(ending) if ending.event == UpstreamEvent::CLIENT_LEFT => Recorded::Unknown,
            Fate::Known(ending) if ending.is_good() => Recorded::Good,
            Fate::Known(_) => Recorded::Bad,
        }
    }
}

impl Ending {
    /// Returns whether it is a usable response.
    pub fn is_good(self) -> bool {
        match self.event {
            UpstreamEvent::Response(Response {
                status,
                grpc,
                complete,
                ..
            }) => complete && status < 500 && grpc.is_none_or(|(status, _)| status == 0),
            _ => false,
        }
    }
}

//! `fallback`: what replaces a response that the upstream will not, or could not, give.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::media::Media;
use super::template::Template;
use crate::time::Span;

/// One entry of `fallback`: a replacement, and when to use it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fallback {
    /// When to use it.
    pub on: OnSet,
    /// Where the replacement comes from.
    pub from: FallbackType,
}

/// Where a replacement comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum FallbackType {
    /// The policy: a fixed response.
    Respond(Respond),
    /// The stale cache: an earlier response of the upstream.
    Stale(StaleConfig),
    /// Another cluster.
    Cluster(ClusterConfig),
    /// Another route of the host.
    Route(RouteConfig),
}

/// A fixed response.
#[derive(Clone, Debug, PartialEq)]
pub struct Respond {
    /// The status, 200 to 599.
    pub status: u16,
    /// Headers, their names in lower case. They include `content-type` if there is a single
    /// body.
    pub headers: Vec<(Box<str>, Template)>,
    /// The body; empty if there are variants.
    pub body: Template,
    /// Bodies from which the request's `accept` selects one. The first is the default.
    pub variants: Vec<(Media, Template)>,
    /// Status of a gRPC response.
    pub grpc_status: u8,
    /// Message of a gRPC response.
    pub grpc_message: Template,
}

impl Respond {
    /// Whether the response depends on what the request says.
    pub fn echoes_request(&self) -> bool {
        let headers = self.headers.iter().map(|(_, value)| value);
        let echoes = headers
            .chain([&self.body, &self.grpc_message])
            .any(Template::echoes_request);
        echoes || !self.variants.is_empty()
    }
}

/// An earlier response of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleConfig {
    /// How old it may be.
    pub max_age: Span,
    /// Whether responses that do not say so may be given to any client.
    pub shared: bool,
    /// Names of query parameters that do not select a response. A name that ends with `*` stands
    /// for all names with that beginning.
    pub ignore_query: Vec<Box<str>>,
}

/// Another cluster's response to the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The host's cluster.
    pub cluster: Box<str>,
    /// A path that replaces the request's. The request's query is kept unless this has one.
    pub path: Option<Box<str>>,
    /// An authority that replaces the request's.
    pub authority: Option<Box<str>>,
    /// Timeout of the call.
    pub timeout: Span,
}

/// A header by which the host's route table selects another route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// The name in lower case.
    pub name: Box<str>,
    /// The value.
    pub value: Box<str>,
}

/// The event that a replacement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum On {
    /// The breaker or the mode rejected the request.
    Open,
    /// The upstream's response is a failure.
    Failure,
    /// The host timed out.
    Timeout,
}

impl On {
    /// Returns its name in policies, labels and metrics.
    pub fn name(self) -> &'static str {
        match self {
            On::Open => "open",
            On::Failure => "failure",
            On::Timeout => "timeout",
        }
    }
}

/// A set of [`On`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnSet(u8);

impl OnSet {
    /// Returns the set with `on` added.
    pub fn with(self, on: On) -> OnSet {
        OnSet(self.0 | 1 << on as u8)
    }

    /// Whether the set contains `on`. A timeout is a failure too.
    pub fn contains(self, on: On) -> bool {
        let failure_too = on == On::Timeout && self.0 & (1 << On::Failure as u8) != 0;
        self.0 & (1 << on as u8) != 0 || failure_too
    }

    /// Whether anything in the set depends on the upstream's response.
    pub fn wants_response(self) -> bool {
        self.0 & !(1 << On::Open as u8) != 0
    }
}

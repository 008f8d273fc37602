//! What `fallback` becomes: the entries, and what a policy asks for because of them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{JudgeAt, Media, Mode, Policy};
use crate::policy::template::Template;
use crate::time::Span;

/// One entry of `fallback`: an answer, and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Fallback {
    /// What it is given for.
    pub on: OnSet,
    /// Where it comes from.
    pub from: FallbackType,
}

/// Where an answer comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum FallbackType {
    /// It is fixed.
    Respond(Respond),
    /// It is the last good one.
    Stale(StaleConfig),
    /// Another cluster gives it.
    Cluster(ClusterConfig),
    /// The host's router sends the request elsewhere.
    Route(RouteConfig),
}

/// A fixed answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Respond {
    /// The status, 200 to 599.
    pub status: u16,
    /// Names in lower case; `content-type` is among them where there is one body.
    pub headers: Vec<(Box<str>, Template)>,
    /// The body; empty where there are variants.
    pub body: Template,
    /// Bodies of which the request's `accept` chooses one, the first where it has no say.
    pub variants: Vec<(Media, Template)>,
    /// The status of a gRPC answer.
    pub grpc_status: u8,
    /// The message of a gRPC answer.
    pub grpc_message: Template,
}

/// The last good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleConfig {
    /// How old it may be.
    pub max_age: Span,
    /// Whether answers that do not say so are for everybody too.
    pub shared: bool,
}

/// The answer of another cluster to the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The host's cluster.
    pub cluster: Box<str>,
    /// A path in place of the request's, whose query stays unless this has one.
    pub path: Option<Box<str>>,
    /// How long it may take.
    pub timeout: Span,
}

/// A header by which the host's route table sends a request elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// The name in lower case.
    pub name: Box<str>,
    /// The value.
    pub value: Box<str>,
}

/// Why an answer is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum On {
    /// The breaker or the mode rejected the request.
    Open,
    /// The upstream's answer is a failure.
    Failure,
    /// The host gave up waiting.
    Timeout,
}

impl On {
    /// The word for it in policies, labels and metrics.
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
    /// The set with `on` added.
    pub fn with(self, on: On) -> OnSet {
        OnSet(self.0 | 1 << on as u8)
    }

    /// Whether `on` is in the set. A timeout is a failure too.
    pub fn contains(self, on: On) -> bool {
        let failure_too = on == On::Timeout && self.0 & (1 << On::Failure as u8) != 0;
        self.0 & (1 << on as u8) != 0 || failure_too
    }

    /// Whether anything in the set needs a look at the upstream's answer.
    pub fn wants_response(self) -> bool {
        self.0 & !(1 << On::Open as u8) != 0
    }
}

impl Policy {
    /// Whether the response's headers alone decide the outcome.
    pub fn judges_at_headers(&self) -> bool {
        self.outcome.judge_at == JudgeAt::Headers
    }

    /// Whether some answer depends on what the request says: its path, its id, or what it
    /// accepts.
    pub fn echoes_request(&self) -> bool {
        self.responds().any(|(_, it)| it.echoes_request())
    }

    /// Whether some answer to a failure does: then that must be remembered, since hosts let
    /// go of a request's headers before the response's come.
    pub fn echoes_request_later(&self) -> bool {
        self.responds()
            .any(|(on, it)| on.wants_response() && it.echoes_request())
    }

    fn responds(&self) -> impl Iterator<Item = (OnSet, &Respond)> {
        self.fallback.iter().filter_map(|entry| match &entry.from {
            FallbackType::Respond(respond) => Some((entry.on, respond)),
            _ => None,
        })
    }

    /// The entries that give kept answers.
    pub fn stale(&self) -> impl Iterator<Item = &StaleConfig> {
        self.fallback.iter().filter_map(|entry| match &entry.from {
            FallbackType::Stale(stale) => Some(stale),
            _ => None,
        })
    }

    /// Whether good answers are kept. Not in shadow, where nothing would ever be given.
    pub fn keeps_answers(&self) -> bool {
        self.mode != Mode::Shadow && self.stale().next().is_some()
    }

    /// Whether a stored response may be given in place of one that has failed.
    pub fn gives_stale_later(&self) -> bool {
        self.fallback
            .iter()
            .any(|entry| entry.on.wants_response() && matches!(entry.from, FallbackType::Stale(_)))
    }

    /// Whether another cluster may be asked in place of an answer that has failed: then a
    /// copy of the request must be kept.
    pub fn asks_cluster_later(&self) -> bool {
        self.fallback.iter().any(|entry| {
            entry.on.wants_response() && matches!(entry.from, FallbackType::Cluster(_))
        })
    }

    /// The headers by which requests are sent elsewhere.
    pub fn routes(&self) -> impl Iterator<Item = &RouteConfig> {
        self.fallback.iter().filter_map(|entry| match &entry.from {
            FallbackType::Route(route) => Some(route),
            _ => None,
        })
    }

    /// Whether some fallback needs a look at the upstream's answer.
    pub fn wants_response(&self) -> bool {
        self.fallback.iter().any(|entry| entry.on.wants_response())
    }
}

impl Respond {
    fn echoes_request(&self) -> bool {
        let headers = self.headers.iter().map(|(_, value)| value);
        let echoes = headers
            .chain([&self.body, &self.grpc_message])
            .any(Template::echoes_request);
        echoes || !self.variants.is_empty()
    }
}

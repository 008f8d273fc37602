//! What happened in a plugin test: the result of playing it.

use bytes::Bytes;

use crate::framing::Fault;
use crate::headers::HeaderMap;
use crate::proxy::{Callback, Halt, LogLevel, TapedHostcall, Unmodelled};
use crate::sim::clock::Time;

/// Everything that happened.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// Names of the plugins, from the client to the upstream.
    pub plugins: Vec<String>,
    /// What the plugins did while they started, on one thread.
    pub start: Vec<Entry>,
    pub steps: Vec<StepTranscript>,
    /// Why it ended early. `None` if it did not.
    pub ending: Option<Ending>,
}

/// Why a plugin test ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A module does not load.
    Load { plugin: String, why: String },
    /// A plugin refuses its configuration.
    Refused { plugin: String, why: String },
    /// A plugin made a hostcall that is not modelled, or one that crashes Envoy.
    Halted { plugin: String, halt: Halt },
    /// A step takes more than this number of events.
    Endless { events: u32 },
}

/// What happened in one step.
#[derive(Clone, Debug, Default)]
pub struct StepTranscript {
    pub name: Option<String>,
    /// The request as the client sent it. `None` if only time passed.
    pub request: Option<Message>,
    /// Why a plugin refuses its new configuration. `None` if it does not.
    pub refused: Option<String>,
    /// Everything in order.
    pub entries: Vec<Entry>,
    pub upstream: Vec<Message>,
    pub callouts: Vec<Callout>,
    pub client: Client,
    /// Counters, gauges and sums of histograms, by name, at the end of the step.
    pub metrics: Vec<(String, i64)>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub at: Time,
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The host called a function of a plugin.
    Callback {
        /// Index of the plugin.
        plugin: usize,
        worker: Option<usize>,
        callback: Callback,
        arguments: Vec<(&'static str, u32)>,
        /// `None` if it trapped.
        result: Option<String>,
        inside: Vec<Inside>,
    },
    /// A line of the log outside of a callback.
    Line {
        plugin: usize,
        level: LogLevel,
        text: String,
    },
    /// A plugin got a new configuration. `refused` says why it goes on with the old one.
    Configured {
        plugin: usize,
        refused: Option<String>,
    },
    /// The upstream has the request.
    Upstream,
    /// The upstream answers.
    UpstreamAnswer(String),
    /// A plugin calls a cluster: the index in [`StepTranscript::callouts`].
    Callout(usize),
    /// A cluster answers a call.
    CalloutAnswer { cluster: String, answer: String },
    /// The client has the whole response, or its stream was reset.
    ClientDone(String),
}

/// Something that happened in a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inside {
    Hostcall(TapedHostcall),
    Line { level: LogLevel, text: String },
}

/// A message: a request or a response, as its reader got it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
    /// How it differs from what its headers announce.
    pub fault: Option<Fault>,
}

/// A call of a plugin to a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callout {
    pub plugin: usize,
    pub cluster: String,
    pub request: Message,
    /// What came back, in a few words. `None` if nothing did.
    pub answer: Option<String>,
    /// The answer, if it came whole.
    pub response: Option<Message>,
}

/// What the client got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The response. `None` if none began.
    pub response: Option<Message>,
    pub reset: bool,
    /// Response code details, `%RESPONSE_CODE_DETAILS%`.
    pub details: String,
}

impl Entry {
    /// Iterates over the lines of the log in it.
    pub fn lines(&self) -> impl Iterator<Item = (LogLevel, &str)> {
        let (own, inside) = match &self.what {
            What::Line { level, text, .. } => (Some((*level, text.as_str())), &[][..]),
            What::Callback { inside, .. } => (None, inside.as_slice()),
            _ => (None, &[][..]),
        };
        let lines = inside.iter().filter_map(|it| match it {
            Inside::Line { level, text } => Some((*level, text.as_str())),
            Inside::Hostcall(_) => None,
        });
        own.into_iter().chain(lines)
    }
}

impl Message {
    /// Returns the status of a response.
    pub fn status(&self) -> Option<u16> {
        u16::try_from(self.headers.status()?).ok()
    }

    /// Adds a part of the body.
    pub fn append(&mut self, data: &[u8]) {
        self.body = [&self.body[..], data].concat().into();
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Whether the client has no whole response: the stream was reset, or what came cannot be read.
    pub fn is_broken(&self) -> bool {
        let fault = self.response.as_ref().and_then(|it| it.fault.as_ref());
        self.reset || fault.is_some_and(Fault::breaks)
    }
}

impl StepTranscript {
    /// Iterates over the lines of the log.
    pub fn lines(&self) -> impl Iterator<Item = (LogLevel, &str)> {
        self.entries.iter().flat_map(Entry::lines)
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Load { plugin, why } => write!(f, "{plugin} does not load: {why}"),
            Ending::Refused { plugin, why } => {
                write!(f, "{plugin} refuses its configuration: {why}")
            }
            Ending::Halted {
                plugin,
                halt: Halt::Unmodelled(Unmodelled { hostcall, name }),
            } => write!(
                f,
                "{plugin} called {hostcall}, which is not modelled; --stub {name}=STATUS \
                 gives it a status and goes on"
            ),
            Ending::Halted {
                plugin,
                halt: Halt::Crash(crash),
            } => write!(f, "{plugin} {crash}"),
            Ending::Endless { events } => {
                write!(f, "a request or its wait takes more than {events} events")
            }
        }
    }
}

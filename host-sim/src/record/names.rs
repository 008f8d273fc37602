//! Events in words.

use std::fmt::Write as _;

use crate::record::{Entry, Failure, What};

/// The names that events refer to by place.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub clusters: Vec<String>,
    pub sources: Vec<String>,
    /// Method and path of the kinds of requests of each source.
    pub kinds: Vec<Vec<String>>,
    pub faults: Vec<String>,
}

impl Failure {
    fn name(self) -> &'static str {
        match self {
            Failure::Refused => "connection refused",
            Failure::Reset => "connection reset",
            Failure::PerTryTimeout => "per-try timeout",
            Failure::RouteTimeout => "route timeout",
            Failure::NoHealthyHost => "no healthy host",
            Failure::Overflow => "over the proxy's limits",
            Failure::ConnectTimeout => "connection timeout",
            Failure::Unresolved => "name not resolved",
            Failure::MaxDuration => "longest duration of an attempt",
            Failure::StreamTimeout => "stream timeout",
        }
    }
}

impl Names {
    /// An event in words; none for what says nothing to a reader.
    pub fn show(&self, entry: &Entry) -> Option<String> {
        let cluster = |place: u16| self.clusters.get(usize::from(place)).map_or("?", |it| it);
        let mut line = format!("{:>10}  ", entry.at.to_string());
        if let Some(request) = entry.what.request() {
            let _ = write!(line, "#{request} ");
        }
        let told = match entry.what {
            What::Sent { source, kind, .. } => {
                let (source, kind) = (usize::from(source), usize::from(kind));
                let name = self.sources.get(source).map_or("?", |it| it);
                let kind = self.kinds.get(source).and_then(|kinds| kinds.get(kind));
                write!(line, "{} by {name}", kind.map_or("?", |it| it))
            }
            What::Attempt {
                cluster: place,
                nth,
                ..
            } => {
                write!(line, "attempt {nth} at {}", cluster(place))
            }
            What::Response {
                cluster: place,
                status,
                ..
            } => {
                write!(line, "{} answers {status}", cluster(place))
            }
            What::Failed {
                cluster: place,
                why,
                ..
            } => {
                write!(line, "{}: {}", cluster(place), why.name())
            }
            What::Backoff { wait, .. } => write!(line, "tried again after {}", wait.rounded()),
            What::Ended {
                outcome, status: 0, ..
            } => write!(line, "ends: {}", outcome.name()),
            What::Ended {
                outcome, status, ..
            } => write!(line, "ends: {} {status}", outcome.name()),
            What::Resend { wait, .. } => {
                write!(line, "sent again by the client after {}", wait.rounded())
            }
            What::Callout { cluster: place } => write!(line, "the plugin calls {}", cluster(place)),
            What::CalloutEnded {
                cluster: place,
                status,
            } => {
                write!(line, "{} answers the plugin {status}", cluster(place))
            }
            What::Fault { number, begins } => {
                let name = self.faults.get(usize::from(number)).map_or("?", |it| it);
                write!(line, "{name} {}", if begins { "begins" } else { "ends" })
            }
            What::Update { accepted: true } => write!(line, "a new policy is in force"),
            What::Update { accepted: false } => write!(line, "a new policy was refused"),
            // Transitions are shown by who knows the circuits; other lines of the log are
            // gone.
            What::Transition(_) | What::Log(_) => return None,
        };
        told.ok().map(|()| line)
    }
}

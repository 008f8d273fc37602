//! Events as text.

use std::fmt::Write as _;

use crate::record::{Entry, Failure, What};

/// The names that events refer to by index.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub clusters: Vec<String>,
    pub sources: Vec<String>,
    /// Method and path of each kind of request, by source.
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
            Failure::MaxDuration => "max stream duration",
            Failure::StreamTimeout => "stream timeout",
            Failure::Unwritable => "request not valid",
        }
    }
}

impl Names {
    /// Returns an event as text. `None` if it means nothing to a reader.
    pub fn show(&self, entry: &Entry) -> Option<String> {
        let cluster = |index: u16| self.clusters.get(usize::from(index)).map_or("?", |it| it);
        let mut line = format!("{:>10}  ", entry.at.to_string());
        if let Some(request) = entry.what.request() {
            let _ = write!(line, "#{request} ");
        }
        let written = match entry.what {
            What::Sent { source, kind, .. } => {
                let (source, kind) = (usize::from(source), usize::from(kind));
                let name = self.sources.get(source).map_or("?", |it| it);
                let kind = self.kinds.get(source).and_then(|kinds| kinds.get(kind));
                write!(line, "{} by {name}", kind.map_or("?", |it| it))
            }
            What::Attempt {
                cluster: index,
                nth,
                ..
            } => {
                write!(line, "attempt {nth} at {}", cluster(index))
            }
            What::Response {
                cluster: index,
                status,
                ..
            } => {
                write!(line, "{} answers {status}", cluster(index))
            }
            What::Failed {
                cluster: index,
                why,
                ..
            } => {
                write!(line, "{}: {}", cluster(index), why.name())
            }
            What::Backoff { wait, .. } => write!(line, "retries after {}", wait.rounded()),
            What::Ended {
                outcome, status: 0, ..
            } => write!(line, "ends: {}", outcome.name()),
            What::Ended {
                outcome, status, ..
            } => write!(line, "ends: {} {status}", outcome.name()),
            What::Resend { wait, .. } => {
                write!(line, "the client retries after {}", wait.rounded())
            }
            What::Callout { cluster: index } => write!(line, "the plugin calls {}", cluster(index)),
            What::CalloutEnded {
                cluster: index,
                status,
            } => {
                write!(line, "{} answers the plugin {status}", cluster(index))
            }
            What::Fault { number, begins } => {
                let name = self.faults.get(usize::from(number)).map_or("?", |it| it);
                write!(line, "{name} {}", if begins { "begins" } else { "ends" })
            }
            What::Update { accepted: true } => write!(line, "a new policy is active"),
            What::Update { accepted: false } => write!(line, "a new policy was rejected"),
            // Transitions are shown together with their circuits. Of other log lines, only the
            // hash is left.
            What::Transition(_) | What::Log(_) => return None,
        };
        written.ok().map(|()| line)
    }
}

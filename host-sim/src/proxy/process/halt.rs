//! Why a run cannot go on: what came next would not be what Envoy does.

use std::fmt;

/// What ended a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    Unmodelled(Unmodelled),
    Crash(Crash),
}

/// A hostcall that the host does not model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmodelled {
    /// Name of the hostcall, with the argument that is not modelled.
    pub hostcall: String,
    /// Name of the function alone, which [`Setup::stubs`](crate::proxy::Setup::stubs) may have.
    pub name: String,
}

/// An action of a plugin that crashes Envoy, and ends all its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// A local reply follows another one, or the stream's close, in one callback.
    ReplyAfterEnd,
    /// The stream is closed after a local reply, or twice, in one callback.
    CloseAfterEnd,
    /// A local reply in `proxy_on_log` or `proxy_on_done`.
    ReplyInLog,
    /// The stream is closed in `proxy_on_log` or `proxy_on_done`.
    CloseInLog,
    /// The response is resumed before there is one.
    ResumeBeforeResponse,
    /// The service of a gRPC call is a protobuf message without a cluster.
    ServiceWithoutCluster,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::Unmodelled(unmodelled) => unmodelled.fmt(f),
            Halt::Crash(crash) => write!(f, "the module {crash}"),
        }
    }
}

impl fmt::Display for Unmodelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the module called {}, which is not modelled",
            self.hostcall
        )
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Crash::ReplyAfterEnd => "sent a local reply to a stream that it had already ended",
            Crash::CloseAfterEnd => "closed a stream that it had already ended",
            Crash::ReplyInLog => "sent a local reply from proxy_on_log or proxy_on_done",
            Crash::CloseInLog => "closed the stream from proxy_on_log or proxy_on_done",
            Crash::ResumeBeforeResponse => "resumed the response before there was one",
            Crash::ServiceWithoutCluster => {
                "called a gRPC service whose protobuf message names no cluster"
            }
        };
        write!(f, "{what}, which crashes Envoy")
    }
}

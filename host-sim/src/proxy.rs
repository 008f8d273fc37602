//! The proxy: worker threads with a plugin in them, as Envoy runs one.
//!
//! [`Host`] is the way in: events in, effects out.

mod abi;
mod flow;
mod host;
mod process;
pub mod setup;
pub mod stream;
mod vm;
mod worker;

pub use host::Host;
pub use process::counts::{Callback, Counts, Hostcall};
pub use process::effect::{Call, CallId, CallKind, CallOutcome, Effect, Part, StreamId};
pub use process::log::{LogLevel, LogLine};
pub use process::metrics::{MetricKind, Metrics};
pub use process::shared_data::SharedData;
pub use setup::{ClusterState, FailurePolicy, Fault, Plugin, Setup, StartError};
pub(crate) use stream::reply::LocalReply;
pub use vm::Module;

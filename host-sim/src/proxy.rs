//! The proxy: worker threads that run a plugin as Envoy does.
//!
//! [`Host`] is the entry point. Below it, each line may use only what stands after it:
//! `host > worker > setup > module > {abi, flow} > vm > process > stream > ids`.
//!
//! - `abi` has the functions that guests call, `flow` the callbacks of guests and what
//!   follows from what they return. Both act on `process`, the state that all threads share,
//!   and on the VM of one thread.
//! - A hostcall never calls back into the guest, except into its allocator. It leaves an
//!   entry in the VM's list of deferred actions, and `flow` takes it once the callback has
//!   returned.

mod abi;
mod flow;
mod host;
mod ids;
pub mod module;
mod process;
mod setup;
pub mod stream;
mod vm;
mod worker;

pub use abi::not_modelled;
pub use host::{Host, Listener};
pub use ids::{CallId, StreamId};
pub use module::Module;
pub use process::call::{Call, CallKind, CallOutcome, ClusterState};
pub use process::counts::{Callback, Counts, Hostcall};
pub use process::effect::{Effect, Part};
pub use process::halt::{Crash, Halt, Unmodelled};
pub use process::histogram::Histogram;
pub use process::log::{LogLevel, LogLine};
pub use process::metrics::{MetricKind, Metrics};
pub use process::shared_data::SharedData;
pub use process::status::Status;
pub use process::tape::{TapeEvent, Taped, TapedHostcall};
pub use setup::{BUFFER_LIMIT_BYTES, FailurePolicy, Plugin, Setup, StartError};
pub(crate) use stream::reply::LocalReply;

//! What a world is made of, in the words of scenario files.
//!
//! Plain data: every field has its meaning, unit and default here, and the schema of
//! scenario files is derived from these types. That names refer to something and that
//! numbers fit together is checked by [`crate::scenario`].

mod calls;
mod cluster;
mod fault;
mod number;
mod route;
mod traffic;

pub use calls::{ATTEMPT_COUNT, Calls};
pub use cluster::{Answer, Cluster, Latency, Limits, RetryBudget, Shape, UpstreamProtocol};
pub use fault::{Fault, FaultKind};
pub use number::Percent;
pub use route::{Direct, HeaderMatch, Match, MaxStreamDuration, RetryPolicy, Route};
pub use traffic::{Arrivals, Backoff, ClientRetry, Request, Step, Traffic, Upload};

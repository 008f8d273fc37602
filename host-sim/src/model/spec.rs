//! The clusters, routes, traffic and faults of scenario files.
//!
//! Plain data. Every field has its meaning, unit and default here, and the schema of scenario
//! files is derived from these types. The scenario module checks that names refer to something
//! and that numbers are consistent.

mod calls;
mod cluster;
mod fault;
mod latency;
mod number;
mod route;
mod traffic;

pub use calls::{ATTEMPT_COUNT, Calls};
pub use cluster::{Cluster, Limits, Response, RetryBudget, UpstreamProtocol};
pub use fault::{Fault, FaultKind};
pub use latency::{Latency, Shape};
pub use number::Percent;
pub use route::{Direct, HeaderMatch, Match, MaxStreamDuration, RetryPolicy, Route};
pub use traffic::{Arrivals, Backoff, ClientRetry, Request, Step, Traffic, Upload};

//! The test harness: a real Envoy, scripted upstreams and clients, for tests of a few lines.
//!
//! Spillway's promises are visible only from outside: in what a client receives, what the upstream
//! receives, and what the metrics show. The harness therefore imitates nothing of the host. A test
//! starts an [`Upstream`] and changes its behaviour as it goes, puts an [`Envoy`] in front of it,
//! sends requests, and checks all three.
//!
//! ```no_run
//! # use serde_json::json;
//! # use spillway_tests::{Envoy, Reply, Upstream};
//! # async fn test() {
//! let upstream = Upstream::start().await;
//! let envoy = Envoy::in_front_of(upstream.address())
//!     .policy(json!({"policies": [{"name": "p", "circuit_breaker": {"consecutive_failures": 3}}]}))
//!     .start()
//!     .await;
//! upstream.reply(Reply::status(503));
//! for _ in 0..3 {
//!     assert_eq!(envoy.get("/").await.status, 503);
//! }
//! assert_eq!(envoy.get("/").await.header("x-circuit-state"), "open");
//! assert_eq!(upstream.hits(), 3);
//! envoy.expect_metric("spillway_rejected_requests_total", &[("policy", "p")], 1).await;
//! # }
//! ```
//!
//! Without a policy the filter is not in the chain at all, which is how the harness itself is
//! tested. Everything that a test starts ends with it: processes are killed on drop, and files live
//! in a temporary directory.

pub mod browser;
pub mod client;
pub mod envoy;
pub mod eventually;
pub mod grpc;
pub mod metrics;
pub mod oci;
pub mod places;
pub mod prometheus;
pub mod raw;
mod running;
pub mod serve;
pub mod serving;
pub mod strict;
mod trap;
pub mod upstream;

pub use browser::Browser;
pub use client::{Answer, Client};
pub use envoy::Envoy;
pub use eventually::eventually;
pub use grpc::{GrpcClient, GrpcReply, GrpcUpstream};
pub use prometheus::Prometheus;
pub use serve::Serve;
pub use strict::Strict;
pub use upstream::{Reply, Upstream};

//! Tests of Spillway in a real Envoy.
//!
//! They form a single binary with one module per subject, so that the harness is linked once.

mod chain;
mod config;
mod deploy;
mod differential;
mod docs;
mod endings;
mod grpc;
mod half_open;
mod hang;
mod harness;
mod host_facts;
mod hostile;
mod keys;
mod ladder;
mod layers;
mod modes;
mod module;
mod observability;
mod plugins;
mod prometheus;
mod recording;
mod replay;
mod retry;
mod scene;
mod serve;
mod shipped;
mod telemetry;
mod timeout;
mod trip;
mod worker_facts;
mod workers;

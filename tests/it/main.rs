//! What Spillway promises, shown in a real Envoy.
//!
//! One binary with a module for each subject, so that the harness is linked once.

mod host_facts;
mod shipped;

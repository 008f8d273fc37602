//! Integration tests of the simulator: the host seen from outside, the commands, and the shipped
//! policies.
//!
//! All of them are one binary, so that wasmtime is linked once. The tests of the host check what
//! `FIDELITY.md` claims about Envoy: guests in it, events in, effects out.

mod calls;
mod check;
mod commands;
mod failure;
mod grpc;
mod hang;
mod hostile;
mod hostile_clients;
mod library;
mod loading;
mod log_phase;
mod maps;
mod pause;
mod plugins;
mod policy_ranges;
mod policy_schema;
mod properties;
mod proxy;
mod replay;
mod replies;
mod shared;
mod spillway;
mod threads;
mod updates;
mod workers;

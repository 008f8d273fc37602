//! The host, from outside: guests in it, events in, effects out.
//!
//! What is checked here is what `FIDELITY.md` says about Envoy.

mod calls;
mod failure;
mod grpc;
mod hang;
mod hostile;
mod hostile_clients;
mod loading;
mod log_phase;
mod maps;
mod pause;
mod plugins;
mod properties;
mod proxy;
mod replay;
mod replies;
mod shared;
mod spillway;
mod threads;
mod updates;
mod workers;

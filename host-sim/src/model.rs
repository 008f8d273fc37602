//! The world around the proxy: clients, routes, upstreams and what goes wrong.
//!
//! [`world::World`] plays all of it against a [`Host`](crate::proxy::Host). The parts
//! know nothing of the host, and each is a state machine of its own: [`rate`] says when
//! the next call comes, [`upstream`] what becomes of an attempt, [`retry`] whether
//! there is another.

pub mod answers;
pub mod client;
pub mod distribution;
pub mod exchange;
pub mod fault;
pub mod rate;
pub mod retry;
pub mod route;
pub mod spec;
pub mod template;
pub mod timeouts;
pub mod upstream;
pub mod world;

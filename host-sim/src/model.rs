//! The world around the proxy: clients, routes, upstreams and faults.
//!
//! [`world::World`] plays all of it against a [`Host`](crate::proxy::Host). The parts do not
//! use the host, and each is a state machine of its own: [`rate`] decides when the next call
//! arrives, [`upstream`] what happens to an attempt, [`retry`] whether there is another.

pub mod cause;
pub mod client;
pub mod distribution;
pub mod exchange;
pub mod fault;
pub mod keys;
pub mod outgoing;
pub mod parts;
pub mod rate;
pub mod recorded;
pub mod response;
pub mod retry;
pub mod route;
pub mod spec;
pub mod template;
pub mod timeouts;
pub mod upstream;
pub mod world;

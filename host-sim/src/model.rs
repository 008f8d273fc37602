//! The world around the proxy: clients, routes, upstreams and what goes wrong.

pub mod distribution;
pub mod fault;
pub mod rate;
pub mod spec;
pub mod upstream;

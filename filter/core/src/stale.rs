//! The stale cache: good responses, stored for when the upstream has none.
//!
//! HTTP says what may be stored, for whom, and for how long (RFC 9111 for a shared cache,
//! RFC 5861 for errors). In doubt nothing is stored or served: a missing response costs the
//! client an error, but another client's response costs trust. So a request with credentials or
//! a body neither stores a response nor gets one, and everything that selects a stored response
//! is compared in full.
//!
//! This is not an ordinary cache: it serves nothing while the upstream responds. All workers
//! share the [`StaleStore`]. Responses are recorded chunk by chunk as they stream by, and never
//! wait for that.

mod cache_control;
mod conditional;
mod index;
mod pending;
mod query;
mod recent;
mod recorder;
mod recording;
mod request;
mod shards;
mod store;
mod stored;
mod vary;

pub(crate) use pending::Handle;
pub(crate) use recording::NotStored;
pub(crate) use request::{CacheScope, Purpose};
pub(crate) use shards::clear;
pub(crate) use store::{Bounds, StaleStore, Terms};

#[cfg(test)]
use request::Outline;

#[cfg(test)]
mod tests;

//! The stale cache: good responses, stored for when the upstream has none.
//!
//! HTTP says what may be stored, for whom, and for how long (RFC 9111 for a shared cache,
//! RFC 5861 for errors). In doubt nothing is stored or served: a missing response costs the
//! client an error, but another client's response costs trust. So a request with credentials or
//! a body neither stores a response nor gets one, and everything that selects a stored response
//! is compared in full.
//!
//! This is not an ordinary cache: it serves nothing while the upstream responds. So what
//! matters is the cost of storing, on every request, for an outage that is rare:
//!
//! 1. **At the request** a table of this worker, [`recent`], says whether the response is to be
//!    looked at. Usually it was looked at less than `sync.interval` ago, and nothing is done.
//! 2. **At the response headers** its validator is compared with that of the stored response,
//!    first in this table, then in the shared index. A stored response that is unchanged and
//!    young enough stays as it is. So no body is recorded, whichever worker has stored it.
//! 3. **If there is no vacant room**, a response is stored from its second request on, and only
//!    if it is asked for more often than each response that it would replace. This is TinyLFU's
//!    admission policy over the [`sketch`] of this worker. A scan over many URLs pushes out
//!    nothing that is asked for often.
//! 4. **At the end of the body** the response is stored in the shared [`sets`]. Responses are
//!    recorded chunk by chunk as they stream by, and never wait for that.

mod cache_control;
mod conditional;
mod index;
mod pending;
mod query;
mod recent;
mod recorder;
mod recording;
mod request;
mod sets;
mod sketch;
mod store;
mod stored;
mod vary;

pub(crate) use pending::Handle;
pub(crate) use recording::NotStored;
pub(crate) use request::{CacheScope, Purpose};
pub(crate) use sets::clear;
pub(crate) use store::{Bounds, StaleStore, Terms};

#[cfg(test)]
use request::Outline;

#[cfg(test)]
mod tests;

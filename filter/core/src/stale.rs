//! Good responses that are stored, for when the upstream has none.
//!
//! What may be stored, for whom, and for how long is HTTP's to say (RFC 9111 for a shared
//! cache, RFC 5861 for errors), and every doubt is a no: a response that is not there costs
//! its caller an error, one that was somebody else's costs trust. So a request that carries
//! credentials or a body neither leaves a response nor gets one, and what a response was
//! stored under is compared in full.
//!
//! This is no cache: nothing is answered from here while the upstream answers. Responses are
//! in a [`StaleStore`] that all workers share; they are recorded chunk by chunk from what streams
//! by, which never waits for it.

mod cache_control;
mod index;
mod pending;
mod recent;
mod recorder;
mod recording;
mod request;
mod store;
mod stored;

pub use pending::Handle;
pub use recorder::Recorder;
pub use request::{CacheRequest, CacheScope, Outline, Purpose, Resource};
pub use store::{Bounds, NotStored, SHARDS_MAX, StaleStore, Terms, clear};
pub use stored::StoredResponse;

#[cfg(test)]
mod tests;

//! Every decision of Spillway, and nothing else.
//!
//! The crate knows no proxy, no clock, no source of randomness and no log. Time, random words
//! and what the host knows of a request are arguments, and what should be counted or logged is
//! returned as [`event::Event`]s. The same sequence of calls therefore returns the same results
//! everywhere: in a unit test, in the proxy, under a virtual clock.
//!
//! Once a [`policy::Config`] is parsed, nothing here can fail. Lints reject code that may panic,
//! because a panic inside a proxy fails every request of that worker.
//!
//! Start reading at [`engine::Engine`], which admits a request, judges its response and settles
//! it. A module imports only from its own line below and from the lines after it:
//!
//! ```text
//! engine
//! stale                           the stale cache
//! event, keys                     what is reported; the keys of this worker
//! admin, fallback                 the endpoint for operators; replacement responses
//! shared                          the records that workers share
//! retry, circuit                  retries; the breaker and the retry budget
//! outcome                         success, failure or ignored
//! select                          the policy of a request
//! exchange                        the traits of a request and its response
//! policy                          the policy language
//! headers, codec, by_id, text, http_value, time, random
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::panic,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]
#![cfg_attr(
    feature = "lite",
    allow(dead_code, reason = "the lite module leaves out what it refuses")
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod admin;
mod by_id;
mod circuit;
mod codec;
pub mod engine;
pub mod event;
mod exchange;
mod fallback;
mod headers;
mod http_value;
mod keys;
mod order;
mod outcome;
pub mod policy;
mod random;
mod retry;
mod select;
mod shared;
mod stale;
#[cfg(test)]
mod testing;
mod text;
pub mod time;

// What the adapter implements, and the values that it passes on.
pub use by_id::ById;
pub use circuit::breaker::Transition;
pub use codec::{VERSION, fingerprint};
pub use exchange::{Request, Response};
pub use fallback::FallbackResponse;
pub use headers::{Headers, Hops, Map, Pairs, encode, is_hop};
pub use http_value::{is_grpc, number};
pub use retry::Denial;
pub use shared::records::{Name, Records, TRIES, Version};

// What `host-sim check` explains a policy with.
pub use circuit::window::BUCKETS;
pub use select::{Selector, cluster_holds};

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
//! headers, codec, text, http_value, time, random
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

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod admin;
pub mod circuit;
pub mod codec;
pub mod engine;
pub mod event;
pub mod exchange;
pub mod fallback;
pub mod headers;
pub mod http_value;
pub mod keys;
pub mod outcome;
pub mod policy;
pub mod random;
pub mod retry;
pub mod select;
pub mod shared;
pub mod stale;
#[cfg(test)]
mod testing;
mod text;
pub mod time;

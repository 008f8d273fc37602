//! Every decision of Spillway, and nothing else.
//!
//! The crate knows no proxy, no clock, no source of randomness and no log: the
//! time, random words and what the host knows of a request come in as
//! arguments, and what should be counted or logged goes out as [`event::Event`]s.
//! The same sequence of calls therefore gives the same answers everywhere: in a
//! unit test, in the proxy, under a virtual clock.
//!
//! Once a [`policy::Config`] is parsed nothing here can fail. Panics are a
//! compile error as far as lints can see them, since a panic inside a proxy
//! turns into an error for every request of that worker.
//!
//! Start reading at [`engine::Engine`], which ties the rest together:
//! [`select`] finds the policy of a request, [`keys`] the breaker of its key,
//! [`circuit::breaker`] admits or refuses, [`outcome::classify`] judges how it ended, and
//! [`fallback`] writes the answer for those who were refused; [`retry`] says what may be
//! sent again, and [`circuit::budget`] how often. [`admin`] shows an
//! operator the circuits, and forces them.

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

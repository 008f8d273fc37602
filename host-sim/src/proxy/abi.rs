//! The functions that the host offers to guests: proxy-wasm 0.2.0 and 0.2.1, and WASI.
//!
//! One file per family. A function is given a [`Guest`], through which it reads and
//! writes the guest's memory and the machine's state, and says with which status it
//! ends. No pointer of a guest is trusted, and no function calls back into the guest
//! but for its allocator: what must happen after the callback is deferred.

mod buffers;
mod calls;
mod foreign;
mod grpc;
mod guest;
mod maps;
mod metrics;
pub(crate) mod pairs;
mod properties;
mod register;
mod shared;
mod streams;
mod system;
mod wasi;

pub(crate) use guest::Guest;
pub(crate) use register::register;

use crate::proxy::vm::Status;

/// How a function ends; `Ok` is status 0.
pub(crate) type Answer = Result<(), Status>;

/// Versions of the ABI that are modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V0_2_0,
    V0_2_1,
}

//! The functions that the host offers to guests: proxy-wasm 0.2.0 and 0.2.1, and WASI.
//!
//! One file per family. Each function gets a [`Guest`](guest::Guest), through which it reads and writes
//! the guest's memory and the VM's state, and returns the status of the hostcall. It trusts
//! no pointer of the guest, and calls back into the guest only to allocate: whatever has to
//! happen after the callback is deferred.

mod buffers;
mod calls;
mod foreign;
mod grpc;
mod guest;
mod maps;
mod metrics;
mod pairs;
mod properties;
mod register;
mod shared;
mod streams;
mod system;
mod tape;
mod wasi;

pub(crate) use register::{Version, register};

use crate::proxy::process::counts::Hostcall;

/// Returns the names of the functions that Envoy has and this host does not.
pub fn not_modelled() -> impl Iterator<Item = &'static str> {
    foreign::NOT_MODELLED
        .into_iter()
        .chain([Hostcall::ResolveDns.name()])
}

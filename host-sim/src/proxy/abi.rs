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

//! The ABI's encoding of a map, under the name that this crate has for it: [`host::Map`] says
//! which map.
//!
//! [`host::Map`]: crate::host::Map

pub use spillway_core::headers::{Map as Pairs, encode};

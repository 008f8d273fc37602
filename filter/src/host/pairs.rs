//! The ABI's encoding of a header map. It is called `Pairs` in this crate, where [`host::Map`]
//! selects one of the host's maps.
//!
//! [`host::Map`]: crate::host::Map

pub(crate) use spillway_core::{Map as Pairs, encode};

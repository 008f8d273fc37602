//! Getters for the values of a file. They collect errors and continue after each one.
//!
//! A getter takes the default of its field and returns it for a missing value. For a wrong
//! value it records an error and returns the default too, which is never used: a file with
//! errors has no result. Each object remembers the names it was asked for. The remaining
//! fields are unknown, and their names are compared with those to suggest the right one.

mod errors;
mod place;
mod scalars;
mod way;

pub(super) use errors::Errors;
pub(super) use place::{Object, Place};
pub(super) use scalars::{name, names};

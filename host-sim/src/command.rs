//! The subcommands, one file each.
//!
//! What a command finds goes to its `out`, what it has to say about itself to
//! `talk`: stdout is data, stderr is talk.

pub mod check;
pub mod schema;

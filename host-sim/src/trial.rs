//! Plugin tests: single requests through plugins, with literal answers around them.
//!
//! A scenario has load, and its world draws what happens. A plugin test has a list of requests,
//! and says what each cluster answers. [`file`](mod@file) is its format, [`compile`] checks and
//! converts it, [`play`](mod@play) plays it into a [`Transcript`], and [`expect`] holds the
//! transcript against what is expected. `host-sim request` makes a plugin test of its arguments.

mod chain;
mod compile;
pub mod expect;
pub mod file;
mod mock;
mod play;
mod property;
mod read;
mod spec;
mod target;
pub mod transcript;

pub use mock::{Answer, Grpc, Mock};
pub use play::play;
pub use spec::{Request, Step, Trial, UPSTREAM, Update};
pub use target::{Refused, Target};
pub use transcript::Transcript;

#[cfg(test)]
mod tests;

//! Paused streams: the filter waits before it sends a request again, asks another cluster in
//! place of an upstream, or waits for the request's body to do so.
//!
//! Nothing here does I/O. A [`Paused`] is told what happened to its stream and returns a
//! [`Command`]; some commands want a result back, by the method that they name, which returns
//! the next command. The adapter keeps the bytes, such as the copy of the request, and makes
//! the hostcalls. [`PausedStreams`] finds a stream by its id, by the end of its wait or by the
//! call that it waits for.
//!
//! A stream ends here exactly once, by [`Command::End`] or because it is taken out. What comes
//! later finds no wait: a late response to a call cannot reach another stream, nor resume one
//! that was answered. Every wait has an end, so no host can make a stream pause forever.

mod command;
mod delivery;
mod parts;
mod stream;
mod streams;

pub use command::{Call, Command, Ending, Intake, Reply};
pub use delivery::CallResponse;
pub use parts::EngineParts;
pub use stream::Paused;
pub use streams::{PausedStreams, Stream};

#[cfg(test)]
mod histories;

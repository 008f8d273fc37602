//! Access logs of Envoy, as recordings to replay.
//!
//! A log is read several times: once to find out what it contains, once for what the clients saw,
//! and once for each policy. So memory does not grow with it, and a stream is copied to a file
//! first. Each pass is the same pipeline: [`input`] decompresses, `lines` cuts, `format` and `entry`
//! parse, `order` sorts by the start of the requests, and `fate` says what the upstream did.
//!
//! Nothing is dropped without a count: [`Reading`] has the lines that could not be read, those that
//! came too late for the order, and the requests that no upstream has seen.

mod entry;
mod fate;
mod field;
mod format;
mod input;
mod lines;
mod order;
mod reading;
mod recorded;
mod recording;
mod survey;
mod time;

pub use field::{Field, FieldMap};
pub use format::Format;
pub use reading::{Log, LogError, Options, Reading};
pub use recorded::recorded;
pub use recording::LogRecording;
pub use survey::Survey;
pub use time::wall_clock;

#[cfg(test)]
mod tests;

//! State that all workers of a proxy share.

pub mod census;
pub mod directory;
pub mod history;
pub mod records;
pub mod replica;

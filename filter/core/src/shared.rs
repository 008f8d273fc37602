//! State that all workers of a proxy share.

pub(crate) mod census;
pub(crate) mod directory;
pub(crate) mod history;
pub(crate) mod key;
pub(crate) mod records;
pub(crate) mod replica;
pub(crate) mod shown;
pub(crate) mod slots;

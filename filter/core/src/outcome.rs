//! The outcome of a request, and what it says about its upstream.

pub(crate) mod classify;
pub(crate) mod hint;

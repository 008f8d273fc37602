//! How a request ended, and what that says about its upstream.

pub mod classify;
pub mod hint;

//! Responses that replace the upstream's, if the upstream will not or could not respond.
//!
//! The engine decides which entry of a policy is used. This module makes its response.

mod accept;
mod details;
mod in_place;
mod kind;
mod occasion;
mod response;

pub(crate) use kind::{Kind, Skip};
pub(crate) use occasion::Occasion;
pub use response::FallbackResponse;
pub(crate) use response::{default, labels, respond};

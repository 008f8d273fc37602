//! Requests that are sent again, or to another cluster, while their streams are paused.

pub mod body;
pub mod copies;
pub mod paused;
pub mod request;
pub mod response;
pub mod share;

//! Requests that are sent again, or to another cluster, while their streams are paused.

pub(crate) mod body;
pub(crate) mod copies;
pub(crate) mod paused;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod share;

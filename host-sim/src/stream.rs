//! One HTTP stream on its way through the filter.

pub mod info;

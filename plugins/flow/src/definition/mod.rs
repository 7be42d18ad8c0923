//! x
pub(crate) mod report;
pub(crate) mod yaml;

//! `/api/admin`: configuration, connections and keys of a tenant; for the operator, of all.

pub(crate) mod config;
pub(crate) mod connections;
pub(crate) mod keys;
pub(crate) mod plugins;

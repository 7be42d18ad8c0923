//! `/api/admin`: configuration, connections and keys of a tenant, what failed and what was used; for the operator, of all.

pub(crate) mod breakers;
pub(crate) mod cache;
pub(crate) mod config;
pub(crate) mod connect;
pub(crate) mod connections;
pub(crate) mod events;
pub(crate) mod failures;
pub(crate) mod keys;
pub(crate) mod plugins;
pub(crate) mod replay;
pub(crate) mod rollouts;
pub(crate) mod usage;
pub(crate) mod webhooks;

use super::conversations::time;
use crate::gateway::input::line;
use crate::gateway::keys::Scope;
use crate::gateway::{Caller, Problem};
use confab_engine::TenantId;

/// The tenant that an admin asks about: a key's own; the operator's choice, or none for all.
fn whose(caller: &Caller, named: Option<&TenantId>) -> Result<Option<TenantId>, Problem> {
    caller.needs(Scope::Admin)?;
    match (caller, named) {
        (Caller::Operator, None) => Ok(None),
        _ => caller.tenant(named).map(Some),
    }
}

/// A word to look for, which must be a line of reasonable length.
fn bounded(pointer: &str, given: Option<String>, max_chars: usize) -> Result<Option<String>, Problem> {
    given.map(|text| line(pointer, &text, max_chars)).transpose()
}

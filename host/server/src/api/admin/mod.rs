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

/// Most rows of a page: some MiB, should each be as long as it may.
pub(crate) const MAX_LIMIT: usize = 200;
/// Rows of a page where none says how many.
const LIMIT: usize = 50;

/// How many rows a page has.
fn page_limit(given: Option<usize>) -> Result<usize, Problem> {
    let limit = given.unwrap_or(LIMIT);
    if limit == 0 || limit > MAX_LIMIT {
        return Err(Problem::invalid_input(format!("limit: write 1 to {MAX_LIMIT}")).at("/limit"));
    }
    Ok(limit)
}

/// Before which row a page ends. `help` says where to take it from.
fn page_before(given: Option<&str>, help: &str) -> Result<Option<u64>, Problem> {
    let number =
        |text: &str| text.parse().map_err(|_| Problem::invalid_input(format!("before: write {help}")).at("/before"));
    given.map(number).transpose()
}

/// A moment as milliseconds since 1970.
fn moment(name: &str, text: &str) -> Result<u64, Problem> {
    let wrong =
        || Problem::invalid_input(format!("{name}: write a moment as 2026-11-22T10:32:00Z")).at(&format!("/{name}"));
    let at = text.parse::<jiff::Timestamp>().map_err(|_| wrong())?;
    u64::try_from(at.as_millisecond()).map_err(|_| wrong())
}

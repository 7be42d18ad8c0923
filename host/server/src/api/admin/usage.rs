//! What bots and connections used, by day.

use super::super::App;
use super::whose;
use crate::gateway::input::Params;
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::State;
use confab_engine::TenantId;
use confab_engine::usage::{Usage, UsageError, oldest, today};
use jiff::civil::Date;
use serde::Deserialize;

/// Days of a report where none says which: this one and the six before.
const DAYS: i64 = 7;

/// Which days of whom.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageQuery {
    tenant: Option<TenantId>,
    from: Option<String>,
    to: Option<String>,
}

fn day(name: &str, given: Option<String>) -> Result<Option<Date>, Problem> {
    let Some(text) = given else { return Ok(None) };
    let wrong = || Problem::invalid_input(format!("{name}: write a day in UTC as 2026-11-22")).at(&format!("/{name}"));
    // Nothing but a date: jiff would take a time with it.
    if text.len() != 10 {
        return Err(wrong());
    }
    text.parse().map(Some).map_err(|_| wrong())
}

/// `GET /api/admin/usage`
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<UsageQuery>,
) -> Result<Json<Usage>, Problem> {
    let tenant = whose(&caller, query.tenant.as_ref())?;
    let today = today();
    let to = day("to", query.to)?.unwrap_or(today);
    let week = jiff::SignedDuration::from_hours(24 * (DAYS - 1));
    let from = day("from", query.from)?.unwrap_or_else(|| to.saturating_sub(week));
    if from > to {
        return Err(Problem::invalid_input(format!("from: {from} comes after {to}")).at("/from"));
    }
    if to < oldest(today) {
        let detail = format!("to: usage is kept since {}; nothing is known of {to}", oldest(today));
        return Err(Problem::invalid_input(detail).at("/to"));
    }
    match app.engine.usage(tenant.as_ref(), from, to).await {
        Ok(usage) => Ok(Json(usage)),
        Err(UsageError::TooMany(e)) => Err(Problem::invalid_input(e.to_string()).at("/from")),
        Err(UsageError::Store(e)) => Err(e.into()),
    }
}

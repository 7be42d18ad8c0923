//! What failed, and whose fault it was.

use super::super::App;
use super::super::chat::TenantQuery;
use super::{bounded, page_before, page_limit, time, whose};
use crate::gateway::input::Params;
use crate::gateway::keys::Scope;
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::State;
use confab_engine::sandbox::Blame;
use confab_engine::{BotId, ConnectionId, FailureFilter, FailureRecord, TenantId};
use serde::Deserialize;
use serde_json::{Value, json};

/// Longest name of a plugin or kind.
const NAME_CHARS: usize = 100;

/// Which records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailuresQuery {
    tenant: Option<TenantId>,
    bot: Option<BotId>,
    connection: Option<ConnectionId>,
    plugin: Option<String>,
    kind: Option<String>,
    blame: Option<Blame>,
    limit: Option<usize>,
    before: Option<String>,
}

fn shown(record: &FailureRecord) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("at".to_owned(), json!(time(record.at)));
    }
    value
}

/// `GET /api/admin/failures`
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<FailuresQuery>,
) -> Result<Json<Value>, Problem> {
    let tenant = whose(&caller, query.tenant.as_ref())?;
    let limit = page_limit(query.limit)?;
    let before = page_before(query.before.as_deref(), "the `next` of the page before, or a record's `id`")?;
    let filter = FailureFilter {
        bot: query.bot.map(String::from),
        connection: query.connection.map(String::from),
        plugin: bounded("/plugin", query.plugin, NAME_CHARS)?,
        kind: bounded("/kind", query.kind, NAME_CHARS)?,
        blame: query.blame,
    };
    let page = app.engine.failures(tenant.as_ref(), &filter, before, limit).await?;
    let failures: Vec<Value> = page.failures.iter().map(shown).collect();
    Ok(Json(json!({ "failures": failures, "next": page.next })))
}

/// `DELETE /api/admin/failures`
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<TenantQuery>,
) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    let tenant = caller.tenant(query.tenant.as_ref())?;
    app.engine.delete_failures(&tenant).await?;
    Ok(Json(json!({ "tenant": tenant, "deleted": true })))
}

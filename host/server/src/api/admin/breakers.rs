//! What is not called now: endpoints that are down, plugins in quarantine.

use super::super::App;
use super::super::chat::TenantQuery;
use super::{bounded, time, whose};
use crate::gateway::input::Params;
use crate::gateway::keys::Scope;
use crate::gateway::request::RequestId;
use crate::gateway::{Caller, Problem};
use axum::extract::State;
use axum::{Extension, Json};
use confab_engine::{ConnectionId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Longest name of an endpoint or plugin.
const NAME_CHARS: usize = 100;

/// What is to be called again: an endpoint of a connection, or a plugin.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetQuery {
    tenant: Option<TenantId>,
    connection: Option<ConnectionId>,
    endpoint: Option<String>,
    plugin: Option<String>,
}

/// Times as everywhere in the API.
fn shown<T: Serialize>(breakers: &[T]) -> Vec<Value> {
    let mut all = Vec::with_capacity(breakers.len());
    for breaker in breakers {
        let mut value = serde_json::to_value(breaker).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            for name in ["since", "until"] {
                if let Some(at) = object.get(name).and_then(Value::as_u64) {
                    object.insert(name.to_owned(), json!(time(at)));
                }
            }
        }
        all.push(value);
    }
    all
}

/// `GET /api/admin/breakers`
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<TenantQuery>,
) -> Result<Json<Value>, Problem> {
    let tenant = whose(&caller, query.tenant.as_ref())?;
    let breakers = app.engine.breakers(tenant.as_ref());
    Ok(Json(json!({ "endpoints": shown(&breakers.endpoints), "plugins": shown(&breakers.plugins) })))
}

/// `DELETE /api/admin/breakers`
pub(crate) async fn reset(
    State(app): State<App>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Params(query): Params<ResetQuery>,
) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    let tenant = caller.tenant(query.tenant.as_ref())?;
    let endpoint = bounded("/endpoint", query.endpoint, NAME_CHARS)?;
    let plugin = bounded("/plugin", query.plugin, NAME_CHARS)?;
    match (query.connection, endpoint, plugin) {
        (Some(connection), Some(endpoint), None) => {
            if !app.engine.reset_endpoint(&tenant, &connection, &endpoint).await {
                return Err(Problem::not_found(format!(
                    "tenant `{tenant}` has no connection `{connection}` with an endpoint `{}` that is ready",
                    endpoint.escape_debug()
                )));
            }
            Ok(Json(json!({ "tenant": tenant, "connection": connection, "endpoint": endpoint, "state": "closed" })))
        }
        (None, None, Some(plugin)) => {
            if !app.engine.reset_plugin(&tenant, &plugin, &request.0) {
                return Err(Problem::not_found(format!(
                    "plugin `{}` has not run at tenant `{tenant}` since this host was started",
                    plugin.escape_debug()
                )));
            }
            Ok(Json(json!({ "tenant": tenant, "plugin": plugin, "state": "closed" })))
        }
        _ => Err(Problem::invalid_input("name `connection` and `endpoint`, or `plugin`")),
    }
}

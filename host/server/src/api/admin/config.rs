//! Tenants, bots and connections: applying a folder, and what became of it.

use super::super::App;
use super::super::chat::TenantQuery;
use crate::gateway::input::{BUNDLE_BYTES, JsonBody, Params};
use crate::gateway::keys::Scope;
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::State;
use confab_engine::config::Bundle;
use confab_engine::engine::{ApplyError, ApplyOptions};
use confab_engine::registry::Slot;
use confab_engine::rollout::Candidate;
use confab_engine::{ApplyReport, SourceFile, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A folder to apply.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyRequest {
    pub(crate) files: Vec<SourceFile>,
    #[serde(default)]
    pub(crate) check_only: bool,
    #[serde(default)]
    pub(crate) prune: bool,
}

/// `POST /api/admin/apply`
pub(crate) async fn apply(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<ApplyRequest, BUNDLE_BYTES>,
) -> Result<Json<ApplyReport>, Problem> {
    caller.needs(Scope::Admin)?;
    if let Caller::Key(key) = &caller {
        let bundle = Bundle::read(&body.files).map_err(findings)?;
        if bundle.tenant.id != key.tenant {
            return Err(Problem::forbidden(format!(
                "the key belongs to tenant `{}`, the folder to `{}`",
                key.tenant, bundle.tenant.id
            )));
        }
    }
    let options = ApplyOptions { check_only: body.check_only, prune: body.prune };
    app.engine.apply(&body.files, options).await.map(Json).map_err(|e| match e {
        ApplyError::Findings(list) => findings(list),
        ApplyError::Store(store) => store.into(),
        ApplyError::Internal(reason) => {
            tracing::error!("apply: {reason}");
            Problem::internal("the folder could not be stored; the request id finds the reason in the log")
        }
    })
}

fn findings(list: Vec<confab_engine::Finding>) -> Problem {
    let detail = format!("{} finding(s); nothing was changed", list.len());
    Problem::invalid_configuration(detail).with("findings", json!(list))
}

/// `GET /api/admin/tenants`
pub(crate) async fn tenants(State(app): State<App>, caller: Caller) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    let registry = app.engine.registry();
    let mut tenants: Vec<Value> = registry
        .tenants
        .values()
        .filter(|tenant| matches!(&caller, Caller::Operator) || matches!(&caller, Caller::Key(key) if key.tenant == tenant.doc.id))
        .map(|tenant| json!({"id": tenant.doc.id, "name": tenant.doc.name, "bots": tenant.bots.len(), "connections": tenant.connections.len()}))
        .collect();
    tenants.sort_by_key(|tenant| tenant["id"].to_string());
    Ok(Json(json!({ "tenants": tenants })))
}

/// The tenants that a caller may see: one, or for the operator without `?tenant=` all.
fn visible(caller: &Caller, named: Option<&TenantId>) -> Result<Option<TenantId>, Problem> {
    match (caller, named) {
        (Caller::Operator, None) => Ok(None),
        _ => caller.tenant(named).map(Some),
    }
}

fn state<T>(slot: &Slot<T>) -> Value {
    match slot {
        Slot::Ready(_) => json!({"state": "ready"}),
        Slot::Broken(reason) => json!({"state": "not-ready", "reason": reason}),
    }
}

fn candidate<T>(candidate: &Candidate<T>) -> Value {
    json!({"version": candidate.version().to_string(), "share": candidate.share})
}

/// `GET /api/admin/bots`
pub(crate) async fn bots(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<TenantQuery>,
) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    let only = visible(&caller, query.tenant.as_ref())?;
    let registry = app.engine.registry();
    let mut bots: Vec<Value> = Vec::new();
    for tenant in registry.tenants.values().filter(|tenant| only.as_ref().is_none_or(|only| tenant.doc.id == *only)) {
        for (id, slot) in &tenant.bots {
            let mut bot = json!({"tenant": tenant.doc.id, "id": id});
            let more = match slot {
                Slot::Ready(ready) => json!({
                    "name": ready.name, "plugin": ready.plugin.manifest().name, "version": ready.plugin.manifest().version,
                    "candidate": ready.candidate.as_ref().map(candidate),
                    "connections": ready.bindings.iter().map(|(name, c)| (name.clone(), json!(c.id))).collect::<serde_json::Map<_, _>>(),
                }),
                Slot::Broken(_) => json!({}),
            };
            merge(&mut bot, state(slot));
            merge(&mut bot, more);
            bots.push(bot);
        }
    }
    bots.sort_by_key(|bot| (bot["tenant"].to_string(), bot["id"].to_string()));
    Ok(Json(json!({ "bots": bots })))
}

/// `GET /api/admin/connections`
pub(crate) async fn connections(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<TenantQuery>,
) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    let only = visible(&caller, query.tenant.as_ref())?;
    let mut open = Vec::new();
    let registry = app.engine.registry();
    let mut connections: Vec<Value> = Vec::new();
    for tenant in registry.tenants.values().filter(|tenant| only.as_ref().is_none_or(|only| tenant.doc.id == *only)) {
        for (id, slot) in &tenant.connections {
            let mut connection = json!({"tenant": tenant.doc.id, "id": id});
            merge(&mut connection, state(slot));
            if let Slot::Ready(ready) = slot {
                open.push((connections.len(), ready.clone()));
                let manifest = ready.plugin.manifest();
                let capabilities: Vec<String> = ready.plugin.capabilities().collect();
                merge(
                    &mut connection,
                    json!({"connector": manifest.name, "version": manifest.version,
                        "candidate": ready.candidate.as_ref().map(candidate), "capabilities": capabilities}),
                );
            }
            connections.push(connection);
        }
    }
    drop(registry);
    for (index, ready) in open {
        let states = super::connect::states(&ready).await;
        if let Some(connection) = connections.get_mut(index).filter(|_| !states.is_empty()) {
            merge(connection, json!({ "auth": states }));
        }
    }
    connections.sort_by_key(|c| (c["tenant"].to_string(), c["id"].to_string()));
    Ok(Json(json!({ "connections": connections })))
}

fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

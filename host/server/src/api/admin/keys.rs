//! API keys over HTTP. The secret is in the answer that makes a key, and nowhere else.

use super::super::App;
use super::super::chat::TenantQuery;
use crate::gateway::input::{JsonBody, Params, PathParams, line};
use crate::gateway::keys::{NewKey, Scope, shown};
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::State;
use confab_engine::turn::now_millis;
use http::StatusCode;
use serde_json::{Value, json};

/// Longest life of a key that expires.
const MAX_EXPIRY_S: u64 = 10 * 366 * 86_400;

/// `POST /api/admin/keys`
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    JsonBody(mut new): JsonBody<NewKey>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.needs(Scope::Admin)?;
    let tenant = caller.tenant(new.tenant.as_ref())?;
    let registry = app.engine.registry();
    let Some(known) = registry.tenants.get(&tenant) else {
        return Err(Problem::invalid_input(format!(
            "there is no tenant `{tenant}`; apply its folder first: confab apply DIR"
        ))
        .at("/tenant"));
    };
    if let Some(bot) = new.bot.as_ref().filter(|bot| !known.bots.contains_key(bot)) {
        return Err(Problem::invalid_input(format!("tenant `{tenant}` has no bot `{bot}`")).at("/bot"));
    }
    if new.bot.is_some() && new.scopes.contains(&Scope::Admin) {
        return Err(
            Problem::invalid_input("a key with the scope `admin` opens all of the tenant; leave `bot` out").at("/bot")
        );
    }
    if new.expires_in_s.is_some_and(|s| s > MAX_EXPIRY_S) {
        return Err(Problem::invalid_input(format!(
            "at most {MAX_EXPIRY_S} s (10 years); leave it out for a key that does not expire"
        ))
        .at("/expires_in_s"));
    }
    if new.rate == Some(0) || new.expires_in_s == Some(0) {
        return Err(Problem::invalid_input("rate and expires_in_s must be at least 1, or left out"));
    }
    if !new.label.is_empty() {
        new.label = line("/label", &new.label, 100)?;
    }
    let (key, text) = app.keys.create(tenant, new, now_millis()).await?;
    let mut body = shown(&key);
    if let Some(body) = body.as_object_mut() {
        body.insert("key".into(), Value::String(text));
    }
    Ok((StatusCode::CREATED, Json(body)))
}

/// `GET /api/admin/keys`
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<TenantQuery>,
) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    let tenant = match (&caller, &query.tenant) {
        (Caller::Operator, None) => None,
        _ => Some(caller.tenant(query.tenant.as_ref())?),
    };
    let keys: Vec<Value> = app.keys.list(tenant.as_ref()).iter().map(|key| shown(key)).collect();
    Ok(Json(json!({ "keys": keys })))
}

/// `DELETE /api/admin/keys/{id}`
pub(crate) async fn revoke(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    let tenant = match &caller {
        Caller::Operator => None,
        Caller::Key(key) => Some(&key.tenant),
    };
    match app.keys.revoke(&id, tenant, now_millis()).await? {
        Some(key) => Ok(Json(shown(&key))),
        None => Err(Problem::not_found("there is no such key")),
    }
}

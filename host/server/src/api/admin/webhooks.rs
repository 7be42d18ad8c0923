//! Webhooks of a tenant: how they stand, a test, and messages once more.

use super::super::App;
use super::super::chat::TenantQuery;
use super::{bounded, moment, page_before, page_limit, time, whose};
use crate::gateway::input::{JsonBody, Params, PathParams};
use crate::gateway::keys::Scope;
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::State;
use confab_engine::webhooks::{Delivery, Replay, WebhookError, WebhookState};
use confab_engine::{TenantId, WebhookId};
use serde::Deserialize;
use serde_json::{Value, json};

/// Longest id of a message.
const ID_CHARS: usize = 100;

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Problem {
        let detail = error.to_string();
        match error {
            WebhookError::Unknown(..) | WebhookError::NoMessage(_) => Problem::not_found(detail),
            WebhookError::NotReady(..) => Problem::connection_not_ready(detail),
            WebhookError::Store(e) => e.into(),
        }
    }
}

fn one(caller: &Caller, tenant: Option<&TenantId>, id: &str) -> Result<(TenantId, WebhookId), Problem> {
    caller.needs(Scope::Admin)?;
    let tenant = caller.tenant(tenant)?;
    let id = id.parse().map_err(|_| Problem::not_found(format!("there is no webhook `{}`", id.escape_debug())))?;
    Ok((tenant, id))
}

fn shown(webhook: &WebhookState) -> Value {
    let disabled = webhook.disabled.as_ref();
    let state = match (&webhook.broken, disabled) {
        (Some(_), _) => "broken",
        (None, Some(_)) => "disabled",
        (None, None) => "enabled",
    };
    let reason = webhook.broken.as_ref().or(disabled.map(|disabled| &disabled.reason));
    json!({
        "tenant": webhook.tenant,
        "id": webhook.id,
        "url": webhook.url,
        "events": webhook.events,
        "bots": webhook.bots,
        "description": webhook.description,
        "public_keys": webhook.public_keys,
        "state": state,
        "reason": reason,
        "disabled_because": disabled.map(|disabled| disabled.why),
        "disabled_at": disabled.and_then(|disabled| time(disabled.at)),
        "waiting": webhook.waiting,
        "failed_attempts": webhook.tries,
        "next_attempt_at": webhook.next_at.and_then(time),
        "last_success_at": webhook.last_success_at.and_then(time),
    })
}

fn shown_delivery(delivery: &Delivery) -> Value {
    json!({
        "message_id": delivery.message_id,
        "type": delivery.kind,
        "attempt": delivery.attempt,
        "at": time(delivery.at),
        "status": delivery.status,
        "error": delivery.error,
        "ms": delivery.ms,
        "next_attempt_at": delivery.next_at.and_then(time),
    })
}

/// `GET /api/admin/webhooks`
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<TenantQuery>,
) -> Result<Json<Value>, Problem> {
    let tenant = whose(&caller, query.tenant.as_ref())?;
    let webhooks = app.engine.webhooks(tenant.as_ref()).await?;
    Ok(Json(json!({ "webhooks": webhooks.iter().map(shown).collect::<Vec<_>>() })))
}

/// Which deliveries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveriesQuery {
    tenant: Option<TenantId>,
    limit: Option<usize>,
    before: Option<String>,
}

/// `GET /api/admin/webhooks/{id}/deliveries`
pub(crate) async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<DeliveriesQuery>,
) -> Result<Json<Value>, Problem> {
    let (tenant, id) = one(&caller, query.tenant.as_ref(), &id)?;
    let limit = page_limit(query.limit)?;
    let before = page_before(query.before.as_deref(), "the `next` of the page before")?;
    let found = app.engine.webhook_deliveries(&tenant, &id, before, limit).await?;
    let next = if found.len() == limit { found.last().map(|(number, _)| number.to_string()) } else { None };
    let deliveries: Vec<Value> = found.iter().map(|(_, delivery)| shown_delivery(delivery)).collect();
    Ok(Json(json!({ "webhook": id, "deliveries": deliveries, "next": next })))
}

/// `POST /api/admin/webhooks/{id}/ping`
pub(crate) async fn ping(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<TenantQuery>,
) -> Result<Json<Value>, Problem> {
    let (tenant, id) = one(&caller, query.tenant.as_ref(), &id)?;
    let (taken, delivery, answer) = app.engine.ping_webhook(&tenant, &id).await?;
    Ok(Json(json!({ "webhook": id, "taken": taken, "delivery": shown_delivery(&delivery), "answer": answer })))
}

/// What is to be sent again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    message_id: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// `POST /api/admin/webhooks/{id}/replay`
pub(crate) async fn replay(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<TenantQuery>,
    JsonBody(body): JsonBody<ReplayRequest>,
) -> Result<Json<Value>, Problem> {
    let (tenant, id) = one(&caller, query.tenant.as_ref(), &id)?;
    let ReplayRequest { message_id, since, until } = body;
    let message = bounded("/message_id", message_id, ID_CHARS)?;
    let since = since.map(|since| moment("since", &since)).transpose()?;
    let until = until.map(|until| moment("until", &until)).transpose()?;
    let what = match (message, since, until) {
        (Some(message), None, None) => Replay::Message(message),
        (None, Some(since), until) => Replay::Range(since, until.unwrap_or(u64::MAX)),
        _ => return Err(Problem::invalid_input("write either `message_id`, or `since` with or without `until`")),
    };
    let replayed = app.engine.replay_webhook(&tenant, &id, &what).await?;
    Ok(Json(json!({ "webhook": id, "replayed": replayed })))
}

/// `POST /api/admin/webhooks/{id}/enable`
pub(crate) async fn enable(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<TenantQuery>,
) -> Result<Json<Value>, Problem> {
    let (tenant, id) = one(&caller, query.tenant.as_ref(), &id)?;
    Ok(Json(shown(&app.engine.enable_webhook(&tenant, &id).await?)))
}

/// `POST /api/admin/webhooks/{id}/disable`
pub(crate) async fn disable(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<TenantQuery>,
) -> Result<Json<Value>, Problem> {
    let (tenant, id) = one(&caller, query.tenant.as_ref(), &id)?;
    Ok(Json(shown(&app.engine.disable_webhook(&tenant, &id).await?)))
}

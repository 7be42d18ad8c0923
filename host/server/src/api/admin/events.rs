//! What became of inbound events, and processing them anew.

use super::super::App;
use super::super::chat::TenantQuery;
use super::{bounded, moment, page_limit, time};
use crate::gateway::input::{JsonBody, Params, PathParams};
use crate::gateway::keys::Scope;
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::State;
use confab_engine::TenantId;
use confab_engine::events::{EventFilter, EventRecord, NAME_BYTES, Status, Which};
use confab_engine::turn::now_millis;
use serde::Deserialize;
use serde_json::{Value, json};

/// Which events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    tenant: Option<TenantId>,
    status: Option<Status>,
    source: Option<String>,
    name: Option<String>,
    limit: Option<usize>,
    before: Option<u64>,
}

/// `GET /api/admin/events`
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<EventsQuery>,
) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    let tenant = caller.tenant(query.tenant.as_ref())?;
    let limit = page_limit(query.limit)?;
    let filter = EventFilter {
        status: query.status,
        source: bounded("/source", query.source, NAME_BYTES)?,
        name: bounded("/name", query.name, NAME_BYTES)?,
    };
    let page = app.engine.events(&tenant, &filter, query.before, limit).await?;
    let events: Vec<Value> = page.events.iter().map(|record| shown(record, false)).collect();
    Ok(Json(json!({ "events": events, "next": page.next.map(|next| next.to_string()) })))
}

/// Which of several events with the same id.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventQuery {
    tenant: Option<TenantId>,
    source: Option<String>,
}

/// `GET /api/admin/events/{id}`
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<EventQuery>,
) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    let tenant = caller.tenant(query.tenant.as_ref())?;
    let found = app.engine.event(&tenant, &id, query.source.as_deref()).await?;
    found.map(|record| Json(shown(&record, true))).ok_or_else(|| unknown(&id))
}

/// What to replay: one event, or all of a time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    id: Option<String>,
    source: Option<String>,
    since: Option<String>,
    until: Option<String>,
    status: Option<Status>,
}

/// `POST /api/admin/events/replay`
pub(crate) async fn replay(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<TenantQuery>,
    JsonBody(body): JsonBody<ReplayRequest>,
) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    let tenant = caller.tenant(query.tenant.as_ref())?;
    let named = body.id.clone();
    let which = match body {
        ReplayRequest { id: Some(id), source, since: None, until: None, status: None } => Which::One { id, source },
        ReplayRequest { id: None, source: None, since: Some(since), until, status } => Which::Range {
            since: moment("since", &since)?,
            until: until.map(|until| moment("until", &until)).transpose()?.unwrap_or_else(now_millis),
            status: status.unwrap_or(Status::Dead),
        },
        _ => {
            let detail = "write the `id` of one event, or `since` (with `until` and `status`, if not now and `dead`)";
            return Err(Problem::invalid_input(detail));
        }
    };
    let replayed = app.engine.replay_events(&tenant, &which).await?;
    if let (Some(id), true) = (named, replayed.events.is_empty()) {
        return Err(unknown(&id));
    }
    let ids: Vec<&str> = replayed.events.iter().map(|taken| taken.id.as_str()).collect();
    Ok(Json(json!({ "replayed": ids.len(), "ids": ids })))
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!(
        "no event `{}` is known that has been processed; the newest 10,000 are kept",
        id.escape_debug()
    ))
}

fn shown(record: &EventRecord, whole: bool) -> Value {
    let EventRecord { event, status, at, tries, told, told_count, error } = record;
    let mut value = json!({
        "id": event.id, "source": event.source, "event": event.name, "status": status.as_str(), "subjects": event.subjects,
        "received_at": time(event.received_at), "tries": tries, "told": told_count,
    });
    let optional = [
        ("processed_at", (*status != Status::Pending).then(|| json!(time(*at)))),
        ("occurred_at", event.occurred_at.as_ref().map(|at| json!(at))),
        ("origin", event.origin.as_ref().map(|origin| json!(origin))),
        ("bot", event.bot.as_ref().map(|bot| json!(bot))),
        ("connection", event.connection.as_ref().map(|connection| json!(connection))),
        ("replay", (event.replay > 0).then(|| json!(event.replay))),
        ("error", error.as_ref().map(|error| json!(error))),
        ("data", whole.then(|| event.data.clone())),
        ("body_sha256", whole.then(|| json!(event.digest))),
        ("turns", whole.then(|| json!(told))),
    ];
    if let Some(object) = value.as_object_mut() {
        object.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    value
}

//! `POST /api/events`: a trusted system tells what happened.
//!
//! In our own form, or as CloudEvents (structured, batch or binary; [`cloud`]). All become [`Event`]s of the source `api`. The answer is
//! 202 when they are on disk. An event is known by its id: the body's, or the `Idempotency-Key`, or a CloudEvent's source and id. The same
//! again within 72 hours is answered with `duplicate`; another event under an id or key that was used is refused with 422 (but for
//! CloudEvents, of which source and id alone say which one it is).

mod cloud;

use super::App;
use super::chat::TenantQuery;
use crate::gateway::idempotency::{key_of, scoped};
use crate::gateway::input::{BODY_BYTES, Params, essence, parse, raw_body};
use crate::gateway::keys::Scope;
use crate::gateway::rate::{Allowance, Check};
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use confab_engine::events::accept::digest;
use confab_engine::events::{API, AcceptError, DATA_BYTES, Event, Given, SUBJECTS, Taken, name_problem, text_problem};
use confab_engine::turn::now_millis;
use confab_engine::{BotId, ConnectionId, TenantId};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// Events of one batch.
const BATCH: usize = 100;

/// An event in our own form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventRequest {
    event: String,
    #[serde(default)]
    data: Value,
    id: Option<String>,
    bot: Option<String>,
    #[serde(default)]
    subjects: Vec<String>,
    occurred_at: Option<String>,
    connection: Option<String>,
}

/// What one request says, before it is known whose it is.
struct Told {
    name: String,
    data: Value,
    /// The id that the sender gave, if it gave one.
    id: Option<String>,
    subjects: Vec<String>,
    occurred_at: Option<String>,
    origin: Option<String>,
    bot: Option<String>,
    connection: Option<String>,
    /// Where it is in the body, for refusals.
    at: String,
    /// What its name is called there.
    name_field: &'static str,
}

/// `POST /api/events`
pub(crate) async fn accept(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<TenantQuery>,
    request: Request,
) -> Result<Response, Problem> {
    caller.needs(Scope::Events)?;
    let tenant = caller.tenant(query.tenant.as_ref())?;
    if !app.engine.registry().tenants.contains_key(&tenant) {
        return Err(Problem::invalid_input(format!("there is no tenant `{tenant}`")));
    }
    let mut allowance = None;
    if let Caller::Key(key) = &caller {
        let subject = format!("k/{}", key.id);
        let limit = key.rate.unwrap_or(app.rates.key);
        allowance = Some(app.limiter.take(&[Check { policy: "key", subject: &subject, limit }])?);
    }
    let headers = request.headers().clone();
    let form = essence(&request);
    let body = raw_body(request, BODY_BYTES).await?;
    let mut batch = false;
    let told = match form.as_str() {
        "application/cloudevents+json" => vec![cloud::structured(parse(&body)?, "")?],
        "application/cloudevents-batch+json" => {
            batch = true;
            let events: Vec<Value> = parse(&body)?;
            if events.len() > BATCH {
                let detail = format!("a batch has at most {BATCH} events, this one has {}", events.len());
                return Err(Problem::invalid_input(detail));
            }
            let events = events.into_iter().enumerate();
            events.map(|(at, event)| cloud::structured(event, &format!("/{at}"))).collect::<Result<_, _>>()?
        }
        other if other.starts_with("application/cloudevents") => {
            return Err(Problem::unsupported_media_type("CloudEvents are taken as JSON: application/cloudevents+json"));
        }
        _ if cloud::is_binary(&headers) => vec![cloud::binary(&headers, &form, &body)?],
        "application/json" => vec![ours(parse(&body)?)],
        _ => {
            let detail =
                "send `content-type: application/json`, application/cloudevents+json or a CloudEvent in binary mode";
            return Err(Problem::unsupported_media_type(detail));
        }
    };
    let key = if batch { None } else { key_of(&headers, None)? };
    let digest = digest(&body);
    let mut given = Vec::with_capacity(told.len());
    for told in told {
        given.push(checked(&app, &caller, &tenant, told, key.as_deref(), &digest)?);
    }
    let taken = app.engine.accept_events(given).await?;
    let shown: Vec<Value> = taken.iter().map(shown).collect();
    let body = match shown.into_iter().next() {
        Some(one) if !batch => one,
        _ => json!({ "events": taken.iter().map(self::shown).collect::<Vec<_>>() }),
    };
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    for (name, value) in allowance.into_iter().flat_map(Allowance::headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// `OPTIONS /api/events`: the handshake of CloudEvents' webhooks (HTTP 1.1 Web Hooks for Event Delivery, 4). Saying yes to anybody gives
/// nothing away: what is sent then needs a key.
pub(crate) async fn handshake(State(app): State<App>, headers: HeaderMap) -> Response {
    let mut response = StatusCode::OK.into_response();
    let answered = response.headers_mut();
    answered.insert(http::header::ALLOW, HeaderValue::from_static("OPTIONS, POST"));
    if let Some(origin) = headers.get("webhook-request-origin") {
        answered.insert("webhook-allowed-origin", origin.clone());
        answered.insert("webhook-allowed-rate", HeaderValue::from(app.rates.key));
    }
    response
}

fn shown(taken: &Taken) -> Value {
    json!({ "id": taken.id, "status": if taken.duplicate { "duplicate" } else { "accepted" } })
}

fn ours(request: EventRequest) -> Told {
    let EventRequest { event, data, id, bot, subjects, occurred_at, connection } = request;
    let (at, name_field) = (String::new(), "event");
    Told { name: event, data, id, subjects, occurred_at, origin: None, bot, connection, at, name_field }
}

/// An event that can be taken in, with the names that it is known by.
fn checked(
    app: &App,
    caller: &Caller,
    tenant: &TenantId,
    told: Told,
    key: Option<&str>,
    digest: &str,
) -> Result<Given, Problem> {
    let at = |field: &str| format!("{}/{field}", told.at);
    let wrong = |field: &str, detail: String| Err(Problem::invalid_input(detail).at(&at(field)));
    if let Some(problem) = name_problem(&told.name) {
        return wrong(told.name_field, format!("the name of an event {problem}"));
    }
    if told.subjects.len() > SUBJECTS {
        return wrong(
            "subjects",
            format!("an event has at most {SUBJECTS} subjects, this one has {}", told.subjects.len()),
        );
    }
    if let Some((number, problem)) = told.subjects.iter().enumerate().find_map(|(n, s)| Some((n, text_problem(s)?))) {
        return wrong(&format!("subjects/{number}"), format!("a subject {problem}"));
    }
    if let Some(problem) = told.id.as_deref().and_then(text_problem) {
        return wrong("id", format!("an id {problem}"));
    }
    if told.data.to_string().len() > DATA_BYTES {
        return wrong("data", format!("an event's data has at most {DATA_BYTES} bytes as JSON"));
    }
    if told.occurred_at.as_deref().is_some_and(|moment| moment.parse::<jiff::Timestamp>().is_err()) {
        return wrong("occurred_at", "must be a moment as RFC 3339 has it: 2026-11-22T10:32:00Z".to_owned());
    }
    let bound = matches!(caller, Caller::Key(key) if key.bot.is_some());
    let bot: Option<BotId> = match (&told.bot, bound) {
        (None, false) => None,
        (named, _) => Some(caller.bot(app, tenant, named.as_deref())?),
    };
    let connection: Option<ConnectionId> = match &told.connection {
        None => None,
        Some(name) => {
            let id = name.parse().ok().filter(|id| app.engine.registry().connection(tenant, id).is_some());
            let unknown = || Problem::unknown_connection(format!("there is no connection `{}`", name.escape_debug()));
            Some(id.ok_or_else(|| unknown().at(&at("connection")))?)
        }
    };
    // A key is its client's own; an id is the tenant's.
    let named = key.map(|key| scoped(caller, key, &[]).name);
    let of_key =
        named.as_deref().map(|named| format!("key-{}", confab_engine::events::accept::digest(named.as_bytes())));
    let id = told.id.clone().or_else(|| of_key.clone()).unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    // Of CloudEvents, source and id alone say which one it is: what is made anew under them (with another `time`) is the same.
    let is_cloud = told.origin.is_some();
    let names = told.id.iter().cloned().chain(of_key).filter(|_| !is_cloud).collect();
    let Told { name, data, subjects, occurred_at, origin, .. } = told;
    let event = Event {
        tenant: tenant.clone(),
        source: API.to_owned(),
        id,
        name,
        data,
        subjects,
        occurred_at,
        received_at: now_millis(),
        digest: digest.to_owned(),
        origin,
        bot,
        connection,
        replay: 0,
    };
    Ok(Given { event, names })
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Reused(_) => Problem::key_reused(error.to_string()),
            AcceptError::Store(error) => error.into(),
        }
    }
}

//! Conversations as they are read and as people answer them.
//!
//! | route | what |
//! |---|---|
//! | `GET /api/conversations/{id}` | the transcript |
//! | `GET /api/conversations/{id}/messages` | what is new since, waiting for it |
//! | `POST /api/conversations/{id}/messages` | somebody of the tenant's people answers |
//! | `POST /api/conversations/{id}/claim`, `.../release` | they take it over, and give it back |
//! | `GET /api/handoffs` | which conversations people have or should take |

use super::App;
use super::chat::{MESSAGE_CHARS, TenantQuery};
use crate::gateway::idempotency::{key_of, scoped};
use crate::gateway::input::{JsonBody, Params, PathParams, line, message, normalised};
use crate::gateway::keys::Scope;
use crate::gateway::request::RequestId;
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use confab_engine::conversation::{Entry, Owner};
use confab_engine::{Access, BotId, ConversationId, Inbound, PeopleStep, TenantId, TurnRequest, Visitor};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Most turns of one answer.
const PAGE: usize = 200;

#[derive(Debug, Deserialize)]
pub(crate) struct TranscriptQuery {
    tenant: Option<TenantId>,
    bot: Option<String>,
    visitor: Option<String>,
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    /// Seconds to wait for something new, where that is asked for.
    #[serde(default)]
    wait: u64,
}

/// The transcript.
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<TranscriptQuery>,
) -> Result<Json<Value>, Problem> {
    let Reader { tenant, bot, id, owner } = Reader::of(&app, &caller, &id, &query)?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let transcript = app.engine.transcript(&tenant, &bot, id, owner.as_ref(), query.after, limit).await?;
    let next = transcript.more.then(|| transcript.entries.last().map(|(number, _)| *number)).flatten();
    let messages: Vec<Value> = transcript.entries.iter().flat_map(|(number, entry)| messages(*number, entry)).collect();
    let over = transcript.handed_over.map(
        |over| json!({"since": time(over.since), "reason": over.reason, "summary": over.summary, "agent": over.by}),
    );
    Ok(Json(json!({
        "conversation_id": transcript.id, "bot": bot, "began_at": time(transcript.began), "messages": messages, "after": next,
        "handoff": over,
    })))
}

/// A turn as messages: what came in, then what was said.
fn messages(number: u64, entry: &Entry) -> Vec<Value> {
    let at = time(entry.at);
    let agent = entry.kind == "agent";
    let from = if entry.kind == "message" { "visitor" } else { "event" };
    // What an agent did is told by the reply itself, and by events where there is none.
    let mut all = Vec::with_capacity(1 + entry.replies.len());
    if !agent || entry.replies.is_empty() {
        let text = if agent { format!("agent.{}", entry.text) } else { entry.text.clone() };
        all.push(json!({"turn": number, "turn_id": entry.turn, "at": at, "from": from, "text": text}));
    }
    all.extend(entry.replies.iter().map(|reply| {
        let from = if agent && entry.by.is_some() { "agent" } else { "bot" };
        let mut message = json!({"turn": number, "turn_id": entry.turn, "at": at, "from": from});
        if let (Some(message), Ok(Value::Object(reply))) = (message.as_object_mut(), serde_json::to_value(reply)) {
            message.extend(reply);
            if let Some(by) = &entry.by {
                message.insert("agent".to_owned(), Value::from(by.as_str()));
            }
        }
        message
    }));
    all
}

/// Longest wait for something new, in seconds: below the time that proxies and browsers allow a request.
const LONGEST_WAIT_S: u64 = 25;

/// What was said after a turn. With `wait` the answer comes when there is something, or after that time.
pub(crate) async fn news(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<TranscriptQuery>,
) -> Result<Json<Value>, Problem> {
    let Reader { tenant, bot, id, owner } = Reader::of(&app, &caller, &id, &query)?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(query.wait.min(LONGEST_WAIT_S));
    loop {
        // Subscribed before it is looked, so that nothing is said in between.
        let mut said = app.engine.said();
        let news = app.engine.transcript(&tenant, &bot, id, owner.as_ref(), query.after, limit).await?;
        if !news.entries.is_empty() || tokio::time::Instant::now() >= deadline || app.stopping.load(Ordering::Relaxed) {
            let after = news.entries.last().map_or(query.after, |(number, _)| *number);
            let messages: Vec<Value> =
                news.entries.iter().flat_map(|(number, entry)| messages(*number, entry)).collect();
            return Ok(Json(json!({
                "conversation_id": news.id, "messages": messages, "after": after, "more": news.more,
                "with_people": news.handed_over.is_some(),
            })));
        }
        let look = (tokio::time::Instant::now() + LOOK_AT_OTHERS).min(deadline);
        let _ = tokio::time::timeout_at(look, said.wait_for(id)).await;
    }
}

/// What other hosts say is looked for this often.
const LOOK_AT_OTHERS: Duration = Duration::from_secs(1);

/// What somebody of the tenant's people does.
#[derive(Debug, Deserialize)]
pub(crate) struct PeopleBody {
    /// Who it is, as the visitor reads it.
    agent: String,
    #[serde(default)]
    bot: Option<String>,
    #[serde(default)]
    text: Option<String>,
}

/// Somebody takes a conversation over.
pub(crate) async fn claim(call: PeopleCall) -> Result<Json<Value>, Problem> {
    let by = call.agent()?;
    call.make(PeopleStep::Claim { by }).await
}

/// Somebody gives a conversation back to the bot.
pub(crate) async fn release(call: PeopleCall) -> Result<Json<Value>, Problem> {
    let by = call.agent()?;
    call.make(PeopleStep::Release { by }).await
}

/// Somebody answers.
pub(crate) async fn reply(call: PeopleCall) -> Result<Json<Value>, Problem> {
    let by = call.agent()?;
    let wanted = || Problem::invalid_input("say what the visitor is to read").at("/text");
    let text = message("/text", call.body.text.as_deref().ok_or_else(wanted)?, MESSAGE_CHARS)?;
    call.make(PeopleStep::Reply { by, text }).await
}

/// A request of somebody of the tenant's people about a conversation.
pub(crate) struct PeopleCall {
    app: App,
    caller: Caller,
    tenant: TenantId,
    bot: BotId,
    id: ConversationId,
    request_id: RequestId,
    headers: HeaderMap,
    body: PeopleBody,
}

impl FromRequest<App> for PeopleCall {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<PeopleCall, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, app).await?;
        let PathParams(id) = PathParams::<String>::from_request_parts(&mut parts, app).await?;
        let Params(query) = Params::<TenantQuery>::from_request_parts(&mut parts, app).await?;
        let request_id = parts.extensions.get::<RequestId>().cloned();
        let request_id = request_id.ok_or_else(|| Problem::internal("the request has no id"))?;
        let headers = parts.headers.clone();
        let JsonBody(body) = JsonBody::<PeopleBody>::from_request(Request::from_parts(parts, body), app).await?;
        caller.needs(Scope::People)?;
        let tenant = caller.tenant(query.tenant.as_ref())?;
        let bot = caller.bot(app, &tenant, body.bot.as_deref())?;
        let id = id.parse().map_err(|_| Problem::unknown_conversation("there is no such conversation"))?;
        Ok(PeopleCall { app: app.clone(), caller, tenant, bot, id, request_id, headers, body })
    }
}

impl PeopleCall {
    fn agent(&self) -> Result<String, Problem> {
        line("/agent", &self.body.agent, AGENT_CHARS)
    }

    /// Does it, as a turn of the conversation.
    async fn make(self, step: PeopleStep) -> Result<Json<Value>, Problem> {
        let content = format!("{} {step:?}", self.id);
        let key = key_of(&self.headers, None)?.map(|key| scoped(&self.caller, &key, content.as_bytes()));
        let request = TurnRequest {
            tenant: self.tenant,
            bot: self.bot,
            conversation: Some(self.id),
            visitor: Visitor::default(),
            inbound: Inbound::People(step),
            locale: None,
            request_id: self.request_id.0,
            key,
            access: Access::Tenant,
        };
        let answer = self.app.engine.turn(request).await?;
        Ok(Json(json!({
            "conversation_id": answer.conversation, "turn_id": answer.turn, "with_people": answer.with_people,
        })))
    }
}

/// Longest name of an agent.
const AGENT_CHARS: usize = 100;
/// Most conversations of a list.
const HANDOFFS: usize = 500;

/// `?tenant=&bot=`
#[derive(Debug, Deserialize)]
pub(crate) struct BotQuery {
    tenant: Option<TenantId>,
    bot: Option<String>,
}

/// The conversations that people have, or should take: those that have waited longest first.
pub(crate) async fn handoffs(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<BotQuery>,
) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::People)?;
    let tenant = caller.tenant(query.tenant.as_ref())?;
    let bot = caller.bot(&app, &tenant, query.bot.as_deref())?;
    let open = app.engine.handed_over(&tenant, &bot, HANDOFFS).await?;
    let open: Vec<Value> = open
        .iter()
        .map(|(id, over)| {
            json!({
                "conversation_id": id, "since": time(over.since), "reason": over.reason, "summary": over.summary,
                "agent": over.by, "state": if over.by.is_some() { "claimed" } else { "requested" },
            })
        })
        .collect();
    Ok(Json(json!({ "bot": bot, "handoffs": open })))
}

/// Whose transcript is read.
struct Reader {
    tenant: TenantId,
    bot: BotId,
    id: ConversationId,
    /// None for who may read all.
    owner: Option<Owner>,
}

impl Reader {
    /// A key without the scope `transcripts` (or `people`) reads only conversations of the visitor it names.
    fn of(app: &App, caller: &Caller, id: &str, query: &TranscriptQuery) -> Result<Reader, Problem> {
        let all = caller.has(Scope::Transcripts) || caller.has(Scope::People);
        if !all {
            caller.needs(Scope::Chat)?;
        }
        let tenant = caller.tenant(query.tenant.as_ref())?;
        let bot = caller.bot(app, &tenant, query.bot.as_deref())?;
        let id = id.parse().map_err(|_| Problem::unknown_conversation("there is no such conversation"))?;
        let visitor = query.visitor.as_deref().map(normalised);
        Ok(Reader { tenant, bot, id, owner: (!all).then(|| Owner::of(visitor.as_deref())) })
    }
}

pub(crate) fn time(ms: u64) -> Option<String> {
    i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).map(|at| at.to_string())
}

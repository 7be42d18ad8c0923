//! `GET /api/conversations/{id}`: the transcript.

use super::App;
use crate::gateway::input::{Params, PathParams, normalised};
use crate::gateway::keys::Scope;
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::State;
use confab_engine::TenantId;
use confab_engine::conversation::{Entry, Owner};
use serde::Deserialize;
use serde_json::{Value, json};

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
}

/// The handler. A key without the scope `transcripts` reads only conversations of the visitor it names.
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<TranscriptQuery>,
) -> Result<Json<Value>, Problem> {
    let all = caller.has(Scope::Transcripts);
    if !all {
        caller.needs(Scope::Chat)?;
    }
    let tenant = caller.tenant(query.tenant.as_ref())?;
    let bot = caller.bot(&app, &tenant, query.bot.as_deref())?;
    let id = id.parse().map_err(|_| Problem::unknown_conversation("there is no such conversation"))?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let visitor = query.visitor.as_deref().map(normalised);
    let owner = Owner::of(visitor.as_deref());
    let owner = (!all).then_some(&owner);
    let transcript = app.engine.transcript(&tenant, &bot, id, owner, query.after, limit).await?;
    let next = transcript.more.then(|| transcript.entries.last().map(|(number, _)| *number)).flatten();
    let messages: Vec<Value> = transcript.entries.iter().flat_map(|(number, entry)| messages(*number, entry)).collect();
    Ok(Json(json!({
        "conversation_id": transcript.id, "bot": bot, "began_at": time(transcript.began), "messages": messages, "after": next,
    })))
}

/// A turn as messages: what came in, then what the bot said.
fn messages(number: u64, entry: &Entry) -> Vec<Value> {
    let at = time(entry.at);
    let mut all = vec![json!({
        "turn": number, "turn_id": entry.turn, "at": at,
        "from": if entry.kind == "message" { "visitor" } else { "event" }, "text": entry.text,
    })];
    all.extend(entry.replies.iter().map(|reply| {
        let mut message = json!({"turn": number, "turn_id": entry.turn, "at": at, "from": "bot"});
        if let (Some(message), Ok(Value::Object(reply))) = (message.as_object_mut(), serde_json::to_value(reply)) {
            message.extend(reply);
        }
        message
    }));
    all
}

pub(crate) fn time(ms: u64) -> Option<String> {
    i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).map(|at| at.to_string())
}

//! `POST /api/chat`: a message in, the bot's answer out.

use super::App;
use crate::gateway::idempotency::{REPLAYED, key_of, scoped};
use crate::gateway::input::{JsonBody, Params, line, message};
use crate::gateway::keys::Scope;
use crate::gateway::rate::Check;
use crate::gateway::request::RequestId;
use crate::gateway::{Caller, Problem};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use confab_engine::conversation::StoredReply;
use confab_engine::{Access, Inbound, TenantId, TurnRequest, Visitor};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

/// Longest message, in characters: two pages. Longer texts belong into a file.
pub(crate) const MESSAGE_CHARS: usize = 4_000;
/// Longest name, e-mail address and the like, in characters.
const FIELD_CHARS: usize = 200;

/// What a client sends. Unknown members are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatRequest {
    message: String,
    #[serde(default)]
    conversation_id: Option<String>,
    #[serde(default)]
    bot: Option<String>,
    #[serde(default)]
    locale: Option<String>,
    #[serde(default)]
    visitor: Option<VisitorInput>,
    /// The client's own name for the message: as good as an `Idempotency-Key`.
    #[serde(default)]
    client_message_id: Option<String>,
}

/// A visitor: an id, or an object with more.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "wanted the visitor's id as a string, or an object with id, name, email and phone as strings"
)]
enum VisitorInput {
    Id(String),
    Full {
        id: Option<String>,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        email: Option<String>,
        #[serde(default)]
        phone: Option<String>,
    },
}

/// What a client gets.
#[derive(Debug, Serialize)]
pub(crate) struct ChatResponse {
    /// All texts, joined by line breaks.
    response: String,
    replies: Vec<StoredReply>,
    conversation_id: String,
    turn_id: String,
    intent: Option<Intent>,
    handoff: Option<Handoff>,
    /// Whether people answer the conversation now: their replies come as messages of the conversation.
    with_people: bool,
    /// Whether the message got no answer because a newer one came.
    interrupted: bool,
}

#[derive(Debug, Serialize)]
struct Intent {
    name: String,
    confidence: f32,
}

#[derive(Debug, Serialize)]
struct Handoff {
    reason: String,
    summary: Option<String>,
}

/// `?tenant=` for the operator.
#[derive(Debug, Deserialize)]
pub(crate) struct TenantQuery {
    pub(crate) tenant: Option<TenantId>,
}

/// The handler.
pub(crate) async fn chat(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<TenantQuery>,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ChatRequest>,
) -> Result<Response, Problem> {
    caller.needs(Scope::Chat)?;
    let tenant = caller.tenant(query.tenant.as_ref())?;
    let text = message("/message", &body.message, MESSAGE_CHARS)?;
    let visitor = visitor(body.visitor)?;
    let locale = body.locale.map(|locale| check_locale(&locale)).transpose()?;
    let conversation = match body.conversation_id {
        None => None,
        Some(id) => Some(id.parse().map_err(|_| {
            Problem::unknown_conversation("conversation_id is not one of ours; leave it out to start a conversation")
        })?),
    };
    let bot = caller.bot(&app, &tenant, body.bot.as_deref())?;
    let key = key_of(&headers, body.client_message_id.as_deref())?.map(|key| {
        let content = serde_json::json!([tenant, bot, conversation, visitor, locale, text]).to_string();
        scoped(&caller, &key, content.as_bytes())
    });
    let mut allowance = None;
    if let Caller::Key(key) = &caller {
        let key_subject = format!("k/{}", key.id);
        let who = visitor.id.clone().or_else(|| conversation.map(|c: confab_engine::ConversationId| c.to_string()));
        let visitor_subject = who.map(|who| format!("v/{tenant}/{bot}/{who}"));
        let mut checks = vec![Check { policy: "key", subject: &key_subject, limit: key.rate.unwrap_or(app.rates.key) }];
        if let Some(subject) = &visitor_subject {
            checks.push(Check { policy: "visitor", subject, limit: app.rates.visitor });
        }
        allowance = Some(app.limiter.take(&checks)?);
    }
    let answer = app
        .engine
        .turn(TurnRequest {
            tenant,
            bot,
            conversation,
            visitor,
            inbound: Inbound::Message(text),
            locale,
            request_id: request_id.0,
            key,
            access: Access::Visitor,
        })
        .await?;
    let texts: Vec<&str> =
        answer.replies.iter().map(|reply| reply.text.as_str()).filter(|text| !text.is_empty()).collect();
    let body = ChatResponse {
        response: texts.join("\n"),
        conversation_id: answer.conversation.to_string(),
        turn_id: answer.turn,
        intent: answer.intent.map(|(name, confidence)| Intent { name, confidence }),
        handoff: answer.handoff.map(|(reason, summary)| Handoff { reason, summary }),
        replies: answer.replies,
        with_people: answer.with_people,
        interrupted: answer.interrupted,
    };
    let mut response = Json(body).into_response();
    if answer.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    for (name, value) in allowance.into_iter().flat_map(crate::gateway::rate::Allowance::headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

fn visitor(input: Option<VisitorInput>) -> Result<Visitor, Problem> {
    let field =
        |pointer: &str, value: Option<String>| value.map(|value| line(pointer, &value, FIELD_CHARS)).transpose();
    Ok(match input {
        None => Visitor::default(),
        Some(VisitorInput::Id(id)) => Visitor { id: field("/visitor", Some(id))?, ..Default::default() },
        Some(VisitorInput::Full { id, name, email, phone }) => Visitor {
            id: field("/visitor/id", id)?,
            name: field("/visitor/name", name)?,
            email: field("/visitor/email", email)?,
            phone: field("/visitor/phone", phone)?,
        },
    })
}

/// BCP 47, as far as it matters: letters, digits and dashes.
fn check_locale(locale: &str) -> Result<String, Problem> {
    let good =
        (2..=35).contains(&locale.len()) && locale.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !good {
        return Err(Problem::invalid_input("must be a language tag such as `en` or `de-AT`").at("/locale"));
    }
    Ok(locale.replace('_', "-"))
}

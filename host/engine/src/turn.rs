//! One message in, one answer out.
//!
//! 1. Find the bot.
//! 2. Take the conversation's turn lock and load its head; check whose it is.
//! 3. Run the intent plugin on a fresh instance, with the services it asks for.
//! 4. Commit head, transcript entry and lock in one step.
//!
//! A plugin that fails costs its own conversation one answer: the visitor reads the bot's fallback, the state stays as
//! it was, and the turn is committed like any other.

use crate::conversation::{Entry, FORMAT, Head, Header, Owner, StoredChoice, StoredReply, Transcript};
use crate::engine::Engine;
use crate::error::TurnError;
use crate::failures::Whose;
use crate::ids::{BotId, ConversationId, TenantId};
use crate::registry::{Bot, Slot};
use crate::services::BotServices;
use bytes::Bytes;
use confab_sandbox::engine::NotRun;
use confab_sandbox::{FailureKind, Outcome};
use confab_store::{BeginTurn, Begun, ConversationKey, StoreError, TurnCommit};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Longest wait for an earlier message of the same conversation. Clients give up after about this.
const TURN_WAIT: Duration = Duration::from_secs(20);
/// After this long another host may take the turn over: longer than the longest plugin call with its
/// capability calls, twice, for a new version that fails late.
const TURN_HOLD: Duration = Duration::from_secs(300);
/// Largest state a plugin may keep, in bytes.
const STATE_BYTES: usize = 256 << 10;
/// Most replies of a turn, and bytes of one. More is no answer but a flood.
const REPLIES: usize = 32;
/// See [`REPLIES`].
const REPLY_BYTES: usize = 32 << 10;

/// What a client says of the visitor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// The client's own id of the visitor.
    pub id: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
}

/// What came in.
#[derive(Clone, Debug)]
pub enum Inbound {
    /// A visitor wrote.
    Message(String),
    /// Something happened elsewhere.
    Event {
        /// Its name.
        name: String,
        /// Its data as JSON.
        data: serde_json::Value,
    },
}

/// A turn to be served. Who asks, and that they may, has been checked.
#[derive(Clone, Debug)]
pub struct TurnRequest {
    /// The tenant.
    pub tenant: TenantId,
    /// The bot.
    pub bot: BotId,
    /// The conversation to go on with; none starts one.
    pub conversation: Option<ConversationId>,
    /// Who writes.
    pub visitor: Visitor,
    /// What came in.
    pub inbound: Inbound,
    /// Language that the client asks for (BCP 47).
    pub locale: Option<String>,
    /// Follows the turn through all logs.
    pub request_id: Arc<str>,
}

/// A served turn.
#[derive(Clone, Debug)]
pub struct TurnAnswer {
    /// The conversation, to be named in the next message.
    pub conversation: ConversationId,
    /// The turn.
    pub turn: String,
    /// What the bot says.
    pub replies: Vec<StoredReply>,
    /// What the message was taken for, with confidence.
    pub intent: Option<(String, f32)>,
    /// Set when people should take over: reason and summary.
    pub handoff: Option<(String, Option<String>)>,
    /// Whether the plugin failed and the fallback was said.
    pub failed: bool,
}

impl Engine {
    /// Serves a turn. It runs to its end even when the caller goes away: what was begun in an ERP is also kept.
    ///
    /// # Errors
    /// [`TurnError`]. What goes wrong inside a plugin is no error.
    pub async fn turn(&self, request: TurnRequest) -> Result<TurnAnswer, TurnError> {
        let engine = self.clone();
        let turn: BoxFuture<'static, _> = Box::pin(async move {
            let (tenant, sandbox) = (request.tenant.clone(), engine.sandbox().clone());
            let served = sandbox.run_for(tenant.as_str(), Box::pin(async move { engine.serve(request).await })).await;
            served.unwrap_or_else(|why| match why {
                NotRun::TooMany => Err(TurnError::Overloaded),
                NotRun::Stopping => Err(TurnError::Internal("the host is stopping".into())),
            })
        });
        ToTheEnd { turn: Some(turn), token: Some(self.inner.turns.token()), tracker: self.inner.turns.clone() }.await
    }

    async fn serve(&self, request: TurnRequest) -> Result<TurnAnswer, TurnError> {
        let started = Instant::now();
        let bot = self.ready_bot(&request.tenant, &request.bot)?;
        let now = now_millis();
        let (id, known) = match request.conversation {
            Some(id) => (id, true),
            None => (ConversationId::new(), false),
        };
        let key = ConversationKey::new(request.tenant.as_str(), request.bot.as_str(), id.to_string());
        let begin = BeginTurn { wait: TURN_WAIT, hold: TURN_HOLD, most_waiting: 16, answer_key: None };
        let Begun::Open(open) = self.inner.store.begin_turn(&key, begin).await.map_err(busy)? else {
            return Err(TurnError::Busy);
        };
        let head = match (open.head.as_ref().and_then(Head::decode), known) {
            (Some(head), true) if head.header.owner == Owner::of(request.visitor.id.as_deref()) => head,
            (None, false) => Head {
                header: Header { v: FORMAT, owner: Owner::of(request.visitor.id.as_deref()), began: now, locale: None },
                state: Bytes::new(),
            },
            _ => {
                self.inner.store.abandon_turn(open.lease).await;
                return Err(TurnError::UnknownConversation);
            }
        };
        let watch = &self.inner.watch;
        let turn = self.inner.turn_id();
        let number = u32::try_from(open.turns + 1).unwrap_or(u32::MAX);
        let locale = request.locale.clone().or_else(|| head.header.locale.clone());
        let (kind, text, data) = match &request.inbound {
            Inbound::Message(text) => ("message", text.clone(), None),
            Inbound::Event { name, data } => ("event", name.clone(), Some(data.to_string())),
        };
        let services = BotServices::new(
            &self.inner,
            bot.clone(),
            key.id.clone(),
            turn.clone(),
            request.request_id.clone(),
            locale.clone(),
            now,
        );
        let input = confab_sandbox::Turn {
            id: turn.clone(),
            conversation: key.id.clone(),
            number,
            kind: kind.to_owned(),
            text: text.clone(),
            data,
            locale: locale.clone(),
            visitor: confab_sandbox::Visitor {
                id: request.visitor.id.clone(),
                verified: false,
                name: request.visitor.name.clone(),
                email: request.visitor.email.clone(),
                phone: request.visitor.phone.clone(),
            },
            state: head.state.to_vec(),
        };
        let whose = Whose {
            tenant: bot.tenant.as_str(),
            bot: Some(bot.id.as_str()),
            connection: None,
            conversation: Some(&key.id),
            turn: Some(&turn),
            request_id: &request.request_id,
        };
        let outcome = match crate::net::handle(watch, &bot, &whose, services, input).await {
            Ok(kept) => Ok(kept),
            Err(failure) if failure.kind == FailureKind::Overloaded => {
                self.inner.store.abandon_turn(open.lease).await;
                return Err(TurnError::Overloaded);
            }
            Err(failure) if failure.kind == FailureKind::Quota => {
                self.inner.store.abandon_turn(open.lease).await;
                return Err(TurnError::Quota { retry_after_s: self.sandbox().fuel_in_s(bot.tenant.as_str()) });
            }
            Err(failure) => Err(failure.to_string()),
        };
        let mut header = head.header;
        header.locale = locale.clone();
        let (said, state, failure) = match outcome {
            Ok((said, state)) => (said, state, None),
            Err(message) => {
                tracing::warn!(tenant = %bot.tenant, bot = %bot.id, conversation = %id, turn, request_id = %request.request_id, "fallback answered: {message}");
                (fallback(&bot, locale.as_deref()), head.state, Some(message))
            }
        };
        let entry = Entry {
            turn: turn.clone(),
            at: now,
            kind: kind.to_owned(),
            text,
            replies: said.replies,
            intent: said.intent.as_ref().map(|(name, _)| name.clone()),
            failure,
        };
        let failed = entry.failure.is_some();
        let stored = serde_json::to_vec(&entry).map_err(|e| TurnError::Internal(e.to_string()))?;
        let commit = TurnCommit {
            head: Head { header, state }.encode(),
            entries: vec![Bytes::from(stored)],
            expires_in: bot.conversation_ttl,
            ..TurnCommit::default()
        };
        self.inner.store.commit_turn(open.lease, commit).await.map_err(busy)?;
        let metrics = bot.metrics();
        if failed { &metrics.fallback } else { &metrics.answered }.increment(1);
        metrics.seconds.record(started.elapsed().as_secs_f64());
        Ok(TurnAnswer {
            conversation: id,
            turn,
            replies: entry.replies,
            intent: said.intent,
            handoff: said.handoff,
            failed,
        })
    }

    pub(crate) fn ready_bot(&self, tenant: &TenantId, bot: &BotId) -> Result<Arc<Bot>, TurnError> {
        match self.registry().bot(tenant, bot) {
            Some(Slot::Ready(bot)) => Ok(bot.clone()),
            Some(Slot::Broken(reason)) => Err(TurnError::BotNotReady { bot: bot.to_string(), reason: reason.clone() }),
            None => Err(TurnError::UnknownBot(bot.to_string())),
        }
    }

    /// A part of a conversation's transcript, after entry number `after`. `owner` none reads it as the tenant.
    ///
    /// # Errors
    /// [`TurnError::UnknownConversation`] also when it is somebody else's.
    pub async fn transcript(
        &self,
        tenant: &TenantId,
        bot: &BotId,
        id: ConversationId,
        owner: Option<&Owner>,
        after: u64,
        limit: usize,
    ) -> Result<Transcript, TurnError> {
        let key = ConversationKey::new(tenant.as_str(), bot.as_str(), id.to_string());
        let stored = self.inner.store.head(&key).await?.ok_or(TurnError::UnknownConversation)?;
        let head = Head::decode(&stored).ok_or(TurnError::UnknownConversation)?;
        if owner.is_some_and(|owner| *owner != head.header.owner) {
            return Err(TurnError::UnknownConversation);
        }
        let mut stored = self.inner.store.transcript(&key, after, limit + 1).await?;
        let more = stored.len() > limit;
        stored.truncate(limit);
        let entries = stored
            .into_iter()
            .filter_map(|(number, bytes)| serde_json::from_slice(&bytes).ok().map(|entry| (number, entry)))
            .collect();
        Ok(Transcript { id, began: head.header.began, entries, more })
    }
}

fn busy(error: StoreError) -> TurnError {
    match error {
        StoreError::Busy | StoreError::LeaseLost => TurnError::Busy,
        other => TurnError::Store(other),
    }
}

/// Holds an outcome against what a plugin may return.
pub(crate) fn check(outcome: Outcome) -> Result<(Said, Bytes), String> {
    if outcome.state.len() > STATE_BYTES {
        return Err(format!("returned a state of {} bytes, at most {STATE_BYTES} are kept", outcome.state.len()));
    }
    if outcome.replies.len() > REPLIES {
        return Err(format!("returned {} replies, at most {REPLIES} are sent", outcome.replies.len()));
    }
    let mut replies = Vec::with_capacity(outcome.replies.len());
    for reply in outcome.replies {
        let choices: usize = reply.choices.iter().map(|choice| choice.label.len() + choice.value.len() + 1).sum();
        let data = reply.data.as_ref().map_or(0, String::len);
        if [reply.text.len(), data, reply.kind.len() + choices].iter().any(|bytes| *bytes > REPLY_BYTES) {
            return Err(format!("returned a reply of more than {REPLY_BYTES} bytes"));
        }
        let data = match &reply.data {
            Some(data) => {
                Some(serde_json::from_str(data).map_err(|e| format!("returned a reply whose data is no JSON: {e}"))?)
            }
            None => None,
        };
        let choices = reply.choices.into_iter().map(|c| StoredChoice { label: c.label, value: c.value }).collect();
        replies.push(StoredReply { kind: reply.kind, text: reply.text, choices, data });
    }
    let intent = outcome.intent.as_ref().map_or(0, |intent| intent.name.len());
    let handoff = outcome.handoff.as_ref().map_or(0, |h| h.reason.len() + h.summary.as_ref().map_or(0, String::len));
    if intent + handoff > REPLY_BYTES {
        return Err(format!("returned an intent and a handoff of more than {REPLY_BYTES} bytes"));
    }
    let state = if outcome.ended { Bytes::new() } else { Bytes::from(outcome.state) };
    let said = Said {
        replies,
        intent: outcome.intent.map(|intent| (intent.name, intent.confidence)),
        handoff: outcome.handoff.map(|handoff| (handoff.reason, handoff.summary)),
    };
    Ok((said, state))
}

/// What a turn came to, before it has its ids.
#[derive(Default)]
pub(crate) struct Said {
    replies: Vec<StoredReply>,
    intent: Option<(String, f32)>,
    handoff: Option<(String, Option<String>)>,
}

/// The bot's own words for a failure, in the visitor's language where there are such.
fn fallback(bot: &Bot, locale: Option<&str>) -> Said {
    let language = locale.and_then(|locale| locale.split(['-', '_']).next()).unwrap_or_default();
    let text = bot.fallback.get(language).or_else(|| bot.fallback.get("")).cloned().unwrap_or_default();
    let reply = StoredReply { kind: "text".into(), text, choices: Vec::new(), data: None };
    Said { replies: vec![reply], ..Said::default() }
}

/// A turn that goes on in a task of its own when its caller goes away. Until then it runs in the caller's:
/// a task for each turn would cost a hand-over between threads.
struct ToTheEnd<T: Send + 'static> {
    turn: Option<BoxFuture<'static, T>>,
    token: Option<TaskTrackerToken>,
    tracker: TaskTracker,
}

impl<T: Send + 'static> Future for ToTheEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(turn) = &mut self.turn else { return Poll::Pending };
        let outcome = turn.as_mut().poll(cx);
        if outcome.is_ready() {
            self.turn = None;
            self.token = None;
        }
        outcome
    }
}

impl<T: Send + 'static> Drop for ToTheEnd<T> {
    fn drop(&mut self) {
        if let (Some(turn), Ok(runtime)) = (self.turn.take(), tokio::runtime::Handle::try_current()) {
            self.tracker.spawn_on(turn, &runtime);
        }
    }
}

/// Now, in milliseconds since 1970.
pub fn now_millis() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

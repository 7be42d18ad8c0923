//! One message in, one answer out.
//!
//! | module | what it is |
//! |---|---|
//! | [`accepted`] | the turn as it came in, with all that could differ between two runs of it |
//! | [`serve`] | its steps: lock, what another host left, plugin, commit |
//! | [`journal`] | what its calls came to, so that any host can go on with it |
//! | [`interrupt`] | turns that a newer message ends |
//! | [`merge`] | messages that become one turn |
//! | [`outcome`] | what it came to |
//! | [`leave`] | what it leaves behind |
//! | [`record`] | what is kept of it |
//! | [`people`] | turns that people decide, not the plugin |
//! | [`transcript`] | reading back |
//!
//! A plugin that fails costs its own conversation one answer: the visitor reads the bot's fallback, the state stays as
//! it was, and the turn is committed like any other.

pub(crate) mod accepted;
mod commit;
pub(crate) mod interrupt;
pub(crate) mod journal;
pub(crate) mod leave;
pub(crate) mod merge;
pub mod outcome;
pub(crate) mod people;
pub(crate) mod record;
mod serve;
mod transcript;

use crate::conversation::StoredReply;
use crate::engine::Engine;
use crate::error::TurnError;
use crate::ids::{BotId, ConversationId, TenantId};
use confab_sandbox::engine::NotRun;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

pub use accepted::{IdempotencyKey, KEEP};
pub use outcome::Said;
pub use people::PeopleStep;
pub(crate) use serve::turn_input;
pub use transcript::Heard;

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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// Something happened elsewhere, and what is to be said is known without the plugin.
    Told {
        /// The event's name.
        name: String,
        /// What is said, by language; `""` for any other.
        texts: std::collections::BTreeMap<String, String>,
    },
    /// People take part.
    People(PeopleStep),
}

/// Who may write into a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever the request's visitor is: the conversation must be theirs.
    Visitor,
    /// The tenant's own systems and people, and the host.
    Tenant,
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
    /// The client's name for the request, if it gave one.
    pub key: Option<IdempotencyKey>,
    /// In whose name it is made.
    pub access: Access,
}

/// A served turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// Whether people answer this conversation now: the bot says nothing.
    #[serde(default)]
    pub with_people: bool,
    /// Whether it was given up for a newer message.
    #[serde(default)]
    pub interrupted: bool,
    /// Whether it was served before: this is what was answered then.
    #[serde(skip)]
    pub replayed: bool,
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

//! What people do with a webhook: look how it stands, test it, have messages sent again, disable and enable it.

use super::deliver::{Attempt, Note};
use super::lane_of;
use super::message::{Message, millis, time};
use super::ready::{Hook, Webhook};
use super::standard::Key;
use super::state::{Delivery, Disabled, Kept, Memory, State, Why};
use crate::engine::Engine;
use crate::ids::{BotId, TenantId, WebhookId};
use crate::registry::Slot;
use crate::turn::now_millis;
use bytes::Bytes;
use confab_store::{Once, Push, StoreError};
use serde_json::{Map, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Characters of a receiver's answer that a test shows.
const ANSWER_CHARS: usize = 1_000;

/// Why something could not be done with a webhook.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// There is no such webhook.
    #[error("tenant `{0}` has no webhook `{1}`")]
    Unknown(TenantId, WebhookId),
    /// It could not be made ready.
    #[error("webhook `{0}` is not ready: {1}")]
    NotReady(WebhookId, String),
    /// Nothing that could be sent again.
    #[error("message `{0}` is not among the last messages that this webhook took; one that waits is sent by itself")]
    NoMessage(String),
    /// The store can't serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a webhook stands.
#[derive(Clone, Debug)]
pub struct WebhookState {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: WebhookId,
    /// Where it is.
    pub url: String,
    /// Which events it wants.
    pub events: Vec<String>,
    /// Of which bots; none for all.
    pub bots: Vec<BotId>,
    /// What it is for.
    pub description: Option<String>,
    /// The public keys of its signatures, where it signs with Ed25519.
    pub public_keys: Vec<String>,
    /// Why it is not ready.
    pub broken: Option<String>,
    /// That it is disabled.
    pub disabled: Option<Disabled>,
    /// Messages that wait.
    pub waiting: u64,
    /// Tries of the oldest one that failed.
    pub tries: u32,
    /// When it is tried again, milliseconds since 1970; none if nothing waits, or it is disabled.
    pub next_at: Option<u64>,
    /// When it took a message last, milliseconds since 1970.
    pub last_success_at: Option<u64>,
}

/// What is to be sent again.
#[derive(Clone, Debug)]
pub enum Replay {
    /// The message of this id.
    Message(String),
    /// What happened from then on, and before then: milliseconds since 1970.
    Range(u64, u64),
}

impl Replay {
    fn takes(&self, message: &Message) -> bool {
        match self {
            Replay::Message(id) => message.id == *id,
            Replay::Range(since, until) => millis(&message.timestamp).is_some_and(|at| (*since..*until).contains(&at)),
        }
    }
}

impl Engine {
    /// How webhooks stand: those of a tenant, or all.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn webhooks(&self, tenant: Option<&TenantId>) -> Result<Vec<WebhookState>, StoreError> {
        let registry = self.inner.registry.load_full();
        let tenants = registry.tenants.values().filter(|one| tenant.is_none_or(|tenant| one.doc.id == *tenant));
        let mut states = Vec::new();
        for hook in tenants.flat_map(|tenant| tenant.webhooks.values()) {
            states.push(self.webhook_state(hook).await?);
        }
        states.sort_by(|a, b| (&a.tenant, &a.id).cmp(&(&b.tenant, &b.id)));
        Ok(states)
    }

    async fn webhook_state(&self, hook: &Hook) -> Result<WebhookState, StoreError> {
        let Hook { doc, slot } = hook;
        let (store, name) = (&*self.inner.store, lane_of(&doc.tenant, &doc.id));
        let memory = Memory::of(store, &doc.tenant, &doc.id);
        let (state, last) = (memory.state().await?, memory.last().await?);
        let lane = store.lanes(&name, 1).await?.into_iter().find(|lane| lane.lane == name);
        let due = lane.as_ref().map(|lane| u64::try_from(lane.due_in.as_millis()).unwrap_or(u64::MAX));
        let note = lane.as_ref().and_then(|lane| serde_json::from_slice::<Note>(lane.note.as_ref()?).ok());
        let (broken, public_keys) = match slot {
            Slot::Ready(ready) => (None, ready.keys.iter().filter_map(Key::public).collect()),
            Slot::Broken(reason) => (Some(reason.clone()), Vec::new()),
        };
        Ok(WebhookState {
            tenant: doc.tenant.clone(),
            id: doc.id.clone(),
            url: doc.url.clone(),
            events: doc.events.clone(),
            bots: doc.bots.clone(),
            description: doc.description.clone(),
            public_keys,
            broken,
            waiting: lane.map_or(0, |lane| lane.length),
            tries: note.filter(|note| note.era == state.era).map_or(0, |note| note.tries),
            next_at: due.filter(|_| state.disabled.is_none()).map(|due| now_millis().saturating_add(due)),
            last_success_at: Some(last.at).filter(|at| *at > 0),
            disabled: state.disabled,
        })
    }

    fn known_webhook(&self, tenant: &TenantId, id: &WebhookId) -> Result<Hook, WebhookError> {
        let found = self.registry().webhook(tenant, id).cloned();
        found.ok_or_else(|| WebhookError::Unknown(tenant.clone(), id.clone()))
    }

    /// Tries of deliveries, newest first, each with its number, below `before`.
    ///
    /// # Errors
    /// [`WebhookError`]
    pub async fn webhook_deliveries(
        &self,
        tenant: &TenantId,
        id: &WebhookId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Delivery)>, WebhookError> {
        self.known_webhook(tenant, id)?;
        Ok(Memory::of(&*self.inner.store, tenant, id).deliveries(before, limit).await?)
    }

    /// Sends a `webhook.ping` now, whatever waits, and says how that went and what the receiver said.
    ///
    /// # Errors
    /// [`WebhookError`]. That the receiver does not take it is no error.
    pub async fn ping_webhook(
        &self,
        tenant: &TenantId,
        id: &WebhookId,
    ) -> Result<(bool, Delivery, String), WebhookError> {
        let webhook: Arc<Webhook> = match self.known_webhook(tenant, id)?.slot {
            Slot::Ready(webhook) => webhook,
            Slot::Broken(reason) => return Err(WebhookError::NotReady(id.clone(), reason)),
        };
        let at = now_millis();
        let mut data = Map::new();
        data.insert("webhook".to_owned(), json!(id));
        let message = Message {
            id: format!("msg_{}", uuid::Uuid::new_v4().simple()),
            kind: "webhook.ping".to_owned(),
            timestamp: time(at),
            data,
        };
        let attempt: Attempt = webhook.send(&message).await;
        let delivery = attempt.delivery(&message, 1, at);
        Memory::of(&*self.inner.store, tenant, id).note(&delivery).await?;
        let answer = String::from_utf8_lossy(&attempt.body).chars().take(ANSWER_CHARS).collect();
        Ok((attempt.is_taken(), delivery, answer))
    }

    /// Has messages sent again that the webhook took once, behind those that wait, under their old ids. Says how many.
    ///
    /// # Errors
    /// [`WebhookError`]
    pub async fn replay_webhook(
        &self,
        tenant: &TenantId,
        id: &WebhookId,
        what: &Replay,
    ) -> Result<usize, WebhookError> {
        self.known_webhook(tenant, id)?;
        let (store, lane) = (&*self.inner.store, lane_of(tenant, id));
        let kept = Memory::of(store, tenant, id).kept().await?;
        let mut seen = BTreeSet::new();
        let again: Vec<Push> = kept
            .into_iter()
            .rev()
            .map(|Kept { message, .. }| message)
            .filter(|message| what.takes(message) && seen.insert(message.id.clone()))
            .map(|message| Push {
                lane: lane.clone(),
                body: Bytes::from(serde_json::to_vec(&message).unwrap_or_default()),
                due_in: Duration::ZERO,
                once: Once::No,
            })
            .collect();
        let count = again.len();
        match what {
            Replay::Message(id) if count == 0 => return Err(WebhookError::NoMessage(id.clone())),
            _ if count == 0 => {}
            _ => drop(store.push(store.partition_of(&lane), again).await?),
        }
        Ok(count)
    }

    /// Lets messages through again, at once, with all their tries before them.
    ///
    /// # Errors
    /// [`WebhookError`]
    pub async fn enable_webhook(&self, tenant: &TenantId, id: &WebhookId) -> Result<WebhookState, WebhookError> {
        let hook = self.known_webhook(tenant, id)?;
        let (store, lane) = (&*self.inner.store, lane_of(tenant, id));
        let memory = Memory::of(store, tenant, id);
        let era = memory.state().await?.era.saturating_add(1);
        memory.set_state(&State { era, disabled: None }).await?;
        store.hasten_lane(store.partition_of(&lane), &lane).await?;
        Ok(self.webhook_state(&hook).await?)
    }

    /// Keeps messages back until the webhook is enabled. One that is under way still arrives.
    ///
    /// # Errors
    /// [`WebhookError`]
    pub async fn disable_webhook(&self, tenant: &TenantId, id: &WebhookId) -> Result<WebhookState, WebhookError> {
        let hook = self.known_webhook(tenant, id)?;
        let memory = Memory::of(&*self.inner.store, tenant, id);
        let state = memory.state().await?;
        if state.disabled.is_none() {
            let reason = "somebody disabled it; `confab webhook enable` lets messages through again".to_owned();
            let disabled = Some(Disabled { at: now_millis(), why: Why::ByHand, reason });
            memory.set_state(&State { era: state.era, disabled }).await?;
        }
        Ok(self.webhook_state(&hook).await?)
    }
}

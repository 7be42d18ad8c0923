//! Reading back what was said.

use crate::conversation::{HandedOver, Head, Owner, Transcript};
use crate::engine::Engine;
use crate::error::TurnError;
use crate::ids::{BotId, ConversationId, TenantId};
use confab_store::ConversationKey;

impl Engine {
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
        Ok(Transcript { id, began: head.header.began, entries, more, handed_over: head.header.handed_over })
    }

    /// The conversations of a bot that people have or should take, those that have waited longest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn handed_over(
        &self,
        tenant: &TenantId,
        bot: &BotId,
        limit: usize,
    ) -> Result<Vec<(ConversationId, HandedOver)>, TurnError> {
        let (store, index) = (&self.inner.store, people_index(tenant, bot));
        let mut open = Vec::new();
        for id in store.linked(&index, OPEN, limit).await? {
            let key = ConversationKey::new(tenant.as_str(), bot.as_str(), id.as_str());
            let head = store.head(&key).await?.as_ref().and_then(Head::decode);
            match (head.and_then(|head| head.header.handed_over), id.parse()) {
                (Some(over), Ok(id)) => open.push((id, over)),
                // The conversation has expired, or the turn that wanted people was not committed.
                _ => store.unlink(&index, OPEN, &id).await?,
            }
        }
        open.sort_by_key(|(_, over)| over.since);
        Ok(open)
    }

    /// Tells of each conversation in which this host has committed something from now on.
    pub fn said(&self) -> Heard {
        Heard(self.inner.said.subscribe())
    }
}

/// The index of a bot's conversations that people have or should take; they are under [`OPEN`].
pub(super) fn people_index(tenant: &TenantId, bot: &BotId) -> String {
    format!("people/{tenant}/{bot}")
}

pub(super) const OPEN: &str = "open";

/// See [`Engine::said`].
#[derive(Debug)]
pub struct Heard(tokio::sync::broadcast::Receiver<ConversationId>);

impl Heard {
    /// Returns when something was said in this conversation, or so much in others that this one may have been missed.
    pub async fn wait_for(&mut self, id: ConversationId) {
        while let Ok(said) = self.0.recv().await {
            if said == id {
                return;
            }
        }
    }
}

//! Reading back what was said.

use crate::conversation::{Head, Owner, Transcript};
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
        Ok(Transcript { id, began: head.header.began, entries, more })
    }
}

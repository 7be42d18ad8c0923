//! Events that a conversation asked for itself: remind in two hours.
//!
//! Each is a lane of its own with one entry, so that it can be replaced and taken back by its key. It is pushed with the commit of the turn
//! that asked for it, and when it is due it is a turn of kind `event`.

use crate::engine::Engine;
use crate::error::TurnError;
use crate::ids::{BotId, ConversationId, TenantId};
use crate::turn::{Access, IdempotencyKey, Inbound, TurnRequest, Visitor};
use crate::work::{Tries, done};
use bytes::Bytes;
use confab_store::{ConversationKey, HeldLane, Once, Push, Settled};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Tries until an event is given up: a bot that isn't ready for so long (some two hours) has forgotten it.
const MOST_TRIES: u32 = 64;

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Later {
    tenant: TenantId,
    bot: BotId,
    conversation: ConversationId,
    /// Different for each.
    id: String,
    pub(crate) inbound: Inbound,
}

impl Later {
    pub(crate) fn event(
        bot: &crate::registry::Bot,
        conversation: ConversationId,
        id: String,
        name: String,
        data: Option<Value>,
    ) -> Later {
        Later::inbound(bot, conversation, id, Inbound::Event { name, data: data.unwrap_or(Value::Null) })
    }

    pub(crate) fn inbound(
        bot: &crate::registry::Bot,
        conversation: ConversationId,
        id: String,
        inbound: Inbound,
    ) -> Later {
        Later { tenant: bot.tenant.clone(), bot: bot.id.clone(), conversation, id, inbound }
    }

    pub(crate) fn push(&self, conversation: &ConversationKey, key: &str, due_in: Duration) -> Push {
        let body = Bytes::from(serde_json::to_vec(self).unwrap_or_default());
        Push { lane: lane_of(conversation, key), body, due_in, once: Once::No }
    }
}

/// The lane of an event with this key.
pub(crate) fn lane_of(conversation: &ConversationKey, key: &str) -> String {
    format!("later/{conversation}/{key}")
}

impl Engine {
    pub(crate) async fn tell_later(&self, held: &HeldLane) -> Settled {
        let Some(later) = held.entries.first().and_then(|(_, body)| serde_json::from_slice::<Later>(body).ok()) else {
            tracing::error!(lane = held.lane, "an event for later can't be read; it is given up");
            return done(held);
        };
        let request = TurnRequest {
            tenant: later.tenant,
            bot: later.bot,
            conversation: Some(later.conversation),
            visitor: Visitor::default(),
            inbound: later.inbound,
            locale: None,
            request_id: Arc::from(later.id.as_str()),
            key: Some(IdempotencyKey::of_host(format!("later/{}", later.id))),
            access: Access::Tenant,
        };
        match self.turn(request).await {
            Ok(_) => done(held),
            Err(TurnError::UnknownConversation | TurnError::UnknownBot(_) | TurnError::NotHandedOver) => done(held),
            Err(error) if Tries::of(held).made() >= MOST_TRIES => {
                tracing::error!(lane = held.lane, %error, "an event for later is given up");
                done(held)
            }
            Err(_) => Tries::of(held).again(held),
        }
    }
}

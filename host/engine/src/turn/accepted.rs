//! A turn as it was accepted: all that is needed to run it, now or again.
//!
//! What would differ from one run to the next is decided here, once: the time, the seed of all chance, the turn's id. A turn under an
//! idempotency key gets its id from the key, so that a repeated request which finds nothing of the first (its host was
//! killed before the first write) makes its calls under the same idempotency keys as that one.

use super::{Inbound, TurnRequest, Visitor, now_millis};
use crate::ids::ConversationId;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::time::Duration;

/// A client's name for a request, so that it is served once however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// Unique among all requests for the conversation, or, for one that starts a conversation, for the bot: whoever makes it
    /// puts the client's id in front.
    pub name: String,
    /// Of what was sent. Another one under the same name is refused.
    pub fingerprint: String,
    /// How long the answer is kept.
    pub keep: Duration,
}

impl IdempotencyKey {
    /// A key of the host's own, for things that have an id and can't differ.
    pub fn of_host(name: String) -> IdempotencyKey {
        IdempotencyKey { name, fingerprint: String::new(), keep: KEEP }
    }
}

/// How long answers are kept for repeated requests. Clients give up long before; operators replay a day's events.
pub const KEEP: Duration = Duration::from_secs(24 * 3600);

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Accepted {
    /// The turn's id.
    pub(crate) turn: String,
    /// When it came in, milliseconds since 1970: the plugin's clock.
    pub(crate) at: u64,
    pub(crate) inbound: Inbound,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) locale: Option<String>,
    #[serde(default)]
    pub(crate) visitor: Visitor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<IdempotencyKey>,
    /// The keys of messages that were joined to this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) also: Vec<IdempotencyKey>,
    pub(crate) request_id: String,
    /// Where the plugin's chance comes from.
    pub(crate) seed: [u8; 32],
}

impl Accepted {
    pub(crate) fn new(request: &TurnRequest, conversation: ConversationId) -> Accepted {
        let mut seed = [0; 32];
        rand::rng().fill_bytes(&mut seed);
        let of_key;
        let distinct: &[u8] = match &request.key {
            Some(key) => {
                of_key = digest(&["turn", &key.name]);
                &of_key
            }
            None => &uuid::Uuid::new_v4().into_bytes(),
        };
        Accepted {
            turn: turn_id(conversation, distinct),
            at: now_millis(),
            inbound: request.inbound.clone(),
            locale: request.locale.clone(),
            visitor: request.visitor.clone(),
            key: request.key.clone(),
            also: Vec::new(),
            request_id: request.request_id.to_string(),
            seed,
        }
    }
}

/// `CONVERSATION.16-hex-digits`: a turn is found by its id alone.
fn turn_id(conversation: ConversationId, distinct: &[u8]) -> String {
    let mut id = conversation.to_string();
    id.push('.');
    for byte in distinct.iter().take(8) {
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// The conversation that a turn's id names.
pub(crate) fn conversation_of(turn: &str) -> Option<ConversationId> {
    turn.split_once('.')?.0.parse().ok()
}

/// The conversation that a request under a key starts: the same for each time it is sent.
pub(crate) fn conversation_for(request: &TurnRequest, key: &IdempotencyKey) -> ConversationId {
    let visitor = request.visitor.id.as_deref().unwrap_or_default();
    ConversationId::derived(digest(&[
        "conversation",
        request.tenant.as_str(),
        request.bot.as_str(),
        visitor,
        &key.name,
    ]))
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

impl Accepted {
    /// Of what was sent, under its key; empty without one.
    pub(crate) fn fingerprint(&self) -> &str {
        self.key.as_ref().map_or("", |key| &key.fingerprint)
    }

    /// The same with the messages that were joined to it.
    pub(super) fn with(&self, joined: &[super::merge::Joined]) -> Accepted {
        let mut accepted = self.clone();
        if let Inbound::Message(text) = &mut accepted.inbound {
            for other in joined {
                text.push('\n');
                text.push_str(&other.text);
                accepted.also.extend(other.key.clone());
            }
        }
        accepted
    }
}

//! What a tenant's files say of events, as the store keeps it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An event that a bot wants to hear of: an entry of `events:` in the bot's file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDoc {
    /// `order.shipped`, `order.*` or `*`.
    pub pattern: String,
    /// Who is believed: connections, or `api`; none: everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Template of the conversation that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Template of the visitor whose newest conversation is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitor: Option<String>,
    /// Templates of what is said, by language; none: the bot's plugin decides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub say: BTreeMap<String, String>,
}

/// How webhooks of a connection's platform are told from anybody's: `webhook:` in the connection's file. Secrets by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookDoc {
    /// For a connector that checks them itself: the secrets of its manifest's `[webhook]`; of several either fits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Vec<String>>,
    /// Secrets of Standard Webhooks; one of them must fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standard: Vec<String>,
    /// A secret in a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenDoc>,
    /// Templates of what an event is about, where the host reads it (`standard`, `token`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
}

/// A secret that a system sends in a header, because it can do no better.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDoc {
    /// The header.
    pub header: String,
    /// The secret's name.
    pub value: String,
}

//! What the store keeps of a tenant: documents of the kinds below, JSON, one for each thing.

use crate::cache::CacheDoc;
use crate::events::{EventDoc, WebhookDoc as InboundDoc};
use crate::ids::{BotId, ConnectionId, TenantId, WebhookId};
use bytes::Bytes;
use confab_egress::{ClientCertificate, ConnectionLimits, Pem, Redirects};
use confab_egress::{RateConfig, RetryConfig, SecretRef};
use confab_store::DocumentChange;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A tenant. Id: `TENANT`.
pub const TENANT: &str = "tenant";
/// A bot. Id: `TENANT/BOT`.
pub const BOT: &str = "bot";
/// A connection. Id: `TENANT/CONNECTION`.
pub const CONNECTION: &str = "connection";
/// A webhook. Id: `TENANT/WEBHOOK`.
pub const WEBHOOK: &str = "webhook";
/// A data file of a connection, as it is. Id: `TENANT/CONNECTION/NAME`.
pub const FILE: &str = "file";

/// A business that has bots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantDoc {
    /// Its id.
    pub id: TenantId,
    /// Its name, for people.
    pub name: String,
}

/// A bot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BotDoc {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: BotId,
    /// Its name, for people.
    pub name: String,
    /// Intent plugin that decides its turns.
    pub plugin: String,
    /// What the plugin is prepared with.
    pub definition: String,
    /// File that the definition came from, for messages.
    pub definition_file: String,
    /// Capability to connection.
    pub connections: BTreeMap<String, ConnectionId>,
    /// What the visitor reads when the plugin fails, by language; `""` for any other.
    pub fallback: BTreeMap<String, String>,
    /// Seconds without a message after which a conversation is forgotten.
    pub conversation_ttl_s: u64,
    /// What becomes of a message that comes while another one is being answered.
    #[serde(default)]
    pub while_busy: WhileBusy,
    /// That people take over where the bot hands over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<PeopleDoc>,
    /// Events that it wants to hear of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventDoc>,
}

/// What becomes of a message that comes while another one of its conversation is being answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhileBusy {
    /// It waits its turn.
    #[default]
    Enqueue,
    /// All that wait on one host become one message.
    Merge,
    /// The answer that is being made is given up, if nothing was written for it yet and it is made on the same host;
    /// otherwise it waits its turn.
    Interrupt,
    /// It is refused.
    Reject,
}

impl WhileBusy {
    /// Most messages that may wait. No person writes so many in a row; a machine that does is told to wait.
    pub(crate) fn most_waiting(self) -> usize {
        match self {
            WhileBusy::Reject => 0,
            _ => 32,
        }
    }
}

/// People who take conversations over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeopleDoc {
    /// Seconds until a conversation that nobody took is the bot's again.
    pub wait_s: u64,
    /// What the visitor reads then, by language.
    #[serde(default)]
    pub unavailable: BTreeMap<String, String>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionDoc {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: ConnectionId,
    /// Connector plugin.
    pub connector: String,
    /// Settings, valid against the plugin's schema.
    pub settings: serde_json::Value,
    /// Where the plugin's endpoints are.
    pub endpoints: BTreeMap<String, EndpointDoc>,
    /// Names of its data files, with the digest of each.
    pub files: BTreeMap<String, String>,
    /// Authorities that the certificates of all its endpoints must come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Pem>,
    /// Limits below the host's own.
    #[serde(default)]
    pub limits: ConnectionLimits,
    /// How often it may call its system, all hosts together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateConfig>,
    /// How failed calls are repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    /// What its file says of keeping results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheDoc>,
    /// How its platform's webhooks are checked; none: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<InboundDoc>,
}

/// Where an endpoint is and with which names of secrets it is signed in to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointDoc {
    /// Base URL.
    pub url: String,
    /// User, where the system wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password: `env:NAME` or `file:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Token or key: `env:NAME` or `file:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// How to sign in, where the plugin's manifest leaves it open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<serde_json::Value>,
    /// Milliseconds for a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// Authorities that its certificate must come from, in place of the connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Pem>,
    /// What the host shows of itself in TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
    /// What is done with redirects.
    #[serde(default)]
    pub redirects: Redirects,
    /// The header in which the system takes idempotency keys, if it is not `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_header: Option<String>,
}

/// A place of a tenant's that is told what happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookDoc {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: WebhookId,
    /// Where it is.
    pub url: String,
    /// Which events it is told of: `message.created`, `ticket.*`, `*`.
    pub events: Vec<String>,
    /// What it is signed with, the current secret first.
    pub secrets: Vec<SecretRef>,
    /// Of which bots; none for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bots: Vec<BotId>,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The change that stores a document.
pub fn put<T: Serialize>(kind: &str, id: String, doc: &T) -> Result<DocumentChange, serde_json::Error> {
    Ok(DocumentChange { kind: kind.to_owned(), id, body: Some(Bytes::from(serde_json::to_vec(doc)?)) })
}

/// The change that deletes a document.
pub fn delete(kind: &str, id: String) -> DocumentChange {
    DocumentChange { kind: kind.to_owned(), id, body: None }
}

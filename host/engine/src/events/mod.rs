//! Inbound events: what other systems tell, and what the bots make of it.
//!
//! ```text
//! POST /api/events, POST /webhooks/TENANT.CONNECTION
//!    -> Event -> lane event/TENANT/SOURCE/BUCKET   (answered 202 when it is on disk)
//!    -> worker: kept results that it makes worthless; each bot that subscribes: a turn in each conversation that is meant
//!    -> log events/TENANT: done, ignored or dead; can be replayed
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`accept`] | into the lanes, once |
//! | [`webhook`] | a platform's call: whether it is genuine, and what it means |
//! | [`subscribe`] | which bots and conversations an event is for |
//! | [`process`] | the worker's part |
//! | [`log`] | what became of it; replay |
//! | [`templates`] | the tenant's templates over an event |
//! | [`doc`] | what the tenant's files say |
//!
//! An event is known by tenant, source and id. The source is the connection whose webhook it came by, or [`API`]. The same event
//! that comes again within [`KNOWN`] is dropped: lanes know what was pushed, and each conversation knows the event by the key of its turn.
//!
//! Events with the same first subject keep their order: they share one of [`BUCKETS`] lanes of their source. One that can't be processed now
//! holds up its lane, for some ten minutes at most; then it is a dead letter.

pub mod accept;
pub(crate) mod doc;
pub(crate) mod log;
pub(crate) mod process;
pub(crate) mod subscribe;
pub(crate) mod templates;
pub(crate) mod webhook;

use crate::ids::{BotId, ConnectionId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

pub use accept::{AcceptError, Given, Taken};
pub use doc::{EventDoc, TokenDoc, WebhookDoc};
pub use log::{EventFilter, EventPage, EventRecord, Replayed, Status, ToldTo, Which};
pub use webhook::{Received, Refused};

/// The source of what comes by `POST /api/events`.
pub const API: &str = "api";
/// How long an event's id is remembered. Platforms give up trying again within two days (Shopify), the longest three (Stripe).
pub const KNOWN: Duration = Duration::from_secs(72 * 3600);
/// Lanes of a source: enough that one slow conversation holds up few others, and few enough to list.
pub const BUCKETS: u64 = 16;
/// Bytes of an event's data.
pub const DATA_BYTES: usize = confab_sandbox::webhook::EVENT_DATA_BYTES;
/// Subjects of an event.
pub const SUBJECTS: usize = confab_sandbox::webhook::EVENT_SUBJECTS;
/// Bytes of an id or a subject.
pub const NAME_BYTES: usize = 200;

/// Something that happened elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Whose it is.
    pub tenant: TenantId,
    /// The connection it came by, or [`API`].
    pub source: String,
    /// Its id with that source.
    pub id: String,
    /// What happened.
    pub name: String,
    /// What is known of it.
    pub data: Value,
    /// What it is about, most important first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// When it happened, as the source has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
    /// When it came in, milliseconds since 1970.
    pub received_at: u64,
    /// SHA-256 of the body that it came in.
    pub digest: String,
    /// Where it comes from, by its own account: the `source` of a CloudEvent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The only bot that is to hear of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<BotId>,
    /// Whose kept results it makes worthless, if that is not its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
    /// How often it was replayed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replay: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Event {
    /// What is unique about it, for keys.
    pub(crate) fn key(&self) -> String {
        match self.replay {
            0 => format!("event/{}/{}", self.source, self.id),
            replay => format!("event.{replay}/{}/{}", self.source, self.id),
        }
    }

    #[cfg(test)]
    pub(crate) fn example() -> Event {
        Event {
            tenant: "shop".parse().unwrap(),
            source: API.to_owned(),
            id: "1".to_owned(),
            name: "order.shipped".to_owned(),
            data: Value::Null,
            subjects: vec!["order:1".to_owned()],
            occurred_at: None,
            received_at: 0,
            digest: String::new(),
            origin: None,
            bot: None,
            connection: None,
            replay: 0,
        }
    }
}

/// What is wrong with an event's name.
pub fn name_problem(name: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    if !(1..=NAME_BYTES).contains(&name.len()) {
        return Some(format!("has 1 to {NAME_BYTES} characters, this one has {}", name.len()));
    }
    (!name.bytes().all(plain)).then(|| "has only A-Z, a-z, 0-9, _ and .".to_owned())
}

/// What is wrong with an id or a subject.
pub fn text_problem(text: &str) -> Option<String> {
    if !(1..=NAME_BYTES).contains(&text.len()) {
        return Some(format!("has 1 to {NAME_BYTES} bytes, this one has {}", text.len()));
    }
    text.chars().any(char::is_control).then(|| "has no control characters".to_owned())
}

/// What is wrong with what a bot subscribes to: a name, a beginning with `.*`, or `*`.
pub(crate) fn pattern_problem(pattern: &str) -> Option<String> {
    if pattern == "*" {
        return None;
    }
    name_problem(pattern.strip_suffix(".*").unwrap_or(pattern))
}

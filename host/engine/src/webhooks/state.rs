//! What is remembered of a webhook beside its document: that it is disabled, how far its lane was delivered, and two bounded logs.
//!
//! | what | where |
//! |---|---|
//! | [`State`], [`Last`] | values `ID/state` and `ID/last` of the space `webhooks/TENANT` |
//! | [`Delivery`] | log `deliveries/TENANT/ID`: each try |
//! | [`Kept`] | log `delivered/TENANT/ID`: what was delivered, so that it can be sent again |

use super::message::Message;
use crate::ids::{TenantId, WebhookId};
use bytes::Bytes;
use confab_store::{Store, StoreError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Newest entries of each of the two logs: a day of a busy shop, a few MiB.
pub(super) const KEEP: usize = 1_000;

/// Why a webhook is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The receiver said that it wants nothing any more (410).
    Gone,
    /// All tries of a message have failed.
    Failing,
    /// Somebody did it.
    ByHand,
}

/// That a webhook is disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Since when, milliseconds since 1970.
    pub at: u64,
    /// Why.
    pub why: Why,
    /// The same in a sentence.
    pub reason: String,
}

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// How often it was enabled: tries that were counted before count no more.
    #[serde(default)]
    pub(super) era: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) disabled: Option<Disabled>,
}

/// What was delivered last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Last {
    /// Number of the lane's entry. Numbers of a lane grow for good.
    pub(super) entry: u64,
    /// When, milliseconds since 1970.
    pub(super) at: u64,
}

/// One try of a delivery, or messages that were given up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// `webhook-id`.
    pub message_id: String,
    /// Type of the message.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which try, from 1.
    pub attempt: u32,
    /// When, milliseconds since 1970.
    pub at: u64,
    /// Status of the answer, if one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// When it is tried again, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<u64>,
}

/// A message that was delivered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) at: u64,
    pub(super) message: Message,
}

/// The memory of one webhook.
pub(super) struct Memory<'a> {
    store: &'a dyn Store,
    space: String,
    tenant: &'a TenantId,
    id: &'a WebhookId,
}

fn bytes<T: Serialize>(value: &T) -> Bytes {
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

impl<'a> Memory<'a> {
    pub(super) fn of(store: &'a dyn Store, tenant: &'a TenantId, id: &'a WebhookId) -> Memory<'a> {
        Memory { store, space: format!("webhooks/{tenant}"), tenant, id }
    }

    fn log(&self, name: &str) -> String {
        format!("{name}/{}/{}", self.tenant, self.id)
    }

    async fn read<T: DeserializeOwned + Default>(&self, key: &str) -> Result<T, StoreError> {
        let stored = self.store.kv_get(&self.space, &format!("{}/{key}", self.id)).await?;
        Ok(stored.and_then(|stored| serde_json::from_slice(&stored).ok()).unwrap_or_default())
    }

    pub(super) async fn state(&self) -> Result<State, StoreError> {
        self.read("state").await
    }

    pub(super) async fn last(&self) -> Result<Last, StoreError> {
        self.read("last").await
    }

    pub(super) async fn set_state(&self, state: &State) -> Result<(), StoreError> {
        self.store.kv_set(&self.space, &format!("{}/state", self.id), bytes(state)).await
    }

    /// A try that failed, or a test.
    pub(super) async fn note(&self, delivery: &Delivery) -> Result<(), StoreError> {
        self.store.append_records(&self.log("deliveries"), vec![bytes(delivery)], KEEP).await
    }

    /// A try that succeeded: three writes that share one sync.
    pub(super) async fn delivered(&self, entry: u64, message: Message, delivery: &Delivery) -> Result<(), StoreError> {
        let last = bytes(&Last { entry, at: delivery.at });
        let kept = vec![bytes(&Kept { at: delivery.at, message })];
        let (key, log) = (format!("{}/last", self.id), self.log("delivered"));
        let (last, noted, kept) = tokio::join!(
            self.store.kv_set(&self.space, &key, last),
            self.note(delivery),
            self.store.append_records(&log, kept, KEEP),
        );
        last.and(noted).and(kept)
    }

    pub(super) async fn deliveries(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Delivery)>, StoreError> {
        let found = self.store.records(&self.log("deliveries"), before, limit).await?;
        Ok(found.into_iter().filter_map(|(number, one)| Some((number, serde_json::from_slice(&one).ok()?))).collect())
    }

    /// What was delivered, newest first.
    pub(super) async fn kept(&self) -> Result<Vec<Kept>, StoreError> {
        // A log may be a tenth longer than it should.
        let found = self.store.records(&self.log("delivered"), None, KEEP + KEEP / 10).await?;
        Ok(found.into_iter().filter_map(|(_, one)| serde_json::from_slice(&one).ok()).collect())
    }

    /// Of a webhook that was removed.
    pub(super) async fn forget(&self) -> Result<(), StoreError> {
        for key in ["state", "last"] {
            self.store.kv_delete(&self.space, &format!("{}/{key}", self.id)).await?;
        }
        for log in ["deliveries", "delivered"] {
            self.store.delete_records(&self.log(log)).await?;
        }
        Ok(())
    }
}

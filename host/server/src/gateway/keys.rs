//! API keys: `cfb_ID_SECRET`.
//!
//! The id is public and finds the key; the secret is 256 random bits, shown once, kept as SHA-256. (A slow hash protects
//! secrets that can be guessed; this one can't.) All keys are in memory, and follow the store's configuration version:
//! a key that is revoked on one host is refused on all within a second.

use super::Problem;
use crate::api::conversations::time;
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use confab_engine::store::{DocumentChange, Store, StoreError};
use confab_engine::{BotId, TenantId};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use subtle::ConstantTimeEq;

const KIND: &str = "key";
const PREFIX: &str = "cfb_";

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scope {
    /// Send messages and read the conversations of the visitor that is named.
    Chat,
    /// Read all conversations of the bot.
    Transcripts,
    /// Send events.
    Events,
    /// Take conversations over, read and answer them, and give them back.
    People,
    /// Change the tenant's configuration and keys.
    Admin,
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    /// Public part.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) tenant: TenantId,
    /// The only bot that it opens; none for all of the tenant.
    pub(crate) bot: Option<BotId>,
    /// What it is for, in words.
    pub(crate) label: String,
    pub(crate) scopes: Vec<Scope>,
    /// SHA-256 of the secret, hexadecimal.
    hash: String,
    /// Milliseconds since 1970.
    pub(crate) created: u64,
    /// Milliseconds since 1970.
    pub(crate) expires: Option<u64>,
    /// Milliseconds since 1970.
    pub(crate) revoked: Option<u64>,
    /// Requests a minute; none for the host's setting.
    pub(crate) rate: Option<u32>,
}

/// What a new key should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// Whose it is; a key that makes keys makes them for its own tenant.
    pub(crate) tenant: Option<TenantId>,
    #[serde(default)]
    pub(crate) bot: Option<BotId>,
    #[serde(default)]
    pub(crate) label: String,
    /// Default: chat.
    #[serde(default)]
    pub(crate) scopes: Vec<Scope>,
    /// Seconds; none for a key that does not expire.
    #[serde(default)]
    pub(crate) expires_in_s: Option<u64>,
    #[serde(default)]
    pub(crate) rate: Option<u32>,
}

/// All keys.
pub(crate) struct Keys {
    store: Arc<dyn Store>,
    by_id: ArcSwap<HashMap<String, Arc<Key>>>,
}

impl Keys {
    /// Reads all keys and follows changes.
    pub(crate) async fn open(store: Arc<dyn Store>) -> Result<Arc<Keys>, StoreError> {
        let mut versions = store.config_version();
        let keys = Arc::new(Keys { store, by_id: ArcSwap::default() });
        keys.reload().await?;
        let following = Arc::downgrade(&keys);
        tokio::spawn(async move {
            while versions.changed().await.is_ok() {
                versions.mark_unchanged();
                let Some(keys) = following.upgrade() else { return };
                if let Err(e) = keys.reload().await {
                    tracing::error!(error = %e, "keys changed but can't be read");
                }
            }
        });
        Ok(keys)
    }

    async fn reload(&self) -> Result<(), StoreError> {
        let stored = self.store.documents(KIND).await?;
        let keys = stored
            .into_iter()
            .filter_map(|(id, body)| Some((id, Arc::new(serde_json::from_slice::<Key>(&body).ok()?))));
        self.by_id.store(Arc::new(keys.collect()));
        Ok(())
    }

    /// The key that a client sent, if it is one and still good.
    pub(crate) fn check(&self, sent: &str, now: u64) -> Result<Arc<Key>, Problem> {
        // One text for all reasons but expiry and revocation: nobody learns which ids exist.
        let unknown = || {
            Problem::unauthorised(
                "the API key is not known; make one with `confab key create` and send it as `authorization: Bearer cfb_...`",
            )
        };
        let (id, secret) = sent.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or_else(unknown)?;
        let keys = self.by_id.load();
        let key = keys.get(id).ok_or_else(unknown)?;
        if !bool::from(hash(secret).as_bytes().ct_eq(key.hash.as_bytes())) {
            return Err(unknown());
        }
        if key.revoked.is_some() {
            return Err(Problem::unauthorised(format!(
                "the API key {PREFIX}{id} was revoked; make a new one with `confab key create`"
            )));
        }
        if key.expires.is_some_and(|at| at <= now) {
            return Err(Problem::unauthorised(format!(
                "the API key {PREFIX}{id} has expired; make a new one with `confab key create`"
            )));
        }
        Ok(key.clone())
    }

    /// Makes a key. The text is the only copy of its secret.
    pub(crate) async fn create(&self, tenant: TenantId, new: NewKey, now: u64) -> Result<(Key, String), StoreError> {
        let mut id = [0_u8; 6];
        let mut secret = [0_u8; 32];
        rand::rng().fill_bytes(&mut id);
        rand::rng().fill_bytes(&mut secret);
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let key = Key {
            id: id.clone(),
            tenant,
            bot: new.bot,
            label: new.label,
            scopes: if new.scopes.is_empty() { vec![Scope::Chat] } else { new.scopes },
            hash: hash(&secret),
            created: now,
            expires: new.expires_in_s.map(|s| now.saturating_add(s.saturating_mul(1000))),
            revoked: None,
            rate: new.rate,
        };
        self.write(&key).await?;
        Ok((key, format!("{PREFIX}{id}_{secret}")))
    }

    /// Keys of a tenant, or all.
    pub(crate) fn list(&self, tenant: Option<&TenantId>) -> Vec<Arc<Key>> {
        let keys = self.by_id.load();
        let mut keys: Vec<Arc<Key>> =
            keys.values().filter(|key| tenant.is_none_or(|tenant| key.tenant == *tenant)).cloned().collect();
        keys.sort_by_key(|key| key.created);
        keys
    }

    /// Revokes a key; `cfb_` before the id is optional. None if there is no such key.
    pub(crate) async fn revoke(
        &self,
        id: &str,
        tenant: Option<&TenantId>,
        now: u64,
    ) -> Result<Option<Key>, StoreError> {
        let id = id.strip_prefix(PREFIX).unwrap_or(id);
        let id = id.split('_').next().unwrap_or(id);
        let found = self.by_id.load().get(id).filter(|key| tenant.is_none_or(|tenant| key.tenant == *tenant)).cloned();
        let Some(found) = found else { return Ok(None) };
        let mut key = Key::clone(&found);
        key.revoked.get_or_insert(now);
        self.write(&key).await?;
        Ok(Some(key))
    }

    async fn write(&self, key: &Key) -> Result<(), StoreError> {
        let body = serde_json::to_vec(key).unwrap_or_default();
        let change = DocumentChange { kind: KIND.to_owned(), id: key.id.clone(), body: Some(body.into()) };
        self.store.change_documents(vec![change]).await?;
        self.reload().await
    }
}

fn hash(secret: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(64);
    for byte in Sha256::digest(secret.as_bytes()) {
        for half in [byte >> 4, byte & 15] {
            out.push(char::from(DIGITS.get(usize::from(half)).copied().unwrap_or(b'0')));
        }
    }
    out
}

/// A key as it is shown: never its hash.
pub(crate) fn shown(key: &Key) -> serde_json::Value {
    serde_json::json!({
        "id": format!("{PREFIX}{}", key.id), "tenant": key.tenant, "bot": key.bot, "label": key.label, "scopes": key.scopes,
        "created": time(key.created), "expires": key.expires.and_then(time), "revoked": key.revoked.and_then(time), "rate": key.rate,
    })
}

//! Tokens of OAuth2 connections, kept for all hosts: encrypted, each a leased value of the store.
//!
//! | module | what it holds |
//! |---|---|
//! | [`keys`] | encryption at rest |
//! | [`Vault`] | egress' [`TokenStore`], over the store |
//! | [`connect`] | connecting by a person: link, callback, disconnecting |

pub mod connect;
pub mod keys;

use async_trait::async_trait;
use bytes::Bytes;
use confab_egress::{TokenOwner, TokenStore, TokenStoreError};
use confab_store::{Store, StoreError, Taking};
use std::sync::Arc;
use std::time::Duration;

pub use keys::{SealError, TokenKeys, TokenKeysError};

/// Tokens in the store.
#[derive(Clone)]
pub(crate) struct Vault {
    store: Arc<dyn Store>,
    pub(crate) keys: TokenKeys,
}

impl Vault {
    pub(crate) fn new(store: Arc<dyn Store>, keys: TokenKeys) -> Self {
        Vault { store, keys }
    }
}

/// Ids have no slashes, so a name is of one owner.
fn name(owner: &TokenOwner) -> String {
    format!("tokens/{}/{}/{}", owner.tenant, owner.connection, owner.endpoint)
}

fn place(owner: &TokenOwner) -> [&str; 4] {
    ["token", &owner.tenant, &owner.connection, &owner.endpoint]
}

fn failed(owner: &TokenOwner, error: &StoreError) -> TokenStoreError {
    tracing::warn!(tenant = owner.tenant, connection = owner.connection, %error, "tokens");
    TokenStoreError("the store does not answer".to_owned())
}

fn sealed(owner: &TokenOwner, error: SealError) -> TokenStoreError {
    tracing::error!(tenant = owner.tenant, connection = owner.connection, %error, "a token can't be decrypted or encrypted");
    TokenStoreError(format!("{error}; connect it again, or give the key back"))
}

#[async_trait]
impl TokenStore for Vault {
    async fn load(&self, owner: &TokenOwner) -> Result<Option<Bytes>, TokenStoreError> {
        let Some(value) = self.store.leased(&name(owner)).await.map_err(|e| failed(owner, &e))? else {
            return Ok(None);
        };
        self.keys.open(&place(owner), &value).map(|text| Some(Bytes::from(text))).map_err(|e| sealed(owner, e))
    }

    async fn lease(&self, owner: &TokenOwner, hold: Duration) -> Result<Option<u64>, TokenStoreError> {
        self.store.lease_take(&name(owner), hold, Taking::IfFree).await.map_err(|e| failed(owner, &e))
    }

    async fn seize(&self, owner: &TokenOwner, hold: Duration) -> Result<u64, TokenStoreError> {
        let fence = self.store.lease_take(&name(owner), hold, Taking::FromAnyone).await;
        fence.map_err(|e| failed(owner, &e))?.ok_or_else(|| TokenStoreError("the lease was not given".to_owned()))
    }

    async fn save(&self, owner: &TokenOwner, fence: u64, record: Option<Bytes>) -> Result<bool, TokenStoreError> {
        let value = match record {
            Some(text) => Some(Bytes::from(self.keys.seal(&place(owner), &text).map_err(|e| sealed(owner, e))?)),
            None => None,
        };
        self.store.lease_write(&name(owner), fence, value).await.map_err(|e| failed(owner, &e))
    }

    async fn free(&self, owner: &TokenOwner, fence: u64) -> Result<(), TokenStoreError> {
        self.store.lease_free(&name(owner), fence).await.map_err(|e| failed(owner, &e))
    }
}

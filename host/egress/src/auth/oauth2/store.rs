//! Where tokens outlive the process: a trait, because the store is another room.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// Whose tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenOwner {
    /// The tenant.
    pub tenant: String,
    /// The connection.
    pub connection: String,
    /// The endpoint within it.
    pub endpoint: String,
}

/// The tokens can't be read or written now. What happened is in the implementation's own log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenStoreError(pub String);

/// Keeps one record of tokens for each owner, shared by all hosts.
///
/// A record has refresh tokens in it, in plain: **the implementation encrypts it**, bound to its owner. Only who has
/// the lease writes. A lease allows others to take over when its time is over; who was taken over writes nothing.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// The record, as it was last saved.
    async fn load(&self, owner: &TokenOwner) -> Result<Option<Bytes>, TokenStoreError>;

    /// The right to write the record, as a fence; `None` while somebody else has it.
    async fn lease(&self, owner: &TokenOwner, hold: Duration) -> Result<Option<u64>, TokenStoreError>;

    /// The same, from whoever has it: that one writes nothing any more.
    async fn seize(&self, owner: &TokenOwner, hold: Duration) -> Result<u64, TokenStoreError>;

    /// Write the record, or remove it. `false`: the fence is no longer the newest, and nothing was written.
    async fn save(&self, owner: &TokenOwner, fence: u64, record: Option<Bytes>) -> Result<bool, TokenStoreError>;

    /// Give the lease back.
    async fn free(&self, owner: &TokenOwner, fence: u64) -> Result<(), TokenStoreError>;
}

//! Small sets with expiry: which conversations wait to hear of an order, which belong to a visitor, which people should look at.
//!
//! A link is written beside a turn, not with it: what it points to is checked by whoever follows it.

use crate::error::StoreError;
use async_trait::async_trait;
use std::time::Duration;

/// Sets of members by index and key, each member with its own expiry.
#[async_trait]
pub trait Links {
    /// Adds a member, or renews its expiry. `keep` is clamped to 1 ms .. 100 years.
    async fn link(&self, index: &str, key: &str, member: &str, keep: Duration) -> Result<(), StoreError>;

    /// Removes a member (removing what isn't there is no error).
    async fn unlink(&self, index: &str, key: &str, member: &str) -> Result<(), StoreError>;

    /// Up to `limit` members that have not expired, those that expire last first.
    async fn linked(&self, index: &str, key: &str, limit: usize) -> Result<Vec<String>, StoreError>;
}

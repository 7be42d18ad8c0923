//! Links in the file: by member, to renew and remove one; and by expiry, to list a few of many.

use std::time::Duration;

use async_trait::async_trait;
use redb::ReadTransaction;

use super::Embedded;
use super::keys::{self, EXPIRY, Expiring, LINKS, LINKS_BY_EXPIRY};
use super::writer::{Batch, Failure};
use crate::clock::millis;
use crate::error::StoreError;
use crate::links::Links;

#[async_trait]
impl Links for Embedded {
    async fn link(&self, index: &str, key: &str, member: &str, keep: Duration) -> Result<(), StoreError> {
        let (owner, member) = (keys::link(index, key), member.to_owned());
        self.writer.submit("link", move |batch| add(batch, &owner, member.as_bytes(), keep)).await
    }

    async fn unlink(&self, index: &str, key: &str, member: &str) -> Result<(), StoreError> {
        let (owner, member) = (keys::link(index, key), member.to_owned());
        self.writer.submit("unlink", move |batch| remove(batch, &owner, member.as_bytes())).await
    }

    async fn linked(&self, index: &str, key: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let owner = keys::link(index, key);
        self.read_aside("read links", move |txn, now| newest(txn, now, &owner, limit)).await
    }
}

fn order_key(owner: &[u8], expires_at: u64, member: &[u8]) -> Vec<u8> {
    keys::child(owner, &keys::at(expires_at, member))
}

fn add(batch: &mut Batch<'_>, owner: &[u8], member: &[u8], keep: Duration) -> Result<(), Failure> {
    batch.changes();
    let expires_at = batch.now.saturating_add(millis(keep));
    let key = keys::child(owner, member);
    let before = batch.txn.open_table(LINKS)?.insert(key.as_slice(), expires_at)?.map(|row| row.value());
    let mut order = batch.txn.open_table(LINKS_BY_EXPIRY)?;
    if let Some(before) = before {
        order.remove(order_key(owner, before, member).as_slice())?;
    }
    order.insert(order_key(owner, expires_at, member).as_slice(), [].as_slice())?;
    // A later expiry needs no row of its own: see sweep.rs.
    if before.is_none_or(|before| expires_at < before) {
        let expiry = keys::expiry(expires_at, Expiring::Link, &key);
        batch.txn.open_table(EXPIRY)?.insert(expiry.as_slice(), [].as_slice())?;
    }
    Ok(())
}

/// Its row of the expiry table goes when it is due.
pub(super) fn remove(batch: &mut Batch<'_>, owner: &[u8], member: &[u8]) -> Result<(), Failure> {
    let before = batch.txn.open_table(LINKS)?.remove(keys::child(owner, member).as_slice())?.map(|row| row.value());
    if let Some(before) = before {
        batch.changes();
        batch.txn.open_table(LINKS_BY_EXPIRY)?.remove(order_key(owner, before, member).as_slice())?;
    }
    Ok(())
}

fn newest(txn: &ReadTransaction, now: u64, owner: &[u8], limit: usize) -> Result<Vec<String>, redb::Error> {
    let first = keys::child(owner, &now.saturating_add(1).to_be_bytes());
    let end = keys::end_of(owner);
    let mut found = Vec::new();
    for row in txn.open_table(LINKS_BY_EXPIRY)?.range::<&[u8]>(first.as_slice()..end.as_slice())?.rev().take(limit) {
        let key = row?.0;
        let member = key.value().get(first.len()..).and_then(|member| std::str::from_utf8(member).ok());
        let member = member.ok_or_else(|| redb::Error::Corrupted("a link's member is not UTF-8".to_owned()))?;
        found.push(member.to_owned());
    }
    Ok(found)
}

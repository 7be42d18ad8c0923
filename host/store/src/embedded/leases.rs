//! Leased values in the file.
//!
//! One process owns the file, so who holds a lease is in memory; the values are rows. Taking, writing and giving back
//! all go through the writer thread, in its order: who gets a lease sees what the last holder wrote, and a holder
//! that lost its lease writes nothing. A restart frees all leases, and fences grow across it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use redb::ReadTransaction;

use super::keys::LEASED;
use super::writer::{Batch, Failure};
use crate::api::Taking;

/// Holds are cut to a day: longer ones are a mistake, and `Instant + Duration` must not overflow.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3_600);

#[derive(Debug)]
pub(super) struct Leases(Mutex<Held>);

#[derive(Debug)]
struct Held {
    last_fence: u64,
    by_name: HashMap<String, Holder>,
}

#[derive(Debug, Clone, Copy)]
struct Holder {
    fence: u64,
    until: Instant,
}

impl Leases {
    /// Fences grow from here.
    pub(super) fn new(first_fence: u64) -> Self {
        Self(Mutex::new(Held { last_fence: first_fence, by_name: HashMap::new() }))
    }

    /// A new holder, unless there is one whose time is not over.
    pub(super) fn take(&self, name: String, hold: Duration, taking: Taking) -> Option<u64> {
        let mut held = self.0.lock();
        let now = Instant::now();
        let taken = held.by_name.get(&name).is_some_and(|holder| holder.until > now);
        if taken && taking == Taking::IfFree {
            return None;
        }
        let fence = held.last_fence.saturating_add(1);
        held.last_fence = fence;
        held.by_name.insert(name, Holder { fence, until: now + hold.min(LONGEST_HOLD) });
        Some(fence)
    }

    fn is_newest(&self, name: &str, fence: u64) -> bool {
        self.0.lock().by_name.get(name).is_some_and(|holder| holder.fence == fence)
    }

    pub(super) fn free(&self, name: &str, fence: u64) {
        let mut held = self.0.lock();
        if held.by_name.get(name).is_some_and(|holder| holder.fence == fence) {
            held.by_name.remove(name);
        }
    }

    /// Writes, if the fence is the newest.
    pub(super) fn write(
        &self,
        batch: &mut Batch<'_>,
        name: &str,
        fence: u64,
        value: Option<&[u8]>,
    ) -> Result<bool, Failure> {
        if !self.is_newest(name, fence) {
            return Ok(false);
        }
        batch.changes();
        let mut table = batch.txn.open_table(LEASED)?;
        match value {
            Some(value) => drop(table.insert(name.as_bytes(), value)?),
            None => drop(table.remove(name.as_bytes())?),
        }
        Ok(true)
    }
}

pub(super) fn get(txn: &ReadTransaction, name: &str) -> Result<Option<Bytes>, redb::Error> {
    let row = txn.open_table(LEASED)?.get(name.as_bytes())?;
    Ok(row.map(|row| Bytes::copy_from_slice(row.value())))
}

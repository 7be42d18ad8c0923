//! The entries of this host, bounded in bytes.
//!
//! Two bounds: a tenant's, so that none can push out all others, and the host's. What has not been used for longest goes first:
//! of the tenant that is over its bound, or, when the host is full, of the tenant that has most. moka has neither a
//! bound of two levels nor a way to drop by owner; this is a map and an order for each tenant under one lock, which is
//! held for some hundred nanoseconds.

use super::entry::Entry;
use super::key::Key;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Bytes of all entries of a host.
pub(super) const HOST_BYTES: usize = 64 << 20;
/// Bytes of a tenant's entries: ten thousand stock levels.
pub(super) const TENANT_BYTES: usize = 16 << 20;
/// Oldest entries that each new one looks at whether they have ended: nobody's data stays longer than it must.
const LOOK_AT: usize = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Shelf {
    host_bytes: usize,
    tenant_bytes: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: usize,
    ticks: u64,
    tenants: HashMap<Arc<str>, Boards>,
    /// Tenants by their bytes.
    by_size: BTreeSet<(usize, Arc<str>)>,
}

/// What one tenant has.
#[derive(Debug, Default)]
struct Boards {
    bytes: usize,
    entries: HashMap<Key, (u64, Arc<Entry>)>,
    /// Keys by the tick of their last use.
    order: BTreeMap<u64, Key>,
}

impl Shelf {
    pub(super) fn new(host_bytes: usize, tenant_bytes: usize) -> Shelf {
        Shelf { host_bytes, tenant_bytes, inner: Mutex::default() }
    }

    pub(super) fn get(&self, tenant: &str, key: &Key) -> Option<Arc<Entry>> {
        let mut inner = self.inner.lock();
        inner.ticks += 1;
        let tick = inner.ticks;
        let boards = inner.tenants.get_mut(tenant)?;
        let (used, entry) = boards.entries.get_mut(key)?;
        boards.order.remove(used);
        boards.order.insert(tick, *key);
        *used = tick;
        Some(entry.clone())
    }

    pub(super) fn put(&self, tenant: &Arc<str>, key: Key, entry: Arc<Entry>, now: u64) {
        let mut inner = self.inner.lock();
        inner.remove(tenant, &key);
        inner.ticks += 1;
        let tick = inner.ticks;
        let bytes = entry.bytes;
        inner.change(tenant, |boards| {
            boards.order.insert(tick, key);
            boards.entries.insert(key, (tick, entry));
            boards.bytes += bytes;
        });
        for _ in 0..LOOK_AT {
            let Some((oldest, entry)) = inner.oldest(tenant) else { break };
            if entry.ends() > now {
                break;
            }
            inner.remove(tenant, &oldest);
        }
        while inner.tenants.get(tenant).is_some_and(|boards| boards.bytes > self.tenant_bytes) {
            let Some((oldest, _)) = inner.oldest(tenant) else { break };
            inner.remove(tenant, &oldest);
        }
        while inner.bytes > self.host_bytes {
            let Some((_, largest)) = inner.by_size.last().cloned() else { break };
            let Some((oldest, _)) = inner.oldest(&largest) else { break };
            inner.remove(&largest, &oldest);
        }
    }

    pub(super) fn remove(&self, tenant: &Arc<str>, key: &Key) {
        self.inner.lock().remove(tenant, key);
    }

    pub(super) fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }
}

impl Inner {
    fn oldest(&self, tenant: &str) -> Option<(Key, Arc<Entry>)> {
        let boards = self.tenants.get(tenant)?;
        let key = boards.order.first_key_value()?.1;
        boards.entries.get(key).map(|(_, entry)| (*key, entry.clone()))
    }

    fn remove(&mut self, tenant: &Arc<str>, key: &Key) {
        if self.tenants.get(tenant).is_some_and(|boards| boards.entries.contains_key(key)) {
            self.change(tenant, |boards| {
                if let Some((used, entry)) = boards.entries.remove(key) {
                    boards.order.remove(&used);
                    boards.bytes -= entry.bytes;
                }
            });
        }
    }

    /// Changes what a tenant has, and keeps the sums right.
    fn change(&mut self, tenant: &Arc<str>, change: impl FnOnce(&mut Boards)) {
        let boards = self.tenants.entry(tenant.clone()).or_default();
        let before = boards.bytes;
        change(boards);
        let after = boards.bytes;
        let empty = boards.entries.is_empty();
        self.by_size.remove(&(before, tenant.clone()));
        if empty {
            self.tenants.remove(tenant);
        } else {
            self.by_size.insert((after, tenant.clone()));
        }
        self.bytes = (self.bytes + after).saturating_sub(before);
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::Policy;
    use super::*;
    use confab_sandbox::manifest::CacheManifest;
    use serde_json::json;

    fn entry(text_bytes: usize, as_of: u64) -> Arc<Entry> {
        let policy = Policy::of(&CacheManifest { ttl_s: 1, ..CacheManifest::default() });
        Arc::new(Entry::new(Ok(json!("x".repeat(text_bytes))), as_of, &policy, Vec::new()))
    }

    fn key(number: usize) -> Key {
        (number as u128).to_be_bytes()
    }

    #[test]
    fn a_tenant_that_floods_pushes_out_its_own_and_nobody_elses() {
        let (shelf, shop, flood): (_, Arc<str>, Arc<str>) =
            (Shelf::new(1 << 20, 256 << 10), "shop".into(), "flood".into());
        shelf.put(&shop, key(0), entry(1_000, 0), 0);
        for number in 0..10_000 {
            shelf.put(&flood, key(number), entry(1_000, 0), 0);
            assert!(shelf.bytes() <= (256 << 10) + 2_000, "{}", shelf.bytes());
        }
        assert!(shelf.get("shop", &key(0)).is_some() && shelf.get("flood", &key(0)).is_none());
        assert!(shelf.get("flood", &key(9_999)).is_some());
    }

    #[test]
    fn a_full_host_takes_from_the_tenant_that_has_most_what_was_used_longest_ago() {
        let shelf = Shelf::new(100_000, 90_000);
        let (large, small): (Arc<str>, Arc<str>) = ("large".into(), "small".into());
        (0..60).for_each(|number| shelf.put(&large, key(number), entry(1_000, 0), 0));
        assert!(shelf.get("large", &key(0)).is_some());
        (0..30).for_each(|number| shelf.put(&small, key(number), entry(1_000, 0), 0));
        assert!(shelf.bytes() <= 100_000);
        assert!((0..30).all(|number| shelf.get("small", &key(number)).is_some()));
        assert!(shelf.get("large", &key(0)).is_some() && shelf.get("large", &key(1)).is_none());
    }

    #[test]
    fn what_has_ended_goes_and_an_empty_tenant_leaves_nothing() {
        let (shelf, shop): (_, Arc<str>) = (Shelf::new(1 << 20, 1 << 20), "shop".into());
        (0..10).for_each(|number| shelf.put(&shop, key(number), entry(10, 0), 0));
        (10..16).for_each(|number| shelf.put(&shop, key(number), entry(10, 5_000), 5_000));
        assert!((0..10).all(|number| shelf.get("shop", &key(number)).is_none()));
        (10..16).for_each(|number| shelf.remove(&shop, &key(number)));
        let inner = shelf.inner.lock();
        assert!(inner.bytes == 0 && inner.tenants.is_empty() && inner.by_size.is_empty());
    }
}

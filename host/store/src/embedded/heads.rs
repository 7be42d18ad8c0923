//! The heads that were committed last, so that a conversation in progress begins its next turn without a read.
//!
//! Only the writer thread puts heads in, after their commit is on disk; a reader that missed does not. So an entry
//! is never older than the file as far as any caller has been told, without a lock held across the two.
//!
//! Two generations bound it: when the young one is full it becomes the old one, and what the old one still held and
//! nobody asked for is gone. That is one hash lookup an access and no list to keep.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::api::ConversationKey;

/// Of each generation: 16 MiB, so 32 MiB in all. With heads of 2 KiB that is 16,000 conversations in progress.
const GENERATION_BYTES: usize = 16 * 1024 * 1024;

/// Counted for each entry beside its head: key, map slot, allocations.
const ENTRY_OVERHEAD: usize = 256;

/// Larger heads are left to the page cache.
const LARGEST_HEAD: usize = 256 * 1024;

#[derive(Debug, Clone)]
pub(super) struct CachedHead {
    pub(super) head: Bytes,
    pub(super) turns: u64,
    pub(super) expires_at: u64,
}

type Generation = HashMap<Arc<ConversationKey>, CachedHead>;

#[derive(Default)]
struct Generations {
    young: Generation,
    young_bytes: usize,
    old: Generation,
}

#[derive(Default)]
pub(super) struct HeadCache(Mutex<Generations>);

impl HeadCache {
    pub(super) fn get(&self, key: &ConversationKey) -> Option<CachedHead> {
        let mut cache = self.0.lock();
        if let Some(found) = cache.young.get(key) {
            return Some(found.clone());
        }
        let (key, found) = cache.old.remove_entry(key)?;
        cache.put(key, found.clone());
        Some(found)
    }

    pub(super) fn put(&self, key: Arc<ConversationKey>, head: CachedHead) {
        let mut cache = self.0.lock();
        cache.old.remove(&key);
        if head.head.len() > LARGEST_HEAD {
            cache.young.remove(&key);
        } else {
            cache.put(key, head);
        }
    }

    pub(super) fn remove(&self, key: &ConversationKey) {
        let mut cache = self.0.lock();
        cache.young.remove(key);
        cache.old.remove(key);
    }

    pub(super) fn clear(&self) {
        *self.0.lock() = Generations::default();
    }
}

impl Generations {
    fn put(&mut self, key: Arc<ConversationKey>, head: CachedHead) {
        // A replaced entry stays counted until the generation turns; the bound only gets tighter by it.
        self.young_bytes += head.head.len() + ENTRY_OVERHEAD;
        self.young.insert(key, head);
        if self.young_bytes > GENERATION_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

impl fmt::Debug for HeadCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cache = self.0.lock();
        write!(f, "HeadCache({} young, {} old)", cache.young.len(), cache.old.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: usize) -> CachedHead {
        CachedHead { head: Bytes::from(vec![0; bytes]), turns: 1, expires_at: 1 }
    }

    fn key(number: usize) -> Arc<ConversationKey> {
        Arc::new(ConversationKey::new("t", "b", number.to_string()))
    }

    #[test]
    fn it_stays_bounded_and_keeps_what_is_asked_for() {
        let cache = HeadCache::default();
        let favourite = key(usize::MAX);
        cache.put(Arc::clone(&favourite), head(10));
        for number in 0..2_000 {
            cache.put(key(number), head(64 * 1024));
            assert!(cache.get(&favourite).is_some());
        }
        let inner = cache.0.lock();
        let bytes: usize = inner.young.values().chain(inner.old.values()).map(|entry| entry.head.len()).sum();
        assert!(bytes < 3 * GENERATION_BYTES, "{bytes}");
    }

    #[test]
    fn a_head_too_large_to_cache_also_removes_the_old_one() {
        let cache = HeadCache::default();
        cache.put(key(1), head(10));
        cache.put(key(1), head(LARGEST_HEAD + 1));
        assert!(cache.get(&key(1)).is_none());
    }
}

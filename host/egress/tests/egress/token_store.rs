//! A store of tokens in memory, shared by "hosts" of one test, that can be told to fail.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use confab_egress::{TokenOwner, TokenStore, TokenStoreError};

#[derive(Default)]
struct Entry {
    fence: u64,
    until: Option<Instant>,
    value: Option<Bytes>,
}

#[derive(Default)]
pub(crate) struct MemoryTokens {
    entries: Mutex<HashMap<TokenOwner, Entry>>,
    /// In place of what is asked for, so that a test does not wait for a dead host.
    hold: Mutex<Option<Duration>>,
    down: AtomicBool,
    failed: AtomicUsize,
}

impl MemoryTokens {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn hold_for(&self, hold: Duration) {
        *self.hold.lock().unwrap() = Some(hold);
    }

    pub(crate) fn fail(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// How often it has failed.
    pub(crate) fn failures(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }

    fn with<T>(&self, owner: &TokenOwner, f: impl FnOnce(&mut Entry) -> T) -> Result<T, TokenStoreError> {
        if self.down.load(Ordering::SeqCst) {
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(TokenStoreError("the store is down".into()));
        }
        Ok(f(self.entries.lock().unwrap().entry(owner.clone()).or_default()))
    }

    fn take(&self, entry: &mut Entry, hold: Duration) -> u64 {
        entry.fence += 1;
        entry.until = Some(Instant::now() + self.hold.lock().unwrap().unwrap_or(hold));
        entry.fence
    }
}

#[async_trait::async_trait]
impl TokenStore for MemoryTokens {
    async fn load(&self, owner: &TokenOwner) -> Result<Option<Bytes>, TokenStoreError> {
        self.with(owner, |entry| entry.value.clone())
    }

    async fn lease(&self, owner: &TokenOwner, hold: Duration) -> Result<Option<u64>, TokenStoreError> {
        self.with(owner, |entry| {
            let taken = entry.until.is_some_and(|until| until > Instant::now());
            (!taken).then(|| self.take(entry, hold))
        })
    }

    async fn seize(&self, owner: &TokenOwner, hold: Duration) -> Result<u64, TokenStoreError> {
        self.with(owner, |entry| self.take(entry, hold))
    }

    async fn save(&self, owner: &TokenOwner, fence: u64, record: Option<Bytes>) -> Result<bool, TokenStoreError> {
        self.with(owner, |entry| {
            let newest = entry.fence == fence;
            if newest {
                entry.value = record;
            }
            newest
        })
    }

    async fn free(&self, owner: &TokenOwner, fence: u64) -> Result<(), TokenStoreError> {
        self.with(owner, |entry| {
            if entry.fence == fence {
                entry.fence += 1;
                entry.until = None;
            }
        })
    }
}

//! Stores to test on, and short ways to say what the tests say often.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use confab_store::{ConversationKey, Embedded, LeaseOptions, Store, StoredAnswer, TurnCommit};

use crate::redis_server;

/// Longer than anything may take on a slow machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    _kept: Box<dyn Any + Send>,
}

pub(crate) async fn embedded() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Embedded::open(directory.path()).await.unwrap());
    Fixture { store, _kept: Box::new(directory) }
}

pub(crate) async fn redis() -> Fixture {
    let (server, url) = redis_server::shared();
    Fixture { store: confab_store::open(&url).await.unwrap(), _kept: Box::new(server) }
}

pub(crate) fn key(id: &str) -> ConversationKey {
    ConversationKey::new("tenant", "bot", id)
}

pub(crate) fn options() -> LeaseOptions {
    LeaseOptions { wait: LONG, hold: LONG }
}

pub(crate) fn bytes(text: impl Into<String>) -> Bytes {
    Bytes::from(text.into())
}

/// A commit with this head and these transcript entries.
pub(crate) fn commit(head: &str, entries: &[&str]) -> TurnCommit {
    TurnCommit {
        head: bytes(head),
        entries: entries.iter().map(|entry| bytes(*entry)).collect(),
        expires_in: Duration::from_secs(3_600),
        answer: None,
    }
}

pub(crate) fn answer(key: &str, body: &str) -> Option<StoredAnswer> {
    Some(StoredAnswer { key: key.to_owned(), body: bytes(body), expires_in: Duration::from_secs(60) })
}

/// Begins and commits a turn.
pub(crate) async fn turn(store: &dyn Store, key: &ConversationKey, commit: TurnCommit) -> u64 {
    let open = store.begin_turn(key, options()).await.unwrap();
    store.commit_turn(open.lease, commit).await.unwrap()
}

/// Asks until the answer is yes; fails after `LONG`.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut asked: impl FnMut() -> F) {
    let deadline = Instant::now() + LONG;
    while !asked().await {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

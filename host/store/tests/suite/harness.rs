//! Stores to test on, and short ways to say what the tests say often.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use confab_store::{
    BeginTurn, Begun, ConversationKey, Embedded, Lease, OpenTurn, Store, StoreError, StoredAnswer, TurnCommit,
};

use crate::{redis_cluster, redis_server};

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

pub(crate) async fn cluster() -> Fixture {
    let turn = redis_cluster::shared().await;
    Fixture { store: confab_store::open(&turn.cluster.url()).await.unwrap(), _kept: Box::new(turn) }
}

pub(crate) fn key(id: &str) -> ConversationKey {
    ConversationKey::new("tenant", "bot", id)
}

pub(crate) fn options() -> BeginTurn {
    BeginTurn { wait: LONG, hold: LONG, most_waiting: 1_000, answer_key: None }
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
        ..TurnCommit::default()
    }
}

pub(crate) fn answer(key: &str, body: &str) -> Vec<StoredAnswer> {
    vec![StoredAnswer { key: key.to_owned(), body: bytes(body), expires_in: Duration::from_secs(60) }]
}

/// Shorter ways to say what most tests want.
#[async_trait::async_trait]
pub(crate) trait Turns {
    /// Begins a turn that was not answered before.
    async fn open_turn(&self, key: &ConversationKey, begin: BeginTurn) -> Result<OpenTurn, StoreError>;
    /// Commits, and says how many turns there are.
    async fn close_turn(&self, lease: Lease, commit: TurnCommit) -> Result<u64, StoreError>;
}

#[async_trait::async_trait]
impl<S: Store + ?Sized> Turns for S {
    async fn open_turn(&self, key: &ConversationKey, begin: BeginTurn) -> Result<OpenTurn, StoreError> {
        match self.begin_turn(key, begin).await? {
            Begun::Open(open) => Ok(open),
            Begun::Answered(body) => panic!("the turn was answered before: {body:?}"),
        }
    }

    async fn close_turn(&self, lease: Lease, commit: TurnCommit) -> Result<u64, StoreError> {
        Ok(self.commit_turn(lease, commit).await?.turns)
    }
}

/// Begins and commits a turn.
pub(crate) async fn turn(store: &dyn Store, key: &ConversationKey, commit: TurnCommit) -> u64 {
    let open = store.open_turn(key, options()).await.unwrap();
    store.close_turn(open.lease, commit).await.unwrap()
}

/// Asks until the answer is yes; fails after `LONG`.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut asked: impl FnMut() -> F) {
    let deadline = Instant::now() + LONG;
    while !asked().await {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

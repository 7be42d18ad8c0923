//! Everything of Confab that outlives a request: conversations, configuration, plugin data, bounded logs and
//! rate-limit counters.
//!
//! One trait, two backends, no other crate knows which one runs:
//!
//! | module | what it is |
//! |---|---|
//! | [`api`] | the trait [`Store`] and the plain values that go through it |
//! | [`error`] | [`StoreError`]: the few outcomes that a caller can act on |
//! | [`address`] | `embedded:PATH`, `redis://...` or `redis-cluster://...`, parsed once, printed without its password |
//! | [`clock`] | the time that expiry is measured with; tests bring their own |
//! | [`lanes`] | work that waits: queues, schedules, retries |
//! | [`links`] | small sets with expiry |
//! | [`shared_cache`] | results that hosts fetch for each other |
//! | `bound` | how long a bounded log may grow before it is cut |
//! | `turn_queue` | who may run the next turn of a conversation within this process, in arrival order |
//! | [`embedded`] | redb in one file; one writer thread, group commit |
//! | [`redis_store`] | Redis, or a Redis Cluster, shared by any number of hosts; every change is one Lua script |
//!
//! What both promise: a turn is written whole or not at all (state, transcript, stored answer, release of the lock);
//! turns of one conversation run one at a time; a commit whose lease was taken over writes nothing; costs grow
//! neither with the number of conversations nor with a conversation's age.
//!
//! What this crate does not do: it gives bytes no meaning, and it encrypts nothing.
#![forbid(unsafe_code)]

pub mod address;
pub mod api;
mod bound;
pub mod clock;
pub mod embedded;
pub mod error;
pub mod lanes;
pub mod links;
pub mod redis_store;
pub mod shared_cache;
mod turn_queue;

use std::sync::Arc;

pub use address::Address;
pub use api::{
    BeginTurn, Begun, Committed, ConversationKey, CounterIncrement, DocumentChange, JournalNote, LanePause, Lease,
    OpenTurn, Pace, PaceStep, Paced, Store, StoredAnswer, Taking, Tally, TurnCommit, Unfinished,
};
pub use clock::Clock;
pub use embedded::Embedded;
pub use error::StoreError;
pub use lanes::{Again, HeldLane, LANE_HOLD, LaneState, Lanes, Once, Partition, Push, Settled};
pub use links::Links;
pub use redis_store::RedisStore;
pub use shared_cache::{SharedCache, SharedRead};

/// Opens the store that `url` names: `embedded:PATH`, `redis://[user:password@]host[:port][/db]` or
/// `redis-cluster://[user:password@]host:port,host:port,...` with some nodes of a cluster.
///
/// Must be called within a tokio runtime. The embedded store may take a while after a crash (it walks its file to
/// check it); this happens off the async threads. Redis has to be up: otherwise the answer is `Unavailable` after
/// at most [`redis_store::OPERATION_TIMEOUT`].
///
/// # Errors
/// [`StoreError::Misconfigured`] for any other address, [`StoreError::InUse`] if another process has the embedded
/// database open, [`StoreError::Unavailable`] or [`StoreError::Corrupt`] if it can't be opened.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    match Address::parse(url)? {
        Address::Embedded(path) => Ok(Arc::new(Embedded::open(path).await?)),
        Address::Redis(location) => Ok(Arc::new(RedisStore::open(location).await?)),
    }
}

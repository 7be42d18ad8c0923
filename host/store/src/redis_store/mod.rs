//! The shared store: any number of hosts on one Redis server or one Redis Cluster.
//!
//! Each change is one Lua script (or one transaction), so it happens whole or not at all and takes one round trip. All keys of one
//! conversation with the lanes of its partition, of one plugin space, and of the configuration carry a hash tag
//! (`keys.rs`, `partitions.rs`), so each script stays within one slot of a cluster.
//!
//! A turn's lock is a hash with the newest fence, its owner and until when it is held, by the *server's* clock, the
//! only one that all hosts share. Fences are microseconds of that clock, or one more than the last if that is not
//! greater; so a lock's key can be deleted with the commit and the fence still never repeats.
//!
//! ```text
//! begin_turn ── turn queue (order within this process) ── begin.lua: lock + fence + head + journal
//!                                      └─ if it has to wait: a ticket in the conversation's queue, by arrival on all hosts
//! journal ───── journal.lua: fence newest? append, push into lanes
//! commit_turn ─ commit.lua:  fence newest? head, turns, transcript, answer, record, lanes, unlock, wake who waits
//! ```
//!
//! Tickets of a host are good for two seconds after it last asked for the conversation; a killed host's are passed over
//! then. The lock goes to the host with the oldest ticket that is good, and there to the first of its own queue.
//!
//! A call that is sent twice, because its answer was lost with a connection, must not do its work twice. A begin knows
//! itself by its ticket, a commit by fence and number, a note by its number in the lock, a push or settling by
//! a key that remembers it for a minute.
//!
//! How durable a commit is, Redis decides: with `appendonly yes` and `appendfsync always` as durable as the
//! embedded store, with `everysec` a power cut may cost a second. Set `maxmemory-policy noeviction`.
//!
//! | file | what |
//! |---|---|
//! | `link.rs` | time limits, repeating after a lost connection, errors without passwords |
//! | `wire.rs` | connections, to one server or to a cluster |
//! | `keys.rs`, `partitions.rs` | names of keys, and which of them lie together |
//! | `scripts.rs`, `scripts/*.lua`, `call.rs` | the scripts, and a run of one |
//! | `begin.rs` | beginning a turn, and waiting for it |
//! | `turns.rs` | renew, journal, commit, give back |
//! | `lanes.rs` | work that waits: lanes and links |
//! | `signals.rs` | what other hosts tell without delay |
//! | `documents.rs` | configuration; large documents go a way of their own |
//! | `records.rs` | bounded logs |
//! | `cache.rs` | the cache that hosts share |
//! | `config_watch.rs` | hears of other hosts' configuration changes, and of their signals |
//! | `store.rs` | the trait |

mod begin;
mod cache;
mod call;
mod config_watch;
mod documents;
mod keys;
mod lanes;
mod link;
mod partitions;
mod records;
mod scripts;
mod signals;
mod store;
mod turns;
mod wire;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::link::OPERATION_TIMEOUT;
pub(crate) use self::turns::RemoteHold;

use self::link::Link;
use self::partitions::Prefixes;
use self::scripts::Scripts;
use self::signals::Signals;
use crate::address::RedisLocation;
use crate::error::StoreError;
use crate::lanes::LANE_HOLD;
use crate::turn_queue::TurnQueue;

/// A store on a Redis server or cluster. See the module's text.
#[derive(Debug)]
pub struct RedisStore {
    shared: Arc<Shared>,
    turns: Arc<TurnQueue>,
    config_version: watch::Sender<u64>,
    watcher: JoinHandle<()>,
    /// Tells this store's lock requests from those of any other.
    owner: u64,
    requests: AtomicU64,
    lane_hold: Duration,
    looks: AtomicU32,
}

/// What leases keep alive beyond the store itself, to give their locks back.
#[derive(Debug)]
struct Shared {
    link: Link,
    scripts: Scripts,
    prefixes: Prefixes,
    signals: Arc<Signals>,
}

impl RedisStore {
    /// Connects, and begins to watch the configuration version. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer within [`OPERATION_TIMEOUT`],
    /// [`StoreError::Misconfigured`] if it refuses the credentials.
    pub async fn open(location: RedisLocation) -> Result<Self, StoreError> {
        Self::open_with_lane_hold(location, LANE_HOLD).await
    }

    /// The same with another time than [`LANE_HOLD`], for tests. All hosts should have the same.
    ///
    /// # Errors
    /// As [`RedisStore::open`].
    pub async fn open_with_lane_hold(location: RedisLocation, lane_hold: Duration) -> Result<Self, StoreError> {
        let link = Link::connect(location).await?;
        let version = config_watch::read_version(&link).await?;
        let config_version = watch::Sender::new(version);
        let signals = Arc::new(Signals::default());
        let watcher = tokio::spawn(config_watch::run(link.clone(), config_version.clone(), Arc::clone(&signals)));
        let (scripts, prefixes) = (Scripts::default(), Prefixes::default());
        Ok(Self {
            shared: Arc::new(Shared { link, scripts, prefixes, signals }),
            turns: TurnQueue::new(0),
            config_version,
            watcher,
            owner: RandomState::new().build_hasher().finish(),
            requests: AtomicU64::new(0),
            lane_hold,
            looks: AtomicU32::new(0),
        })
    }

    /// This store's name among the hosts.
    fn host(&self) -> String {
        format!("{:x}", self.owner)
    }

    /// A name that no other request has.
    fn request(&self) -> String {
        format!("{:x}-{}", self.owner, self.requests.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

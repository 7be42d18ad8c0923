//! The shared store: any number of hosts on one Redis server.
//!
//! Each change is one Lua script (or one transaction), so it happens whole or not at all and takes one round trip. All keys of one
//! conversation, of one plugin space, and of the configuration carry a hash tag (`keys.rs`), so each script stays
//! within one slot of a cluster.
//!
//! A turn's lock is a hash with the newest fence, its owner and until when it is held, by the *server's* clock, the
//! only one that all hosts share. Fences are microseconds of that clock, or one more than the last if that is not
//! greater; so a lock's key can be deleted with the commit and the fence still never repeats.
//!
//! ```text
//! begin_turn ── turn queue (order within this process) ── begin.lua: lock + fence + head   (polls while another host holds it)
//! commit_turn ── commit.lua: fence newest? head, turns, transcript, answer, expiry, unlock
//! ```
//!
//! How durable a commit is, Redis decides: with `appendonly yes` and `appendfsync always` as durable as the
//! embedded store, with `everysec` a power cut may cost a second. Set `maxmemory-policy noeviction`.
//!
//! | file | what |
//! |---|---|
//! | `link.rs` | connection, time limits, repeating after a lost connection, errors without passwords |
//! | `keys.rs` | names of keys |
//! | `scripts.rs`, `scripts/*.lua` | the scripts |
//! | `turns.rs` | begin, commit, give back |
//! | `documents.rs` | configuration; large documents go a way of their own |
//! | `records.rs` | bounded logs |
//! | `cache.rs` | the cache that hosts share |
//! | `config_watch.rs` | hears of other hosts' configuration changes |
//! | `store.rs` | the trait |

mod cache;
mod config_watch;
mod documents;
mod keys;
mod lanes;
mod link;
mod records;
mod scripts;
mod store;
mod turns;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::link::OPERATION_TIMEOUT;
pub(crate) use self::turns::RemoteHold;

use self::link::Link;
use self::scripts::Scripts;
use crate::address::RedisLocation;
use crate::error::StoreError;
use crate::turn_queue::TurnQueue;

/// A store on a Redis server. See the module's text.
#[derive(Debug)]
pub struct RedisStore {
    shared: Arc<Shared>,
    turns: Arc<TurnQueue>,
    config_version: watch::Sender<u64>,
    watcher: JoinHandle<()>,
    /// Tells this store's lock requests from those of any other.
    owner: u64,
    requests: AtomicU64,
}

/// What leases keep alive beyond the store itself, to give their locks back.
#[derive(Debug)]
struct Shared {
    link: Link,
    scripts: Scripts,
}

impl RedisStore {
    /// Connects, and begins to watch the configuration version. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer within [`OPERATION_TIMEOUT`],
    /// [`StoreError::Misconfigured`] if it refuses the credentials.
    pub async fn open(location: RedisLocation) -> Result<Self, StoreError> {
        let link = Link::connect(location).await?;
        let version = config_watch::read_version(&link).await?;
        let config_version = watch::Sender::new(version);
        let watcher = tokio::spawn(config_watch::run(link.clone(), config_version.clone()));
        Ok(Self {
            shared: Arc::new(Shared { link, scripts: Scripts::default() }),
            turns: TurnQueue::new(0),
            config_version,
            watcher,
            owner: RandomState::new().build_hasher().finish(),
            requests: AtomicU64::new(0),
        })
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

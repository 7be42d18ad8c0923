//! A cache that hosts share, for results that any of them can fetch again.
//!
//! Nothing in it is the only copy: it may be lost at any time, and nobody waits for disks. Only stores that several hosts
//! share have one ([`Store::shared_cache`](crate::Store::shared_cache)); a host that is alone has its own memory.
//!
//! ```text
//! read ── fresh entry ............................ take it
//!      ── none, and nobody fetches it ............ Fetch: this host does, and everybody else waits
//!      ── none, and another host fetches it ...... Wait: ask again soon
//! write ── entry, end of the lease                give_up ── end of the lease, no entry
//! ```
//!
//! What has become worthless is not looked for: each space has *generations*, a number for each of a few hundred buckets,
//! and an entry says which generations it was fetched under. [`SharedCache::advance`] makes all entries of a
//! bucket worthless by one write, however many there are.

use crate::error::StoreError;
use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;

/// What the cache says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedRead {
    /// An entry that is fresh for so much longer.
    Fresh {
        /// The entry.
        entry: Bytes,
        /// How long it is fresh.
        left: Duration,
    },
    /// The caller fetches it. Nobody else will until [`SharedCache::write`], [`SharedCache::give_up`] or the lease's end.
    Fetch {
        /// For [`SharedCache::give_up`].
        ticket: String,
        /// An entry that is no longer fresh.
        stale: Option<Bytes>,
    },
    /// Another host fetches it.
    Wait {
        /// An entry that is no longer fresh.
        stale: Option<Bytes>,
    },
}

/// The generations of a space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Generations {
    /// Grows with each [`SharedCache::advance`].
    pub version: u64,
    /// Those that are not 0.
    pub buckets: Vec<(u16, u64)>,
}

/// See the module. `space` is an opaque scope made by the caller; keys have no meaning here.
#[async_trait]
pub trait SharedCache: Send + Sync {
    /// Reads an entry, or takes the lease for fetching it.
    async fn read(&self, space: &str, key: &str, lease: Duration) -> Result<SharedRead, StoreError>;

    /// Writes an entry that is fresh for a while and kept for longer, and ends the lease.
    async fn write(
        &self,
        space: &str,
        key: &str,
        entry: Bytes,
        fresh: Duration,
        keep: Duration,
    ) -> Result<(), StoreError>;

    /// Ends a lease without an entry. Nothing happens when it is somebody else's by now.
    async fn give_up(&self, space: &str, key: &str, ticket: &str) -> Result<(), StoreError>;

    /// The generations of a space, unless their version is the one that is known.
    async fn generations(&self, space: &str, known: u64) -> Result<Option<Generations>, StoreError>;

    /// Gives buckets a new generation, above all that the space has had, and returns it. They are remembered for `keep`, which
    /// must be longer than any entry lives.
    async fn advance(&self, space: &str, buckets: &[u16], keep: Duration) -> Result<u64, StoreError>;
}

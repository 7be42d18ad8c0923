//! The embedded store: one redb file, nothing to install, a committed turn is on disk.
//!
//! ```text
//! begin_turn ── turn queue (in memory) ── head cache, or one redb read
//! commit_turn ── job ──> writer thread: takes all queued jobs ─> one transaction ─> one sync ─> answers all
//! ```
//!
//! One process owns the file, and one thread of it writes. So locks and counters are in memory, and a bounded
//! cache of the heads that were committed last is always right (`heads.rs`). Writers never wait on a timer: while one
//! transaction syncs, the next batch gathers by itself.
//!
//! Point reads run on the calling task: they are a few B-tree pages, nearly always in redb's cache, and cheaper than
//! a hop to another thread. Reads of many rows go to tokio's blocking pool.
//!
//! | file | what |
//! |---|---|
//! | `file.rs` | opening, locking, reopening after an I/O error, redb's errors as ours |
//! | `keys.rs` | tables, key and record encodings |
//! | `writer.rs` | the thread, jobs, group commit |
//! | `turns.rs` | begin, renew, journal, commit: what the trait promises of turns |
//! | `conversations.rs` | rows of a commit and of a deletion; transcript, answers, records of turns |
//! | `journal.rs` | what a turn that was never committed had done |
//! | `lanes.rs` | work that waits: the trait |
//! | `lane_rows.rs`, `held_lanes.rs` | lanes in the file; who holds them, in memory |
//! | `links.rs` | small sets with expiry |
//! | `sweep.rs` | removal of what has expired |
//! | `heads.rs` | the cache |
//! | `documents.rs` | configuration; large bodies in parts |
//! | `records.rs` | bounded logs |
//! | `leases.rs` | values that one holder at a time changes |
//! | `kv.rs`, `counters.rs`, `paces.rs` | the rest of the trait |

mod conversations;
mod counters;
mod documents;
mod file;
mod heads;
mod held_lanes;
mod journal;
mod keys;
mod kv;
mod lane_rows;
mod lanes;
mod leases;
mod links;
mod paces;
mod records;
mod store;
mod sweep;
mod turns;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::watch;

use self::counters::Counters;
use self::file::DatabaseFile;
use self::heads::HeadCache;
use self::held_lanes::HeldLanes;
use self::journal::OpenJournals;
use self::leases::Leases;
use self::paces::Paces;
use self::writer::Writer;
use crate::clock::Clock;
use crate::error::StoreError;
use crate::turn_queue::TurnQueue;

/// The file within the store's directory.
pub const FILE_NAME: &str = "confab.redb";

/// Fences begin at the opening time in milliseconds times this, so that they grow across restarts. It allows a
/// million leases a second on average, and stays below 2^53 until the year 2248.
const FENCES_PER_MILLISECOND: u64 = 1_024;

/// A store in one file of this machine. See the module's text.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
    writer: Writer,
    turns: Arc<TurnQueue>,
    counters: Counters,
    paces: Paces,
    leases: Arc<Leases>,
}

/// What the writer thread and the readers both use.
#[derive(Debug)]
struct Shared {
    file: DatabaseFile,
    heads: HeadCache,
    journals: Arc<OpenJournals>,
    held: HeldLanes,
    config_version: watch::Sender<u64>,
    clock: Clock,
    /// Whether the last batch of writes failed: the disk is full, say.
    fails: AtomicBool,
}

impl Embedded {
    /// Opens the store in the directory `path`, which is created (mode 0700) if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if the database is open already, [`StoreError::Unavailable`] if the directory or file
    /// can't be used, [`StoreError::Corrupt`] or [`StoreError::Misconfigured`] if the file is damaged or too new.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_with_clock(path, Clock::system()).await
    }

    /// The same, with expiry measured by `clock`.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub async fn open_with_clock(path: impl Into<PathBuf>, clock: Clock) -> Result<Self, StoreError> {
        let path = path.into();
        tokio::task::spawn_blocking(move || Self::open_blocking(&path, clock))
            .await
            .map_err(|error| StoreError::unavailable("open the database", error))?
    }

    fn open_blocking(directory: &Path, clock: Clock) -> Result<Self, StoreError> {
        let file = DatabaseFile::open(directory)?;
        let version = documents::stored_version(&file)?;
        let first_fence = clock.now().saturating_mul(FENCES_PER_MILLISECOND);
        let (turns, leases) = (TurnQueue::new(first_fence), Arc::new(Leases::new(first_fence)));
        let journals = Arc::new(OpenJournals::default());
        journals.load(&file)?;
        let shared = Arc::new(Shared {
            file,
            heads: HeadCache::default(),
            journals,
            held: HeldLanes::new(first_fence),
            config_version: watch::Sender::new(version),
            clock,
            fails: AtomicBool::new(false),
        });
        let writer = Writer::start(Arc::clone(&shared))?;
        Ok(Self { shared, writer, turns, counters: Counters::default(), paces: Paces::default(), leases })
    }

    /// Removes what has expired now, one bounded batch of them, and returns how many index rows were
    /// looked at, with the journals that were removed. The writer thread does this by itself once a minute.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the write failed.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let journals = Arc::clone(&self.shared.journals);
        self.writer.submit("remove what has expired", move |batch| sweep::sweep(batch, &journals)).await
    }

    /// Runs a read of many rows on the blocking pool.
    async fn read_aside<T, F>(&self, wanted: &'static str, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&redb::ReadTransaction, u64) -> Result<T, redb::Error> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || {
            let now = shared.clock.now();
            shared.file.read(wanted, |txn| read(txn, now))
        })
        .await
        .map_err(|error| StoreError::unavailable(wanted, error))?
    }
}

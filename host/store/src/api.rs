//! The trait [`Store`] and the plain values that go through it.
//!
//! The shape follows a turn: [`Store::begin_turn`] waits for the conversation's turn lock and reads its state,
//! [`Store::commit_turn`] writes everything the turn made and gives the lock back, in one step. Between the two the
//! caller holds a [`Lease`]; its fence tells the store whether it is still the newest.
//!
//! Heads, transcript entries, answers and documents are opaque bytes: the engine owns their meaning and their version.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::lanes::{Lanes, Push};
use crate::links::Links;
use crate::redis_store::RemoteHold;
use crate::shared_cache::SharedCache;
use crate::turn_queue::TurnGuard;

/// Names one conversation. Any text is allowed in each part, separators too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationKey {
    /// The tenant that owns the bot.
    pub tenant: String,
    /// The bot within the tenant.
    pub bot: String,
    /// The conversation within the bot.
    pub id: String,
}

impl ConversationKey {
    /// A key of these three parts.
    pub fn new(tenant: impl Into<String>, bot: impl Into<String>, id: impl Into<String>) -> Self {
        Self { tenant: tenant.into(), bot: bot.into(), id: id.into() }
    }
}

impl fmt::Display for ConversationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant, self.bot, self.id)
    }
}

/// How a turn is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginTurn {
    /// Longest time to wait for the lock; then [`StoreError::Busy`]. Zero: take it now or not at all.
    pub wait: Duration,
    /// After this long without a commit or [`Store::renew_turn`] another turn may take the lock over. It only *allows* a
    /// takeover: a late commit still succeeds if nobody else began a turn. So it is how long a conversation waits for
    /// a host that was killed: choose it short, and renew.
    pub hold: Duration,
    /// Most turns that may wait for this conversation, those of all hosts together; one more is [`StoreError::Crowded`].
    pub most_waiting: usize,
    /// The request's idempotency key. If an answer is stored under it, that comes back and no lock is taken; if
    /// the turn that holds the lock (or, on this host, waits for it) has the same key, it is [`StoreError::InFlight`].
    pub answer_key: Option<String>,
}

/// What [`Store::begin_turn`] came to.
#[allow(clippy::large_enum_variant, reason = "it is nearly always the large one, and is taken apart at once")]
#[derive(Debug)]
pub enum Begun {
    /// The lock is the caller's.
    Open(OpenTurn),
    /// The request was answered before: what is stored under its key.
    Answered(Bytes),
}

/// The right to commit the next turn of a conversation.
///
/// Dropping it gives the lock back without writing: at once in the embedded store, by a message to the server in
/// Redis (or, if that can't be sent, when the hold time has run out).
#[derive(Debug)]
pub struct Lease {
    /// The conversation.
    pub key: ConversationKey,
    /// Grows with each lease of a conversation, also across restarts and hosts. Below 2^53, so JSON keeps it exact.
    pub fence: u64,
    pub(crate) hold: Hold,
}

/// What a lease keeps hold of, by backend.
#[derive(Debug)]
pub(crate) enum Hold {
    Embedded(TurnGuard),
    Redis(RemoteHold),
}

/// A turn that has begun: the lease, and the conversation as the last commit left it.
#[derive(Debug)]
pub struct OpenTurn {
    /// Hand it to [`Store::commit_turn`] or [`Store::abandon_turn`].
    pub lease: Lease,
    /// The state that the last commit wrote; `None` if there was none or it has expired.
    pub head: Option<Bytes>,
    /// Number of turns committed so far; 0 if the conversation is new or has expired.
    pub turns: u64,
    /// A turn that was begun before, made calls, and was never committed: its host was killed, or lost the lock. It comes first:
    /// go on with it, and commit it with [`TurnCommit::keep`] if a turn of your own follows.
    pub unfinished: Option<Unfinished>,
}

/// What is known of a turn that was not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The turn as [`JournalNote::turn`] gave it.
    pub turn: Bytes,
    /// Its journal so far, in order.
    pub entries: Vec<Bytes>,
}

/// What is noted of a running turn: see [`Store::journal`].
#[derive(Debug, Clone, Default)]
pub struct JournalNote {
    /// The turn itself, all that is needed to run it again, with the first note. The journal begins anew with it.
    pub turn: Option<Bytes>,
    /// What the turn's calls came to, appended in this order.
    pub entries: Vec<Bytes>,
    /// Work for the conversation's partition, in the same step (a look at this turn later, should its host not finish it).
    pub pushes: Vec<Push>,
}

/// Everything that a turn leaves behind.
#[derive(Debug, Clone, Default)]
pub struct TurnCommit {
    /// The conversation's new state. It replaces the old one whole, so keep it small (kilobytes).
    pub head: Bytes,
    /// Appended to the transcript in this order.
    pub entries: Vec<Bytes>,
    /// Life of the whole conversation from now on; each commit renews it. Clamped to 1 ms .. 100 years.
    pub expires_in: Duration,
    /// The answers to keep under the idempotency keys of the requests that the turn serves: usually one, or none.
    pub answers: Vec<StoredAnswer>,
    /// What is kept of the turn for later inspection, under its number ([`Store::turn_record`]). It lives as long as
    /// the conversation.
    pub record: Option<Bytes>,
    /// Work that the turn leaves behind, for the conversation's partition ([`crate::Lanes::partition_of`] its key).
    pub pushes: Vec<Push>,
    /// Lanes of the conversation's partition that are no longer wanted. This comes before `pushes`.
    pub drops: Vec<String>,
    /// Keep the lock for another turn of the same caller, which needs no [`Store::begin_turn`] of its own.
    pub keep: bool,
}

/// A committed turn.
#[derive(Debug)]
pub struct Committed {
    /// Number of turns now committed.
    pub turns: u64,
    /// The lease, if it was kept. What was unfinished is gone.
    pub lease: Option<Lease>,
}

/// An answer kept so that a repeated request gets the same one.
#[derive(Debug, Clone)]
pub struct StoredAnswer {
    /// The idempotency key, unique within the conversation. A second answer under it replaces the first.
    pub key: String,
    /// The answer.
    pub body: Bytes,
    /// Its own life, independent of the conversation's.
    pub expires_in: Duration,
}

/// One change to the configuration documents.
#[derive(Debug, Clone)]
pub struct DocumentChange {
    /// The kind of document ("bot", "tenant", ...).
    pub kind: String,
    /// The document within its kind.
    pub id: String,
    /// The new body; `None` deletes (deleting what isn't there is no error).
    pub body: Option<Bytes>,
}

/// One step of a counter that is shared for a window of time.
#[derive(Debug, Clone)]
pub struct CounterIncrement {
    /// What is counted (an API key, an address).
    pub key: String,
    /// Number of the window, by the caller's own division of time. Each window counts from 0.
    pub window: u64,
    /// How much to add; 0 reads.
    pub delta: u64,
    /// How long to remember the counter after this step; choose at least the window's length.
    pub keep: Duration,
}

/// A limit of a schedule, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two steps, in the long run.
    pub interval_us: u64,
    /// How far ahead of that steps may be.
    pub tolerance_us: u64,
}

/// A step of a schedule that is shared by all hosts: see [`Store::pace`].
#[derive(Debug, Clone)]
pub struct PaceStep {
    /// The schedule. Its limits should always be the same, in the same order.
    pub schedule: String,
    /// A part of it that can be paused by itself.
    pub lane: String,
    /// All limits of the schedule; none where only pauses matter.
    pub paces: Vec<Pace>,
    /// Take a place if it comes within this time. None only looks, and pauses.
    pub take_within: Option<Duration>,
    /// What becomes of the lane's pause, before all else.
    pub pause: LanePause,
}

/// A change of a lane's pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LanePause {
    /// It stays as it is.
    #[default]
    Keep,
    /// Nothing of the lane may go for this long; a longer pause that is known already stays.
    AtLeast(Duration),
    /// It is over.
    End,
}

/// What a schedule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paced {
    /// How long until the place, or until there would be one.
    pub wait: Duration,
    /// Whether it was taken.
    pub taken: bool,
    /// How long the lane is still paused; `wait` is never less.
    pub paused: Duration,
}

/// Whether a lease is taken from whoever holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// Only when nobody holds it, or the holder's time is over.
    IfFree,
    /// In any case: the holder's writes are refused from then on.
    FromAnyone,
}

/// One step of a number in [`Store::kv_tally`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// Adds; a number that is absent counts as 0. The sum stops at the ends of an `i64`.
    Add(i64),
    /// Keeps the larger of this and the number; where there is none yet, this.
    Max(i64),
}

impl Tally {
    /// What the number is after this step.
    pub(crate) fn onto(self, number: Option<i64>) -> i64 {
        match self {
            Self::Add(delta) => number.unwrap_or(0).saturating_add(delta),
            Self::Max(value) => number.map_or(value, |number| number.max(value)),
        }
    }
}

/// All that is persistent. One instance serves the whole process, as `Arc<dyn Store>`.
///
/// Every method may answer [`StoreError::Unavailable`] (the backend is down, full or closed) and
/// [`StoreError::Corrupt`]; only further errors are listed with each.
///
/// A future of this trait may be dropped at any point: a write that was already handed over still happens whole or
/// not at all, and no lock stays taken longer than its hold time.
#[async_trait]
pub trait Store: Lanes + Links + Send + Sync + 'static {
    /// Waits for the conversation's turn lock, in the order in which turns arrived on all hosts, and reads its state.
    ///
    /// A host that is killed while its turns wait gives up their places within two seconds.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if the lock stayed taken for `begin.wait`, [`StoreError::Crowded`] if too many wait already,
    /// [`StoreError::InFlight`] if the same request is being served.
    async fn begin_turn(&self, key: &ConversationKey, begin: BeginTurn) -> Result<Begun, StoreError>;

    /// Keeps the lock for `hold` from now on.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if another turn took over or the conversation was deleted.
    async fn renew_turn(&self, lease: &Lease, hold: Duration) -> Result<(), StoreError>;

    /// Notes what a running turn has done, so that whoever begins the conversation's next turn can go on with it if this
    /// one is never committed. As durable as a commit when it returns. A commit removes the journal; it expires like the conversation
    /// would, a day at the least.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if another turn took over or the conversation was deleted; then nothing is written.
    async fn journal(&self, lease: &Lease, note: JournalNote) -> Result<(), StoreError>;

    /// Writes a turn and gives the lock back, in one step. When it returns, the turn is as durable as the backend makes
    /// anything (embedded: synced to disk).
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if another turn took over or the conversation was deleted; then nothing is written.
    async fn commit_turn(&self, lease: Lease, commit: TurnCommit) -> Result<Committed, StoreError>;

    /// What a commit kept of the conversation's turn of this number (from 1).
    async fn turn_record(&self, key: &ConversationKey, turn: u64) -> Result<Option<Bytes>, StoreError>;

    /// Gives the lock back without writing.
    async fn abandon_turn(&self, lease: Lease);

    /// The state that the last commit wrote, read without the lock; `None` if there is none or it has expired.
    async fn head(&self, key: &ConversationKey) -> Result<Option<Bytes>, StoreError>;

    /// Up to `limit` transcript entries whose number is greater than `after` (0: from the start), in order, each
    /// with its number. Numbers begin at 1 and have no gaps.
    async fn transcript(
        &self,
        key: &ConversationKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Bytes)>, StoreError>;

    /// Deletes state, transcript, journal, records and stored answers; a turn that is running loses its lease. `false` if there was
    /// no conversation (or it had expired).
    async fn delete_conversation(&self, key: &ConversationKey) -> Result<bool, StoreError>;

    /// The answer stored under `answer_key` by a commit of this conversation, unless it has expired.
    async fn answer(&self, key: &ConversationKey, answer_key: &str) -> Result<Option<Bytes>, StoreError>;

    /// All documents of a kind with their ids, in id order. For kinds of large documents ask
    /// [`Store::document_ids`], then read the ones that are needed.
    async fn documents(&self, kind: &str) -> Result<Vec<(String, Bytes)>, StoreError>;

    /// The ids of a kind, in order. No body is sent, so this is cheap however large the documents are.
    async fn document_ids(&self, kind: &str) -> Result<Vec<String>, StoreError>;

    /// One document.
    async fn document(&self, kind: &str, id: &str) -> Result<Option<Bytes>, StoreError>;

    /// Makes all of the changes or none, in order, and returns the new configuration version.
    ///
    /// A body may be as large as a plugin's file (64 MiB). A change that large holds up the writes that come behind
    /// it: in the embedded store until it is on disk, in Redis while the server takes it in.
    async fn change_documents(&self, changes: Vec<DocumentChange>) -> Result<u64, StoreError>;

    /// The configuration version. It changes when this or any other host changed documents, within a second even if
    /// a notification was lost. A change of it, not its size, means "read again".
    fn config_version(&self) -> watch::Receiver<u64>;

    /// A plugin's value. `space` is an opaque scope made by the caller.
    async fn kv_get(&self, space: &str, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// Sets a plugin's value.
    async fn kv_set(&self, space: &str, key: &str, value: Bytes) -> Result<(), StoreError>;

    /// Sets a value unless there is one; then returns that one and writes nothing. Of many callers exactly one gets `None`.
    async fn kv_insert(&self, space: &str, key: &str, value: Bytes) -> Result<Option<Bytes>, StoreError>;

    /// Deletes a value; `false` if there was none.
    async fn kv_delete(&self, space: &str, key: &str) -> Result<bool, StoreError>;

    /// Up to `limit` pairs whose key begins with `prefix` and comes after `after`, in order of the keys' UTF-8 bytes.
    async fn kv_scan(
        &self,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, StoreError>;

    /// Adds to a decimal number (absent: 0) and returns the sum. `kv_get` shows it as decimal text.
    ///
    /// # Errors
    /// [`StoreError::NotANumber`] if the value is something else, or the sum overflows.
    async fn kv_add(&self, space: &str, key: &str, delta: i64) -> Result<i64, StoreError>;

    /// Makes all steps in one write, in order: [`Tally::Add`] is `kv_add` but for sums that leave an `i64`, which stay
    /// at its end.
    ///
    /// # Errors
    /// [`StoreError::NotANumber`] if one of the values is something else. Then none of the steps was made.
    async fn kv_tally(&self, space: &str, tallies: Vec<(String, Tally)>) -> Result<(), StoreError>;

    /// A value that one holder at a time changes (what all hosts renew by turns), as it was last written.
    async fn leased(&self, name: &str) -> Result<Option<Bytes>, StoreError>;

    /// Takes the lease of such a value for so long and gives its fence; `None` while somebody else holds it. Fences of
    /// a name grow, also across restarts and hosts. Below 2^53. The time only *allows* others to take over: a holder
    /// that is late still writes if nobody did. Read the value after this, since the last holder may have written.
    async fn lease_take(&self, name: &str, hold: Duration, taking: Taking) -> Result<Option<u64>, StoreError>;

    /// Writes the value, or removes it, if the fence is the newest of its name; otherwise `false`, and nothing is
    /// written. The lease is kept.
    async fn lease_write(&self, name: &str, fence: u64, value: Option<Bytes>) -> Result<bool, StoreError>;

    /// Gives a lease back; its fence writes no more. One that was lost is left alone.
    async fn lease_free(&self, name: &str, fence: u64) -> Result<(), StoreError>;

    /// Appends records to a bounded log (failure records and the like), in order, all in one write. `log` is an
    /// opaque scope made by the caller; the first record makes the log.
    ///
    /// At least the newest `keep` records of the log stay, and at most a tenth more. The older ones go with the
    /// append that makes them too many, a bunch at a time, so an append costs the same however long the log is.
    /// An empty list does nothing.
    async fn append_records(&self, log: &str, records: Vec<Bytes>, keep: usize) -> Result<(), StoreError>;

    /// Up to `limit` records of a log, newest first, each with its number; with `before`, only those with a smaller
    /// number.
    ///
    /// Numbers grow in the order of appending. All logs share one sequence, so a log has gaps, records of several
    /// logs can be merged by their numbers, and no number is used twice, even after its log was deleted. Below 2^53.
    async fn records(&self, log: &str, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError>;

    /// Up to `limit` names of logs that begin with `prefix`, in order of their UTF-8 bytes.
    async fn record_logs(&self, prefix: &str, limit: usize) -> Result<Vec<String>, StoreError>;

    /// Deletes a log with its records (deleting what isn't there is no error).
    async fn delete_records(&self, log: &str) -> Result<(), StoreError>;

    /// Adds to each counter and returns the new values in the same order. Meant for rate limits: after a lost
    /// connection a step may be counted twice. The embedded store keeps counters in memory only: **a restart
    /// forgets them**.
    async fn count(&self, increments: Vec<CounterIncrement>) -> Result<Vec<u64>, StoreError>;

    /// Takes a place in a schedule (a GCRA, see [`Pace`]), pauses it, or both: the pause comes first. The store's clock
    /// counts, not the hosts'. After a lost connection a place may be taken twice, which is too slow by one and never
    /// too fast. A schedule is forgotten when it says nothing any more; the embedded store forgets all at a restart.
    async fn pace(&self, step: PaceStep) -> Result<Paced, StoreError>;

    /// Whether the store can serve reads and writes now.
    async fn ping(&self) -> Result<(), StoreError>;

    /// `"embedded"` or `"redis"`.
    fn backend(&self) -> &'static str;

    /// The cache that hosts share; none where there is only one host.
    fn shared_cache(&self) -> Option<&dyn SharedCache> {
        None
    }

    /// Finishes the writes that were handed over, then stops background work. Call it last: the embedded store
    /// answers later calls with [`StoreError::Unavailable`], Redis no longer watches the configuration.
    async fn close(&self);
}

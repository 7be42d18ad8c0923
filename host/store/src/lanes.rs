//! Work that waits: lanes of entries, each done in order by one host at a time.
//!
//! A lane is a queue with a name: the events of one platform, the messages for one webhook endpoint, a reminder. Entries of a lane are
//! done in the order in which they were pushed, by whoever holds the lane; different lanes go side by side. A lane that can't go on
//! now is settled with [`Again::In`] and waits as a whole, so that nothing overtakes. A lane exists while it has entries.
//!
//! 1. [`Lanes::push`] (or a commit's pushes) appends an entry; the first entry of a lane makes it due.
//! 2. [`Lanes::take_lanes`] gives due lanes to a worker, with their oldest entries. Nobody else gets them until [`LANE_HOLD`] has
//!    passed without [`Lanes::extend_lane`]; then they are taken from the worker, which is taken for dead.
//! 3. [`Lanes::settle_lane`] removes what was done, and says when the rest is due. It is refused if the lane was taken from
//!    the caller. So an entry is done at least once, and exactly once if what it does is made idempotent by its name or number.
//!
//! Lanes lie in partitions. What is in the partition of a conversation is written with the conversation in one step: on
//! Redis a partition is a hash slot (or some), in the embedded store there is only one.
//!
//! On Redis, due lanes are entries of a stream with a consumer group in each partition, a stale one is claimed; the lanes that are
//! due later are in a sorted set, a lane's entries in a stream of its own. The embedded store has a table for each of these.

use crate::error::StoreError;
use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;

/// How long a lane stays with a worker that neither settles nor extends it. A killed host's work waits this long; a worker
/// that is alive has three chances to extend in it.
pub const LANE_HOLD: Duration = Duration::from_secs(15);

/// Part of the store that is written in one step. Below [`Lanes::partitions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub(crate) u16);

impl Partition {
    /// Its number, from 0.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// An entry to append to a lane.
#[derive(Debug, Clone)]
pub struct Push {
    /// The lane, within its partition. Any text up to 512 bytes.
    pub lane: String,
    /// The entry.
    pub body: Bytes,
    /// When the lane is due, if this push makes it. A lane that exists keeps its time.
    pub due_in: Duration,
    /// Makes a repeated push do nothing.
    pub once: Once,
}

/// How a repeated push is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Once {
    /// It is not.
    #[default]
    No,
    /// By a name, unique within the partition, that is remembered for so long after the push.
    Named {
        /// The name.
        name: String,
        /// How long it is remembered. Clamped to 1 ms .. 100 years.
        keep: Duration,
    },
    /// By a number that grows with each push of the same source into the same lane. Sources are few and remembered for good
    /// (a month on Redis).
    Numbered {
        /// Who pushes.
        source: String,
        /// The number. Below 2^53.
        number: u64,
    },
}

/// A lane that a worker holds, until it is settled or [`LANE_HOLD`] has passed.
#[derive(Debug)]
pub struct HeldLane {
    /// Its name.
    pub lane: String,
    /// Where it is.
    pub partition: Partition,
    /// Its oldest entries with their numbers, which grow. Never empty.
    pub entries: Vec<(u64, Bytes)>,
    /// What the last settling left, if the lane has existed since.
    pub note: Option<Bytes>,
    pub(crate) token: LaneToken,
}

/// By what a backend knows who holds a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LaneToken {
    /// A number of this process.
    Embedded(u64),
    /// The entry in the stream of due lanes, and to whom it was given.
    Redis {
        /// Entry.
        id: String,
        /// Consumer.
        consumer: String,
        /// How often the lane had been given out then: a host may take a lane from itself.
        times: u64,
    },
}

/// When what is left of a lane is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// At once.
    Now,
    /// After so long.
    In(Duration),
}

/// How a worker leaves a lane.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Entries up to this number are done and go; 0: none.
    pub through: u64,
    /// When the rest is due. Without a rest the lane is gone.
    pub again: Again,
    /// For whoever takes the lane next; replaces the last one. Goes with the lane.
    pub note: Option<Bytes>,
    /// More work, for the same partition, in the same step.
    pub pushes: Vec<Push>,
}

/// A lane as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneState {
    /// Its name.
    pub lane: String,
    /// Where it is.
    pub partition: Partition,
    /// How many entries it has.
    pub length: u64,
    /// How long until it is due; zero when it is due or being worked at.
    pub due_in: Duration,
    /// What the last settling left.
    pub note: Option<Bytes>,
}

/// Work that waits. Every method may answer [`StoreError::Unavailable`] and [`StoreError::Corrupt`].
#[async_trait]
pub trait Lanes {
    /// How many partitions there are; the same on all hosts, for good.
    fn partitions(&self) -> u16;

    /// The partition of a text: of a conversation's key as `tenant/bot/id` ([`std::fmt::Display`]), of a lane that belongs to no conversation
    /// by its name.
    fn partition_of(&self, text: &str) -> Partition;

    /// Appends entries, all or none, in order; `false` for each that was known already. As durable as a commit when it returns.
    async fn push(&self, partition: Partition, pushes: Vec<Push>) -> Result<Vec<bool>, StoreError>;

    /// Takes up to `most` lanes that are due, of any partition, each with up to `entries` of its oldest entries.
    async fn take_lanes(&self, most: usize, entries: usize) -> Result<Vec<HeldLane>, StoreError>;

    /// Keeps a lane for another [`LANE_HOLD`]; `false` if it was taken from the caller, who should stop.
    async fn extend_lane(&self, held: &HeldLane) -> Result<bool, StoreError>;

    /// Leaves a lane.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if it was taken from the caller, or dropped; then nothing is written.
    async fn settle_lane(&self, held: HeldLane, settled: Settled) -> Result<(), StoreError>;

    /// Removes a lane with its entries; `false` if there was none. Who works at it can't settle it any more.
    async fn drop_lane(&self, partition: Partition, lane: &str) -> Result<bool, StoreError>;

    /// Makes a lane that waits due now; `false` if there is none.
    async fn hasten_lane(&self, partition: Partition, lane: &str) -> Result<bool, StoreError>;

    /// Up to `limit` lanes whose names begin with `prefix`, by their names.
    async fn lanes(&self, prefix: &str, limit: usize) -> Result<Vec<LaneState>, StoreError>;

    /// Up to `limit` entries of a lane after number `after`, oldest first, without holding it.
    async fn lane_entries(
        &self,
        partition: Partition,
        lane: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Bytes)>, StoreError>;

    /// Returns when a lane may have become due, soon after the push of any host, or after `at_most`. It may return for nothing.
    async fn work_arrived(&self, at_most: Duration);
}

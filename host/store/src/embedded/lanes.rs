//! The trait of lanes, on the embedded store: changes go to the writer, a taking is one read and a hold in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redb::ReadableDatabase;
use tokio::time::{Instant, timeout_at};

use super::lane_rows::{self, PARTITION};
use super::writer::Failure;
use super::{Embedded, Shared};
use crate::error::StoreError;
use crate::lanes::{HeldLane, LaneState, LaneToken, Lanes, Partition, Push, Settled};

/// A worker that waits looks at least this often: due times are wall time, which may jump, and holds run out.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The longest that `work_arrived` waits; a longer one is a mistake, and `Instant + Duration` must not overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// A lane that was just taken.
struct Taken {
    lane: String,
    token: u64,
}

impl Shared {
    /// Takes lanes that are due. There is no point at which the caller could be cancelled.
    fn take_lanes(&self, most: usize, entries: usize) -> Result<Vec<HeldLane>, StoreError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let due_now = self.clock.now();
        self.file.with("take lanes", |database| {
            let mut holds = self.held.lock();
            // Begun with the holds locked: see held_lanes.rs.
            let txn = database.begin_read()?;
            let now = Instant::now();
            let mut taken = Vec::new();
            let looked = lane_rows::by_due(&txn, due_now, |_, lane, born| {
                if holds.is_free(lane, born, now) {
                    taken.push(Taken { lane: lane.to_owned(), token: holds.take(lane, born, now) });
                }
                taken.len() >= most
            });
            drop(holds);
            let read = || taken.iter().map(|taken| held_lane(&txn, taken, entries.max(1))).collect();
            looked.and_then(|()| read()).inspect_err(|_| {
                for Taken { lane, token } in &taken {
                    self.held.free(lane, *token);
                }
            })
        })
    }

    /// How long until a lane is due that nobody holds; `None` if there is none.
    fn next_lane_due(&self) -> Result<Option<Duration>, StoreError> {
        let now = self.clock.now();
        self.file.read("look for work", |txn| {
            let holds = self.held.lock();
            let at = Instant::now();
            let mut next = None;
            lane_rows::by_due(txn, u64::MAX, |due, lane, born| {
                if holds.is_free(lane, born, at) {
                    next = Some(Duration::from_millis(due.saturating_sub(now)));
                }
                next.is_some()
            })?;
            Ok(next)
        })
    }
}

fn held_lane(txn: &redb::ReadTransaction, taken: &Taken, entries: usize) -> Result<HeldLane, redb::Error> {
    let Taken { lane, token } = taken;
    Ok(HeldLane {
        entries: lane_rows::entries(txn, lane, 0, entries)?,
        note: lane_rows::note(txn, lane)?,
        lane: lane.clone(),
        partition: PARTITION,
        token: LaneToken::Embedded(*token),
    })
}

#[async_trait]
impl Lanes for Embedded {
    fn partitions(&self) -> u16 {
        1
    }

    fn partition_of(&self, _text: &str) -> Partition {
        PARTITION
    }

    async fn push(&self, _partition: Partition, pushes: Vec<Push>) -> Result<Vec<bool>, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.writer
            .submit_then(
                "push work",
                move |batch| lane_rows::push(batch, &pushes),
                move |_| shared.held.changed.notify_waiters(),
            )
            .await
    }

    async fn take_lanes(&self, most: usize, entries: usize) -> Result<Vec<HeldLane>, StoreError> {
        self.shared.take_lanes(most, entries)
    }

    async fn extend_lane(&self, held: &HeldLane) -> Result<bool, StoreError> {
        match held.token {
            LaneToken::Embedded(token) => Ok(self.shared.held.extend(&held.lane, token)),
            LaneToken::Redis { .. } => Ok(false),
        }
    }

    async fn settle_lane(&self, held: HeldLane, settled: Settled) -> Result<(), StoreError> {
        let LaneToken::Embedded(token) = held.token else {
            return Err(StoreError::LeaseLost);
        };
        let lane: Arc<str> = held.lane.into();
        let (holds, settling, name) = (Arc::clone(&self.shared), Arc::clone(&self.shared), Arc::clone(&lane));
        self.writer
            .submit_then(
                "settle a lane",
                move |batch| {
                    let born = settling.held.begin_settling(&name, token);
                    let born = born.ok_or(Failure::Refused(StoreError::LeaseLost))?;
                    lane_rows::settle(batch, &name, born, settled.through, settled.again, settled.note)?;
                    lane_rows::push(batch, &settled.pushes).map(drop)
                },
                move |ended| {
                    match ended {
                        Ok(()) | Err(StoreError::LeaseLost) => holds.held.free(&lane, token),
                        // Not at once: while the disk is full, say, the work would be done again and again.
                        Err(_) => drop(holds.held.extend(&lane, token)),
                    }
                    holds.held.changed.notify_waiters();
                },
            )
            .await
    }

    async fn drop_lane(&self, _partition: Partition, lane: &str) -> Result<bool, StoreError> {
        let (lane, shared) = (lane.to_owned(), Arc::clone(&self.shared));
        self.writer.submit("drop a lane", move |batch| lane_rows::drop_lane(batch, &shared.held, &lane)).await
    }

    async fn hasten_lane(&self, _partition: Partition, lane: &str) -> Result<bool, StoreError> {
        let (lane, shared) = (lane.to_owned(), Arc::clone(&self.shared));
        self.writer
            .submit_then(
                "hasten a lane",
                move |batch| lane_rows::hasten(batch, &lane),
                move |_| shared.held.changed.notify_waiters(),
            )
            .await
    }

    async fn lanes(&self, prefix: &str, limit: usize) -> Result<Vec<LaneState>, StoreError> {
        let prefix = prefix.to_owned();
        self.read_aside("list lanes", move |txn, now| lane_rows::list(txn, now, &prefix, limit)).await
    }

    async fn lane_entries(
        &self,
        _partition: Partition,
        lane: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let lane = lane.to_owned();
        self.read_aside("read a lane", move |txn, _| lane_rows::entries(txn, &lane, after, limit)).await
    }

    async fn work_arrived(&self, at_most: Duration) {
        let end = Instant::now() + at_most.min(LONGEST_WAIT);
        loop {
            let mut changed = std::pin::pin!(self.shared.held.changed.notified());
            // Counted in before the look, so that nothing arrives between the two unseen.
            changed.as_mut().enable();
            let now = Instant::now();
            let due = self.shared.next_lane_due().unwrap_or_else(|error| {
                tracing::warn!(%error, "can't look for work");
                None
            });
            if now >= end || due == Some(Duration::ZERO) {
                return;
            }
            let look = now + due.map_or(LOOK_AGAIN, |due| due.min(LOOK_AGAIN));
            let _changed_or_time = timeout_at(look.min(end), changed).await;
        }
    }
}

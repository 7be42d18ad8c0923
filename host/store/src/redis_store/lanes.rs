//! Work that waits, and links, on the shared store.
//!
//! Each partition has a stream of due lanes, read by the consumer group `hosts`; each store is a consumer of it. What is
//! pending there is what hosts hold. A lane's own entries are a stream beside it. How the keys hang together stands in
//! `scripts/pushes.lua`.
//!
//! Nobody blocks on a stream: that would take a connection for each partition. A host hears of pushes by a message
//! (`signals.rs`), and looks everywhere once a second.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use redis::cmd;

use super::RedisStore;
use super::call::ScriptCall;
use super::keys;
use super::link::Repeat;
use super::partitions::{PARTITIONS, partition_of};
use super::store::{count_of, end_of_prefix};
use crate::clock::millis;
use crate::error::StoreError;
use crate::lanes::{Again, HeldLane, LaneState, LaneToken, Lanes, Partition, Push, Settled};
use crate::links::Links;

/// With each of so many looks, consumers of hosts that are gone are forgotten: every ten minutes or so.
const TIDY_EVERY: u32 = 600;

/// Entries of a stream: id, then field and value.
type Entries = Vec<(String, (String, Bytes))>;

/// As lane_take.lua gives a lane: entry of `ready`, how often it was given out, name, note, entries.
type Taken = (String, u64, String, Option<Bytes>, Entries);

fn numbered(entries: Entries) -> Result<Vec<(u64, Bytes)>, StoreError> {
    let number = |(id, (_, body)): (String, (String, Bytes))| {
        let number = id.strip_suffix("-0").and_then(|number| number.parse().ok());
        let number = number.ok_or_else(|| StoreError::corrupt("read a lane", format!("an entry has the id {id}")))?;
        Ok((number, body))
    };
    entries.into_iter().map(number).collect()
}

pub(super) fn all_partitions() -> impl Iterator<Item = Partition> {
    (0..PARTITIONS).map(Partition)
}

impl RedisStore {
    /// A script for a partition's lanes: its first key is this one of the partition, its first argument the prefix.
    fn of_partition(&self, partition: Partition, part: &str) -> ScriptCall {
        let prefix = self.shared.prefixes.of(partition);
        ScriptCall::default().key(format!("{prefix}{part}")).text(prefix)
    }

    /// Looks at all partitions for lanes that have become due, here or at a host that is gone.
    async fn look(&self) -> Result<(), StoreError> {
        let tidy = self.looks.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1;
        let looks = all_partitions().map(async |partition| {
            let due = format!("{}due", self.shared.prefixes.of(partition));
            let call = self.of_partition(partition, "ready").key(due);
            let call = call.number(millis(self.lane_hold)).number(u64::from(tidy));
            let script = &self.shared.scripts.lane_look;
            let found: u64 = self.shared.link.run("look for due work", Repeat::Safe, script, &call).await?;
            if found > 0 {
                self.shared.signals.mark(partition);
            }
            Ok(())
        });
        let ended: Result<Vec<()>, _> = join_all(looks).await.into_iter().collect();
        ended.map(drop).inspect_err(|_| self.shared.signals.look_again())
    }

    async fn take_from(&self, partition: Partition, most: usize, entries: usize) -> Result<Vec<HeldLane>, StoreError> {
        let consumer = self.host();
        let call = self
            .of_partition(partition, "ready")
            .text(consumer.as_str())
            .number(count_of(most))
            .number(count_of(entries.max(1)))
            .number(millis(self.lane_hold));
        let script = &self.shared.scripts.lane_take;
        // Sent again it would give out other lanes, and the first ones only after their hold time.
        let taken: Vec<Taken> = self.shared.link.run("take due work", Repeat::Never, script, &call).await?;
        let held = |(id, times, lane, note, entries): Taken| {
            let token = LaneToken::Redis { id, consumer: consumer.clone(), times };
            Ok(HeldLane { lane, partition, entries: numbered(entries)?, note, token })
        };
        taken.into_iter().map(held).collect()
    }

    async fn take(&self, most: usize, entries: usize) -> Result<Vec<HeldLane>, StoreError> {
        let signals = &self.shared.signals;
        let mut failed = if signals.is_look_due() { self.look().await.err() } else { None };
        let mut taken = Vec::new();
        while taken.len() < most {
            // Partitions are asked side by side, each for its share, so that never more come than are wanted.
            let partitions = signals.partitions(most - taken.len());
            let Some(share) = (most - taken.len()).checked_div(partitions.len()) else { break };
            let given = partitions.into_iter().map(async |partition| {
                let ended = self.take_from(partition, share, entries).await;
                if ended.as_ref().is_ok_and(|lanes| lanes.len() >= share) {
                    signals.mark(partition);
                }
                ended.inspect_err(|_| signals.look_again())
            });
            for ended in join_all(given).await {
                match ended {
                    Ok(lanes) => taken.extend(lanes),
                    Err(error) => failed = Some(error),
                }
            }
        }
        match failed {
            // What was taken has to be worked at, or it lies until its hold time is over.
            Some(error) if !taken.is_empty() => {
                tracing::warn!(%error, "some partitions could not be asked for due work");
                Ok(taken)
            }
            Some(error) => Err(error),
            None => Ok(taken),
        }
    }
}

#[async_trait]
impl Lanes for RedisStore {
    fn partitions(&self) -> u16 {
        PARTITIONS
    }

    fn partition_of(&self, text: &str) -> Partition {
        partition_of(text)
    }

    async fn push(&self, partition: Partition, pushes: Vec<Push>) -> Result<Vec<bool>, StoreError> {
        if pushes.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.of_partition(partition, &format!("done/{}", self.request()));
        let call = call.pushes(self.shared.prefixes.of(partition), &pushes);
        let script = &self.shared.scripts.push;
        let made: String = self.shared.link.run("push work", Repeat::Safe, script, &call).await?;
        self.shared.signals.work_in(partition);
        Ok(made.chars().map(|made| made == '1').collect())
    }

    async fn take_lanes(&self, most: usize, entries: usize) -> Result<Vec<HeldLane>, StoreError> {
        self.take(most, entries).await
    }

    async fn extend_lane(&self, held: &HeldLane) -> Result<bool, StoreError> {
        let LaneToken::Redis { id, consumer, times } = &held.token else {
            return Ok(false);
        };
        let ready = format!("{}ready", self.shared.prefixes.of(held.partition));
        let call = ScriptCall::default().key(ready).text(id.as_str()).text(consumer.as_str()).number(*times);
        let script = &self.shared.scripts.lane_extend;
        let kept: u64 = self.shared.link.run("keep work", Repeat::Safe, script, &call).await?;
        Ok(kept > 0)
    }

    async fn settle_lane(&self, held: HeldLane, settled: Settled) -> Result<(), StoreError> {
        /// Numbers stay below; what is above settles all entries that there are.
        const LAST: u64 = 1 << 53;
        let LaneToken::Redis { id, consumer, times } = &held.token else {
            return Err(StoreError::LeaseLost);
        };
        let prefix = self.shared.prefixes.of(held.partition);
        let again = match settled.again {
            Again::Now | Again::In(Duration::ZERO) => 0,
            Again::In(time) => millis(time),
        };
        let call = ScriptCall::default()
            .key(format!("{prefix}ready"))
            .key(format!("{prefix}done/{}", self.request()))
            .text(id.as_str())
            .text(consumer.as_str())
            .number(*times)
            .text(prefix)
            .text(held.lane.as_str())
            .number(settled.through.min(LAST))
            .number(again);
        let call = match &settled.note {
            Some(note) => call.number(1).bytes(note),
            None => call.number(0).text(""),
        };
        let call = call.lane_keys(prefix, std::iter::once(held.lane.as_str())).pushes(prefix, &settled.pushes);
        let script = &self.shared.scripts.lane_settle;
        let kept: u64 = self.shared.link.run("settle work", Repeat::Safe, script, &call).await?;
        if kept == 0 {
            return Err(StoreError::LeaseLost);
        }
        if again == 0 || !settled.pushes.is_empty() {
            self.shared.signals.work_in(held.partition);
        }
        Ok(())
    }

    async fn drop_lane(&self, partition: Partition, lane: &str) -> Result<bool, StoreError> {
        let prefix = self.shared.prefixes.of(partition);
        let done = format!("{prefix}done/{}", self.request());
        let call = self.of_partition(partition, "lanes").key(done).text(lane);
        let call = call.lane_keys(prefix, std::iter::once(lane));
        let script = &self.shared.scripts.lane_drop;
        let dropped: u64 = self.shared.link.run("drop work", Repeat::Safe, script, &call).await?;
        Ok(dropped > 0)
    }

    async fn hasten_lane(&self, partition: Partition, lane: &str) -> Result<bool, StoreError> {
        let call = self.of_partition(partition, "lanes").text(lane);
        let call = call.lane_keys(self.shared.prefixes.of(partition), std::iter::once(lane));
        let script = &self.shared.scripts.lane_hasten;
        let found: u64 = self.shared.link.run("hasten work", Repeat::Safe, script, &call).await?;
        if found > 0 {
            self.shared.signals.work_in(partition);
        }
        Ok(found > 0)
    }

    async fn lanes(&self, prefix: &str, limit: usize) -> Result<Vec<LaneState>, StoreError> {
        let from = Bytes::from(format!("[{prefix}"));
        let to = Bytes::from(end_of_prefix(prefix));
        let lists = all_partitions().map(async |partition| {
            let call = self.of_partition(partition, "lanes").bytes(&from).bytes(&to).number(count_of(limit));
            let script = &self.shared.scripts.lane_list;
            let listed: Vec<(String, u64, u64, Option<Bytes>)> =
                self.shared.link.run("list work", Repeat::Safe, script, &call).await?;
            let state = |(lane, length, due_in, note)| LaneState {
                lane,
                partition,
                length,
                due_in: Duration::from_millis(due_in),
                note,
            };
            Ok(listed.into_iter().map(state).collect::<Vec<_>>())
        });
        let lists: Vec<Vec<LaneState>> = join_all(lists).await.into_iter().collect::<Result<_, StoreError>>()?;
        let mut lanes: Vec<LaneState> = lists.into_iter().flatten().collect();
        lanes.sort_unstable_by(|one, other| (&one.lane, one.partition).cmp(&(&other.lane, other.partition)));
        lanes.truncate(limit);
        Ok(lanes)
    }

    async fn lane_entries(
        &self,
        partition: Partition,
        lane: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let (Some(first), true) = (after.checked_add(1), limit > 0) else {
            return Ok(Vec::new());
        };
        let mut range = cmd("XRANGE");
        range.arg(format!("{}l/{lane}:entries", self.shared.prefixes.of(partition)));
        range.arg(first).arg("+").arg("COUNT").arg(count_of(limit));
        numbered(self.read("read a lane", &range).await?)
    }

    async fn work_arrived(&self, at_most: Duration) {
        self.shared.signals.work_arrived(at_most).await;
    }
}

#[async_trait]
impl Links for RedisStore {
    async fn link(&self, index: &str, key: &str, member: &str, keep: Duration) -> Result<(), StoreError> {
        let call = ScriptCall::default().key(keys::links(index, key)).text(member).number(millis(keep));
        self.shared.link.run::<u64>("link", Repeat::Safe, &self.shared.scripts.link, &call).await.map(drop)
    }

    async fn unlink(&self, index: &str, key: &str, member: &str) -> Result<(), StoreError> {
        let mut remove = cmd("ZREM");
        remove.arg(keys::links(index, key)).arg(member);
        self.read::<u64>("unlink", &remove).await.map(drop)
    }

    async fn linked(&self, index: &str, key: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let call = ScriptCall::default().key(keys::links(index, key)).number(count_of(limit));
        self.shared.link.run("read links", Repeat::Safe, &self.shared.scripts.linked, &call).await
    }
}

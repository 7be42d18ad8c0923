//! The trait, on Redis: each method is one command or one script, but for counters of a cluster: there it is one for each.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::{Cmd, cmd};
use tokio::sync::watch;

use super::RedisStore;
use super::call::ScriptCall;
use super::keys::{self, ConversationKeys};
use super::link::Repeat;
use crate::api::{
    BeginTurn, Begun, Committed, ConversationKey, CounterIncrement, DocumentChange, JournalNote, LanePause, Lease,
    PaceStep, Paced, Store, Taking, Tally, TurnCommit,
};
use crate::clock::millis;
use crate::error::StoreError;
use crate::shared_cache::SharedCache;

/// Microseconds beyond which nobody waits (31 years): sums of a few of them are still exact in Lua.
const MOST_US: u64 = 1_000_000_000_000_000;
/// What is wanted of the server where counting fails.
const COUNT: &str = "count";

impl RedisStore {
    pub(super) fn keys_of(&self, key: &ConversationKey) -> ConversationKeys {
        ConversationKeys::of(key, &self.shared.prefixes)
    }

    pub(super) async fn read<T: redis::FromRedisValue>(&self, wanted: &str, command: &Cmd) -> Result<T, StoreError> {
        self.shared.link.send(wanted, Repeat::Safe, command).await
    }

    /// Each counter lies somewhere else; the steps of one are made in their order.
    async fn count_in_cluster(&self, increments: &[CounterIncrement]) -> Result<Vec<u64>, StoreError> {
        let mut counters: BTreeMap<String, Vec<(usize, &CounterIncrement)>> = BTreeMap::new();
        for (place, step) in increments.iter().enumerate() {
            counters.entry(keys::counter(&step.key, step.window)).or_default().push((place, step));
        }
        let counted = counters.into_iter().map(async |(key, steps)| {
            let mut seen = Vec::with_capacity(steps.len());
            for (place, step) in steps {
                let call = ScriptCall::default()
                    .key(key.clone())
                    .number(step.delta.min(i64::MAX.unsigned_abs()))
                    .number(millis(step.keep));
                let script = &self.shared.scripts.count;
                seen.push((place, self.shared.link.run::<u64>(COUNT, Repeat::Safe, script, &call).await?));
            }
            Ok::<_, StoreError>(seen)
        });
        let mut seen = futures::future::try_join_all(counted).await?.concat();
        seen.sort_unstable();
        Ok(seen.into_iter().map(|(_, count)| count).collect())
    }
}

fn of_space(space: &str) -> ScriptCall {
    ScriptCall::default().key(keys::space_values(space)).key(keys::space_order(space))
}

/// The end of all texts that begin with the prefix, as ZRANGEBYLEX writes it: no UTF-8 text holds the byte 0xFF.
pub(super) fn end_of_prefix(prefix: &str) -> Vec<u8> {
    [b"(", prefix.as_bytes(), &[0xFF]].concat()
}

/// A number of rows as Redis takes it.
pub(super) fn count_of(limit: usize) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs())
}

fn command(name: &str, key: &str) -> Cmd {
    let mut command = cmd(name);
    command.arg(key);
    command
}

#[async_trait]
impl Store for RedisStore {
    async fn begin_turn(&self, key: &ConversationKey, options: BeginTurn) -> Result<Begun, StoreError> {
        self.begin(key, options).await
    }

    async fn renew_turn(&self, lease: &Lease, hold: Duration) -> Result<(), StoreError> {
        self.renew(lease, hold).await
    }

    async fn journal(&self, lease: &Lease, note: JournalNote) -> Result<(), StoreError> {
        self.note(lease, note).await
    }

    async fn turn_record(&self, key: &ConversationKey, turn: u64) -> Result<Option<Bytes>, StoreError> {
        let mut get = command("HGET", &self.keys_of(key).records());
        get.arg(turn);
        self.read("read a turn's record", &get).await
    }

    async fn commit_turn(&self, lease: Lease, commit: TurnCommit) -> Result<Committed, StoreError> {
        self.commit(lease, commit).await
    }

    async fn abandon_turn(&self, lease: Lease) {
        self.abandon(lease).await;
    }

    async fn head(&self, key: &ConversationKey) -> Result<Option<Bytes>, StoreError> {
        let mut get = command("HGET", &self.keys_of(key).meta());
        get.arg("h");
        self.read("read a conversation", &get).await
    }

    async fn transcript(
        &self,
        key: &ConversationKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Bytes)>, StoreError> {
        // Redis counts from 0, so the entry after number `after` has index `after`.
        let Some(last) = u64::try_from(limit).unwrap_or(u64::MAX).checked_sub(1) else {
            return Ok(Vec::new());
        };
        let Ok(first) = i64::try_from(after) else {
            return Ok(Vec::new());
        };
        let last = i64::try_from(after.saturating_add(last)).unwrap_or(i64::MAX);
        let mut range = command("LRANGE", &self.keys_of(key).log());
        range.arg(first).arg(last);
        let entries: Vec<Bytes> = self.read("read a transcript", &range).await?;
        Ok((after.saturating_add(1)..).zip(entries).collect())
    }

    async fn delete_conversation(&self, key: &ConversationKey) -> Result<bool, StoreError> {
        let keys = self.keys_of(key);
        let mut call = ScriptCall::default().key(keys.lock()).key(keys.queue()).key(keys.meta());
        for key in [keys.log(), keys.journal(), keys.records(), keys.answers(), keys.answers_due()] {
            call = call.key(key);
        }
        let script = &self.shared.scripts.delete_conversation;
        let found: u64 = self.shared.link.run("delete a conversation", Repeat::Never, script, &call).await?;
        Ok(found > 0)
    }

    async fn answer(&self, key: &ConversationKey, answer_key: &str) -> Result<Option<Bytes>, StoreError> {
        let keys = self.keys_of(key);
        let call = ScriptCall::default().key(keys.answers()).key(keys.answers_due()).text(answer_key);
        self.shared.link.run("read a stored answer", Repeat::Safe, &self.shared.scripts.answer, &call).await
    }

    async fn documents(&self, kind: &str) -> Result<Vec<(String, Bytes)>, StoreError> {
        self.read_documents(kind).await
    }

    async fn document_ids(&self, kind: &str) -> Result<Vec<String>, StoreError> {
        let mut ids: Vec<String> =
            self.read("list configuration documents", &command("HKEYS", &keys::documents(kind))).await?;
        ids.sort_unstable();
        Ok(ids)
    }

    async fn document(&self, kind: &str, id: &str) -> Result<Option<Bytes>, StoreError> {
        self.read_document(kind, id).await
    }

    async fn change_documents(&self, changes: Vec<DocumentChange>) -> Result<u64, StoreError> {
        self.change(changes).await
    }

    fn config_version(&self) -> watch::Receiver<u64> {
        self.config_version.subscribe()
    }

    async fn kv_get(&self, space: &str, key: &str) -> Result<Option<Bytes>, StoreError> {
        let mut get = command("HGET", &keys::space_values(space));
        get.arg(key);
        self.read("read a plugin's value", &get).await
    }

    async fn kv_set(&self, space: &str, key: &str, value: Bytes) -> Result<(), StoreError> {
        let call = of_space(space).text(key).bytes(&value);
        let _one: u64 =
            self.shared.link.run("set a plugin's value", Repeat::Safe, &self.shared.scripts.kv_set, &call).await?;
        Ok(())
    }

    async fn kv_insert(&self, space: &str, key: &str, value: Bytes) -> Result<Option<Bytes>, StoreError> {
        // Not repeated: the second run would find the value of the first and call it somebody else's.
        let call = of_space(space).text(key).bytes(&value);
        let script = &self.shared.scripts.kv_insert;
        self.shared.link.run("insert a plugin's value", Repeat::Never, script, &call).await
    }

    async fn kv_delete(&self, space: &str, key: &str) -> Result<bool, StoreError> {
        let call = of_space(space).text(key);
        let script = &self.shared.scripts.kv_delete;
        let deleted: u64 = self.shared.link.run("delete a plugin's value", Repeat::Never, script, &call).await?;
        Ok(deleted > 0)
    }

    async fn kv_scan(
        &self,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, StoreError> {
        let from = match after.filter(|after| *after >= prefix) {
            Some(after) => format!("({after}").into_bytes(),
            None => format!("[{prefix}").into_bytes(),
        };
        let call = of_space(space)
            .bytes(&Bytes::from(from))
            .bytes(&Bytes::from(end_of_prefix(prefix)))
            .number(count_of(limit));
        self.shared.link.run("scan a plugin's values", Repeat::Safe, &self.shared.scripts.kv_scan, &call).await
    }

    async fn kv_add(&self, space: &str, key: &str, delta: i64) -> Result<i64, StoreError> {
        let call = of_space(space).text(key).text(delta.to_string());
        let script = &self.shared.scripts.kv_add;
        let sum: Option<i64> = self.shared.link.run("add to a plugin's number", Repeat::Never, script, &call).await?;
        sum.ok_or_else(|| StoreError::NotANumber { key: key.to_owned() })
    }

    async fn kv_tally(&self, space: &str, tallies: Vec<(String, Tally)>) -> Result<(), StoreError> {
        if tallies.is_empty() {
            return Ok(());
        }
        let mut call = of_space(space);
        for (key, tally) in tallies {
            let (step, number) = match tally {
                Tally::Add(delta) => ("add", delta),
                Tally::Max(value) => ("max", value),
            };
            call = call.text(key).text(step).text(number.to_string());
        }
        let script = &self.shared.scripts.kv_tally;
        match self.shared.link.run("add to a plugin's numbers", Repeat::Never, script, &call).await? {
            None => Ok(()),
            Some(key) => Err(StoreError::NotANumber { key }),
        }
    }

    async fn leased(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let mut get = command("HGET", &keys::leased(name));
        get.arg("v");
        self.read("read a leased value", &get).await
    }

    async fn lease_take(&self, name: &str, hold: Duration, taking: Taking) -> Result<Option<u64>, StoreError> {
        let owner = self.request();
        let from_anyone = u64::from(taking == Taking::FromAnyone);
        let call = ScriptCall::default().key(keys::leased(name)).text(owner).number(millis(hold)).number(from_anyone);
        let script = &self.shared.scripts.lease_take;
        let fence: u64 = self.shared.link.run("take a lease", Repeat::Safe, script, &call).await?;
        Ok((fence > 0).then_some(fence))
    }

    async fn lease_write(&self, name: &str, fence: u64, value: Option<Bytes>) -> Result<bool, StoreError> {
        let call = ScriptCall::default().key(keys::leased(name)).number(fence);
        let call = match &value {
            Some(value) => call.bytes(value),
            None => call,
        };
        let script = &self.shared.scripts.lease_write;
        let written: u64 = self.shared.link.run("write a leased value", Repeat::Safe, script, &call).await?;
        Ok(written > 0)
    }

    async fn lease_free(&self, name: &str, fence: u64) -> Result<(), StoreError> {
        let call = ScriptCall::default().key(keys::leased(name)).number(fence);
        let script = &self.shared.scripts.lease_free;
        let _freed: u64 = self.shared.link.run("give a lease back", Repeat::Safe, script, &call).await?;
        Ok(())
    }

    async fn append_records(&self, log: &str, records: Vec<Bytes>, keep: usize) -> Result<(), StoreError> {
        self.append(log, records, keep).await
    }

    async fn records(&self, log: &str, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        self.newest(log, before, limit).await
    }

    async fn record_logs(&self, prefix: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        self.log_names(prefix, limit).await
    }

    async fn delete_records(&self, log: &str) -> Result<(), StoreError> {
        self.delete_log(log).await
    }

    async fn count(&self, increments: Vec<CounterIncrement>) -> Result<Vec<u64>, StoreError> {
        if increments.is_empty() {
            return Ok(Vec::new());
        }
        if self.shared.link.is_cluster() {
            return self.count_in_cluster(&increments).await;
        }
        let mut steps = redis::pipe();
        for step in increments {
            let key = keys::counter(&step.key, step.window);
            steps.cmd("INCRBY").arg(&key).arg(step.delta.min(i64::MAX.unsigned_abs()));
            steps.cmd("PEXPIRE").arg(&key).arg(millis(step.keep)).ignore();
        }
        // Counting a request twice after a lost connection is better than refusing it.
        self.shared.link.send_all(COUNT, Repeat::Safe, &steps).await
    }

    async fn pace(&self, step: PaceStep) -> Result<Paced, StoreError> {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min(MOST_US);
        let mut call = ScriptCall::default()
            .key(keys::schedule(&step.schedule))
            .text(step.lane)
            .number(u64::from(step.take_within.is_some()))
            .number(us(step.take_within.unwrap_or_default()))
            .text(match step.pause {
                LanePause::Keep => "0".to_owned(),
                LanePause::AtLeast(pause) => us(pause).to_string(),
                LanePause::End => "-1".to_owned(),
            });
        for pace in &step.paces {
            call = call.number(pace.interval_us.min(MOST_US)).number(pace.tolerance_us.min(MOST_US));
        }
        let script = &self.shared.scripts.pace;
        let (wait, taken, paused): (u64, u8, u64) =
            self.shared.link.run("keep a rate", Repeat::Safe, script, &call).await?;
        let (wait, paused) = (Duration::from_micros(wait), Duration::from_micros(paused));
        Ok(Paced { wait, taken: taken == 1, paused })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        const WANTED: &str = "check the store";
        if !self.shared.link.is_cluster() {
            return self.read::<String>(WANTED, &cmd("PING")).await.map(drop);
        }
        // A cluster's masters may fail one by one, so a key of each partition is asked for.
        let keys = super::lanes::all_partitions().map(async |partition| {
            let key = format!("{}number", self.shared.prefixes.of(partition));
            self.read::<u64>(WANTED, &command("EXISTS", &key)).await
        });
        futures::future::try_join_all(keys).await.map(drop)
    }

    fn backend(&self) -> &'static str {
        "redis"
    }

    fn shared_cache(&self) -> Option<&dyn SharedCache> {
        Some(self)
    }

    async fn close(&self) {
        // Every write was answered by the server already; only the watcher is left to stop.
        self.watcher.abort();
    }
}

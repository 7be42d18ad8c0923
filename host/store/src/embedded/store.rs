//! The trait, on the embedded store: each method hands its work to the file that owns it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::documents::Place;
use super::writer::Batch;
use super::{Embedded, conversations, documents, kv, leases, records};
use crate::api::{
    BeginTurn, Begun, Committed, ConversationKey, CounterIncrement, DocumentChange, JournalNote, Lease, PaceStep,
    Paced, Store, Taking, Tally, TurnCommit,
};
use crate::bound::Bound;
use crate::error::StoreError;

#[async_trait]
impl Store for Embedded {
    async fn begin_turn(&self, key: &ConversationKey, begin: BeginTurn) -> Result<Begun, StoreError> {
        self.begin(key, begin).await
    }

    async fn renew_turn(&self, lease: &Lease, hold: Duration) -> Result<(), StoreError> {
        self.renew(lease, hold)
    }

    async fn journal(&self, lease: &Lease, note: JournalNote) -> Result<(), StoreError> {
        self.note(lease, note).await
    }

    async fn turn_record(&self, key: &ConversationKey, turn: u64) -> Result<Option<Bytes>, StoreError> {
        let now = self.shared.clock.now();
        self.shared.file.read("read a turn's record", |txn| conversations::turn_record(txn, now, key, turn))
    }

    async fn commit_turn(&self, lease: Lease, commit: TurnCommit) -> Result<Committed, StoreError> {
        self.commit(lease, commit).await
    }

    async fn abandon_turn(&self, lease: Lease) {
        drop(lease);
    }

    async fn head(&self, key: &ConversationKey) -> Result<Option<Bytes>, StoreError> {
        Ok(self.current(key)?.map(|(head, _)| head))
    }

    async fn transcript(
        &self,
        key: &ConversationKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let key = key.clone();
        self.read_aside("read a transcript", move |txn, now| conversations::transcript(txn, now, &key, after, limit))
            .await
    }

    async fn delete_conversation(&self, key: &ConversationKey) -> Result<bool, StoreError> {
        self.delete(key).await
    }

    async fn answer(&self, key: &ConversationKey, answer_key: &str) -> Result<Option<Bytes>, StoreError> {
        self.stored_answer(key, answer_key)
    }

    async fn documents(&self, kind: &str) -> Result<Vec<(String, Bytes)>, StoreError> {
        let kind = kind.to_owned();
        self.read_aside("read configuration documents", move |txn, _| documents::all(txn, &kind)).await
    }

    async fn document_ids(&self, kind: &str) -> Result<Vec<String>, StoreError> {
        let kind = kind.to_owned();
        self.read_aside("list configuration documents", move |txn, _| documents::ids(txn, &kind)).await
    }

    async fn document(&self, kind: &str, id: &str) -> Result<Option<Bytes>, StoreError> {
        const WANTED: &str = "read a configuration document";
        match self.shared.file.read(WANTED, |txn| documents::find(txn, kind, id))? {
            Place::Nowhere => Ok(None),
            Place::Row(body) => Ok(Some(body)),
            // Looked up again over there: between the two it may have been changed.
            Place::Parts => {
                let (kind, id) = (kind.to_owned(), id.to_owned());
                self.read_aside(WANTED, move |txn, _| documents::one(txn, &kind, &id)).await
            }
        }
    }

    async fn change_documents(&self, changes: Vec<DocumentChange>) -> Result<u64, StoreError> {
        const WANTED: &str = "change configuration documents";
        let (answer, answered) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        self.writer.queue(
            WANTED,
            move |batch| documents::change(batch, &changes),
            move |ended: Result<u64, StoreError>| {
                if let Ok(version) = ended {
                    shared.config_version.send_replace(version);
                }
                drop(answer.send(ended));
            },
        )?;
        answered.await.map_err(|_| StoreError::unavailable(WANTED, "the writer thread has stopped"))?
    }

    fn config_version(&self) -> watch::Receiver<u64> {
        self.shared.config_version.subscribe()
    }

    async fn kv_get(&self, space: &str, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.shared.file.read("read a plugin's value", |txn| kv::get(txn, space, key))
    }

    async fn kv_set(&self, space: &str, key: &str, value: Bytes) -> Result<(), StoreError> {
        let (space, key) = (space.to_owned(), key.to_owned());
        self.writer.submit("set a plugin's value", move |batch| kv::set(batch, &space, &key, &value)).await
    }

    async fn kv_insert(&self, space: &str, key: &str, value: Bytes) -> Result<Option<Bytes>, StoreError> {
        let (space, key) = (space.to_owned(), key.to_owned());
        self.writer.submit("insert a plugin's value", move |batch| kv::insert(batch, &space, &key, &value)).await
    }

    async fn kv_delete(&self, space: &str, key: &str) -> Result<bool, StoreError> {
        let (space, key) = (space.to_owned(), key.to_owned());
        self.writer.submit("delete a plugin's value", move |batch| kv::delete(batch, &space, &key)).await
    }

    async fn kv_scan(
        &self,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, StoreError> {
        let (space, prefix, after) = (space.to_owned(), prefix.to_owned(), after.map(str::to_owned));
        self.read_aside("scan a plugin's values", move |txn, _| kv::scan(txn, &space, &prefix, after.as_deref(), limit))
            .await
    }

    async fn kv_add(&self, space: &str, key: &str, delta: i64) -> Result<i64, StoreError> {
        let (space, key) = (space.to_owned(), key.to_owned());
        self.writer.submit("add to a plugin's number", move |batch| kv::add(batch, &space, &key, delta)).await
    }

    async fn kv_tally(&self, space: &str, tallies: Vec<(String, Tally)>) -> Result<(), StoreError> {
        let space = space.to_owned();
        self.writer.submit("add to a plugin's numbers", move |batch| kv::tally(batch, &space, &tallies)).await
    }

    async fn leased(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.shared.file.read("read a leased value", |txn| leases::get(txn, name))
    }

    async fn lease_take(&self, name: &str, hold: Duration, taking: Taking) -> Result<Option<u64>, StoreError> {
        let (name, leases) = (name.to_owned(), Arc::clone(&self.leases));
        self.writer.submit("take a lease", move |_| Ok(leases.take(name, hold, taking))).await
    }

    async fn lease_write(&self, name: &str, fence: u64, value: Option<Bytes>) -> Result<bool, StoreError> {
        let (name, leases) = (name.to_owned(), Arc::clone(&self.leases));
        let write = move |batch: &mut Batch<'_>| leases.write(batch, &name, fence, value.as_deref());
        self.writer.submit("write a leased value", write).await
    }

    async fn lease_free(&self, name: &str, fence: u64) -> Result<(), StoreError> {
        let (name, leases) = (name.to_owned(), Arc::clone(&self.leases));
        let free = move |_: &mut Batch<'_>| {
            leases.free(&name, fence);
            Ok(())
        };
        self.writer.submit("give a lease back", free).await
    }

    async fn append_records(&self, log: &str, records: Vec<Bytes>, keep: usize) -> Result<(), StoreError> {
        let (log, bound) = (log.to_owned(), Bound::of(keep));
        self.writer.submit("append to a log", move |batch| records::append(batch, &log, &records, bound)).await
    }

    async fn records(&self, log: &str, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let log = log.to_owned();
        self.read_aside("read a log", move |txn, _| records::newest(txn, &log, before, limit)).await
    }

    async fn record_logs(&self, prefix: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let prefix = prefix.to_owned();
        self.read_aside("list logs", move |txn, _| records::logs(txn, &prefix, limit)).await
    }

    async fn delete_records(&self, log: &str) -> Result<(), StoreError> {
        let log = log.to_owned();
        self.writer.submit("delete a log", move |batch| records::delete(batch, &log)).await
    }

    async fn count(&self, increments: Vec<CounterIncrement>) -> Result<Vec<u64>, StoreError> {
        Ok(self.counters.add(increments, self.shared.clock.now()))
    }

    async fn pace(&self, step: PaceStep) -> Result<Paced, StoreError> {
        Ok(self.paces.step(step))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // Through the writer, and to the disk's metadata: this also reopens a file that had failed. If the last write failed, only
        // one that succeeds says that the store can serve again.
        let fails = self.shared.fails.load(Ordering::Relaxed);
        self.writer.submit("check the store", move |batch| if fails { kv::try_writing(batch) } else { Ok(()) }).await?;
        self.shared.file.read("check the store", |_| Ok(()))
    }

    fn backend(&self) -> &'static str {
        "embedded"
    }

    async fn close(&self) {
        let Some(thread) = self.writer.stop() else {
            return;
        };
        if !matches!(tokio::task::spawn_blocking(move || thread.join()).await, Ok(Ok(()))) {
            tracing::error!("the store's writer thread had panicked");
        }
    }
}

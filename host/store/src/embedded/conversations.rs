//! Conversations in the file: what a commit writes, what a deletion removes, what readers read.
//! Who may do so is in `turns.rs`.

use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable};

use super::heads::CachedHead;
use super::keys::{self, ANSWERS, CONVERSATIONS, ConversationRow, EXPIRY, Expiring, Rows, TRANSCRIPT, TURN_RECORDS};
use super::writer::{Batch, Failure};
use super::{Embedded, Shared, journal, lane_rows};
use crate::api::{ConversationKey, StoredAnswer, TurnCommit};
use crate::clock::millis;
use crate::error::StoreError;
use crate::turn_queue::TurnGuard;

/// A commit that was applied: what to do once it is on disk.
pub(super) struct Applied {
    guard: TurnGuard,
    head: CachedHead,
    keep: bool,
    has_work: bool,
}

impl Applied {
    /// Makes the new head visible, then lets the next turn begin, or gives the guard back to go on. Returns the number
    /// of turns with it.
    pub(super) fn publish(self, shared: &Shared) -> (u64, Option<TurnGuard>) {
        let turns = self.head.turns;
        shared.heads.put(Arc::clone(self.guard.key()), self.head);
        shared.journals.forget(self.guard.key());
        if self.has_work {
            shared.held.changed.notify_waiters();
        }
        (turns, self.keep.then_some(self.guard))
    }
}

/// Writes a turn. The guard comes back in `Applied`, or is dropped with a failure.
pub(super) fn commit(
    batch: &mut Batch<'_>,
    shared: &Shared,
    guard: TurnGuard,
    commit: TurnCommit,
) -> Result<Applied, Failure> {
    if !guard.begin_commit() {
        return Err(Failure::Refused(StoreError::LeaseLost));
    }
    batch.changes();
    let key = keys::conversation(guard.key());
    let expires_at = batch.now.saturating_add(millis(commit.expires_in));
    let mut conversations = batch.txn.open_table(CONVERSATIONS)?;
    let before = match conversations.get(key.as_slice())? {
        Some(row) => Some(Before::of(&ConversationRow::parse(row.value())?)),
        None => None,
    };
    let current = before.filter(|before| before.expires_at > batch.now);
    if before.is_some() && current.is_none() {
        // Expired and not yet swept: begin anew, without what the old one had said.
        remove_rows(batch, TRANSCRIPT, &key)?;
        remove_rows(batch, TURN_RECORDS, &key)?;
    }
    let turns = current.map_or(0, |row| row.turns) + 1;
    let first_entry = current.map_or(0, |row| row.entries) + 1;
    let mut number = first_entry;
    if !commit.entries.is_empty() {
        let mut transcript = batch.txn.open_table(TRANSCRIPT)?;
        for entry in &commit.entries {
            transcript.insert(keys::child(&key, &number.to_be_bytes()).as_slice(), entry.as_ref())?;
            number += 1;
        }
    }
    let row = ConversationRow { expires_at, turns, entries: number - 1, head: &commit.head };
    conversations.insert(key.as_slice(), row.to_bytes().as_slice())?;
    drop(conversations);
    // A later expiry needs no row of its own: see sweep.rs.
    if before.is_none_or(|before| expires_at < before.expires_at) {
        expect_expiry(batch, expires_at, Expiring::Conversation, &key)?;
    }
    for answer in &commit.answers {
        store_answer(batch, &key, answer)?;
    }
    if let Some(record) = &commit.record {
        let key = keys::child(&key, &turns.to_be_bytes());
        batch.txn.open_table(TURN_RECORDS)?.insert(key.as_slice(), record.as_ref())?;
    }
    journal::finish(batch, &shared.journals, guard.key())?;
    for lane in &commit.drops {
        lane_rows::drop_lane(batch, &shared.held, lane)?;
    }
    lane_rows::push(batch, &commit.pushes)?;
    let (keep, has_work) = (commit.keep, !commit.pushes.is_empty());
    Ok(Applied { guard, head: CachedHead { head: commit.head, turns, expires_at }, keep, has_work })
}

/// The numbers of a row, without borrowing from its table.
#[derive(Clone, Copy)]
struct Before {
    expires_at: u64,
    turns: u64,
    entries: u64,
}

impl Before {
    fn of(row: &ConversationRow<'_>) -> Self {
        Self { expires_at: row.expires_at, turns: row.turns, entries: row.entries }
    }
}

fn store_answer(batch: &Batch<'_>, conversation: &[u8], answer: &StoredAnswer) -> Result<(), Failure> {
    let expires_at = batch.now.saturating_add(millis(answer.expires_in));
    let key = keys::child(conversation, answer.key.as_bytes());
    let row = keys::answer_row(expires_at, &answer.body);
    batch.txn.open_table(ANSWERS)?.insert(key.as_slice(), row.as_slice())?;
    expect_expiry(batch, expires_at, Expiring::Answer, &key)
}

fn expect_expiry(batch: &Batch<'_>, at: u64, what: Expiring, key: &[u8]) -> Result<(), Failure> {
    batch.txn.open_table(EXPIRY)?.insert(keys::expiry(at, what, key).as_slice(), [].as_slice())?;
    Ok(())
}

/// Deletes a conversation with its answers and journal. `true` if it was there and had not expired.
pub(super) fn delete(batch: &mut Batch<'_>, shared: &Shared, key: &ConversationKey) -> Result<bool, Failure> {
    journal::finish(batch, &shared.journals, key)?;
    let key = keys::conversation(key);
    let found = match batch.txn.open_table(CONVERSATIONS)?.get(key.as_slice())? {
        Some(row) => Some(ConversationRow::parse(row.value())?.expires_at),
        None => None,
    };
    batch.changes();
    remove_rows(batch, ANSWERS, &key)?;
    remove_conversation(batch, &key)?;
    Ok(found.is_some_and(|expires_at| expires_at > batch.now))
}

/// Removes a conversation's row, transcript and records. Its answers and journal have a life of their own;
/// its expiry rows go when they are due.
pub(super) fn remove_conversation(batch: &mut Batch<'_>, key: &[u8]) -> Result<(), Failure> {
    batch.txn.open_table(CONVERSATIONS)?.remove(key)?;
    remove_rows(batch, TURN_RECORDS, key)?;
    remove_rows(batch, TRANSCRIPT, key)
}

pub(super) fn remove_rows(batch: &Batch<'_>, table: Rows, prefix: &[u8]) -> Result<(), Failure> {
    let mut table = batch.txn.open_table(table)?;
    match keys::after_prefix(prefix) {
        Some(end) => table.retain_in::<&[u8], _>(prefix..end.as_slice(), |_, _| false)?,
        None => table.retain_in::<&[u8], _>(prefix.., |_, _| false)?,
    }
    Ok(())
}

impl Embedded {
    /// The conversation's head and turn count, unless it has expired.
    pub(super) fn current(&self, key: &ConversationKey) -> Result<Option<(Bytes, u64)>, StoreError> {
        let now = self.shared.clock.now();
        if let Some(cached) = self.shared.heads.get(key) {
            return Ok((cached.expires_at > now).then_some((cached.head, cached.turns)));
        }
        self.shared.file.read("read a conversation", |txn| {
            let table = txn.open_table(CONVERSATIONS)?;
            let Some(row) = table.get(keys::conversation(key).as_slice())? else {
                return Ok(None);
            };
            let row = ConversationRow::parse(row.value())?;
            Ok((row.expires_at > now).then(|| (Bytes::copy_from_slice(row.head), row.turns)))
        })
    }
}

/// Entries of a conversation numbered above `after`.
pub(super) fn transcript(
    txn: &ReadTransaction,
    now: u64,
    key: &ConversationKey,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, Bytes)>, redb::Error> {
    let key = keys::conversation(key);
    let entries = match txn.open_table(CONVERSATIONS)?.get(key.as_slice())? {
        Some(row) => {
            let row = ConversationRow::parse(row.value())?;
            if row.expires_at > now { row.entries } else { 0 }
        }
        None => 0,
    };
    if after >= entries {
        return Ok(Vec::new());
    }
    let first = keys::child(&key, &(after + 1).to_be_bytes());
    let last = keys::child(&key, &entries.to_be_bytes());
    let mut found = Vec::new();
    let rows = txn.open_table(TRANSCRIPT)?.range::<&[u8]>(first.as_slice()..=last.as_slice())?;
    for (number, row) in (after + 1..).zip(rows.take(limit)) {
        found.push((number, Bytes::copy_from_slice(row?.1.value())));
    }
    Ok(found)
}

/// What was kept of a turn of a conversation that has not expired.
pub(super) fn turn_record(
    txn: &ReadTransaction,
    now: u64,
    key: &ConversationKey,
    turn: u64,
) -> Result<Option<Bytes>, redb::Error> {
    let key = keys::conversation(key);
    let alive = match txn.open_table(CONVERSATIONS)?.get(key.as_slice())? {
        Some(row) => ConversationRow::parse(row.value())?.expires_at > now,
        None => false,
    };
    if !alive {
        return Ok(None);
    }
    let row = txn.open_table(TURN_RECORDS)?.get(keys::child(&key, &turn.to_be_bytes()).as_slice())?;
    Ok(row.map(|row| Bytes::copy_from_slice(row.value())))
}

/// A stored answer that has not expired.
pub(super) fn answer(
    txn: &ReadTransaction,
    now: u64,
    key: &ConversationKey,
    answer_key: &str,
) -> Result<Option<Bytes>, redb::Error> {
    let key = keys::child(&keys::conversation(key), answer_key.as_bytes());
    let Some(row) = txn.open_table(ANSWERS)?.get(key.as_slice())? else {
        return Ok(None);
    };
    let (expires_at, body) = keys::parse_answer(row.value())?;
    Ok((expires_at > now).then(|| Bytes::copy_from_slice(body)))
}

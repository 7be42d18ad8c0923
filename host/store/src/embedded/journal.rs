//! Journals of turns that run, in the file: what a turn that was never committed had done.
//!
//! Nearly every turn finds no journal, and must not pay for looking. So which conversations have one is in memory as
//! well: those whose turn runs now and has made a call, and those that a crash left. The set is read when the file is
//! opened.
//! It may name too many and never too few: the writer adds a conversation before the note is on disk, and takes it
//! out only when the removal is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use redb::{ReadTransaction, ReadableTable};

use super::conversations::remove_rows;
use super::file::DatabaseFile;
use super::keys::{self, CONVERSATIONS, ConversationRow, JOURNAL_ENTRIES, JOURNALS};
use super::writer::{Batch, Failure};
use crate::api::{ConversationKey, Unfinished};
use crate::clock::millis;
use crate::error::StoreError;

/// Who comes back within a day finds the turn, however briefly the conversation itself was to live.
const SHORTEST_LIFE: Duration = Duration::from_secs(24 * 3_600);

/// The conversations with a journal, each with the time it expires.
#[derive(Debug, Default)]
pub(super) struct OpenJournals(Mutex<HashMap<Arc<ConversationKey>, u64>>);

impl OpenJournals {
    /// Reads the set anew.
    pub(super) fn load(&self, file: &DatabaseFile) -> Result<(), StoreError> {
        let found = file.read("read the journals", |txn| {
            let mut found = HashMap::new();
            for row in txn.open_table(JOURNALS)?.range::<&[u8]>(..)? {
                let (key, row) = row?;
                found.insert(Arc::new(keys::parse_conversation(key.value())?), keys::parse_at(row.value())?.0);
            }
            Ok(found)
        })?;
        *self.0.lock() = found;
        Ok(())
    }

    /// Whether the conversation may have a journal that has not expired.
    pub(super) fn has(&self, key: &ConversationKey, now: u64) -> bool {
        self.0.lock().get(key).is_some_and(|expires_at| *expires_at > now)
    }

    /// To be called when the removal is on disk, before another turn can begin.
    pub(super) fn forget(&self, key: &ConversationKey) {
        self.0.lock().remove(key);
    }

    fn lists(&self, key: &ConversationKey) -> bool {
        self.0.lock().contains_key(key)
    }

    /// Removes what has expired, `most` at a time, and returns how many that were.
    ///
    /// They are forgotten before the removal is on disk: nobody may see them any more anyway, and should it fail, the
    /// set is read again.
    pub(super) fn sweep(&self, batch: &mut Batch<'_>, most: usize) -> Result<usize, Failure> {
        let mut open = self.0.lock();
        let expired = open.iter().filter(|(_, expires_at)| **expires_at <= batch.now).take(most);
        let expired: Vec<_> = expired.map(|(key, _)| Arc::clone(key)).collect();
        open.retain(|key, _| !expired.contains(key));
        drop(open);
        for key in &expired {
            remove(batch, &keys::conversation(key))?;
        }
        Ok(expired.len())
    }
}

/// Notes what a turn has done.
pub(super) fn note(
    batch: &mut Batch<'_>,
    open: &OpenJournals,
    conversation: &Arc<ConversationKey>,
    turn: Option<&Bytes>,
    entries: &[Bytes],
) -> Result<(), Failure> {
    let known = open.lists(conversation);
    let key = keys::conversation(conversation);
    if turn.is_some() || (!known && !entries.is_empty()) {
        batch.changes();
        if known {
            remove(batch, &key)?;
        }
        let expires_at = expiry(batch, &key)?;
        open.0.lock().insert(Arc::clone(conversation), expires_at);
        let row = keys::at(expires_at, turn.map(AsRef::as_ref).unwrap_or_default());
        batch.txn.open_table(JOURNALS)?.insert(key.as_slice(), row.as_slice())?;
    }
    if entries.is_empty() {
        return Ok(());
    }
    batch.changes();
    let mut table = batch.txn.open_table(JOURNAL_ENTRIES)?;
    let end = keys::end_of(&key);
    let last = match table.range::<&[u8]>(key.as_slice()..end.as_slice())?.next_back() {
        Some(row) => keys::last_number(row?.0.value())?,
        None => 0,
    };
    for (number, entry) in (last + 1..).zip(entries) {
        table.insert(keys::child(&key, &number.to_be_bytes()).as_slice(), entry.as_ref())?;
    }
    Ok(())
}

/// When a journal that begins now expires.
fn expiry(batch: &Batch<'_>, key: &[u8]) -> Result<u64, Failure> {
    let conversation = match batch.txn.open_table(CONVERSATIONS)?.get(key)? {
        Some(row) => ConversationRow::parse(row.value())?.expires_at,
        None => 0,
    };
    Ok(conversation.max(batch.now.saturating_add(millis(SHORTEST_LIFE))))
}

/// Removes a conversation's journal, if it has one. [`OpenJournals::forget`] it when that is on disk.
pub(super) fn finish(
    batch: &mut Batch<'_>,
    open: &OpenJournals,
    conversation: &ConversationKey,
) -> Result<(), Failure> {
    if open.lists(conversation) { remove(batch, &keys::conversation(conversation)) } else { Ok(()) }
}

fn remove(batch: &mut Batch<'_>, key: &[u8]) -> Result<(), Failure> {
    batch.changes();
    batch.txn.open_table(JOURNALS)?.remove(key)?;
    remove_rows(batch, JOURNAL_ENTRIES, key)
}

/// What is known of the conversation's unfinished turn.
pub(super) fn unfinished(
    txn: &ReadTransaction,
    now: u64,
    key: &ConversationKey,
) -> Result<Option<Unfinished>, redb::Error> {
    let key = keys::conversation(key);
    let Some(row) = txn.open_table(JOURNALS)?.get(key.as_slice())? else {
        return Ok(None);
    };
    let (expires_at, turn) = keys::parse_at(row.value())?;
    if expires_at <= now {
        return Ok(None);
    }
    let mut entries = Vec::new();
    let end = keys::end_of(&key);
    for row in txn.open_table(JOURNAL_ENTRIES)?.range::<&[u8]>(key.as_slice()..end.as_slice())? {
        entries.push(Bytes::copy_from_slice(row?.1.value()));
    }
    Ok(Some(Unfinished { turn: Bytes::copy_from_slice(turn), entries }))
}

//! Removal of what has expired, a bounded batch at a time.
//!
//! The expiry table has a row for each conversation, answer, name of a push and link, by time. A commit renews a
//! conversation's expiry but leaves its row where it is, because moving it would cost every turn two more writes: when
//! the sweep meets a row whose conversation lives longer, it puts the row at the new time. Journals are few, and known
//! by `journal.rs`.

use redb::ReadableTable;

use super::conversations::remove_conversation;
use super::journal::OpenJournals;
use super::keys::{self, ANSWERS, CONVERSATIONS, ConversationRow, EXPIRY, Expiring, LINKS, ONCE_NAMES};
use super::links;
use super::writer::{Batch, Failure};

/// Rows of the expiry table that one sweep looks at. With transcripts of tens of entries the transaction stays at a
/// few thousand row removals, tens of milliseconds.
pub(super) const SWEEP_ROWS: usize = 256;

/// Looks at the rows that are due and returns their number.
pub(super) fn sweep(batch: &mut Batch<'_>, journals: &OpenJournals) -> Result<usize, Failure> {
    let swept = journals.sweep(batch, SWEEP_ROWS)?;
    let due = due_rows(batch)?;
    if due.is_empty() {
        return Ok(swept);
    }
    batch.changes();
    for row in &due {
        batch.txn.open_table(EXPIRY)?.remove(row.as_slice())?;
        match keys::parse_expiry(row) {
            Some((_, Expiring::Conversation, key)) => expire_conversation(batch, key)?,
            Some((_, Expiring::Answer, key)) => expire_answer(batch, key)?,
            Some((_, Expiring::OnceName, key)) => expire_once_name(batch, key)?,
            Some((_, Expiring::Link, key)) => expire_link(batch, key)?,
            None => {}
        }
    }
    Ok(due.len() + swept)
}

fn due_rows(batch: &Batch<'_>) -> Result<Vec<Vec<u8>>, Failure> {
    let table = batch.txn.open_table(EXPIRY)?;
    let end = batch.now.saturating_add(1).to_be_bytes();
    let mut due = Vec::new();
    for row in table.range::<&[u8]>(..end.as_slice())?.take(SWEEP_ROWS) {
        due.push(row?.0.value().to_vec());
    }
    Ok(due)
}

fn expire_conversation(batch: &mut Batch<'_>, key: &[u8]) -> Result<(), Failure> {
    let expires_at = match batch.txn.open_table(CONVERSATIONS)?.get(key)? {
        Some(row) => ConversationRow::parse(row.value())?.expires_at,
        None => return Ok(()),
    };
    if expires_at > batch.now {
        renew(batch, expires_at, Expiring::Conversation, key)
    } else {
        remove_conversation(batch, key)
    }
}

fn expire_answer(batch: &mut Batch<'_>, key: &[u8]) -> Result<(), Failure> {
    let mut answers = batch.txn.open_table(ANSWERS)?;
    let expires_at = match answers.get(key)? {
        Some(row) => keys::parse_answer(row.value())?.0,
        None => return Ok(()),
    };
    if expires_at > batch.now {
        renew(batch, expires_at, Expiring::Answer, key)
    } else {
        answers.remove(key)?;
        Ok(())
    }
}

fn expire_once_name(batch: &mut Batch<'_>, key: &[u8]) -> Result<(), Failure> {
    let mut names = batch.txn.open_table(ONCE_NAMES)?;
    let expires_at = names.get(key)?.map(|row| row.value());
    match expires_at {
        Some(expires_at) if expires_at > batch.now => renew(batch, expires_at, Expiring::OnceName, key)?,
        Some(_) => drop(names.remove(key)?),
        None => {}
    }
    Ok(())
}

fn expire_link(batch: &mut Batch<'_>, key: &[u8]) -> Result<(), Failure> {
    let expires_at = batch.txn.open_table(LINKS)?.get(key)?.map(|row| row.value());
    match (expires_at, keys::link_owner(key)) {
        (Some(expires_at), _) if expires_at > batch.now => renew(batch, expires_at, Expiring::Link, key),
        (Some(_), Some((owner, member))) => links::remove(batch, owner, member),
        _ => Ok(()),
    }
}

fn renew(batch: &Batch<'_>, at: u64, what: Expiring, key: &[u8]) -> Result<(), Failure> {
    batch.txn.open_table(EXPIRY)?.insert(keys::expiry(at, what, key).as_slice(), [].as_slice())?;
    Ok(())
}

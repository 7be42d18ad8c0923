//! Bounded logs in the file.
//!
//! A log's records lie side by side in the order of their numbers: appending writes at the log's new end, cutting
//! takes a run off its old end, and a page of the newest is read backwards from the end. How many there are is in
//! the log's own row, because counting rows would cost more the longer a log is.

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, Table};

use super::keys::{self, LOGS, META, RECORDS};
use super::writer::{Batch, Failure};
use crate::bound::Bound;

/// The number of the newest record of all logs.
const LAST_ROW: &str = "last record";

type RecordRows<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

pub(super) fn append(batch: &mut Batch<'_>, log: &str, records: &[Bytes], bound: Bound) -> Result<(), Failure> {
    if records.is_empty() {
        return Ok(());
    }
    batch.changes();
    let scope = keys::scope(log);
    let mut rows = batch.txn.open_table(RECORDS)?;
    let mut meta = batch.txn.open_table(META)?;
    let mut number = meta.get(LAST_ROW)?.map_or(0, |row| row.value());
    let mut logs = batch.txn.open_table(LOGS)?;
    let mut length = logs.get(log)?.map_or(0, |row| row.value());
    for record in records {
        number += 1;
        length += 1;
        rows.insert(row_key(&scope, number).as_slice(), record.as_ref())?;
    }
    meta.insert(LAST_ROW, number)?;
    if length > bound.cut_above {
        cut(&mut rows, &scope, length - bound.keep)?;
        length = bound.keep;
    }
    logs.insert(log, length)?;
    Ok(())
}

/// Removes the oldest records of a log, this many.
fn cut(rows: &mut RecordRows<'_>, scope: &[u8], records: u64) -> Result<(), Failure> {
    let end = keys::end_of(scope);
    let records = usize::try_from(records).unwrap_or(usize::MAX);
    let first_kept = match rows.range(scope..end.as_slice())?.nth(records) {
        Some(row) => row?.0.value().to_vec(),
        None => end,
    };
    Ok(rows.retain_in::<&[u8], _>(scope..first_kept.as_slice(), |_, _| false)?)
}

pub(super) fn newest(
    txn: &ReadTransaction,
    log: &str,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<(u64, Bytes)>, redb::Error> {
    let scope = keys::scope(log);
    let end = row_key(&scope, before.unwrap_or(u64::MAX));
    let mut found = Vec::new();
    for row in txn.open_table(RECORDS)?.range(scope.as_slice()..end.as_slice())?.rev().take(limit) {
        let (key, record) = row?;
        let number = key.value().last_chunk().map(|number| u64::from_be_bytes(*number));
        let number = number.ok_or_else(|| redb::Error::Corrupted("a record's key is too short".to_owned()))?;
        found.push((number, Bytes::copy_from_slice(record.value())));
    }
    Ok(found)
}

pub(super) fn logs(txn: &ReadTransaction, prefix: &str, limit: usize) -> Result<Vec<String>, redb::Error> {
    let mut found = Vec::new();
    for row in txn.open_table(LOGS)?.range(prefix..)?.take(limit) {
        let name = row?.0.value().to_owned();
        if !name.starts_with(prefix) {
            break;
        }
        found.push(name);
    }
    Ok(found)
}

pub(super) fn delete(batch: &mut Batch<'_>, log: &str) -> Result<(), Failure> {
    if batch.txn.open_table(LOGS)?.remove(log)?.is_none() {
        return Ok(());
    }
    batch.changes();
    let scope = keys::scope(log);
    cut(&mut batch.txn.open_table(RECORDS)?, &scope, u64::MAX)
}

fn row_key(scope: &[u8], number: u64) -> Vec<u8> {
    keys::child(scope, &number.to_be_bytes())
}

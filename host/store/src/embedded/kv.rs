//! Plugin data in the file.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable};

use super::keys::{self, KV, Rows};
use super::writer::{Batch, Failure};
use crate::api::Tally;
use crate::error::StoreError;

fn row_key(space: &str, key: &str) -> Vec<u8> {
    keys::child(&keys::scope(space), key.as_bytes())
}

pub(super) fn get(txn: &ReadTransaction, space: &str, key: &str) -> Result<Option<Bytes>, redb::Error> {
    let row = txn.open_table(KV)?.get(row_key(space, key).as_slice())?;
    Ok(row.map(|row| Bytes::copy_from_slice(row.value())))
}

pub(super) fn set(batch: &mut Batch<'_>, space: &str, key: &str, value: &[u8]) -> Result<(), Failure> {
    batch.changes();
    batch.txn.open_table(KV)?.insert(row_key(space, key).as_slice(), value)?;
    Ok(())
}

/// Writes only if there is no value yet; otherwise returns that one.
pub(super) fn insert(batch: &mut Batch<'_>, space: &str, key: &str, value: &[u8]) -> Result<Option<Bytes>, Failure> {
    let key = row_key(space, key);
    let mut table = batch.txn.open_table(KV)?;
    if let Some(found) = table.get(key.as_slice())? {
        return Ok(Some(Bytes::copy_from_slice(found.value())));
    }
    batch.changes();
    table.insert(key.as_slice(), value)?;
    Ok(None)
}

pub(super) fn delete(batch: &mut Batch<'_>, space: &str, key: &str) -> Result<bool, Failure> {
    let mut table = batch.txn.open_table(KV)?;
    let found = table.remove(row_key(space, key).as_slice())?.is_some();
    if found {
        batch.changes();
    }
    Ok(found)
}

pub(super) fn add(batch: &mut Batch<'_>, space: &str, key: &str, delta: i64) -> Result<i64, Failure> {
    let mut table = batch.txn.open_table(KV)?;
    let row = row_key(space, key);
    let before = number(&table, &row, key)?.unwrap_or(0);
    let sum = before.checked_add(delta).ok_or_else(|| not_a_number(key))?;
    batch.changes();
    table.insert(row.as_slice(), sum.to_string().as_bytes())?;
    Ok(sum)
}

/// Makes all steps, or none if one of the values is no number.
pub(super) fn tally(batch: &mut Batch<'_>, space: &str, tallies: &[(String, Tally)]) -> Result<(), Failure> {
    let scope = keys::scope(space);
    let mut table = batch.txn.open_table(KV)?;
    let mut numbers = BTreeMap::new();
    for (key, tally) in tallies {
        let row = keys::child(&scope, key.as_bytes());
        let before = match numbers.get(&row) {
            Some(number) => Some(*number),
            None => number(&table, &row, key)?,
        };
        numbers.insert(row, tally.onto(before));
    }
    for (row, number) in numbers {
        batch.changes();
        table.insert(row.as_slice(), number.to_string().as_bytes())?;
    }
    Ok(())
}

/// The number in a row; `None` if there is no row.
fn number(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    row: &[u8],
    key: &str,
) -> Result<Option<i64>, Failure> {
    match table.get(row)? {
        Some(value) => parse_number(value.value()).map(Some).ok_or_else(|| not_a_number(key)),
        None => Ok(None),
    }
}

fn not_a_number(key: &str) -> Failure {
    Failure::Refused(StoreError::NotANumber { key: key.to_owned() })
}

/// A number as Redis reads it: plain decimal, no sign but a minus, no leading zeros, no spaces.
fn parse_number(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

pub(super) fn scan(
    txn: &ReadTransaction,
    space: &str,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, Bytes)>, redb::Error> {
    scan_rows(txn, KV, &keys::scope(space), prefix, after, limit, Bytes::copy_from_slice)
}

/// Rows of one scope whose name begins with `prefix` and comes after `after`, with what `take` makes of their values.
pub(super) fn scan_rows<T>(
    txn: &ReadTransaction,
    table: Rows,
    scope: &[u8],
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    take: impl Fn(&[u8]) -> T,
) -> Result<Vec<(String, T)>, redb::Error> {
    let first = keys::child(scope, prefix.as_bytes());
    let end = keys::after_prefix(&first);
    let after = after.filter(|after| *after >= prefix).map(|after| keys::child(scope, after.as_bytes()));
    if let (Some(after), Some(end)) = (&after, &end)
        && after >= end
    {
        return Ok(Vec::new());
    }
    let start = after.as_deref().map_or(Bound::Included(first.as_slice()), Bound::Excluded);
    let stop = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut found = Vec::new();
    for row in txn.open_table(table)?.range::<&[u8]>((start, stop))?.take(limit) {
        let (key, value) = row?;
        let name = key.value().get(scope.len()..).unwrap_or_default();
        let name =
            std::str::from_utf8(name).map_err(|_| redb::Error::Corrupted("a key is not UTF-8".to_owned()))?.to_owned();
        found.push((name, take(value.value())));
    }
    Ok(found)
}

/// More than a batch of turns usually writes.
const TRIAL_BYTES: usize = 256 * 1024;

/// Writes something and takes it away again: where there is no room, this fails as any other write would.
pub(super) fn try_writing(batch: &mut Batch<'_>) -> Result<(), Failure> {
    batch.changes();
    let mut table = batch.txn.open_table(KV)?;
    // Keys of plugins begin with the length of their space.
    table.insert([].as_slice(), vec![0; TRIAL_BYTES].as_slice())?;
    table.remove([].as_slice())?;
    Ok(())
}

//! Configuration documents in the file, and the version that tells readers to read again.
//!
//! A body above `LARGEST_ROW` is kept in parts, in a table of its own. The B-tree would otherwise lay it on one page
//! with its neighbours: who reads or changes a small document there would read or write 64 MiB. The large ones are
//! listed by a third table, so that to list or to look for them touches no part.

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, Table};

use super::file::DatabaseFile;
use super::keys::{self, DOCUMENT_PARTS, DOCUMENTS, LARGE_DOCUMENTS, META};
use super::kv::scan_rows;
use super::writer::{Batch, Failure};
use crate::api::DocumentChange;
use crate::error::StoreError;

const VERSION_ROW: &str = "config version";

/// Bodies up to this stay in one row: some pages, still cheap to read on the calling task.
const LARGEST_ROW: usize = 64 * 1024;

/// One part. Pages have a power of two of bytes, so that a part, its key and the page's own header fill one of 1 MiB.
const PART_BYTES: usize = 1024 * 1024 - 8 * 1024;

/// The version as of the last change on disk.
pub(super) fn stored_version(file: &DatabaseFile) -> Result<u64, StoreError> {
    file.read("read the configuration version", |txn| {
        Ok(txn.open_table(META)?.get(VERSION_ROW)?.map_or(0, |row| row.value()))
    })
}

/// Makes all changes and returns the new version.
pub(super) fn change(batch: &mut Batch<'_>, changes: &[DocumentChange]) -> Result<u64, Failure> {
    batch.changes();
    let mut tables = Tables {
        rows: batch.txn.open_table(DOCUMENTS)?,
        large: batch.txn.open_table(LARGE_DOCUMENTS)?,
        parts: batch.txn.open_table(DOCUMENT_PARTS)?,
    };
    for change in changes {
        tables.remove(&change.kind, &change.id)?;
        if let Some(body) = &change.body {
            tables.insert(&change.kind, &change.id, body)?;
        }
    }
    let mut meta = batch.txn.open_table(META)?;
    let version = meta.get(VERSION_ROW)?.map_or(0, |row| row.value()) + 1;
    meta.insert(VERSION_ROW, version)?;
    Ok(version)
}

struct Tables<'txn> {
    rows: Table<'txn, &'static [u8], &'static [u8]>,
    large: Table<'txn, &'static [u8], &'static [u8]>,
    parts: Table<'txn, &'static [u8], &'static [u8]>,
}

impl Tables<'_> {
    fn remove(&mut self, kind: &str, id: &str) -> Result<(), Failure> {
        let key = row_key(kind, id);
        self.rows.remove(key.as_slice())?;
        if self.large.remove(key.as_slice())?.is_some() {
            let parts = keys::document_parts(kind, id);
            let end = keys::end_of(&parts);
            self.parts.retain_in::<&[u8], _>(parts.as_slice()..end.as_slice(), |_, _| false)?;
        }
        Ok(())
    }

    fn insert(&mut self, kind: &str, id: &str, body: &[u8]) -> Result<(), Failure> {
        let key = row_key(kind, id);
        if body.len() <= LARGEST_ROW {
            self.rows.insert(key.as_slice(), body)?;
            return Ok(());
        }
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        self.large.insert(key.as_slice(), length.to_be_bytes().as_slice())?;
        let parts = keys::document_parts(kind, id);
        for (number, part) in (0_u32..).zip(body.chunks(PART_BYTES)) {
            self.parts.insert(keys::child(&parts, &number.to_be_bytes()).as_slice(), part)?;
        }
        Ok(())
    }
}

fn row_key(kind: &str, id: &str) -> Vec<u8> {
    keys::child(&keys::scope(kind), id.as_bytes())
}

/// Where a document is.
pub(super) enum Place {
    Nowhere,
    Row(Bytes),
    Parts,
}

/// Looks for a document; reads it only if it is small.
pub(super) fn find(txn: &ReadTransaction, kind: &str, id: &str) -> Result<Place, redb::Error> {
    let key = row_key(kind, id);
    if let Some(row) = txn.open_table(DOCUMENTS)?.get(key.as_slice())? {
        return Ok(Place::Row(Bytes::copy_from_slice(row.value())));
    }
    let large = txn.open_table(LARGE_DOCUMENTS)?.get(key.as_slice())?;
    Ok(if large.is_some() { Place::Parts } else { Place::Nowhere })
}

pub(super) fn one(txn: &ReadTransaction, kind: &str, id: &str) -> Result<Option<Bytes>, redb::Error> {
    match find(txn, kind, id)? {
        Place::Nowhere => Ok(None),
        Place::Row(body) => Ok(Some(body)),
        Place::Parts => large(txn, kind, id).map(Some),
    }
}

fn large(txn: &ReadTransaction, kind: &str, id: &str) -> Result<Bytes, redb::Error> {
    let broken = || redb::Error::Corrupted(format!("the document {id} of kind {kind} is not whole"));
    let row = txn.open_table(LARGE_DOCUMENTS)?.get(row_key(kind, id).as_slice())?.ok_or_else(broken)?;
    let length = row.value().try_into().map(u64::from_be_bytes).map_err(|_| broken())?;
    let length = usize::try_from(length).map_err(|_| broken())?;
    let parts = keys::document_parts(kind, id);
    let end = keys::end_of(&parts);
    let mut body = Vec::new();
    // A length that is nonsense is an error, not an abort for want of memory.
    body.try_reserve_exact(length).map_err(|_| broken())?;
    for part in txn.open_table(DOCUMENT_PARTS)?.range(parts.as_slice()..end.as_slice())? {
        body.extend_from_slice(part?.1.value());
    }
    if body.len() == length { Ok(Bytes::from(body)) } else { Err(broken()) }
}

pub(super) fn all(txn: &ReadTransaction, kind: &str) -> Result<Vec<(String, Bytes)>, redb::Error> {
    let scope = keys::scope(kind);
    let mut found = scan_rows(txn, DOCUMENTS, &scope, "", None, usize::MAX, Bytes::copy_from_slice)?;
    for (id, ()) in scan_rows(txn, LARGE_DOCUMENTS, &scope, "", None, usize::MAX, |_| ())? {
        let body = large(txn, kind, &id)?;
        found.push((id, body));
    }
    found.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

pub(super) fn ids(txn: &ReadTransaction, kind: &str) -> Result<Vec<String>, redb::Error> {
    let scope = keys::scope(kind);
    let mut found = Vec::new();
    for table in [DOCUMENTS, LARGE_DOCUMENTS] {
        found.extend(scan_rows(txn, table, &scope, "", None, usize::MAX, |_| ())?.into_iter().map(|(id, ())| id));
    }
    found.sort_unstable();
    Ok(found)
}

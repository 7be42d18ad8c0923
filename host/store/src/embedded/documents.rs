//! Configuration documents in the file, and the version that tells readers to read again.

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable};

use super::file::DatabaseFile;
use super::keys::{self, DOCUMENTS, META};
use super::writer::{Batch, Failure};
use crate::api::DocumentChange;
use crate::error::StoreError;

const VERSION_ROW: &str = "config version";

/// The version as of the last change on disk.
pub(super) fn stored_version(file: &DatabaseFile) -> Result<u64, StoreError> {
    file.read("read the configuration version", |txn| {
        Ok(txn.open_table(META)?.get(VERSION_ROW)?.map_or(0, |row| row.value()))
    })
}

/// Makes all changes and returns the new version.
pub(super) fn change(batch: &mut Batch<'_>, changes: &[DocumentChange]) -> Result<u64, Failure> {
    batch.changes();
    let mut documents = batch.txn.open_table(DOCUMENTS)?;
    for change in changes {
        let key = keys::child(&keys::scope(&change.kind), change.id.as_bytes());
        match &change.body {
            Some(body) => drop(documents.insert(key.as_slice(), body.as_ref())?),
            None => drop(documents.remove(key.as_slice())?),
        }
    }
    let mut meta = batch.txn.open_table(META)?;
    let version = meta.get(VERSION_ROW)?.map_or(0, |row| row.value()) + 1;
    meta.insert(VERSION_ROW, version)?;
    Ok(version)
}

pub(super) fn one(txn: &ReadTransaction, kind: &str, id: &str) -> Result<Option<Bytes>, redb::Error> {
    let key = keys::child(&keys::scope(kind), id.as_bytes());
    Ok(txn.open_table(DOCUMENTS)?.get(key.as_slice())?.map(|row| Bytes::copy_from_slice(row.value())))
}

pub(super) fn all(txn: &ReadTransaction, kind: &str) -> Result<Vec<(String, Bytes)>, redb::Error> {
    super::kv::scan_rows(txn, DOCUMENTS, &keys::scope(kind), "", None, usize::MAX)
}

//! The database file: opening it, and opening it again after an I/O error.
//!
//! redb refuses all work after a failed write (a full disk, say) until the file is reopened. The writer thread does
//! that before its next batch, so a server whose disk has space again goes on by itself. Meanwhile callers get
//! `Unavailable`.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use redb::{Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase};

use super::FILE_NAME;
use super::keys::{
    ANSWERS, CONVERSATIONS, DOCUMENT_PARTS, DOCUMENTS, EXPIRY, JOURNAL_ENTRIES, JOURNALS, KV, LANE_ENTRIES,
    LANE_SOURCES, LANES, LANES_DUE, LARGE_DOCUMENTS, LEASED, LINKS, LINKS_BY_EXPIRY, LOGS, META, Numbers, ONCE_NAMES,
    RECORDS, Rows, TRANSCRIPT, TURN_RECORDS,
};
use crate::error::StoreError;

/// redb's page cache. Its default of 1 GiB is too much for the small machine that the embedded store is for; the
/// B-tree's inner pages of some ten million conversations fit in this.
const PAGE_CACHE_BYTES: usize = 128 * 1024 * 1024;

/// Written into each file. Raise it when an older confab would misread a newer file.
///
/// | format | what came with it |
/// |---|---|
/// | 1 | the first |
/// | 2 | logs; large documents, which the first would not find |
/// | 3 | journals, records of turns, lanes, links, whose rows the second would not expire |
const FORMAT: u64 = 3;

/// Older formats that become this one when the tables they lack are made.
const UPGRADED: [u64; 2] = [1, 2];
const FORMAT_ROW: &str = "format";

/// All tables but those of other types.
const TABLES: [Rows; 16] = [
    CONVERSATIONS,
    TRANSCRIPT,
    ANSWERS,
    TURN_RECORDS,
    JOURNALS,
    JOURNAL_ENTRIES,
    EXPIRY,
    DOCUMENTS,
    LARGE_DOCUMENTS,
    DOCUMENT_PARTS,
    KV,
    LEASED,
    RECORDS,
    LANES,
    LANE_ENTRIES,
    LINKS_BY_EXPIRY,
];
const NUMBERS: [Numbers; 4] = [LANES_DUE, ONCE_NAMES, LANE_SOURCES, LINKS];

const OPENING: &str = "open the database";

#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// `None` while it can't be opened, and after `close`.
    database: RwLock<Option<Database>>,
    /// An I/O error was seen: the file must be reopened before the next write.
    suspect: AtomicBool,
}

impl DatabaseFile {
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        let cant = |error| StoreError::unavailable(&format!("create the directory {}", directory.display()), error);
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(cant)?;
        let path = directory.join(FILE_NAME);
        let database = open_database(&path)?;
        Ok(Self { path, database: RwLock::new(Some(database)), suspect: AtomicBool::new(false) })
    }

    /// Runs a read transaction.
    pub(super) fn read<T>(
        &self,
        wanted: &str,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.with(wanted, |database| read(&database.begin_read()?))
    }

    /// Runs `work` on the open database.
    pub(super) fn with<T>(
        &self,
        wanted: &str,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let database = self.database.read();
        let Some(database) = database.as_ref() else {
            return Err(StoreError::unavailable(wanted, format!("{} is closed", self.path.display())));
        };
        work(database).map_err(|error| {
            if matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo) {
                self.suspect.store(true, Ordering::Relaxed);
            }
            explain(wanted, error)
        })
    }

    /// Reopens the file if an I/O error was seen. `true` if it was reopened: what was cached of it may be outdated,
    /// because a write that was reported as failed can have reached the disk.
    pub(super) fn heal(&self) -> Result<bool, StoreError> {
        if !self.suspect.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut database = self.database.write();
        drop(database.take());
        *database = Some(open_database(&self.path)?);
        self.suspect.store(false, Ordering::Relaxed);
        tracing::warn!(path = %self.path.display(), "the database was reopened after an I/O error");
        Ok(true)
    }

    /// Closes the file for good.
    pub(super) fn close(&self) {
        drop(self.database.write().take());
    }
}

fn open_database(path: &Path) -> Result<Database, StoreError> {
    let mut builder = Builder::new();
    builder.set_cache_size(PAGE_CACHE_BYTES);
    let shown = path.display().to_string();
    builder.set_repair_callback(move |session| {
        tracing::info!(path = %shown, progress = session.progress(), "checking the database after an unclean stop");
    });
    let database = builder.create(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::InUse { path: path.to_owned() }
        }
        other => explain(OPENING, other.into()),
    })?;
    prepare(&database).map_err(|error| explain(OPENING, error))?.check(path)?;
    Ok(database)
}

struct FoundFormat(u64);

impl FoundFormat {
    fn check(&self, path: &Path) -> Result<(), StoreError> {
        if self.0 == FORMAT {
            return Ok(());
        }
        Err(StoreError::misconfigured(format!(
            "{} has format {}, this confab reads format {FORMAT}; run the confab that wrote it",
            path.display(),
            self.0
        )))
    }
}

/// Makes all tables, so that readers never miss one, and tells the file's format. A file of a format that this
/// confab can't bring up to its own is left as it is.
fn prepare(database: &Database) -> Result<FoundFormat, redb::Error> {
    let read = database.begin_read()?;
    if let Ok(meta) = read.open_table(META)
        && let Some(format) = meta.get(FORMAT_ROW)?
        && !UPGRADED.contains(&format.value())
    {
        return Ok(FoundFormat(format.value()));
    }
    drop(read);
    let txn = database.begin_write()?;
    for table in TABLES {
        txn.open_table(table)?;
    }
    for table in NUMBERS {
        txn.open_table(table)?;
    }
    txn.open_table(LOGS)?;
    txn.open_table(META)?.insert(FORMAT_ROW, FORMAT)?;
    txn.commit()?;
    Ok(FoundFormat(FORMAT))
}

/// redb's error as one of ours.
pub(super) fn explain(wanted: &str, error: redb::Error) -> StoreError {
    use redb::Error as E;
    match error {
        E::Corrupted(_)
        | E::UpgradeRequired(_)
        | E::RepairAborted
        | E::TableTypeMismatch { .. }
        | E::TypeDefinitionChanged { .. } => StoreError::corrupt(wanted, error),
        E::PreviousIo => StoreError::unavailable(wanted, "an earlier write failed; the file is about to be reopened"),
        other => StoreError::unavailable(wanted, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_an_io_error_the_file_is_reopened_and_serves_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = DatabaseFile::open(directory.path()).unwrap();
        assert!(!file.heal().unwrap());
        let failed = file.with("write", |_| -> Result<(), redb::Error> { Err(redb::Error::PreviousIo) });
        assert!(matches!(failed, Err(StoreError::Unavailable { .. })));
        assert!(file.heal().unwrap());
        assert!(!file.heal().unwrap());
        assert!(file.read("read", |txn| Ok(txn.open_table(KV)?)).is_ok());
    }

    #[test]
    fn a_file_of_an_older_format_is_brought_up_to_this_one() {
        for format in UPGRADED {
            is_brought_up(format);
        }
    }

    fn is_brought_up(format: u64) {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::create(directory.path().join(FILE_NAME)).unwrap();
        let txn = database.begin_write().unwrap();
        for table in [CONVERSATIONS, TRANSCRIPT, ANSWERS, EXPIRY, DOCUMENTS, KV] {
            txn.open_table(table).unwrap();
        }
        txn.open_table(KV).unwrap().insert(b"k".as_slice(), b"v".as_slice()).unwrap();
        txn.open_table(META).unwrap().insert(FORMAT_ROW, format).unwrap();
        txn.commit().unwrap();
        drop(database);

        let file = DatabaseFile::open(directory.path()).unwrap();
        file.read("read", |txn| {
            for table in TABLES {
                txn.open_table(table)?;
            }
            for table in NUMBERS {
                txn.open_table(table)?;
            }
            txn.open_table(LOGS)?;
            assert_eq!(txn.open_table(META)?.get(FORMAT_ROW)?.unwrap().value(), FORMAT);
            assert_eq!(txn.open_table(KV)?.get(b"k".as_slice())?.unwrap().value(), b"v");
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_file_of_another_format_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = DatabaseFile::open(directory.path()).unwrap();
        file.with("write", |database| {
            let txn = database.begin_write()?;
            txn.open_table(META)?.insert(FORMAT_ROW, FORMAT + 1)?;
            Ok(txn.commit()?)
        })
        .unwrap();
        file.close();
        let refused = DatabaseFile::open(directory.path()).unwrap_err();
        assert!(matches!(refused, StoreError::Misconfigured { .. }), "{refused}");
    }
}

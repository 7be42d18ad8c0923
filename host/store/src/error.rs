//! What can go wrong, told as outcomes that a caller can act on.
//!
//! Backend errors are turned into these at the backend's edge, so that no caller matches on redb or Redis. Texts
//! never hold a password: `redis_store` removes it before it makes an error.

use std::path::PathBuf;

/// Why the store did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The turn lock stayed taken for as long as the caller was willing to wait. Answer 429 or try again.
    #[error(
        "wanted the conversation's turn lock, but an earlier turn kept it for the whole waiting time; try again when that turn has ended"
    )]
    Busy,
    /// So many turns wait for the conversation already that another one would only wait in vain. Answer 429.
    #[error(
        "wanted the conversation's turn lock, but too many turns wait for it already; send fewer messages at a time"
    )]
    Crowded,
    /// A request with the same idempotency key is being served now. Answer 409.
    #[error("a request with the same idempotency key is being served; repeat it when that one has been answered")]
    InFlight,
    /// The lease is no longer the newest (its hold time ran out and another turn took over, or the conversation
    /// was deleted). Nothing was written; begin the turn again.
    #[error(
        "wanted to commit a turn, but its lease was taken over or the conversation was deleted; nothing was written, begin the turn again"
    )]
    LeaseLost,
    /// Another process (or another store in this one) has the embedded database open.
    #[error("wanted to open the database {path}, but another process has it open; stop that process, or use a redis:// store to share one store between hosts", path = path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The backend does not answer, is full or is stopping. Answer 503; the same call may succeed later. After a
    /// failed write it is unknown whether the write happened.
    #[error(
        "wanted to {wanted}, but the store is unavailable: {cause}; check that it runs and has space, then try again"
    )]
    Unavailable {
        /// What was being done, as a verb phrase.
        wanted: String,
        /// What the backend said.
        cause: String,
    },
    /// What is stored can't be understood. Trying again won't help: restore a backup or remove the record.
    #[error("wanted to {wanted}, but what is stored can't be read: {detail}; restore it from a backup")]
    Corrupt {
        /// What was being done, as a verb phrase.
        wanted: String,
        /// What was found.
        detail: String,
    },
    /// The operator has to change something (address, credentials, permissions, version).
    #[error("the store is misconfigured: {detail}")]
    Misconfigured {
        /// What is wrong and what would be right.
        detail: String,
    },
    /// `kv_add` met a value that is not a whole number, or the sum leaves the range of an `i64`. Nothing was written.
    #[error(
        "wanted to add to the value of key {key:?}, but it is not a whole number or the sum leaves 64 bits; nothing was written, store a decimal number there first"
    )]
    NotANumber {
        /// The key within its space.
        key: String,
    },
}

impl StoreError {
    pub(crate) fn unavailable(wanted: &str, cause: impl std::fmt::Display) -> Self {
        Self::Unavailable { wanted: wanted.to_owned(), cause: cause.to_string() }
    }

    pub(crate) fn corrupt(wanted: &str, detail: impl std::fmt::Display) -> Self {
        Self::Corrupt { wanted: wanted.to_owned(), detail: detail.to_string() }
    }

    pub(crate) fn misconfigured(detail: impl Into<String>) -> Self {
        Self::Misconfigured { detail: detail.into() }
    }
}

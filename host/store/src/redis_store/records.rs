//! Bounded logs on the shared store: a stream each.
//!
//! A stream is ordered by the numbers that we give its entries, reads backwards from any of them, and is cut at its
//! old end without touching the rest. Entries of a small log share a node, so a log of a few short records is a few
//! hundred bytes.

use bytes::Bytes;
use redis::cmd;

use super::RedisStore;
use super::call::ScriptCall;
use super::keys::{self, LAST_RECORD, LOG_NAMES};
use super::link::Repeat;
use crate::bound::Bound;
use crate::error::StoreError;

/// An entry: its id ("NUMBER-0"), then the field and value that append_records.lua gave it.
type Entry = (String, (String, Bytes));

impl RedisStore {
    pub(super) async fn append(&self, log: &str, records: Vec<Bytes>, keep: usize) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let bound = Bound::of(keep);
        let mut call = ScriptCall::default()
            .key(LOG_NAMES.to_owned())
            .key(LAST_RECORD.to_owned())
            .key(keys::log(log))
            .text(log)
            .number(bound.keep)
            .number(bound.cut_above);
        for record in &records {
            call = call.bytes(record);
        }
        // Not repeated: the records would be there twice.
        let script = &self.shared.scripts.append_records;
        self.shared.link.run::<u64>("append to a log", Repeat::Never, script, &call).await.map(drop)
    }

    pub(super) async fn newest(
        &self,
        log: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Bytes)>, StoreError> {
        const WANTED: &str = "read a log";
        let newest = match before {
            None => "+".to_owned(),
            Some(0) => return Ok(Vec::new()),
            Some(before) => (before - 1).to_string(),
        };
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut range = cmd("XREVRANGE");
        range.arg(keys::log(log)).arg(newest).arg("-").arg("COUNT").arg(super::store::count_of(limit));
        let entries: Vec<Entry> = self.read(WANTED, &range).await?;
        let numbered = |(id, (_, record)): Entry| {
            let number = id.strip_suffix("-0").and_then(|number| number.parse().ok());
            let number = number.ok_or_else(|| StoreError::corrupt(WANTED, format!("an entry has the id {id}")))?;
            Ok((number, record))
        };
        entries.into_iter().map(numbered).collect()
    }

    pub(super) async fn log_names(&self, prefix: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let mut range = cmd("ZRANGEBYLEX");
        range.arg(LOG_NAMES).arg(format!("[{prefix}")).arg(super::store::end_of_prefix(prefix));
        range.arg("LIMIT").arg(0).arg(super::store::count_of(limit));
        self.read("list logs", &range).await
    }

    pub(super) async fn delete_log(&self, log: &str) -> Result<(), StoreError> {
        let call = ScriptCall::default().key(keys::log(log)).key(LOG_NAMES.to_owned()).text(log);
        let script = &self.shared.scripts.delete_log;
        self.shared.link.run::<u64>("delete a log", Repeat::Safe, script, &call).await.map(drop)
    }
}

//! What went wrong, kept for those who can repair it.
//!
//! A record says who it hit (tenant, bot or connection, conversation), what failed (plugin, version, function), whose
//! fault it was, which limit ended it and what it had used by then, with the last lines and the guest's stack. Records
//! are in a bounded log of their tenant in the store; one tenant's flood pushes out nobody else's.
//!
//! | step | where | bound |
//! |---|---|---|
//! | [`Failures::record`] puts a record among the pending ones; equal ones within a second are one with a count | memory, one short lock, never waits | [`pending`]: 50 different ones a tenant a second |
//! | a task writes them, one write a tenant | the store's log `failures/TENANT` | [`KEEP`] a tenant |
//! | [`Failures::list`] writes what is pending, then reads | newest first, by pages | [`LOGS`] tenants |
//!
//! What is too much is counted, never silently lost: in `confab_failure_records_suppressed_total`, in the next record
//! (`suppressed`), and in the log.

mod pending;
mod record;

pub(crate) use record::Whose;
pub use record::{FailureFilter, FailurePage, FailureRecord};

use crate::engine::Engine;
use crate::ids::TenantId;
use bytes::Bytes;
use confab_sandbox::Failure;
use confab_store::{Store, StoreError};
use parking_lot::Mutex;
use pending::Pending;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Newest records that a tenant's log keeps: some hours of a bad day, a few MiB at most.
const KEEP: usize = 1_000;
/// How long a record may be pending, so that equal ones become one.
const WINDOW: Duration = Duration::from_secs(1);
/// Records that are read at once.
const CHUNK: usize = 200;
/// Logs that a list over all tenants looks into.
const LOGS: usize = 100_000;

/// The records of this host's store.
pub(crate) struct Failures {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    pending: Mutex<Pending>,
    /// There is something pending.
    wake: Arc<Notify>,
    /// One writer at a time, so that a list finds what another is just writing.
    writing: tokio::sync::Mutex<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The task looks whether there is still somebody to write for.
        self.wake.notify_one();
    }
}

fn log_of(tenant: &str) -> String {
    format!("failures/{tenant}")
}

impl Failures {
    /// Starts the task that writes. It ends with this.
    pub(crate) fn start(store: Arc<dyn Store>) -> Self {
        let wake = Arc::new(Notify::new());
        let shared = Arc::new(Shared {
            store,
            pending: Mutex::new(Pending::default()),
            wake: wake.clone(),
            writing: tokio::sync::Mutex::new(()),
        });
        let watched = Arc::downgrade(&shared);
        tokio::spawn(async move {
            loop {
                wake.notified().await;
                tokio::time::sleep(WINDOW).await;
                let Some(shared) = watched.upgrade() else { return };
                shared.flush().await;
            }
        });
        Failures { shared }
    }

    /// Counts a plugin's failure, writes it to the log, and keeps it.
    pub(crate) fn plugin(&self, failure: &Failure, whose: &Whose<'_>) {
        metrics::counter!(
            "confab_plugin_failures_total",
            "tenant" => whose.tenant.to_owned(), "plugin" => failure.plugin.clone(), "kind" => failure.kind.as_str()
        )
        .increment(1);
        if self.record(FailureRecord::of_plugin(failure, whose)) {
            tracing::warn!(
                tenant = whose.tenant,
                scope = whose.bot.or(whose.connection),
                request_id = whose.request_id,
                conversation = whose.conversation,
                turn = whose.turn,
                plugin = failure.plugin,
                version = failure.version,
                function = failure.function,
                kind = failure.kind.as_str(),
                blame = ?failure.blame,
                fuel = failure.report.fuel,
                cpu_us = failure.report.cpu_us,
                peak_memory = failure.report.peak_memory,
                wall_us = failure.report.wall_us,
                host_calls = failure.report.host_calls,
                backtrace = ?failure.backtrace,
                last_lines = ?failure.report.last_lines,
                "plugin failed: {}", failure.message
            );
        }
    }

    /// Keeps a record. True when the log may have a line about it: after 10 a second it has had enough of this tenant.
    pub(crate) fn record(&self, record: FailureRecord) -> bool {
        let (added, tenant) = {
            let tenant = record.tenant.clone();
            (self.shared.pending.lock().add(record, Instant::now()), tenant)
        };
        if added.suppressed {
            suppressed(&tenant, 1);
        }
        self.shared.wake.notify_one();
        added.log
    }

    /// Writes what is pending.
    pub(crate) async fn flush(&self) {
        self.shared.flush().await;
    }

    /// A page of records, newest first: those of a tenant, or of all, with a number below `before`.
    pub(crate) async fn list(
        &self,
        tenant: Option<&TenantId>,
        filter: &FailureFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<FailurePage, StoreError> {
        self.flush().await;
        let logs = match tenant {
            Some(tenant) => vec![log_of(tenant.as_str())],
            None => self.shared.store.record_logs("failures/", LOGS).await?,
        };
        // One more than wanted says whether there is another page.
        let wanted = limit.saturating_add(1);
        let mut found: Vec<(u64, FailureRecord)> = Vec::new();
        for log in logs {
            self.search(&log, filter, before, wanted, &mut found).await?;
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = if more { found.last().map(|(number, _)| number.to_string()) } else { None };
        let failures = found.into_iter().map(|(number, record)| FailureRecord { id: number.to_string(), ..record });
        Ok(FailurePage { failures: failures.collect(), next })
    }

    /// Adds a log's newest matching records to what other logs had; keeps the newest `wanted` of all, in order.
    async fn search(
        &self,
        log: &str,
        filter: &FailureFilter,
        before: Option<u64>,
        wanted: usize,
        found: &mut Vec<(u64, FailureRecord)>,
    ) -> Result<(), StoreError> {
        let oldest = if found.len() >= wanted { found.last().map_or(0, |(number, _)| *number) } else { 0 };
        let (mut before, mut matching) = (before, 0);
        loop {
            let chunk = self.shared.store.records(log, before, CHUNK).await?;
            let Some((last, _)) = chunk.last() else { break };
            before = Some(*last);
            let whole = chunk.len() < CHUNK || *last <= oldest;
            for (number, bytes) in chunk {
                match serde_json::from_slice::<FailureRecord>(&bytes) {
                    Ok(record) if number > oldest && matching < wanted && filter.takes(&record) => {
                        matching += 1;
                        found.push((number, record));
                    }
                    Ok(_) => {}
                    Err(e) => tracing::warn!(log, number, error = %e, "a failure record can't be read"),
                }
            }
            if whole || matching >= wanted {
                break;
            }
        }
        found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        found.truncate(wanted);
        Ok(())
    }

    /// Deletes a tenant's records.
    pub(crate) async fn delete(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let _one = self.shared.writing.lock().await;
        self.shared.pending.lock().forget(tenant.as_str());
        self.shared.store.delete_records(&log_of(tenant.as_str())).await
    }
}

impl Shared {
    async fn flush(&self) {
        let _one = self.writing.lock().await;
        let drained = self.pending.lock().drain(Instant::now());
        for (tenant, lines) in drained.unlogged {
            tracing::warn!(tenant, lines, "that many failures more were left out of the log; they are in the records");
        }
        for (tenant, records) in drained.batches {
            let stored: Vec<Bytes> =
                records.iter().filter_map(|record| serde_json::to_vec(record).ok().map(Bytes::from)).collect();
            if let Err(e) = self.store.append_records(&log_of(&tenant), stored, KEEP).await {
                tracing::error!(tenant, error = %e, records = records.len(), "failure records can't be written");
                suppressed(&tenant, records.len() as u64);
            }
        }
        if drained.more {
            self.wake.notify_one();
        }
    }
}

fn suppressed(tenant: &str, count: u64) {
    metrics::counter!("confab_failure_records_suppressed_total", "tenant" => tenant.to_owned()).increment(count);
}

impl Engine {
    /// Failure records, newest first: those of a tenant, or of all, with an id below `before`. At most `limit`, of which
    /// the caller says how many are reasonable.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn failures(
        &self,
        tenant: Option<&TenantId>,
        filter: &FailureFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<FailurePage, StoreError> {
        self.inner.watch.failures.list(tenant, filter, before, limit).await
    }

    /// Deletes a tenant's failure records.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn delete_failures(&self, tenant: &TenantId) -> Result<(), StoreError> {
        self.inner.watch.failures.delete(tenant).await
    }
}

#[cfg(test)]
mod tests;

//! What one bot or connection uses of one plugin, counted without lock or allocation.

use crate::ids::{BotId, ConnectionId};
use confab_sandbox::CallReport;
use metrics::{Counter, Gauge, Label};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names of the fields, in the order of [`Fields`].
pub(super) const FIELDS: [&str; 8] =
    ["calls", "failures", "fuel", "cpu_us", "wall_us", PEAK, "bytes_out", "host_calls"];
/// The field of which the largest counts, not the sum.
pub(super) const PEAK: &str = "peak_memory";
const PEAK_AT: usize = 5;

/// Who calls a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum User {
    Bot(BotId),
    Connection(ConnectionId),
}

impl User {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            User::Bot(_) => "bot",
            User::Connection(_) => "connection",
        }
    }

    pub(super) fn id(&self) -> &str {
        match self {
            User::Bot(id) => id.as_str(),
            User::Connection(id) => id.as_str(),
        }
    }
}

/// Values in the order of [`FIELDS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(pub(super) [u64; 8]);

impl Fields {
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|value| *value == 0)
    }
}

/// Where a bot's or connection's calls of a plugin are counted.
pub(crate) struct Account {
    /// Since the last write to the store.
    fields: [AtomicU64; 8],
    /// CPU time and peak since the start, for the metrics.
    cpu_us: AtomicU64,
    peak: AtomicU64,
    calls_total: Counter,
    fuel_total: Counter,
    cpu_total: Counter,
    bytes_total: Counter,
    peak_now: Gauge,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({:?})", self.fields)
    }
}

impl Account {
    pub(super) fn new(tenant: &Arc<str>, user: &User, plugin: &str) -> Self {
        let labels = vec![
            Label::new("tenant", tenant.to_string()),
            Label::new(user.kind(), user.id().to_owned()),
            Label::new("plugin", plugin.to_owned()),
        ];
        Account {
            fields: Default::default(),
            cpu_us: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            calls_total: metrics::counter!("confab_plugin_calls_total", labels.clone()),
            fuel_total: metrics::counter!("confab_plugin_fuel_total", labels.clone()),
            cpu_total: metrics::counter!("confab_plugin_cpu_seconds_total", labels.clone()),
            bytes_total: metrics::counter!("confab_plugin_bytes_out_total", labels.clone()),
            peak_now: metrics::gauge!("confab_plugin_peak_memory_bytes", labels),
        }
    }

    /// A call that ended.
    pub(crate) fn add(&self, report: &CallReport, failed: bool) {
        let values = [
            1,
            u64::from(failed),
            report.fuel,
            report.cpu_us,
            report.wall_us,
            report.peak_memory,
            report.bytes_out,
            u64::from(report.host_calls),
        ];
        self.put_back(Fields(values));
        self.calls_total.increment(1);
        self.fuel_total.increment(report.fuel);
        self.bytes_total.increment(report.bytes_out);
        // A counter holds whole numbers: seconds are told when they are full.
        let before = self.cpu_us.fetch_add(report.cpu_us, Ordering::Relaxed);
        let full = (before.wrapping_add(report.cpu_us) / 1_000_000).saturating_sub(before / 1_000_000);
        if full > 0 {
            self.cpu_total.increment(full);
        }
        let peak = report.peak_memory;
        if peak > self.peak.fetch_max(peak, Ordering::Relaxed) {
            self.peak_now.set(peak as f64);
        }
    }

    /// What came together since the last time.
    pub(super) fn take(&self) -> Fields {
        Fields(std::array::from_fn(|at| self.fields.get(at).map_or(0, |field| field.swap(0, Ordering::Relaxed))))
    }

    pub(super) fn put_back(&self, fields: Fields) {
        for (at, (field, value)) in self.fields.iter().zip(fields.0).enumerate() {
            if at == PEAK_AT {
                field.fetch_max(value, Ordering::Relaxed);
            } else if value > 0 {
                field.fetch_add(value, Ordering::Relaxed);
            }
        }
    }
}

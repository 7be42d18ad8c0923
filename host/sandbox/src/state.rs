//! What a store holds during one call: the services, the budgets, and what has been used of them.

use crate::effects::EffectCounts;
use crate::failure::{FailureKind, LimitHit};
use crate::limits::{LOG_LINE_BYTES, Limits, RESOURCES, SMALL_CALLS};
use crate::seeded;
use crate::services::{DenyAll, HostServices, LogLevel};
use crate::tenants::Tenant;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Data of a store.
pub(crate) struct CallState {
    pub(crate) services: Box<dyn HostServices>,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) limits: Limits,
    pub(crate) started: Instant,
    pub(crate) memory: MemoryAccount,
    tables: u64,
    pub(crate) host_calls: u32,
    pub(crate) http_calls: u32,
    pub(crate) http_bytes: u64,
    pub(crate) kv_calls: u32,
    pub(crate) effects: EffectCounts,
    /// Checks with secrets that were made, and whether one came out true.
    pub(crate) checks: u32,
    pub(crate) verified: bool,
    small_calls: u32,
    log_lines: u32,
    dropped_log_lines: u32,
    log_bytes: usize,
    pub(crate) last_lines: Vec<String>,
    table: Option<ResourceTable>,
    wasi: Option<WasiCtx>,
    /// Whether `wasi` is made of a seed.
    seeded: bool,
}

/// Bytes of log lines in one call, those that are cut or dropped among them: the host has copied and checked them before it
/// can know. Eight times as many as 256 lines of the length that is kept.
const LOG_BYTES: usize = 4 << 20;
/// Random bytes that a guest may ask WASI for at once. 64 MiB would be the default; a hash map takes 16 bytes, a key 32.
const WASI_RANDOM_BYTES: u64 = 64 << 10;

/// Lines of log that a failure record keeps.
const KEPT_LINES: usize = 10;

impl CallState {
    pub(crate) fn new(services: Box<dyn HostServices>, tenant: Arc<Tenant>, limits: Limits) -> Self {
        CallState {
            services,
            tenant,
            limits,
            started: Instant::now(),
            memory: MemoryAccount { limit: (limits.memory_mib as usize) << 20, used: 0, peak: 0 },
            tables: 0,
            host_calls: 0,
            http_calls: 0,
            http_bytes: 0,
            kv_calls: 0,
            effects: EffectCounts::default(),
            checks: 0,
            verified: false,
            small_calls: 0,
            log_lines: 0,
            dropped_log_lines: 0,
            log_bytes: 0,
            last_lines: Vec::new(),
            table: None,
            wasi: None,
            seeded: false,
        }
    }

    /// Begins another call on the same instance. What it holds of memory and tables is still counted.
    pub(crate) fn begin(&mut self, services: Box<dyn HostServices>, tenant: Arc<Tenant>, limits: Limits) {
        let seeded = self.seeded;
        let (used, tables) = (self.memory.used, self.tables);
        let (table, wasi) = (self.table.take(), self.wasi.take());
        *self = CallState::new(services, tenant, limits);
        self.memory.used = used;
        self.memory.peak = used;
        self.tables = tables;
        self.table = table;
        // What a seed has made belongs to its call.
        if !seeded && self.services.seed().is_none() {
            self.wasi = wasi;
        }
    }

    /// Lets go of the call that was served.
    pub(crate) fn rest(&mut self) {
        self.services = Box::new(DenyAll);
        self.last_lines = Vec::new();
    }

    pub(crate) fn time_left(&self) -> Duration {
        Duration::from_millis(self.limits.wall_ms).saturating_sub(self.started.elapsed())
    }

    /// Counts a host call of a kind; over the limit the guest is stopped.
    pub(crate) fn count(used: &mut u32, limit: u32, what: &str) -> Result<(), LimitHit> {
        *used += 1;
        if *used > limit {
            return Err(LimitHit::new(FailureKind::HostCalls, format!("made more than {limit} {what} in one call")));
        }
        Ok(())
    }

    pub(crate) fn count_invoke(&mut self) -> Result<(), LimitHit> {
        Self::count(&mut self.host_calls, self.limits.host_calls, "capability calls")
    }

    pub(crate) fn count_http(&mut self) -> Result<(), LimitHit> {
        Self::count(&mut self.http_calls, self.limits.http_calls, "HTTP requests")
    }

    pub(crate) fn count_kv(&mut self) -> Result<(), LimitHit> {
        Self::count(&mut self.kv_calls, self.limits.kv_calls, "reads and writes of stored data")
    }

    /// Counts a call that has no limit of its own kind.
    pub(crate) fn count_small(&mut self) -> Result<(), LimitHit> {
        Self::count(&mut self.small_calls, SMALL_CALLS, "calls for time, chance, settings and log lines")
    }

    /// Counts a line of log.
    pub(crate) fn count_log(&mut self, bytes: usize) -> Result<(), LimitHit> {
        self.count_small()?;
        self.log_bytes = self.log_bytes.saturating_add(bytes);
        if self.log_bytes > LOG_BYTES {
            let message = format!("wrote more than {} MiB of log lines in one call", LOG_BYTES >> 20);
            return Err(LimitHit::new(FailureKind::HostCalls, message));
        }
        Ok(())
    }

    /// Counts what goes out.
    pub(crate) fn count_outgoing(&mut self, bytes: usize) -> Result<(), LimitHit> {
        self.http_bytes = self.http_bytes.saturating_add(bytes as u64);
        let limit = u64::from(self.limits.http_kib) << 10;
        if self.http_bytes > limit {
            let message = format!("sent more than {} KiB in the requests of one call", self.limits.http_kib);
            return Err(LimitHit::new(FailureKind::Outgoing, message));
        }
        Ok(())
    }

    /// Passes a line on, unless the call has written enough. Control characters can't forge lines.
    pub(crate) fn log(&mut self, level: LogLevel, message: &str) {
        self.log_lines = self.log_lines.saturating_add(1);
        if self.log_lines > self.limits.log_lines || !self.tenant.may_log() {
            self.dropped_log_lines = self.dropped_log_lines.saturating_add(1);
            return;
        }
        let mut end = message.len().min(LOG_LINE_BYTES);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let line: String = message
            .get(..end)
            .unwrap_or_default()
            .chars()
            .map(|c| if c.is_control() && c != '\t' { ' ' } else { c })
            .collect();
        self.services.log(level, &line);
        if self.last_lines.len() == KEPT_LINES {
            self.last_lines.remove(0);
        }
        self.last_lines.push(line);
    }

    pub(crate) fn dropped_log_lines(&self) -> u32 {
        self.dropped_log_lines
    }
}

/// Sums over all memories of the store: two memories of half the limit are as large as one of the whole.
pub(crate) struct MemoryAccount {
    limit: usize,
    used: usize,
    pub(crate) peak: usize,
}

impl ResourceLimiter for CallState {
    fn memory_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let account = &mut self.memory;
        let after = account.used.saturating_add(desired.saturating_sub(current));
        if after > account.limit {
            return Err(LimitHit::new(
                FailureKind::Memory,
                format!("wanted {} MiB of memory, may have {}", after.div_ceil(1 << 20), account.limit >> 20),
            )
            .into());
        }
        account.used = after;
        account.peak = account.peak.max(after);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let after = self.tables.saturating_add(desired.saturating_sub(current) as u64);
        let limit = self.limits.table_elements;
        if after > u64::from(limit) {
            return Err(LimitHit::new(
                FailureKind::Table,
                format!("wanted tables of {after} elements together, may have {limit}"),
            )
            .into());
        }
        self.tables = after;
        Ok(true)
    }
}

impl WasiView for CallState {
    /// Made on first use: most guests import no WASI at all. Nothing is granted: no files, no environment, no network.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (services, seeded) = (&self.services, &mut self.seeded);
        let ctx = self.wasi.get_or_insert_with(|| {
            let mut ctx = WasiCtxBuilder::new();
            ctx.max_random_size(WASI_RANDOM_BYTES);
            if let Some(seed) = services.seed() {
                *seeded = true;
                seeded::in_wasi(&mut ctx, &seed, services.now_millis());
            }
            ctx.build()
        });
        let table = self.table.get_or_insert_with(|| {
            let mut table = ResourceTable::new();
            table.set_max_capacity(RESOURCES);
            table
        });
        WasiCtxView { ctx, table }
    }
}

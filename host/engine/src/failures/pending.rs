//! Records that wait to be written, made few: equal ones are counted, and a tenant has so many a second.
//!
//! Time comes from outside, so that tests need not wait for it.

use super::WINDOW;
use super::record::FailureRecord;
use std::collections::HashMap;
use std::time::Instant;

/// Different records of a tenant in a second. A person reads fewer; a plugin that makes each message different makes more.
const DISTINCT: usize = 50;
/// Lines about a tenant's failures in the log in a second.
const LINES: u32 = 10;
/// Records of all tenants that may be pending: some MiB to a few dozen, when the store doesn't take them.
const ALL: usize = 5_000;

/// See the module.
#[derive(Default)]
pub(super) struct Pending {
    tenants: HashMap<String, Tenant>,
    /// Sum over all tenants.
    all: usize,
}

struct Tenant {
    /// Begin of the second in which `distinct` and `lines` count.
    began: Instant,
    distinct: usize,
    lines: u32,
    /// Lines that were left out and not told of yet.
    unlogged: u64,
    /// Records that were left out and not told of yet.
    suppressed: u64,
    records: Vec<FailureRecord>,
}

/// What became of a record.
pub(super) struct Added {
    /// The log may have a line about it.
    pub(super) log: bool,
    /// There were too many.
    pub(super) suppressed: bool,
}

/// What is to be written.
#[derive(Default)]
pub(super) struct Drained {
    /// By tenant, in order of time.
    pub(super) batches: Vec<(String, Vec<FailureRecord>)>,
    /// Lines that were left out, by tenant.
    pub(super) unlogged: Vec<(String, u64)>,
    /// Ask again: something is left to be told.
    pub(super) more: bool,
}

impl Pending {
    pub(super) fn add(&mut self, mut record: FailureRecord, now: Instant) -> Added {
        let fresh = || Tenant { began: now, distinct: 0, lines: 0, unlogged: 0, suppressed: 0, records: Vec::new() };
        let tenant = self.tenants.entry(record.tenant.clone()).or_insert_with(fresh);
        if now.saturating_duration_since(tenant.began) >= WINDOW {
            (tenant.began, tenant.distinct, tenant.lines) = (now, 0, 0);
        }
        let log = tenant.lines < LINES;
        if log {
            tenant.lines += 1;
        } else {
            tenant.unlogged += 1;
        }
        if let Some(known) = tenant.records.iter_mut().find(|known| known.equals(&record)) {
            known.count = known.count.saturating_add(record.count);
            return Added { log, suppressed: false };
        }
        if tenant.distinct >= DISTINCT || tenant.records.len() >= DISTINCT || self.all >= ALL {
            tenant.suppressed += 1;
            return Added { log, suppressed: true };
        }
        tenant.distinct += 1;
        self.all += 1;
        record.suppressed = std::mem::take(&mut tenant.suppressed);
        tenant.records.push(record);
        Added { log, suppressed: false }
    }

    pub(super) fn drain(&mut self, now: Instant) -> Drained {
        let mut drained = Drained::default();
        self.all = 0;
        self.tenants.retain(|name, tenant| {
            let mut records = std::mem::take(&mut tenant.records);
            if let Some(last) = records.last_mut() {
                last.suppressed += std::mem::take(&mut tenant.suppressed);
            }
            if !records.is_empty() {
                drained.batches.push((name.clone(), records));
            }
            // Within its second a tenant is remembered: what it has had counts until then.
            let over = now.saturating_duration_since(tenant.began) >= WINDOW;
            if over && tenant.unlogged > 0 {
                drained.unlogged.push((name.clone(), std::mem::take(&mut tenant.unlogged)));
            }
            drained.more |= !over;
            !over
        });
        drained
    }

    pub(super) fn forget(&mut self, tenant: &str) {
        if let Some(tenant) = self.tenants.get_mut(tenant) {
            self.all = self.all.saturating_sub(tenant.records.len());
            tenant.records = Vec::new();
            tenant.suppressed = 0;
        }
    }
}

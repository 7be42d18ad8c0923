//! What each tenant uses of this host now: CPU time, fuel, bytes written, lines logged.
//!
//! | account | refilled | when it is empty |
//! |---|---|---|
//! | fuel a minute | each [`SWEEP`] | calls are refused with `quota` until there is some again |
//! | bytes of stored data a second | each [`SWEEP`] | the plugin's write is refused with `limit` |
//! | lines of log a second | each [`SWEEP`] | lines are dropped and counted |
//! | CPU time of a tenant that uses far more than others | each tick | its turns wait, and run in the slow lane, see [`crate::lanes`] |
//!
//! Accounts may go below zero by one call's worth; the debt is paid off first. Tenants that do nothing are forgotten.

use crate::limits::{EPOCH_TICK, TenantLimits};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often accounts are refilled and shares compared.
pub(crate) const SWEEP: Duration = Duration::from_millis(50);
/// Sweeps a second, for rates.
const SWEEPS_A_SECOND: i64 = 20;
/// A tenant without a call for this many sweeps (a minute) is forgotten: its accounts are full again by then.
const FORGET: u32 = 1_200;
/// Seconds of a rate that may be used in one burst.
const BURST_S: i64 = 10;
/// CPU shares are averaged over about this many sweeps: a burst of some ms is nobody's fault, a tenth of a second is felt.
const MEMORY: f64 = 2.0;
/// A tenant below this share of the machine never is too much.
const SMALL_SHARE: f64 = 0.10;
/// Who uses less than this share (a turn a second) is not there, as far as others are concerned.
const PRESENT_SHARE: f64 = 0.0002;
/// Those who are held back get at least this share of the machine together, however much others use.
const LEAST_SHARE: f64 = 0.10;
/// Ticks whose time may be used at once.
const SAVED_TICKS: f64 = 2.0;
/// A tenant uses too much when it uses more than this many times what the others use on average.
const TOO_MUCH: f64 = 2.0;

/// What one tenant uses.
#[derive(Debug)]
pub struct Tenant {
    /// Since the last sweep, in nanoseconds.
    cpu_ns: AtomicU64,
    fuel: AtomicI64,
    kv_bytes: AtomicI64,
    log_lines: AtomicI64,
    greedy: AtomicBool,
    /// CPU time that it may use while it is greedy, in nanoseconds.
    allowance: AtomicI64,
    /// Turns that wait for that.
    held_back: AtomicU32,
    idle_sweeps: AtomicU32,
    /// Nanoseconds of CPU time a sweep, averaged; bits of an f64, written by the sweep alone.
    average: AtomicU64,
}

impl Tenant {
    fn new(limits: &TenantLimits) -> Self {
        Tenant {
            cpu_ns: AtomicU64::new(0),
            fuel: AtomicI64::new(signed(limits.fuel_per_minute)),
            kv_bytes: AtomicI64::new(i64::from(limits.kv_kib_per_second) * 1024 * BURST_S),
            log_lines: AtomicI64::new(i64::from(limits.log_lines_per_second) * BURST_S),
            greedy: AtomicBool::new(false),
            allowance: AtomicI64::new(0),
            held_back: AtomicU32::new(0),
            idle_sweeps: AtomicU32::new(0),
            average: AtomicU64::new(0),
        }
    }

    /// Whether it uses so much more than others that it should wait for them.
    pub fn is_greedy(&self) -> bool {
        self.greedy.load(Relaxed)
    }

    pub(crate) fn used_cpu(&self, nanoseconds: u64) {
        self.cpu_ns.fetch_add(nanoseconds, Relaxed);
        if self.is_greedy() {
            let _ = self
                .allowance
                .fetch_update(Relaxed, Relaxed, |there| Some((there - signed(nanoseconds)).max(-DEBT_NS)));
        }
    }

    /// Waits until a greedy tenant may use CPU time again. False when too many of its turns wait already.
    pub(crate) async fn may_go_on(&self, most_waiting: u32) -> bool {
        if !self.is_greedy() || self.allowance.load(Relaxed) > 0 {
            return true;
        }
        if self.held_back.fetch_add(1, Relaxed) >= most_waiting {
            self.held_back.fetch_sub(1, Relaxed);
            return false;
        }
        let _waiting = Waiting(&self.held_back);
        let until = Instant::now() + LONGEST_WAIT;
        // Those who wait look one after the other, so that not all of them go on at once.
        while self.is_greedy() && self.allowance.load(Relaxed) <= 0 {
            if Instant::now() > until {
                return false;
            }
            let place = self.held_back.load(Relaxed).min(32);
            tokio::time::sleep(HOLD_BACK + Duration::from_micros(u64::from(place) * 100)).await;
        }
        true
    }

    pub(crate) fn used_fuel(&self, fuel: u64) {
        self.fuel.fetch_sub(signed(fuel), Relaxed);
    }

    pub(crate) fn has_fuel(&self) -> bool {
        self.fuel.load(Relaxed) > 0
    }

    /// Takes bytes of the account for stored data, or says no.
    pub(crate) fn may_write(&self, bytes: usize) -> bool {
        self.kv_bytes.load(Relaxed) > 0 && self.kv_bytes.fetch_sub(signed(bytes as u64), Relaxed) > 0
    }

    /// Takes a line of the account for the log, or says no.
    pub(crate) fn may_log(&self) -> bool {
        self.log_lines.load(Relaxed) > 0 && self.log_lines.fetch_sub(1, Relaxed) > 0
    }
}

/// Longest that a turn is held back; then it is refused, with when to try again.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Most that a tenant owes of its allowance: a long computation must not hold back what comes after it for long.
const DEBT_NS: i64 = 100_000_000;

/// How long a turn that is held back waits before it looks again.
const HOLD_BACK: Duration = Duration::from_millis(5);

/// Counts one that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// All tenants that use this host now.
#[derive(Debug)]
pub struct Tenants {
    limits: TenantLimits,
    cores: f64,
    known: RwLock<HashMap<Arc<str>, Arc<Tenant>>>,
    /// Those who are held back, and what each gets at a tick, in nanoseconds.
    held_back: Mutex<(Vec<Arc<Tenant>>, i64)>,
}

impl Tenants {
    pub(crate) fn new(limits: TenantLimits) -> Self {
        let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        Tenants { limits, cores, known: RwLock::new(HashMap::new()), held_back: Mutex::new((Vec::new(), 0)) }
    }

    /// A tenant's accounts.
    pub fn of(&self, name: &str) -> Arc<Tenant> {
        if let Some(tenant) = self.known.read().get(name) {
            return tenant.clone();
        }
        self.known.write().entry(Arc::from(name)).or_insert_with(|| Arc::new(Tenant::new(&self.limits))).clone()
    }

    /// Seconds until a tenant without fuel has some again.
    pub(crate) fn fuel_in_s(&self, tenant: &Tenant) -> u32 {
        let missing = 1 - tenant.fuel.load(Relaxed).min(0);
        let a_second = (signed(self.limits.fuel_per_minute) / 60).max(1);
        u32::try_from(missing / a_second + 1).unwrap_or(u32::MAX)
    }

    /// Gives those who are held back their time. Called at each tick of the clock.
    pub(crate) fn tick(&self) {
        let held_back = self.held_back.lock();
        let (tenants, each) = &*held_back;
        for tenant in tenants {
            refill(&tenant.allowance, *each, (*each as f64 * SAVED_TICKS) as i64);
        }
    }

    /// Turns of one tenant that may wait.
    pub(crate) fn most_waiting(&self) -> u32 {
        self.limits.waiting
    }

    /// Refills the accounts, and finds out who uses more than others.
    pub(crate) fn sweep(&self) {
        let limits = &self.limits;
        let fuel = signed(limits.fuel_per_minute);
        let kv = i64::from(limits.kv_kib_per_second) * 1024;
        let lines = i64::from(limits.log_lines_per_second);
        let mut active: Vec<(Arc<Tenant>, f64)> = Vec::new();
        let mut idle = false;
        let machine = self.cores * SWEEP.as_nanos() as f64;
        for (name, tenant) in self.known.read().iter() {
            refill(&tenant.fuel, fuel / (60 * SWEEPS_A_SECOND), fuel);
            refill(&tenant.kv_bytes, (kv / SWEEPS_A_SECOND).max(1), kv * BURST_S);
            refill(&tenant.log_lines, (lines / SWEEPS_A_SECOND).max(1), lines * BURST_S);
            let used = tenant.cpu_ns.swap(0, Relaxed) as f64;
            let before = f64::from_bits(tenant.average.load(Relaxed));
            let average = before + (used - before) / MEMORY;
            tenant.average.store(average.to_bits(), Relaxed);
            if average < 1_000.0 {
                idle |= tenant.idle_sweeps.fetch_add(1, Relaxed) >= FORGET;
            } else {
                tenant.idle_sweeps.store(0, Relaxed);
            }
            // Publishing is the host's own.
            let waits = tenant.held_back.load(Relaxed) > 0;
            if (waits || average > machine * PRESENT_SHARE) && !name.starts_with('(') {
                active.push((tenant.clone(), average));
            } else {
                tenant.greedy.store(false, Relaxed);
            }
        }
        let busy = f64::from(limits.busy_percent) / 100.0;
        *self.held_back.lock() = judge(&active, machine, busy);
        if idle {
            // Whoever holds one uses it right now.
            // Nor is a debt forgotten.
            self.known.write().retain(|_, t| {
                t.idle_sweeps.load(Relaxed) < FORGET || Arc::strong_count(t) > 1 || t.fuel.load(Relaxed) < fuel
            });
        }
    }
}

/// Marks those who use more than twice what the others use on average, and more than a small part of the machine. Gives back who
/// that is, and what each of them may use at a tick.
fn judge(active: &[(Arc<Tenant>, f64)], machine: f64, busy: f64) -> (Vec<Arc<Tenant>>, i64) {
    let all: f64 = active.iter().map(|(_, average)| average).sum();
    let (mut greedy, mut theirs) = (Vec::new(), 0.0);
    for (tenant, average) in active {
        let others = (all - average) / (active.len() as f64 - 1.0).max(1.0);
        let much = *average > machine * SMALL_SHARE && *average > TOO_MUCH * others;
        // Held back it uses little; that turns of it wait says that it would use more.
        let is =
            if tenant.is_greedy() { much || tenant.held_back.load(Relaxed) > 0 } else { much && all > machine * busy };
        if is && active.len() > 1 {
            greedy.push(tenant.clone());
            theirs += average;
        }
    }
    // Where everybody is, there is nobody to make room for.
    if greedy.len() == active.len() {
        greedy.clear();
    }
    for (tenant, _) in active {
        if !tenant.is_greedy() {
            tenant.allowance.store(0, Relaxed);
        }
        tenant.greedy.store(greedy.iter().any(|one| Arc::ptr_eq(one, tenant)), Relaxed);
    }
    let free = (machine * busy - (all - theirs)).max(machine * LEAST_SHARE);
    let each = free / greedy.len().max(1) as f64 * TICK_OF_SWEEP;
    (greedy, each as i64)
}

/// A tick as part of a sweep.
const TICK_OF_SWEEP: f64 = EPOCH_TICK.as_millis() as f64 / SWEEP.as_millis() as f64;

fn refill(account: &AtomicI64, by: i64, full: i64) {
    let _ = account.fetch_update(Relaxed, Relaxed, |there| (there < full).then(|| (there + by).min(full)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(tenants: &Tenants, name: &str, ms: u64) {
        tenants.of(name).used_cpu(ms * 1_000_000);
    }

    #[test]
    fn who_uses_far_more_than_others_is_greedy_until_he_stops() {
        let mut tenants = Tenants::new(TenantLimits::default());
        tenants.cores = 2.0;
        for _ in 0..10 {
            busy(&tenants, "loud", 150);
            busy(&tenants, "quiet", 20);
            tenants.sweep();
        }
        assert!(tenants.of("loud").is_greedy());
        assert!(!tenants.of("quiet").is_greedy());
        for _ in 0..30 {
            busy(&tenants, "quiet", 20);
            tenants.sweep();
        }
        assert!(!tenants.of("loud").is_greedy());
    }

    #[test]
    fn alone_nobody_is_greedy_and_equals_are_not_either() {
        let mut tenants = Tenants::new(TenantLimits::default());
        tenants.cores = 2.0;
        for _ in 0..10 {
            busy(&tenants, "only", 200);
            tenants.sweep();
        }
        assert!(!tenants.of("only").is_greedy());
        for _ in 0..30 {
            busy(&tenants, "only", 100);
            busy(&tenants, "other", 100);
            tenants.sweep();
        }
        assert!(!tenants.of("only").is_greedy() && !tenants.of("other").is_greedy());
    }

    #[test]
    fn an_empty_account_fills_again_and_a_debt_is_paid_first() {
        let limits = TenantLimits { fuel_per_minute: 6_000, ..TenantLimits::default() };
        let tenants = Tenants::new(limits);
        let tenant = tenants.of("t");
        tenant.used_fuel(6_050);
        assert!(!tenant.has_fuel());
        assert_eq!(tenants.fuel_in_s(&tenant), 1);
        for _ in 0..10 {
            tenants.sweep();
        }
        assert!(!tenant.has_fuel());
        tenants.sweep();
        assert!(tenant.has_fuel());
    }

    #[test]
    fn writes_and_lines_are_bounded_by_the_second() {
        let limits = TenantLimits { kv_kib_per_second: 1, log_lines_per_second: 1, ..TenantLimits::default() };
        let tenants = Tenants::new(limits);
        let tenant = tenants.of("t");
        assert!(tenant.may_write(10 * 1024));
        assert!(!tenant.may_write(1));
        assert_eq!((0..100).filter(|_| tenant.may_log()).count(), 10);
    }

    #[test]
    fn tenants_that_do_nothing_are_forgotten() {
        let tenants = Tenants::new(TenantLimits::default());
        let _ = tenants.of("t");
        for _ in 0..=FORGET {
            tenants.sweep();
        }
        assert!(tenants.known.read().is_empty());
    }
}

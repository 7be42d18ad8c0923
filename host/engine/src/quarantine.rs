//! A plugin that keeps failing at a tenant is left alone for a while.
//!
//! Each call of it would cost the tenant's fuel and places, and its visitors a wait, for nothing. So each pair of tenant
//! and plugin (its digest, not its name: another version is another plugin) has a circuit breaker, a [`Ward`]. After ten
//! failures in a row, or half of many, calls are refused at once: a turn answers with the bot's fallback, a
//! connector's caller reads `unavailable`. After a pause one call is let through; when it succeeds all are again.
//!
//! What counts is what the plugin did wrong by itself: not that the host was full or at fault, not that its tenant had used up
//! its fuel. What a plugin refuses properly, as a value, is a success here.
//!
//! Opening and closing are told once: in the log, as a record with the function `quarantine`, and by the metric
//! `confab_plugin_quarantined`.

use crate::turn::now_millis;
use confab_egress::breaker::{Breaker, BreakerPolicy, BreakerState, Clock, Open, Pass};
use confab_sandbox::{Blame, CallReport, Failure, FailureKind, Plugin};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Pairs below which looking for idle ones is not worth it.
const SWEEP_FROM: usize = 256;
/// Nobody uses the plugin any more and its quarantine began so long ago, in milliseconds: it is forgotten. Two of the longest pauses.
const FORGET_AFTER_MS: u64 = 600_000;

/// The wards of this host.
pub(crate) struct Quarantine {
    clock: Clock,
    wards: Mutex<Wards>,
}

#[derive(Default)]
struct Wards {
    by_key: HashMap<(Arc<str>, String), Arc<Ward>>,
    /// Twice what the last sweep left.
    sweep_at: usize,
}

/// A plugin at a tenant.
#[derive(Debug)]
pub(crate) struct Ward {
    pub(crate) tenant: Arc<str>,
    pub(crate) plugin: String,
    pub(crate) version: String,
    pub(crate) digest: String,
    breaker: Breaker,
    /// While it is quarantined: since when, and the failure that was the last.
    opened: Mutex<Option<Opened>>,
}

/// A quarantine.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) since: u64,
    pub(crate) reason: String,
}

/// What has changed by a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is quarantined from now on.
    Opened,
    /// It is run again.
    Closed,
}

impl Quarantine {
    pub(crate) fn new(clock: Clock) -> Self {
        Quarantine { clock, wards: Mutex::default() }
    }

    /// The ward of a plugin at a tenant: the one that is known, or a new one.
    pub(crate) fn of(&self, tenant: &Arc<str>, plugin: &Plugin) -> Arc<Ward> {
        self.ward(tenant, &plugin.manifest().name, &plugin.manifest().version, plugin.digest())
    }

    fn ward(&self, tenant: &Arc<str>, plugin: &str, version: &str, digest: &str) -> Arc<Ward> {
        let key = (tenant.clone(), digest.to_owned());
        let mut wards = self.wards.lock();
        if let Some(ward) = wards.by_key.get(&key) {
            return ward.clone();
        }
        if wards.by_key.len() >= wards.sweep_at.max(SWEEP_FROM) {
            let now = now_millis();
            wards.by_key.retain(|_, ward| Arc::strong_count(ward) > 1 || ward.lasts(now));
            wards.sweep_at = wards.by_key.len().saturating_mul(2);
        }
        let ward = Arc::new(Ward {
            tenant: tenant.clone(),
            plugin: plugin.to_owned(),
            version: version.to_owned(),
            digest: digest.to_owned(),
            breaker: Breaker::with_clock(BreakerPolicy::PLUGIN, self.clock.clone()),
            opened: Mutex::new(None),
        });
        wards.by_key.insert(key, ward.clone());
        ward
    }

    /// Those of a tenant, or of all, that are quarantined now.
    pub(crate) fn open(&self, tenant: Option<&str>) -> Vec<Arc<Ward>> {
        let wards = self.wards.lock();
        let of_tenant = wards.by_key.values().filter(|ward| tenant.is_none_or(|tenant| *ward.tenant == *tenant));
        let mut open: Vec<Arc<Ward>> = of_tenant.filter(|ward| ward.state() != BreakerState::Closed).cloned().collect();
        open.sort_by(|a, b| (&a.tenant, &a.plugin, &a.digest).cmp(&(&b.tenant, &b.plugin, &b.digest)));
        open
    }

    /// All versions of a plugin that a tenant has used.
    pub(crate) fn versions(&self, tenant: &str, plugin: &str) -> Vec<Arc<Ward>> {
        let wards = self.wards.lock();
        wards.by_key.values().filter(|ward| *ward.tenant == *tenant && ward.plugin == plugin).cloned().collect()
    }
}

impl Ward {
    /// Leave for a call.
    pub(crate) fn enter(&self) -> Result<Pass<'_>, Open> {
        self.breaker.enter()
    }

    pub(crate) fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    pub(crate) fn opened(&self) -> Option<Opened> {
        self.opened.lock().clone()
    }

    /// A call went well.
    pub(crate) fn well(&self, pass: Pass<'_>) -> Option<Change> {
        pass.success().then(|| self.closed("a call succeeded"))
    }

    /// A call failed.
    pub(crate) fn failed(&self, pass: Pass<'_>, failure: &Failure) -> Option<Change> {
        if !counts(failure) {
            return None;
        }
        if !pass.failure() {
            return None;
        }
        *self.opened.lock() = Some(Opened { since: now_millis(), reason: failure.message.clone() });
        self.gauge(1.0);
        tracing::warn!(
            tenant = &*self.tenant,
            plugin = self.plugin,
            version = self.version,
            reason = failure.message,
            "a plugin keeps failing; it is not run until a call that is let through succeeds"
        );
        Some(Change::Opened)
    }

    /// Runs it again at once. Nothing changes when it is not quarantined.
    pub(crate) fn reset(&self) -> Option<Change> {
        let was_open = self.state() != BreakerState::Closed;
        self.breaker.reset();
        was_open.then(|| self.closed("it was reset by hand"))
    }

    fn closed(&self, reason: &str) -> Change {
        *self.opened.lock() = None;
        self.gauge(0.0);
        tracing::info!(
            tenant = &*self.tenant,
            plugin = self.plugin,
            version = self.version,
            reason,
            "the plugin is run again"
        );
        Change::Closed
    }

    fn gauge(&self, value: f64) {
        let (tenant, plugin) = (self.tenant.to_string(), self.plugin.clone());
        metrics::gauge!("confab_plugin_quarantined", "tenant" => tenant, "plugin" => plugin).set(value);
    }

    /// Whether something would be lost with it, though nobody uses it.
    fn lasts(&self, now: u64) -> bool {
        self.opened.lock().as_ref().is_some_and(|opened| now.saturating_sub(opened.since) < FORGET_AFTER_MS)
    }

    /// Opening or closing as a failure, for the record.
    pub(crate) fn failure(&self, change: Change) -> Failure {
        let message = match change {
            Change::Opened => {
                let reason = self.opened().map(|opened| opened.reason).unwrap_or_default();
                format!("kept failing and is not run for a while; the last failure: {reason}")
            }
            Change::Closed => "is run again".to_owned(),
        };
        Failure {
            plugin: self.plugin.clone(),
            version: self.version.clone(),
            digest: self.digest.clone(),
            function: "quarantine".to_owned(),
            kind: FailureKind::Quarantined,
            blame: Blame::Guest,
            message,
            backtrace: Vec::new(),
            report: CallReport::default(),
        }
    }
}

impl Drop for Ward {
    fn drop(&mut self) {
        // What is forgotten is not quarantined for ever.
        if self.opened.lock().is_some() {
            self.gauge(0.0);
        }
    }
}

/// Whether a failure says something about the plugin.
fn counts(failure: &Failure) -> bool {
    failure.blame == Blame::Guest
        && !matches!(
            failure.kind,
            FailureKind::Overloaded | FailureKind::Quota | FailureKind::Quarantined | FailureKind::Host
        )
}

/// Seconds, rounded up, as a client is told them.
pub(crate) fn seconds(open: Open) -> u64 {
    u64::try_from(open.retry_after.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use confab_egress::breaker::ManualClock;
    use std::time::Duration;

    fn failure(kind: FailureKind) -> Failure {
        Failure {
            plugin: "p".into(),
            version: "1.0.0".into(),
            digest: "d".into(),
            function: "handle".into(),
            kind,
            blame: kind.blame(),
            message: "told to".into(),
            backtrace: Vec::new(),
            report: CallReport::default(),
        }
    }

    fn fails(ward: &Ward, kind: FailureKind) -> Option<Change> {
        ward.failed(ward.enter().unwrap(), &failure(kind))
    }

    #[test]
    fn ten_failures_in_a_row_stop_a_plugin_at_its_tenant_only_and_a_success_after_the_pause_lets_it_go_on() {
        let time = ManualClock::new();
        let quarantine = Quarantine::new(Clock::Manual(time.clone()));
        let (shop, bakery): (Arc<str>, Arc<str>) = ("shop".into(), "bakery".into());
        let ward = quarantine.ward(&shop, "p", "1.0.0", "d");
        for _ in 0..9 {
            assert_eq!(fails(&ward, FailureKind::Trap), None);
        }
        assert!(quarantine.open(None).is_empty());
        assert_eq!(fails(&ward, FailureKind::Trap), Some(Change::Opened));
        assert!((1..=2).contains(&seconds(ward.enter().unwrap_err())));
        assert!(ward.failure(Change::Opened).message.contains("told to"));
        assert_eq!(quarantine.open(Some("shop")).len(), 1);
        assert!(quarantine.open(Some("bakery")).is_empty());
        assert!(quarantine.ward(&bakery, "p", "1.0.0", "d").enter().is_ok());
        assert!(quarantine.ward(&shop, "p", "1.0.1", "d2").enter().is_ok());
        // Another bot of the tenant with the same plugin finds the same ward.
        assert!(quarantine.ward(&shop, "p", "1.0.0", "d").enter().is_err());
        time.advance(Duration::from_secs(2));
        assert_eq!(ward.well(ward.enter().unwrap()), Some(Change::Closed));
        assert!(quarantine.open(None).is_empty() && ward.opened().is_none());
    }

    #[test]
    fn what_is_not_the_plugins_fault_does_not_count() {
        let quarantine = Quarantine::new(Clock::System);
        let ward = quarantine.ward(&"shop".into(), "p", "1.0.0", "d");
        for kind in [FailureKind::Overloaded, FailureKind::Quota, FailureKind::Host] {
            for _ in 0..100 {
                assert_eq!(fails(&ward, kind), None, "{kind:?}");
            }
        }
        assert_eq!(ward.state(), BreakerState::Closed);
    }

    #[test]
    fn what_nobody_uses_is_forgotten_unless_it_is_quarantined() {
        let quarantine = Quarantine::new(Clock::System);
        let shop: Arc<str> = "shop".into();
        let bad = quarantine.ward(&shop, "bad", "1.0.0", "bad");
        for _ in 0..10 {
            fails(&bad, FailureKind::Trap);
        }
        drop(bad);
        let used = quarantine.ward(&shop, "used", "1.0.0", "used");
        for n in 0..10_000 {
            quarantine.ward(&shop, "p", "1.0.0", &n.to_string());
        }
        assert!(quarantine.wards.lock().by_key.len() <= SWEEP_FROM + 1);
        assert!(Arc::ptr_eq(&used, &quarantine.ward(&shop, "used", "1.0.0", "used")));
        assert_eq!(quarantine.open(None).len(), 1);
    }
}

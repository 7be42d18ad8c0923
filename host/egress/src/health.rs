//! How an endpoint is doing: its circuit breaker, and what each answer says about it.
//!
//! | how a call ended | counts as |
//! |---|---|
//! | no connection, TLS, no complete answer in time, not HTTP | failure |
//! | 5xx | failure; 503 with `Retry-After` opens at once, for that long, at most 60 s |
//! | 429 | nothing: the system is well, and wants fewer requests. That is the `budget`'s business |
//! | any other status, also of an answer that is too large | success: the system is there |
//! | refused by our own rules, no request made, given up by the caller, or a time of the guest's that was too short | nothing |
//!
//! A breaker outlives the connection that it was made for: a tenant who publishes again gets the same endpoint at the
//! same place with what is known about it. [`Breakers`] finds it by (tenant, connection, endpoint, base URL), and
//! holds it weakly, so that it goes with the last connection that uses it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use metrics::{Label, counter, gauge};
use parking_lot::Mutex;

use crate::breaker::{Breaker, BreakerPolicy, BreakerState, Clock, Open, Pass};
use crate::error::{ErrorCode, SendError};
use crate::exchange::Traffic;
use crate::limits::PATIENCE;

/// What a breaker is found by: tenant, connection, endpoint, base URL as the tenant wrote it.
type Key = [String; 4];

/// The breakers of all endpoints of this process.
pub(crate) struct Breakers {
    clock: Clock,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_key: HashMap<Key, Weak<Health>>,
    /// Entries after which those of gone endpoints are swept out: twice what the last sweep left, so that sweeping
    /// costs each entry a constant time however many there are.
    sweep_at: usize,
}

/// Entries below which sweeping is not worth it.
const SWEEP_FROM: usize = 256;

impl Breakers {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, known: Mutex::default() }
    }

    /// The breaker of this endpoint: the one that is in use, or a new one.
    pub(crate) fn of(&self, key: Key, policy: BreakerPolicy) -> Arc<Health> {
        let mut known = self.known.lock();
        if let Some(health) = known.by_key.get(&key).and_then(Weak::upgrade) {
            return health;
        }
        if known.by_key.len() >= known.sweep_at.max(SWEEP_FROM) {
            known.by_key.retain(|_, health| health.strong_count() > 0);
            known.sweep_at = known.by_key.len().saturating_mul(2);
        }
        let [tenant, connection, endpoint, _] = key.clone();
        let breaker = Breaker::with_clock(policy, self.clock.clone());
        let health = Arc::new(Health { tenant, connection, endpoint, breaker });
        known.by_key.insert(key, Arc::downgrade(&health));
        health
    }
}

/// An endpoint's breaker, and whose it is.
pub(crate) struct Health {
    tenant: String,
    connection: String,
    endpoint: String,
    breaker: Breaker,
}

/// What a call says about the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Well,
    Failed,
    ToldToWait(Duration),
    Nothing,
}

impl Health {
    /// Is it worth queueing for? Takes no place.
    pub(crate) fn ask(&self) -> Result<(), SendError> {
        self.breaker.refusal().map_or(Ok(()), |open| Err(self.refuse(open)))
    }

    /// Leave for a call.
    pub(crate) fn enter(&self) -> Result<Pass<'_>, SendError> {
        self.breaker.enter().map_err(|open| self.refuse(open))
    }

    /// The call is over.
    pub(crate) fn settle(&self, pass: Pass<'_>, verdict: Verdict) {
        let opened = match verdict {
            Verdict::Nothing => return drop(pass),
            Verdict::Well => {
                if pass.success() {
                    self.closed("a call succeeded");
                }
                return;
            }
            Verdict::Failed => pass.failure(),
            Verdict::ToldToWait(pause) => pass.told_to_wait(pause),
        };
        if opened {
            let (failures, pause_ms) = match self.breaker.state() {
                BreakerState::Open { failures, pause, .. } => (failures, u64::try_from(pause.as_millis()).ok()),
                BreakerState::Closed | BreakerState::Probing => (0, None),
            };
            gauge!("confab_egress_breaker_open", self.labels()).set(1.0);
            tracing::warn!(
                tenant = self.tenant,
                connection = self.connection,
                endpoint = self.endpoint,
                failures,
                pause_ms,
                "an endpoint keeps failing; calls to it are refused until one succeeds"
            );
        }
    }

    pub(crate) fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    pub(crate) fn reset(&self) {
        let was_open = self.breaker.state() != BreakerState::Closed;
        self.breaker.reset();
        if was_open {
            self.closed("it was reset by hand");
        }
    }

    fn closed(&self, reason: &str) {
        gauge!("confab_egress_breaker_open", self.labels()).set(0.0);
        let (tenant, connection, endpoint) = (&self.tenant, &self.connection, &self.endpoint);
        tracing::info!(tenant, connection, endpoint, reason, "calls to the endpoint are let through again");
    }

    fn refuse(&self, open: Open) -> SendError {
        counter!("confab_egress_breaker_refused_total", self.labels()).increment(1);
        let seconds = open.retry_after.as_millis().div_ceil(1_000).max(1);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        let message = format!(
            "the endpoint \"{}\" keeps failing, so it is not called now; it is tried again in {seconds} s",
            self.endpoint
        );
        SendError::new(ErrorCode::Unavailable, message).after(seconds)
    }

    fn labels(&self) -> Vec<Label> {
        vec![
            Label::new("tenant", self.tenant.clone()),
            Label::new("connection", self.connection.clone()),
            Label::new("endpoint", self.endpoint.clone()),
        ]
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        // An endpoint that is gone is not down for ever.
        if self.breaker.state() != BreakerState::Closed {
            gauge!("confab_egress_breaker_open", self.labels()).set(0.0);
        }
    }
}

/// What a call says about its endpoint. `error` is what it ended with, if it has no answer; `time` is what it had;
/// `usual` what the endpoint's calls have.
pub(crate) fn judge(error: Option<ErrorCode>, traffic: &Traffic, time: Duration, usual: Duration) -> Verdict {
    if traffic.requests == 0 {
        return Verdict::Nothing;
    }
    match error {
        Some(ErrorCode::Connect | ErrorCode::Tls | ErrorCode::Protocol) => return Verdict::Failed,
        // A guest that asks for an answer within a millisecond says nothing about the system.
        Some(ErrorCode::Timeout) if time < usual.min(PATIENCE) => return Verdict::Nothing,
        Some(ErrorCode::Timeout) => return Verdict::Failed,
        Some(ErrorCode::Unauthorised | ErrorCode::TooLarge) | None => {}
        Some(_) => return Verdict::Nothing,
    }
    match (traffic.status, traffic.retry_after) {
        (Some(429), _) => Verdict::Nothing,
        (Some(503), Some(pause)) if !pause.is_zero() => Verdict::ToldToWait(pause),
        (Some(500..), _) => Verdict::Failed,
        (Some(_), _) => Verdict::Well,
        (None, _) => Verdict::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn answered(status: u16, retry_after: Option<u64>) -> Verdict {
        let traffic = Traffic {
            requests: 1,
            status: Some(status),
            retry_after: retry_after.map(Duration::from_secs),
            ..Traffic::default()
        };
        judge(None, &traffic, LONG, LONG)
    }

    fn failed(code: ErrorCode, requests: u32, time: Duration) -> Verdict {
        judge(Some(code), &Traffic { requests, ..Traffic::default() }, time, LONG)
    }

    #[test]
    fn only_the_system_s_own_failures_count_against_it() {
        for status in [200, 204, 301, 400, 401, 403, 404, 409, 422] {
            assert_eq!(answered(status, Some(5)), Verdict::Well, "{status}");
        }
        for (status, told) in [(500, Some(5)), (502, None), (503, None), (503, Some(0)), (504, None)] {
            assert_eq!(answered(status, told), Verdict::Failed, "{status}");
        }
        assert_eq!(answered(503, Some(5)), Verdict::ToldToWait(Duration::from_secs(5)));
        for told in [None, Some(5)] {
            assert_eq!(answered(429, told), Verdict::Nothing);
        }
        for code in [ErrorCode::Connect, ErrorCode::Tls, ErrorCode::Timeout, ErrorCode::Protocol] {
            assert_eq!(failed(code, 1, LONG), Verdict::Failed, "{code}");
            // A login's failure that was remembered, or a place that was waited for: nothing was asked of the system.
            assert_eq!(failed(code, 0, LONG), Verdict::Nothing, "{code}");
        }
        for code in [ErrorCode::Refused, ErrorCode::Misconfigured, ErrorCode::Limit, ErrorCode::InvalidRequest] {
            assert_eq!(failed(code, 1, LONG), Verdict::Nothing, "{code}");
        }
    }

    #[test]
    fn a_guests_impatience_is_not_the_systems_failure() {
        assert_eq!(failed(ErrorCode::Timeout, 1, Duration::from_millis(999)), Verdict::Nothing);
        assert_eq!(failed(ErrorCode::Timeout, 1, Duration::from_secs(1)), Verdict::Failed);
        let usual = Duration::from_millis(300);
        let traffic = Traffic { requests: 1, ..Traffic::default() };
        assert_eq!(judge(Some(ErrorCode::Timeout), &traffic, usual, usual), Verdict::Failed);
    }

    #[test]
    fn a_breaker_is_found_again_while_it_is_in_use_and_forgotten_after() {
        let breakers = Breakers::new(Clock::System);
        let of = |n: usize| breakers.of([n.to_string(), "c".into(), "e".into(), "u".into()], BreakerPolicy::ENDPOINT);
        let kept = of(0);
        assert!(Arc::ptr_eq(&kept, &of(0)));
        for n in 1..10_000 {
            drop(of(n));
        }
        assert!(breakers.known.lock().by_key.len() <= SWEEP_FROM + 1);
        assert!(Arc::ptr_eq(&kept, &of(0)));
    }
}

//! Rate limits: per key and per visitor, on any number of hosts.
//!
//! A sliding window made of two fixed ones: what was used in the last minute counts with the part of it that is still
//! within sixty seconds. Decisions are made in memory, so that they cost no round trip. Where hosts share
//! a Redis, each tells the others every [`SYNC`] what it has let through; until then it may let through what it doesn't
//! know of, so a limit can be passed by what arrives in a tenth of a second at the other hosts, and not by more.
//!
//! Headers follow draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` and `RateLimit`.

use super::Problem;
use confab_engine::store::{CounterIncrement, Store};
use confab_engine::turn::now_millis;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// Length of the window.
const WINDOW_MS: u64 = 60_000;
/// How often hosts that share a store tell each other.
const SYNC: Duration = Duration::from_millis(100);
/// Locks: enough that two cores rarely meet.
const SHARDS: usize = 16;
/// Counters that one shard keeps at most; beyond, old ones are dropped first.
const SHARD_ENTRIES: usize = 65_536;

/// Limits in requests a minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// For a key that has no limit of its own.
    pub(crate) key: u32,
    /// For a visitor.
    pub(crate) visitor: u32,
    /// For webhooks of a connection; half of it for one remote address.
    pub(crate) webhook: u32,
}

/// One limit that applies to a request.
pub(crate) struct Check<'a> {
    /// Name of the policy, shown to the client.
    pub(crate) policy: &'static str,
    /// Whose counter.
    pub(crate) subject: &'a str,
    /// Requests a minute.
    pub(crate) limit: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    window: u64,
    /// Used in this window, by all hosts as far as known.
    used: u64,
    /// Of these, not told to the others yet.
    pending: u64,
    /// Used in the window before.
    before: u64,
}

impl Counter {
    fn at(&mut self, window: u64) {
        if self.window != window {
            self.before = if self.window + 1 == window { self.used } else { 0 };
            (self.window, self.used, self.pending) = (window, 0, 0);
        }
    }

    /// Used within the last window's length, of now.
    fn estimate(&self, now: u64) -> u64 {
        let left = WINDOW_MS - now % WINDOW_MS;
        self.before * left / WINDOW_MS + self.used
    }
}

/// All counters of this host.
pub(crate) struct Limiter {
    shards: Vec<Mutex<HashMap<String, Counter>>>,
    hasher: RandomState,
}

/// What is left after a request, for its headers.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    policy: String,
    state: String,
}

impl Allowance {
    /// Header names and values.
    pub(crate) fn headers(self) -> [(&'static str, String); 2] {
        [("ratelimit-policy", self.policy), ("ratelimit", self.state)]
    }
}

impl Limiter {
    /// Starts the limiter; with a shared store it also starts telling the others.
    pub(crate) fn start(store: &Arc<dyn Store>) -> Arc<Limiter> {
        let limiter =
            Arc::new(Limiter { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() });
        if store.backend() != "embedded" {
            tokio::spawn(synchronise(Arc::downgrade(&limiter), store.clone()));
        }
        limiter
    }

    /// Counts a request against all limits, or refuses it and counts it against none.
    pub(crate) fn take(&self, checks: &[Check<'_>]) -> Result<Allowance, Problem> {
        let now = now_millis();
        let window = now / WINDOW_MS;
        let mut allowance = Allowance::default();
        let mut refused: Option<(&Check<'_>, u64)> = None;
        for check in checks {
            let (used, before) = self.with(check, |counter| {
                counter.at(window);
                (counter.estimate(now), counter.before)
            });
            let left = u64::from(check.limit).saturating_sub(used);
            let reset = (WINDOW_MS - now % WINDOW_MS).div_ceil(1000);
            if left == 0 && refused.is_none() {
                refused = Some((check, wait_s(now, u64::from(check.limit), used, before, reset)));
            }
            let separator = if allowance.policy.is_empty() { "" } else { ", " };
            let _ =
                write!(allowance.policy, "{separator}\"{}\";q={};w={}", check.policy, check.limit, WINDOW_MS / 1000);
            let _ = write!(allowance.state, "{separator}\"{}\";r={};t={reset}", check.policy, left.saturating_sub(1));
        }
        if let Some((check, wait)) = refused {
            let mut problem = Problem::quota(check.policy, wait);
            problem.headers.extend(allowance.headers());
            return Err(problem);
        }
        for check in checks {
            self.with(check, |counter| {
                counter.used += 1;
                counter.pending += 1;
            });
        }
        Ok(allowance)
    }

    fn with<T>(&self, check: &Check<'_>, f: impl FnOnce(&mut Counter) -> T) -> T {
        let index = self.hasher.hash_one((check.policy, check.subject)) as usize % SHARDS;
        let Some(shard) = self.shards.get(index) else { return f(&mut Counter::default()) };
        let mut shard = shard.lock();
        if let Some(counter) = shard.get_mut(check.subject) {
            return f(counter);
        }
        if shard.len() >= SHARD_ENTRIES {
            let window = now_millis() / WINDOW_MS;
            shard.retain(|_, counter| counter.window + 1 >= window);
            if shard.len() >= SHARD_ENTRIES {
                shard.clear();
            }
        }
        f(shard.entry(check.subject.to_owned()).or_default())
    }
}

/// Seconds until one more request fits.
fn wait_s(now: u64, limit: u64, used: u64, before: u64, reset: u64) -> u64 {
    let excess = used + 1 - limit.min(used);
    if before > 0 {
        // The window before fades by `before / WINDOW_MS` a millisecond.
        let ms = (excess * WINDOW_MS).div_ceil(before);
        if now % WINDOW_MS + ms < WINDOW_MS {
            return ms.div_ceil(1000).max(1);
        }
    }
    reset.max(1)
}

async fn synchronise(limiter: std::sync::Weak<Limiter>, store: Arc<dyn Store>) {
    let mut ticks = tokio::time::interval(SYNC);
    loop {
        ticks.tick().await;
        let Some(limiter) = limiter.upgrade() else { return };
        let mut told: Vec<(usize, String, u64)> = Vec::new();
        for (index, shard) in limiter.shards.iter().enumerate() {
            for (subject, counter) in shard.lock().iter_mut().filter(|(_, counter)| counter.pending > 0) {
                told.push((index, subject.clone(), std::mem::take(&mut counter.pending)));
            }
        }
        if told.is_empty() {
            continue;
        }
        let window = now_millis() / WINDOW_MS;
        let increments = told
            .iter()
            .map(|(_, subject, delta)| CounterIncrement {
                key: format!("rate/{subject}"),
                window,
                delta: *delta,
                keep: Duration::from_millis(2 * WINDOW_MS),
            })
            .collect();
        // While the store is away each host counts for itself: limits hold per host.
        let Ok(totals) = store.count(increments).await else { continue };
        for ((index, subject, _), total) in told.iter().zip(totals) {
            let Some(shard) = limiter.shards.get(*index) else { continue };
            if let Some(counter) = shard.lock().get_mut(subject).filter(|counter| counter.window == window) {
                counter.used = total + counter.pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> Limiter {
        Limiter { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    #[test]
    fn the_limit_holds_and_the_headers_say_so() {
        let limiter = limiter();
        let check = || {
            [Check { policy: "key", subject: "k/1", limit: 3 }, Check { policy: "visitor", subject: "v/1", limit: 100 }]
        };
        for left in [2, 1, 0] {
            let [(_, policy), (_, state)] = limiter.take(&check()).unwrap().headers();
            assert_eq!(policy, "\"key\";q=3;w=60, \"visitor\";q=100;w=60");
            assert!(state.starts_with(&format!("\"key\";r={left};t=")), "{state}");
        }
        let refused = limiter.take(&check()).unwrap_err();
        assert_eq!(refused.status, 429);
        assert!(refused.retry_after.is_some_and(|s| (1..=60).contains(&s)));
        // A refused request does not use up the visitor's allowance.
        let visitor = [Check { policy: "visitor", subject: "v/1", limit: 100 }];
        let [_, (_, state)] = limiter.take(&visitor).unwrap().headers();
        assert!(state.starts_with("\"visitor\";r=96;"), "{state}");
    }

    #[test]
    fn the_window_slides() {
        let mut counter = Counter { window: 10, used: 60, pending: 0, before: 0 };
        counter.at(11);
        assert_eq!(counter.estimate(11 * WINDOW_MS), 60);
        assert_eq!(counter.estimate(11 * WINDOW_MS + WINDOW_MS / 2), 30);
        counter.at(13);
        assert_eq!(counter.estimate(13 * WINDOW_MS), 0);
        assert_eq!(wait_s(11 * WINDOW_MS, 60, 60, 60, 60), 1);
        assert_eq!(wait_s(11 * WINDOW_MS, 60, 60, 0, 60), 60);
    }
}

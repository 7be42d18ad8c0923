//! How often a connection may call: what a tenant writes, and the schedule that is kept.
//!
//! The schedule is a GCRA (a leaky bucket that stores one number): the time at which the bucket will be empty again.
//! A call goes as soon as that time is at most [`Rate::tolerance`] ahead, and moves it on by [`Rate::interval`].
//! It is the whole of what hosts have to share; the store's script computes the same.

use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How often a connection may call its system, all hosts together.
///
/// ```yaml
/// rate: { per_second: 4, burst: 4 }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateConfig {
    /// Requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
    /// Requests a minute; may stand beside `per_second`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// Requests that may go at once after a quiet while, where the system counts by a bucket of this size; 1 if it is
    /// not written: then requests are spaced evenly, which also suits systems that count by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// Nobody's business system takes more, and more would be as good as no limit.
const MOST: u32 = 10_000;

/// One limit, as the schedule needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Between two calls, in the long run.
    pub interval: Duration,
    /// How far ahead of that calls may be.
    pub tolerance: Duration,
}

/// We go slower than allowed by this share, because the system's clock and its way of counting are its own.
const MARGIN_PERCENT: u32 = 5;

/// A burst is this much longer than it need be: its first request may be on its way for longer than its last, and then
/// they arrive closer together than they left.
const JITTER: Duration = Duration::from_millis(20);

impl Rate {
    fn new(calls: u32, unit: Duration, burst: u32) -> Self {
        let interval = unit * (100 + MARGIN_PERCENT) / 100 / calls.max(1);
        let tolerance = (interval * burst.saturating_sub(1)).saturating_sub(JITTER);
        Self { interval, tolerance }
    }
}

impl RateConfig {
    /// The limits, or what is wrong: the field and why.
    pub(crate) fn rates(&self) -> Result<Vec<Rate>, (&'static str, String)> {
        let fields = [("per_second", self.per_second), ("per_minute", self.per_minute), ("burst", self.burst)];
        for (name, value) in fields {
            if value.is_some_and(|value| !(1..=MOST).contains(&value)) {
                return Err((name, format!("is not between 1 and {MOST}")));
            }
        }
        let burst = self.burst.unwrap_or(1);
        let second = self.per_second.map(|calls| Rate::new(calls, Duration::from_secs(1), burst));
        // Beside a limit by the second, the minute's is there for the long run: what the second allows may go.
        let per_minute_burst = self.per_second.map_or(burst, |calls| burst.max(calls));
        let minute =
            self.per_minute.map(|calls| Rate::new(calls, Duration::from_secs(60), per_minute_burst.min(calls)));
        let rates: Vec<Rate> = second.into_iter().chain(minute).collect();
        if rates.is_empty() {
            return Err(("rate", "says nothing; write `rate: { per_second: 4 }` or `per_minute`".to_owned()));
        }
        Ok(rates)
    }
}

/// A connection's schedule on this host: all of it where nothing is shared, and what the host knows of the shared one
/// otherwise.
#[derive(Debug)]
pub(crate) struct Schedule {
    rates: Vec<Rate>,
    /// For each rate, when its bucket is empty.
    empty_at: Mutex<Vec<Instant>>,
}

impl Schedule {
    pub(crate) fn new(rates: Vec<Rate>) -> Self {
        let empty_at = Mutex::new(vec![Instant::now(); rates.len()]);
        Self { rates, empty_at }
    }

    pub(crate) fn rates(&self) -> &[Rate] {
        &self.rates
    }

    /// When a call could go, from then on, that has this many before it. Takes nothing.
    pub(crate) fn estimate(&self, now: Instant, ahead: u32) -> Instant {
        let empty_at = self.empty_at.lock();
        earliest(&self.rates, &empty_at, now, ahead)
    }

    /// Takes the next place, unless it comes after `latest`: then that place's time is the error.
    pub(crate) fn reserve(&self, now: Instant, latest: Instant) -> Result<Instant, Instant> {
        let mut empty_at = self.empty_at.lock();
        let at = earliest(&self.rates, &empty_at, now, 0);
        if at > latest {
            return Err(at);
        }
        for (rate, empty) in self.rates.iter().zip(empty_at.iter_mut()) {
            *empty = (*empty).max(at) + rate.interval;
        }
        Ok(at)
    }

    /// Another one, that all hosts share, gave a place at this time.
    pub(crate) fn follow(&self, now: Instant, at: Instant) {
        let mut empty_at = self.empty_at.lock();
        for (rate, empty) in self.rates.iter().zip(empty_at.iter_mut()) {
            // Who has to wait meets a full bucket.
            let full = if at > now { at + rate.tolerance } else { at };
            *empty = (*empty).max(full) + rate.interval;
            // Others' places are in it now, ours are not to be in it twice.
            *empty = (*empty).min(full + rate.interval + rate.tolerance);
        }
    }
}

fn earliest(rates: &[Rate], empty_at: &[Instant], now: Instant, ahead: u32) -> Instant {
    let times = rates.iter().zip(empty_at).map(|(rate, empty)| {
        let empty = (*empty).max(now) + rate.interval.saturating_mul(ahead);
        // Not before now, so that nothing is subtracted from a young machine's clock.
        if empty.saturating_duration_since(now) > rate.tolerance { empty - rate.tolerance } else { now }
    });
    times.fold(now, Instant::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(per_second: Option<u32>, per_minute: Option<u32>, burst: Option<u32>) -> Vec<Rate> {
        RateConfig { per_second, per_minute, burst }.rates().unwrap()
    }

    /// How many of calls that are always wanted go within this time.
    fn within(schedule: &Schedule, start: Instant, time: Duration) -> usize {
        let mut now = start;
        let mut sent = 0;
        while let Ok(at) = schedule.reserve(now, start + time) {
            now = at;
            sent += 1;
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_slightly_less_than_the_rate() {
        let schedule = Schedule::new(rates(Some(4), None, Some(4)));
        let sent = within(&schedule, Instant::now(), Duration::from_secs(60));
        assert!((4 + 220..4 + 240).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_burst_no_second_has_more_than_the_rate() {
        let schedule = Schedule::new(rates(Some(4), None, None));
        let start = Instant::now();
        let times: Vec<Instant> =
            (0..40).map(|_| schedule.reserve(start, start + Duration::from_secs(60)).unwrap()).collect();
        for five in times.windows(5) {
            assert!(five[4] - five[0] > Duration::from_secs(1), "{times:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_limits_the_tighter_one_holds() {
        let schedule = Schedule::new(rates(Some(10), Some(60), None));
        let start = Instant::now();
        assert!(within(&schedule, start, Duration::from_secs(1)) <= 10);
        let schedule = Schedule::new(rates(Some(10), Some(60), None));
        let sent = within(&schedule, start, Duration::from_secs(120));
        assert!((110..=130).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_comes_too_late_is_not_taken() {
        let schedule = Schedule::new(rates(Some(1), None, None));
        let now = Instant::now();
        assert_eq!(schedule.reserve(now, now), Ok(now));
        let late = schedule.reserve(now, now + Duration::from_millis(500)).unwrap_err();
        assert_eq!(late - now, Duration::from_millis(1_050));
        assert_eq!(schedule.estimate(now, 2) - now, Duration::from_millis(3_150));
        assert_eq!(schedule.reserve(now, now + Duration::from_secs(2)), Ok(late), "nothing was taken");
    }

    #[test]
    fn what_can_not_work_is_refused() {
        for (config, field) in [
            (RateConfig::default(), "rate"),
            (RateConfig { burst: Some(4), ..RateConfig::default() }, "rate"),
            (RateConfig { per_second: Some(0), ..RateConfig::default() }, "per_second"),
            (RateConfig { per_minute: Some(10_001), ..RateConfig::default() }, "per_minute"),
            (RateConfig { per_second: Some(1), burst: Some(0), ..RateConfig::default() }, "burst"),
        ] {
            assert_eq!(config.rates().unwrap_err().0, field);
        }
    }
}

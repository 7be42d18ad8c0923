//! The time that expiry is measured with.
//!
//! Wall time, because expiry has to survive a restart. The embedded store takes it as a value, so that a test moves
//! time instead of sleeping. Redis uses its server's own clock, the only one that all hosts share.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A source of wall time: milliseconds since 1970-01-01 UTC.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::from_fn(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis))
    }

    /// A clock that asks `now` for the milliseconds since 1970.
    pub fn from_fn(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// The longest life that anything gets: 100 years. Redis refuses expiry times that overflow, and nobody means more.
const LONGEST_MILLIS: u64 = 100 * 366 * 24 * 3_600 * 1_000;

/// A duration in whole milliseconds, at least 1 (a life of 0 would mean "for ever" to some commands) and at most
/// 100 years.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(LONGEST_MILLIS).clamp(1, LONGEST_MILLIS)
}

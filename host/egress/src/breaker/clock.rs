//! The time that breakers see: the machine's, or a test's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where the time comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's monotonic clock.
    #[default]
    System,
    /// One that stands still until a test moves it.
    Manual(ManualClock),
}

impl Clock {
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
            Self::Manual(clock) => clock.now(),
        }
    }
}

/// A clock that stands still until it is moved. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct ManualClock {
    start: Instant,
    passed_ms: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that stands at some moment.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), passed_ms: Arc::default() }
    }

    /// Let time pass, in whole milliseconds.
    pub fn advance(&self, by: Duration) {
        self.passed_ms.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    fn now(&self) -> Instant {
        let passed = Duration::from_millis(self.passed_ms.load(Ordering::SeqCst));
        self.start.checked_add(passed).unwrap_or(self.start)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

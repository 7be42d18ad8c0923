//! Calls of the last while, counted in ten buckets: no list of calls, no allocation, and what is older than the window
//! falls out a tenth at a time.

use std::time::{Duration, Instant};

const BUCKETS: usize = 10;

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    calls: u32,
    failures: u32,
}

#[derive(Debug)]
pub(super) struct Window {
    bucket_ms: u64,
    start: Instant,
    /// Number of the newest bucket since the start.
    newest: u64,
    buckets: [Count; BUCKETS],
    total: Count,
}

impl Window {
    pub(super) fn new(length: Duration, start: Instant) -> Self {
        let bucket_ms = (millis(length) / BUCKETS as u64).max(1);
        Self { bucket_ms, start, newest: 0, buckets: [Count::default(); BUCKETS], total: Count::default() }
    }

    pub(super) fn clear(&mut self) {
        self.buckets = [Count::default(); BUCKETS];
        self.total = Count::default();
    }

    /// Count a call that ended now.
    pub(super) fn add(&mut self, now: Instant, failed: bool) {
        let passed = millis(now.saturating_duration_since(self.start));
        self.turn_to(passed.checked_div(self.bucket_ms).unwrap_or(passed));
        let failures = u32::from(failed);
        let place = place(self.newest);
        for count in self.buckets.get_mut(place).into_iter().chain([&mut self.total]) {
            count.calls = count.calls.saturating_add(1);
            count.failures = count.failures.saturating_add(failures);
        }
    }

    /// The share of failures as of the last call, if there were enough calls.
    pub(super) fn failed_share(&self, enough: u32) -> Option<f32> {
        let Count { calls, failures } = self.total;
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
        (calls >= enough.max(1)).then(|| failures as f32 / calls as f32)
    }

    fn turn_to(&mut self, bucket: u64) {
        let behind = bucket.saturating_sub(self.newest);
        if behind >= BUCKETS as u64 {
            self.clear();
            self.newest = bucket;
            return;
        }
        for _ in 0..behind {
            self.newest = self.newest.saturating_add(1);
            let place = place(self.newest);
            let old = self.buckets.get_mut(place).map(std::mem::take).unwrap_or_default();
            self.total.calls = self.total.calls.saturating_sub(old.calls);
            self.total.failures = self.total.failures.saturating_sub(old.failures);
        }
    }
}

/// As `as_millis`, in 64 bits.
fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000).saturating_add(duration.subsec_millis().into())
}

fn place(bucket: u64) -> usize {
    usize::try_from(bucket % BUCKETS as u64).unwrap_or_default()
}

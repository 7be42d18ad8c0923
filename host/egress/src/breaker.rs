//! A circuit breaker: what keeps failing is left alone for a while.
//!
//! Two use it: an endpoint of a connection (a business system that is down must not cost each visitor a timeout), and
//! a plugin of a tenant that keeps trapping (quarantine; the engine's business). What counts as a failure is theirs
//! to say; this module only counts.
//!
//! ```text
//!              enough failures, or told to wait
//!   +--------+ ------------------------------> +------+ <-----------------------+
//!   | closed |                                 | open |   the probe failed:     |
//!   +--------+ <---- success ----+             +------+   twice the pause       |
//!                                |  pause is over |                             |
//!                                |                v                             |
//!                                +---------- +---------+ -----------------------+
//!                                            | probing | one call at a time
//!                                            +---------+
//! ```
//!
//! 1. [`Breaker::enter`] gives a [`Pass`] or refuses. While closed that is one atomic load.
//! 2. The caller ends the pass: [`success`](Pass::success), [`failure`](Pass::failure) or
//!    [`told_to_wait`](Pass::told_to_wait). A pass that is dropped was a call that somebody gave up; it counts as
//!    nothing, and a probe's place is free again.
//! 3. A pass remembers in which epoch it was given; each opening and closing begins a new one. So a call that began
//!    before the breaker opened and ends after it neither closes it nor opens it a second time.
//!
//! `enter` and `success` of a closed breaker together take 65 ns, half of it for reading the time, and allocate nothing
//! (measured on the build machine, two busy cores, release).

mod clock;
mod policy;
mod window;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

pub use self::clock::{Clock, ManualClock};
pub use self::policy::BreakerPolicy;
use self::window::Window;

/// Counts how calls end, and refuses them while too many fail.
#[derive(Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    clock: Clock,
    /// Even while closed. Written under the lock only.
    epoch: AtomicU64,
    core: Mutex<Core>,
}

#[derive(Debug)]
struct Core {
    phase: Phase,
    /// Failures since the last success.
    in_a_row: u32,
    window: Window,
    /// Of the present opening, without jitter.
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Instant },
    Probing,
}

/// The breaker is open: the call was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many calls failed; try again in {} ms", .retry_after.as_millis())]
pub struct Open {
    /// When a call may be let through.
    pub retry_after: Duration,
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are let through.
    Closed,
    /// Calls are refused.
    Open {
        /// Until the next call is let through as a probe; zero when that can happen now.
        retry_after: Duration,
        /// Failures since the last success.
        failures: u32,
        /// The pause that this opening began with, without jitter. The next one is twice as long.
        pause: Duration,
    },
    /// One call is under way that decides.
    Probing,
}

/// Leave for one call. Say how it ended; dropped without that, it counts as nothing.
#[derive(Debug)]
#[must_use = "a pass that is dropped counts as a call that was given up"]
pub struct Pass<'a> {
    breaker: &'a Breaker,
    epoch: u64,
    probe: bool,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(policy: BreakerPolicy) -> Self {
        Self::with_clock(policy, Clock::System)
    }

    /// A closed breaker with its own idea of time, for tests.
    #[must_use]
    pub fn with_clock(policy: BreakerPolicy, clock: Clock) -> Self {
        let window = Window::new(policy.window, clock.now());
        let core = Mutex::new(Core { phase: Phase::Closed, in_a_row: 0, window, pause: Duration::ZERO });
        Self { policy, clock, epoch: AtomicU64::new(0), core }
    }

    /// Ask to make a call.
    ///
    /// # Errors
    /// [`Open`], with the time after which asking again may help.
    pub fn enter(&self) -> Result<Pass<'_>, Open> {
        let epoch = self.epoch.load(Ordering::Acquire);
        if is_closed(epoch) {
            return Ok(Pass { breaker: self, epoch, probe: false });
        }
        let mut core = self.core.lock();
        match self.refuses(&core) {
            Some(open) => Err(open),
            None => {
                let probe = core.phase != Phase::Closed;
                if probe {
                    core.phase = Phase::Probing;
                }
                Ok(Pass { breaker: self, epoch: self.epoch.load(Ordering::Relaxed), probe })
            }
        }
    }

    /// Would [`Breaker::enter`] refuse now? For callers who have to queue between asking and calling: takes no place.
    #[must_use]
    pub fn refusal(&self) -> Option<Open> {
        if is_closed(self.epoch.load(Ordering::Acquire)) {
            return None;
        }
        self.refuses(&self.core.lock())
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        let core = self.core.lock();
        match core.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Probing => BreakerState::Probing,
            Phase::Open { until } => BreakerState::Open {
                retry_after: until.saturating_duration_since(self.clock.now()),
                failures: core.in_a_row,
                pause: core.pause,
            },
        }
    }

    /// Close it and forget all failures: somebody has repaired what failed. Calls under way no longer count.
    pub fn reset(&self) {
        let mut core = self.core.lock();
        self.close(&mut core);
    }

    fn refuses(&self, core: &Core) -> Option<Open> {
        match core.phase {
            Phase::Closed => None,
            Phase::Probing => Some(Open { retry_after: self.policy.first_pause }),
            Phase::Open { until } => {
                let retry_after = until.saturating_duration_since(self.clock.now());
                (!retry_after.is_zero()).then_some(Open { retry_after })
            }
        }
    }

    /// The state, if the pass still counts: neither opened nor closed since it was given.
    fn current(&self, pass: &Pass<'_>) -> Option<MutexGuard<'_, Core>> {
        let core = self.core.lock();
        let wanted = if pass.probe { Phase::Probing } else { Phase::Closed };
        (self.epoch.load(Ordering::Relaxed) == pass.epoch && core.phase == wanted).then_some(core)
    }

    /// Open, or stay open for another while. True when it was closed before.
    fn open(&self, core: &mut Core, now: Instant, pause: Duration, wait: Duration) -> bool {
        let was_closed = core.phase == Phase::Closed;
        core.pause = pause;
        core.phase = Phase::Open { until: now.checked_add(wait).unwrap_or(now) };
        self.epoch.fetch_add(if was_closed { 1 } else { 2 }, Ordering::Release);
        was_closed
    }

    fn close(&self, core: &mut Core) {
        let step = if core.phase == Phase::Closed { 2 } else { 1 };
        core.phase = Phase::Closed;
        core.in_a_row = 0;
        core.pause = Duration::ZERO;
        core.window.clear();
        self.epoch.fetch_add(step, Ordering::Release);
    }

    fn failed(&self, pass: &Pass<'_>, told: Option<Duration>) -> bool {
        let now = self.clock.now();
        let Some(mut core) = self.current(pass) else { return false };
        let BreakerPolicy { first_pause, longest_pause, consecutive, .. } = self.policy;
        core.in_a_row = core.in_a_row.saturating_add(1);
        core.window.add(now, true);
        let next = core.pause.saturating_mul(2).clamp(first_pause, longest_pause);
        if let Some(told) = told.filter(|told| !told.is_zero()) {
            // It said when; that needs no jitter, since one probe goes first.
            let wait = told.min(longest_pause);
            return self.open(&mut core, now, next.max(wait), wait);
        }
        let share = core.window.failed_share(self.policy.window_calls);
        let trips = pass.probe || core.in_a_row >= consecutive || share.is_some_and(|s| s >= self.policy.failure_share);
        trips && self.open(&mut core, now, next, policy::with_jitter(next))
    }
}

impl Pass<'_> {
    /// The call went well. True when this closed the breaker.
    #[must_use = "say in the log that it works again"]
    pub fn success(mut self) -> bool {
        let breaker = self.breaker;
        let now = breaker.clock.now();
        let Some(mut core) = breaker.current(&self) else { return false };
        if self.probe {
            breaker.close(&mut core);
            self.probe = false;
            return true;
        }
        core.in_a_row = 0;
        core.window.add(now, false);
        false
    }

    /// The call failed. True when this opened the breaker; false for one more failure, and for a probe's: it was open
    /// before and stays so, for twice the pause.
    #[must_use = "say in the log that calls are refused from now on"]
    pub fn failure(mut self) -> bool {
        let opened = self.breaker.failed(&self, None);
        self.probe = false;
        opened
    }

    /// The other side asked for a pause (`Retry-After`): open at once, for that long or the policy's longest pause.
    /// True when this opened the breaker.
    #[must_use = "say in the log that calls are refused from now on"]
    pub fn told_to_wait(mut self, pause: Duration) -> bool {
        let opened = self.breaker.failed(&self, Some(pause));
        self.probe = false;
        opened
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe
            && let Some(mut core) = self.breaker.current(self)
        {
            core.phase = Phase::Open { until: self.breaker.clock.now() };
        }
    }
}

const fn is_closed(epoch: u64) -> bool {
    epoch & 1 == 0
}

#[cfg(test)]
mod tests;

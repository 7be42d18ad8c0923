//! When a breaker opens, and for how long.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// When a breaker opens, and for how long.
///
/// Two rules, either opens: failures in a row (something is down: found after a few calls, however rare they are),
/// and a share of failures among enough calls of a window (something is half down, so that successes keep coming in
/// between).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerPolicy {
    /// This many failures in a row open it.
    pub consecutive: u32,
    /// How far back calls are counted for the share.
    pub window: Duration,
    /// Fewer calls than this in the window say nothing about a share.
    pub window_calls: u32,
    /// At least this share of the window's calls failed: it opens. Between 0 and 1.
    pub failure_share: f32,
    /// The first pause; each probe that fails doubles it. Up to 20 % of jitter are added, so that hosts that lost the
    /// same system at the same moment do not all come back at the same moment.
    pub first_pause: Duration,
    /// No pause is longer, jitter apart.
    pub longest_pause: Duration,
}

impl BreakerPolicy {
    /// For an endpoint of a business system: five in a row, or half of at least 20 calls in 30 s; 1 s doubling to 60 s.
    ///
    /// Five: with a timeout of 10 s each, visitors who write one after the other wait for less than a minute in all
    /// before the bot says at once that the system is down. 60 s: nobody waits longer than that for a bot that could
    /// answer again.
    pub const ENDPOINT: Self = Self {
        consecutive: 5,
        window: Duration::from_secs(30),
        window_calls: 20,
        failure_share: 0.5,
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(60),
    };

    /// For a plugin of a tenant: ten in a row, or half of at least 40 calls in 60 s; 1 s doubling to 300 s.
    ///
    /// Slower to open than an endpoint's, because one odd message that a visitor repeats must not silence the bot for
    /// all others, and with longer pauses, because a plugin that traps does not get well by itself.
    pub const PLUGIN: Self = Self {
        consecutive: 10,
        window: Duration::from_secs(60),
        window_calls: 40,
        failure_share: 0.5,
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(300),
    };
}

/// The pause and up to a fifth of it. Randomness as the standard library seeds its hash maps: no more is needed here.
pub(super) fn with_jitter(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 1_000;
    let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    pause.saturating_add(Duration::from_millis(millis.saturating_mul(random) / 5_000))
}

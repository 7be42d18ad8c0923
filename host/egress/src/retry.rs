//! Whether a call that failed is tried again, and when.
//!
//! | what happened | tried again |
//! |---|---|
//! | no connection (name, TCP, broken handshake) | any method: nothing was sent |
//! | 429 | any method: the system says that it did not begin |
//! | 502, 503, 504, no answer in time, an answer that broke off | only what is safe to repeat |
//! | anything else, a certificate that is not trusted among it | never: the next answer would be the same |
//!
//! Safe to repeat is a request with GET or HEAD, one of an operation that only reads (the manifest says so), and one with
//! an idempotency key in a header that the system knows; not PUT, by which helpdesks add comments. Streams that an HTTP/2 server refused, and
//! connections from the pool that turn out to be closed, are repeated by the client itself before we hear of them.
//!
//! Tries have an exponential backoff with full jitter between them, or the pause that the system asked for. All happen
//! within the call's deadline; one whose pause does not fit is not waited for. And of a connection's recent requests at
//! most about a fifth may be repetitions ([`RetryBudget`]), so that a system in trouble does not get three times its load.

use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::error::ErrorCode;

/// How a connection's failed calls are repeated.
///
/// ```yaml
/// retry: { attempts: 3 }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryConfig {
    /// Tries in all, 1 to 5; 1 never repeats.
    #[serde(default = "attempts")]
    pub attempts: u32,
    /// Milliseconds for one try while others may follow; none for two thirds of what is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub try_timeout_ms: Option<u32>,
}

/// Two repetitions: what a short disturbance costs. What fails three times is down.
const fn attempts() -> u32 {
    3
}

/// More tries than this are no longer kind.
const MOST_ATTEMPTS: u32 = 5;

impl Default for RetryConfig {
    fn default() -> Self {
        Self { attempts: attempts(), try_timeout_ms: None }
    }
}

impl RetryConfig {
    /// The field that is wrong, and why.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if !(1..=MOST_ATTEMPTS).contains(&self.attempts) {
            return Err(("attempts", format!("is not between 1 and {MOST_ATTEMPTS}")));
        }
        if self.try_timeout_ms == Some(0) {
            return Err(("try_timeout_ms", "is 0; leave it out for two thirds of the call's time".to_owned()));
        }
        Ok(())
    }
}

/// The first pause between tries is at most this long, each further one up to twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A call with less time than this is not divided into tries: a slow but well system needs it.
const DIVIDED_FROM: Duration = Duration::from_secs(3);

/// How one try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Answered(u16),
    Failed(ErrorCode),
}

/// Why it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    NotSent,
    RateLimited,
    Unavailable,
    Timeout,
    Broken,
}

impl Reason {
    /// As the metric's label has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not-sent",
            Self::RateLimited => "rate-limited",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
        }
    }
}

/// Whether a try that ended so may be made again; `safe` says whether the request may be made twice.
pub(crate) const fn reason(ended: Ended, safe: bool) -> Option<Reason> {
    match ended {
        Ended::Failed(ErrorCode::Connect) => Some(Reason::NotSent),
        Ended::Answered(429) => Some(Reason::RateLimited),
        Ended::Answered(502..=504) if safe => Some(Reason::Unavailable),
        Ended::Failed(ErrorCode::Timeout) if safe => Some(Reason::Timeout),
        Ended::Failed(ErrorCode::Protocol) if safe => Some(Reason::Broken),
        Ended::Answered(_) | Ended::Failed(_) => None,
    }
}

/// The pause before the try that follows `tries`: anything up to twice as long each time.
pub(crate) fn backoff(tries: u32) -> Duration {
    let most = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(8));
    most.mul_f64(rand::rng().random::<f64>())
}

/// How long a try may take of what is left.
pub(crate) fn try_time(config: &RetryConfig, left: Duration, may_repeat: bool) -> Duration {
    if !may_repeat {
        return left;
    }
    match config.try_timeout_ms {
        Some(ms) => Duration::from_millis(ms.into()).min(left),
        None if left < DIVIDED_FROM => left,
        None => left * 2 / 3,
    }
}

/// How many repetitions a connection may make.
///
/// A bucket of tokens: each first try puts a fifth of one in, each repetition takes a whole one. A connection that is
/// seldom used gets one every ten seconds besides, or it could never repeat anything.
#[derive(Debug)]
pub(crate) struct RetryBudget(Mutex<Tokens>);

#[derive(Debug)]
struct Tokens {
    held: f64,
    at: Instant,
}

/// Repetitions for each first try.
const SHARE: f64 = 0.2;
/// What a busy connection may save: a disturbance of a few seconds, not of minutes.
const MOST: f64 = 10.0;
/// What a quiet one gets, a second and in all.
const TRICKLE: f64 = 0.1;
const QUIET: f64 = 2.0;

impl RetryBudget {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Tokens { held: QUIET, at: Instant::now() }))
    }

    /// A call begins.
    pub(crate) fn called(&self) {
        let mut tokens = self.0.lock();
        tokens.held = (tokens.held + SHARE).min(MOST);
    }

    /// Take leave for one repetition.
    pub(crate) fn take(&self) -> bool {
        let now = Instant::now();
        let mut tokens = self.0.lock();
        let passed = now.saturating_duration_since(tokens.at).as_secs_f64();
        tokens.at = now;
        if tokens.held < QUIET {
            tokens.held = (tokens.held + passed * TRICKLE).min(QUIET);
        }
        let enough = tokens.held >= 1.0;
        if enough {
            tokens.held -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_begun_is_repeated_and_what_may_have_been_only_where_that_is_safe() {
        use Ended::{Answered, Failed};
        for (ended, unsafe_too, expected) in [
            (Failed(ErrorCode::Connect), true, Some(Reason::NotSent)),
            (Answered(429), true, Some(Reason::RateLimited)),
            (Answered(502), false, Some(Reason::Unavailable)),
            (Answered(503), false, Some(Reason::Unavailable)),
            (Answered(504), false, Some(Reason::Unavailable)),
            (Failed(ErrorCode::Timeout), false, Some(Reason::Timeout)),
            (Failed(ErrorCode::Protocol), false, Some(Reason::Broken)),
            (Answered(200), false, None),
            (Answered(404), false, None),
            (Answered(500), false, None),
            (Answered(501), false, None),
            (Failed(ErrorCode::Tls), false, None),
            (Failed(ErrorCode::TooLarge), false, None),
            (Failed(ErrorCode::Unauthorised), false, None),
            (Failed(ErrorCode::Refused), false, None),
            (Failed(ErrorCode::Limit), false, None),
            (Failed(ErrorCode::Unavailable), false, None),
        ] {
            assert_eq!(reason(ended, true), expected, "{ended:?}");
            assert_eq!(reason(ended, false), expected.filter(|_| unsafe_too), "{ended:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fifth_of_many_calls_may_be_repeated() {
        let budget = RetryBudget::new();
        let repeated = (0..1_000).filter(|_| {
            budget.called();
            budget.take()
        });
        let repeated = repeated.count();
        assert!((195..=205).contains(&repeated), "{repeated}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_connection_may_repeat_too() {
        let budget = RetryBudget::new();
        assert_eq!([budget.take(), budget.take(), budget.take()], [true, true, false]);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!([budget.take(), budget.take()], [true, false]);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!([budget.take(), budget.take(), budget.take()], [true, true, false]);
    }

    #[test]
    fn pauses_grow_and_are_anything_up_to_their_length() {
        for (tries, most) in [(1, 200), (2, 400), (3, 800)] {
            let pauses: Vec<Duration> = (0..500).map(|_| backoff(tries)).collect();
            let (least, longest) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
            assert!(longest.as_millis() <= most && longest.as_millis() * 2 > most, "{tries}: {longest:?}");
            assert!(least.as_millis() * 2 < most, "{tries}: {least:?}");
        }
    }

    #[test]
    fn a_try_that_others_may_follow_leaves_them_time() {
        let (usual, ten) = (RetryConfig::default(), Duration::from_secs(9));
        assert_eq!(try_time(&usual, ten, false), ten);
        assert_eq!(try_time(&usual, ten, true), Duration::from_secs(6));
        assert_eq!(try_time(&usual, Duration::from_secs(2), true), Duration::from_secs(2));
        let told = RetryConfig { try_timeout_ms: Some(500), ..usual };
        assert_eq!(try_time(&told, Duration::from_secs(2), true), Duration::from_millis(500));
    }

    #[test]
    fn what_can_not_work_is_refused() {
        assert_eq!(RetryConfig { attempts: 0, try_timeout_ms: None }.check().unwrap_err().0, "attempts");
        assert_eq!(RetryConfig { attempts: 6, try_timeout_ms: None }.check().unwrap_err().0, "attempts");
        assert_eq!(RetryConfig { attempts: 2, try_timeout_ms: Some(0) }.check().unwrap_err().0, "try_timeout_ms");
        assert!(RetryConfig::default().check().is_ok());
    }
}

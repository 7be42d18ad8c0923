//! When a message that was not taken is sent again.
//!
//! The schedule of the specification: ten tries in 75 hours, and then the webhook is disabled. A receiver may ask for more time
//! (`Retry-After`), and one that says that it has too much to do (429, 502, 503, 504) gets some.

use std::time::Duration;

/// Between two tries.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];
/// A receiver that has too much to do is left alone for at least so long.
const THROTTLE: Duration = Duration::from_secs(30);
/// A receiver that asks for more time than this wants something else.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Part of a pause that chance adds: receivers that went down together do not come back to all webhooks at once.
const JITTER: f64 = 0.1;

/// The pause after so many tries that failed (from 1), the last one with this status; none when there were enough. `chance` is 0 to 1.
pub(super) fn pause(tries: u32, status: Option<u16>, asked: Option<Duration>, chance: f64) -> Option<Duration> {
    let index = usize::try_from(tries.checked_sub(1)?).ok()?;
    let mut pause = *PAUSES.get(index)?;
    if matches!(status, Some(429 | 502 | 503 | 504)) {
        pause = pause.max(THROTTLE);
    }
    if let Some(asked) = asked {
        pause = pause.max(asked.min(LONGEST));
    }
    Some(pause.mul_f64(1.0 + JITTER * chance.clamp(0.0, 1.0)))
}

/// How long a receiver asks to be left alone: seconds, or a date.
pub(super) fn retry_after(text: &str, now_millis: u64) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(text.parse().map_or(LONGEST, Duration::from_secs));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    Some(Duration::from_millis(u64::try_from(date).ok()?.saturating_sub(now_millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_are_those_of_the_specification_with_up_to_a_tenth_more() {
        let seconds = |tries| pause(tries, Some(500), None, 0.0).map(|pause| pause.as_secs());
        let all: Vec<u64> = (1..).map_while(seconds).collect();
        assert_eq!(all, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
        assert_eq!(all.iter().sum::<u64>(), 75 * 3600 + 35 * 60 + 5);
        assert_eq!(seconds(10), None, "ten tries are enough");
        assert_eq!(pause(2, None, None, 1.0), Some(Duration::from_secs(330)));
    }

    #[test]
    fn a_receiver_with_too_much_to_do_gets_the_time_that_it_asks_for_and_no_less() {
        for status in [429, 502, 503, 504] {
            assert_eq!(pause(1, Some(status), None, 0.0), Some(THROTTLE), "{status}");
        }
        let asked = |seconds| pause(1, Some(503), Some(Duration::from_secs(seconds)), 0.0).map(|pause| pause.as_secs());
        assert_eq!(asked(3600), Some(3600));
        assert_eq!(asked(1), Some(30));
        assert_eq!(asked(u64::MAX), Some(86_400));
        assert_eq!(pause(3, Some(400), Some(Duration::from_secs(60)), 0.0), Some(Duration::from_secs(1_800)));
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_with_a_date() {
        let now = 784_111_747_000;
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("99999999999999999999999", now), Some(LONGEST));
        for text in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after(text, now), None, "{text}");
        }
    }
}

//! Dates and moments as business systems write them, as RFC 3339 in UTC.
//!
//! | written | means |
//! |---|---|
//! | `2026-11-22T10:32:00Z`, `...+01:00`, `...+0100` | that moment |
//! | `2026-11-22 10:32:00`, `2026-11-22T10:32:00.000` | UTC: systems that give no offset keep UTC |
//! | `2026-11-22` | its midnight in UTC |
//! | `1795343519000` (only by [`of_millis`]) | milliseconds since 1970 |

use jiff::{Timestamp, civil, tz::TimeZone};

/// RFC 3339 in UTC to the second, or nothing for what is no moment.
pub fn rfc3339(text: &str) -> Option<String> {
    moment(text).map(shown)
}

/// Milliseconds since 1970, or nothing for what is no moment or lies before.
pub fn millis(text: &str) -> Option<u64> {
    u64::try_from(moment(text)?.as_millisecond()).ok()
}

/// RFC 3339 in UTC to the second of milliseconds since 1970.
pub fn of_millis(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    shown(Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX))
}

/// The day in UTC of milliseconds since 1970: `2026-11-22`.
pub fn day(millis: u64) -> String {
    of_millis(millis).chars().take(10).collect()
}

/// A day so many days later (or, below zero, earlier), from `2026-11-22`.
pub fn days_after(day: &str, days: i32) -> Option<String> {
    let date: civil::Date = day.trim().parse().ok()?;
    Some(date.checked_add(jiff::Span::new().try_days(days).ok()?).ok()?.to_string())
}

fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let naive = text.parse::<civil::DateTime>().ok()?;
    Some(naive.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn shown(moment: Timestamp) -> String {
    let whole = Timestamp::from_second(moment.as_millisecond().div_euclid(1_000)).unwrap_or(moment);
    whole.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_moment_gives_the_same_one() {
        for text in [
            "2026-11-22T10:32:00Z",
            "2026-11-22T11:32:00+01:00",
            "2026-11-22T11:32:00+0100",
            "2026-11-22T11:32:00.999+01:00",
            "2026-11-22 10:32:00",
            "2026-11-22T10:32:00.000+0000",
            " 2026-11-22T10:32:00 ",
        ] {
            assert_eq!(rfc3339(text).as_deref(), Some("2026-11-22T10:32:00Z"), "{text}");
        }
        assert_eq!(rfc3339("2026-02-28").as_deref(), Some("2026-02-28T00:00:00Z"));
        assert_eq!(millis("1970-01-01 00:00:01"), Some(1_000));
        assert_eq!(of_millis(1_795_343_519_999), "2026-11-22T10:31:59Z");
        assert_eq!(
            (day(951_782_400_000).as_str(), days_after("2000-02-29", 1)),
            ("2000-02-29", Some("2000-03-01".into()))
        );
        assert_eq!(days_after("2026-01-01", -1).as_deref(), Some("2025-12-31"));
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in ["", "soon", "2026-13-01", "2026-02-30", "false", "10:32", "0000-00-00 00:00:00", "1795343519000"] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
        assert_eq!(millis("1969-12-31"), None);
    }
}

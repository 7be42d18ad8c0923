//! Numbers, amounts and moments as people write them in sheets.
//!
//! | kind | accepted |
//! |---|---|
//! | number | `12.5`; in files delimited by `;` also `12,5` and `1.234,50` (there a comma makes the points grouping) |
//! | moment | `2026-11-22`, `2026-11-22 10:32`, `2026-11-22T10:32:00+01:00`, `22.11.2026`, `22.11.2026 10:32` |
//!
//! Money never becomes a float: it is counted in ten-thousandths, because prices with four decimals exist.
//! A moment without an offset is taken as UTC, a date as its midnight; what the file said is kept otherwise.

/// An amount of money in ten-thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount(i64);

impl Amount {
    pub(crate) fn parse(text: &str, comma: bool) -> Option<Self> {
        let plain = plain_decimal(text, comma)?;
        let negative = plain.starts_with('-');
        let (whole, fraction) =
            plain.trim_start_matches('-').split_once('.').unwrap_or((plain.trim_start_matches('-'), ""));
        if fraction.len() > 4 {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        let fraction: i64 = format!("{fraction:0<4}").parse().ok()?;
        let value = whole.checked_mul(10_000)?.checked_add(fraction)?;
        Some(Amount(if negative { -value } else { value }))
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Amount(self.0.saturating_add(other.0))
    }
}

impl std::fmt::Display for Amount {
    /// At least two decimals, no more than needed beyond: `349.00`, `0.0125`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sign, value) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let fraction = format!("{:04}", value % 10_000);
        let kept = fraction.trim_end_matches('0');
        write!(f, "{sign}{}.{kept:0<2}", value / 10_000)
    }
}

/// A number that is not money.
pub(crate) fn number(text: &str, comma: bool) -> Option<f64> {
    plain_decimal(text, comma)?.parse().ok()
}

/// `-1234.5` of what a person wrote, or nothing.
fn plain_decimal(text: &str, comma: bool) -> Option<String> {
    let text: String = text.chars().filter(|c| !matches!(c, ' ' | '\u{a0}' | '\u{202f}')).collect();
    let plain = match text.split_once(',') {
        Some((whole, fraction)) if comma => {
            let mut groups = whole.trim_start_matches('-').split('.');
            let first = groups.next().is_some_and(|g| (1..=3).contains(&g.len()) || !whole.contains('.'));
            if !first || !groups.all(|g| g.len() == 3) {
                return None;
            }
            format!("{}.{fraction}", whole.replace('.', ""))
        }
        _ => text,
    };
    let digits = plain.strip_prefix('-').unwrap_or(&plain);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |s: &str| !s.is_empty() && s.len() <= 14 && s.bytes().all(|b| b.is_ascii_digit());
    (all_digits(whole) && all_digits(fraction)).then_some(plain)
}

/// A moment: RFC 3339 to show, seconds to sort by.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) epoch: i64,
    pub(crate) text: String,
}

impl Moment {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00"));
        let (year, month, day) = if let Some((d, rest)) = date.split_once('.') {
            let (m, y) = rest.split_once('.')?;
            (digits(y, 4, 4)?, digits(m, 1, 2)?, digits(d, 1, 2)?)
        } else {
            let (y, rest) = date.split_once('-')?;
            let (m, d) = rest.split_once('-')?;
            (digits(y, 4, 4)?, digits(m, 2, 2)?, digits(d, 2, 2)?)
        };
        if !(1..=12).contains(&month) || !(1..=month_days(year, month)).contains(&day) {
            return None;
        }
        let time = time.trim();
        let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
        let (clock, zone) = time.split_at_checked(zone_at)?;
        let mut parts = clock.trim().split(':');
        let hour = digits(parts.next()?, 1, 2)?;
        let minute = digits(parts.next()?, 2, 2)?;
        let second = parts.next().map_or(Some(0), |s| digits(s.split('.').next().unwrap_or(s), 2, 2))?;
        if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (zone, offset) = match zone {
            "" | "Z" | "z" => ("Z".to_owned(), 0),
            other => {
                let (h, m) = other.get(1..)?.split_once(':')?;
                let (h, m) = (digits(h, 2, 2)?, digits(m, 2, 2)?);
                if h > 23 || m > 59 {
                    return None;
                }
                let minutes = h * 60 + m;
                (other.to_owned(), if other.starts_with('-') { -minutes } else { minutes })
            }
        };
        let epoch = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset * 60;
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}");
        Some(Moment { epoch, text })
    }
}

fn digits(text: &str, min: usize, max: usize) -> Option<i64> {
    let fits = (min..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str, comma: bool) -> Option<String> {
        Amount::parse(text, comma).map(|a| a.to_string())
    }

    #[test]
    fn amounts_keep_their_decimals() {
        assert_eq!(amount("349", false).as_deref(), Some("349.00"));
        assert_eq!(amount("12.5", false).as_deref(), Some("12.50"));
        assert_eq!(amount("-0.0125", false).as_deref(), Some("-0.0125"));
        assert_eq!(amount("12,50", false), None);
        assert_eq!(amount("12,50", true).as_deref(), Some("12.50"));
        assert_eq!(amount("1.234,50", true).as_deref(), Some("1234.50"));
        assert_eq!(amount("12345,5", true).as_deref(), Some("12345.50"));
        for bad in ["", "-", "1.2.3,4", "1e5", "12.-5", "99999999999999999999", "0.00001", "EUR 5"] {
            assert_eq!(amount(bad, true), None, "{bad}");
        }
    }

    #[test]
    fn a_point_without_a_comma_is_decimal_in_both_kinds_of_file() {
        assert_eq!(number("1.234", true), Some(1.234));
        assert_eq!(number("7", false), Some(7.0));
    }

    #[test]
    fn moments_are_rfc3339() {
        let text = |s: &str| Moment::parse(s).map(|m| m.text);
        assert_eq!(text("2026-11-22").as_deref(), Some("2026-11-22T00:00:00Z"));
        assert_eq!(text("22.11.2026 9:05").as_deref(), Some("2026-11-22T09:05:00Z"));
        assert_eq!(text("2026-11-22T10:32:01.5+01:00").as_deref(), Some("2026-11-22T10:32:01+01:00"));
        assert_eq!(Moment::parse("2026-11-22T10:31:59Z").map(|m| m.epoch), Some(1_795_343_519));
        assert_eq!(Moment::parse("2026-11-22T11:31:59+01:00").map(|m| m.epoch), Some(1_795_343_519));
        for bad in ["", "2026-02-29", "2026-13-01", "11/22/2026", "2026-11-22T25:00", "2026-11-22T10:00+0100", "ü-ö-ä"]
        {
            assert_eq!(text(bad), None, "{bad}");
        }
    }
}

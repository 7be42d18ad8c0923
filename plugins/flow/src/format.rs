//! Numbers, money and dates as people of a language write them.
//!
//! | | en | de | fr | es | it | nl |
//! |---|---|---|---|---|---|---|
//! | money | €1,349.00 | 1.349,00 € | 1 349,00 € | 1.349,00 € | 1.349,00 € | € 1.349,00 |
//! | date | 22 November 2026 | 22. November 2026 | 22 novembre 2026 | 22 de noviembre de 2026 | 22 novembre 2026 | 22 november 2026 |

use jiff::{Timestamp, tz::TimeZone};
use minijinja::value::{Object, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// A number without needless zeros, with the language's decimal sign. An unknown language has the point.
pub(crate) fn number(value: &Value, lang: &str) -> String {
    let Ok(number) = f64::try_from(value.clone()) else {
        return value.to_string();
    };
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number:.0}");
    }
    // Six digits hide that 0.1 + 0.2 is 0.30000000000000004.
    let text = format!("{number:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if comma(lang) { text.replace('.', ",") } else { text.to_owned() }
}

fn comma(lang: &str) -> bool {
    matches!(lang, "de" | "fr" | "es" | "it" | "nl")
}

/// A `money` record (`amount`, `currency`); nothing for anything else.
pub(crate) fn money(value: &Value, lang: &str) -> String {
    let part = |name| value.get_attr(name).ok().filter(|part| !part.is_undefined() && !part.is_none());
    let Some(amount) = part("amount") else {
        return String::new();
    };
    let amount =
        amount.as_str().map_or_else(|| format!("{:.2}", f64::try_from(amount.clone()).unwrap_or(0.0)), str::to_owned);
    let currency = part("currency").map(|currency| currency.to_string()).unwrap_or_default();
    let (sign, digits) = amount.strip_prefix('-').map_or(("", amount.as_str()), |rest| ("-", rest));
    let (whole, cents) = digits.split_once('.').unwrap_or((digits, ""));
    let cents = if cents.len() == 1 { format!("{cents}0") } else { cents.to_owned() };
    let (group, decimal) = match lang {
        "fr" => ("\u{202f}", ","),
        lang if comma(lang) => (".", ","),
        _ => (",", "."),
    };
    let mut text = grouped(whole, group);
    if !cents.is_empty() {
        text.push_str(decimal);
        text.push_str(&cents);
    }
    let symbol = match currency.as_str() {
        "EUR" => "€",
        "USD" => "$",
        "GBP" => "£",
        "JPY" => "¥",
        other => other,
    };
    let letters = symbol.chars().all(|c| c.is_ascii_alphabetic());
    match lang {
        "nl" => format!("{symbol} {sign}{text}"),
        lang if comma(lang) => format!("{sign}{text} {symbol}"),
        _ if letters => format!("{symbol} {sign}{text}"),
        _ => format!("{sign}{symbol}{text}"),
    }
    .trim()
    .to_owned()
}

fn grouped(whole: &str, separator: &str) -> String {
    let mut text = String::with_capacity(whole.len() + 4);
    let length = whole.chars().count();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (length - at).is_multiple_of(3) {
            text.push_str(separator);
        }
        text.push(digit);
    }
    text
}

const MONTHS: [(&str, [&str; 12]); 6] = [
    (
        "en",
        [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ],
    ),
    (
        "de",
        [
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ],
    ),
    (
        "fr",
        [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ],
    ),
    (
        "es",
        [
            "enero",
            "febrero",
            "marzo",
            "abril",
            "mayo",
            "junio",
            "julio",
            "agosto",
            "septiembre",
            "octubre",
            "noviembre",
            "diciembre",
        ],
    ),
    (
        "it",
        [
            "gennaio",
            "febbraio",
            "marzo",
            "aprile",
            "maggio",
            "giugno",
            "luglio",
            "agosto",
            "settembre",
            "ottobre",
            "novembre",
            "dicembre",
        ],
    ),
    (
        "nl",
        [
            "januari",
            "februari",
            "maart",
            "april",
            "mei",
            "juni",
            "juli",
            "augustus",
            "september",
            "oktober",
            "november",
            "december",
        ],
    ),
];

/// The clock that visitors read.
#[derive(Clone, Debug)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// By its name in the IANA database, which this component brings along.
    pub(crate) fn named(name: &str) -> Option<Zone> {
        TimeZone::get(name).ok().map(Zone)
    }
}

impl Object for Zone {
    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

/// A timestamp as clocks of the zone show it. Midnight in UTC is how systems that keep days write a day: it stays that day.
fn local<'t>(text: &'t str, zone: Option<&Zone>) -> Cow<'t, str> {
    let is_day = text.len() <= 10 || text.ends_with("T00:00:00Z");
    match (zone, text.parse::<Timestamp>()) {
        (Some(Zone(zone)), Ok(at)) if !is_day => at.to_zoned(zone.clone()).datetime().to_string().into(),
        _ => text.into(),
    }
}

/// A moment as it is told: the clock, and the day too when it is another one than `now`'s.
pub(crate) fn moment(at: &str, now: &str, lang: &str, zone: Option<&Zone>) -> String {
    let (at, now) = (local(at, zone), local(now, zone));
    let same_day = at.get(..10) == now.get(..10);
    let clock = clock(&at);
    if same_day { clock } else { format!("{}, {clock}", date(&Value::from(&*at), None, lang, None)) }
}

/// The clock of an RFC 3339 timestamp: what it says, with its zone where that is UTC.
fn clock(at: &str) -> String {
    let clock = at.get(11..16).unwrap_or_default();
    if at.ends_with('Z') { format!("{clock} UTC") } else { clock.to_owned() }
}

/// A timestamp so many seconds later, or `2h` later; nothing for what is none.
pub(crate) fn later(at: &Value, by: &Value) -> Value {
    let at = at.as_str().and_then(confab_plugin_sdk::dates::millis);
    match (at, crate::durations::seconds(by)) {
        (Some(at), Some(by)) => {
            Value::from(confab_plugin_sdk::dates::of_millis(at.saturating_add(by.saturating_mul(1_000))))
        }
        _ => Value::UNDEFINED,
    }
}

/// The day of an RFC 3339 timestamp or date; with style `time` the clock as well, with `short` in figures, with `clock` the clock alone.
pub(crate) fn date(value: &Value, style: Option<&str>, lang: &str, zone: Option<&Zone>) -> String {
    let Some(text) = value.as_str() else {
        return String::new();
    };
    let text = &*local(text, zone);
    if style == Some("clock") {
        return clock(text);
    }
    let mut parts = text.get(..10).unwrap_or(text).split('-').map(|part| part.parse::<usize>());
    let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day))) = (parts.next(), parts.next(), parts.next()) else {
        return text.to_owned();
    };
    let known = MONTHS.iter().find(|(code, _)| *code == lang).or(MONTHS.first());
    let Some(name) = known.and_then(|(_, names)| names.get(month.wrapping_sub(1))) else {
        return text.to_owned();
    };
    let day_text = match (style, lang) {
        (Some("short"), "de") => format!("{day:02}.{month:02}.{year}"),
        (Some("short"), lang) if comma(lang) => format!("{day:02}/{month:02}/{year}"),
        (Some("short"), _) => format!("{year}-{month:02}-{day:02}"),
        (_, "de") => format!("{day}. {name} {year}"),
        (_, "es") => format!("{day} de {name} de {year}"),
        _ => format!("{day} {name} {year}"),
    };
    match (style, text.get(11..16)) {
        (Some("time"), Some(clock)) => format!("{day_text}, {clock}"),
        _ => day_text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(amount: &str) -> Value {
        Value::from_pairs([("amount", amount), ("currency", "EUR")])
    }

    #[test]
    fn money_is_written_as_people_do() {
        assert_eq!(money(&eur("349.00"), "en"), "€349.00");
        assert_eq!(money(&eur("349.00"), "de"), "349,00 €");
        assert_eq!(money(&eur("1234567.5"), "en"), "€1,234,567.50");
        assert_eq!(money(&eur("-1349.00"), "de"), "-1.349,00 €");
        assert_eq!(money(&eur("12"), "nl"), "€ 12");
        assert_eq!(money(&Value::UNDEFINED, "en"), "");
        let chf = Value::from_pairs([("amount", "5.00"), ("currency", "CHF")]);
        assert_eq!(money(&chf, "en"), "CHF 5.00");
    }

    #[test]
    fn numbers_have_no_needless_zeros() {
        assert_eq!(number(&Value::from(7.0), "en"), "7");
        assert_eq!(number(&Value::from(7.5), "de"), "7,5");
        assert_eq!(number(&Value::from(0.1 + 0.2), "en"), "0.3");
    }

    #[test]
    fn dates_have_names_of_months() {
        let at = Value::from("2026-11-22T10:32:00Z");
        assert_eq!(date(&at, None, "en", None), "22 November 2026");
        assert_eq!(date(&at, None, "de", None), "22. November 2026");
        assert_eq!(date(&at, Some("time"), "fr", None), "22 novembre 2026, 10:32");
        assert_eq!(date(&at, Some("short"), "de", None), "22.11.2026");
        assert_eq!(date(&Value::from("soon"), None, "de", None), "soon");
        assert_eq!(date(&at, Some("clock"), "de", None), "10:32 UTC");
        assert_eq!(moment("2026-11-22T10:32:00Z", "2026-11-22T23:00:00Z", "en", None), "10:32 UTC");
        assert_eq!(moment("2026-11-22T10:32:00+01:00", "2026-11-22T23:00:00+01:00", "en", None), "10:32");
        assert_eq!(moment("2026-11-21T10:32:00Z", "2026-11-22T23:00:00Z", "de", None), "21. November 2026, 10:32 UTC");
    }
    #[test]
    fn moments_are_told_by_the_clocks_of_the_zone_and_days_stay_days() {
        let (vienna, york) = (Zone::named("Europe/Vienna"), Zone::named("America/New_York"));
        assert!(Zone::named("Vienna").is_none());
        let on = |text: &str, style, zone: &Option<Zone>| date(&Value::from(text), style, "en", zone.as_ref());
        assert_eq!(on("2026-11-22T23:32:00Z", Some("time"), &vienna), "23 November 2026, 00:32");
        // Summer time.
        assert_eq!(on("2026-07-22T10:32:00Z", Some("clock"), &vienna), "12:32");
        assert_eq!(on("2026-11-22T01:32:00+01:00", Some("short"), &york), "2026-11-21");
        for day in ["2026-11-22", "2026-11-22T00:00:00Z"] {
            assert_eq!(on(day, None, &york), "22 November 2026");
        }
        assert_eq!(on("soon", None, &york), "soon");
        let told = moment("2026-11-22T22:58:00Z", "2026-11-22T23:01:00Z", "en", vienna.as_ref());
        assert_eq!(told, "22 November 2026, 23:58");
    }
}

//! Lengths of time: as definitions write them (`2h`), and as visitors do ("in two hours", "morgen").
//!
//! What visitors write is read in two ways, as all entities are. In any message only what looks ahead counts: "in 2 hours", "tomorrow".
//! "I have been waiting for two weeks" and "guten Morgen" are no lengths of time that anybody asks for. As the answer to a question
//! "30 min" is enough. Tomorrow is this time tomorrow: there is no clock here, and no calendar.

use crate::nlu::text::{Word, fold, words};
use minijinja::value::Value;
use std::borrow::Cow;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;
/// Longer than anybody means, and small enough for any arithmetic: a hundred years.
const LONGEST: f64 = 36_525.0 * DAY;

/// Seconds of `90s`, `30m`, `2h`, `1h30m`, `3d`, `2w`, or of a bare number of seconds.
pub(crate) fn literal(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds);
    }
    let (mut total, mut digits) = (0u64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit)?)?;
        digits.clear();
    }
    (digits.is_empty() && !text.is_empty()).then_some(total)
}

/// Seconds of a value: a number of them, or a text as [`literal`] reads it. Rather later than earlier.
pub(crate) fn seconds(value: &Value) -> Option<u64> {
    if let Some(text) = value.as_str() {
        return literal(text);
    }
    let seconds = f64::try_from(value.clone()).ok().filter(|seconds| (0.0..=LONGEST).contains(seconds))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just now")]
    Some(seconds.ceil() as u64)
}

/// Whether a length of time must look ahead to be one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A whole message.
    Message,
    /// The answer to a question for it.
    Answer,
}

/// Finds lengths of time: first and last byte, and seconds. The words that make it look ahead belong to it.
pub(crate) fn each(text: &str, reading: Reading, found: &mut dyn FnMut(usize, usize, i64)) {
    if reading == Reading::Message && !may_look_ahead(text) {
        return;
    }
    let words: Vec<(Word, String)> = words(text).into_iter().map(|word| (word.clone(), fold(&word.lower))).collect();
    let folded = |at: usize| words.get(at).map_or("", |(_, folded)| folded.as_str());
    let mut at = 0;
    while at < words.len() {
        let ahead = AHEAD.contains(&folded(at));
        let mut from = at + usize::from(ahead);
        while ahead && ABOUT.contains(&folded(from)) {
            from += 1;
        }
        let day = (!ahead || from == at + 1).then(|| one_of_the_next_days(&folded, at)).flatten();
        let length =
            day.or_else(|| (ahead || reading == Reading::Answer).then(|| amounts(text, &words, from)).flatten());
        let Some((next, seconds)) = length else {
            at += 1;
            continue;
        };
        if let (Some((first, _)), Some((last, _)), true) = (words.get(at), words.get(next - 1), seconds <= LONGEST) {
            // No fraction is left of what was checked to be small.
            #[allow(clippy::cast_possible_truncation, reason = "at most a hundred years")]
            found(first.start, last.end, seconds.round() as i64);
        }
        at = next;
    }
}

/// Most messages hold nothing of the kind, and to read their words costs more than to see that.
fn may_look_ahead(text: &str) -> bool {
    let mut ahead = false;
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = if word.is_ascii() { Cow::Borrowed(word) } else { Cow::Owned(fold(&word.to_lowercase())) };
        let one_of = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(&word));
        let number = || {
            let named = NUMBERS.iter().any(|(_, names)| one_of(names)) || one_of(&TYPED);
            named || word.starts_with(|c: char| c.is_ascii_digit()) || one_of(&ONE) || one_of(&HALF) || one_of(&ABOUT)
        };
        if one_of(&TOMORROW) || one_of(&LATER_DAYS) || ahead && (number() || whole(&word.to_lowercase()).is_some()) {
            return true;
        }
        ahead = one_of(&AHEAD);
    }
    false
}

/// "tomorrow" or "day after tomorrow" from this word on: the word behind it, and seconds.
fn one_of_the_next_days<'w>(folded: &impl Fn(usize) -> &'w str, at: usize) -> Option<(usize, f64)> {
    let before = at.checked_sub(1).map_or("", folded);
    match folded(at) {
        word if LATER_DAYS.contains(&word) => Some((at + 1, 2.0 * DAY)),
        "day" if folded(at + 1) == "after" && folded(at + 2) == "tomorrow" => Some((at + 3, 2.0 * DAY)),
        word if TOMORROW.contains(&word) && !GREETINGS.contains(&before) => Some((at + 1, DAY)),
        _ => None,
    }
}

/// "2 hours and 30 minutes" from this word on: the word behind it, and seconds.
fn amounts(text: &str, words: &[(Word, String)], from: usize) -> Option<(usize, f64)> {
    let (mut next, mut total) = amount(text, words, from)?;
    loop {
        let is_and = words.get(next).is_some_and(|(_, folded)| AND.contains(&folded.as_str()));
        let Some((after, more)) = amount(text, words, next + usize::from(is_and)) else {
            return Some((next, total));
        };
        (next, total) = (after, total + more);
    }
}

/// "2 hours", "half an hour", "90min".
fn amount(text: &str, words: &[(Word, String)], from: usize) -> Option<(usize, f64)> {
    let (word, folded) = words.get(from)?;
    let named = |at: usize| words.get(at).map_or("", |(_, folded)| folded.as_str());
    if folded.starts_with(|c: char| c.is_ascii_digit()) {
        let digits = folded.find(|c: char| !c.is_ascii_digit()).unwrap_or(folded.len());
        let (number, glued) = folded.split_at_checked(digits)?;
        if !glued.is_empty() {
            // "90min", "1h30m"
            let seconds = unit(glued).and_then(|unit| Some(number.parse::<f64>().ok()? * unit));
            #[allow(clippy::cast_precision_loss, reason = "nobody means so many seconds")]
            return seconds
                .or_else(|| literal(folded).map(|seconds| seconds as f64))
                .map(|seconds| (from + 1, seconds));
        }
        let fraction = words.get(from + 1).filter(|(next, digits)| {
            matches!(text.get(word.end..next.start), Some("." | ",")) && digits.bytes().all(|b| b.is_ascii_digit())
        });
        let (number, next) = match fraction {
            Some((_, digits)) => (format!("{number}.{digits}"), from + 2),
            None => (number.to_owned(), from + 1),
        };
        return Some((next + 1, number.parse::<f64>().ok()? * unit(named(next))?));
    }
    if let Some(seconds) = whole(folded) {
        return Some((from + 1, seconds));
    }
    let one = ONE.contains(&folded.as_str());
    if one && let Some(seconds) = whole(named(from + 1)) {
        return Some((from + 2, seconds));
    }
    // "half an hour", "einer halben Stunde", "une demi-heure"
    let half = from + usize::from(one);
    if HALF.contains(&named(half)) {
        let unit_at = half + 1 + usize::from(!one && ONE.contains(&named(half + 1)));
        return Some((unit_at + 1, unit(named(unit_at))? / 2.0));
    }
    let number = if one { 1.0 } else { NUMBERS.iter().find(|(_, names)| names.contains(&folded.as_str()))?.0 };
    Some((from + 2, number * unit(named(from + 1))?))
}

fn unit(word: &str) -> Option<f64> {
    UNITS.iter().find(|(_, names)| names.contains(&word)).map(|(seconds, _)| *seconds)
}

fn whole(word: &str) -> Option<f64> {
    match word {
        "viertelstunde" => Some(HOUR / 4.0),
        "dreiviertelstunde" => Some(HOUR * 0.75),
        "mezzora" => Some(HOUR / 2.0),
        _ => None,
    }
}

// All folded: without accents, and without the `e` of `ae`, `oe`, `ue`.

/// What makes a length of time look ahead.
const AHEAD: [&str; 10] = ["in", "after", "nach", "dans", "apres", "en", "fra", "tra", "over", "na"];
/// What may stand behind that.
const ABOUT: [&str; 9] = ["about", "around", "roughly", "ca", "circa", "etwa", "ungefahr", "rund", "environ"];
const AND: [&str; 5] = ["and", "und", "et", "y", "e"];
const TOMORROW: [&str; 4] = ["tomorrow", "morgen", "demain", "domani"];
/// The last one as it is typed where there is no `ü`.
const LATER_DAYS: [&str; 4] = ["ubermorgen", "overmorgen", "dopodomani", "uebermorgen"];
/// Numbers that folding changes, as they are typed.
const TYPED: [&str; 3] = ["fuenf", "zwoelf", "due"];
/// Behind these it is a greeting: "guten Morgen", "see you tomorrow", "a domani".
const GREETINGS: [&str; 7] = ["guten", "schonen", "bis", "you", "tot", "a", "goede"];
const ONE: [&str; 12] = ["a", "an", "one", "ein", "eine", "einer", "einem", "einen", "un", "une", "una", "een"];
const HALF: [&str; 9] = ["half", "halb", "halbe", "halben", "demi", "demie", "media", "mezza", "halve"];

const NUMBERS: [(f64, &[&str]); 12] = [
    (1.5, &["anderthalb", "eineinhalb", "anderhalf"]),
    (2.0, &["two", "zwei", "deux", "dos", "du", "twee"]),
    (3.0, &["three", "drei", "trois", "tres", "tre", "drie"]),
    (4.0, &["four", "vier", "quatre", "cuatro", "quattro"]),
    (5.0, &["five", "funf", "cinq", "cinco", "cinque", "vijf"]),
    (6.0, &["six", "sechs", "seis", "sei", "zes"]),
    (7.0, &["seven", "sieben", "sept", "siete", "sette", "zeven"]),
    (8.0, &["eight", "acht", "huit", "ocho", "otto"]),
    (9.0, &["nine", "neun", "neuf", "nueve", "nove", "negen"]),
    (10.0, &["ten", "zehn", "dix", "diez", "dieci", "tien"]),
    (11.0, &["eleven", "elf", "onze", "once", "undici"]),
    (12.0, &["twelve", "zwolf", "douze", "doce", "dodici", "twaalf"]),
];

const UNITS: [(f64, &[&str]); 6] = [
    (
        1.0,
        &[
            "second", "seconds", "sec", "secs", "sekunde", "sekunden", "sek", "seconde", "secondes", "segundo",
            "segundos", "secondo", "secondi", "seconden",
        ],
    ),
    (MINUTE, &["minute", "minutes", "min", "mins", "minuten", "minuto", "minutos", "minuti", "minuut"]),
    (
        HOUR,
        &[
            "hour", "hours", "hr", "hrs", "h", "stunde", "stunden", "std", "heure", "heures", "hora", "horas", "ora",
            "ore", "uur", "uren",
        ],
    ),
    (
        DAY,
        &[
            "day", "days", "d", "tag", "tage", "tagen", "jour", "jours", "dia", "dias", "giorno", "giorni", "dag",
            "dagen",
        ],
    ),
    (
        7.0 * DAY,
        &[
            "week",
            "weeks",
            "woche",
            "wochen",
            "semaine",
            "semaines",
            "semana",
            "semanas",
            "settimana",
            "settimane",
            "weken",
        ],
    ),
    (
        30.0 * DAY,
        &["month", "months", "monat", "monate", "monaten", "mois", "mes", "meses", "mese", "mesi", "maand", "maanden"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_write_short_forms() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("30m", Some(1_800)),
            ("1h30m", Some(5_400)),
            ("3d", Some(259_200)),
            ("2w", Some(1_209_600)),
            ("45", Some(45)),
            (" 2h ", Some(7_200)),
            ("", None),
            ("h", None),
            ("2 h", None),
            ("2h3", None),
            ("soon", None),
            ("-2h", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(literal(text), seconds, "{text}");
        }
    }

    fn all(text: &str, reading: Reading) -> Vec<(String, i64)> {
        let mut found = Vec::new();
        each(text, reading, &mut |start, end, seconds| found.push((text.get(start..end).unwrap().to_owned(), seconds)));
        found
    }

    #[test]
    fn messages_hold_what_looks_ahead() {
        let hour = 3_600;
        for (text, stretch, seconds) in [
            ("remind me in 2 hours please", "in 2 hours", 2 * hour),
            ("erinnere mich in zwei Stunden", "in zwei Stunden", 2 * hour),
            ("in einer stunde wieder", "in einer stunde", hour),
            ("in 30min", "in 30min", hour / 2),
            ("In about an hour?", "In about an hour", hour),
            ("in half an hour", "in half an hour", hour / 2),
            ("in einer halben Stunde", "in einer halben Stunde", hour / 2),
            ("in einer Viertelstunde", "in einer Viertelstunde", hour / 4),
            ("in anderthalb Stunden", "in anderthalb Stunden", hour * 3 / 2),
            ("in 1,5 Stunden", "in 1,5 Stunden", hour * 3 / 2),
            ("in 2 hours and 30 minutes.", "in 2 hours and 30 minutes", hour * 5 / 2),
            ("in fünf Tagen", "in fünf Tagen", 120 * hour),
            ("in 1h30m", "in 1h30m", hour * 3 / 2),
            ("dans une demi-heure", "dans une demi-heure", hour / 2),
            ("dentro de poco, en 2 horas", "en 2 horas", 2 * hour),
            ("fra due ore", "fra due ore", 2 * hour),
            ("remind me tomorrow", "tomorrow", 24 * hour),
            ("Erinnere mich morgen daran", "morgen", 24 * hour),
            ("the day after tomorrow", "day after tomorrow", 48 * hour),
            ("übermorgen", "übermorgen", 48 * hour),
            ("Uebermorgen", "Uebermorgen", 48 * hour),
            ("in fuenf Minuten", "in fuenf Minuten", hour / 12),
            ("IN DUE ORE", "IN DUE ORE", 2 * hour),
            ("in ca. 3 h", "in ca. 3 h", 3 * hour),
            ("après deux jours", "après deux jours", 48 * hour),
        ] {
            assert_eq!(all(text, Reading::Message), [(stretch.to_owned(), seconds)], "{text}");
        }
    }

    #[test]
    fn messages_hold_more_that_is_no_wish() {
        for text in [
            "Guten Morgen!",
            "see you tomorrow",
            "bis morgen",
            "Ich warte seit zwei Wochen auf meine Bestellung",
            "I ordered it two weeks ago",
            "is it in stock",
            "in Berlin",
            "in 5",
            "have a nice day",
            "in 99999999999999999999999999999999 weeks",
            "in",
            "",
        ] {
            assert_eq!(all(text, Reading::Message), [], "{text}");
        }
    }

    #[test]
    fn answers_need_not_look_ahead() {
        for (text, seconds) in
            [("30 min", 1_800), ("2h", 7_200), ("eine Stunde", 3_600), ("an hour or so", 3_600), ("tomorrow", 86_400)]
        {
            assert_eq!(all(text, Reading::Answer).first().map(|(_, s)| *s), Some(seconds), "{text}");
        }
        assert_eq!(all("whenever you like", Reading::Answer), []);
    }
}

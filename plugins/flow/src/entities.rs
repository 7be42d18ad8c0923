//! Entities: things with a form of their own that messages contain (article numbers, e-mail addresses, sizes).
//!
//! They are looked for in two ways. [`Entities::spot`] reads a whole message: each stretch of it belongs to one
//! entity only, and the classifier sees the entity's name in its place, so that one example with `{sku}` stands
//! for all numbers. [`Entities::answer`] reads the answer to a question for one entity: more is allowed there,
//! since it is known what is meant.

use crate::durations;
use crate::nlu::text::{fold, words};
use minijinja::value::Value;
use regex::Regex;
use std::collections::BTreeMap;

/// An entity of the bot.
#[derive(Debug)]
pub(crate) struct Entity {
    /// Its name: `sku`.
    pub(crate) name: String,
    /// How it is recognised.
    pub(crate) kind: Kind,
    /// Whether anything refers to it; others are not looked for.
    pub(crate) used: bool,
    /// Whether it is looked for in any message, or only in the answer to a question for it.
    pub(crate) spot: bool,
}

/// How an entity is recognised.
#[derive(Debug)]
pub(crate) enum Kind {
    /// By regular expressions.
    Pattern(Pattern),
    /// By a list of words.
    List(List),
    /// `somebody@example.com`
    Email,
    /// Seven digits or more, with what people write between them.
    Phone,
    /// A number.
    Number,
    /// A length of time that lies ahead, in seconds.
    Duration,
    /// Somebody's name; only as an answer.
    Person,
    /// Anything; only as an answer.
    Text,
}

/// A regular expression and what becomes of what it finds.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// One or more, tried in order.
    pub(crate) expressions: Vec<Regex>,
    /// `SKU-$1`: the value from the groups.
    pub(crate) value: Option<String>,
    /// What is done to the value.
    pub(crate) normalise: Normalise,
}

/// What is done to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Normalise {
    /// Nothing.
    Keep,
    /// Capitals.
    Upper,
    /// Small letters.
    Lower,
    /// Only the digits.
    Digits,
}

/// Values with the words that mean them.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// The values.
    pub(crate) values: Vec<String>,
    /// Folded words, joined by a space, to the value's index.
    pub(crate) phrases: BTreeMap<String, usize>,
    /// Words of the longest phrase.
    pub(crate) longest: usize,
}

impl List {
    /// Adds a phrase for the value with this index. Gives the value that has it already, if another.
    pub(crate) fn add(&mut self, phrase: &str, value: usize) -> Option<usize> {
        let words: Vec<String> = words(phrase).into_iter().map(|word| fold(&word.lower)).collect();
        if words.is_empty() {
            return None;
        }
        self.longest = self.longest.max(words.len());
        let before = self.phrases.insert(words.join(" "), value);
        before.filter(|before| *before != value)
    }
}

/// Something found in a message.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    /// Which entity.
    pub(crate) entity: usize,
    /// From which byte.
    pub(crate) start: usize,
    /// To which byte.
    pub(crate) end: usize,
    /// What it means.
    pub(crate) value: Value,
}

/// All entities of a bot.
#[derive(Debug, Default)]
pub(crate) struct Entities {
    /// In the order of the definition, then the built-in ones.
    pub(crate) items: Vec<Entity>,
}

/// Longer texts are no names.
const LONGEST_NAME: usize = 80;
/// Longer answers are cut: they go into tickets and state.
const LONGEST_TEXT: usize = 4_000;

impl Entities {
    /// The index of a name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.items.iter().position(|entity| entity.name == name)
    }

    /// Everything that a message contains; each stretch once, earlier entities first. In the order of the message.
    pub(crate) fn spot(&self, text: &str) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        for (at, entity) in self.items.iter().enumerate().filter(|(_, entity)| entity.used && entity.spot) {
            entity.kind.each(text, &mut |start, end, value| {
                if hits.iter().all(|hit| end <= hit.start || hit.end <= start) {
                    hits.push(Hit { entity: at, start, end, value });
                }
            });
        }
        hits.sort_by_key(|hit| hit.start);
        hits
    }

    /// The answer to a question for this entity.
    pub(crate) fn answer(&self, entity: usize, text: &str) -> Option<Value> {
        let kind = &self.items.get(entity)?.kind;
        match kind {
            Kind::Text => {
                let text = text.trim();
                let cut: String = text.chars().take(LONGEST_TEXT).collect();
                Some(cut).filter(|text| !text.is_empty()).map(Value::from)
            }
            Kind::Person => person(text).map(Value::from),
            Kind::Duration => {
                let mut first = None;
                durations::each(text, durations::Reading::Answer, &mut |_, _, seconds| {
                    first.get_or_insert(seconds);
                });
                first.map(Value::from)
            }
            _ => {
                let mut first = None;
                kind.each(text, &mut |_, _, value| {
                    first.get_or_insert(value);
                });
                first
            }
        }
    }

    /// Whether nearly any text is an answer.
    pub(crate) fn is_free(&self, entity: usize) -> bool {
        self.items.get(entity).is_some_and(|entity| matches!(entity.kind, Kind::Text | Kind::Person))
    }
}

impl Kind {
    fn each(&self, text: &str, found: &mut dyn FnMut(usize, usize, Value)) {
        match self {
            Kind::Pattern(pattern) => pattern.each(text, found),
            Kind::List(list) => list.each(text, found),
            Kind::Email => emails(text, found),
            Kind::Phone => phones(text, found),
            Kind::Number => numbers(text, found),
            Kind::Duration => durations::each(text, durations::Reading::Message, &mut |start, end, seconds| {
                found(start, end, Value::from(seconds));
            }),
            Kind::Person | Kind::Text => {}
        }
    }
}

impl Pattern {
    fn each(&self, text: &str, found: &mut dyn FnMut(usize, usize, Value)) {
        for expression in &self.expressions {
            // Finding is cheaper than capturing, and most messages contain nothing.
            for place in expression.find_iter(text) {
                if place.is_empty() || !stands_alone(text, place.start(), place.end()) {
                    continue;
                }
                let raw = match &self.value {
                    None => place.as_str().to_owned(),
                    Some(template) => {
                        let Some(groups) = expression.captures_at(text, place.start()) else {
                            continue;
                        };
                        let mut value = String::new();
                        groups.expand(template, &mut value);
                        value
                    }
                };
                found(place.start(), place.end(), Value::from(self.normalise.apply(raw)));
            }
        }
    }
}

impl Normalise {
    fn apply(self, value: String) -> String {
        match self {
            Normalise::Keep => value,
            Normalise::Upper => value.to_uppercase(),
            Normalise::Lower => value.to_lowercase(),
            Normalise::Digits => value.chars().filter(char::is_ascii_digit).collect(),
        }
    }
}

/// Whether no letter or digit continues the stretch: `SKU-10` is not in `SKU-1001`.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let before = text.get(..start).and_then(|text| text.chars().next_back());
    let after = text.get(end..).and_then(|text| text.chars().next());
    let first = text.get(start..end).and_then(|text| text.chars().next());
    let last = text.get(start..end).and_then(|text| text.chars().next_back());
    let joined =
        |a: Option<char>, b: Option<char>| a.is_some_and(char::is_alphanumeric) && b.is_some_and(char::is_alphanumeric);
    !joined(before, first) && !joined(last, after)
}

impl List {
    fn each(&self, text: &str, found: &mut dyn FnMut(usize, usize, Value)) {
        let words = words(text);
        let folded: Vec<String> = words.iter().map(|word| fold(&word.lower)).collect();
        let mut at = 0;
        while at < words.len() {
            let mut next = at + 1;
            for length in (1..=self.longest).rev() {
                let Some(stretch) = folded.get(at..at + length) else {
                    continue;
                };
                let Some(value) = self.phrases.get(&stretch.join(" ")) else {
                    continue;
                };
                let (Some(first), Some(last)) = (words.get(at), words.get(at + length - 1)) else {
                    continue;
                };
                if let Some(value) = self.values.get(*value) {
                    found(first.start, last.end, Value::from(value.as_str()));
                    next = at + length;
                }
                break;
            }
            at = next;
        }
    }
}

fn emails(text: &str, found: &mut dyn FnMut(usize, usize, Value)) {
    let local = |c: char| c.is_ascii_alphanumeric() || "._%+-".contains(c);
    let domain = |c: char| c.is_alphanumeric() || ".-".contains(c);
    for (at, _) in text.match_indices('@') {
        let (Some(before), Some(after)) = (text.get(..at), text.get(at + 1..)) else {
            continue;
        };
        let start = at - before.len()
            + before.rfind(|c| !local(c)).map_or(0, |place| {
                place + before.get(place..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
            });
        let length = after.find(|c| !domain(c)).unwrap_or(after.len());
        let host = after.get(..length).unwrap_or_default().trim_end_matches(['.', '-']);
        let name = text.get(start..at).unwrap_or_default();
        let top = host.rsplit('.').next().unwrap_or_default();
        if !name.is_empty()
            && host.contains('.')
            && !host.starts_with('.')
            && !host.contains("..")
            && top.chars().count() >= 2
        {
            let address = format!("{name}@{}", host.to_lowercase());
            found(start, at + 1 + host.len(), Value::from(address));
        }
    }
}

/// Stretches of digits with what may stand between them: first and last byte, and the digits.
fn digit_runs(text: &str, between: &[char]) -> Vec<(usize, usize, usize)> {
    let mut runs = Vec::new();
    let mut current: Option<(usize, usize, usize)> = None;
    for (at, c) in text.char_indices() {
        if c.is_ascii_digit() {
            let (start, _, digits) = current.unwrap_or((at, at, 0));
            current = Some((start, at + 1, digits + 1));
        } else if !between.contains(&c) {
            runs.extend(current.take());
        }
    }
    runs.extend(current);
    runs
}

fn phones(text: &str, found: &mut dyn FnMut(usize, usize, Value)) {
    for (start, end, digits) in digit_runs(text, &[' ', '-', '/', '(', ')', '.']) {
        let plus = text.get(..start).is_some_and(|before| before.trim_end_matches('(').ends_with('+'));
        let start = if plus { text.get(..start).and_then(|before| before.rfind('+')).unwrap_or(start) } else { start };
        if (7..=15).contains(&digits) && stands_alone(text, start, end) {
            let kept: String =
                text.get(start..end).unwrap_or_default().chars().filter(|c| !"()./-".contains(*c)).collect();
            let value = kept.split_whitespace().collect::<Vec<_>>().join(" ");
            found(start, end, Value::from(value));
        }
    }
}

fn numbers(text: &str, found: &mut dyn FnMut(usize, usize, Value)) {
    for (start, end, _) in digit_runs(text, &['.', ',']) {
        let raw = text.get(start..end).unwrap_or_default();
        if !stands_alone(text, start, end) {
            continue;
        }
        // "1.234,50" and "1,234.50": the last sign is the decimal one, unless three digits follow the only one.
        let last = raw.rfind(['.', ',']);
        let decimal = last.filter(|at| {
            let rest = raw.len() - at - 1;
            rest != 3
                || raw.matches(['.', ',']).count() > 1 && raw.matches(raw.get(*at..=*at).unwrap_or(".")).count() == 1
        });
        let plain: String = raw
            .char_indices()
            .filter_map(|(at, c)| if c.is_ascii_digit() { Some(c) } else { (Some(at) == decimal).then_some('.') })
            .collect();
        if let Ok(number) = plain.parse::<i64>() {
            found(start, end, Value::from(number));
        } else if let Ok(number) = plain.parse::<f64>() {
            found(start, end, Value::from(number));
        }
    }
}

/// What people put before their name.
const BEFORE_NAMES: [&str; 20] = [
    "my name is",
    "the name is",
    "name is",
    "my name's",
    "i am",
    "i'm",
    "this is",
    "it's",
    "call me",
    "mein name ist",
    "ich heiße",
    "ich heisse",
    "ich bin",
    "name ist",
    "je m'appelle",
    "je suis",
    "me llamo",
    "soy",
    "mi chiamo",
    "ik heet",
];

fn person(text: &str) -> Option<String> {
    let mut name = text.trim();
    for greeting in ["hi,", "hello,", "hallo,"] {
        if name.get(..greeting.len()).is_some_and(|start| start.eq_ignore_ascii_case(greeting)) {
            name = name.get(greeting.len()..).unwrap_or(name).trim_start();
        }
    }
    let lower = name.to_lowercase();
    for phrase in BEFORE_NAMES {
        // Lowercasing may change lengths in some scripts; then the phrase stays, which is no harm.
        if lower.len() == name.len() && lower.strip_prefix(phrase).is_some_and(|rest| rest.starts_with(' ')) {
            name = name.get(phrase.len()..).unwrap_or(name).trim_start();
            break;
        }
    }
    let name = name.trim_end_matches(['.', '!', ',', ';']).trim();
    let digits = name.chars().filter(char::is_ascii_digit).count();
    let fits = name.chars().count() <= LONGEST_NAME
        && name.split_whitespace().count() <= 7
        && name.chars().any(char::is_alphabetic)
        && digits < 3
        && !name.contains(['?', '@', '\n', '{', '<']);
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(kind: &Kind, text: &str) -> Vec<String> {
        let mut values = Vec::new();
        kind.each(text, &mut |start, end, value| {
            assert!(text.get(start..end).is_some());
            values.push(value.to_string());
        });
        values
    }

    #[test]
    fn addresses_are_found_in_sentences() {
        assert_eq!(all(&Kind::Email, "it's erika.m+x@Example.test, thanks."), ["erika.m+x@example.test"]);
        assert_eq!(all(&Kind::Email, "„a@b.de“ und ü@x"), ["a@b.de"]);
        assert!(all(&Kind::Email, "me@home @@ a@b a@.de a@b..de").is_empty());
    }

    #[test]
    fn telephone_numbers_are_found_with_signs() {
        assert_eq!(all(&Kind::Phone, "call +49 (30) 1234-567 please"), ["+49 30 1234567"]);
        assert!(all(&Kind::Phone, "I want 20 of 1001").is_empty());
    }

    #[test]
    fn numbers_are_read_in_both_styles() {
        assert_eq!(
            all(&Kind::Number, "3 or 1.234,50 or 1,234.5 or 2,5 or 1.000."),
            ["3", "1234.5", "1234.5", "2.5", "1000"]
        );
        assert!(all(&Kind::Number, "SKU1001").is_empty());
    }

    #[test]
    fn names_lose_what_stands_before_them() {
        assert_eq!(person("My name is Erika Mustermann."), Some("Erika Mustermann".to_owned()));
        assert_eq!(person("ich heiße Jörg"), Some("Jörg".to_owned()));
        assert_eq!(person("Soyer"), Some("Soyer".to_owned()));
        assert_eq!(person("what does it cost?"), None);
        assert_eq!(person("12345"), None);
    }

    #[test]
    fn patterns_stand_alone_and_are_normalised() {
        let pattern = Kind::Pattern(Pattern {
            expressions: vec![Regex::new(r"(?i)sku[- ]?(\d{4})").unwrap()],
            value: Some("SKU-$1".to_owned()),
            normalise: Normalise::Upper,
        });
        assert_eq!(all(&pattern, "sku 1001, SKU1002 and SKU-10011"), ["SKU-1001", "SKU-1002"]);
    }

    #[test]
    fn lists_take_the_longest_phrase() {
        let mut list = List { values: vec!["red".into(), "dark-red".into()], ..List::default() };
        list.add("rot", 0);
        list.add("Dunkel rot", 1);
        assert_eq!(all(&Kind::List(list), "bitte dunkel-ROT und rot"), ["dark-red", "red"]);
    }
}

//! Readers of the sections beside flows.

use super::Reader;
use super::report::{self, Fields, Place, Report, list, named, suggestion};
use super::yaml::{Node, Yaml};
use crate::bot::{ChoiceText, Intent, Slot, VisitorField};
use crate::dialogue::words::folded;
use crate::entities::{Entity, Kind, List, Normalise, Pattern};
use crate::format::Zone;
use crate::nlu::Example;
use crate::texts::STANDARD;
use regex::{Regex, RegexBuilder};

/// What an expression may take, compiled; its automaton is built lazily and kept in the snapshot.
const LARGEST_EXPRESSION: usize = 256 * 1024;
/// Fewer examples teach little.
const FEW_EXAMPLES: usize = 3;

/// An entity of ours: its name, and how it is made.
type BuiltIn = (&'static str, fn() -> Kind);

const BUILT_IN: [BuiltIn; 6] = [
    ("email", || Kind::Email),
    ("phone", || Kind::Phone),
    ("number", || Kind::Number),
    ("duration", || Kind::Duration),
    ("person", || Kind::Person),
    ("text", || Kind::Text),
];

/// `languages: [en, de]`
pub(super) fn languages(node: Option<&Node>, report: &mut Report) -> Vec<String> {
    let mut languages: Vec<String> = Vec::new();
    for item in node.map(list).unwrap_or_default() {
        let Some(code) = report::text(item, "a language", report) else {
            continue;
        };
        let valid = (2..=12).contains(&code.len()) && code.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !valid {
            report.error(item.place, format!("`{code}` is no language code"), "write `en`, `de`, `pt-BR`");
        } else if languages.contains(&code) {
            report.error(item.place, format!("`{code}` is here twice"), "remove one");
        } else {
            languages.push(code);
        }
    }
    if languages.is_empty() {
        languages.push("en".to_owned());
    }
    languages
}

/// `timezone: Europe/Vienna`
pub(super) fn zone(node: &Node, report: &mut Report) -> Option<Zone> {
    let name = report::text(node, "`timezone`", report)?;
    let zone = Zone::named(&name);
    if zone.is_none() {
        let help = "write a name of the IANA database: Europe/Vienna, America/New_York, UTC";
        report.error(node.place, format!("`{name}` is no time zone"), help);
    }
    zone
}

impl Reader<'_> {
    /// `entities:`
    pub(super) fn entities(&mut self, node: Option<&Node>) {
        for (key, node) in named(node, "`entities`", self.report) {
            if BUILT_IN.iter().any(|(name, _)| *name == key.name) {
                self.report.error(
                    key.place,
                    format!("`{}` is an entity of ours", key.name),
                    "give yours another name, or use ours as it is",
                );
                continue;
            }
            let Some(mut fields) = Fields::of(node, "an entity", self.report) else {
                continue;
            };
            let what = format!("entity `{}`", key.name);
            let (regex, values, free) = (fields.take("regex"), fields.take("list"), fields.take("free_text"));
            let normalise = fields.take("normalize").map_or(Normalise::Keep, |node| self.normalise(node));
            let value = fields.take("value").and_then(|node| report::text(node, "`value`", self.report));
            let kind = match (regex, values, free) {
                (Some(regex), None, None) => {
                    Some(Kind::Pattern(Pattern { expressions: self.expressions(regex), value, normalise }))
                }
                (None, Some(values), None) => Some(Kind::List(self.list(values))),
                (None, None, Some(Node { value: Yaml::Bool(true), .. })) => Some(Kind::Text),
                _ => {
                    self.report.error(
                        key.place,
                        format!("{what} needs one of `regex`, `list` and `free_text: true`"),
                        "",
                    );
                    None
                }
            };
            let spot = fields.take("spot").is_none_or(|node| match node.value {
                Yaml::Bool(spot) => spot,
                _ => {
                    self.report.error(node.place, "`spot` is `true` or `false`", "");
                    true
                }
            });
            fields.finish(&what, self.report);
            if let Some(kind) = kind {
                self.bot.entities.items.push(Entity { name: key.name.clone(), kind, used: false, spot });
            }
        }
        for (name, kind) in BUILT_IN {
            self.bot.entities.items.push(Entity { name: name.to_owned(), kind: kind(), used: false, spot: true });
        }
    }

    fn normalise(&mut self, node: &Node) -> Normalise {
        match node.scalar().as_deref() {
            Some("upper") => Normalise::Upper,
            Some("lower") => Normalise::Lower,
            Some("digits") => Normalise::Digits,
            _ => {
                self.report.error(node.place, "`normalize` is `upper`, `lower` or `digits`", "");
                Normalise::Keep
            }
        }
    }

    fn expressions(&mut self, node: &Node) -> Vec<Regex> {
        let mut expressions = Vec::new();
        for item in list(node) {
            let Some(source) = report::text(item, "a regular expression", self.report) else {
                continue;
            };
            let built = RegexBuilder::new(&source)
                .case_insensitive(true)
                .size_limit(LARGEST_EXPRESSION)
                .dfa_size_limit(LARGEST_EXPRESSION)
                .build();
            match built {
                Ok(expression) if expression.is_match("") => {
                    self.report.error(
                        item.place,
                        "this regular expression matches the empty text",
                        "it should need at least one character",
                    );
                }
                Ok(expression) => expressions.push(expression),
                Err(error) => {
                    let why = error.to_string();
                    let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                    self.report.error(
                        item.place,
                        format!("this regular expression is broken: {why}"),
                        "see https://docs.rs/regex/#syntax; put it in single quotes",
                    );
                }
            }
        }
        expressions
    }

    fn list(&mut self, node: &Node) -> List {
        let mut all = List::default();
        for (key, node) in named(Some(node), "`list`", self.report) {
            let value = all.values.len();
            all.values.push(key.name.clone());
            let groups: Vec<&Node> = match &node.value {
                Yaml::Map(by_language) => {
                    for (language, _) in by_language {
                        self.known_language(&language.name, language.place);
                    }
                    by_language.iter().map(|(_, node)| node).collect()
                }
                _ => vec![node],
            };
            let mut phrases = vec![key.name.clone()];
            phrases.extend(
                groups.into_iter().flat_map(list).filter_map(|item| report::text(item, "a synonym", self.report)),
            );
            for phrase in phrases {
                if let Some(other) = all.add(&phrase, value).and_then(|other| all.values.get(other)) {
                    self.report.error(
                        node.place,
                        format!("`{phrase}` means both `{other}` and `{}`", key.name),
                        "keep it in one of them",
                    );
                }
            }
        }
        all
    }

    fn known_language(&mut self, code: &str, place: Place) -> Option<usize> {
        let at = self.bot.languages.iter().position(|language| language == code);
        if at.is_none() {
            let known = self.bot.languages.join(", ");
            let help = suggestion(code, self.bot.languages.iter().map(String::as_str))
                .unwrap_or_else(|| format!("`languages` has: {known}"));
            self.report.error(place, format!("`{code}` is none of the bot's languages"), help);
        }
        at
    }

    /// `intents:`
    pub(super) fn intents(&mut self, node: Option<&Node>, root: Place) {
        let entries = named(node, "`intents`", self.report);
        if entries.is_empty() {
            self.report.error(
                root,
                "a bot needs `intents`",
                "write `intents:` with a name and `examples:` for each thing visitors may want",
            );
        }
        for (key, node) in entries {
            let class = self.bot.intents.len();
            let what = format!("intent `{}`", key.name);
            self.bot.intents.push(Intent { name: key.name.clone(), flow: None, title: None });
            let Some(mut fields) = Fields::of(node, &what, self.report) else {
                continue;
            };
            let before = self.examples.len();
            match fields.take("examples") {
                Some(examples) => self.examples_of(examples, Some(class)),
                None => self.report.error(
                    key.place,
                    format!("{what} has no `examples`"),
                    "write five or more messages that visitors may send",
                ),
            }
            let own = self.examples.len() - before;
            if (1..FEW_EXAMPLES).contains(&own) {
                self.report.warning(
                    key.place,
                    format!("{what} has only {own} examples"),
                    "five to ten in each language make a bot that understands",
                );
            }
            if let Some(negative) = fields.take("negative") {
                self.examples_of(negative, None);
            }
            if let Some(title) = fields.take("title") {
                let text = self.text(title);
                // The title is sent when somebody chooses it, so it must be understood.
                self.examples.extend(text.fixed().map(|(language, text)| Example {
                    class: Some(class),
                    language,
                    text: text.to_owned(),
                }));
                if let Some(intent) = self.bot.intents.get_mut(class) {
                    intent.title = Some(text);
                }
            }
            fields.finish(&what, self.report);
        }
    }

    fn examples_of(&mut self, node: &Node, class: Option<usize>) {
        let groups: Vec<(usize, &Node)> = match &node.value {
            Yaml::Map(entries) => entries
                .iter()
                .filter_map(|(key, node)| self.known_language(&key.name, key.place).map(|language| (language, node)))
                .collect(),
            _ => vec![(0, node)],
        };
        for (language, node) in groups {
            for item in list(node) {
                let Some(text) = report::text(item, "an example", self.report) else {
                    continue;
                };
                self.placeholders(&text, item.place);
                let same = self.examples.iter().find(|other| other.text == text && other.class != class);
                if let Some(other) = same.and_then(|other| other.class).and_then(|class| self.bot.intents.get(class)) {
                    let message = format!("this is also an example of `{}`", other.name);
                    self.report.warning(item.place, message, "an example that means two things teaches neither");
                }
                self.examples.push(Example { class, language, text });
            }
        }
    }

    fn placeholders(&mut self, text: &str, place: Place) {
        for piece in text.split('{').skip(1) {
            let Some((name, _)) = piece.split_once('}') else {
                self.report.error(place, "a `{` is not closed in this example", "write `{sku}` for an entity");
                continue;
            };
            self.entity(name.trim(), place);
        }
    }

    /// The entity with this name, which is used from now on.
    fn entity(&mut self, name: &str, place: Place) -> Option<usize> {
        let found = self.bot.entities.find(name);
        match found.and_then(|at| self.bot.entities.items.get_mut(at)) {
            Some(entity) => entity.used = true,
            None => {
                let known: Vec<&str> = self.bot.entities.items.iter().map(|entity| entity.name.as_str()).collect();
                let help = suggestion(name, known.iter().copied())
                    .unwrap_or_else(|| format!("there are: {}", known.join(", ")));
                self.report.error(place, format!("there is no entity `{name}`"), help);
            }
        }
        found
    }

    /// `slots:`. Gives what is to be done when tries are used up, by slot: it may refer to any slot and flow.
    pub(super) fn slots<'n>(&mut self, node: Option<&'n Node>) -> Vec<(usize, &'n Node)> {
        let mut branches = Vec::new();
        for (key, node) in named(node, "`slots`", self.report) {
            let what = format!("slot `{}`", key.name);
            let Some(mut fields) = Fields::of(node, &what, self.report) else {
                continue;
            };
            let entities = match fields.take("entity") {
                Some(node) => list(node)
                    .into_iter()
                    .filter_map(|item| report::text(item, "`entity`", self.report).map(|name| (name, item.place)))
                    .collect::<Vec<_>>()
                    .into_iter()
                    .filter_map(|(name, place)| self.entity(&name, place))
                    .collect(),
                None => {
                    self.report.error(
                        key.place,
                        format!("{what} has no `entity`"),
                        "write `entity: text` if anything will do",
                    );
                    Vec::new()
                }
            };
            let ask = match fields.take("ask") {
                Some(node) => self.text(node),
                None => {
                    self.report.error(key.place, format!("{what} has no `ask`"), "write the question that asks for it");
                    Default::default()
                }
            };
            let invalid = fields.take("invalid").map(|node| self.text(node));
            let choices = fields.take("choices").map(|node| self.choices(node)).unwrap_or_default();
            let tries =
                fields.take("tries").and_then(|node| report::number(node, "`tries`", 1, 20, self.report)).unwrap_or(3);
            let keep = fields.take("keep").is_some_and(|node| match node.scalar().as_deref() {
                Some("conversation") => true,
                Some("flow") => false,
                _ => {
                    self.report.error(node.place, "`keep` is `flow` or `conversation`", "");
                    false
                }
            });
            let from = fields.take("from").and_then(|node| self.visitor_field(node));
            branches.extend(fields.take("otherwise").map(|node| (self.bot.slots.len(), node)));
            fields.finish(&what, self.report);
            self.bot.slots.push(Slot {
                name: key.name.clone(),
                entities,
                ask,
                invalid,
                choices,
                tries,
                otherwise: None,
                keep,
                from,
            });
        }
        branches
    }

    /// `otherwise:` of slots.
    pub(super) fn slot_branches(&mut self, branches: &[(usize, &Node)]) {
        for (slot, node) in branches {
            let name = self.bot.slots.get(*slot).map(|slot| slot.name.clone()).unwrap_or_default();
            let flow = self.hidden_flow(&format!("{name} (otherwise)"), node);
            if let Some(slot) = self.bot.slots.get_mut(*slot) {
                slot.otherwise = Some(flow);
            }
        }
    }

    fn visitor_field(&mut self, node: &Node) -> Option<VisitorField> {
        match node.scalar().as_deref() {
            Some("visitor.name") => Some(VisitorField::Name),
            Some("visitor.email") => Some(VisitorField::Email),
            Some("visitor.phone") => Some(VisitorField::Phone),
            Some("visitor.id") => Some(VisitorField::Id),
            _ => {
                self.report.error(
                    node.place,
                    "`from` is `visitor.name`, `visitor.email`, `visitor.phone` or `visitor.id`",
                    "",
                );
                None
            }
        }
    }

    /// Quick replies: texts, or maps with `label` and `value`.
    pub(super) fn choices(&mut self, node: &Node) -> Vec<ChoiceText> {
        let mut choices = Vec::new();
        for item in list(node) {
            let by_language = |node: &Node| self.bot.languages.iter().any(|language| node.get(language).is_some());
            if matches!(item.value, Yaml::Map(_)) && !by_language(item) {
                let Some(mut fields) = Fields::of(item, "a choice", self.report) else {
                    continue;
                };
                let label = fields.take("label");
                let value = fields.take("value").map(|node| self.text(node));
                match label {
                    Some(label) => choices.push(ChoiceText { label: self.text(label), value }),
                    None => self.report.error(item.place, "a choice has no `label`", ""),
                }
                fields.finish("a choice", self.report);
            } else {
                choices.push(ChoiceText { label: self.text(item), value: None });
            }
        }
        choices
    }

    /// `fallback:`
    pub(super) fn fallback(&mut self, node: Option<&Node>) {
        let Some(mut fields) = node.and_then(|node| Fields::of(node, "`fallback`", self.report)) else {
            return;
        };
        self.bot.fallback.first = fields.take("first").map(|node| self.hidden_flow("fallback (first)", node));
        self.bot.fallback.then = fields.take("then").map(|node| self.hidden_flow("fallback (then)", node));
        fields.finish("`fallback`", self.report);
    }

    /// `texts:`
    pub(super) fn texts(&mut self, node: Option<&Node>) {
        for (key, node) in named(node, "`texts`", self.report) {
            // The one text that has a name of its own.
            let own = key.name == "as_of" && self.names.insert("when".to_owned());
            let text = self.text(node);
            if own {
                self.names.remove("when");
            }
            match self.bot.texts.slot(&key.name) {
                Some(place) => *place = text,
                None => {
                    let help = suggestion(&key.name, STANDARD.iter().copied())
                        .unwrap_or_else(|| format!("there are: {}", STANDARD.join(", ")));
                    self.report.error(key.place, format!("there is no standard text `{}`", key.name), help);
                }
            }
        }
    }

    /// `words:`, more ways to say yes, no and stop.
    pub(super) fn words(&mut self, node: Option<&Node>) {
        let Some(mut fields) = node.and_then(|node| Fields::of(node, "`words`", self.report)) else {
            return;
        };
        for (name, node) in [("yes", fields.take("yes")), ("no", fields.take("no")), ("cancel", fields.take("cancel"))]
        {
            let phrases: Vec<String> = node
                .map(list)
                .unwrap_or_default()
                .into_iter()
                .filter_map(|item| report::text(item, "a word", self.report))
                .map(|text| folded(&text))
                .collect();
            match name {
                "yes" => self.bot.words.yes.extend(phrases),
                "no" => self.bot.words.no.extend(phrases),
                _ => self.bot.words.cancel.extend(phrases),
            }
        }
        fields.finish("`words`", self.report);
    }
}

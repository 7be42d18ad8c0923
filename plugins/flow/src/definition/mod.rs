//! From YAML to a bot: parse, check everything, compile, train.
//!
//! Order matters, since later sections refer to earlier ones by index: languages, entities, names of slots, flows and events,
//! intents, slots, flows, events, fallback, texts. Each reader reports what it finds and goes on with what it has, so that an
//! author sees all mistakes of a file at once. Only without any error is the classifier trained.

mod blocks;
mod capabilities;
mod effects;
mod events;
pub(crate) mod report;
mod sections;
mod steps;
pub(crate) mod yaml;

use crate::bot::{Bot, Words};
use crate::nlu::{Example, Nlu};
use crate::template::{BUILT_IN, Template};
use crate::texts::{Standard, Text};
use confab_plugin_sdk::types::Diagnostic;
use report::{Fields, Place, Report, list, suggestion};
use std::collections::{BTreeMap, BTreeSet};
use yaml::{Node, Yaml};

/// Examples that training takes in a few seconds inside the sandbox; more is a corpus, not a bot.
const MOST_EXAMPLES: usize = 5_000;

/// Compiles a definition. No bot when there are errors; warnings may come with one.
pub(crate) fn compile(source: &str) -> (Option<Bot>, Vec<Diagnostic>) {
    let mut report = Report::default();
    let bot = yaml::read(source, &mut report).and_then(|root| read(&root, &mut report));
    let bot = if report.has_errors() { None } else { bot };
    let bot = bot.map(|(mut bot, examples)| {
        bot.nlu = Nlu::train(&examples, bot.intents.len(), &bot.languages, &bot.entities);
        bot
    });
    (bot, report.into_items())
}

fn read(root: &Node, report: &mut Report) -> Option<(Bot, Vec<Example>)> {
    let mut top = Fields::of(root, "a bot's definition", report)?;
    let name = top.take("name").and_then(|node| report::text(node, "`name`", report)).unwrap_or_default();
    for ignored in ["description", "version"] {
        top.take(ignored);
    }
    let languages = sections::languages(top.take("languages"), report);
    let zone = top.take("timezone").and_then(|node| sections::zone(node, report));
    let mut reader = Reader {
        bot: Bot {
            name,
            zone,
            texts: Standard::new(&languages),
            words: Words::new(&languages),
            languages,
            ..Bot::default()
        },
        report,
        names: BTreeSet::new(),
        bodies: BTreeMap::new(),
        started: BTreeSet::new(),
        told: events::Told::default(),
        examples: Vec::new(),
    };
    reader.entities(top.take("entities"));
    let (slots, flows) = (top.take("slots"), top.take("flows"));
    let (intents, fallback, events) = (top.take("intents"), top.take("fallback"), top.take("events"));
    reader.declare(slots, flows, [slots, flows, fallback, events]);
    reader.declare_events(events, flows, [slots, flows, fallback, events]);
    reader.intents(intents, root.place);
    let otherwise = reader.slots(slots);
    reader.flows(flows, root.place);
    reader.events(events);
    reader.slot_branches(&otherwise);
    reader.fallback(fallback);
    reader.texts(top.take("texts"));
    reader.words(top.take("words"));
    reader.unused(flows);
    if reader.examples.len() > MOST_EXAMPLES {
        reader.report.error(
            root.place,
            format!("there are {} examples; {MOST_EXAMPLES} are the most", reader.examples.len()),
            "",
        );
    }
    let (bot, examples) = (reader.bot, reader.examples);
    top.finish("a bot's definition", report);
    Some((bot, examples))
}

/// What the readers of the sections share.
pub(crate) struct Reader<'a> {
    pub(crate) bot: Bot,
    pub(crate) report: &'a mut Report,
    /// Names that templates may use.
    pub(crate) names: BTreeSet<String>,
    /// Steps of the flows, by name.
    pub(crate) bodies: BTreeMap<String, &'a Node>,
    /// Flows that something starts.
    pub(crate) started: BTreeSet<String>,
    /// Events and reminders.
    pub(crate) told: events::Told,
    pub(crate) examples: Vec<Example>,
}

impl<'a> Reader<'a> {
    /// Collects names, so that everything can refer to everything.
    fn declare(&mut self, slots: Option<&'a Node>, flows: Option<&'a Node>, all: [Option<&'a Node>; 4]) {
        for (key, _) in report::named(slots, "`slots`", self.report) {
            self.declare_name(&key.name, key.place);
        }
        for (key, node) in report::named(flows, "`flows`", self.report) {
            self.bodies.insert(key.name.clone(), node.get("steps").unwrap_or(node));
        }
        let mut found: Vec<(String, Place)> = Vec::new();
        for node in all.into_iter().flatten() {
            node.walk(&mut |node| {
                if let Some(save) = node.get("save")
                    && let Some(name) = save.scalar()
                {
                    found.push((name, save.place));
                }
                if let Some(Yaml::Map(entries)) = node.get("set").map(|node| &node.value) {
                    found.extend(entries.iter().map(|(key, _)| (key.name.clone(), key.place)));
                }
            });
        }
        for (name, place) in found {
            self.declare_name(&name, place);
        }
    }

    fn declare_name(&mut self, name: &str, place: Place) {
        let starts = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
        if !starts || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            self.report.error(
                place,
                format!("`{name}` can't be used in templates"),
                "names have small letters, digits and `_`: `order_number`",
            );
        } else if BUILT_IN.contains(&name) {
            self.report.error(
                place,
                format!("`{name}` is a name of ours"),
                format!("these are taken: {}", BUILT_IN.join(", ")),
            );
        }
        self.names.insert(name.to_owned());
    }

    /// A text: one for all languages, a list of variants, or a map by language.
    pub(crate) fn text(&mut self, node: &Node) -> Text {
        let Yaml::Map(entries) = &node.value else {
            let variants =
                |reader: &mut Self| list(node).into_iter().filter_map(|item| reader.variant(item)).collect::<Vec<_>>();
            // The same in each language: compiled for each, since a template can't be copied.
            let all = (0..self.bot.languages.len()).map(|_| variants(self)).collect();
            return Text::new(all);
        };
        let mut by_language: Vec<Vec<Template>> = self.bot.languages.iter().map(|_| Vec::new()).collect();
        for (key, value) in entries {
            match self.bot.languages.iter().position(|language| *language == key.name) {
                Some(at) => {
                    let variants: Vec<Template> =
                        list(value).into_iter().filter_map(|item| self.variant(item)).collect();
                    if let Some(place) = by_language.get_mut(at) {
                        *place = variants;
                    }
                }
                None => {
                    let known = self.bot.languages.join(", ");
                    let help = suggestion(&key.name, self.bot.languages.iter().map(String::as_str));
                    self.report.error(
                        key.place,
                        format!("`{}` is none of the bot's languages", key.name),
                        help.unwrap_or_else(|| format!("`languages` has: {known}")),
                    );
                }
            }
        }
        let missing: Vec<&str> = self
            .bot
            .languages
            .iter()
            .filter(|language| entries.iter().all(|(key, _)| key.name != **language))
            .map(String::as_str)
            .collect();
        if !missing.is_empty() && missing.len() < self.bot.languages.len() {
            self.report.warning(
                node.place,
                format!("this text is missing in: {}", missing.join(", ")),
                "visitors will read it in the first language it has",
            );
        }
        Text::new(by_language)
    }

    fn variant(&mut self, node: &Node) -> Option<Template> {
        let source = report::text(node, "a text", self.report)?;
        Template::compile(&source, node.place, &self.names, self.report)
    }
}

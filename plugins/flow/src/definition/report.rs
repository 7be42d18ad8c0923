//! What is wrong in a definition, collected with places; and readers that collect.

use super::yaml::{Key, Node, Yaml};
use confab_plugin_sdk::types::Diagnostic;
use std::collections::BTreeSet;

/// Where something stands. Line 0 means that it has no place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// All that was found.
#[derive(Default)]
pub(crate) struct Report {
    items: Vec<Diagnostic>,
}

/// More than a screenful helps nobody.
const MOST: usize = 100;

impl Report {
    /// The definition can't be published like this.
    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.add("error", place, message.into(), help.into());
    }

    /// It can, but it probably isn't what was meant.
    pub(crate) fn warning(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.add("warning", place, message.into(), help.into());
    }

    fn add(&mut self, severity: &str, place: Place, message: String, help: String) {
        let known = place.line > 0;
        let item = Diagnostic {
            severity: severity.to_owned(),
            message,
            help: Some(help).filter(|help| !help.is_empty()),
            file: None,
            line: known.then_some(place.line),
            column: known.then_some(place.column),
        };
        if self.items.len() < MOST && !self.items.contains(&item) {
            self.items.push(item);
        }
    }

    /// Whether anything forbids to publish.
    pub(crate) fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.severity == "error")
    }

    /// In the order of the file.
    pub(crate) fn into_items(mut self) -> Vec<Diagnostic> {
        self.items.sort_by_key(|item| (item.line.unwrap_or(0), item.column.unwrap_or(0)));
        self.items
    }
}

/// A map whose keys are all accounted for: asked for by a reader, or reported as unknown.
pub(crate) struct Fields<'a> {
    pub(crate) place: Place,
    entries: &'a [(Key, Node)],
    asked: BTreeSet<&'static str>,
}

impl<'a> Fields<'a> {
    /// The node as a map; otherwise it is reported, `what` saying what it should be.
    pub(crate) fn of(node: &'a Node, what: &str, report: &mut Report) -> Option<Fields<'a>> {
        match &node.value {
            Yaml::Map(entries) => Some(Fields { place: node.place, entries, asked: BTreeSet::new() }),
            _ => {
                report.error(
                    node.place,
                    format!("{what} should be a map, this is {}", node.kind()),
                    "write `key: value` lines below it",
                );
                None
            }
        }
    }

    /// The value of a key that may be absent (null counts as absent).
    pub(crate) fn take(&mut self, name: &'static str) -> Option<&'a Node> {
        self.entry(name).map(|(_, node)| node).filter(|node| !matches!(node.value, Yaml::Null))
    }

    /// Key and value, null or not.
    pub(crate) fn entry(&mut self, name: &'static str) -> Option<(&'a Key, &'a Node)> {
        self.asked.insert(name);
        self.entries.iter().find(|(key, _)| key.name == name).map(|(key, node)| (key, node))
    }

    /// Reports keys nobody asked for.
    pub(crate) fn finish(self, what: &str, report: &mut Report) {
        for (key, _) in self.entries {
            if !self.asked.contains(key.name.as_str()) {
                let known: Vec<&str> = self.asked.iter().copied().collect();
                report.error(
                    key.place,
                    format!("{what} has no `{}`", key.name),
                    suggestion(&key.name, known.iter().copied())
                        .unwrap_or_else(|| format!("it may have: {}", known.join(", "))),
                );
            }
        }
    }
}

/// `did you mean ...?`, when one of `known` is near.
pub(crate) fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    known
        .map(|candidate| (strsim::osa_distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// Entries of a map that the author names; nothing when it is absent or no map (which is reported).
pub(crate) fn named<'a>(node: Option<&'a Node>, what: &str, report: &mut Report) -> &'a [(Key, Node)] {
    match node.map(|node| (&node.value, node)) {
        Some((Yaml::Map(entries), _)) => entries,
        Some((Yaml::Null, _)) | None => &[],
        Some((_, node)) => {
            report.error(
                node.place,
                format!("{what} should be a map of names, this is {}", node.kind()),
                "write `name:` lines below it",
            );
            &[]
        }
    }
}

/// The items of a list; a single value counts as a list of one.
pub(crate) fn list(node: &Node) -> Vec<&Node> {
    match &node.value {
        Yaml::List(items) => items.iter().collect(),
        Yaml::Null => Vec::new(),
        _ => vec![node],
    }
}

/// A text; otherwise it is reported.
pub(crate) fn text(node: &Node, what: &str, report: &mut Report) -> Option<String> {
    let scalar = node.scalar();
    if scalar.is_none() {
        report.error(node.place, format!("{what} should be a text, this is {}", node.kind()), "");
    }
    scalar
}

/// A whole number within bounds; otherwise it is reported.
pub(crate) fn number(node: &Node, what: &str, from: i64, to: i64, report: &mut Report) -> Option<u32> {
    match node.value {
        Yaml::Integer(value) if (from..=to).contains(&value) => u32::try_from(value).ok(),
        _ => {
            report.error(node.place, format!("{what} should be a whole number from {from} to {to}"), "");
            None
        }
    }
}

//! `events:`, what is done when something happens elsewhere; and `on_event` of a flow, which is short for an entry that starts it.
//!
//! Names of events are known before any steps are read: a reminder whose event nothing takes would come to nothing, and is refused.

use super::Reader;
use super::report::{self, Place, list, named, suggestion};
use super::yaml::{Node, Yaml};
use crate::bot::Handler;
use std::collections::BTreeSet;

/// Bytes of an event's name, as the host has it.
const LONGEST_NAME: usize = 200;

/// What a definition has of events and reminders.
#[derive(Default)]
pub(crate) struct Told {
    /// Names and patterns that something is done on.
    taken: Vec<String>,
    /// Keys of reminders.
    pub(super) reminders: BTreeSet<String>,
    /// Whether a reminder's key is made by a template.
    pub(super) any_reminder: bool,
}

impl Told {
    /// Whether something is done on this event.
    fn takes(&self, name: &str) -> bool {
        self.taken.iter().any(|taken| match taken.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => taken == name,
        })
    }
}

impl<'a> Reader<'a> {
    /// Collects names of events and keys of reminders.
    pub(super) fn declare_events(
        &mut self,
        events: Option<&'a Node>,
        flows: Option<&'a Node>,
        all: [Option<&'a Node>; 4],
    ) {
        if let Some(Yaml::Map(entries)) = events.map(|node| &node.value) {
            self.told.taken.extend(entries.iter().map(|(key, _)| key.name.clone()));
        }
        if let Some(Yaml::Map(flows)) = flows.map(|node| &node.value) {
            let on = flows.iter().filter_map(|(_, flow)| flow.get("on_event"));
            self.told.taken.extend(on.flat_map(list).filter_map(Node::scalar));
        }
        let told = &mut self.told;
        for node in all.into_iter().flatten() {
            node.walk(&mut |node| {
                if let Some(key) = node.get("remind").and_then(|remind| remind.get("key")).and_then(Node::scalar) {
                    told.any_reminder |= key.contains("{{") || key.contains("{%");
                    told.reminders.insert(key);
                }
            });
        }
    }

    /// `events:`
    pub(super) fn events(&mut self, node: Option<&Node>) {
        for (key, steps) in named(node, "`events`", self.report) {
            if !self.event_pattern(&key.name, key.place) {
                continue;
            }
            if matches!(steps.value, Yaml::Null) {
                let help = "write steps, or `[]` if nothing is to be done";
                self.report.warning(key.place, format!("event `{}` has no steps", key.name), help);
            }
            let flow = self.event_flow(&format!("{} (event)", key.name), steps);
            self.handle(&key.name, Handler { flow, starts: false }, key.place);
        }
        self.bot.events.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    }

    /// `on_event:` of a flow.
    pub(super) fn on_events(&mut self, node: &Node, flow: usize, name: &str) {
        for item in list(node) {
            let Some(event) = report::text(item, "`on_event`", self.report) else {
                continue;
            };
            self.started.insert(name.to_owned());
            if self.event_pattern(&event, item.place) {
                self.handle(&event, Handler { flow, starts: true }, item.place);
            }
        }
    }

    fn handle(&mut self, pattern: &str, handler: Handler, place: Place) {
        let events = &mut self.bot.events;
        let before = match pattern.strip_suffix('*') {
            Some(prefix) => {
                let before = events.prefixes.iter().find(|(other, _)| other == prefix).map(|(_, handler)| *handler);
                events.prefixes.push((prefix.to_owned(), handler));
                before
            }
            None => events.exact.insert(pattern.to_owned(), handler),
        };
        // Twice under `events` is found by the reader of YAML.
        let other = before.filter(|before| before.starts || handler.starts);
        if let Some(other) = other.and_then(|other| self.bot.flows.get(other.flow)) {
            self.report.error(
                place,
                format!("event `{pattern}` starts flow `{}` already", other.name),
                "an event has one entry under `events`, or one flow with `on_event`",
            );
        }
    }

    /// Whether this is the name of an event, or of several: `order.*`.
    fn event_pattern(&mut self, pattern: &str, place: Place) -> bool {
        pattern == "*" || self.event_name(pattern.strip_suffix(".*").unwrap_or(pattern), place)
    }

    /// Whether this is the name of an event.
    pub(super) fn event_name(&mut self, name: &str, place: Place) -> bool {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
        let fits = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain);
        if !fits {
            self.report.error(
                place,
                format!("`{name}` is no name of an event"),
                "it has letters, digits, `_` and `.`, like order.shipped; under `events` it may end in `.*`",
            );
        }
        fits
    }

    /// Reports a reminder that would come to nothing.
    pub(super) fn event_is_taken(&mut self, name: &str, place: Place) {
        if !self.told.takes(name) {
            let help = suggestion(name, self.told.taken.iter().map(String::as_str));
            self.report.error(
                place,
                format!("nothing is done on event `{name}`"),
                help.unwrap_or_else(|| format!("add `{name}:` with steps under `events:`")),
            );
        }
    }
}

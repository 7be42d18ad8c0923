//! Which events a bot wants to hear of, and in which conversations.
//!
//! Of several entries that fit, the closest counts: the name itself, then the longest beginning, then `*`. An entry that does not
//! believe the event's source does not fit.

use super::templates::{Templates, values};
use super::{API, Event, EventDoc};
use crate::config::Finding;
use crate::ids::{ConnectionId, ConversationId};
use crate::registry::{Connection, Slot};
use crate::turn::Inbound;
use std::collections::{BTreeMap, HashMap};

/// All subscriptions of a bot, ready to use.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    docs: Vec<EventDoc>,
    templates: Templates,
}

/// Conversations that are meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// This one, if there is it.
    Conversation(Option<ConversationId>),
    /// The newest one of this visitor.
    Visitor(String),
    /// Those that watch one of the event's subjects.
    Watching,
}

/// What is to be done about an event.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) meant: Meant,
    pub(crate) inbound: Inbound,
}

impl Subscriptions {
    /// Of what the bot's file says. Its templates were checked when it was applied; one that this version can't read
    /// makes each event that needs it a dead letter.
    pub(crate) fn new(docs: &[EventDoc]) -> Subscriptions {
        let mut templates = Templates::default();
        for (at, doc) in docs.iter().enumerate() {
            let said = doc.say.iter().map(|(language, source)| (say(at, language), source));
            let which = [("conversation", &doc.conversation), ("visitor", &doc.visitor)];
            let which = which.into_iter().filter_map(|(name, source)| Some((format!("{at}.{name}"), source.as_ref()?)));
            for (name, source) in said.chain(which) {
                if let Err(problem) = templates.add(&name, source) {
                    tracing::error!(event = doc.pattern, name, problem, "a template of a subscription can't be used");
                }
            }
        }
        Subscriptions { docs: docs.to_vec(), templates }
    }

    /// Whether some entry asks for a visitor's conversation, so that there must be an index of them.
    pub(crate) fn by_visitor(&self) -> bool {
        self.docs.iter().any(|doc| doc.visitor.is_some())
    }

    /// What the bot wants done, if it wants the event; or why that can't be said.
    pub(crate) fn wanted(&self, event: &Event) -> Option<Result<Wanted, String>> {
        let (at, doc) = closest(&self.docs, event)?;
        Some(self.of(at, doc, event))
    }

    fn of(&self, at: usize, doc: &EventDoc, event: &Event) -> Result<Wanted, String> {
        let values = values(event);
        let render = |field: &str, name: &str| {
            let text = self.templates.render(name, &values);
            text.map_err(|problem| format!("events.{}.{field}: {problem}", doc.pattern))
        };
        let meant = if doc.conversation.is_some() {
            let id = render("conversation", &format!("{at}.conversation"))?;
            Meant::Conversation(id.parse().ok())
        } else if doc.visitor.is_some() {
            Meant::Visitor(render("visitor", &format!("{at}.visitor"))?)
        } else {
            Meant::Watching
        };
        let name = event.name.clone();
        let inbound = if doc.say.is_empty() {
            Inbound::Event { name, data: event.data.clone() }
        } else {
            let mut texts = BTreeMap::new();
            for language in doc.say.keys() {
                texts.insert(language.clone(), render(&format!("say.{language}"), &say(at, language))?);
            }
            Inbound::Told { name, texts }
        };
        Ok(Wanted { meant, inbound })
    }
}

fn say(at: usize, language: &str) -> String {
    format!("{at}.say.{language}")
}

/// The entry that counts for an event, with its place.
pub(crate) fn closest<'a>(docs: &'a [EventDoc], event: &Event) -> Option<(usize, &'a EventDoc)> {
    let believed = |doc: &EventDoc| doc.from.is_empty() || doc.from.contains(&event.source);
    let fitting = docs.iter().enumerate().filter(|(_, doc)| believed(doc));
    let fitting = fitting.filter_map(|(at, doc)| Some((closeness(&doc.pattern, &event.name)?, at, doc)));
    fitting.max_by_key(|(closeness, ..)| *closeness).map(|(_, at, doc)| (at, doc))
}

/// How well a pattern fits a name; none: not at all.
fn closeness(pattern: &str, name: &str) -> Option<usize> {
    if pattern == name {
        return Some(usize::MAX);
    }
    if pattern == "*" {
        return Some(0);
    }
    let beginning = pattern.strip_suffix('*').filter(|beginning| beginning.ends_with('.'))?;
    (name.len() > beginning.len() && name.starts_with(beginning)).then_some(beginning.len())
}

/// Sources that a bot believes and that can't send anything.
pub(crate) fn check_sources(
    file: &str,
    docs: &[EventDoc],
    connections: &HashMap<ConnectionId, Slot<Connection>>,
    findings: &mut Vec<Finding>,
) -> bool {
    let before = findings.len();
    for doc in docs {
        for from in doc.from.iter().filter(|from| *from != API) {
            if connections.keys().any(|id| id.as_str() == from) {
                continue;
            }
            let mut known: Vec<&str> = connections.keys().map(ConnectionId::as_str).chain([API]).collect();
            known.sort_unstable();
            let field = format!("events.{}.from.{from}", doc.pattern);
            let message = format!(
                "events.{}.from: there is no connection `{from}`; there are: {}",
                doc.pattern,
                known.join(", ")
            );
            findings.push(Finding::error(file, message).field(field));
        }
    }
    findings.len() == before
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn doc(pattern: &str) -> EventDoc {
        EventDoc { pattern: pattern.into(), ..EventDoc::default() }
    }

    fn event(name: &str, source: &str) -> Event {
        Event { name: name.into(), source: source.into(), data: json!({"c": "v-1", "n": 7}), ..Event::example() }
    }

    #[test]
    fn the_closest_entry_that_believes_the_source_counts() {
        let docs = [
            doc("*"),
            doc("order.*"),
            doc("order.line.*"),
            EventDoc { from: vec!["erp".into()], ..doc("order.shipped") },
        ];
        let found =
            |name: &str, source: &str| closest(&docs, &event(name, source)).map(|(_, doc)| doc.pattern.as_str());
        assert_eq!(found("order.shipped", "erp"), Some("order.shipped"));
        assert_eq!(found("order.shipped", "api"), Some("order.*"));
        assert_eq!(found("order.line.added", "api"), Some("order.line.*"));
        assert_eq!(found("order", "api"), Some("*"));
        assert_eq!(found("order.", "api"), Some("*"));
        assert_eq!(found("orders.x", "api"), Some("*"));
        assert!(closest(&docs[3..], &event("order.shipped", "api")).is_none());
    }

    #[test]
    fn what_is_said_is_made_for_each_language_and_without_it_the_plugin_decides() {
        let say = [("en", "Number {{ data.n }}"), ("de", "Nummer {{ data.n }}")];
        let say = say.map(|(language, text)| (language.to_owned(), text.to_owned()));
        let told = EventDoc { say: say.into(), visitor: Some("{{ data.c }}".into()), ..doc("a") };
        let all = Subscriptions::new(&[told, doc("b")]);
        assert!(all.by_visitor());
        let wanted = all.wanted(&event("a", "api")).unwrap().unwrap();
        assert_eq!(wanted.meant, Meant::Visitor("v-1".into()));
        let Inbound::Told { texts, .. } = wanted.inbound else { panic!("not told") };
        assert_eq!(texts["de"], "Nummer 7");
        let wanted = all.wanted(&event("b", "api")).unwrap().unwrap();
        assert_eq!(wanted.meant, Meant::Watching);
        assert!(matches!(wanted.inbound, Inbound::Event { .. }));
        assert!(all.wanted(&event("c", "api")).is_none());
    }

    #[test]
    fn what_the_event_does_not_have_is_told_with_the_place() {
        let all = Subscriptions::new(&[EventDoc { conversation: Some("{{ data.conversation }}".into()), ..doc("a") }]);
        let why = all.wanted(&event("a", "api")).unwrap().unwrap_err();
        assert_eq!(why, "events.a.conversation: the event has no `data.conversation`");
        // What is no conversation's id is no conversation.
        let all = Subscriptions::new(&[EventDoc { conversation: Some("x{{ data.n }}".into()), ..doc("a") }]);
        assert_eq!(all.wanted(&event("a", "api")).unwrap().unwrap().meant, Meant::Conversation(None));
    }
}

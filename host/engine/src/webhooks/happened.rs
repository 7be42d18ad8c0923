//! What happened in a turn, as messages.
//!
//! | type | when | data, beside `conversation_id`, `bot`, `turn_id`, `visitor_id` and `locale` |
//! |---|---|---|
//! | `conversation.started`, `conversation.ended` | with the first turn; when the plugin says that it is over | |
//! | `message.created` | for what came in, and for what was said | `from`: `visitor`, `bot` or `agent`; `text` or `replies`; `agent` |
//! | `lead.created`, `ticket.created`, `ticket.closed`, `contact.upserted` | a call of the capability wrote | `result` |
//! | `CAPABILITY.FUNCTION` | a function of a connector's own interface wrote | `result` |
//! | the plugin's own word | the plugin emitted it | `data` |
//! | `handoff.requested`, `handoff.claimed`, `handoff.released` | the conversation goes to people, somebody has it, it is the bot's again | `reason`, `summary`, `agent` |
//! | `plugin.failed` | the visitor read the bot's fallback | `plugin`, `version`, `message` |

use super::message::{Message, Told};
use super::{OUT, ready};
use crate::conversation::HandedOver;
use crate::ids::ConversationId;
use crate::registry::{Bot, Registry};
use crate::turn::journal::Running;
use crate::turn::{Inbound, PeopleStep, Said};
use bytes::Bytes;
use confab_sandbox::{Effect, Plugin};
use confab_store::{Once, Push};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest message of a failure, in characters. The whole of it is in the failure records.
const FAILURE_CHARS: usize = 200;

/// A turn that is being committed.
pub(crate) struct Happened<'a> {
    pub(crate) bot: &'a Bot,
    pub(crate) conversation: ConversationId,
    /// The turn's, from 1.
    pub(crate) number: u64,
    pub(crate) running: &'a Running,
    pub(crate) locale: Option<&'a str>,
    pub(crate) said: &'a Said,
    /// Which version decided; none where it failed, or was not asked.
    pub(crate) plugin: Option<&'a Plugin>,
    pub(crate) failure: Option<&'a str>,
    /// Who had the conversation before, and who has it now.
    pub(crate) before: Option<&'a HandedOver>,
    pub(crate) after: Option<&'a HandedOver>,
}

impl Happened<'_> {
    /// What is to be told, for the turn's commit; none if nobody wants to hear it.
    pub(crate) fn push(&self, registry: &Registry) -> Option<Push> {
        let hooks = &registry.tenants.get(&self.bot.tenant)?.webhooks;
        // Most tenants have none: they pay this look.
        if !hooks.values().any(|hook| ready::hears(&hook.doc, &self.bot.id)) {
            return None;
        }
        let mut messages = self.messages();
        messages.retain(|message| hooks.values().any(|hook| ready::wants(&hook.doc, &self.bot.id, &message.kind)));
        if messages.is_empty() {
            return None;
        }
        let told = Told { tenant: self.bot.tenant.clone(), bot: self.bot.id.clone(), messages };
        let body = Bytes::from(serde_json::to_vec(&told).unwrap_or_default());
        Some(Push { lane: OUT.to_owned(), body, due_in: Duration::ZERO, once: Once::No })
    }

    fn messages(&self) -> Vec<Message> {
        let accepted = &self.running.accepted;
        let mut about = Map::new();
        about.insert("conversation_id".to_owned(), json!(self.conversation));
        about.insert("bot".to_owned(), json!(self.bot.id));
        about.insert("turn_id".to_owned(), json!(accepted.turn));
        let named = [("visitor_id", accepted.visitor.id.as_deref()), ("locale", self.locale)];
        for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            about.insert(name.to_owned(), json!(value));
        }
        let mut messages = Vec::new();
        let mut tell = |kind: &str, more: Value| {
            messages.push(Message::of_turn(&accepted.turn, messages.len(), accepted.at, kind, &about, more));
        };
        if self.number == 1 {
            tell("conversation.started", json!({}));
        }
        if let Inbound::Message(text) = &accepted.inbound {
            tell("message.created", json!({"from": "visitor", "text": text}));
        }
        for (kind, result) in self.writes() {
            tell(&kind, json!({"result": result}));
        }
        for effect in &self.said.effects {
            if let Effect::Emit { event, data } = effect {
                tell(event, json!({"data": data}));
            }
        }
        let replies = &self.said.replies;
        match &accepted.inbound {
            _ if replies.is_empty() => {}
            Inbound::People(PeopleStep::Reply { by, .. }) => {
                tell("message.created", json!({"from": "agent", "agent": by, "replies": replies}));
            }
            _ => tell("message.created", json!({"from": "bot", "replies": replies})),
        }
        for (kind, more) in handoff(self.before, self.after, &accepted.inbound) {
            tell(kind, more);
        }
        if let Some(failure) = self.failure {
            let manifest = self.plugin.unwrap_or(&self.bot.plugin).manifest();
            let message: String = failure.lines().next().unwrap_or_default().chars().take(FAILURE_CHARS).collect();
            let (plugin, version) = (&manifest.name, &manifest.version);
            tell("plugin.failed", json!({"plugin": plugin, "version": version, "message": message}));
        }
        if self.said.ended {
            tell("conversation.ended", json!({}));
        }
        messages
    }

    /// What was written elsewhere, each call once.
    fn writes(&self) -> Vec<(String, Value)> {
        let (mut seen, mut writes) = (BTreeSet::new(), Vec::new());
        self.running.each_call(|call| {
            if let Ok(result) = &call.served.answer
                && call.wrote
                && seen.insert(call.number)
            {
                writes.push((type_of(&call.capability, &call.function), result.clone()));
            }
        });
        writes
    }
}

/// `leads`, `create`: `lead.created`.
fn type_of(capability: &str, function: &str) -> String {
    match (capability, function) {
        ("leads", "create") => "lead.created".to_owned(),
        ("tickets", "create") => "ticket.created".to_owned(),
        ("tickets", "close") => "ticket.closed".to_owned(),
        ("contacts", "upsert") => "contact.upserted".to_owned(),
        _ => format!("{capability}.{function}"),
    }
}

/// What became of who answers.
fn handoff(before: Option<&HandedOver>, after: Option<&HandedOver>, inbound: &Inbound) -> Vec<(&'static str, Value)> {
    let by_of = |over: Option<&HandedOver>| over.and_then(|over| over.by.clone());
    let mut told = Vec::new();
    if let (None, Some(after)) = (before, after)
        && after.by.is_none()
    {
        told.push(("handoff.requested", json!({"reason": after.reason, "summary": after.summary})));
    }
    match (by_of(before), by_of(after)) {
        (None, Some(by)) => told.push(("handoff.claimed", json!({"agent": by}))),
        (Some(old), Some(by)) if old != by => told.push(("handoff.claimed", json!({"agent": by}))),
        _ => {}
    }
    if before.is_some() && after.is_none() {
        let by = match inbound {
            Inbound::People(PeopleStep::Release { by }) => Some(by),
            _ => None,
        };
        told.push(("handoff.released", json!({"agent": by})));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(by: Option<&str>) -> HandedOver {
        HandedOver { since: 1, reason: "asked".into(), summary: None, by: by.map(str::to_owned) }
    }

    fn kinds(before: Option<&str>, after: Option<&str>) -> Vec<&'static str> {
        let of = |who: Option<&str>| who.map(|who| over(Some(who).filter(|who| !who.is_empty())));
        let inbound = Inbound::People(PeopleStep::Release { by: "ada".into() });
        let told = handoff(of(before).as_ref(), of(after).as_ref(), &inbound);
        told.into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn every_way_of_a_conversation_to_people_and_back_is_told_once() {
        assert_eq!(kinds(None, None), [""; 0]);
        assert_eq!(kinds(None, Some("")), ["handoff.requested"]);
        assert_eq!(kinds(Some(""), Some("")), [""; 0]);
        assert_eq!(kinds(Some(""), Some("ada")), ["handoff.claimed"]);
        assert_eq!(kinds(None, Some("ada")), ["handoff.claimed"]);
        assert_eq!(kinds(Some("ada"), Some("ada")), [""; 0]);
        assert_eq!(kinds(Some("ada"), None), ["handoff.released"]);
        assert_eq!(kinds(Some(""), None), ["handoff.released"]);
    }

    #[test]
    fn capabilities_of_ours_have_names_of_their_own_and_other_interfaces_theirs() {
        assert_eq!(type_of("tickets", "create"), "ticket.created");
        assert_eq!(type_of("loans", "renew"), "loans.renew");
    }
}

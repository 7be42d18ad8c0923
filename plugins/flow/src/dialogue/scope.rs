//! What templates see: variables of the running flow, kept slots, and facts of the turn.
//!
//! One object for a whole turn. Templates look names up in it when they need them, so that a turn which says one
//! fixed sentence builds nothing at all.

use super::state::Variables;
use crate::bot::VisitorField;
use crate::format::Zone;
use confab_plugin_sdk::dialogue::Visitor;
use minijinja::value::{Object, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module.
#[derive(Debug)]
pub(crate) struct Scope {
    inner: Mutex<Inner>,
}

/// The names and what they stand for.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    /// Of the running flow.
    pub(crate) vars: Variables,
    /// Slots with `keep: conversation`.
    pub(crate) kept: Variables,
    /// The turn's facts.
    pub(crate) facts: Facts,
}

/// What holds for a whole turn.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) bot: String,
    pub(crate) visitor: Visitor,
    pub(crate) now: u64,
    pub(crate) lang: String,
    pub(crate) zone: Option<Zone>,
    pub(crate) message: String,
    /// Words of the message that the bot doesn't know.
    pub(crate) topic: String,
    /// Entities in the message, by name; the first of each.
    pub(crate) mentioned: Vec<(String, Value)>,
    pub(crate) turn: u32,
    /// Name and data of the event.
    pub(crate) event: Value,
    /// The last failed call.
    pub(crate) error: Value,
    /// Where the results of this turn's calls come from, by the names that they are saved under.
    pub(crate) answers: Variables,
    /// Whether a template has looked there.
    pub(crate) answers_seen: bool,
}

impl Scope {
    /// A scope with these contents.
    pub(crate) fn new(inner: Inner) -> Arc<Scope> {
        Arc::new(Scope { inner: Mutex::new(inner) })
    }

    /// The contents. There is one thread; nothing ever waits here.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a slot or variable.
    pub(crate) fn variable(&self, name: &str) -> Option<Value> {
        let inner = self.lock();
        inner.vars.get(name).or_else(|| inner.kept.get(name)).cloned()
    }

    /// What is known of the visitor.
    pub(crate) fn visitor(&self, field: VisitorField) -> Option<String> {
        let inner = self.lock();
        let visitor = &inner.facts.visitor;
        match field {
            VisitorField::Name => visitor.name.clone(),
            VisitorField::Email => visitor.email.clone(),
            VisitorField::Phone => visitor.phone.clone(),
            VisitorField::Id => visitor.id.clone(),
        }
        .filter(|value| !value.trim().is_empty())
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        key.as_str().and_then(|key| self.get_value_by_str(key))
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if let Some(value) = self.variable(key) {
            return Some(value);
        }
        let mut inner = self.lock();
        inner.facts.answers_seen |= key == "answers";
        let facts = &inner.facts;
        Some(match key {
            "answers" => Value::from(facts.answers.clone()),
            "lang" => Value::from(facts.lang.as_str()),
            "timezone" => facts.zone.clone().map_or(Value::UNDEFINED, Value::from_object),
            "message" => Value::from(facts.message.as_str()),
            "topic" => Value::from(facts.topic.as_str()),
            "turn" => Value::from(facts.turn),
            "bot" => Value::from(facts.bot.as_str()),
            "now" => Value::from(confab_plugin_sdk::dates::of_millis(facts.now)),
            "event" => facts.event.clone(),
            "error" => facts.error.clone(),
            "mentioned" => {
                Value::from_pairs(facts.mentioned.iter().rev().map(|(name, value)| (name.as_str(), value.clone())))
            }
            "visitor" => {
                let text = |value: &Option<String>| value.as_deref().map_or(Value::UNDEFINED, Value::from);
                let visitor = &facts.visitor;
                Value::from_pairs([
                    ("id", text(&visitor.id)),
                    ("name", text(&visitor.name)),
                    ("email", text(&visitor.email)),
                    ("phone", text(&visitor.phone)),
                    ("verified", Value::from(visitor.verified)),
                ])
            }
            "slots" => {
                let mut all = inner.kept.clone();
                all.extend(inner.vars.iter().map(|(name, value)| (name.clone(), value.clone())));
                Value::from(all)
            }
            _ => return None,
        })
    }
}

/// A capability's JSON as a value. Its kebab-case names become snake_case, since `-` is minus in templates.
pub(crate) fn from_json(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(()),
        },
        serde_json::Value::String(text) => Value::from(text),
        serde_json::Value::Array(items) => Value::from(items.into_iter().map(from_json).collect::<Vec<_>>()),
        serde_json::Value::Object(entries) => {
            Value::from_pairs(entries.into_iter().map(|(name, value)| (name.replace('-', "_"), from_json(value))))
        }
    }
}

//! What a turn leaves behind: reminders, what the conversation watches, word to the tenant's own systems.
//!
//! The host takes it over when the turn is committed. What it refuses (data that is too large, a time of no length) ends the flow with the
//! standard text `not_done`: a bot must not say "I'll remind you" and then not.

use super::machine::Session;
use crate::bot::{Leave, Time};
use crate::durations;
use crate::template::Expression;
use confab_plugin_sdk::effects::{self, EffectError, Reminder};
use minijinja::value::Value;
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The conversation gets the event after this time.
    Remind { key: String, event: String, after: Duration, data: Option<Value> },
    /// It does not after all.
    Unremind { key: String },
    /// The conversation hears of what happens to this.
    Watch { subject: String, keep: Duration },
    /// It no longer does.
    Unwatch { subject: String },
    /// The tenant's own systems are told.
    Emit { event: String, data: Value },
}

impl Effect {
    /// Leaves it with the host.
    pub(crate) fn leave(self) -> Result<(), EffectError> {
        match self {
            Effect::Remind { key, event, after, data } => {
                let reminder = Reminder::new(key, event, after);
                effects::schedule(match data {
                    Some(data) => reminder.data(&data),
                    None => reminder,
                })
            }
            Effect::Unremind { key } => effects::cancel(&key),
            Effect::Watch { subject, keep } => effects::watch(&subject, keep),
            Effect::Unwatch { subject } => effects::unwatch(&subject),
            Effect::Emit { event, data } => effects::emit(&event, &data),
        }
    }
}

impl Session<'_> {
    /// Leaves something behind; says so, and gives false, when it can't be.
    pub(crate) fn leave(&mut self, leave: &Leave) -> bool {
        let left = self.effect(leave).and_then(|effect| self.capabilities.leave(effect));
        if let Err(error) = &left {
            let verb = match leave {
                Leave::Remind { .. } => "remind",
                Leave::Unremind(_) => "unremind",
                Leave::Watch { .. } => "watch",
                Leave::Unwatch(_) => "unwatch",
                Leave::Emit { .. } => "emit",
            };
            self.notes.push(format!("`{verb}` failed: {}: {}", error.code, error.message));
            self.standard(&self.bot.texts.not_done);
        }
        left.is_ok()
    }

    fn effect(&mut self, leave: &Leave) -> Result<Effect, EffectError> {
        Ok(match leave {
            Leave::Remind { key, event, after, data } => Effect::Remind {
                key: self.name(key),
                event: event.clone(),
                after: self.time("in", after)?,
                data: data.as_ref().map(|data| self.value(data)).filter(|data| !data.is_undefined()),
            },
            Leave::Unremind(key) => Effect::Unremind { key: self.name(key) },
            Leave::Watch { subject, keep } => {
                Effect::Watch { subject: self.name(subject), keep: self.time("for", keep)? }
            }
            Leave::Unwatch(subject) => Effect::Unwatch { subject: self.name(subject) },
            Leave::Emit { event, data } => Effect::Emit { event: event.clone(), data: self.value(data) },
        })
    }

    fn name(&mut self, expression: &Expression) -> String {
        let value = self.value(expression);
        if value.is_undefined() || value.is_none() { String::new() } else { value.to_string() }
    }

    fn time(&mut self, what: &str, time: &Time) -> Result<Duration, EffectError> {
        let seconds = match time {
            Time::Fixed(seconds) => *seconds,
            Time::Given(expression) => {
                let value = self.value(expression);
                durations::seconds(&value).ok_or_else(|| EffectError {
                    code: "invalid-input".to_owned(),
                    message: format!("`{what}` came to `{value}`, which is neither seconds nor like 2h"),
                })?
            }
        };
        Ok(Duration::from_secs(seconds))
    }
}

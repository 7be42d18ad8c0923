//! What a turn leaves behind: the host's side of `confab:plugin/effects`.
//!
//! Here only form and number are checked; what is well formed goes to [`HostServices::effect`](crate::HostServices::effect),
//! which keeps it until the turn is committed. So a service never holds more of one call than the limits below, and never a
//! name that can't be shown or stored. A guest that asks for too much is told; one that does so without end is ended, as
//! each call is counted with the small ones.

use crate::bindings::effects;
use crate::services::CapabilityError;
use crate::state::CallState;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use wasmtime::Result;

/// Reminders of one call. A bot that needs more asks for the next one when one comes.
pub const REMINDERS: u32 = 16;
/// Subjects that one call may begin to watch: a visitor's orders, and some.
pub const WATCHES: u32 = 32;
/// Events that one call may emit.
pub const EMITS: u32 = 16;
/// Times that one call may take something back (`cancel`, `unwatch`): all that it may have left twice over.
pub const TAKEN_BACK: u32 = 64;
/// Longest key, subject, event id or name of an event, in bytes.
pub const NAME_BYTES: usize = 200;
/// Longest data of a reminder or an emitted event, in bytes: it is kept until then. What is larger is fetched when it is needed.
pub const EFFECT_DATA_BYTES: usize = 16 << 10;
/// Longest wait of a reminder, and longest watch, in seconds: 90 days.
pub const LONGEST_S: u32 = 90 * 86_400;

/// One thing that a turn leaves behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case")]
pub enum Effect {
    /// An event comes back to the conversation later.
    Schedule {
        /// Names it within the conversation: a second one replaces the first.
        key: String,
        /// Name of the event.
        event: String,
        /// How long after the turn.
        after: Duration,
        /// The event's data.
        data: Option<Value>,
    },
    /// A reminder is taken back.
    Cancel {
        /// Its key.
        key: String,
    },
    /// The conversation hears of events about a subject.
    Watch {
        /// The subject: `order:WEB-42`.
        subject: String,
        /// For how long.
        keep: Duration,
    },
    /// It hears no more of it.
    Unwatch {
        /// The subject.
        subject: String,
    },
    /// The tenant's own systems are told.
    Emit {
        /// Name of the event.
        event: String,
        /// What is told: a JSON object.
        data: Value,
    },
}

/// What a call has left behind so far, by kind.
#[derive(Debug, Default)]
pub(crate) struct EffectCounts {
    reminders: u32,
    watches: u32,
    emits: u32,
    taken_back: u32,
}

type Checked<T> = std::result::Result<T, effects::EffectError>;

fn refuse<T>(code: &str, message: String) -> Checked<T> {
    Err(effects::EffectError { code: code.to_owned(), message })
}

/// Whether a text may be a key, a subject, an id or the name of an event; what is wrong with it otherwise.
pub(crate) fn name_problem(what: &str, name: &str) -> Option<String> {
    if name.is_empty() || name.len() > NAME_BYTES {
        return Some(format!("{what} has 1 to {NAME_BYTES} bytes, this one has {}", name.len()));
    }
    name.chars().any(char::is_control).then(|| format!("{what} has no control characters"))
}

/// Whether a text may name an event that others subscribe to.
pub(crate) fn event_problem(name: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    name_problem("the name of an event", name).or_else(|| {
        (!name.bytes().all(plain)).then(|| "the name of an event has only A-Z, a-z, 0-9, _ and .".to_owned())
    })
}

fn check(problem: Option<String>) -> Checked<()> {
    problem.map_or(Ok(()), |problem| refuse("invalid-input", problem))
}

fn time(what: &str, seconds: u32) -> Checked<Duration> {
    if (1..=LONGEST_S).contains(&seconds) {
        return Ok(Duration::from_secs(u64::from(seconds)));
    }
    refuse("invalid-input", format!("{what} is 1 to {LONGEST_S} seconds (90 days), not {seconds}"))
}

fn json(data: &str) -> Checked<Value> {
    if data.len() > EFFECT_DATA_BYTES {
        return refuse("too-large", format!("data has up to {EFFECT_DATA_BYTES} bytes, this has {}", data.len()));
    }
    serde_json::from_str(data).or_else(|e| refuse("invalid-input", format!("data is no JSON: {e}")))
}

fn one_more(used: &mut u32, limit: u32, what: &str) -> Checked<()> {
    if *used >= limit {
        return refuse("limit", format!("one call leaves at most {limit} {what}"));
    }
    *used += 1;
    Ok(())
}

impl CallState {
    /// Counts a well-formed effect and passes it on. One that the services refuse has been counted.
    fn leave(&mut self, effect: Checked<Effect>) -> Result<Checked<()>> {
        self.count_small()?;
        let left = effect.and_then(|effect| {
            let counts = &mut self.effects;
            match &effect {
                Effect::Schedule { .. } => one_more(&mut counts.reminders, REMINDERS, "reminders"),
                Effect::Watch { .. } => one_more(&mut counts.watches, WATCHES, "watches"),
                Effect::Emit { .. } => one_more(&mut counts.emits, EMITS, "emitted events"),
                Effect::Cancel { .. } | Effect::Unwatch { .. } => {
                    one_more(&mut counts.taken_back, TAKEN_BACK, "times `cancel` and `unwatch`")
                }
            }?;
            let refused = |e: CapabilityError| effects::EffectError { code: e.code, message: e.message };
            self.services.effect(effect).map_err(refused)
        });
        Ok(left)
    }
}

impl effects::Host for CallState {
    async fn schedule(&mut self, reminder: effects::Reminder) -> Result<Checked<()>> {
        let effects::Reminder { key, event, after_seconds, data } = reminder;
        let effect = check(name_problem("a key", &key))
            .and_then(|()| check(name_problem("the name of an event", &event)))
            .and_then(|()| time("the wait of a reminder", after_seconds))
            .and_then(|after| Ok(Effect::Schedule { key, event, after, data: data.as_deref().map(json).transpose()? }));
        self.leave(effect)
    }

    async fn cancel(&mut self, key: String) -> Result<Checked<()>> {
        let effect = check(name_problem("a key", &key)).map(|()| Effect::Cancel { key });
        self.leave(effect)
    }

    async fn watch(&mut self, subject: String, for_seconds: u32) -> Result<Checked<()>> {
        let effect = check(name_problem("a subject", &subject))
            .and_then(|()| time("a watch", for_seconds))
            .map(|keep| Effect::Watch { subject, keep });
        self.leave(effect)
    }

    async fn unwatch(&mut self, subject: String) -> Result<Checked<()>> {
        let effect = check(name_problem("a subject", &subject)).map(|()| Effect::Unwatch { subject });
        self.leave(effect)
    }

    async fn emit(&mut self, event: String, data: String) -> Result<Checked<()>> {
        let effect = check(event_problem(&event)).and_then(|()| json(&data)).and_then(|data| {
            if data.is_object() {
                return Ok(Effect::Emit { event, data });
            }
            refuse("invalid-input", "data must be a JSON object".into())
        });
        self.leave(effect)
    }
}

//! Leaves behind what a message says, and tells of the events that come: how a test reaches reminders, watches and emits.
//!
//! The message is a JSON list: `[{"schedule": {"key": "a", "event": "again", "after": 60, "data": ...}}, {"cancel": "a"},
//! {"watch": "order:1", "for": 60}, {"unwatch": "order:1"}, {"emit": "told", "data": {}}]`, answered with `left 5`, or the code of
//! the first that was refused. `"fail": true` in an entry fails the turn there. An event is answered with `NAME DATA`.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Reply, Turn};
use confab_plugin_sdk::effects::{self, EffectError, Reminder};
use confab_plugin_sdk::prelude::*;
use serde_json::Value;
use std::time::Duration;

struct Leaves;

impl Dialogue for Leaves {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(turn: Turn) -> Result<Outcome, Failure> {
        if turn.kind == "event" {
            return Ok(say(format!("{} {}", turn.text, turn.data.unwrap_or_default())));
        }
        let invalid = |message: String| Failure { code: "invalid-input".into(), message };
        let told: Vec<Value> = serde_json::from_str(&turn.text).map_err(|e| invalid(e.to_string()))?;
        for one in &told {
            if one.get("fail").is_some() {
                return Err(invalid("told to".into()));
            }
            if let Err(e) = leave(one) {
                return Ok(say(e.code));
            }
        }
        Ok(say(format!("left {}", told.len())))
    }
}

fn leave(one: &Value) -> Result<(), EffectError> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let time = |name: &str| Duration::from_secs(one.get(name).and_then(Value::as_u64).unwrap_or(0));
    let data = one.get("data").unwrap_or(&Value::Null);
    if let Some(reminder) = one.get("schedule") {
        let after = Duration::from_secs(reminder.get("after").and_then(Value::as_u64).unwrap_or(0));
        let made = Reminder::new(text(reminder.get("key")), text(reminder.get("event")), after);
        return effects::schedule(match reminder.get("data") {
            Some(data) => made.data(data),
            None => made,
        });
    }
    for (name, value) in one.as_object().into_iter().flatten() {
        let value = text(Some(value));
        match name.as_str() {
            "cancel" => return effects::cancel(&value),
            "watch" => return effects::watch(&value, time("for")),
            "unwatch" => return effects::unwatch(&value),
            "emit" => return effects::emit(&value, data),
            _ => {}
        }
    }
    Ok(())
}

fn say(text: String) -> Outcome {
    let reply = Reply { kind: "text".into(), text, ..Default::default() };
    Outcome { replies: vec![reply], ..Default::default() }
}

confab_plugin_sdk::intent!(Leaves);

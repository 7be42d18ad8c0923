//! One run of a script: its keys, its arguments, its answer.

use redis::{Cmd, FromRedisValue, ParsingError, Value};

use crate::clock::millis;
use crate::lanes::{Once, Push};

/// The answer of a script that reads something if it is not large, and otherwise only measures it.
#[derive(Debug)]
pub(super) enum Measured<T> {
    Read(T),
    /// Its bytes; to be fetched with [`Link::send_large`].
    Large(u64),
}

impl<T: FromRedisValue> FromRedisValue for Measured<T> {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        match value {
            Value::Int(size) => Ok(Self::Large(size.unsigned_abs())),
            other => T::from_redis_value(other).map(Self::Read),
        }
    }
}

/// Keys and arguments of one run of a script.
#[derive(Debug, Default)]
pub(super) struct ScriptCall {
    keys: Vec<String>,
    arguments: Vec<Argument>,
}

#[derive(Debug)]
enum Argument {
    Bytes(bytes::Bytes),
    Text(String),
    Number(u64),
}

impl ScriptCall {
    pub(super) fn key(mut self, key: String) -> Self {
        self.keys.push(key);
        self
    }

    pub(super) fn bytes(mut self, bytes: &bytes::Bytes) -> Self {
        self.arguments.push(Argument::Bytes(bytes.clone()));
        self
    }

    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.arguments.push(Argument::Text(text.into()));
        self
    }

    pub(super) fn number(mut self, number: u64) -> Self {
        self.arguments.push(Argument::Number(number));
        self
    }

    /// Pushes as `pushes.lua` reads them: they are the last arguments. It finds their keys by itself, but they stand
    /// behind the other keys too: while a slot moves between nodes, a cluster then refuses the script before it has done
    /// anything, and not in its midst at the first key that is elsewhere.
    pub(super) fn pushes(mut self, prefix: &str, pushes: &[Push]) -> Self {
        if !pushes.is_empty() {
            self = self.lane_keys(prefix, pushes.iter().map(|push| push.lane.as_str())).key(format!("{prefix}number"));
        }
        for push in pushes {
            match &push.once {
                Once::No => {}
                Once::Named { name, .. } => self.keys.push(format!("{prefix}once/{name}")),
                Once::Numbered { .. } => self.keys.push(format!("{prefix}l/{}:sources", push.lane)),
            }
        }
        for push in pushes {
            let due_in = if push.due_in.is_zero() { 0 } else { millis(push.due_in) };
            self = self.text(push.lane.as_str()).bytes(&push.body).number(due_in);
            self = match &push.once {
                Once::No => self.text("").text("").text(""),
                Once::Named { name, keep } => self.text("named").text(name.as_str()).number(millis(*keep)),
                Once::Numbered { source, number } => self.text("numbered").text(source.as_str()).number(*number),
            };
        }
        self
    }

    /// The keys of lanes, and those that all lanes of a partition share; none without lanes.
    pub(super) fn lane_keys<'a>(mut self, prefix: &str, lanes: impl Iterator<Item = &'a str>) -> Self {
        let before = self.keys.len();
        for lane in lanes {
            self.keys.extend(["entries", "state"].map(|part| format!("{prefix}l/{lane}:{part}")));
        }
        if self.keys.len() > before {
            self.keys.extend(["lanes", "due", "ready"].map(|part| format!("{prefix}{part}")));
        }
        self
    }

    /// How many follow; then they do.
    pub(super) fn count(self, count: usize) -> Self {
        self.number(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// '1' and a value, or '0'.
    pub(super) fn optional(self, value: Option<&bytes::Bytes>) -> Self {
        match value {
            Some(value) => self.number(1).bytes(value),
            None => self.number(0),
        }
    }

    /// Bytes of its arguments.
    pub(super) fn size(&self) -> u64 {
        let length = |argument: &Argument| match argument {
            Argument::Bytes(bytes) => bytes.len(),
            Argument::Text(text) => text.len(),
            Argument::Number(_) => size_of::<u64>(),
        };
        self.arguments.iter().map(|argument| u64::try_from(length(argument)).unwrap_or(u64::MAX)).sum()
    }

    /// The run by the script's hash, or with its text.
    pub(super) fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len());
        for key in &self.keys {
            command.arg(key);
        }
        for argument in &self.arguments {
            match argument {
                Argument::Bytes(bytes) => command.arg(bytes.as_ref()),
                Argument::Text(text) => command.arg(text),
                Argument::Number(number) => command.arg(*number),
            };
        }
        command
    }
}

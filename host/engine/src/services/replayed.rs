//! What a plugin gets when a turn of the past is run again: the same time, the same chance, and of every call what it gave then.
//! Nothing leaves it. A call that was not made then gets an error, and is noted.

use super::data::{bytes, pairs, scan_key};
use crate::registry::Bot;
use crate::turn::accepted::Accepted;
use crate::turn::journal::{Call, KvStep, Step};
use async_trait::async_trait;
use bytes::Bytes;
use confab_sandbox::services::LogLevel;
use confab_sandbox::{CapabilityError, Effect, HostServices, KvError, KvServices, Provenance};
use parking_lot::Mutex;
use rand::{RngCore, SeedableRng, rngs::StdRng};
use serde_json::{Map, Value};
use std::sync::Arc;

/// What a replayed turn did.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Its calls, each with what it was given.
    pub(crate) calls: Vec<(Call, Known)>,
    /// How many of the uses of data were other ones than then.
    pub(crate) other_kv: u32,
    pub(crate) effects: Vec<Effect>,
    /// Its log.
    pub(crate) lines: Vec<String>,
}

/// Whether a call was made in the past as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The same.
    Same,
    /// The same function with other arguments, for a write.
    OtherArguments,
    /// It was not.
    No,
}

/// See the module.
pub(crate) struct Replayed {
    bot: Arc<Bot>,
    accepted: Arc<Accepted>,
    steps: Arc<Vec<Step>>,
    seen: Arc<Mutex<Seen>>,
    calls: u32,
    last: Option<Provenance>,
    chance: Option<StdRng>,
    data: Data,
}

struct Data {
    steps: Arc<Vec<Step>>,
    seen: Arc<Mutex<Seen>>,
    uses: u32,
}

impl Replayed {
    pub(crate) fn new(bot: Arc<Bot>, accepted: Arc<Accepted>, steps: Vec<Step>, seen: Arc<Mutex<Seen>>) -> Replayed {
        let steps = Arc::new(steps);
        let data = Data { steps: steps.clone(), seen: seen.clone(), uses: 0 };
        Replayed { bot, accepted, steps, seen, calls: 0, last: None, chance: None, data }
    }

    /// The call of this number, as it was made last: a turn that was taken up may have made one again.
    fn known(&self, capability: &str, function: &str, arguments: &Map<String, Value>) -> Option<(&Call, Known)> {
        self.steps.iter().rev().find_map(|step| match step {
            Step::Call(call)
                if call.number == self.calls && call.capability == capability && call.function == function =>
            {
                let same = call.arguments == *arguments;
                let known = if same { Known::Same } else { Known::OtherArguments };
                (same || call.wrote).then_some((call, known))
            }
            _ => None,
        })
    }
}

#[async_trait]
impl HostServices for Replayed {
    fn tenant(&self) -> Arc<str> {
        self.bot.tenant_name.clone()
    }

    fn log(&mut self, _level: LogLevel, line: &str) {
        self.seen.lock().lines.push(line.to_owned());
    }

    fn now_millis(&self) -> u64 {
        self.accepted.at
    }

    fn random(&mut self, bytes: &mut [u8]) {
        let seed = self.accepted.seed;
        self.chance.get_or_insert_with(|| StdRng::from_seed(seed)).fill_bytes(bytes);
    }

    fn seed(&self) -> Option<[u8; 32]> {
        Some(self.accepted.seed)
    }

    fn effect(&mut self, effect: Effect) -> Result<(), CapabilityError> {
        self.seen.lock().effects.push(effect);
        Ok(())
    }

    fn available(&self) -> Vec<(String, String, String, String)> {
        super::bot::available(&self.bot)
    }

    async fn invoke(&mut self, capability: &str, function: &str, arguments: Value) -> Result<Value, CapabilityError> {
        self.last = None;
        if !self.bot.bindings.contains_key(capability) {
            return Err(super::bot::unbound(&self.bot, capability));
        }
        self.calls += 1;
        let Value::Object(arguments) = arguments else {
            return Err(CapabilityError::new("invalid-input", "arguments must be an object"));
        };
        let (served, known) = match self.known(capability, function, &arguments) {
            Some((call, known)) => (call.served.clone(), known),
            None => {
                let message = format!("{capability}.{function} was not called here when the turn was served");
                let error = CapabilityError::new("not-recorded", message);
                (crate::cache::Served::fetched(Err(error), self.accepted.at), Known::No)
            }
        };
        let (capability, function) = (capability.to_owned(), function.to_owned());
        let call = Call { number: self.calls, capability, function, arguments, wrote: false, served: served.clone() };
        self.seen.lock().calls.push((call, known));
        self.last = served.answer.is_ok().then(|| super::bot::provenance(&served.source));
        served.answer
    }

    fn last_answer(&self) -> Option<Provenance> {
        self.last.clone()
    }

    fn kv(&mut self) -> Option<&mut dyn KvServices> {
        Some(&mut self.data)
    }
}

impl Data {
    fn gave(&mut self, action: &str, key: &str) -> Result<Value, KvError> {
        self.uses += 1;
        let known = self.steps.iter().rev().find_map(|step| match step {
            Step::Kv(KvStep { number, action: was, key: at, gave })
                if *number == self.uses && was == action && at == key =>
            {
                Some(gave.clone())
            }
            _ => None,
        });
        known.unwrap_or_else(|| {
            self.seen.lock().other_kv += 1;
            let message = format!("{action} of this key was not recorded when the turn was served");
            Err(KvError { code: "unavailable".into(), message })
        })
    }
}

#[async_trait]
impl KvServices for Data {
    async fn get(&mut self, key: &str) -> Result<Option<Bytes>, KvError> {
        self.gave("get", key).map(|value| bytes(&value))
    }
    async fn set(&mut self, key: &str, _value: Bytes) -> Result<(), KvError> {
        self.gave("set", key).map(drop)
    }
    async fn insert(&mut self, key: &str, _value: Bytes) -> Result<Option<Bytes>, KvError> {
        self.gave("insert", key).map(|value| bytes(&value))
    }
    async fn delete(&mut self, key: &str) -> Result<(), KvError> {
        self.gave("delete", key).map(drop)
    }
    async fn scan(&mut self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<(String, Bytes)>, KvError> {
        self.gave("scan", &scan_key(prefix, after, limit)).map(pairs)
    }
    async fn add(&mut self, key: &str, _delta: i64) -> Result<i64, KvError> {
        self.gave("add", key).map(|value| value.as_i64().unwrap_or_default())
    }
}

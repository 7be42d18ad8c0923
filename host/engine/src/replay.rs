//! A turn of the past, run again, offline: from its record, step by step, against the plugin that serves now or another one.
//!
//! Nothing is sent, stored or said. What the plugin asks for is answered from the record, with the same time and the same chance; so a
//! plugin that is the same comes to the same, and what differs shows what a newer one changes.
//!
//! A recorded conversation can be kept as a test ([`Recorded`]): its turns are run one after the other, each on the state that the one before
//! came to, and what visitors see is compared.

use crate::engine::Engine;
use crate::error::TurnError;
use crate::ids::{BotId, ConversationId, TenantId};
use crate::registry::Bot;
use crate::services::replayed::{Known, Replayed as Services, Seen};
use crate::turn::accepted::conversation_of;
use crate::turn::outcome::{Said, check};
use crate::turn::record::{Record, digest};
use crate::turn::turn_input;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use confab_sandbox::{Plugin, Source};
use confab_store::ConversationKey;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// Why nothing could be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The bot, the store.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// There is no record of the turn.
    #[error("there is no record of turn {0}: the plugin did not decide it, or its conversation has expired")]
    NoRecord(String),
    /// What was given is no turn of ours.
    #[error("`{0}` is no turn and no conversation: give a turn_id or conversation_id of an answer")]
    NoTurn(String),
    /// The other plugin.
    #[error("{0}")]
    Plugin(String),
}

impl From<confab_store::StoreError> for ReplayError {
    fn from(error: confab_store::StoreError) -> Self {
        ReplayError::Turn(error.into())
    }
}

/// What a replay came to.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// The turn.
    pub turn: String,
    /// Its number in the conversation.
    pub number: u64,
    /// What came in.
    pub text: String,
    /// Whether all came to the same.
    pub equal: bool,
    /// What did not.
    pub differences: Vec<Difference>,
    /// Its calls, in order.
    pub steps: Vec<ReplayedStep>,
    /// What the plugin wrote to its log.
    pub log: Vec<String>,
    /// What else is not as it was: the plugin, the bot's definition.
    pub notes: Vec<String>,
}

/// Something that came out otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// What: `replies`, `intent`, `state` ...
    pub what: &'static str,
    /// As it was.
    pub was: Value,
    /// As it came out now.
    pub is: Value,
}

/// A call of the plugin.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayedStep {
    /// `orders.get`
    pub call: String,
    /// With what.
    pub arguments: Map<String, Value>,
    /// What it was given: what the call came to then.
    pub gave: Value,
    /// `same`, `other-arguments` (of a write) or `new`.
    pub then: &'static str,
}

/// A conversation that was recorded, as a file: a test of the bot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recorded {
    /// What this is.
    pub confab_recorded: u8,
    /// Whose it was.
    pub tenant: TenantId,
    /// The bot.
    pub bot: BotId,
    turns: Vec<RecordedTurn>,
    /// Turns that the plugin did not decide: people's, and those whose words were known.
    #[serde(default)]
    pub without_record: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct RecordedTurn {
    record: Record,
    /// The state that it began with, base64.
    state: String,
}

impl Recorded {
    /// How many turns it has.
    pub fn turns(&self) -> usize {
        self.turns.len()
    }
}

/// Turns that are read at once.
const MOST_TURNS: u64 = 10_000;

impl Engine {
    /// The records of a conversation's turns, or of the one turn, that `id` names.
    ///
    /// # Errors
    /// [`ReplayError`] when there are none.
    pub async fn recorded(&self, tenant: &TenantId, bot: &BotId, id: &str) -> Result<Recorded, ReplayError> {
        let one = conversation_of(id);
        let conversation: ConversationId =
            one.or_else(|| id.parse().ok()).ok_or_else(|| ReplayError::NoTurn(id.chars().take(80).collect()))?;
        let key = ConversationKey::new(tenant.as_str(), bot.as_str(), conversation.to_string());
        let (mut turns, mut without_record) = (Vec::new(), 0);
        let last = self.inner.store.transcript(&key, 0, usize::MAX).await?.last().map_or(0, |(number, _)| *number);
        for number in 1..=last.min(MOST_TURNS) {
            let stored = self.inner.store.turn_record(&key, number).await?;
            let Some((record, state)) = stored.as_ref().and_then(Record::decode) else {
                without_record += 1;
                continue;
            };
            if one.is_none() || record.accepted.turn == id {
                turns.push(RecordedTurn { record, state: STANDARD.encode(state) });
            }
        }
        if turns.is_empty() {
            return Err(ReplayError::NoRecord(id.to_owned()));
        }
        Ok(Recorded { confab_recorded: 1, tenant: tenant.clone(), bot: bot.clone(), turns, without_record })
    }

    /// Runs recorded turns again. `plugin` is a component's file to run them on; none is the bot's own plugin. With `as_test` the turns
    /// go on from each other's state and only what visitors see is compared.
    ///
    /// # Errors
    /// [`ReplayError`]; that something came out otherwise is none.
    pub async fn replay(
        &self,
        recorded: &Recorded,
        plugin: Option<&Path>,
        as_test: bool,
    ) -> Result<Vec<Replayed>, ReplayError> {
        let bot = self.ready_bot(&recorded.tenant, &recorded.bot)?;
        let plugin = match plugin {
            None => bot.plugin.clone(),
            Some(path) => self.other_plugin(&bot, path).await?,
        };
        let mut state: Option<Bytes> = None;
        let mut all = Vec::with_capacity(recorded.turns.len());
        for turn in &recorded.turns {
            let before = match state.take().filter(|_| as_test) {
                Some(state) => state,
                None => Bytes::from(STANDARD.decode(&turn.state).unwrap_or_default()),
            };
            let (replayed, after) = self.replay_one(&bot, &plugin, &turn.record, &before, as_test).await;
            state = after;
            all.push(replayed);
        }
        Ok(all)
    }

    /// Runs one turn; comes with the state that it came to.
    async fn replay_one(
        &self,
        bot: &Arc<Bot>,
        plugin: &Plugin,
        record: &Record,
        before: &Bytes,
        as_test: bool,
    ) -> (Replayed, Option<Bytes>) {
        let accepted = Arc::new(record.accepted.clone());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let services = Services::new(bot.clone(), accepted.clone(), record.steps.clone(), seen.clone());
        let conversation = conversation_of(&accepted.turn).map(|id| id.to_string()).unwrap_or_default();
        let input = turn_input(&accepted, &conversation, record.number, accepted.locale.as_deref(), before);
        let text = input.text.clone();
        let outcome = match plugin.handle(Box::new(services), input).await {
            Ok(reported) => match reported.value {
                Ok(outcome) => check(outcome),
                Err(refusal) => Err(format!("refused the turn: {} ({})", refusal.message, refusal.code)),
            },
            Err(failure) => Err(failure.to_string()),
        };
        let mut seen = std::mem::take(&mut *seen.lock());
        let (said, state, failure) = match outcome {
            Ok((mut said, state)) => {
                said.effects = std::mem::take(&mut seen.effects);
                (said, Some(state), None)
            }
            Err(why) => (Said::fallback(bot, accepted.locale.as_deref()), None, Some(why)),
        };
        let mut differences = differences(&record.said, &said);
        // Its words may hold times and amounts that are never the same.
        if record.failure.is_some() != failure.is_some() {
            differ(&mut differences, "failure", &record.failure, &failure);
        }
        if !as_test {
            let is = digest(state.as_ref().unwrap_or(before));
            differ(&mut differences, "state", &record.state, &is);
            let new = seen.calls.iter().filter(|(_, known)| *known == Known::No).count();
            differ(&mut differences, "calls that were not made then", &0, &new);
            differ(&mut differences, "uses of data that were not made then", &0, &seen.other_kv);
        }
        let mut notes = Vec::new();
        let (name, version, then) = &record.plugin;
        if plugin.digest() != then {
            let manifest = plugin.manifest();
            notes.push(format!(
                "the turn was served by {name} {version}, this is {} {}",
                manifest.name, manifest.version
            ));
        }
        if bot.definition != record.definition {
            notes.push("the bot's definition has changed since".to_owned());
        }
        let steps = seen.calls.into_iter().map(|(call, known)| ReplayedStep {
            call: format!("{}.{}", call.capability, call.function),
            arguments: call.arguments,
            gave: match call.served.answer {
                Ok(value) => value,
                Err(error) => json!({"error": error}),
            },
            then: match known {
                Known::Same => "same",
                Known::OtherArguments => "other-arguments",
                Known::No => "new",
            },
        });
        let replayed = Replayed {
            turn: accepted.turn.clone(),
            number: record.number,
            text,
            equal: differences.is_empty(),
            differences,
            steps: steps.collect(),
            log: seen.lines,
            notes,
        };
        (replayed, state)
    }

    /// A component's file, prepared with the bot's definition.
    async fn other_plugin(&self, bot: &Bot, path: &Path) -> Result<Plugin, ReplayError> {
        let (engine, path) = (self.clone(), path.to_owned());
        let opened = tokio::task::spawn_blocking(move || {
            let wasm = std::fs::read(&path).map_err(|e| format!("can't read {}: {e}", path.display()))?;
            let digest = confab_sandbox::engine::digest(&wasm);
            engine.library().open(&Source { digest, path }).map_err(|e| e.to_string())
        });
        let source = opened.await.map_err(|e| e.to_string()).and_then(|opened| opened).map_err(ReplayError::Plugin)?;
        let input = Map::from_iter([("definition".to_owned(), Value::String(bot.definition_text().to_owned()))]);
        let prepared = self.sandbox().prepare(&source, "dialogue", input).await;
        prepared.map(|prepared| prepared.plugin).map_err(|e| ReplayError::Plugin(format!("can't be prepared: {e}")))
    }
}

fn differences(was: &Said, is: &Said) -> Vec<Difference> {
    let mut all = Vec::new();
    differ(&mut all, "replies", &was.replies, &is.replies);
    differ(&mut all, "intent", &was.intent, &is.intent);
    differ(&mut all, "handoff", &was.handoff, &is.handoff);
    differ(&mut all, "ended", &was.ended, &is.ended);
    differ(&mut all, "effects", &was.effects, &is.effects);
    all
}

fn differ<T: PartialEq + Serialize>(all: &mut Vec<Difference>, what: &'static str, was: &T, is: &T) {
    if was != is {
        all.push(Difference { what, was: json!(was), is: json!(is) });
    }
}

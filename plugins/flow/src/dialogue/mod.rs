//! A turn: what the visitor said is read, an intent or the waiting flow takes it, steps run until one waits.
//!
//! | module | what it decides |
//! |---|---|
//! | `turn` | which flow gets the message: the waiting one, an interruption, a new one, the fallback |
//! | `answers` | whether a message answers the question that is open |
//! | `age` | what is said of an answer that is not from now |
//! | `machine` | what the steps of a flow do |
//! | `effects` | what a turn leaves behind: reminders, what the conversation watches, word to the tenant's systems |
//! | `scope` | what templates see |
//! | `state` | what is remembered |
//! | `words` | yes, no, stop |
//!
//! Nothing here knows the host: capabilities come as a trait, the time as a number, and what an operator should
//! know goes out as notes. So the same turn runs in a test, in the sandbox, and in a replay.

mod age;
mod answers;
mod effects;
mod machine;
pub(crate) mod scope;
pub(crate) mod state;
mod turn;
pub(crate) mod words;

pub(crate) use effects::Effect;
pub(crate) use turn::handle;

use confab_plugin_sdk::dialogue::Outcome;
use confab_plugin_sdk::effects::EffectError;
use confab_plugin_sdk::host::Provenance;
use confab_plugin_sdk::types::Error;

/// The bot's business systems.
pub(crate) trait Capabilities {
    /// Calls a function by name with JSON; called once for each `call` step.
    fn invoke(&mut self, capability: &str, function: &str, arguments: &str) -> Result<String, Error>;

    /// Where the answer of the last call comes from.
    fn last_answer(&mut self) -> Option<Provenance> {
        None
    }

    /// Leaves something behind for after the turn.
    fn leave(&mut self, effect: Effect) -> Result<(), EffectError>;
}

/// What a turn came to.
pub(crate) struct Reaction {
    /// For the host.
    pub(crate) outcome: Outcome,
    /// For the operator's log.
    pub(crate) notes: Vec<String>,
}

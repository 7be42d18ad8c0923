//! What a conversation remembers between turns: small JSON with a version.
//!
//! State outlives definitions. Whatever can't be read (another version, damage) becomes a fresh start with a note
//! for the operator; whatever refers to a flow or step that is gone is dropped by the machine, with an apology.

use minijinja::value::Value;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version that this code writes. Raise it when old state can't be read any more.
const VERSION: u32 = 1;
/// Variables larger than this are not kept over a turn: the host allows 256 KiB of state.
const LARGEST_VARIABLE: usize = 32 * 1024;
/// What state may take in all.
const LARGEST_STATE: usize = 200 * 1024;

/// Variables by name.
pub(crate) type Variables = BTreeMap<String, Value>;

/// A conversation.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    #[serde(rename = "v")]
    version: u32,
    /// Language code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) lang: String,
    /// Slots with `keep: conversation`.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub(crate) kept: Variables,
    /// Flows that wait, the one that is asked about last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) stack: Vec<Frame>,
    /// Misunderstandings in a row.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) misses: u32,
    /// The flow that an intent started last; "and SKU-1002?" means it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<String>,
}

/// A flow that waits for an answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Frame {
    /// Name of the flow.
    pub(crate) flow: String,
    /// Label of the step.
    pub(crate) at: String,
    /// Its variables.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub(crate) vars: Variables,
    /// Answers that did not fit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) tries: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl State {
    /// Reads state; what can't be read is a fresh start, with a note.
    pub(crate) fn load(bytes: &[u8], notes: &mut Vec<String>) -> State {
        if bytes.is_empty() {
            return State::default();
        }
        match serde_json::from_slice::<State>(bytes) {
            Ok(state) if state.version == VERSION => state,
            Ok(state) => {
                notes.push(format!(
                    "state has version {}, this plugin reads {VERSION}: the conversation starts afresh",
                    state.version
                ));
                State::default()
            }
            Err(error) => {
                notes.push(format!("state can't be read ({error}): the conversation starts afresh"));
                State::default()
            }
        }
    }

    /// Writes state, without what is too large.
    pub(crate) fn save(mut self, notes: &mut Vec<String>) -> Vec<u8> {
        self.version = VERSION;
        let bytes = serde_json::to_vec(&self).unwrap_or_default();
        if bytes.len() <= LARGEST_VARIABLE {
            return bytes;
        }
        for vars in self.stack.iter_mut().map(|frame| &mut frame.vars).chain(std::iter::once(&mut self.kept)) {
            vars.retain(|name, value| {
                let size = serde_json::to_vec(value).map_or(usize::MAX, |bytes| bytes.len());
                if size > LARGEST_VARIABLE {
                    notes.push(format!("`{name}` has {size} bytes and is not kept over the turn"));
                }
                size <= LARGEST_VARIABLE
            });
        }
        let bytes = serde_json::to_vec(&self).unwrap_or_default();
        if bytes.len() <= LARGEST_STATE {
            return bytes;
        }
        notes.push(format!("state has {} bytes: waiting flows are dropped", bytes.len()));
        self.stack.clear();
        self.kept.clear();
        serde_json::to_vec(&self).unwrap_or_default()
    }
}

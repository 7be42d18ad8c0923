//! What is kept of a turn that is over: how it went, step by step. From it `confab replay` runs the turn again.

use super::accepted::Accepted;
use super::journal::Step;
use super::outcome::Said;
use crate::conversation::{join, split};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Present form. A host reads its own and older forms.
const FORMAT: u8 = 1;

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    v: u8,
    /// Number of the turn in its conversation, from 1.
    pub(crate) number: u64,
    pub(crate) accepted: Accepted,
    /// What the plugin's calls came to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) steps: Vec<Step>,
    /// The plugin that decided the turn: name, version, digest.
    pub(crate) plugin: (String, String, String),
    /// Digest of the definition that it was prepared with.
    pub(crate) definition: String,
    /// What the bot said.
    pub(crate) said: Said,
    /// Digest of the state that the plugin returned.
    pub(crate) state: String,
    /// Why the fallback was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

impl Record {
    #[expect(clippy::too_many_arguments, reason = "everything that a turn consists of")]
    pub(crate) fn new(
        number: u64,
        accepted: Accepted,
        steps: Vec<Step>,
        plugin: (String, String, String),
        definition: String,
        said: Said,
        state: &[u8],
        failure: Option<String>,
    ) -> Record {
        Record { v: FORMAT, number, accepted, steps, plugin, definition, said, state: digest(state), failure }
    }

    /// As it is stored, with the state that the turn began with.
    pub(crate) fn encode(&self, before: &[u8]) -> Bytes {
        join(self, before)
    }

    /// As it was stored.
    pub(crate) fn decode(stored: &Bytes) -> Option<(Record, Bytes)> {
        split(stored).filter(|(record, _): &(Record, Bytes)| record.v == FORMAT)
    }
}

/// Short enough to keep with each turn, long enough that no two differ by chance.
pub(crate) fn digest(bytes: &[u8]) -> String {
    use base64::Engine as _;
    let digest = Sha256::digest(bytes);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or_default())
}

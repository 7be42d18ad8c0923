//! What a turn came to: what was said, and what is to be remembered.

use crate::conversation::{StoredChoice, StoredReply};
use crate::registry::Bot;
use bytes::Bytes;
use confab_sandbox::{Effect, Outcome};
use serde::{Deserialize, Serialize};

/// Largest state a plugin may keep, in bytes.
const STATE_BYTES: usize = 256 << 10;
/// Most replies of a turn, and bytes of one. More is no answer but a flood.
const REPLIES: usize = 32;
/// See [`REPLIES`].
const REPLY_BYTES: usize = 32 << 10;

/// What a turn came to, before it has its ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// In order.
    pub replies: Vec<StoredReply>,
    /// What the message was taken for, with confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<(String, f32)>,
    /// Set when people should take over: reason and summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<(String, Option<String>)>,
    /// Whether the conversation is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// What the turn leaves behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
}

impl Said {
    /// One text.
    pub fn text(text: String) -> Said {
        let reply = StoredReply { kind: "text".into(), text, choices: Vec::new(), data: None };
        Said { replies: vec![reply], ..Said::default() }
    }

    /// The bot's own words for a failure, in the visitor's language where there are such.
    pub(crate) fn fallback(bot: &Bot, locale: Option<&str>) -> Said {
        Said::text(in_language(&bot.fallback, locale).unwrap_or_default())
    }
}

/// The words of a language among words by language; `""` is any other one.
pub(crate) fn in_language(words: &std::collections::BTreeMap<String, String>, locale: Option<&str>) -> Option<String> {
    let language = locale.and_then(|locale| locale.split(['-', '_']).next()).unwrap_or_default();
    words.get(language).or_else(|| words.get("")).or_else(|| words.values().next()).cloned()
}

/// Holds an outcome against what a plugin may return.
pub(crate) fn check(outcome: Outcome) -> Result<(Said, Bytes), String> {
    if outcome.state.len() > STATE_BYTES {
        return Err(format!("returned a state of {} bytes, at most {STATE_BYTES} are kept", outcome.state.len()));
    }
    if outcome.replies.len() > REPLIES {
        return Err(format!("returned {} replies, at most {REPLIES} are sent", outcome.replies.len()));
    }
    let mut replies = Vec::with_capacity(outcome.replies.len());
    for reply in outcome.replies {
        let choices: usize = reply.choices.iter().map(|choice| choice.label.len() + choice.value.len() + 1).sum();
        let data = reply.data.as_ref().map_or(0, String::len);
        if [reply.text.len(), data, reply.kind.len() + choices].iter().any(|bytes| *bytes > REPLY_BYTES) {
            return Err(format!("returned a reply of more than {REPLY_BYTES} bytes"));
        }
        let data = match &reply.data {
            Some(data) => {
                Some(serde_json::from_str(data).map_err(|e| format!("returned a reply whose data is no JSON: {e}"))?)
            }
            None => None,
        };
        let choices = reply.choices.into_iter().map(|c| StoredChoice { label: c.label, value: c.value }).collect();
        replies.push(StoredReply { kind: reply.kind, text: reply.text, choices, data });
    }
    let intent = outcome.intent.as_ref().map_or(0, |intent| intent.name.len());
    let handoff = outcome.handoff.as_ref().map_or(0, |h| h.reason.len() + h.summary.as_ref().map_or(0, String::len));
    if intent + handoff > REPLY_BYTES {
        return Err(format!("returned an intent and a handoff of more than {REPLY_BYTES} bytes"));
    }
    let state = if outcome.ended { Bytes::new() } else { Bytes::from(outcome.state) };
    let said = Said {
        replies,
        intent: outcome.intent.map(|intent| (intent.name, intent.confidence)),
        handoff: outcome.handoff.map(|handoff| (handoff.reason, handoff.summary)),
        ended: outcome.ended,
        effects: Vec::new(),
    };
    Ok((said, state))
}

//! What is kept of a conversation, and whose it is.
//!
//! The head is replaced by each turn: a small JSON header, then the plugin's own state as it gave it. The transcript
//! grows by one entry a turn. A conversation belongs to a bot and a visitor; knowing its id opens nothing.

use crate::ids::ConversationId;
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Who a conversation belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// A visitor that the client named.
    Visitor(String),
    /// Nobody was named: whoever has a key for the bot and the conversation's id.
    Anonymous,
}

impl Owner {
    /// The owner that a request speaks for.
    pub fn of(visitor: Option<&str>) -> Owner {
        visitor.map_or(Owner::Anonymous, |id| Owner::Visitor(id.to_owned()))
    }
}

/// The head of a conversation.
#[derive(Clone, Debug)]
pub struct Head {
    /// What the host keeps.
    pub header: Header,
    /// What the plugin keeps.
    pub state: Bytes,
}

/// What the host keeps in the head.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Form of this header. See [`FORMAT`].
    pub v: u8,
    /// Whose it is.
    pub owner: Owner,
    /// When it began, milliseconds since 1970.
    pub began: u64,
    /// Language that the client last asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Set while people answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<HandedOver>,
}

/// Present form of heads and transcript entries. A host reads its own and older forms.
pub const FORMAT: u8 = 1;

impl Head {
    /// As it is stored.
    pub fn encode(&self) -> Bytes {
        join(&self.header, &self.state)
    }

    /// As it was stored; none for bytes that are no head (of a newer format, say).
    pub fn decode(stored: &Bytes) -> Option<Head> {
        let (header, state): (Header, Bytes) = split(stored)?;
        (header.v == FORMAT).then_some(Head { header, state })
    }
}

/// What the host knows as JSON, and a plugin's state as it is: length of the JSON as 4 bytes, JSON, state.
pub(crate) fn join<T: Serialize>(known: &T, state: &[u8]) -> Bytes {
    let known = serde_json::to_vec(known).unwrap_or_default();
    let mut out = BytesMut::with_capacity(4 + known.len() + state.len());
    out.put_u32(u32::try_from(known.len()).unwrap_or_default());
    out.put_slice(&known);
    out.put_slice(state);
    out.freeze()
}

/// What [`join`] made; none for anything else.
pub(crate) fn split<T: serde::de::DeserializeOwned>(stored: &Bytes) -> Option<(T, Bytes)> {
    let length = u32::from_be_bytes(stored.get(..4)?.try_into().ok()?) as usize;
    let known = serde_json::from_slice(stored.get(4..4 + length)?).ok()?;
    Some((known, stored.slice(4 + length..)))
}

/// People were asked to take over: until they give the conversation back, the bot says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    /// Since when, milliseconds since 1970.
    pub since: u64,
    /// Why.
    pub reason: String,
    /// What happened so far, for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Who has taken it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// One turn in the transcript.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The turn's id.
    pub turn: String,
    /// When it came in, milliseconds since 1970.
    pub at: u64,
    /// `message`, `event`, or `agent` (somebody of the tenant's people).
    pub kind: String,
    /// What the visitor wrote, the event's name, or what the agent did: `claim`, `reply`, `release`.
    pub text: String,
    /// What the bot said.
    pub replies: Vec<StoredReply>,
    /// What the message was taken for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Set when the plugin failed and the fallback was said instead: what happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Which of the tenant's people spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A reply as it is stored and sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredReply {
    /// `text`, `card`, or another kind of the plugin's.
    pub kind: String,
    /// What to show, plain text.
    pub text: String,
    /// Quick replies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<StoredChoice>,
    /// For other kinds than text: the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

/// A quick reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredChoice {
    /// What is shown.
    pub label: String,
    /// What is sent.
    pub value: String,
}

/// A transcript as it is read back.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// The conversation.
    pub id: ConversationId,
    /// When it began, milliseconds since 1970.
    pub began: u64,
    /// Turns with their numbers, oldest first.
    pub entries: Vec<(u64, Entry)>,
    /// Whether there is more after the last one.
    pub more: bool,
    /// Set while people answer.
    pub handed_over: Option<HandedOver>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_and_nonsense_does_not() {
        let head = Head {
            header: Header { v: FORMAT, owner: Owner::of(Some("v1")), began: 7, locale: None, handed_over: None },
            state: Bytes::from_static(b"\x00\xff state"),
        };
        let back = Head::decode(&head.encode()).unwrap();
        assert_eq!(back.header.owner, Owner::Visitor("v1".into()));
        assert_eq!(back.state, head.state);
        for bad in [&b""[..], b"\x00\x00\x00\xff{}", b"\xff\xff\xff\xff", b"\x00\x00\x00\x02{}"] {
            assert!(Head::decode(&Bytes::copy_from_slice(bad)).is_none());
        }
    }
}

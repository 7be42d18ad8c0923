//! One message, as it waits and as it is sent.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Bytes of a message's data. The specification advises less than 20 kB for all of a message; more is not told but asked for by the ids.
const DATA_BYTES: usize = 19_000;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// `webhook-id`: the same each time that it is sent.
    pub(crate) id: String,
    /// `message.created`
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// When it happened.
    pub(crate) timestamp: String,
    pub(crate) data: Map<String, Value>,
}

/// What a turn leaves in the lane `out`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) tenant: crate::TenantId,
    pub(crate) bot: crate::BotId,
    pub(crate) messages: Vec<Message>,
}

/// A time as it is written.
pub(crate) fn time(millis: u64) -> String {
    let at = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    at.unwrap_or_default().to_string()
}

/// The time that was written, in milliseconds since 1970.
pub(crate) fn millis(time: &str) -> Option<u64> {
    u64::try_from(time.parse::<jiff::Timestamp>().ok()?.as_millisecond()).ok()
}

impl Message {
    /// Of a turn, by its number among all that the turn tells. What is too large goes without `more`, and says so.
    pub(crate) fn of_turn(
        turn: &str,
        index: usize,
        at: u64,
        kind: &str,
        about: &Map<String, Value>,
        more: Value,
    ) -> Message {
        let mut data = about.clone();
        if more.to_string().len() > DATA_BYTES {
            data.insert("truncated".to_owned(), Value::Bool(true));
        } else if let Value::Object(more) = more {
            data.extend(more);
        }
        Message { id: id_of(turn, index), kind: word(kind), timestamp: time(at), data }
    }

    /// The body of a request: the same bytes each time.
    pub(crate) fn body(&self) -> Bytes {
        // Field by field: the id is in a header.
        let body = serde_json::json!({"type": self.kind, "timestamp": self.timestamp, "data": self.data});
        Bytes::from(body.to_string())
    }
}

/// `msg_` and 32 hexadecimal digits: no full stop, which divides what is signed.
fn id_of(turn: &str, index: usize) -> String {
    let digest = Sha256::new().chain_update(turn).chain_update([0]).chain_update(index.to_string()).finalize();
    digest.iter().take(16).fold("msg_".to_owned(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// The name of an event with the characters that the specification allows.
fn word(kind: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '_' };
    kind.chars().take(100).map(fit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_turn_that_is_run_again_tells_the_same_under_the_same_ids() {
        let about = json!({"bot": "shop"}).as_object().cloned().unwrap();
        let make =
            |index| Message::of_turn("0190.ab", index, 1_614_265_330_123, "loan-desk.renew", &about, json!({"a": 1}));
        assert_eq!(make(0), make(0));
        assert_ne!(make(0).id, make(1).id);
        assert_eq!(make(0).id.len(), 36);
        assert!(!make(0).id.contains('.'));
        let body: Value = serde_json::from_slice(&make(0).body()).unwrap();
        assert_eq!(
            body,
            json!({"type": "loan_desk.renew", "timestamp": "2021-02-25T15:02:10.123Z", "data": {"bot": "shop", "a": 1}})
        );
        assert_eq!(millis(&make(0).timestamp), Some(1_614_265_330_123));
    }

    #[test]
    fn a_message_that_is_too_large_says_so_and_keeps_its_ids() {
        let about = json!({"bot": "shop"}).as_object().cloned().unwrap();
        let message = Message::of_turn("t", 0, 0, "message.created", &about, json!({"text": "x".repeat(20_000)}));
        assert_eq!(Value::Object(message.data.clone()), json!({"bot": "shop", "truncated": true}));
        assert!(message.body().len() < 20_000);
    }
}

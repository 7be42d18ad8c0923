//! What makes two calls equal: connection, revision, operation, arguments, language. As a hash, because arguments are
//! personal data as often as not: nobody reads an e-mail address out of a key.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// 128 bits of a SHA-256: two of them are the same by accident nowhere and never.
pub(super) type Key = [u8; 16];

/// Takes in a part with its length, so that no two lists of parts are the same.
pub(super) fn put(hasher: &mut Sha256, part: &[u8]) {
    hasher.update((part.len() as u64).to_be_bytes());
    hasher.update(part);
}

/// The key of a call. `begun` has taken in the connection and its revision.
pub(super) fn of(
    begun: &Sha256,
    capability: &str,
    function: &str,
    arguments: &Map<String, Value>,
    locale: Option<&str>,
) -> Key {
    let mut hasher = begun.clone();
    put(&mut hasher, capability.as_bytes());
    put(&mut hasher, function.as_bytes());
    put(&mut hasher, locale.unwrap_or_default().as_bytes());
    object(&mut hasher, arguments);
    let mut key = Key::default();
    key.iter_mut().zip(hasher.finalize()).for_each(|(byte, hashed)| *byte = hashed);
    key
}

/// As text, for the cache that hosts share.
pub(super) fn text(key: &Key) -> String {
    use std::fmt::Write as _;
    key.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The same value gives the same bytes, whatever the order of its fields; a field that is null is the same as none.
fn value(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hasher.update([0]),
        Value::Bool(truth) => hasher.update([1, u8::from(*truth)]),
        Value::Number(number) => {
            hasher.update([2]);
            put(hasher, number.to_string().as_bytes());
        }
        Value::String(text) => {
            hasher.update([3]);
            put(hasher, text.as_bytes());
        }
        Value::Array(items) => {
            hasher.update([4]);
            hasher.update((items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| self::value(hasher, item));
        }
        Value::Object(fields) => object(hasher, fields),
    }
}

fn object(hasher: &mut Sha256, fields: &Map<String, Value>) {
    let mut sorted: Vec<(&String, &Value)> = fields.iter().filter(|(_, value)| !value.is_null()).collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    hasher.update([5]);
    hasher.update((sorted.len() as u64).to_be_bytes());
    for (name, field) in sorted {
        put(hasher, name.as_bytes());
        value(hasher, field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(arguments: Value, locale: Option<&str>) -> Key {
        of(&Sha256::new(), "orders", "get", arguments.as_object().unwrap(), locale)
    }

    #[test]
    fn equal_calls_have_equal_keys_however_they_are_written() {
        let one = key(json!({"number": "WEB-42", "proof": {"email": "a@b.example", "phone": null}}), Some("de"));
        assert_eq!(one, key(json!({"proof": {"email": "a@b.example"}, "number": "WEB-42"}), Some("de")));
        for other in [
            key(json!({"number": "WEB-42", "proof": {"email": "c@b.example"}}), Some("de")),
            key(json!({"number": "WEB-42", "proof": {"phone": "a@b.example"}}), Some("de")),
            key(json!({"number": "WEB-42", "proof": {}}), Some("de")),
            key(json!({"number": "WEB-42", "proof": {"email": "a@b.example"}}), Some("en")),
            key(json!({"number": "WEB-42", "proof": {"email": "a@b.example"}}), None),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn parts_do_not_flow_into_each_other() {
        let all = [
            json!({"a": ["x", "y"]}),
            json!({"a": ["xy"]}),
            json!({"a": [["x"], "y"]}),
            json!({"a": "1"}),
            json!({"a": 1}),
            json!({"a": {"b": "c"}}),
            json!({"ab": "c"}),
            json!({"a": [null]}),
            json!({"a": []}),
        ];
        for (at, one) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                assert_eq!(key(one.clone(), None) == key(other.clone(), None), at == other_at, "{one} {other}");
            }
        }
    }
}

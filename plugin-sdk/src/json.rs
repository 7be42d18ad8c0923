//! Values out of a system's JSON, by JSON pointer (`/customer/email`), and nothing where they aren't what is wanted.

use serde_json::Value;

/// A text that isn't blank, trimmed. A number counts as its text; `null` and `false` (Odoo's "nothing") do not.
pub fn text(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|t| !t.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A number, also one that is written as text.
pub fn number(value: &Value, pointer: &str) -> Option<f64> {
    match value.pointer(pointer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        _ => None,
    }
}

/// An identifier: text or whole number, as text.
pub fn id(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::String(text) => Some(text.trim().to_owned()).filter(|t| !t.is_empty()),
        _ => None,
    }
}

/// A moment as RFC 3339, however the system writes it; see [`dates`](crate::dates).
pub fn moment(value: &Value, pointer: &str) -> Option<String> {
    crate::dates::rfc3339(&text(value, pointer)?)
}

/// Whether `true` stands there.
pub fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The elements of an array; none where there is no array.
pub fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text of the system's for an operator's eyes: one line, at most 300 characters.
pub fn said(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_taken_for_what_they_are() {
        let value = json!({"a": {"b": " x ", "n": 7, "f": 7.5, "s": "7.5", "no": false, "null": null, "l": [1, 2]}});
        assert_eq!(text(&value, "/a/b").as_deref(), Some("x"));
        assert_eq!(text(&value, "/a/n").as_deref(), Some("7"));
        assert_eq!((text(&value, "/a/no"), text(&value, "/a/null"), text(&value, "/a/zz")), (None, None, None));
        assert_eq!((number(&value, "/a/s"), number(&value, "/a/b")), (Some(7.5), None));
        assert_eq!((id(&value, "/a/n").as_deref(), id(&value, "/a/f")), (Some("7"), None));
        assert_eq!((list(&value, "/a/l").len(), list(&value, "/a/b").len()), (2, 0));
        assert_eq!(moment(&json!("2026-11-22 10:32:00"), "").as_deref(), Some("2026-11-22T10:32:00Z"));
        assert_eq!(moment(&value, "/a/b"), None);
        assert!(!flag(&value, "/a/no") && !flag(&value, "/a/n"));
        assert_eq!(said("a\nb"), "a b");
    }
}

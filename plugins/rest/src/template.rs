//! Texts with `{placeholders}` for a call's arguments: `/orders/{number}`, `{person.email}`.
//!
//! A placeholder in a path or query is percent-encoded, so that no argument leaves its place. In a body a text that
//! is one placeholder and nothing else becomes the argument itself, with its type; where the argument is absent, the
//! field is left out. `{{` and `}}` are braces.

use confab_plugin_sdk::path_segment;
use serde_json::{Map, Value};

/// A piece of a text.
enum Piece<'t> {
    Text(&'t str),
    Brace(char),
    Name(&'t str),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        out.push(Piece::Text(before));
        if let Some(after) = from.strip_prefix("{{") {
            out.push(Piece::Brace('{'));
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            out.push(Piece::Brace('}'));
            rest = after;
        } else if let Some((name, after)) = from.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            out.push(Piece::Name(name.trim()));
            rest = after;
        } else {
            return Err(format!("`{text}` has a brace without its other; write {{{{ or }}}} for a brace"));
        }
    }
    out.push(Piece::Text(rest));
    Ok(out)
}

/// The names in a text.
pub(crate) fn names(text: &str) -> Result<Vec<&str>, String> {
    Ok(pieces(text)?
        .into_iter()
        .filter_map(|piece| if let Piece::Name(name) = piece { Some(name) } else { None })
        .collect())
}

/// An argument by its name: `ticket.requester.email`, kebab-case or snake_case.
pub(crate) fn argument<'a>(arguments: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.')
        .try_fold(arguments, |value, part| value.get(part.replace('-', "_")))
        .filter(|value| !value.is_null())
}

/// Whether an operation has an argument of this name, which may be absent in a call.
pub(crate) fn knows(sample: &Value, name: &str) -> bool {
    name.split('.').try_fold(sample, |value, part| value.get(part.replace('-', "_"))).is_some()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(many) => many.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The text with its arguments; nothing when one of them is absent.
pub(crate) fn fill(text: &str, arguments: &Value, encode: bool) -> Option<String> {
    let mut out = String::new();
    for piece in pieces(text).ok()? {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Brace(brace) => out.push(brace),
            Piece::Name(name) => {
                let value = plain(argument(arguments, name)?);
                // An empty segment leads elsewhere: `/orders/` is all of them.
                if encode && value.trim().is_empty() {
                    return None;
                }
                if encode { out.push_str(&path_segment(&value)) } else { out.push_str(&value) }
            }
        }
    }
    Some(out)
}

/// A body with its arguments. Nothing where a text was one absent argument.
pub(crate) fn fill_value(body: &Value, arguments: &Value) -> Option<Value> {
    Some(match body {
        Value::String(text) => {
            let whole =
                text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).filter(|name| !name.contains(['{', '}']));
            match whole {
                Some(name) => argument(arguments, name.trim())?.clone(),
                // A text with something around the placeholder makes sense without it too: "Order {ticket.order-number}".
                None => Value::String(fill_gaps(text, arguments)),
            }
        }
        Value::Array(many) => Value::Array(many.iter().filter_map(|value| fill_value(value, arguments)).collect()),
        Value::Object(fields) => {
            let filled = fields.iter().filter_map(|(name, value)| Some((name.clone(), fill_value(value, arguments)?)));
            Value::Object(filled.collect::<Map<_, _>>())
        }
        other => other.clone(),
    })
}

fn fill_gaps(text: &str, arguments: &Value) -> String {
    let piece = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Brace(brace) => brace.to_string(),
        Piece::Name(name) => argument(arguments, name).map(plain).unwrap_or_default(),
    };
    pieces(text).into_iter().flatten().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_argument_can_not_leave_its_place() {
        let arguments = json!({"number": "../admin?x=1#y", "limit": 5, "skus": ["a", "b"], "none": null});
        assert_eq!(fill("/orders/{number}", &arguments, true).as_deref(), Some("/orders/..%2Fadmin%3Fx%3D1%23y"));
        assert_eq!(fill("{limit}", &arguments, true).as_deref(), Some("5"));
        assert_eq!(fill("{skus}", &arguments, true).as_deref(), Some("a%2Cb"));
        assert_eq!(fill("{none}", &arguments, true), None);
        assert_eq!(fill("/orders/{number}", &json!({"number": " "}), true), None);
        assert_eq!(fill("a{{b}}", &arguments, false).as_deref(), Some("a{b}"));
        assert!(names("{a").is_err() && names("a}").is_err());
    }

    #[test]
    fn a_body_keeps_types_and_leaves_out_what_is_absent() {
        let arguments = json!({"ticket": {"subject": "It's \"broken\"", "order_number": null, "n": 3}});
        let body = json!({"title": "{ticket.subject}", "order": "{ticket.order-number}", "n": "{ticket.n}",
            "note": "Order: {ticket.order-number}", "fixed": true, "list": ["{ticket.n}", "{ticket.order-number}"]});
        let filled = json!({"title": "It's \"broken\"", "n": 3, "note": "Order: ", "fixed": true, "list": [3]});
        assert_eq!(fill_value(&body, &arguments), Some(filled));
    }
}

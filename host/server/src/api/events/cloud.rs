//! CloudEvents 1.0 over HTTP: what their attributes are in our events.
//!
//! | CloudEvents | here |
//! |---|---|
//! | `source` and `id` | the id, in one text; the source is also the event's origin |
//! | `type` | the name; characters that names don't have become `_` |
//! | `subject` | the subject |
//! | `time` | when it happened |
//! | `data` | the data; what is no JSON is a text, and base64 where it is no text |
//! | `confabbot`, `confabconnection`, `confabsubjects` (extensions) | the bot, the connection, further subjects with commas between |

use super::Told;
use crate::gateway::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confab_engine::events::{NAME_BYTES, accept::digest};
use http::HeaderMap;
use serde_json::{Map, Value};

/// Whether a request is a CloudEvent in binary mode: its attributes are headers.
pub(super) fn is_binary(headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion")
}

/// A CloudEvent as JSON.
pub(super) fn structured(event: Value, at: &str) -> Result<Told, Problem> {
    let Value::Object(mut attributes) = event else {
        return Err(Problem::invalid_input("a CloudEvent is a JSON object").at(at));
    };
    let plain = attributes.remove("data");
    let data = match (plain, attributes.remove("data_base64")) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid_input("has `data` and `data_base64`").at(&format!("{at}/data_base64")));
        }
        (Some(data), None) => data,
        (None, None) => Value::Null,
        (None, Some(encoded)) => {
            let bytes = encoded.as_str().and_then(|text| STANDARD.decode(text).ok());
            let wrong = || Problem::invalid_input("must be base64").at(&format!("{at}/data_base64"));
            let kind = attributes.get("datacontenttype").and_then(Value::as_str).unwrap_or("application/json");
            content(kind, &bytes.ok_or_else(wrong)?, &format!("{at}/data_base64"))?
        }
    };
    told(&attributes, data, at)
}

/// A CloudEvent whose attributes are headers; `form` is its content's type.
pub(super) fn binary(headers: &HeaderMap, form: &str, body: &[u8]) -> Result<Told, Problem> {
    let mut attributes = Map::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix("ce-") else { continue };
        let value = value.to_str().ok().and_then(decoded);
        let value = value.ok_or_else(|| Problem::bad_request(format!("the header ce-{name} can't be read")))?;
        if attributes.insert(name.to_owned(), Value::String(value)).is_some() {
            return Err(Problem::bad_request(format!("the header ce-{name} is there twice")));
        }
    }
    let form = if form.is_empty() { "application/json" } else { form };
    told(&attributes, content(form, body, "")?, "")
}

/// What a body of some type is as JSON.
fn content(form: &str, body: &[u8], at: &str) -> Result<Value, Problem> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let essence = form.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence.ends_with("/json") || essence.ends_with("+json") {
        return serde_json::from_slice(body).map_err(|e| Problem::broken_json(e.to_string()).at(at));
    }
    Ok(Value::String(std::str::from_utf8(body).map_or_else(|_| STANDARD.encode(body), str::to_owned)))
}

fn told(attributes: &Map<String, Value>, data: Value, at: &str) -> Result<Told, Problem> {
    let wrong = |name: &str, detail: &str| Problem::invalid_input(detail).at(&format!("{at}/{name}"));
    let text = |name: &str| match attributes.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(wrong(name, "must be a text that is not empty")),
    };
    let required = |name: &str| text(name)?.ok_or_else(|| wrong(name, "is missing: every CloudEvent has it"));
    if required("specversion")? != "1.0" {
        return Err(wrong("specversion", "must be 1.0"));
    }
    let (source, id, name) = (required("source")?, required("id")?, required("type")?);
    if source.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(wrong("source", "must be a URI reference"));
    }
    let time = text("time")?;
    if time.as_deref().is_some_and(|moment| moment.parse::<jiff::Timestamp>().is_err()) {
        return Err(wrong("time", "must be a moment as RFC 3339 has it: 2026-11-22T10:32:00Z"));
    }
    let mut subjects: Vec<String> = text("subject")?.into_iter().collect();
    if let Some(more) = text("confabsubjects")? {
        subjects.extend(more.split(',').map(|subject| subject.trim().to_owned()).filter(|subject| !subject.is_empty()));
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '_' };
    Ok(Told {
        name: name.chars().map(plain).collect(),
        data,
        id: Some(known_by(&source, &id)),
        subjects,
        occurred_at: time,
        origin: Some(source),
        bot: text("confabbot")?,
        connection: text("confabconnection")?,
        at: at.to_owned(),
        name_field: "type",
    })
}

/// Source and id as one text. A source has no space, so two different pairs are never the same text.
fn known_by(source: &str, id: &str) -> String {
    let both = format!("{source} {id}");
    if both.len() <= NAME_BYTES && !both.chars().any(char::is_control) {
        return both;
    }
    format!("ce-{}", digest(both.as_bytes()))
}

/// Headers hold what is no printable ASCII with percent signs (3.1.3.2 of the HTTP binding).
fn decoded(value: &str) -> Option<String> {
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let hex = match (first, after) {
            (b'%', [high, low, ..]) => digit(high).zip(digit(low)),
            _ => None,
        };
        match hex {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use serde_json::json;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        given.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    const LEAST: [(&str, &str); 4] = [
        ("ce-specversion", "1.0"),
        ("ce-id", "7"),
        ("ce-source", "/shop/eu"),
        ("ce-type", "com.example.order-shipped"),
    ];

    #[test]
    fn the_same_event_in_three_modes_is_the_same() {
        let event = json!({"specversion": "1.0", "id": "7", "source": "/shop/eu", "type": "com.example.order-shipped",
            "subject": "order:1", "time": "2026-11-22T10:00:00Z", "datacontenttype": "application/json", "data": {"a": 1}});
        let mut encoded = event.clone();
        encoded["data_base64"] = STANDARD.encode(r#"{"a": 1}"#).into();
        encoded.as_object_mut().unwrap().remove("data");
        let given = [&LEAST[..], &[("ce-subject", "order:1"), ("ce-time", "2026-11-22T10:00:00Z")]].concat();
        let binary = binary(&headers(&given), "application/json; charset=utf-8", br#"{"a": 1}"#).unwrap();
        for told in [structured(event, "").unwrap(), structured(encoded, "/3").unwrap(), binary] {
            assert_eq!((told.id.as_deref(), told.name.as_str()), (Some("/shop/eu 7"), "com.example.order_shipped"));
            assert_eq!((told.subjects, told.data), (vec!["order:1".to_owned()], json!({"a": 1})));
            assert_eq!(
                (told.occurred_at.as_deref(), told.origin.as_deref()),
                (Some("2026-11-22T10:00:00Z"), Some("/shop/eu"))
            );
        }
    }

    #[test]
    fn what_is_no_json_is_a_text() {
        let of = |form: &str, body: &[u8]| binary(&headers(&LEAST), form, body).unwrap().data;
        assert_eq!(of("text/plain", b"hello"), json!("hello"));
        assert_eq!(of("image/png", b"\xff\xd8"), json!("/9g="));
        assert_eq!(of("", b""), Value::Null);
        assert!(binary(&headers(&LEAST), "application/json", b"{").is_err());
    }

    #[test]
    fn what_every_cloud_event_has_must_be_there() {
        let whole = json!({"specversion": "1.0", "id": "7", "source": "/s", "type": "t"});
        assert!(structured(whole.clone(), "").is_ok());
        for (member, value) in [
            ("specversion", json!("0.3")),
            ("specversion", Value::Null),
            ("id", json!("")),
            ("id", json!(7)),
            ("source", json!("a b")),
            ("source", Value::Null),
            ("type", Value::Null),
            ("time", json!("noon")),
            ("data_base64", json!("%")),
        ] {
            let mut event = whole.clone();
            event[member] = value;
            let problem = structured(event, "/2").err().unwrap();
            let pointer = problem.extra.iter().find(|(name, _)| *name == "errors").unwrap().1[0]["pointer"].clone();
            assert_eq!(pointer, json!(format!("/2/{member}")));
        }
        assert!(structured(json!([]), "").is_err());
    }

    #[test]
    fn headers_are_decoded_and_a_long_source_still_tells_events_apart() {
        assert_eq!(decoded("Euro %E2%82%AC %").as_deref(), Some("Euro \u{20ac} %"));
        assert_eq!(decoded("\"quoted\"").as_deref(), Some("quoted"));
        assert_eq!(decoded("%FF"), None);
        let long = "/".repeat(300);
        assert!(known_by(&long, "1") != known_by(&long, "2") && known_by(&long, "1").len() < NAME_BYTES);
    }
}

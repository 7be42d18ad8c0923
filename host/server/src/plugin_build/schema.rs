//! Where a settings schema is wrong: the engine's gate says whether it is, and JSON Schema's own schema where.

use serde_json::{Value, json};

/// Keywords whose value is a schema, or a list of schemas (`items` was both).
const SCHEMAS: &[&str] = &[
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value has schemas by name.
const BY_NAME: &[&str] =
    &["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"];
/// The other keywords of drafts 4 to 2020-12.
const OTHERS: &[&str] = &[
    "$anchor",
    "$comment",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveAnchor",
    "$recursiveRef",
    "$ref",
    "$schema",
    "$vocabulary",
    "const",
    "contentEncoding",
    "contentMediaType",
    "default",
    "dependentRequired",
    "deprecated",
    "description",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "id",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
    "writeOnly",
];

/// What is wrong, each with its place as JSON pointer. `refused` is the gate's word on a schema or a part of one.
pub(super) fn problems(schema: &Value, refused: impl Fn(&Value) -> Option<String>) -> Vec<String> {
    let Some(whole) = refused(schema) else { return Vec::new() };
    let mut found = Vec::new();
    if let Ok(meta) = jsonschema::meta::validator_for(schema) {
        found.extend(meta.iter_errors(schema).map(|e| format!("{}: {e}", at(e.instance_path().as_str()))));
    }
    walk(schema, "", &mut |pointer, keyword, value| {
        let patterns: Vec<(String, Value)> = match (keyword, value) {
            ("pattern", Value::String(pattern)) => vec![(pattern.clone(), json!({ "pattern": pattern }))],
            ("patternProperties", Value::Object(by_pattern)) => by_pattern
                .keys()
                .map(|pattern| (pattern.clone(), json!({"patternProperties": {pattern.as_str(): {}}})))
                .collect(),
            _ => return,
        };
        for (pattern, alone) in patterns {
            if refused(&alone).is_some() {
                found.push(format!(
                    "{pointer}: the pattern `{pattern}` can't be used: no look-around (`(?=`, `(?!`), no back references \
                     (`\\1`), and none that gets large when it is compiled (`a{{1000}}{{1000}}`)"
                ));
            }
        }
    });
    if found.is_empty() {
        found.push(whole);
    }
    found
}

/// Words that are no keyword, with their places: JSON Schema takes them and does nothing.
pub(super) fn doubts(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(schema, "", &mut |pointer, keyword, _| {
        if all().any(|known| known == keyword) || keyword.starts_with("x-") {
            return;
        }
        let start = |a: &str, b: &str| b.len() > 2 && a.to_lowercase().starts_with(&b.to_lowercase());
        let near = all().find(|known| start(known, keyword) || start(keyword, known));
        let meant = near.map(|known| format!("; is `{known}` meant?")).unwrap_or_default();
        found.push(format!("{pointer}: `{keyword}` is no keyword of JSON Schema and does nothing{meant}"));
    });
    found
}

fn all() -> impl Iterator<Item = &'static str> {
    [SCHEMAS, BY_NAME, OTHERS].into_iter().flatten().copied()
}

fn at(pointer: &str) -> &str {
    if pointer.is_empty() { "/" } else { pointer }
}

/// Visits every keyword of a schema and of the schemas in it: its place, itself, and its value.
fn walk(schema: &Value, pointer: &str, visit: &mut impl FnMut(&str, &str, &Value)) {
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        let here = below(pointer, keyword);
        visit(&here, keyword, value);
        match value {
            Value::Object(named) if BY_NAME.contains(&keyword.as_str()) => {
                named.iter().for_each(|(name, schema)| walk(schema, &below(&here, name), visit));
            }
            Value::Array(list) if SCHEMAS.contains(&keyword.as_str()) => {
                list.iter().enumerate().for_each(|(n, schema)| walk(schema, &below(&here, &n.to_string()), visit));
            }
            value if SCHEMAS.contains(&keyword.as_str()) => walk(value, &here, visit),
            _ => {}
        }
    }
}

fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_do_nothing_are_told_with_their_place() {
        let schema = json!({
            "type": "object",
            "properties": {
                "maxlen": {"type": "string", "maxlen": 5, "x-order": 1},
                "list": {"type": "array", "items": {"anyOf": [{"titel": "T"}]}},
            },
            "requierd": ["maxlen"],
            "default": {"anything": "goes"},
        });
        let mut told = doubts(&schema);
        told.sort();
        assert_eq!(
            told,
            [
                "/properties/list/items/anyOf/0/titel: `titel` is no keyword of JSON Schema and does nothing",
                "/properties/maxlen/maxlen: `maxlen` is no keyword of JSON Schema and does nothing; is `maxLength` meant?",
                "/requierd: `requierd` is no keyword of JSON Schema and does nothing",
            ]
        );
    }

    #[test]
    fn a_schema_that_is_refused_is_told_with_its_places() {
        let schema = json!({"properties": {
            "a/b": {"type": "text"},
            "sku": {"type": "string", "pattern": "^(?=a)"},
            "good": {"type": "string", "pattern": "^a+$"},
        }});
        let refused = |part: &Value| part.to_string().contains("(?=").then(|| "no".to_owned());
        let mut told = problems(&schema, refused);
        told.sort();
        assert!(told.len() == 2 && told[0].starts_with("/properties/a~1b/type: \"text\" is not"), "{told:?}");
        assert!(told[1].starts_with("/properties/sku/pattern: the pattern `^(?=a)` can't be used"), "{told:?}");
        assert_eq!(problems(&json!({"type": "text"}), |_| None), Vec::<String>::new());
        assert_eq!(problems(&json!({}), |_| Some("too large".into())), ["too large"]);
    }
}

//! The JSON Schema of a connector's settings, which a stranger's plugin brings along.
//!
//! Its patterns are compiled into automata, and `a{1000}{1000}` would make gigabytes of twelve characters. So they are
//! of the linear kind (no look-around, no way back), each has a size, and there is an end to their number and to the
//! schema as a whole. References lead nowhere: jsonschema is built without a way to files and the network.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Bytes of a schema. The largest of ours has 3 KiB.
const SCHEMA_BYTES: usize = 64 * 1024;
/// Patterns of a schema, each of which may take [`PATTERN_BYTES`].
const PATTERNS: usize = 64;
/// Bytes of a compiled pattern: a tenth of what the regex crate allows by itself.
const PATTERN_BYTES: usize = 1024 * 1024;

/// A schema, ready to check settings with; or what is wrong with it.
pub(crate) fn validator(schema: &Value) -> Result<Validator, String> {
    let bytes = schema.to_string().len();
    if bytes > SCHEMA_BYTES {
        return Err(format!("it has {bytes} bytes, more than {SCHEMA_BYTES}"));
    }
    let found = patterns(schema);
    if found > PATTERNS {
        return Err(format!("it has {found} patterns, more than {PATTERNS}"));
    }
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
    jsonschema::options().with_pattern_options(patterns).build(schema).map_err(|e| e.to_string())
}

/// How many patterns there are, at whatever place.
fn patterns(schema: &Value) -> usize {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let own = match (name.as_str(), value) {
                    ("pattern", _) => 1,
                    ("patternProperties", Value::Object(patterns)) => patterns.len(),
                    _ => 0,
                };
                own + patterns(value)
            })
            .sum(),
        Value::Array(items) => items.iter().map(patterns).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ordinary_schemas_check_settings() {
        let schema = json!({"type": "object", "properties": {"currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
            "name": {"type": "string", "pattern": "^\\w{1,16}$"}}});
        let validator = validator(&schema).unwrap();
        assert!(validator.is_valid(&json!({"currency": "EUR", "name": "Koeln"})));
        assert!(!validator.is_valid(&json!({"currency": "Euro"})));
    }

    #[test]
    fn a_schema_can_not_take_the_hosts_memory_or_time() {
        let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("^a{n}"), json!({}))).collect();
        for (schema, words) in [
            (json!({"properties": {"a": {"pattern": "a{1000}{1000}"}}}), "a{1000}{1000}"),
            (json!({"patternProperties": {"(\\w{500}){500}": {}}}), "500"),
            (json!({"properties": {"a": {"pattern": "^(?=a)(?!b)"}}}), "(?="),
            (json!({"properties": {"a": {"pattern": "(a+)\\1"}}}), "(a+)"),
            (json!({"patternProperties": many}), "65 patterns"),
            (json!({"description": "x".repeat(SCHEMA_BYTES)}), "more than 65536"),
            (json!({"$ref": "file:///etc/passwd"}), "/etc/passwd"),
        ] {
            let error = validator(&schema).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}

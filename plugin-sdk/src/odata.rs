//! OData: queries that say what they mean, and the shapes of version 2 (SAP).

use crate::json::said;
use crate::text::path_segment;
use serde_json::Value;

/// A text as a literal of `$filter` and of keys: `O'Neil` is `'O''Neil'`.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A query on an entity set.
#[derive(Debug, Clone, Default)]
pub struct Query {
    path: String,
    options: Vec<(&'static str, String)>,
}

impl Query {
    /// On a path below the endpoint: `/A_SalesOrder`, `/A_SalesOrder('1')/to_Item`. Literals of keys: [`literal`], then
    /// [`path_segment`].
    pub fn new(path: impl Into<String>) -> Self {
        Query { path: path.into(), options: Vec::new() }
    }
    fn with(mut self, name: &'static str, value: String) -> Self {
        self.options.push((name, value));
        self
    }
    /// `$filter`. Texts in it by [`literal`].
    #[must_use]
    pub fn filter(self, expression: impl Into<String>) -> Self {
        self.with("$filter", expression.into())
    }
    /// `$select`
    #[must_use]
    pub fn select(self, fields: &[&str]) -> Self {
        self.with("$select", fields.join(","))
    }
    /// `$expand`
    #[must_use]
    pub fn expand(self, fields: &[&str]) -> Self {
        self.with("$expand", fields.join(","))
    }
    /// `$orderby`
    #[must_use]
    pub fn order_by(self, expression: &str) -> Self {
        self.with("$orderby", expression.to_owned())
    }
    /// `$top`
    #[must_use]
    pub fn top(self, count: u32) -> Self {
        self.with("$top", count.to_string())
    }
    /// `$skip`
    #[must_use]
    pub fn skip(self, count: u32) -> Self {
        self.with("$skip", count.to_string())
    }
    /// `$inlinecount=allpages`, the count of version 2.
    #[must_use]
    pub fn count(self) -> Self {
        self.with("$inlinecount", "allpages".to_owned())
    }
    /// The path with its query, encoded, in JSON.
    pub fn path(self) -> String {
        let options = self.options.iter().map(|(name, value)| format!("{name}={}", path_segment(value)));
        let options: Vec<String> = options.chain(["$format=json".to_owned()]).collect();
        format!("{}?{}", self.path, options.join("&"))
    }
}

/// The entities of an answer of version 2: `d.results`, `d` as a list, or the one entity that `d` is.
pub fn v2_results(mut answer: Value) -> Vec<Value> {
    let mut d = answer.get_mut("d").map(Value::take).unwrap_or_default();
    if let Some(Value::Array(results)) = d.get_mut("results").map(Value::take) {
        return results;
    }
    match d {
        Value::Array(results) => results,
        Value::Object(entity) => vec![Value::Object(entity)],
        _ => Vec::new(),
    }
}

/// The next page of an answer of version 2, as a whole URL.
pub fn v2_next(answer: &Value) -> Option<&str> {
    answer.pointer("/d/__next")?.as_str()
}

/// What an error of version 2 says.
pub fn v2_error(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let message = answer.pointer("/error/message")?;
    Some(said(message.get("value").unwrap_or(message).as_str()?))
}

/// `/Date(1700000000000)/` as RFC 3339. The offset that may follow is for display; the number is UTC.
pub fn v2_moment(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix("/Date(")?.strip_suffix(")/")?;
    let (negative, digits) = inner.strip_prefix('-').map_or((false, inner), |rest| (true, rest));
    let millis: u64 = digits.split(['+', '-']).next()?.parse().ok()?;
    (!negative).then(|| crate::dates::of_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_query_is_encoded_and_its_texts_cannot_leave_their_quotes() {
        let filter = format!("A eq {} and B eq 1", literal("O'Neil' or 1 eq 1"));
        let path = Query::new("/Set").filter(filter).select(&["A", "B"]).top(5).skip(0).path();
        assert_eq!(
            path,
            "/Set?$filter=A%20eq%20%27O%27%27Neil%27%27%20or%201%20eq%201%27%20and%20B%20eq%201&$select=A%2CB&$top=5&$skip=0&$format=json"
        );
    }

    #[test]
    fn answers_of_version_2_are_lists_or_one() {
        assert_eq!(v2_results(json!({"d": {"results": [1, 2], "__next": "https://x"}})), [1, 2]);
        assert_eq!(v2_results(json!({"d": [1]})), [1]);
        assert_eq!(v2_results(json!({"d": {"A": 1}})), [json!({"A": 1})]);
        assert!(v2_results(json!({"d": null})).is_empty() && v2_results(json!(7)).is_empty());
        assert_eq!(v2_next(&json!({"d": {"__next": "u"}})), Some("u"));
        let body = br#"{"error":{"code":"005","message":{"lang":"en","value":"Resource not found"}}}"#;
        assert_eq!(v2_error(body).as_deref(), Some("Resource not found"));
        assert_eq!(v2_error(b"<html>"), None);
    }

    #[test]
    fn moments_of_version_2_are_milliseconds() {
        assert_eq!(v2_moment("/Date(1700000000000)/").as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!(v2_moment("/Date(1700000000000+0060)/").as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!((v2_moment("/Date(-1)/"), v2_moment("2023"), v2_moment("/Date()/")), (None, None, None));
    }
}

//! GraphQL over HTTP: one path, a document and its variables; errors stand in answers with status 200.

use crate::error::{Code, Result, error};
use crate::http::Request;
use crate::json::said;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A GraphQL API at one endpoint.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: String,
    path: String,
}

impl Client {
    /// The API at a path of an endpoint.
    pub fn new(endpoint: &str, path: &str) -> Self {
        Client { endpoint: endpoint.to_owned(), path: path.to_owned() }
    }

    /// Runs a document and gives its `data`.
    ///
    /// Values belong into `variables`, never into the document: nothing then needs escaping.
    ///
    /// # Errors
    /// What the status or the first of `errors` means ([`code`]); `internal` for data of another shape.
    pub fn query<T: DeserializeOwned>(&self, document: &str, variables: Value) -> Result<T> {
        let body = json!({"query": document, "variables": variables});
        let response = Request::post(&self.endpoint, &*self.path).json(&body).send()?;
        // Some servers explain a 400 in `errors` too, so the body is looked at before the status.
        let answer: Value = match response.json_any_status::<Value>() {
            Ok(answer) if answer.get("errors").is_some() || (200..300).contains(&response.status) => answer,
            _ => response.json()?,
        };
        if let Some(first) = answer.get("errors").and_then(Value::as_array).and_then(|errors| errors.first()) {
            return Err(error(code(first), format!("the system refuses the request: {}", message(first))));
        }
        if let Some(text) = answer.get("errors").and_then(Value::as_str) {
            return Err(error(Code::Internal, format!("the system refuses the request: {}", said(text))));
        }
        match answer {
            Value::Object(mut answer) => Ok(serde_json::from_value(answer.remove("data").unwrap_or_default())?),
            _ => Err(error(Code::Internal, "the system's answer is no GraphQL answer")),
        }
    }
}

fn message(fault: &Value) -> String {
    said(fault.get("message").and_then(Value::as_str).unwrap_or("without a message"))
}

/// What an entry of `errors` means, by `extensions.code` as Apollo, Vendure, Shopify and GitHub write it.
pub fn code(fault: &Value) -> Code {
    let code =
        fault.pointer("/extensions/code").or_else(|| fault.get("type")).and_then(Value::as_str).unwrap_or_default();
    match code.to_ascii_uppercase().as_str() {
        "THROTTLED" | "RATE_LIMITED" | "MAX_COST_EXCEEDED" => Code::RateLimited,
        "FORBIDDEN" | "ACCESS_DENIED" | "INSUFFICIENT_SCOPES" => Code::Forbidden,
        "UNAUTHENTICATED" | "UNAUTHORIZED" => Code::Misconfigured,
        "NOT_FOUND" | "ENTITY_NOT_FOUND" => Code::NotFound,
        "BAD_USER_INPUT" | "USER_INPUT_ERROR" => Code::InvalidInput,
        "TIMEOUT" => Code::Timeout,
        "SERVICE_UNAVAILABLE" => Code::Unavailable,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Host};

    fn ask(answer: Answer) -> Result<Value> {
        let host = Host::new().on(move |_| answer.clone());
        let result = host.run(|| Client::new("api", "/graphql").query("query($a: Int) { x }", json!({"a": 1})));
        let sent = host.sent();
        assert_eq!((sent[0].method.as_str(), sent[0].path.as_str()), ("POST", "/graphql"));
        assert_eq!(sent[0].json(), json!({"query": "query($a: Int) { x }", "variables": {"a": 1}}));
        result
    }

    #[test]
    fn data_is_given_and_errors_are_told_by_their_code() {
        assert_eq!(ask(Answer::json(200, json!({"data": {"x": 1}}))).unwrap(), json!({"x": 1}));
        for (code, ours) in [("THROTTLED", "rate-limited"), ("ACCESS_DENIED", "forbidden"), ("odd", "internal")] {
            let errors = json!({"data": null, "errors": [{"message": "no", "extensions": {"code": code}}]});
            for status in [200, 400] {
                assert_eq!(ask(Answer::json(status, errors.clone())).unwrap_err().code, ours, "{code}");
            }
        }
        assert_eq!(ask(Answer::status(401)).unwrap_err().code, "misconfigured");
        assert_eq!(ask(Answer::status(503)).unwrap_err().code, "unavailable");
        assert_eq!(ask(Answer::json(404, json!({"errors": "Not Found"}))).unwrap_err().code, "internal");
        assert_eq!(ask(Answer::json(200, json!([1]))).unwrap_err().code, "internal");
    }
}

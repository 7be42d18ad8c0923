//! GraphQL over HTTP: one path, a document and its variables; errors stand in answers with status 200.

use crate::error::{Code, Result, error};
use crate::http::Request;
use crate::json::said;
use crate::types::Error;
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
            _ => response.clone().json()?,
        };
        if let Some(first) = answer.get("errors").and_then(Value::as_array).and_then(|errors| errors.first()) {
            let refused = error(code(first), format!("the system refuses the request: {}", message(first)));
            return Err(Error { retry_after: affordable_in(&answer), ..refused });
        }
        if let Some(text) = answer.get("errors").and_then(Value::as_str) {
            // No answer of GraphQL's: the status says what it is.
            return Err(match response.ok() {
                Ok(_) => error(Code::Internal, format!("the system refuses the request: {}", said(text))),
                Err(e) => Error { message: format!("{}: {}", e.message, said(text)), ..e },
            });
        }
        match answer {
            Value::Object(mut answer) => Ok(serde_json::from_value(answer.remove("data").unwrap_or_default())?),
            _ => Err(error(Code::Internal, "the system's answer is no GraphQL answer")),
        }
    }
}

/// Seconds until the request can be paid for, where the system counts costs as Shopify does.
fn affordable_in(answer: &Value) -> Option<u32> {
    let number = |pointer: &str| answer.pointer(pointer).and_then(Value::as_f64);
    let missing =
        number("/extensions/cost/requestedQueryCost")? - number("/extensions/cost/throttleStatus/currentlyAvailable")?;
    let seconds = (missing / number("/extensions/cost/throttleStatus/restoreRate").filter(|rate| *rate > 0.0)?).ceil();
    (1.0..=3_600.0).contains(&seconds).then_some(seconds as u32)
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
    fn a_request_that_costs_too_much_now_says_when_it_may_be_repeated() {
        let status = json!({"maximumAvailable": 2000, "currentlyAvailable": 40, "restoreRate": 100});
        let answer = json!({
            "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
            "extensions": {"cost": {"requestedQueryCost": 241, "actualQueryCost": null, "throttleStatus": status}},
        });
        let throttled = ask(Answer::json(200, answer)).unwrap_err();
        assert_eq!((throttled.code.as_str(), throttled.retry_after), ("rate-limited", Some(3)));
        let plain = json!({"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]});
        assert_eq!(ask(Answer::json(200, plain)).unwrap_err().retry_after, None);
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
        for (status, code) in [(200, "internal"), (401, "misconfigured"), (404, "not-found"), (402, "internal")] {
            let refused = ask(Answer::json(status, json!({"errors": "Unavailable Shop"}))).unwrap_err();
            assert_eq!(refused.code, code, "{status}");
            assert!(refused.message.ends_with("Unavailable Shop"), "{}", refused.message);
        }
        assert_eq!(ask(Answer::json(200, json!([1]))).unwrap_err().code, "internal");
    }
}

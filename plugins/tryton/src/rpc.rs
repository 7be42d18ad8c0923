//! Tryton's JSON-RPC: one path, a method and its parameters.
//!
//! Tryton says what went wrong in the body of an answer with status 200, as `[kind, details]`:
//!
//! | kind | means | code |
//! |---|---|---|
//! | `UserError` | a rule of the model, or a missing right (told by the text, in English because calls ask for it) | `invalid-input`, `forbidden` |
//! | `UserWarning`, `ConcurrencyException` | somebody has to decide, or was faster | `conflict` |
//! | `LoginException`, `NotLogged`, `RateLimitException` | the session | `misconfigured`, `rate-limited` |
//! | `'sale.opportunity'` (a Python `KeyError`) | no such model or field: a module is not activated | `misconfigured` |

use confab_plugin_sdk::http::Request;
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};

/// Tryton, as far as the connector needs it: over HTTP in the plugin, recorded answers in tests.
pub(crate) trait Rpc {
    fn call(&mut self, method: &str, params: Value) -> Result<Value>;
}

/// The connection's endpoint. The host signs in and renews the session.
pub(crate) struct Live;

impl Rpc for Live {
    fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let body = json!({"id": 1, "method": method, "params": params});
        let answer: Value = Request::post("rpc", "/rpc/").json(&body).send()?.json()?;
        result(method, answer)
    }
}

/// What an answer holds: the result, or why there is none.
pub(crate) fn result(method: &str, mut answer: Value) -> Result<Value> {
    match answer.get("error") {
        Some(fault) if !fault.is_null() => Err(from_fault(method, fault)),
        _ => Ok(answer.get_mut("result").map(Value::take).unwrap_or_default()),
    }
}

fn from_fault(method: &str, fault: &Value) -> Error {
    let kind = fault.get(0).and_then(Value::as_str).unwrap_or_default();
    let details = fault.get(1);
    let said = details.and_then(|d| d.get(0).or(Some(d))).and_then(Value::as_str).unwrap_or_default();
    let said: String = said.chars().take(300).collect();
    let what = method.strip_prefix("model.").unwrap_or(method);
    match kind {
        "UserError" if is_read(method) || said.contains("not allowed") => {
            error(Code::Forbidden, format!("Tryton refuses {what} to the connection's user: {said}"))
        }
        "UserError" => error(Code::InvalidInput, format!("Tryton refuses {what}: {said}")),
        "UserWarning" => error(Code::Conflict, format!("Tryton wants a person to decide on {what}: {said}")),
        "ConcurrencyException" => error(Code::Conflict, format!("{what}: somebody else changed it meanwhile")),
        "RateLimitException" => error(Code::RateLimited, "Tryton asks for patience".to_owned()),
        "LoginException" | "NotLogged" => error(Code::Misconfigured, "Tryton does not accept the session".to_owned()),
        missing if missing.starts_with('\'') => {
            let message =
                format!("Tryton does not know {missing}, asked for by {what}: activate the module that has it");
            error(Code::Misconfigured, message)
        }
        other => {
            error(Code::Internal, format!("Tryton failed in {what}: {}", other.chars().take(200).collect::<String>()))
        }
    }
}

/// Reading breaks no rule of a model, so what is refused is a right.
fn is_read(method: &str) -> bool {
    [".search", ".search_read", ".read", ".fields_get", ".search_count"].iter().any(|m| method.ends_with(m))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(method: &str, fault: Value) -> String {
        result(method, json!({"id": 1, "error": fault})).unwrap_err().code
    }

    #[test]
    fn faults_in_the_body_become_codes() {
        // As recorded from Tryton 8.2.
        let denied = json!(["UserError", ["You are not allowed to access \"User\".", "Within groups: Sales", null]]);
        assert_eq!(code("model.res.user.write", denied.clone()), "forbidden");
        assert_eq!(
            code("model.sale.sale.search_read", json!(["UserError", ["Sie dürfen nicht", "", null]])),
            "forbidden"
        );
        assert_eq!(
            code("model.party.party.create", json!(["UserError", ["The value is not valid", "", null]])),
            "invalid-input"
        );
        assert_eq!(code("model.helpdesk.ticket.search", json!(["'helpdesk.ticket'", ""])), "misconfigured");
        assert_eq!(code("model.x.y", json!(["invalid offset: 'a'", ""])), "internal");
        assert_eq!(result("m", json!({"id": 1, "result": [1]})).unwrap(), json!([1]));
        assert_eq!(result("m", json!({"id": 1, "result": null})).unwrap(), Value::Null);
    }
}

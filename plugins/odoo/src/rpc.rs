//! Odoo's external API: one path, a service, a method and its arguments.
//!
//! Odoo answers errors with status 200. `data.name` is the class of the Python exception, which is the same in every
//! language and version, so codes are made of it:
//!
//! | exception | means | code |
//! |---|---|---|
//! | `odoo.exceptions.AccessDenied` | user or key | `misconfigured` |
//! | `odoo.exceptions.AccessError` | a missing right, a record of another company | `forbidden` |
//! | `odoo.exceptions.MissingError` | deleted meanwhile | `not-found` |
//! | `odoo.exceptions.UserError`, `ValidationError`, `RedirectWarning` | a rule of the model | `invalid-input` |
//! | `UserError` that names the model | no such model: a module is not installed | `misconfigured` |
//! | `psycopg2.OperationalError` | no such database | `misconfigured` |
//! | `psycopg2.errors.*` | others write the same record | `conflict` |
//! | anything else (`builtins.ValueError: Invalid field ..`) | this connector doesn't know this Odoo | `internal` |
//!
//! A result that is nothing has no `result` at all in its answer.

use confab_plugin_sdk::http::Request;
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};

/// Calls a method of a service. `about` is for messages: `sale.order search_read`.
pub(crate) fn call(service: &str, method: &str, arguments: Value, about: &str) -> Result<Value> {
    let params = json!({"service": service, "method": method, "args": arguments});
    let body = json!({"jsonrpc": "2.0", "method": "call", "params": params, "id": 1});
    let mut answer: Value = Request::post("rpc", "/jsonrpc").json(&body).send()?.json()?;
    match answer.get("error") {
        Some(fault) if !fault.is_null() => Err(from_fault(fault, about)),
        _ => Ok(answer.get_mut("result").map(Value::take).unwrap_or_default()),
    }
}

fn from_fault(fault: &Value, about: &str) -> Error {
    let at = |pointer: &str| fault.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = at("/data/name");
    // The first line says it; what follows names records and people.
    let said: String = at("/data/message").trim().lines().next().unwrap_or_default().chars().take(200).collect();
    let model = about.split(' ').next().unwrap_or_default();
    let (code, message) = match name {
        "odoo.exceptions.AccessDenied" => (
            Code::Misconfigured,
            "Odoo does not accept the connection's user and API key: make a new key (Preferences, Account Security)".into(),
        ),
        "odoo.exceptions.AccessError" => {
            (Code::Forbidden, format!("Odoo refuses {about} to the connection's user: {said}"))
        }
        "odoo.exceptions.MissingError" => (Code::NotFound, format!("{about}: the record is not there any more")),
        "odoo.exceptions.UserError" | "builtins.KeyError" if said.contains(model) => {
            (Code::Misconfigured, format!("Odoo has no {model}: install the app that brings it"))
        }
        "odoo.exceptions.UserError" | "odoo.exceptions.ValidationError" | "odoo.exceptions.RedirectWarning" => {
            (Code::InvalidInput, format!("Odoo refuses {about}: {said}"))
        }
        "psycopg2.OperationalError" => {
            (Code::Misconfigured, "Odoo can't open the database: look at the setting `database`".into())
        }
        name if name.starts_with("psycopg2.errors.") => {
            (Code::Conflict, format!("{about}: somebody else is changing the same record"))
        }
        _ => {
            let known = if name.is_empty() { at("/message") } else { name };
            (Code::Internal, format!("Odoo failed in {about}: {known}: {said}"))
        }
    };
    error(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: &str, message: &str) -> String {
        let data = json!({"name": name, "debug": "Traceback", "message": message, "arguments": [message], "context": {}});
        let fault = json!({"code": 200, "message": "Odoo Server Error", "data": data});
        from_fault(&fault, "helpdesk.ticket create").code
    }

    #[test]
    fn exceptions_become_codes() {
        assert_eq!(code("odoo.exceptions.AccessDenied", "Access Denied"), "misconfigured");
        assert_eq!(code("odoo.exceptions.AccessError", "You are not allowed to create 'X' (x) records."), "forbidden");
        assert_eq!(code("odoo.exceptions.MissingError", "Record does not exist or has been deleted."), "not-found");
        assert_eq!(code("odoo.exceptions.UserError", "Object helpdesk.ticket doesn't exist"), "misconfigured");
        assert_eq!(code("odoo.exceptions.UserError", "Objekt helpdesk.ticket existiert nicht"), "misconfigured");
        assert_eq!(code("odoo.exceptions.UserError", "Please choose a team"), "invalid-input");
        assert_eq!(code("odoo.exceptions.ValidationError", "The operation cannot be completed"), "invalid-input");
        assert_eq!(code("psycopg2.OperationalError", "FATAL:  database \"x\" does not exist"), "misconfigured");
        assert_eq!(code("psycopg2.errors.SerializationFailure", "could not serialize access"), "conflict");
        assert_eq!(code("builtins.ValueError", "Invalid field 'x' on model 'helpdesk.ticket'"), "internal");
    }

    #[test]
    fn only_the_first_line_of_what_odoo_says_is_told() {
        let data = json!({"name": "odoo.exceptions.AccessError", "message": "Not allowed.\n\nRecords: Erika (res.partner: 7)"});
        let error = from_fault(&json!({"code": 200, "data": data}), "res.partner read");
        assert!(error.message.ends_with("Not allowed.") && !error.message.contains("Erika"), "{}", error.message);
    }
}

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

use confab_plugin_sdk::json::said;
use confab_plugin_sdk::jsonrpc::{self, Fault};
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};

/// What to do about a key that is refused.
pub(crate) const KEY_REFUSED: &str = "Odoo does not accept the user and its API key: look at the settings `database` and `username`, and make a new key (Preferences, Account Security)";

/// Calls a method of a service. `about` is for messages: `sale.order search_read`.
pub(crate) fn call(service: &str, method: &str, arguments: Value, about: &str) -> Result<Value> {
    let params = json!({"service": service, "method": method, "args": arguments});
    jsonrpc::call("rpc", "/jsonrpc", "call", params).map_err(|fault| match fault {
        Fault::Transport(error) => error,
        Fault::Rpc { message, data, .. } => from_exception(&data, &message, about),
    })
}

fn from_exception(data: &Value, title: &str, about: &str) -> Error {
    let at = |field: &str| data.get(field).and_then(Value::as_str).unwrap_or_default();
    let name = at("name");
    // The first line says it; what follows names records and people.
    let said = said(at("message").trim().lines().next().unwrap_or_default());
    let model = about.split(' ').next().unwrap_or_default();
    let (code, message) = match name {
        "odoo.exceptions.AccessDenied" => (Code::Misconfigured, KEY_REFUSED.to_owned()),
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
            (Code::Misconfigured, "Odoo can't open the database: look at the setting `database`".to_owned())
        }
        name if name.starts_with("psycopg2.errors.") => {
            (Code::Conflict, format!("{about}: somebody else is changing the same record"))
        }
        "" => (Code::Internal, format!("Odoo failed in {about}: {title}")),
        name => (Code::Internal, format!("Odoo failed in {about}: {name}: {said}")),
    };
    error(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: &str, message: &str) -> String {
        let data =
            json!({"name": name, "debug": "Traceback", "message": message, "arguments": [message], "context": {}});
        from_exception(&data, "Odoo Server Error", "helpdesk.ticket create").code
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
        let error = from_exception(&data, "Odoo Server Error", "res.partner read");
        assert!(error.message.ends_with("Not allowed.") && !error.message.contains("Erika"), "{}", error.message);
    }
}

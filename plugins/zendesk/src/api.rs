//! One request to the API v2, and what Zendesk's errors mean.
//!
//! Errors are `{"error": "RecordInvalid", "description": .., "details": {"email": [{"description": .., "error":
//! "DuplicateValue"}]}}`. Descriptions repeat names and addresses, so operators are told fields and codes only.

use confab_plugin_sdk::http::{Request, Response};
use confab_plugin_sdk::pages::{self, Page};
use confab_plugin_sdk::{json, prelude::*};
use serde_json::Value;

/// Name of the endpoint.
pub(crate) const ENDPOINT: &str = "zendesk";
/// Zendesk gives at most so many a page.
const PAGE: usize = 100;

/// A request to a resource: `/tickets/5`.
pub(crate) fn request(method: &str, resource: &str) -> Request {
    Request::new(method, ENDPOINT, format!("/api/v2{resource}")).header("accept", "application/json")
}

/// `GET`, with parameters.
pub(crate) fn get(resource: &str, parameters: &[(&str, &str)]) -> Result<Value> {
    body(request("GET", resource).query(parameters).send()?)
}

/// The body of an answer, or what its refusal means.
pub(crate) fn body(response: Response) -> Result<Value> {
    let said: Value = response.json_any_status().unwrap_or_default();
    let refused = |code, message: &str| Err(error(code, message));
    match response.status {
        401 => refused(Code::Misconfigured, "Zendesk does not accept the connection's credentials"),
        403 => refused(Code::Forbidden, "Zendesk refuses this to the connection's agent: look at its role"),
        400 | 409 | 422 => {
            let kind = json::text(&said, "/error").or_else(|| json::text(&said, "/error/title")).unwrap_or_default();
            let code = match kind.as_str() {
                "IdempotentRequestError" | "UpdateConflict" => Code::Conflict,
                _ if duplicate(&said) => Code::Conflict,
                _ => Code::InvalidInput,
            };
            Err(error(code, format!("Zendesk refused it: {}", json::said(&format!("{kind} {}", faults(&said))))))
        }
        _ => {
            let response = response.ok()?;
            response.json_any_status().map_err(|_| {
                let message = "this is no answer of Zendesk's API: the endpoint's URL is https://SUBDOMAIN.zendesk.com";
                error(Code::Misconfigured, message)
            })
        }
    }
}

/// Fields and codes of a refusal: `email: DuplicateValue`.
fn faults(said: &Value) -> String {
    let fields = said.pointer("/details").and_then(Value::as_object);
    let fault = |(field, all): (&String, &Value)| {
        let codes: Vec<String> = json::list(all, "").iter().filter_map(|one| json::text(one, "/error")).collect();
        if codes.is_empty() { field.clone() } else { format!("{field}: {}", codes.join(", ")) }
    };
    fields.map(|fields| fields.iter().map(fault).collect::<Vec<_>>().join("; ")).unwrap_or_default()
}

/// Whether a refusal says that somebody has this address, or this `external_id`, already.
fn duplicate(said: &Value) -> bool {
    let faults = ["/details/email", "/details/external_id"].into_iter().flat_map(|field| json::list(said, field));
    faults.into_iter().any(|one| json::text(one, "/error").as_deref() == Some("DuplicateValue"))
}

/// Items of a collection and, from its sideload, the users that they name. Cursor pages: `page[size]`, `meta.has_more`.
pub(crate) fn paged(
    resource: &str,
    name: &str,
    parameters: &[(&str, &str)],
    pages: usize,
) -> Result<(Vec<Value>, Vec<Value>)> {
    let size = PAGE.to_string();
    let mut users = Vec::new();
    let items = pages::collect(usize::MAX, pages, |cursor| {
        let mut query = [parameters, &[("page[size]", size.as_str())]].concat();
        if let Some(cursor) = &cursor {
            query.push(("page[after]", cursor));
        }
        let answer = get(resource, &query)?;
        users.extend_from_slice(json::list(&answer, "/users"));
        let next = json::text(&answer, "/meta/after_cursor").filter(|_| json::flag(&answer, "/meta/has_more"));
        Ok(Page { items: json::list(&answer, &format!("/{name}")).to_vec(), next })
    })?;
    Ok((items, users))
}

/// A value in Zendesk's search, where quotes end it and nothing escapes them.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| if c.is_control() || matches!(c, '"' | '\\' | '*') { ' ' } else { c };
    format!("\"{}\"", text.chars().map(plain).collect::<String>().trim())
}

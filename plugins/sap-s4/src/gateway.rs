//! SAP Gateway: a service, an entity set, a query.
//!
//! | answer | means | code |
//! |---|---|---|
//! | 401 | user or token (the body is a logon page) | `misconfigured` |
//! | 403 | no authorisation for the service or its data | `forbidden` |
//! | 404 with `/IWFND/MED/170` | the service is not activated | `unsupported` |
//! | 404 with another code | no such entity | `not-found` |
//! | 400 | an older release without a field; a value of a wrong form | `internal` |
//! | 503 with a log-off page, 5xx | down | `unavailable` |
//!
//! A list that is too long for the gateway comes in pages; `d.__next` is a whole URL, of which the part below the
//! endpoint is asked for.

use confab_plugin_sdk::http::Request;
use confab_plugin_sdk::odata::{self, Query, literal};
use confab_plugin_sdk::pages::{self, Page};
use confab_plugin_sdk::{json, prelude::*};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Pages of one list: the host allows 16 requests a call.
const PAGES: usize = 6;

/// The connection's settings; see `settings.schema.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Settings {
    client: Option<String>,
    #[serde(default)]
    pub(crate) sales_organizations: Vec<String>,
    #[serde(default)]
    pub(crate) plants: BTreeMap<String, String>,
}

/// One call of a capability.
pub(crate) struct Gateway {
    pub(crate) settings: Settings,
    /// `EN`, `DE`: two letters, as the gateway wants it.
    pub(crate) language: String,
}

impl Gateway {
    pub(crate) fn new() -> Result<Gateway> {
        let language = host::language().unwrap_or_else(|| "en".to_owned()).to_uppercase();
        Ok(Gateway { settings: host::settings()?, language })
    }

    /// At most so many entities.
    pub(crate) fn list(&self, service: &str, query: Query, wanted: usize) -> Result<Vec<Value>> {
        let path = format!("/{service}{}", query.path());
        pages::collect(wanted, PAGES, |next| {
            let answer = self.get(service, next.as_deref().unwrap_or(&path))?;
            let next = odata::v2_next(&answer).and_then(|url| {
                let at = url.find(&format!("/{service}/"))?;
                url.get(at..).map(str::to_owned)
            });
            Ok(Page { items: odata::v2_results(answer), next })
        })
    }

    fn get(&self, service: &str, path: &str) -> Result<Value> {
        let mut path = path.to_owned();
        // The gateway leaves them out of the address of the next page.
        if let Some(client) = self.settings.client.as_ref().filter(|_| !path.contains("sap-client=")) {
            path.push_str(&format!("&sap-client={client}"));
        }
        if !path.contains("sap-language=") {
            path.push_str(&format!("&sap-language={}", self.language));
        }
        let response = Request::get("odata", path).header("accept", "application/json").send()?;
        let said = odata::v2_error(&response.body).unwrap_or_default();
        let body: Value = response.json_any_status().unwrap_or_default();
        let is_inactive = json::text(&body, "/error/code").is_some_and(|code| code.starts_with("/IWFND/MED/"));
        let (code, message) = match response.status {
            401 => (
                Code::Misconfigured,
                "SAP does not accept the connection's user: look at its name, password or token, and whether it is locked"
                    .to_owned(),
            ),
            403 => (Code::Forbidden, format!("SAP refuses {service} to the connection's user: {said}")),
            404 if is_inactive => {
                let name = service.split(';').next().unwrap_or(service);
                (Code::Unsupported, format!("the service {name} is not activated (/IWFND/MAINT_SERVICE): {said}"))
            }
            400 => (Code::Internal, format!("{service} does not understand the request: {said}")),
            _ => return response.json(),
        };
        Err(error(code, message))
    }
}

/// A number without its leading zeros, as the gateway shows it; anything else in capitals, as SAP keeps it.
pub(crate) fn key(text: &str) -> String {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(text.trim_start_matches('0')).filter(|short| !short.is_empty()).unwrap_or("0").to_owned();
    }
    text.to_uppercase()
}

/// Any of the values, as a filter.
pub(crate) fn either<S: AsRef<str>>(field: &str, values: impl IntoIterator<Item = S>) -> String {
    let each = values.into_iter().map(|value| format!("{field} eq {}", literal(value.as_ref())));
    format!("({})", each.collect::<Vec<_>>().join(" or "))
}

/// A date or moment of an entity.
pub(crate) fn moment(entity: &Value, field: &str) -> Option<String> {
    odata::v2_moment(entity.get(field)?.as_str()?)
}

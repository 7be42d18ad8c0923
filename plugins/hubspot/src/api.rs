//! One request to HubSpot, and what its errors mean.
//!
//! Errors are `{"status": "error", "category", "message", "correlationId", "errors": [{"message", "code", "context"}]}`. HubSpot's
//! sentences repeat what was sent ("Email address erika@... is invalid"), so an operator gets category, codes and names of
//! properties and scopes only.
//!
//! | answer | here |
//! |---|---|
//! | 401 | `misconfigured` (the host has tried to renew the token) |
//! | 403 `MISSING_SCOPES` | `forbidden`, with the scopes |
//! | 404 | `not-found` |
//! | 409 `CONFLICT` | `conflict` |
//! | 429, by `policyName` | `rate-limited`: 1 s, 10 s, an hour for the day's limit |
//! | 400 about a property that isn't there, or an option | `misconfigured`; otherwise `invalid-input` |

use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{http::Request, json};
use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    retry_after: Option<u32>,
}

impl Answer {
    /// What it says, or the error that it means.
    pub(crate) fn ok(self) -> Result<Value> {
        // 207: some parts of a batch failed. None of ours may.
        if (200..300).contains(&self.status) && self.status != 207 { Ok(self.body) } else { Err(self.meaning()) }
    }

    /// What it says; none where there is nothing.
    pub(crate) fn found(self) -> Result<Option<Value>> {
        if self.status == 404 { Ok(None) } else { self.ok().map(Some) }
    }

    /// Codes of what is wrong with single properties.
    pub(crate) fn codes(&self) -> Vec<String> {
        json::list(&self.body, "/errors").iter().filter_map(|e| json::text(e, "/code")).collect()
    }

    /// Whether a property that must be unique has this value already; the id of that record where HubSpot names it.
    pub(crate) fn taken(&self) -> Option<Option<String>> {
        let message = json::text(&self.body, "/message").unwrap_or_default();
        let id = message
            .split_once("Existing ID: ")
            .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        let unique = self.status == 400
            && (message.contains("already has that value")
                || self.codes().iter().any(|c| c == "CONFLICTING_UNIQUE_VALUE"));
        (self.status == 409 || unique).then(|| id.filter(|id| !id.is_empty()))
    }

    fn meaning(&self) -> Error {
        let said = |kind: Code, what: String| error(kind, format!("HubSpot: {what}"));
        let category =
            json::text(&self.body, "/category").filter(|c| plain(c)).unwrap_or_else(|| format!("HTTP {}", self.status));
        let contexts = |keys: &[&str]| {
            let errors = json::list(&self.body, "/errors").iter();
            let named = errors.flat_map(|e| keys.iter().flat_map(|k| json::list(e, &format!("/context/{k}")).iter()));
            let mut names: Vec<String> =
                named.filter_map(Value::as_str).filter(|n| plain(n)).map(str::to_owned).collect();
            names.sort_unstable();
            names.dedup();
            names.join(", ")
        };
        match self.status {
            401 => said(Code::Misconfigured, format!("{category}: the access token is refused")),
            403 if category == "MISSING_SCOPES" => {
                let scopes = contexts(&["requiredGranularScopes", "requiredScopes", "missingScopes"]);
                said(Code::Forbidden, format!("the app lacks a scope; one of these is needed: {scopes}"))
            }
            403 => said(
                Code::Forbidden,
                format!("{category}: the app may not do this, or the account's subscription lacks it"),
            ),
            404 => said(Code::NotFound, "there is no such record".into()),
            409 => said(Code::Conflict, "there is such a record already".into()),
            429 => {
                let policy = json::text(&self.body, "/policyName").filter(|p| plain(p)).unwrap_or_default();
                let wait = match policy.as_str() {
                    "DAILY" => 3_600,
                    "TEN_SECONDLY_ROLLING" => 10,
                    _ => 1,
                };
                Error {
                    retry_after: self.retry_after.or(Some(wait)),
                    ..said(Code::RateLimited, format!("too many requests {policy}"))
                }
            }
            400 | 207 | 422 => {
                let properties = contexts(&["propertyName", "name"]);
                let codes = self.codes();
                let of_account = [
                    "PROPERTY_DOESNT_EXIST",
                    "INVALID_OPTION",
                    "INVALID_PIPELINE",
                    "INVALID_PIPELINE_STAGE",
                    "REQUIRED_FIELD",
                ];
                let kind = if codes.iter().any(|c| of_account.contains(&c.as_str())) {
                    Code::Misconfigured
                } else {
                    Code::InvalidInput
                };
                let codes: Vec<String> = codes.into_iter().filter(|c| plain(c)).collect();
                let what = [category, codes.join(", "), properties];
                said(kind, what.into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(": "))
            }
            423 | 502..=504 | 500 => said(Code::Unavailable, format!("{category}: HubSpot can't answer now")),
            status => said(Code::Internal, format!("an answer {status} that this connector does not know")),
        }
    }
}

/// Names and codes of HubSpot's; nothing that a visitor may have said.
fn plain(text: &str) -> bool {
    text.len() <= 100
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c) || c == ' ')
        && !text.contains("  ")
}

pub(crate) fn get(path: &str) -> Result<Answer> {
    answer(Request::get("api", path))
}

pub(crate) fn post(path: &str, body: &Value) -> Result<Answer> {
    answer(Request::post("api", path).json(body))
}

pub(crate) fn patch(path: &str, body: &Value) -> Result<Answer> {
    answer(Request::patch("api", path).json(body))
}

fn answer(request: Request) -> Result<Answer> {
    let response = request.header("accept", "application/json").send()?;
    let retry_after = response.header("retry-after").and_then(|v| v.trim().parse().ok());
    // An error without a body of HubSpot's comes from something before it.
    let body = response.json_any_status().or_else(|e| if response.status < 400 { Err(e) } else { Ok(Value::Null) })?;
    Ok(Answer { status: response.status, body, retry_after })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(status: u16, body: Value) -> Error {
        Answer { status, body, retry_after: None }.ok().unwrap_err()
    }

    #[test]
    fn errors_name_scopes_and_properties_and_nothing_that_was_said() {
        let scopes = json!({"category": "MISSING_SCOPES", "message": "This app hasn't been granted all required scopes",
            "errors": [{"message": "One or more of the following scopes are required.", "context": {"requiredGranularScopes": ["tickets", "crm.objects.leads.write"]}}]});
        let e = of(403, scopes);
        assert!(e.code == "forbidden" && e.message.contains("crm.objects.leads.write, tickets"), "{e:?}");
        let invalid = json!({"category": "VALIDATION_ERROR", "message": "Property values were not valid: erika@example is invalid",
            "errors": [{"message": "Email address erika@example is invalid", "code": "INVALID_EMAIL", "context": {"propertyName": ["email"]}}]});
        let e = of(400, invalid);
        assert!(
            e.code == "invalid-input" && e.message.contains("INVALID_EMAIL: email") && !e.message.contains("erika"),
            "{e:?}"
        );
        let missing = json!({"category": "VALIDATION_ERROR", "errors": [{"code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": ["confab_key"]}}]});
        let e = of(400, missing);
        assert!(e.code == "misconfigured" && e.message.contains("confab_key"), "{e:?}");
    }

    #[test]
    fn limits_say_how_long() {
        let wait = |policy: &str| of(429, json!({"errorType": "RATE_LIMIT", "policyName": policy})).retry_after;
        assert_eq!((wait("SECONDLY"), wait("TEN_SECONDLY_ROLLING"), wait("DAILY")), (Some(1), Some(10), Some(3600)));
    }

    #[test]
    fn what_exists_already_is_named() {
        let taken =
            |status, message: &str| Answer { status, body: json!({"message": message}), retry_after: None }.taken();
        assert_eq!(taken(409, "Contact already exists. Existing ID: 37765128953"), Some(Some("37765128953".into())));
        assert_eq!(taken(400, "confab_key: another ticket already has that value"), Some(None));
        assert_eq!(taken(400, "something else"), None);
    }
}

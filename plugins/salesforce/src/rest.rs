//! One request to Salesforce, several in one, and what its errors mean.
//!
//! Errors are a list, `[{"errorCode", "message", "fields"}]`; the first one counts. Salesforce's sentences may repeat what
//! a visitor said ("invalid email address: ..."), so an operator gets code and fields, and of a message only the name of a
//! field or object that is missing.
//!
//! | code | here |
//! |---|---|
//! | `REQUEST_LIMIT_EXCEEDED` | `rate-limited`: 15 minutes for the day's limit, 5 seconds for calls at the same time |
//! | `UNABLE_TO_LOCK_ROW` | `conflict`, may be tried again in a second |
//! | `NOT_FOUND`, `ENTITY_IS_DELETED` | `not-found` |
//! | `INVALID_FIELD`, `INVALID_TYPE` | `misconfigured`: the object or field isn't there, or hidden by field-level security |
//! | `INSUFFICIENT_ACCESS...`, `INVALID_FIELD_FOR_INSERT_UPDATE`, `API_DISABLED_FOR_ORG` | `forbidden` |
//! | `DUPLICATES_DETECTED`, `DUPLICATE_VALUE`, `CANNOT_UPDATE_CONVERTED_LEAD` | `conflict` |

use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{http::Request, json, pages};
use serde_json::{Map, Value, json};

/// Records that a page of a query has: the least Salesforce allows, as most queries want a few.
const PAGE: &str = "batchSize=200";

/// An answer, of a request or of a part of a composite one.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The code of its error.
    pub(crate) fn fault(&self) -> Option<String> {
        if (200..300).contains(&self.status) {
            return None;
        }
        json::text(&self.body, "/0/errorCode").or_else(|| Some(format!("HTTP {}", self.status)))
    }

    /// What it says, or the error that its code means.
    pub(crate) fn ok(self) -> Result<Value> {
        match self.fault() {
            None => Ok(self.body),
            Some(code) => Err(meaning(self.status, &code, &self.body)),
        }
    }

    /// Objects and ids of the records that a duplicate rule found. The key is misspelled in Salesforce itself.
    pub(crate) fn duplicates(&self) -> Vec<(String, String)> {
        let result = ["/0/duplicateResut", "/0/duplicateResult"].iter().find_map(|key| self.body.pointer(key));
        let matches = result.map(|r| json::list(r, "/matchResults")).unwrap_or_default().iter();
        let records = matches.flat_map(|m| json::list(m, "/matchRecords"));
        records
            .filter_map(|r| Some((json::text(r, "/record/attributes/type")?, json::text(r, "/record/Id")?)))
            .collect()
    }
}

fn meaning(status: u16, code: &str, body: &Value) -> Error {
    let message = json::text(body, "/0/message").unwrap_or_default();
    let fields: Vec<String> =
        json::list(body, "/0/fields").iter().filter_map(|f| f.as_str().map(str::to_owned)).collect();
    let of = if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
    let said = |kind: Code, what: &str| error(kind, format!("Salesforce: {code}{of}: {what}"));
    match code {
        "INVALID_SESSION_ID" | "INVALID_AUTH_HEADER" => said(Code::Misconfigured, "the access token is refused"),
        "REQUEST_LIMIT_EXCEEDED" => {
            let at_once = message.contains("Concurrent");
            let wait = if at_once { 5 } else { 900 };
            Error { retry_after: Some(wait), ..said(Code::RateLimited, "the org's limit of API requests is used up") }
        }
        "UNABLE_TO_LOCK_ROW" => {
            Error { retry_after: Some(1), ..said(Code::Conflict, "somebody else changes the record at this moment") }
        }
        "NOT_FOUND" | "ENTITY_IS_DELETED" => said(Code::NotFound, "there is no such record or resource"),
        "INVALID_FIELD" | "INVALID_TYPE" | "INVALID_FIELD_IN_WHERE" => {
            let missing = missing(&message).unwrap_or_else(|| "a field or object".into());
            said(Code::Misconfigured, &format!("{missing} is not there, or the integration user may not see it"))
        }
        "REQUIRED_FIELD_MISSING" | "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" | "INVALID_CROSS_REFERENCE_KEY" => {
            said(Code::Misconfigured, "the org asks for another value than this connector gives")
        }
        "API_DISABLED_FOR_ORG"
        | "API_CURRENTLY_DISABLED"
        | "INVALID_FIELD_FOR_INSERT_UPDATE"
        | "INSUFFICIENT_ACCESS" => said(Code::Forbidden, "the integration user may not do this"),
        c if c.starts_with("INSUFFICIENT_ACCESS") => said(Code::Forbidden, "the integration user may not do this"),
        "DUPLICATES_DETECTED" | "DUPLICATE_VALUE" => said(Code::Conflict, "there is such a record already"),
        "CANNOT_UPDATE_CONVERTED_LEAD" => said(Code::Conflict, "the lead has been converted and can't be changed"),
        "QUERY_TIMEOUT" => said(Code::Timeout, "the query took too long"),
        "MALFORMED_QUERY" => said(Code::Internal, "the query is not understood"),
        _ => match status {
            300 => error(Code::Conflict, "Salesforce: several records have the same key: make the key field unique"),
            400 | 422 => said(Code::InvalidInput, "refused"),
            401 => said(Code::Misconfigured, "the access token is refused"),
            403 => said(Code::Forbidden, "the integration user may not do this"),
            404 | 410 => said(Code::Misconfigured, "there is no such resource: check api_version"),
            429 => Error { retry_after: Some(60), ..said(Code::RateLimited, "too many requests") },
            500..=599 => said(Code::Unavailable, "the org can't answer now"),
            _ => said(Code::Internal, "an answer that this connector does not know"),
        },
    }
}

/// `Case.Foo__c` out of "No such column 'Foo__c' on entity 'Case'", `Order` out of "sObject type 'Order' is not supported".
/// The rest of the message repeats the query, and with it what the visitor said.
fn missing(message: &str) -> Option<String> {
    let quoted = |after: &str| message.split_once(after)?.1.split('\'').next().map(str::to_owned);
    let plain =
        |name: &String| name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_. ".contains(c));
    let column = quoted("No such column '").filter(plain);
    let entity = quoted("on entity '").or_else(|| quoted("sobject of type ").filter(plain)).filter(plain);
    match (column, entity) {
        (Some(column), Some(entity)) => Some(format!("{entity}.{column}")),
        (column, _) => column.or_else(|| quoted("sObject type '").filter(plain)),
    }
}

/// A part of a composite request.
#[derive(Debug)]
pub(crate) struct Part {
    method: &'static str,
    path: String,
    name: &'static str,
    body: Option<Value>,
    headers: Value,
}

impl Part {
    pub(crate) fn query(name: &'static str, soql: &str) -> Part {
        Part { method: "GET", path: query_path("query", soql), name, body: None, headers: json!({}) }
    }
    /// The texts of the body may be a visitor's.
    pub(crate) fn write(name: &'static str, method: &'static str, path: String, body: Map<String, Value>) -> Part {
        let harmless = |value| match value {
            Value::String(text) => Value::String(unreferenced(&text)),
            other => other,
        };
        let body = body.into_iter().map(|(field, value)| (field, harmless(value))).collect();
        Part { method, path, name, body: Some(Value::Object(body)), headers: json!({}) }
    }
    /// With `Sforce-Auto-Assign` and, for duplicate rules that only warn, leave to save.
    pub(crate) fn assigned(mut self, by_rule: bool) -> Part {
        let assign = if by_rule { "TRUE" } else { "FALSE" };
        self.headers = json!({"Sforce-Auto-Assign": assign, "Sforce-Duplicate-Rule-Header": "allowSave=true"});
        self
    }
}

/// The path of a query below the version.
fn query_path(resource: &str, soql: &str) -> String {
    format!("/{resource}?q={}", path_segment(soql))
}

/// A text as composite requests keep it. `@{made.id}` refers to what another part of the request answered, whoever wrote
/// it, and there is no way to say that it is text: `@ {made.id}` is.
pub(crate) fn unreferenced(text: &str) -> String {
    text.replace("@{", "@ {")
}

/// The way to an org.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) base: String,
}

impl Rest {
    /// `v67.0` of the org's REST API.
    pub(crate) fn new(version: &str) -> Rest {
        Rest { base: format!("/services/data/{version}") }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        answer(Request::get("api", format!("{}{path}", self.base)))
    }

    /// All records of a query, page by page, at most so many.
    pub(crate) fn query(&self, soql: &str, most: usize) -> Result<Vec<Value>> {
        self.records(query_path("query", soql), most)
    }

    /// The same with deleted and merged records.
    pub(crate) fn query_all(&self, soql: &str, most: usize) -> Result<Vec<Value>> {
        self.records(query_path("queryAll", soql), most)
    }

    fn records(&self, path: String, most: usize) -> Result<Vec<Value>> {
        let first = format!("{}{path}", self.base);
        pages::collect(most, most.div_ceil(200), |cursor: Option<String>| {
            let path = cursor.unwrap_or_else(|| first.clone());
            let body = answer(Request::get("api", path).header("sforce-query-options", PAGE))?.ok()?;
            let next = json::text(&body, "/nextRecordsUrl").filter(|next| next.starts_with("/services/data/"));
            Ok(pages::Page { items: json::list(&body, "/records").to_vec(), next })
        })
    }

    /// Several requests in one, in order; with `all`, all or none.
    pub(crate) fn composite(&self, parts: Vec<Part>, all: bool) -> Result<Vec<Answer>> {
        let requests: Vec<Value> = parts
            .into_iter()
            .map(|part| {
                let url = format!("{}{}", self.base, part.path);
                let mut request = json!({"method": part.method, "url": url, "referenceId": part.name});
                if let (Some(body), Some(request)) = (part.body, request.as_object_mut()) {
                    request.insert("body".into(), body);
                }
                if let (Value::Object(headers), Some(request)) = (part.headers, request.as_object_mut())
                    && !headers.is_empty()
                {
                    request.insert("httpHeaders".into(), Value::Object(headers));
                }
                request
            })
            .collect();
        let body = json!({"allOrNone": all, "compositeRequest": requests});
        let mut whole = answer(Request::post("api", format!("{}/composite", self.base)).json(&body))?.ok()?;
        let answers = whole.get_mut("compositeResponse").map(Value::take);
        let Some(Value::Array(answers)) = answers else {
            return Err(error(Code::Internal, "Salesforce: a composite request has no compositeResponse"));
        };
        let status = |a: &Value| a.get("httpStatusCode").and_then(Value::as_u64).and_then(|s| u16::try_from(s).ok());
        Ok(answers
            .into_iter()
            .map(|mut a| Answer {
                status: status(&a).unwrap_or(500),
                body: a.get_mut("body").map(Value::take).unwrap_or_default(),
            })
            .collect())
    }

    /// Writes and reads back what was written, all in one: `read_back` may ask for `@{made.id}`. The first answer is the
    /// write's; the second has the records.
    pub(crate) fn write(&self, write: Part, read_back: &str) -> Result<(Answer, Answer)> {
        let mut read = Part::query("read", read_back);
        read.path = read.path.replace("%40%7Bmade.id%7D", "@{made.id}");
        let mut answers = self.composite(vec![write, read], true)?.into_iter();
        match (answers.next(), answers.next()) {
            (Some(written), Some(read)) => Ok((written, read)),
            _ => Err(error(Code::Internal, "Salesforce: a composite request was answered in part")),
        }
    }
}

fn answer(request: Request) -> Result<Answer> {
    let response = request.header("accept", "application/json").send()?;
    if response.status >= 400 && response.body.first() != Some(&b'[') {
        // A proxy's page, or the token service's object: its status says enough.
        return Ok(Answer { status: response.status, body: Value::Null });
    }
    let body = if response.body.is_empty() { Value::Null } else { response.json_any_status()? };
    Ok(Answer { status: response.status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: Value) -> Error {
        Answer { status, body }.ok().unwrap_err()
    }

    #[test]
    fn errors_name_what_is_missing_and_nothing_that_was_asked() {
        let body = json!([{"errorCode": "INVALID_FIELD", "message":
            "\nSELECT Id, Foo__c FROM Case WHERE SuppliedEmail = 'erika@example.test'\n^\nERROR at Row:1:Column:12\nNo such column 'Foo__c' on entity 'Case'. If you are attempting to use a custom field, be sure to append the '__c'"}]);
        let e = of(400, body);
        assert_eq!(e.code, "misconfigured");
        assert!(e.message.contains("Case.Foo__c") && !e.message.contains("erika"), "{}", e.message);
        let e = of(400, json!([{"errorCode": "INVALID_TYPE", "message": "sObject type 'Order' is not supported."}]));
        assert!(e.message.contains("Order is not there"), "{}", e.message);
        let e = of(
            400,
            json!([{"errorCode": "INVALID_EMAIL_ADDRESS", "message": "Email: invalid email address: erika@", "fields": ["Email"]}]),
        );
        assert!(
            e.code == "invalid-input" && e.message.contains("(Email)") && !e.message.contains("erika"),
            "{}",
            e.message
        );
    }

    #[test]
    fn limits_locks_and_outages_are_told_apart() {
        let limit =
            of(403, json!([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]));
        assert_eq!((limit.code.as_str(), limit.retry_after), ("rate-limited", Some(900)));
        let busy = of(
            403,
            json!([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentPerOrgLongTxn Limit exceeded."}]),
        );
        assert_eq!(busy.retry_after, Some(5));
        let lock = of(
            400,
            json!([{"errorCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access to this record", "fields": []}]),
        );
        assert_eq!((lock.code.as_str(), lock.retry_after), ("conflict", Some(1)));
        assert_eq!(of(503, Value::Null).code, "unavailable");
        assert_eq!(of(403, json!([{"errorCode": "INSUFFICIENT_ACCESS_OR_READONLY", "message": ""}])).code, "forbidden");
        assert_eq!(of(300, json!(["/services/data/v67.0/sobjects/Case/500"])).code, "conflict");
    }

    #[test]
    fn the_records_of_a_duplicate_rule_are_read() {
        let record =
            json!({"attributes": {"type": "Lead", "url": "/services/data/v67.0/sobjects/Lead/00Q1"}, "Id": "00Q1"});
        let result = json!({"matchResults": [{"entityType": "Lead", "matchRecords": [{"record": record}]}]});
        let answer =
            Answer { status: 400, body: json!([{"errorCode": "DUPLICATES_DETECTED", "duplicateResut": result}]) };
        assert_eq!(answer.duplicates(), [("Lead".to_owned(), "00Q1".to_owned())]);
    }
}

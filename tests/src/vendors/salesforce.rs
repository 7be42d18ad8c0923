//! A Salesforce org: the REST API of its documentation, as strict as the org would be.
//!
//! <https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/>
//!
//! | module | what it holds |
//! |---|---|
//! | [`schema`] | objects and fields: types, lengths, picklists, what must be given and what may be set |
//! | [`soql`] | the parser of queries |
//! | [`store`] | records; queries and writes with Salesforce's own refusals |
//!
//! This file is the HTTP around it: token, version, content type, limits, pages of 200, composite requests with references
//! and rollback, upserts by external id. What it does not do: sharing, triggers, workflows, SOSL, bulk.

pub mod schema;
pub mod soql;
pub mod store;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use schema::Kind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Refusal, Store, refusal};
use tokio::net::TcpListener;

/// The token that it takes.
pub const TOKEN: &str = "00Dxx0000000001!test-token";
/// Versions that it speaks, as an org of Winter '27.
const VERSIONS: std::ops::RangeInclusive<u32> = 31..=68;
/// Requests that a composite request may have, and queries among them.
const PARTS: usize = 25;
const QUERIES: usize = 5;
/// Bytes of a URL with its query.
const URL: usize = 16_088;

/// A running org.
#[derive(Debug)]
pub struct Salesforce {
    address: SocketAddr,
    org: Arc<Mutex<Org>>,
    server: tokio::task::JoinHandle<()>,
}

/// What is behind the API.
#[derive(Debug)]
pub struct Org {
    /// Objects and records.
    pub store: Store,
    /// Method and path with query of each request, with its body.
    pub requests: Vec<(String, Value)>,
    /// Requests that are left of the day's.
    pub left: usize,
    /// Whether the next write is done and its answer lost.
    pub lose_answer: bool,
    cursors: BTreeMap<String, Vec<Value>>,
}

impl Salesforce {
    /// Starts an empty one on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Salesforce> {
        let org = Org {
            store: Store::new(schema::org()),
            requests: Vec::new(),
            left: 5_000,
            lose_answer: false,
            cursors: BTreeMap::new(),
        };
        let org = Arc::new(Mutex::new(org));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(org.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Salesforce { address, org, server })
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What is behind the API, to look at and to change.
    pub fn org(&self) -> MutexGuard<'_, Org> {
        self.org.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Salesforce {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(org): State<Arc<Mutex<Org>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut org = org.lock().unwrap_or_else(PoisonError::into_inner);
    let parsed: Option<Value> = serde_json::from_slice(&body).ok();
    org.requests.push((format!("{method} {uri}"), parsed.clone().unwrap_or_default()));
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    if uri.path().trim_end_matches('/') == "/services/data" {
        let versions: Vec<Value> = VERSIONS.map(|v| json!({"label": format!("Release {v}"), "url": format!("/services/data/v{v}.0"), "version": format!("{v}.0")})).collect();
        return axum::Json(versions).into_response();
    }
    let wrote = method != Method::GET;
    let outcome = if header("authorization") != format!("Bearer {TOKEN}") {
        Err(refusal(401, "INVALID_SESSION_ID", "Session expired or invalid"))
    } else if uri.to_string().len() > URL {
        Err(refusal(414, "URI_TOO_LONG", "The length of the URI exceeds the 16,088 byte limit"))
    } else if org.left == 0 {
        Err(refusal(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
    } else if wrote && !header("content-type").starts_with("application/json") {
        Err(refusal(415, "UNSUPPORTED_MEDIA_TYPE", "Content type not supported"))
    } else if wrote && parsed.is_none() {
        Err(refusal(400, "JSON_PARSER_ERROR", "Unexpected character at [line:1, column:1]"))
    } else {
        org.left -= 1;
        let own: BTreeMap<String, String> = headers
            .iter()
            .map(|(n, v)| (n.as_str().to_lowercase(), v.to_str().unwrap_or_default().to_owned()))
            .collect();
        org.serve(method.as_str(), &uri.to_string(), parsed, &own, true)
    };
    let used = 5_000 - org.left;
    if wrote && outcome.is_ok() && std::mem::take(&mut org.lose_answer) {
        // Done, but nobody learns of it.
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let (status, body) = outcome.unwrap_or_else(|refused| refused);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let limit = [("sforce-limit-info", format!("api-usage={used}/5000"))];
    if status == StatusCode::NO_CONTENT {
        (status, limit).into_response()
    } else {
        (status, limit, axum::Json(body)).into_response()
    }
}

impl Org {
    fn serve(
        &mut self,
        method: &str,
        url: &str,
        body: Option<Value>,
        headers: &BTreeMap<String, String>,
        top: bool,
    ) -> Result<Refusal, Refusal> {
        let nothing = || refusal(404, "NOT_FOUND", "The requested resource does not exist");
        let url = reqwest::Url::parse(&format!("http://org{url}")).map_err(|_| nothing())?;
        let path: Vec<String> = url.path().trim_matches('/').split('/').map(decoded).collect();
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let version = parts.get(2).and_then(|v| v.strip_prefix('v')?.strip_suffix(".0")?.parse::<u32>().ok());
        match version {
            Some(v) if VERSIONS.contains(&v) => {}
            Some(v) if v < *VERSIONS.start() => {
                return Err(refusal(410, "GONE", "The requested resource no longer exists"));
            }
            _ => return Err(nothing()),
        }
        let values = || {
            body.as_ref()
                .and_then(Value::as_object)
                .cloned()
                .ok_or_else(|| refusal(400, "JSON_PARSER_ERROR", "a map was expected"))
        };
        let may_save = headers.get("sforce-duplicate-rule-header").is_some_and(|h| h.contains("allowSave=true"));
        match (method, parts.get(3..).unwrap_or_default()) {
            ("GET", ["limits"]) => Ok((200, json!({"DailyApiRequests": {"Max": 5_000, "Remaining": self.left}}))),
            ("GET", [kind @ ("query" | "queryAll")]) => {
                let soql = url.query_pairs().find(|(name, _)| name == "q").map(|(_, q)| q.into_owned());
                let soql = soql.ok_or_else(|| refusal(400, "MALFORMED_QUERY", "no query"))?;
                let found = self.store.query(&soql, *kind == "queryAll")?;
                let size = headers
                    .get("sforce-query-options")
                    .and_then(|o| o.strip_prefix("batchSize=")?.parse().ok())
                    .unwrap_or(2_000_usize);
                Ok((200, self.page(found.clone(), found.len(), size.clamp(200, 2_000), kind)))
            }
            ("GET", [kind @ ("query" | "queryAll"), cursor]) => {
                let rest = self
                    .cursors
                    .remove(*cursor)
                    .ok_or_else(|| refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator"))?;
                let total = cursor.split('-').nth(2).and_then(|t| t.parse().ok()).unwrap_or_default();
                Ok((200, self.page(rest, total, 200, kind)))
            }
            ("GET", ["sobjects", object, "describe"]) => self.describe(object),
            ("POST", ["sobjects", object]) => {
                let id = self.store.insert(object, &values()?, may_save)?;
                Ok((201, json!({"id": id, "success": true, "errors": []})))
            }
            ("PATCH", ["sobjects", object, id]) => {
                self.store.update(object, id, &values()?)?;
                Ok((204, Value::Null))
            }
            ("PATCH", ["sobjects", object, field, key]) => self.upsert(object, field, key, values()?, may_save),
            ("POST", ["composite"]) if top => self.composite(&body.unwrap_or_default()),
            (_, ["limits" | "query" | "queryAll" | "composite", ..] | ["sobjects", ..]) => {
                Err(refusal(405, "METHOD_NOT_ALLOWED", "HTTP Method not allowed"))
            }
            _ => Err(nothing()),
        }
    }

    fn page(&mut self, mut records: Vec<Value>, total: usize, size: usize, kind: &str) -> Value {
        let rest = if records.len() > size { records.split_off(size) } else { Vec::new() };
        let mut page = json!({"totalSize": total, "done": rest.is_empty(), "records": records});
        if let (false, Some(page)) = (rest.is_empty(), page.as_object_mut()) {
            let cursor = format!("0r8xx{}-{}-{total}", self.requests.len(), rest.len());
            page.insert("nextRecordsUrl".into(), json!(format!("/services/data/v67.0/{kind}/{cursor}")));
            self.cursors.insert(cursor, rest);
        }
        page
    }

    fn describe(&self, object: &str) -> Result<Refusal, Refusal> {
        let schema = self.store.schema(object)?;
        let fields: Vec<Value> = schema.fields.iter().map(|(name, field)| {
            let (kind, values): (&str, &[String]) = match &field.kind {
                Kind::Text(_) => ("string", &[]),
                Kind::Area(_) => ("textarea", &[]),
                Kind::Email => ("email", &[]),
                Kind::Phone => ("phone", &[]),
                Kind::Picklist(values, _) => ("picklist", values),
                Kind::Boolean => ("boolean", &[]),
                Kind::Number => ("double", &[]),
                Kind::Date => ("date", &[]),
                Kind::Moment => ("datetime", &[]),
                Kind::Reference(_) => ("reference", &[]),
            };
            let values: Vec<Value> = values.iter().map(|v| json!({"active": true, "defaultValue": false, "label": v, "validFor": null, "value": v})).collect();
            json!({
                "name": name, "label": name, "type": kind, "createable": field.create, "updateable": field.update,
                "externalId": field.external, "unique": field.unique, "nillable": !field.required, "picklistValues": values,
                "restrictedPicklist": matches!(field.kind, Kind::Picklist(_, true)), "filterable": !matches!(field.kind, Kind::Area(_)),
            })
        }).collect();
        let may = schema.fields.values().any(|f| f.create);
        Ok((
            200,
            json!({
                "name": object, "label": object, "keyPrefix": schema.prefix, "createable": may, "updateable": may, "queryable": true, "fields": fields,
                "recordTypeInfos": [{"active": true, "available": true, "defaultRecordTypeMapping": true, "developerName": "Master", "master": true, "name": "Master", "recordTypeId": "012000000000000AAA"}],
            }),
        ))
    }

    fn upsert(
        &mut self,
        object: &str,
        field: &str,
        key: &str,
        mut values: Map<String, Value>,
        may_save: bool,
    ) -> Result<Refusal, Refusal> {
        let external = self.store.schema(object)?.fields.get(field).is_some_and(|f| f.external);
        if !external {
            return Err(refusal(
                404,
                "NOT_FOUND",
                &format!("Provided external ID field does not exist or is not accessible: {field}"),
            ));
        }
        if values.contains_key(field) {
            return Err(refusal(
                400,
                "INVALID_FIELD",
                &format!("The {field} field should not be specified in the sobject data."),
            ));
        }
        match self.store.with(object, field, key).as_slice() {
            [] => {
                values.insert(field.to_owned(), json!(key));
                let id = self.store.insert(object, &values, may_save)?;
                Ok((201, json!({"id": id, "success": true, "errors": [], "created": true})))
            }
            [id] => {
                self.store.update(object, id, &values)?;
                Ok((200, json!({"id": id, "success": true, "errors": [], "created": false})))
            }
            several => {
                Err((300, several.iter().map(|id| format!("/services/data/v67.0/sobjects/{object}/{id}")).collect()))
            }
        }
    }

    fn composite(&mut self, body: &Value) -> Result<Refusal, Refusal> {
        let wrong = |message: &str| refusal(400, "JSON_PARSER_ERROR", message);
        let known = ["allOrNone", "collateSubrequests", "compositeRequest"];
        if let Some(odd) = body.as_object().and_then(|b| b.keys().find(|k| !known.contains(&k.as_str()))) {
            return Err(wrong(&format!("Unrecognized field \"{odd}\"")));
        }
        let parts = body["compositeRequest"]
            .as_array()
            .filter(|p| !p.is_empty())
            .ok_or_else(|| wrong("no compositeRequest"))?;
        let is_query = |p: &&Value| p["url"].as_str().is_some_and(|u| u.contains("/query"));
        if parts.len() > PARTS || parts.iter().filter(is_query).count() > QUERIES {
            return Err(refusal(400, "LIMIT_EXCEEDED", "too many subrequests"));
        }
        let before = self.store.clone();
        let all = body["allOrNone"] == true;
        let mut bodies: BTreeMap<String, Value> = BTreeMap::new();
        let mut answers = Vec::new();
        let mut failed = false;
        for part in parts {
            let name = part["referenceId"]
                .as_str()
                .filter(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
            let name = name.ok_or_else(|| {
                wrong("referenceId is missing or has other characters than letters, digits and underscores")
            })?;
            if bodies.contains_key(name) {
                return Err(wrong("Duplicate ReferenceId"));
            }
            let method = part["method"].as_str().ok_or_else(|| wrong("no method"))?;
            let url = part["url"]
                .as_str()
                .filter(|u| u.starts_with("/services/data/"))
                .ok_or_else(|| wrong("url must be of this API"))?;
            let own: BTreeMap<String, String> = part["httpHeaders"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(n, v)| (n.to_lowercase(), v.as_str().unwrap_or_default().to_owned()))
                .collect();
            if ["accept", "authorization", "content-type"].iter().any(|h| own.contains_key(*h)) {
                return Err(wrong("this header is not allowed in a subrequest"));
            }
            let outcome = if all && failed {
                Err(halted())
            } else {
                let sub = part.get("body").map(|b| referenced_in(b, &bodies)).transpose();
                match (referenced(url, &bodies), sub) {
                    (Ok(url), Ok(sub)) => self.serve(method, &url, sub, &own, false),
                    (Err(e), _) | (_, Err(e)) => Err(e),
                }
            };
            let (status, answer) = match outcome {
                Ok(done) => done,
                Err(refused) => {
                    failed = true;
                    refused
                }
            };
            bodies.insert(name.to_owned(), answer.clone());
            answers.push(json!({"body": answer, "httpHeaders": {}, "httpStatusCode": status, "referenceId": name}));
        }
        if all && failed {
            self.store = before;
            for answer in answers.iter_mut().filter(|a| a["httpStatusCode"].as_u64().is_some_and(|s| s < 300)) {
                let (status, body) = halted();
                *answer = json!({"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": answer["referenceId"]});
            }
        }
        Ok((200, json!({"compositeResponse": answers})))
    }
}

fn halted() -> Refusal {
    refusal(
        400,
        "PROCESSING_HALTED",
        "The transaction was rolled back since another operation in the same transaction failed.",
    )
}

/// `@{made.id}` replaced by what the part `made` answered.
fn referenced(text: &str, bodies: &BTreeMap<String, Value>) -> Result<String, Refusal> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("@{") {
        let (path, after) =
            after.split_once('}').ok_or_else(|| refusal(400, "PROCESSING_HALTED", "Invalid reference specified"))?;
        let (name, field) = path.split_once('.').unwrap_or((path, ""));
        let pointer = format!("/{}", field.replace(['.', '['], "/").replace(']', ""));
        let value = bodies.get(name).and_then(|b| b.pointer(&pointer)).and_then(Value::as_str);
        let value = value.ok_or_else(|| {
            refusal(
                400,
                "PROCESSING_HALTED",
                &format!("Invalid reference specified. No value for {path} found in {name}"),
            )
        })?;
        out.push_str(before);
        out.push_str(value);
        rest = after;
    }
    Ok(out + rest)
}

fn referenced_in(value: &Value, bodies: &BTreeMap<String, Value>) -> Result<Value, Refusal> {
    Ok(match value {
        Value::String(text) => Value::String(referenced(text, bodies)?),
        Value::Object(map) => Value::Object(
            map.iter().map(|(k, v)| Ok((k.clone(), referenced_in(v, bodies)?))).collect::<Result<_, Refusal>>()?,
        ),
        Value::Array(list) => {
            Value::Array(list.iter().map(|v| referenced_in(v, bodies)).collect::<Result<_, Refusal>>()?)
        }
        other => other.clone(),
    })
}

fn decoded(segment: &str) -> String {
    let query = format!("v={}", segment.replace('+', "%2B"));
    reqwest::Url::parse(&format!("http://x/?{query}"))
        .ok()
        .and_then(|u| u.query_pairs().next().map(|(_, v)| v.into_owned()))
        .unwrap_or_default()
}

//! A HubSpot account: the CRM API v3 (labels of associations: v4), as strict as HubSpot would be.
//!
//! Bodies of requests are validated against the models of HubSpot's own client (`tests/fixtures/hubspot`), and so are this server's answers,
//! so that it does not drift. On top of shapes: token and scopes, properties that exist, their kinds, options and uniqueness, stages of
//! pipelines, types of associations, what a new record must have, limits with HubSpot's headers, and a search whose index lags
//! behind: it knows what [`Account::index`] has been called for.

pub mod schema;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jsonschema::Validator;
use schema::Property;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;

use super::salesforce::store::moment_now;

/// The token that it takes.
pub const TOKEN: &str = "pat-eu1-test-token";
const CORRELATION: &str = "aeb5f871-7f07-4993-9211-075dc63e7cbf";
/// Filter groups that a search may have, filters of each, filters in all, characters of its body, and results that it pages through.
const GROUPS: usize = 5;
const FILTERS: usize = 6;
const ALL_FILTERS: usize = 18;
const SEARCH: usize = 3_000;
const RESULTS: usize = 10_000;

/// A running account.
#[derive(Debug)]
pub struct HubSpot {
    address: SocketAddr,
    account: Arc<Mutex<Account>>,
    server: tokio::task::JoinHandle<()>,
}

/// A record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Values by property.
    pub properties: BTreeMap<String, String>,
    created: String,
    archived: bool,
    indexed: bool,
}

/// What is behind the API.
#[derive(Debug)]
pub struct Account {
    /// Properties by object.
    pub properties: BTreeMap<String, BTreeMap<String, Property>>,
    /// Records by object and id.
    pub records: BTreeMap<(String, String), Record>,
    /// Scopes of the token.
    pub scopes: BTreeSet<String>,
    /// Method and path with query of each request, with its body.
    pub requests: Vec<(String, Value)>,
    /// Requests that are left of these ten seconds.
    pub left: usize,
    /// Whether the next record is made and nobody learns of it.
    pub lose_answer: bool,
    /// Ids of records that were merged, and into which.
    pub merged: BTreeMap<String, String>,
    associations: BTreeSet<[(String, String); 2]>,
    validators: BTreeMap<&'static str, Validator>,
    made: u64,
}

type Outcome = Result<(u16, Value), (u16, Value)>;

fn refusal(status: u16, category: &str, message: &str, errors: Value) -> (u16, Value) {
    let mut body = json!({"status": "error", "message": message, "correlationId": CORRELATION, "category": category});
    if let (Some(body), true) = (body.as_object_mut(), errors.is_array()) {
        body.insert("errors".into(), errors);
    }
    (status, body)
}

fn invalid(code: &str, property: &str, message: &str) -> (u16, Value) {
    let told = json!([{"isValid": false, "message": message, "error": code, "name": property}]);
    let errors = json!([{"message": message, "code": code, "context": {"propertyName": [property]}}]);
    refusal(400, "VALIDATION_ERROR", &format!("Property values were not valid: {told}"), errors)
}

fn missing() -> (u16, Value) {
    refusal(404, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.", Value::Null)
}

impl HubSpot {
    /// Starts an empty one on a free port.
    ///
    /// # Errors
    /// When there is none, or the models are broken.
    pub async fn start() -> Result<HubSpot> {
        let scopes = ["contacts.read", "contacts.write", "leads.read", "leads.write", "deals.read", "deals.write"]
            .map(|s| format!("crm.objects.{s}"));
        let account = Account {
            properties: schema::properties(),
            records: BTreeMap::new(),
            scopes: scopes.into_iter().chain(["tickets".to_owned()]).collect(),
            requests: Vec::new(),
            left: 1_000,
            lose_answer: false,
            merged: BTreeMap::new(),
            associations: BTreeSet::new(),
            validators: schema::validators()?,
            made: 37_765_128_900,
        };
        let account = Arc::new(Mutex::new(account));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(account.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(HubSpot { address, account, server })
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What is behind the API, to look at and to change.
    pub fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HubSpot {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(account): State<Arc<Mutex<Account>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
    let parsed: Option<Value> = serde_json::from_slice(&body).ok();
    account.requests.push((format!("{method} {uri}"), parsed.clone().unwrap_or_default()));
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let wrote = method != Method::GET;
    let outcome = if header("authorization") != format!("Bearer {TOKEN}") {
        Err(refusal(
            401,
            "INVALID_AUTHENTICATION",
            "Authentication credentials not found. This API supports OAuth 2.0 authentication",
            Value::Null,
        ))
    } else if account.left == 0 {
        Err((
            429,
            json!({"status": "error", "message": "You have reached your ten_secondly_rolling limit.", "errorType": "RATE_LIMIT", "correlationId": CORRELATION, "policyName": "TEN_SECONDLY_ROLLING", "groupName": "privateapp"}),
        ))
    } else if wrote && !header("content-type").starts_with("application/json") {
        Err(refusal(415, "VALIDATION_ERROR", "HTTP 415 Unsupported Media Type", Value::Null))
    } else if wrote && parsed.is_none() {
        Err(refusal(400, "VALIDATION_ERROR", "Invalid input JSON on line 1, column 1", Value::Null))
    } else {
        account.left -= 1;
        account.serve(method.as_str(), &uri.to_string(), &parsed.unwrap_or_default())
    };
    let limits = [
        ("x-hubspot-ratelimit-max", "1000".to_owned()),
        ("x-hubspot-ratelimit-remaining", account.left.to_string()),
        ("x-hubspot-ratelimit-interval-milliseconds", "10000".to_owned()),
    ];
    let lost = outcome.as_ref().is_ok_and(|(status, _)| *status == 201) && std::mem::take(&mut account.lose_answer);
    let (status, body) = if lost { (502, Value::Null) } else { outcome.unwrap_or_else(|refused| refused) };
    // A server that answers in shapes of its own proves nothing.
    if status >= 400 && status != 429 && !lost && account.wrong("ModelError", &without(&body, "status")).is_some() {
        return StatusCode::NOT_IMPLEMENTED.into_response();
    }
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), limits, axum::Json(body))
        .into_response()
}

fn without(body: &Value, field: &str) -> Value {
    let mut body = body.clone();
    if let Some(body) = body.as_object_mut() {
        body.remove(field);
    }
    body
}

impl Account {
    /// What is wrong with a body by a model of HubSpot's.
    fn wrong(&self, model: &str, body: &Value) -> Option<String> {
        let validator = self.validators.get(model)?;
        validator.iter_errors(body).next().map(|e| format!("{}: {e}", e.instance_path()))
    }

    fn shaped(&self, model: &str, body: &Value) -> Result<(), (u16, Value)> {
        match self.wrong(model, body) {
            None => Ok(()),
            Some(wrong) => Err(refusal(400, "VALIDATION_ERROR", &format!("Invalid input JSON: {wrong}"), Value::Null)),
        }
    }

    /// An answer that must be of a model.
    fn told(&self, status: u16, model: &str, body: Value) -> Outcome {
        match self.wrong(model, &body) {
            None => Ok((status, body)),
            Some(wrong) => {
                Err(refusal(500, "INTERNAL_ERROR", &format!("this server is wrong: {model}: {wrong}"), Value::Null))
            }
        }
    }

    /// Puts a record there as a person would. Gives its id.
    pub fn seed(&mut self, object: &str, properties: Value) -> String {
        self.made += 1;
        let id = self.made.to_string();
        let now = moment_now().replace("+0000", "Z");
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let mut own: BTreeMap<String, String> =
            properties.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), text(v))).collect();
        own.insert("hs_object_id".into(), id.clone());
        own.insert(if object == "leads" { "hs_createdate" } else { "createdate" }.into(), now.clone());
        let searchable = |phone: &str| {
            let digits: String = phone.replace("(0)", "").chars().filter(char::is_ascii_digit).collect();
            // The country code is left out, as HubSpot says.
            let national = if phone.starts_with('+') { digits.get(2..).unwrap_or_default().to_owned() } else { digits };
            national.trim_start_matches('0').to_owned()
        };
        for (from, to) in [
            ("phone", "hs_searchable_calculated_phone_number"),
            ("mobilephone", "hs_searchable_calculated_mobile_number"),
        ] {
            if let Some(number) = own.get(from).filter(|_| object == "contacts").map(|p| searchable(p)) {
                own.insert(to.into(), number);
            }
        }
        if object == "notes"
            && let Some(ms) = own.get("hs_timestamp").and_then(|t| t.parse::<u64>().ok())
        {
            own.insert("hs_timestamp".into(), iso(ms));
        }
        self.records.insert(
            (object.to_owned(), id.clone()),
            Record { properties: own, created: now, archived: false, indexed: false },
        );
        id
    }

    /// Associates two records, both ways.
    pub fn associate(&mut self, a: (&str, &str), b: (&str, &str)) {
        let [a, b] = [a, b].map(|(object, id)| (object.to_owned(), id.to_owned()));
        self.associations.insert([a.clone(), b.clone()]);
        self.associations.insert([b, a]);
    }

    /// Lets the search know all that there is by now.
    pub fn index(&mut self) {
        self.records.values_mut().for_each(|r| r.indexed = true);
    }

    /// Moves a record to the recycling bin.
    pub fn archive(&mut self, object: &str, id: &str) {
        if let Some(record) = self.records.get_mut(&(object.to_owned(), id.to_owned())) {
            record.archived = true;
        }
    }

    /// Ids of records of an object that have this value.
    pub fn with(&self, object: &str, property: &str, value: &str) -> Vec<String> {
        let has = |r: &Record| !r.archived && r.properties.get(property).is_some_and(|v| v.eq_ignore_ascii_case(value));
        self.records.iter().filter(|((o, _), r)| o == object && has(r)).map(|((_, id), _)| id.clone()).collect()
    }

    /// Ids of records of an object that are associated with a record.
    pub fn linked(&self, of: (&str, &str), object: &str) -> Vec<String> {
        let of = (of.0.to_owned(), of.1.to_owned());
        self.associations.iter().filter(|[a, b]| *a == of && b.0 == object).map(|[_, b]| b.1.clone()).collect()
    }

    fn serve(&mut self, method: &str, url: &str, body: &Value) -> Outcome {
        let url = reqwest::Url::parse(&format!("http://api{url}")).map_err(|_| missing())?;
        let query: BTreeMap<String, String> =
            url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        let path: Vec<String> = url.path().trim_matches('/').split('/').map(decoded).collect();
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        match (method, parts.as_slice()) {
            ("GET", ["crm", "v3", "pipelines", object]) => {
                self.permits(object, false)?;
                let found = schema::pipelines(object).ok_or_else(missing)?;
                self.told(200, "CollectionResponsePipelineNoPaging", found)
            }
            ("GET", ["crm", "v3", "properties", object, name]) => {
                self.permits(object, false)?;
                let property = self.properties.get(*object).and_then(|p| p.get(*name));
                let property = property.ok_or_else(|| {
                    refusal(404, "OBJECT_NOT_FOUND", &format!("No property named {name} exists"), Value::Null)
                })?;
                let options: Vec<Value> = property.options.iter().enumerate().map(|(at, o)| json!({"label": o.replace('_', " "), "value": o, "displayOrder": at, "hidden": false})).collect();
                Ok((
                    200,
                    json!({"name": name, "label": name, "type": "string", "fieldType": "text", "hasUniqueValue": property.unique, "options": options, "archived": false, "groupName": "g", "description": ""}),
                ))
            }
            ("GET", ["crm", "v4", "associations", from, to, "labels"]) => {
                self.permits(from, false)?;
                let id = schema::association(from, to).ok_or_else(missing)?;
                Ok((
                    200,
                    json!({"results": [{"category": "USER_DEFINED", "typeId": 12, "label": "Own"}, {"category": "HUBSPOT_DEFINED", "typeId": id, "label": null}]}),
                ))
            }
            (_, ["crm", "v3", "objects", object, rest @ ..]) if self.properties.contains_key(*object) => {
                let reads = method == "GET" || matches!(rest, ["search"] | ["batch", "read"]);
                self.permits(object, !reads)?;
                match (method, rest) {
                    ("GET", []) => {
                        let results: Vec<Value> = self
                            .records
                            .iter()
                            .filter(|((o, _), r)| o == object && !r.archived)
                            .take(10)
                            .map(|((_, id), r)| shown(id, r, &[]))
                            .collect();
                        Ok((200, json!({"results": results})))
                    }
                    ("POST", []) => self.create(object, body),
                    ("POST", ["search"]) => self.search(object, body),
                    ("POST", ["batch", "read"]) => self.batch(object, body),
                    ("GET", [id]) => {
                        let id = self.resolve(object, id, query.get("idProperty"))?;
                        let wanted: Vec<&str> =
                            query.get("properties").map(|p| p.split(',').collect()).unwrap_or_default();
                        let record = self
                            .records
                            .get(&((*object).to_owned(), id.clone()))
                            .filter(|r| !r.archived)
                            .ok_or_else(missing)?;
                        let mut told = shown(&id, record, &wanted);
                        let mut associations = Map::new();
                        for to in
                            query.get("associations").map(|a| a.split(',').collect::<Vec<_>>()).unwrap_or_default()
                        {
                            let results: Vec<Value> = self
                                .linked((object, &id), to)
                                .into_iter()
                                .map(|id| json!({"id": id, "type": format!("{object}_to_{to}")}))
                                .collect();
                            if !results.is_empty() {
                                associations.insert(to.to_owned(), json!({"results": results}));
                            }
                        }
                        if let (Some(told), false) = (told.as_object_mut(), associations.is_empty()) {
                            told.insert("associations".into(), associations.into());
                        }
                        self.told(200, "SimplePublicObjectWithAssociations", told)
                    }
                    ("PATCH", [id]) => {
                        self.shaped("SimplePublicObjectInput", body)?;
                        let id = self.resolve(object, id, None)?;
                        self.valid(object, body, Some(&id))?;
                        let changed = body["properties"].as_object().cloned().unwrap_or_default();
                        let record = self
                            .records
                            .get_mut(&((*object).to_owned(), id.clone()))
                            .filter(|r| !r.archived)
                            .ok_or_else(missing)?;
                        record.properties.extend(
                            changed.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())),
                        );
                        let names: Vec<&str> = changed.keys().map(String::as_str).collect();
                        let told = shown(&id, record, &names);
                        self.told(200, "SimplePublicObject", told)
                    }
                    _ => Err(refusal(405, "METHOD_NOT_ALLOWED", "HTTP 405 Method Not Allowed", Value::Null)),
                }
            }
            _ => Err(refusal(404, "OBJECT_NOT_FOUND", "resource not found", Value::Null)),
        }
    }

    fn permits(&self, object: &str, write: bool) -> Result<(), (u16, Value)> {
        let needed = schema::scopes(object, write);
        if needed.iter().any(|s| self.scopes.contains(s)) {
            return Ok(());
        }
        let errors = json!([{"message": "One or more of the following scopes are required.", "context": {"requiredGranularScopes": needed}}]);
        let message = "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.";
        Err(refusal(403, "MISSING_SCOPES", message, errors))
    }

    /// The id of a record by id, old id or unique property.
    fn resolve(&self, object: &str, id: &str, by: Option<&String>) -> Result<String, (u16, Value)> {
        let Some(by) = by else {
            return Ok(self.merged.get(id).cloned().unwrap_or_else(|| id.to_owned()));
        };
        if !self.properties.get(object).and_then(|p| p.get(by)).is_some_and(|p| p.unique) {
            return Err(refusal(
                400,
                "VALIDATION_ERROR",
                &format!("{by} is not a unique property of {object}"),
                Value::Null,
            ));
        }
        self.with(object, by, id).into_iter().next().ok_or_else(missing)
    }

    fn valid(&self, object: &str, body: &Value, own: Option<&str>) -> Result<(), (u16, Value)> {
        let known = self.properties.get(object).ok_or_else(missing)?;
        for (name, value) in body["properties"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            let Some(property) = known.get(name) else {
                return Err(invalid("PROPERTY_DOESNT_EXIST", name, &format!("Property \"{name}\" does not exist")));
            };
            if property.read_only {
                return Err(invalid(
                    "READ_ONLY_VALUE",
                    name,
                    &format!("\"{name}\" is a read only property; its value cannot be set."),
                ));
            }
            if property.kind == 'e' && !property.options.iter().any(|o| o == value) {
                return Err(invalid(
                    "INVALID_OPTION",
                    name,
                    &format!("{value} was not one of the allowed options: {:?}", property.options),
                ));
            }
            if property.kind == 'n' && value.parse::<f64>().is_err() {
                return Err(invalid("INVALID_LONG", name, &format!("{value} was not a valid number.")));
            }
            if property.kind == 't' && value.parse::<u64>().is_err() && !value.contains('T') {
                return Err(invalid("INVALID_DATE", name, &format!("{value} was not a valid moment.")));
            }
            if property.kind == 'm' && !value.split_once('@').is_some_and(|(a, b)| !a.is_empty() && b.contains('.')) {
                return Err(invalid("INVALID_EMAIL", name, &format!("Email address {value} is invalid")));
            }
            let stage = matches!(name.as_str(), "hs_pipeline_stage" | "dealstage");
            if stage
                && !schema::pipelines(object).is_some_and(|p| {
                    p["results"][0]["stages"].as_array().is_some_and(|s| s.iter().any(|s| s["id"] == value))
                })
            {
                return Err(invalid("INVALID_OPTION", name, &format!("{value} is no stage of the pipeline")));
            }
            if let Some(other) = property
                .unique
                .then(|| self.with(object, name, value))
                .and_then(|ids| ids.into_iter().find(|id| Some(id.as_str()) != own))
            {
                return Err(if name == "email" {
                    refusal(409, "CONFLICT", &format!("Contact already exists. Existing ID: {other}"), Value::Null)
                } else {
                    invalid("CONFLICTING_UNIQUE_VALUE", name, &format!("{other} already has that value."))
                });
            }
        }
        Ok(())
    }

    fn create(&mut self, object: &str, body: &Value) -> Outcome {
        self.shaped("SimplePublicObjectInputForCreate", body)?;
        self.valid(object, body, None)?;
        let required: &[&str] = match object {
            "tickets" => &["subject", "hs_pipeline_stage"],
            "leads" => &["hs_lead_name"],
            "deals" => &["dealname", "dealstage"],
            "notes" => &["hs_timestamp"],
            _ => &[],
        };
        if let Some(missing) = required.iter().find(|r| body["properties"][**r].as_str().is_none_or(str::is_empty)) {
            return Err(invalid("REQUIRED_FIELD", missing, &format!("Property {missing} is required")));
        }
        let wrong = |message: &str| refusal(400, "VALIDATION_ERROR", message, Value::Null);
        let mut links = Vec::new();
        for association in body["associations"].as_array().into_iter().flatten() {
            let to = association["to"]["id"].as_str().unwrap_or_default();
            for kind in association["types"].as_array().into_iter().flatten() {
                let id = kind["associationTypeId"].as_u64().unwrap_or_default();
                let target = ["contacts", "leads", "deals", "tickets"]
                    .iter()
                    .find(|t| schema::association(object, t) == Some(id));
                let target = target
                    .filter(|_| kind["associationCategory"] == "HUBSPOT_DEFINED")
                    .ok_or_else(|| wrong(&format!("associationTypeId {id} is not valid for {object}")))?;
                if self.records.get(&((*target).to_owned(), to.to_owned())).is_none_or(|r| r.archived) {
                    return Err(wrong(&format!("Object not found: {target} {to}")));
                }
                links.push(((*target).to_owned(), to.to_owned()));
            }
        }
        if object == "leads" && !links.iter().any(|(t, _)| t == "contacts") {
            return Err(wrong("Leads must be associated with a primary contact or company"));
        }
        let id = self.seed(object, body["properties"].clone());
        for (target, to) in links {
            self.associate((object, &id), (&target, &to));
        }
        let names: Vec<&str> = body["properties"].as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
        let record = self.records.get(&(object.to_owned(), id.clone())).ok_or_else(missing)?;
        let told = shown(&id, record, &names);
        self.told(201, "SimplePublicObject", told)
    }

    fn batch(&self, object: &str, body: &Value) -> Outcome {
        self.shaped("BatchReadInputSimplePublicObjectId", body)?;
        let inputs = body["inputs"].as_array().cloned().unwrap_or_default();
        if inputs.is_empty() || inputs.len() > 100 {
            return Err(refusal(400, "VALIDATION_ERROR", "inputs must have 1 to 100 elements", Value::Null));
        }
        let wanted: Vec<&str> = body["properties"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let ids = inputs.iter().filter_map(|i| i["id"].as_str());
        let results: Vec<Value> = ids
            .filter_map(|id| {
                let record = self.records.get(&(object.to_owned(), id.to_owned())).filter(|r| !r.archived)?;
                Some(shown(id, record, &wanted))
            })
            .collect();
        let whole = results.len() == inputs.len();
        let now = moment_now().replace("+0000", "Z");
        let mut told = json!({"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now});
        if let (Some(told), false) = (told.as_object_mut(), whole) {
            told.insert("numErrors".into(), json!(1));
            return Ok((207, Value::Object(told.clone())));
        }
        self.told(200, "BatchResponseSimplePublicObject", told)
    }

    fn search(&self, object: &str, body: &Value) -> Outcome {
        self.shaped("PublicObjectSearchRequest", body)?;
        let wrong = |message: &str| refusal(400, "VALIDATION_ERROR", message, Value::Null);
        let groups = body["filterGroups"].as_array().cloned().unwrap_or_default();
        let limit = body["limit"].as_u64().unwrap_or(10);
        if groups.len() > GROUPS || !(1..=200).contains(&limit) {
            return Err(wrong("too many filterGroups, or limit is not between 1 and 200"));
        }
        let filters: Vec<usize> = groups.iter().map(|g| g["filters"].as_array().map_or(0, Vec::len)).collect();
        let after = body["after"].as_str().map_or(Ok(0), str::parse::<usize>);
        let after = after.map_err(|_| wrong("after is no integer"))?;
        let next = after + usize::try_from(limit).unwrap_or(10);
        if filters.iter().any(|f| !(1..=FILTERS).contains(f)) || filters.iter().sum::<usize>() > ALL_FILTERS {
            return Err(wrong("too many filters, or a filterGroup without any"));
        }
        if body.to_string().chars().count() > SEARCH || next > RESULTS {
            return Err(wrong("the body has more than 3,000 characters, or pages go beyond 10,000 results"));
        }
        let known = self.properties.get(object).ok_or_else(missing)?;
        for filter in groups.iter().flat_map(|g| g["filters"].as_array().into_iter().flatten()) {
            let name = filter["propertyName"].as_str().unwrap_or_default();
            if !known.contains_key(name) {
                return Err(wrong(&format!("There was a problem with the request: property {name} does not exist")));
            }
            let listed = matches!(filter["operator"].as_str(), Some("IN" | "NOT_IN"));
            if listed != filter["values"].is_array() || listed == filter["value"].is_string() {
                return Err(wrong("IN needs values, other operators value"));
            }
        }
        let fits = |r: &Record| {
            let text = |name: &str| r.properties.get(name).map(|v| v.to_lowercase()).unwrap_or_default();
            let meets = |f: &Value| {
                let own = text(f["propertyName"].as_str().unwrap_or_default());
                let wanted = f["value"].as_str().unwrap_or_default().to_lowercase();
                match f["operator"].as_str() {
                    Some("EQ") => own == wanted,
                    Some("IN") => f["values"]
                        .as_array()
                        .is_some_and(|v| v.iter().any(|v| v.as_str().is_some_and(|v| v.to_lowercase() == own))),
                    Some("CONTAINS_TOKEN") => {
                        own.split(|c: char| c == ';' || c.is_whitespace()).any(|token| match wanted.strip_prefix('*') {
                            Some(end) => !end.is_empty() && token.ends_with(end),
                            None => token == wanted,
                        })
                    }
                    _ => false,
                }
            };
            let grouped = groups.is_empty()
                || groups.iter().any(|g| g["filters"].as_array().is_some_and(|f| f.iter().all(meets)));
            let words = body["query"].as_str().unwrap_or_default().to_lowercase();
            let whole = format!("{} {}", text("subject"), text("content"));
            grouped && words.split_whitespace().all(|w| whole.contains(w))
        };
        let found: Vec<(&String, &Record)> = self
            .records
            .iter()
            .filter(|((o, _), r)| o == object && r.indexed && !r.archived && fits(r))
            .map(|((_, id), r)| (id, r))
            .collect();
        let wanted: Vec<&str> = body["properties"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let results: Vec<Value> =
            found.iter().skip(after).take(next - after).map(|(id, r)| shown(id, r, &wanted)).collect();
        let mut told = json!({"total": found.len(), "results": results});
        if let (Some(told), true) = (told.as_object_mut(), next < found.len()) {
            told.insert(
                "paging".into(),
                json!({"next": {"after": next.to_string(), "link": format!("?after={next}")}}),
            );
        }
        self.told(200, "CollectionResponseWithTotalSimplePublicObjectForwardPaging", told)
    }
}

/// A record as the API shows it: what was asked for, and what is always there.
fn shown(id: &str, record: &Record, wanted: &[&str]) -> Value {
    let mut properties = Map::new();
    for name in wanted.iter().chain(&["hs_object_id", "createdate"]) {
        properties.insert((*name).to_owned(), record.properties.get(*name).map_or(Value::Null, |v| json!(v)));
    }
    json!({"id": id, "properties": properties, "createdAt": record.created, "updatedAt": record.created, "archived": record.archived})
}

/// Milliseconds as HubSpot writes moments.
fn iso(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        rest / 3_600_000,
        rest % 3_600_000 / 60_000,
        rest % 60_000 / 1000,
        rest % 1000
    )
}

fn decoded(segment: &str) -> String {
    let query = format!("http://x/?v={}", segment.replace('+', "%2B"));
    reqwest::Url::parse(&query)
        .ok()
        .and_then(|u| u.query_pairs().next().map(|(_, v)| v.into_owned()))
        .unwrap_or_default()
}

//! A company's own JSON API, made up for the `rest` connector: `examples/connections/rest.api.yaml` describes it.
//!
//! It is as strict as its owner would be: bearer token, API version, content type, fields that it knows and no others,
//! cursors that it gave out, an idempotency key that is used for one body only.

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;

/// The bearer token that it takes: a fixture, not a secret.
pub const TOKEN: &str = "inhouse-token-1";
const VERSION: &str = "2026-11";
/// Articles a page, so that a search of the fixture has two.
const PAGE: usize = 2;

/// A running API.
#[derive(Debug)]
pub struct Inhouse {
    address: SocketAddr,
    data: Arc<Mutex<Data>>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Data {
    customers: Vec<Value>,
    leads: Vec<Value>,
    tickets: Vec<Value>,
    /// Key to body and answer.
    keys: HashMap<String, (Value, Value)>,
    requests: Vec<(String, String)>,
    down: bool,
}

impl Inhouse {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Inhouse> {
        let data = Arc::new(Mutex::new(Data::default()));
        let router = Router::new()
            .route("/v1/status", get(status))
            .route("/v1/orders", get(orders))
            .route("/v1/articles", get(articles))
            .route("/v1/articles/{sku}", get(article))
            .route("/v1/articles/{sku}/stock", get(stock))
            .route("/v1/recommendations", get(recommendations))
            .route("/v1/customers", get(customers).post(new_customer))
            .route("/v1/leads", post(new_lead))
            .route("/v1/tickets", get(tickets).post(new_ticket))
            .route("/v1/tickets/{no}", get(ticket).patch(change_ticket))
            .route("/v1/tickets/{no}/comments", post(comment))
            .fallback(|| async { fault(StatusCode::NOT_FOUND, "NO_ROUTE", "no such route") })
            .layer(from_fn_with_state(data.clone(), door))
            .with_state(data.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Inhouse { address, data, server })
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The API's base URL.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    fn data(&self) -> Result<MutexGuard<'_, Data>> {
        self.data.lock().ok().context("poisoned")
    }

    /// What was created: `customers`, `leads` or `tickets`.
    ///
    /// # Errors
    /// When a handler panicked.
    pub fn created(&self, what: &str) -> Result<Vec<Value>> {
        let data = self.data()?;
        Ok(match what {
            "customers" => data.customers.clone(),
            "leads" => data.leads.clone(),
            _ => data.tickets.clone(),
        })
    }

    /// Method and path of each request so far.
    ///
    /// # Errors
    /// When a handler panicked.
    pub fn requests(&self) -> Result<Vec<(String, String)>> {
        Ok(self.data()?.requests.clone())
    }

    /// Whether it answers 503 to everything from now on.
    ///
    /// # Errors
    /// When a handler panicked.
    pub fn set_down(&self, down: bool) -> Result<()> {
        self.data()?.down = down;
        Ok(())
    }
}

impl Drop for Inhouse {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Shared = State<Arc<Mutex<Data>>>;

fn fault(status: StatusCode, code: &str, message: &str) -> Response {
    (status, axum::Json(json!({"error": {"code": code, "message": message}}))).into_response()
}

/// Who may come in, and with what.
async fn door(State(data): Shared, request: Request, next: Next) -> Response {
    match refused(&data, &request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

fn refused(data: &Mutex<Data>, request: &Request) -> Option<Response> {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let down = data.lock().map(|mut data| {
        data.requests.push((request.method().to_string(), path));
        data.down
    });
    if down.unwrap_or(true) {
        return Some(fault(StatusCode::SERVICE_UNAVAILABLE, "DOWN", "maintenance"));
    }
    if header("authorization") != format!("Bearer {TOKEN}") {
        return Some(fault(StatusCode::UNAUTHORIZED, "NO_TOKEN", "token missing or wrong"));
    }
    if header("x-api-version") != VERSION {
        return Some(fault(StatusCode::BAD_REQUEST, "NO_VERSION", "x-api-version must be 2026-11"));
    }
    if matches!(*request.method(), Method::POST | Method::PATCH) && header("content-type") != "application/json" {
        return Some(fault(StatusCode::UNSUPPORTED_MEDIA_TYPE, "NO_JSON", "send application/json"));
    }
    None
}

async fn status() -> Response {
    axum::Json(json!({"status": "up"})).into_response()
}

fn all_orders() -> Vec<Value> {
    let order = |number: &str, status: &str, email: &str, zip: &str| {
        json!({"id": 42, "orderNo": number, "status": status, "createdAt": "2026-11-20T09:00:00+01:00",
            "customer": {"id": 7, "email": email, "phone": "+43 660 5550177"},
            "delivery": {"zip": zip, "carrier": "Post AT", "tracking": "AT0042", "eta": "2026-11-24"},
            "totalCents": 69800, "currency": "EUR",
            "items": [{"article": "SKU-1001", "title": "Espresso machine", "qty": 2, "sumCents": 69800}]})
    };
    vec![
        order("WEB-421", "NEW", "max@muster.example", "1010"),
        order("WEB-42", "SENT", "einkauf@muster.example", "5020"),
    ]
}

/// Finds what contains the words, as searches do.
async fn orders(Query(query): Query<HashMap<String, String>>) -> Response {
    if let Some(unknown) = query.keys().find(|key| !["search", "include", "after"].contains(&key.as_str())) {
        return fault(StatusCode::UNPROCESSABLE_ENTITY, "BAD_FIELD", unknown);
    }
    let wanted = query.get("search").cloned().unwrap_or_default().to_lowercase();
    let fits = |o: &Value| o["orderNo"].as_str().is_some_and(|no| no.to_lowercase().contains(&wanted));
    let found: Vec<Value> = all_orders().into_iter().filter(fits).collect();
    // One a page: the right one is on the second.
    let at: usize = query.get("after").and_then(|after| after.parse().ok()).unwrap_or(0);
    let next =
        (at + 1 < found.len()).then(|| format!("https://api.example.com/v1/orders?search={wanted}&after={}", at + 1));
    axum::Json(json!({"data": found.get(at).into_iter().collect::<Vec<_>>(), "next": next})).into_response()
}

fn all_articles() -> Vec<Value> {
    let article = |sku: &str, title: &str, cents: u32| json!({"sku": sku, "title": title, "text": title, "priceCents": cents, "groups": ["Coffee"]});
    vec![
        article("SKU-1001", "Espresso machine", 34_900),
        article("SKU-1002", "Milk frother", 3_990),
        article("SKU-1004", "Kaffeemühle Grün", 8_900),
    ]
}

async fn articles(Query(query): Query<HashMap<String, String>>) -> Response {
    let wanted = query.get("q").cloned().unwrap_or_default().to_lowercase();
    let fits = |a: &Value| {
        a["title"].as_str().is_some_and(|t| wanted.split_whitespace().any(|w| t.to_lowercase().contains(w)))
    };
    let found: Vec<Value> = all_articles().into_iter().filter(fits).collect();
    let at: usize = query.get("after").and_then(|after| after.parse().ok()).unwrap_or(0);
    let page: Vec<&Value> = found.iter().skip(at).take(PAGE).collect();
    let next = (at + PAGE < found.len()).then(|| format!("/v1/articles?q={wanted}&after={}", at + PAGE));
    axum::Json(json!({"data": page, "next": next})).into_response()
}

fn by_sku(sku: &str) -> Result<Value, Response> {
    let found = all_articles().into_iter().find(|a| a["sku"].as_str().is_some_and(|s| s.eq_ignore_ascii_case(sku)));
    found.ok_or_else(|| fault(StatusCode::NOT_FOUND, "NO_ARTICLE", "no such article"))
}

async fn article(Path(sku): Path<String>) -> Response {
    by_sku(&sku).map_or_else(|refusal| refusal, |article| axum::Json(article).into_response())
}

async fn stock(Path(sku): Path<String>) -> Response {
    let article = match by_sku(&sku) {
        Ok(article) => article,
        Err(refusal) => return refusal,
    };
    let (sku, title) = (article["sku"].clone(), article["title"].clone());
    let sites =
        json!([{"site": "Wien", "sku": sku, "title": title, "onHand": 7, "free": 5, "nextDelivery": "2026-12-01"}]);
    axum::Json(json!({"sku": sku, "sites": sites})).into_response()
}

async fn recommendations(Query(query): Query<HashMap<String, String>>) -> Response {
    let has = query.get("for").cloned().unwrap_or_default();
    let mut found = all_articles();
    found.retain(|a| !has.contains(a["sku"].as_str().unwrap_or("-")));
    for article in &mut found {
        article["why"] = json!("often bought together");
    }
    axum::Json(json!({"data": found})).into_response()
}

/// A body whose fields are known; `needed` ones are there and texts.
fn checked(body: &Bytes, known: &[&str], needed: &[&str]) -> Result<Map<String, Value>, Response> {
    let wrong = |message: String| fault(StatusCode::UNPROCESSABLE_ENTITY, "BAD_FIELD", &message);
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return Err(wrong("no object".into())) };
    if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(wrong(format!("unknown field {unknown}")));
    }
    if let Some(null) = fields.iter().find(|(_, value)| value.is_null()) {
        return Err(wrong(format!("{} is null", null.0)));
    }
    for name in needed {
        if !fields.get(*name).is_some_and(|value| value.as_str().is_some_and(|text| !text.is_empty())) {
            return Err(wrong(format!("{name} is missing")));
        }
    }
    Ok(fields)
}

/// Runs a write once for a key; the same key with another body is refused.
fn once(
    data: &Mutex<Data>,
    headers: &HeaderMap,
    fields: Map<String, Value>,
    make: impl FnOnce(&mut Data, Map<String, Value>) -> Value,
) -> Response {
    let key = headers.get("idempotency-key").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let Ok(mut data) = data.lock() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    if key.is_empty() {
        return fault(StatusCode::BAD_REQUEST, "NO_KEY", "idempotency-key is missing");
    }
    let body = Value::Object(fields.clone());
    if let Some((known, answer)) = data.keys.get(&key) {
        if *known != body {
            return fault(StatusCode::UNPROCESSABLE_ENTITY, "KEY_REUSED", "the key was used for another body");
        }
        return (StatusCode::OK, axum::Json(answer.clone())).into_response();
    }
    let answer = make(&mut data, fields);
    data.keys.insert(key, (body, answer.clone()));
    (StatusCode::CREATED, axum::Json(answer)).into_response()
}

async fn customers(State(data): Shared, Query(query): Query<HashMap<String, String>>) -> Response {
    let Ok(data) = data.lock() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let fits = |c: &&Value| query.iter().all(|(name, value)| c[name.as_str()] == json!(value));
    axum::Json(json!({"data": data.customers.iter().filter(fits).collect::<Vec<_>>()})).into_response()
}

async fn new_customer(State(data): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let fields = match checked(&body, &["name", "email", "phone", "company"], &["name"]) {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    once(&data, &headers, fields, |data, mut fields| {
        fields.insert("id".into(), json!(data.customers.len() + 100));
        data.customers.push(Value::Object(fields.clone()));
        Value::Object(fields)
    })
}

async fn new_lead(State(data): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let known = ["title", "text", "email", "phone", "name", "articles", "channel"];
    let fields = match checked(&body, &known, &["title"]) {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    once(&data, &headers, fields, |data, mut fields| {
        fields.insert("id".into(), json!(data.leads.len() + 1));
        fields.insert("no".into(), json!(format!("LEAD-{}", data.leads.len() + 1)));
        fields.insert("stage".into(), json!("OPEN"));
        data.leads.push(Value::Object(fields.clone()));
        Value::Object(fields)
    })
}

async fn tickets(State(data): Shared, Query(query): Query<HashMap<String, String>>) -> Response {
    let Ok(data) = data.lock() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let wanted = query.get("externalId").cloned().unwrap_or_default();
    let found: Vec<&Value> = data.tickets.iter().filter(|t| t["externalId"] == json!(wanted)).collect();
    axum::Json(json!({"data": found})).into_response()
}

async fn new_ticket(State(data): Shared, body: Bytes) -> Response {
    let known = ["externalId", "title", "text", "email", "phone", "orderNo", "priority"];
    let mut fields = match checked(&body, &known, &["externalId", "title", "text"]) {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    let Ok(mut data) = data.lock() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    if data.tickets.iter().any(|t| t["externalId"] == fields["externalId"]) {
        return fault(StatusCode::CONFLICT, "LOCKED", "externalId is taken");
    }
    fields.insert("no".into(), json!(format!("R-{}", data.tickets.len() + 1)));
    fields.insert("state".into(), json!("OPEN"));
    fields.insert("createdAt".into(), json!("2026-11-22 10:32:00"));
    fields.insert("comments".into(), json!([]));
    data.tickets.push(Value::Object(fields.clone()));
    (StatusCode::CREATED, axum::Json(Value::Object(fields))).into_response()
}

fn with_ticket(data: &Mutex<Data>, no: &str, change: impl FnOnce(&mut Value)) -> Response {
    let Ok(mut data) = data.lock() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    match data.tickets.iter_mut().find(|t| t["no"] == json!(no)) {
        Some(ticket) => {
            change(ticket);
            axum::Json(ticket.clone()).into_response()
        }
        None => fault(StatusCode::NOT_FOUND, "NO_TICKET", "no such ticket"),
    }
}

async fn ticket(State(data): Shared, Path(no): Path<String>) -> Response {
    with_ticket(&data, &no, |_| ())
}

async fn change_ticket(State(data): Shared, Path(no): Path<String>, body: Bytes) -> Response {
    match checked(&body, &["state", "reason"], &["state"]) {
        Ok(fields) => with_ticket(&data, &no, |ticket| ticket["state"] = fields["state"].clone()),
        Err(refusal) => refusal,
    }
}

async fn comment(State(data): Shared, Path(no): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let mut fields = match checked(&body, &["text", "by"], &["text", "by"]) {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    let again = {
        let Ok(mut data) = data.lock() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
        let key = headers.get("idempotency-key").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        data.keys.insert(format!("comment/{key}"), (Value::Null, Value::Null)).is_some()
    };
    fields.insert("at".into(), json!("2026-11-22T10:33:00Z"));
    with_ticket(&data, &no, |ticket| {
        if !again && let Some(comments) = ticket["comments"].as_array_mut() {
            comments.push(Value::Object(fields));
        }
    })
}

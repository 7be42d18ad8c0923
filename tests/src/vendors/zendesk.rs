//! Zendesk Support as its API reference describes it, with an account of its own in memory.
//!
//! | module | what it holds |
//! |---|---|
//! | this one | the server: credentials, headers, bodies against `fixtures/zendesk`, idempotency keys, faults on demand |
//! | `account` | tickets, comments, audits and users, and the rules of changing them |
//! | `find` | its search language and its cursor pages |
//!
//! What a client must know and easily gets wrong is here: the search sees nothing new until [`Zendesk::index`], a closed
//! ticket can't be changed, an unassigned one can't be solved, `create_or_update` overwrites. A request that breaks the
//! reference is refused, and kept in [`Zendesk::faults`] besides.

mod account;
mod find;

use account::{Account, Refusal};
use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;

/// The agent of the API token, with `/token`, as basic authentication wants it.
pub const USERNAME: &str = "bot@shop.example/token";
/// Its API token; a fixture, not a secret.
pub const TOKEN: &str = "api-token-canary-1";
/// An OAuth2 access token of the same agent.
pub const BEARER: &str = "oauth-token-canary-2";
/// Requests a minute that the headers promise.
const RATE: u32 = 700;

/// What happens to the next request that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429 with `Retry-After`, nothing is done.
    TooMany(u32),
    /// It is done, and the answer is lost on the way: 503.
    Lost,
}

/// A running Zendesk.
#[derive(Debug)]
pub struct Zendesk {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    account: Account,
    schemas: Value,
    /// Key to body and answer.
    keys: HashMap<String, (Value, Value)>,
    next: VecDeque<Fault>,
    requests: Vec<(String, String, u16)>,
    faults: Vec<String>,
}

impl Zendesk {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is none, or the schemas can't be read.
    pub async fn start() -> Result<Zendesk> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let file = crate::place::root().join("tests/fixtures/zendesk/requests.schema.json");
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let shared = Shared {
            account: Account::new(&format!("http://{address}")),
            schemas: serde_json::from_str(&text)?,
            keys: HashMap::new(),
            next: VecDeque::new(),
            requests: Vec::new(),
            faults: Vec::new(),
        };
        let shared = Arc::new(Mutex::new(shared));
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Zendesk { address, shared, server })
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What a connection calls.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests that change something meet these.
    pub fn fail(&self, faults: &[Fault]) {
        self.shared().next.extend(faults);
    }

    /// Lets the search catch up with what was created.
    pub fn index(&self) {
        self.shared().account.index();
    }

    /// Tickets with this subject, with `comments` and `requester`, past the API.
    pub fn tickets(&self, subject: &str) -> Vec<Value> {
        self.shared().account.tickets_about(subject)
    }

    /// Users with this address or number, past the API.
    pub fn users(&self, contact: &str) -> Vec<Value> {
        self.shared().account.users_of(contact)
    }

    /// Sets a ticket's status, as time or an agent does.
    pub fn set_status(&self, ticket: u64, status: &str) {
        self.shared().account.set_status(ticket, status);
    }

    /// Method, path and status of each request.
    pub fn requests(&self) -> Vec<(String, String, u16)> {
        self.shared().requests.clone()
    }

    /// How often something was asked for: method, and beginning of the path.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.shared().requests.iter().filter(|(m, p, _)| m == method && p.starts_with(path)).count()
    }

    /// What was wrong with requests by the reference.
    pub fn faults(&self) -> Vec<String> {
        self.shared().faults.clone()
    }
}

impl Drop for Zendesk {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Mutex<Shared>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, more, document) = shared.answer(&method, &uri, &headers, &body);
    let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    shared.requests.push((method.to_string(), path, status.as_u16()));
    let mut response = (status, axum::Json(document)).into_response();
    let rate = [("x-rate-limit", RATE.to_string()), ("x-rate-limit-remaining", (RATE - 1).to_string())];
    for (name, value) in rate.into_iter().chain(more) {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

type Answered = (StatusCode, Vec<(&'static str, String)>, Value);

impl Shared {
    fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Answered {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let plain = |status: StatusCode, document: Value| (status, Vec::new(), document);
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{USERNAME}:{TOKEN}"));
        if ![format!("Basic {basic}"), format!("Bearer {BEARER}")].iter().any(|good| header("authorization") == good) {
            return plain(StatusCode::UNAUTHORIZED, json!({"error": "Couldn't authenticate you"}));
        }
        if !header("accept").contains("application/json") {
            self.faults.push(format!("{method} {} without Accept: application/json", uri.path()));
        }
        let query = find::parameters(uri.query().unwrap_or_default());
        let Some(path) = uri.path().strip_prefix("/api/v2") else {
            return plain(StatusCode::NOT_FOUND, json!({"error": "InvalidEndpoint", "description": "Not found"}));
        };
        let path = path.trim_end_matches(".json").to_owned();
        if *method == Method::GET {
            return match find::get(&self.account, &path, &query) {
                Ok(found) => plain(StatusCode::OK, found),
                Err(refusal) => refusal.into(),
            };
        }

        // 1. Is it well formed?
        if !header("content-type").starts_with("application/json") {
            self.faults.push(format!("{method} {path} is no application/json"));
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, json!({"error": "Unsupported media type"}));
        }
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            self.faults.push(format!("{method} {path}: the body is no JSON"));
            return plain(StatusCode::BAD_REQUEST, json!({"error": "Unprocessable JSON"}));
        };
        let ticket = path.strip_prefix("/tickets/").and_then(|id| id.parse::<u64>().ok());
        let schema = match (method.as_str(), path.as_str(), ticket) {
            ("POST", "/tickets", _) => "TicketCreateRequest",
            ("PUT", _, Some(_)) => "TicketUpdateRequest",
            ("POST", "/users", _) => "UserCreateRequest",
            ("POST", "/users/create_or_update", _) => "UserCreateOrUpdateRequest",
            _ => return plain(StatusCode::NOT_FOUND, json!({"error": "InvalidEndpoint", "description": "Not found"})),
        };
        if let Some(fault) = self.breaks(schema, &body) {
            self.faults.push(format!("{method} {path}: {fault}"));
            let error = json!({"title": "Invalid attribute", "message": fault});
            return plain(StatusCode::BAD_REQUEST, json!({"error": error}));
        }
        // 2. Is there time for it?
        let fault = self.next.pop_front();
        if let Some(Fault::TooMany(seconds)) = fault {
            let text = "Number of allowed API requests per minute exceeded";
            let document = json!({"error": "APIRateLimitExceeded", "description": text});
            return (StatusCode::TOO_MANY_REQUESTS, vec![("retry-after", seconds.to_string())], document);
        }
        // 3. Has it been done already?
        let key = header("idempotency-key").to_owned();
        let keyed = schema == "TicketCreateRequest" && !key.is_empty();
        if let (true, Some((before, made))) = (keyed, self.keys.get(&key)) {
            let hit = vec![("x-idempotency-lookup", "hit".to_owned())];
            if *before != body {
                let document =
                    json!({"error": "IdempotentRequestError", "description": "The parameters of the request differ"});
                return (StatusCode::BAD_REQUEST, hit, document);
            }
            return (StatusCode::CREATED, hit, made.clone());
        }
        let done = match (schema, ticket) {
            ("TicketUpdateRequest", Some(id)) => self.account.update(id, &body["ticket"]),
            ("TicketCreateRequest", _) => self.account.open(&body["ticket"]),
            ("UserCreateRequest", _) => self.account.add_user(&body["user"]),
            _ => self.account.create_or_update(&body["user"]),
        };
        let document = match done {
            Ok(document) => document,
            Err(refusal) => return refusal.into(),
        };
        if keyed {
            self.keys.insert(key, (body, document.clone()));
        }
        if fault == Some(Fault::Lost) {
            return plain(StatusCode::SERVICE_UNAVAILABLE, json!({"error": "ServiceUnavailable"}));
        }
        let status = if *method == Method::POST { StatusCode::CREATED } else { StatusCode::OK };
        let more = if keyed { vec![("x-idempotency-lookup", "miss".to_owned())] } else { Vec::new() };
        (status, more, document)
    }

    /// What a body breaks of a schema.
    fn breaks(&self, schema: &str, body: &Value) -> Option<String> {
        let whole = json!({"$defs": self.schemas["$defs"], "$ref": format!("#/$defs/{schema}")});
        let validator = match jsonschema::validator_for(&whole) {
            Ok(validator) => validator,
            Err(e) => return Some(format!("the schema {schema} can't be used: {e}")),
        };
        validator.iter_errors(body).next().map(|e| format!("{}: {e}", e.instance_path()))
    }
}

impl From<Refusal> for Answered {
    fn from(refusal: Refusal) -> Answered {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Vec::new(), refusal.document)
    }
}

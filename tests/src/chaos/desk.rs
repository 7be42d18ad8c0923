//! A strict help desk, as many are: what is posted is made, every time. Who wants to make something once must look first whether it is there
//! (`GET /v1/tickets?external_id=`); a second `POST` with the same external id makes a second ticket, and that is what is counted here.
//!
//! It takes its time, up to [`SLOWEST`], and of [`DROPPED`] of the writes the answer is lost on the way. A write that has arrived
//! is made, also when the caller is killed meanwhile.

use super::dice::Dice;
use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// The bearer token that it takes: a fixture, not a secret.
pub const TOKEN: &str = "chaos-desk-token-1";
/// Longest time for an answer.
const SLOWEST: Duration = Duration::from_millis(150);
/// Share of writes whose answer is lost.
const DROPPED: f64 = 0.02;
/// What a ticket may and must have.
const FIELDS: [&str; 4] = ["external_id", "title", "text", "email"];

/// A ticket that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its number.
    pub number: String,
    /// What the caller wanted to know it by.
    pub external_id: String,
    /// What it is about.
    pub title: String,
}

impl Ticket {
    fn json(&self) -> Value {
        json!({"no": self.number, "external_id": self.external_id, "title": self.title, "state": "OPEN"})
    }
}

/// What it has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Requests of any kind.
    pub requests: u64,
    /// Searches before a write.
    pub searches: u64,
    /// Those that found what an earlier try had made.
    pub found: u64,
    /// Answers to writes that were lost.
    pub dropped: u64,
    /// Requests that were not as they must be.
    pub refused: u64,
}

#[derive(Debug)]
struct Shared {
    tickets: Mutex<Vec<Ticket>>,
    done: Mutex<Done>,
    dice: Mutex<Dice>,
    last: Mutex<Instant>,
}

/// A running one. Dropping it stops it.
#[derive(Debug)]
pub struct Desk {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

impl Desk {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(seed: u64) -> Result<Desk> {
        let shared = Arc::new(Shared {
            tickets: Mutex::default(),
            done: Mutex::default(),
            dice: Mutex::new(Dice::new(seed, "desk", 0)),
            last: Mutex::new(Instant::now()),
        });
        let router = Router::new()
            .route("/v1/articles/{sku}/stock", get(stock))
            .route("/v1/tickets", get(find).post(open))
            .layer(from_fn_with_state(shared.clone(), at_the_door))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Desk { address, shared, server })
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// All tickets, in the order in which they were made.
    ///
    /// # Errors
    /// When a handler panicked.
    pub fn tickets(&self) -> Result<Vec<Ticket>> {
        Ok(self.shared.tickets.lock().ok().context("poisoned")?.clone())
    }

    /// What it has done so far.
    ///
    /// # Errors
    /// When a handler panicked.
    pub fn done(&self) -> Result<Done> {
        Ok(*self.shared.done.lock().ok().context("poisoned")?)
    }

    /// How long nobody has asked it for anything.
    pub fn idle(&self) -> Duration {
        self.shared.last.lock().map(|last| last.elapsed()).unwrap_or_default()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn note(&self, what: impl FnOnce(&mut Done)) {
        if let Ok(mut done) = self.done.lock() {
            what(&mut done);
        }
        if let Ok(mut last) = self.last.lock() {
            *last = Instant::now();
        }
    }

    /// How long this answer takes, and whether it is lost.
    fn fate(&self) -> (Duration, bool) {
        self.dice
            .lock()
            .map_or((SLOWEST, false), |mut dice| (dice.between(Duration::ZERO, SLOWEST), dice.chance(DROPPED)))
    }

    fn refuse(&self, message: &str) -> Response {
        self.note(|done| done.refused += 1);
        (StatusCode::BAD_REQUEST, axum::Json(json!({"error": {"code": "BAD_FIELD", "message": message}})))
            .into_response()
    }
}

async fn at_the_door(State(desk): State<Arc<Shared>>, headers: HeaderMap, request: Request, next: Next) -> Response {
    desk.note(|done| done.requests += 1);
    if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&format!("Bearer {TOKEN}")) {
        desk.note(|done| done.refused += 1);
        return StatusCode::UNAUTHORIZED.into_response();
    }
    next.run(request).await
}

async fn stock(State(desk): State<Arc<Shared>>) -> Response {
    tokio::time::sleep(desk.fate().0).await;
    axum::Json(json!({"sites": [{"title": "Pump", "site": "Vienna", "on_hand": 7, "free": 5}]})).into_response()
}

async fn find(State(desk): State<Arc<Shared>>, Query(query): Query<HashMap<String, String>>) -> Response {
    let Some(wanted) = query.get("external_id").filter(|id| !id.is_empty() && query.len() == 1) else {
        return desk.refuse("tickets are searched by external_id");
    };
    tokio::time::sleep(desk.fate().0).await;
    let Ok(tickets) = desk.tickets.lock() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let found: Vec<Value> = tickets.iter().filter(|ticket| ticket.external_id == *wanted).map(Ticket::json).collect();
    desk.note(|done| {
        done.searches += 1;
        done.found += u64::from(!found.is_empty());
    });
    axum::Json(json!({"data": found})).into_response()
}

/// In a task of its own: no system stops in the middle because the caller has gone.
async fn open(State(desk): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let made = tokio::spawn(async move { make(&desk, &headers, &body).await });
    made.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn make(desk: &Shared, headers: &HeaderMap, body: &[u8]) -> Response {
    if headers.get("content-type").is_none_or(|kind| !kind.as_bytes().starts_with(b"application/json")) {
        return desk.refuse("wants JSON");
    }
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(body) else {
        return desk.refuse("not a JSON object");
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if fields.len() != FIELDS.len() || FIELDS.iter().any(|name| text(name).is_empty()) {
        return desk.refuse(&format!("wants exactly {FIELDS:?}"));
    }
    let (time, dropped) = desk.fate();
    tokio::time::sleep(time / 2).await;
    let made = {
        let Ok(mut tickets) = desk.tickets.lock() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
        let number = format!("T-{}", tickets.len() + 1);
        let ticket = Ticket { number, external_id: text("external_id"), title: text("title") };
        tickets.push(ticket.clone());
        ticket.json()
    };
    tokio::time::sleep(time / 2).await;
    desk.note(|done| done.dropped += u64::from(dropped));
    if dropped {
        // The connection ends in the middle of an answer of which nothing has come.
        let gone = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        return Body::from_stream(futures::stream::iter([Err::<Bytes, _>(gone)])).into_response();
    }
    (StatusCode::CREATED, axum::Json(made)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::plain_http;

    #[tokio::test]
    async fn it_makes_what_is_posted_every_time_and_finds_it_by_its_external_id() -> Result<()> {
        let desk = Desk::start(1).await?;
        let http = plain_http()?;
        let url = format!("{}/tickets", desk.url());
        let body = json!({"external_id": "confab:1", "title": "t", "text": "t", "email": "a@example.test"}).to_string();
        let posts = (0..200).map(|_| {
            let post = http.post(&url).header("content-type", "application/json").bearer_auth(TOKEN).body(body.clone());
            async move { anyhow::Ok(post.send().await?.error_for_status()?.bytes().await?) }
        });
        let lost = futures::future::join_all(posts).await.iter().filter(|read| read.is_err()).count() as u64;
        assert_eq!(desk.tickets()?.len(), 200);
        assert!(lost > 0, "no answer was lost");
        assert_eq!(desk.done()?.dropped, lost);
        let found = http.get(format!("{url}?external_id=confab:1")).bearer_auth(TOKEN).send().await?.bytes().await?;
        assert_eq!(serde_json::from_slice::<Value>(&found)?["data"].as_array().map(Vec::len), Some(200));
        Ok(())
    }
}

//! A business system of our own making behind the tryton connector: one that keeps its callers waiting until it is told to
//! answer, or one that puts everything it was told, secrets first, into its answers.

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How it treats its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers nobody until [`Erp::answer_all`], then refuses with 503.
    Waits,
    /// Lets everybody in with this session, and answers every other call with an error that repeats what it knows.
    Betrays {
        /// The session that it gives out.
        session: String,
    },
}

/// A running system.
#[derive(Debug)]
pub struct Erp {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    manner: Manner,
    calls: watch::Sender<usize>,
    open: watch::Sender<bool>,
    /// What the last login said.
    password: Mutex<String>,
    betrayals: AtomicUsize,
}

impl Erp {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(manner: Manner) -> Result<Erp> {
        let (calls, open) = (watch::Sender::new(0), watch::Sender::new(false));
        let shared =
            Arc::new(Shared { manner, calls, open, password: Mutex::default(), betrayals: AtomicUsize::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Erp { address, shared, server })
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The connection's file, signed in to with the environment's `SHOP__TRYTON_PASSWORD`.
    pub fn connection(&self) -> String {
        connection(&format!("http://{}/erp", self.address))
    }

    /// Waits until so many calls have come in.
    ///
    /// # Errors
    /// When the system is gone.
    pub async fn called(&self, times: usize) -> Result<()> {
        self.shared.calls.subscribe().wait_for(|calls| *calls >= times).await?;
        Ok(())
    }

    /// How often it has told what it knows: password and session together.
    pub fn betrayals(&self) -> usize {
        self.shared.betrayals.load(Ordering::Relaxed)
    }

    /// Answers everybody who waits, and from now on at once.
    pub fn answer_all(&self) {
        self.shared.open.send_replace(true);
    }
}

impl Drop for Erp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The file of a connection `erp` that reaches Tryton's JSON-RPC at this URL.
pub fn connection(url: &str) -> String {
    format!(
        "id: erp\nconnector: tryton\nendpoints:\n  rpc:\n    url: {url}\n    username: chatbot\n    password: env:SHOP__TRYTON_PASSWORD\n"
    )
}

async fn answer(State(erp): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    erp.calls.send_modify(|calls| *calls += 1);
    match &erp.manner {
        Manner::Waits => {
            let _ = erp.open.subscribe().wait_for(|open| *open).await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Manner::Betrays { session } => betray(&erp, session, &headers, &body),
    }
}

fn betray(erp: &Shared, session: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let Ok(mut password) = erp.password.lock() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    if request["method"] == "common.db.login" {
        *password = request["params"][1]["password"].as_str().unwrap_or_default().to_owned();
        return axum::Json(json!({"id": request["id"], "result": [7, session]})).into_response();
    }
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !password.is_empty() && authorization.starts_with("Session ") {
        erp.betrayals.fetch_add(1, Ordering::Relaxed);
    }
    let secrets = format!("the password is {password}, the session {session}, the header {authorization}");
    let error = json!({"id": request["id"], "error": ["UserError", [secrets, secrets]], "secrets": secrets});
    let header = |name: &'static str, value: &str| (name, value.to_owned());
    let told =
        [header("x-request-id", &password), header("x-trace-id", authorization), header("set-cookie", authorization)];
    (told, axum::Json(error)).into_response()
}

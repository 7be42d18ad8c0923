//! Odoo's external API over HTTP: what [`orm`] knows, at `/jsonrpc`, with Odoo's own answers to what is no call.

pub mod orm;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use orm::Orm;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// A running Odoo.
#[derive(Debug)]
pub struct Odoo {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    orm: Mutex<Orm>,
    requests: Mutex<Vec<Value>>,
}

impl Odoo {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(orm: Orm) -> Result<Odoo> {
        let shared = Arc::new(Shared { orm: Mutex::new(orm), requests: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Odoo { address, shared, server })
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The file of a connection to it, with this id and further settings as lines of YAML.
    pub fn connection(&self, id: &str, settings: &[&str]) -> String {
        let more: String = settings.iter().map(|line| format!("  {line}\n")).collect();
        format!(
            "id: {id}\nconnector: odoo\nendpoints:\n  rpc:\n    url: http://{}\n    token: env:SHOP__ODOO_KEY\nsettings:\n  database: {}\n  username: {}\n{more}",
            self.address,
            orm::DATABASE,
            orm::LOGIN
        )
    }

    /// The bodies of all requests so far, with the key as it came.
    pub fn requests(&self) -> Vec<Value> {
        self.shared.requests.lock().map(|all| all.clone()).unwrap_or_default()
    }

    /// Looks at, or changes, what is in it.
    pub fn with<T: Default>(&self, work: impl FnOnce(&mut Orm) -> T) -> T {
        self.shared.orm.lock().map(|mut orm| work(&mut orm)).unwrap_or_default()
    }
}

impl Drop for Odoo {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(odoo): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if uri.path() != "/jsonrpc" {
        return (StatusCode::NOT_FOUND, Html("<!doctype html>\n<title>404 Not Found</title>")).into_response();
    }
    if method != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, Html("<!doctype html>\n<title>405 Method Not Allowed</title>"))
            .into_response();
    }
    let kind = headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let call: Value = match serde_json::from_slice(&body) {
        Ok(call) if kind.starts_with("application/json") => call,
        _ => return (StatusCode::BAD_REQUEST, Html("<!doctype html>\n<title>400 Bad Request</title>")).into_response(),
    };
    if let Ok(mut requests) = odoo.requests.lock() {
        requests.push(call.clone());
    }
    let params = &call["params"];
    let Ok(mut orm) = odoo.orm.lock() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let text = |name: &str| params[name].as_str().unwrap_or_default();
    let made = orm.dispatch(text("service"), text("method"), params["args"].as_array().map_or(&[], Vec::as_slice));
    let mut answer = json!({"jsonrpc": "2.0", "id": call["id"]});
    match made {
        // Nothing is no result at all.
        Ok(Value::Null) => {}
        Ok(result) => answer["result"] = result,
        Err(fault) => answer["error"] = json!({"code": 200, "message": "Odoo Server Error", "data": fault.data()}),
    }
    axum::Json(answer).into_response()
}

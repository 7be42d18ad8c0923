//! SAP Gateway over HTTP: what [`gateway`] knows below `/sap/opu/odata/sap`, behind basic authentication.

pub mod gateway;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use gateway::Gateway;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// The connector's user: a fixture, not a secret.
pub const USER: &str = "CHATBOT";
/// Its password: a fixture, not a secret.
pub const PASSWORD: &str = "sap-canary-password-1";

/// A running gateway.
#[derive(Debug)]
pub struct SapS4 {
    address: SocketAddr,
    gateway: Arc<Mutex<Gateway>>,
    server: tokio::task::JoinHandle<()>,
}

impl SapS4 {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(gateway: Gateway) -> Result<SapS4> {
        let gateway = Arc::new(Mutex::new(gateway));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(gateway.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(SapS4 { address, gateway, server })
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The file of a connection to it, with these settings as lines of YAML.
    pub fn connection(&self, id: &str, settings: &[&str]) -> String {
        let more: String = settings.iter().map(|line| format!("  {line}\n")).collect();
        format!(
            "id: {id}\nconnector: sap-s4\nendpoints:\n  odata:\n    url: http://{}/sap/opu/odata/sap\n    auth: {{ kind: basic, username: {USER}, password: \"env:SHOP__SAP_PASSWORD\" }}\nsettings:\n{more}",
            self.address
        )
    }

    /// Paths with query of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.gateway.lock().map(|gateway| gateway.requests().to_vec()).unwrap_or_default()
    }
}

impl Drop for SapS4 {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(gateway): State<Arc<Mutex<Gateway>>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let wanted = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}")));
    if headers.get("authorization").and_then(|v| v.to_str().ok()) != Some(wanted.as_str()) {
        let page = Html("<!DOCTYPE html><title>Logon Error Message</title><p>Logon failed</p>");
        return (
            StatusCode::UNAUTHORIZED,
            [("www-authenticate", "Basic realm=\"SAP NetWeaver Application Server [S4H/100]\"")],
            page,
        )
            .into_response();
    }
    if method != Method::GET {
        return (StatusCode::FORBIDDEN, [("x-csrf-token", "Required")], "CSRF token validation failed").into_response();
    }
    let path =
        uri.path_and_query().map(|p| p.as_str()).and_then(|p| p.strip_prefix("/sap/opu/odata/sap")).map(str::to_owned);
    let (Some(path), Ok(mut gateway)) = (path, gateway.lock()) else {
        return (StatusCode::NOT_FOUND, Html("<title>404 Service cannot be reached</title>")).into_response();
    };
    let (status, body) = gateway.answer(&path);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [("dataserviceversion", "2.0")], axum::Json(body)).into_response()
}

//! The admin API for the operator's own commands: over the socket of the running server, or in this process.

use crate::gateway::rate::Rates;
use crate::settings::Common;
use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Body;
use confab_engine::Engine;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::PathBuf;
use tokio::net::UnixStream;
use tower::ServiceExt;

/// A way to the admin API.
pub(super) enum Client {
    /// A server runs on the data directory.
    Socket(PathBuf),
    /// None runs: this process opens the store.
    InProcess(Router, Engine),
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Client {
    pub(super) async fn open(common: &Common) -> Result<Client> {
        let socket = common.socket();
        if UnixStream::connect(&socket).await.is_ok() {
            return Ok(Client::Socket(socket));
        }
        crate::telemetry::start_log(Some(crate::telemetry::Format::Text), "warn");
        let app = crate::serve::app(common, Rates { key: u32::MAX, visitor: u32::MAX }, true).await?;
        let engine = app.engine.clone();
        Ok(Client::InProcess(crate::serve::operator(app), engine))
    }

    /// Sends a request. Any status is an answer.
    pub(super) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let content_type = if body.is_some() { "application/json" } else { "" };
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        self.send_as(method, path, content_type, bytes).await
    }

    /// Sends a request with a body of another type; none for `""`.
    pub(super) async fn send_as(&self, method: Method, path: &str, content_type: &str, bytes: Bytes) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        if !content_type.is_empty() {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        match self {
            Client::Socket(socket) => {
                let stream = UnixStream::connect(socket).await.context("the server went away")?;
                let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                let response = sender.send_request(request.body(Full::new(bytes))?).await?;
                let status = response.status();
                Ok(Answer { status, body: response.into_body().collect().await?.to_bytes() })
            }
            Client::InProcess(router, _) => {
                let response = router.clone().oneshot(request.body(Body::from(bytes))?).await?;
                let status = response.status();
                Ok(Answer { status, body: response.into_body().collect().await?.to_bytes() })
            }
        }
    }

    /// Sends a request and wants success; a refusal becomes an error with its detail.
    pub(super) async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        self.send(method, path, body).await?.json()
    }

    /// Closes the store, if this process opened it.
    pub(super) async fn close(self) {
        if let Client::InProcess(_, engine) = self {
            engine.close().await;
        }
    }
}

impl Answer {
    pub(super) fn json(&self) -> Result<Value> {
        let value: Value = serde_json::from_slice(&self.body).context("the answer is no JSON")?;
        if self.status.is_success() {
            return Ok(value);
        }
        let detail = value.get("detail").and_then(Value::as_str).unwrap_or("no detail given");
        bail!("{detail} ({})", self.status)
    }
}

/// `?tenant=` where one is named. Names are checked by the server.
pub(super) fn query(tenant: Option<&str>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    tenant
        .map(|tenant| format!("?tenant={}", tenant.chars().filter(|c| plain(*c)).collect::<String>()))
        .unwrap_or_default()
}

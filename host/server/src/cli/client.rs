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

/// `?name=value&...` of those that are given. What is sent is what was typed: the server says what is wrong with it.
pub(super) fn parameters(given: &[(&str, Option<&str>)]) -> String {
    let mut query = String::new();
    for (name, value) in given {
        let Some(value) = value else { continue };
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
                query.push(char::from(byte));
            } else {
                query.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    query
}

/// Text of others, for a terminal: control characters can't move the cursor or colour what follows.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Bytes for people.
pub(super) fn bytes(bytes: u64) -> String {
    const LARGER: [&str; 3] = ["MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1_024.0, "KiB");
    for larger in LARGER {
        if value < 1_024.0 {
            break;
        }
        (value, unit) = (value / 1_024.0, larger);
    }
    format!("{value:.1} {unit}")
}

/// Microseconds for people.
pub(super) fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// A count for people: 1.2 M.
pub(super) fn count(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..10_000_000 => format!("{:.1} k", count as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} M", count as f64 / 1e6),
        _ => format!("{:.1} G", count as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_sent_as_they_were_typed() {
        assert_eq!(
            parameters(&[("a", None), ("b", Some("x y&z=1")), ("c", Some("2026-11-22"))]),
            "?b=x%20y%26z%3D1&c=2026-11-22"
        );
        assert_eq!(parameters(&[("a", None)]), "");
    }

    #[test]
    fn figures_are_for_people() {
        assert_eq!((bytes(512), bytes(1_536), bytes(32 << 20)), ("512 B".into(), "1.5 KiB".into(), "32.0 MiB".into()));
        assert_eq!(
            (duration(12), duration(1_500), duration(2_000_000)),
            ("12 us".into(), "1.5 ms".into(), "2.00 s".into())
        );
        assert_eq!((count(9_999), count(200_000_000)), ("9999".into(), "200.0 M".into()));
        assert_eq!(printable("a\u{1b}[31mb"), "a [31mb");
    }
}

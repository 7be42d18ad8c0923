//! The admin API for the operator's own commands: over the socket of the running server, or in this process.

use crate::gateway::rate::Rates;
use crate::settings::Common;
use anyhow::{Context, Result, anyhow, bail};
use axum::Router;
use axum::body::Body;
use confab_engine::Engine;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tower::ServiceExt;

/// A way to the admin API.
pub(super) enum Client {
    /// A server runs on the data directory.
    Socket(PathBuf),
    /// None runs: this process opens the store.
    InProcess {
        router: Router,
        engine: Engine,
        /// Where no server runs.
        data: PathBuf,
        /// What is gone with the command, where there was no data directory.
        _scratch: Option<TempDir>,
    },
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Client {
    pub(super) async fn open(common: &Common) -> Result<Client> {
        match Self::of_server(common).await {
            Some(client) => Ok(client),
            None => Self::in_process(common, None).await,
        }
    }

    /// For what can only be about something that is there already: a data directory that doesn't exist is a mistake, and none is made.
    pub(super) async fn open_existing(common: &Common) -> Result<Client> {
        if !common.data.exists() && common.store.is_none() {
            bail!(
                "there is no data directory {}, so no server runs there: name the server's with --data (or CONFAB_DATA)",
                absolute(&common.data)
            );
        }
        Self::open(common).await
    }

    /// For what changes nothing: where there is no data directory, none is made either.
    pub(super) async fn open_to_look(common: &Common) -> Result<Client> {
        if common.data.exists() {
            return Self::open(common).await;
        }
        let scratch = tempfile::tempdir()?;
        let plugins = common.plugins.clone().unwrap_or_else(|| common.data.join("plugins"));
        let common = Common { data: scratch.path().join("data"), plugins: Some(plugins), ..common.clone() };
        Self::in_process(&common, Some(scratch)).await
    }

    async fn of_server(common: &Common) -> Option<Client> {
        let socket = common.socket();
        UnixStream::connect(&socket).await.is_ok().then_some(Client::Socket(socket))
    }

    async fn in_process(common: &Common, scratch: Option<TempDir>) -> Result<Client> {
        crate::telemetry::start_log(Some(crate::telemetry::Format::Text), "warn");
        let rates = Rates { key: u32::MAX, visitor: u32::MAX, webhook: u32::MAX };
        let app = crate::serve::app(common, rates, true, false, true).await?;
        let engine = app.engine.clone();
        let data = common.data.clone();
        Ok(Client::InProcess { router: crate::serve::operator(app), engine, data, _scratch: scratch })
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
            Client::InProcess { router, .. } => {
                let response = router.clone().oneshot(request.body(Body::from(bytes))?).await?;
                let status = response.status();
                Ok(Answer { status, body: response.into_body().collect().await?.to_bytes() })
            }
        }
    }

    /// Sends a request and wants success; a refusal becomes an error with its detail.
    pub(super) async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.send(method, path, body).await?;
        answer.json().map_err(|e| self.elsewhere(answer.status, e))
    }

    /// What isn't there may be where a server runs: says where it was looked for.
    pub(super) fn elsewhere(&self, status: StatusCode, error: anyhow::Error) -> anyhow::Error {
        match self {
            Client::InProcess { data, .. } if status == StatusCode::NOT_FOUND => anyhow!(
                "{error:#}. No server runs at the data directory {}, which was looked at: name the server's with --data (or CONFAB_DATA)",
                absolute(data)
            ),
            _ => error,
        }
    }

    /// Closes the store, if this process opened it.
    pub(super) async fn close(self) {
        if let Client::InProcess { engine, .. } = self {
            engine.close().await;
        }
    }
}

impl Answer {
    /// The code of a refusal.
    pub(super) fn code(&self) -> Option<String> {
        let problem: Value = serde_json::from_slice(&self.body).ok()?;
        (!self.status.is_success()).then(|| problem.get("code")?.as_str().map(str::to_owned))?
    }

    pub(super) fn json(&self) -> Result<Value> {
        let value: Value = serde_json::from_slice(&self.body).context("the answer is no JSON")?;
        if self.status.is_success() {
            return Ok(value);
        }
        let detail = value.get("detail").and_then(Value::as_str).unwrap_or("no detail given");
        bail!("{detail} ({})", self.status)
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
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
        query.push_str(&encoded(value));
    }
    query
}

/// Text as a part of a path or a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
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

//! What the host does for a plugin during a call, as a trait.
//!
//! The engine implements it, once for bots and once for connections. Every method has a default that
//! refuses, so that a host that grants nothing ([`DenyAll`]) is the empty implementation: `prepare`, reflection
//! and the install gate run under it.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

pub use crate::effects::Effect;
pub use crate::webhook::SignatureCheck;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Only for debugging the plugin.
    Debug,
    /// Worth knowing.
    Info,
    /// Should be looked at.
    Warn,
    /// Went wrong.
    Error,
}

/// Why a capability call gave no result; `confab:capabilities/types.error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CapabilityError {
    /// Stable reason, e.g. `not-found`.
    pub code: String,
    /// One sentence for operators, without secrets.
    pub message: String,
    /// Seconds after which the same call may succeed.
    pub retry_after: Option<u32>,
}

impl CapabilityError {
    /// An error that says nothing of retrying.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        CapabilityError { code: code.to_owned(), message: message.into(), retry_after: None }
    }
}

/// Why stored data could not be read or written; `confab:plugin/kv.kv-error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvError {
    /// `invalid-input`, `too-large`, `limit` or `unavailable`.
    pub code: Cow<'static, str>,
    /// One sentence.
    pub message: String,
}

/// A request as a plugin makes it; `confab:plugin/http.request`.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Method.
    pub method: String,
    /// Path below the endpoint, with query.
    pub path: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Bytes,
    /// Milliseconds to wait.
    pub timeout_ms: Option<u32>,
}

/// An answer as a plugin sees it.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// Status.
    pub status: u16,
    /// Headers, without credentials.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Bytes,
}

/// Why there is no answer; `confab:plugin/http.http-error`.
#[derive(Clone, Debug)]
pub struct HttpError {
    /// See the WIT.
    pub code: String,
    /// One sentence, without secrets.
    pub message: String,
    /// Seconds after which another try may help.
    pub retry_after: Option<u32>,
}

/// The call that a connector serves; `confab:plugin/connection.call-context`.
#[derive(Clone, Debug, Default)]
pub struct CallContext {
    /// The connection's id.
    pub connection: String,
    /// The same for each try of the same write.
    pub idempotency_key: String,
    /// The visitor's language.
    pub locale: Option<String>,
}

/// Where the answer of a capability call comes from; `confab:plugin/call.provenance`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The moment for which it holds, RFC 3339 in UTC.
    pub as_of: String,
    /// Whether it was kept from an earlier call.
    pub cached: bool,
    /// Whether it is older than it should be.
    pub stale: bool,
    /// Why there is no newer one.
    pub error: Option<String>,
}

/// What the host does for a plugin. Errors are data that the plugin sees; limits are enforced before a method is called.
#[async_trait]
pub trait HostServices: Send + 'static {
    /// The tenant whose call this is: what it uses is counted for it.
    fn tenant(&self) -> Arc<str> {
        Arc::from("")
    }
    /// Called for each log line, already cut to size.
    fn log(&mut self, _level: LogLevel, _line: &str) {}
    /// Milliseconds since 1970; the same all through a call.
    fn now_millis(&self) -> u64 {
        0
    }
    /// Fills with random bytes, from the turn's seed.
    fn random(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
    /// What chance is made of in this call, where a replay must see the same again. With a seed WASI's random numbers come
    /// from it, WASI's wall clock stands still at [`HostServices::now_millis`] and its monotonic clock goes on by a fixed step
    /// at each look; without one they are the system's.
    fn seed(&self) -> Option<[u8; 32]> {
        None
    }
    /// Takes note of what the turn leaves behind; it takes effect when the turn is committed. Checked for form and number.
    fn effect(&mut self, _effect: Effect) -> Result<(), CapabilityError> {
        Err(CapabilityError::new("unsupported", "nothing can be left behind from here"))
    }
    /// Checks something with a secret of the connection. The comparison must not tell by its time where a difference is.
    fn verify(&mut self, _check: SignatureCheck) -> Result<bool, CapabilityError> {
        Err(CapabilityError::new("unsupported", "this call serves no webhook: there is nothing to check"))
    }
    /// The connection's settings as JSON.
    fn settings(&self) -> Arc<str> {
        Arc::from("{}")
    }
    /// The call that is served.
    fn context(&self) -> CallContext {
        CallContext::default()
    }
    /// What a bot may call: capability, function, description, JSON Schema of the arguments.
    fn available(&self) -> Vec<(String, String, String, String)> {
        Vec::new()
    }
    /// Calls a capability function. `arguments` is an object by parameter name in snake_case.
    async fn invoke(&mut self, capability: &str, _function: &str, _arguments: Value) -> Result<Value, CapabilityError> {
        Err(CapabilityError::new("unsupported", format!("{capability} can't be called from here")))
    }
    /// Where the answer of the last call of [`HostServices::invoke`] comes from.
    fn last_answer(&self) -> Option<Provenance> {
        None
    }
    /// Sends a request to an endpoint.
    async fn http(&mut self, _endpoint: &str, _request: HttpRequest) -> Result<HttpResponse, HttpError> {
        Err(HttpError { code: "refused".into(), message: "no request can be made from here".into(), retry_after: None })
    }
    /// The data that this plugin keeps; none where nothing can be stored.
    fn kv(&mut self) -> Option<&mut dyn KvServices> {
        None
    }
}

/// Data that a connection or a bot keeps. Keys and values have been checked for size.
#[async_trait]
pub trait KvServices: Send {
    /// Reads a value.
    async fn get(&mut self, key: &str) -> Result<Option<Bytes>, KvError>;
    /// Writes a value.
    async fn set(&mut self, key: &str, value: Bytes) -> Result<(), KvError>;
    /// Writes a value if there is none; gives back what was there.
    async fn insert(&mut self, key: &str, value: Bytes) -> Result<Option<Bytes>, KvError>;
    /// Deletes a value.
    async fn delete(&mut self, key: &str) -> Result<(), KvError>;
    /// Entries by prefix, in key order.
    async fn scan(&mut self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<(String, Bytes)>, KvError>;
    /// Adds to a counter.
    async fn add(&mut self, key: &str, delta: i64) -> Result<i64, KvError>;
}

/// Grants nothing.
#[derive(Debug, Default)]
pub struct DenyAll;

impl HostServices for DenyAll {}

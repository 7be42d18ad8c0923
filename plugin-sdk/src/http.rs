//! Requests to the connection's endpoints, with JSON in and out and errors that fit a capability's.
//!
//! Credentials never appear here: the host adds them to the final request.

use crate::bindings::imports::confab::plugin::http as wit;
use crate::error::{Code, Result, error};
use crate::text::path_segment;
use crate::types::Error;
use serde::{Serialize, de::DeserializeOwned};

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::confab::plugin::http as door;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::door::http as door;

/// A request that is being made up.
#[derive(Debug)]
pub struct Request {
    endpoint: String,
    inner: wit::Request,
    body: Result<()>,
}

impl Request {
    /// A request with any method. `path` is below the endpoint, with query, percent-encoded (see
    /// [`path_segment`](crate::path_segment)).
    pub fn new(method: &str, endpoint: &str, path: impl Into<String>) -> Self {
        Request {
            endpoint: endpoint.to_owned(),
            inner: wit::Request {
                method: method.to_owned(),
                path: path.into(),
                headers: Vec::new(),
                body: Vec::new(),
                timeout_ms: None,
            },
            body: Ok(()),
        }
    }
    /// `GET`.
    pub fn get(endpoint: &str, path: impl Into<String>) -> Self {
        Self::new("GET", endpoint, path)
    }
    /// `POST`.
    pub fn post(endpoint: &str, path: impl Into<String>) -> Self {
        Self::new("POST", endpoint, path)
    }
    /// `PUT`.
    pub fn put(endpoint: &str, path: impl Into<String>) -> Self {
        Self::new("PUT", endpoint, path)
    }
    /// `PATCH`.
    pub fn patch(endpoint: &str, path: impl Into<String>) -> Self {
        Self::new("PATCH", endpoint, path)
    }
    /// `DELETE`.
    pub fn delete(endpoint: &str, path: impl Into<String>) -> Self {
        Self::new("DELETE", endpoint, path)
    }
    /// Adds parameters to the query, encoded.
    #[must_use]
    pub fn query(mut self, parameters: &[(&str, &str)]) -> Self {
        for (name, value) in parameters {
            self.inner.path.push(if self.inner.path.contains('?') { '&' } else { '?' });
            self.inner.path.push_str(&format!("{}={}", path_segment(name), path_segment(value)));
        }
        self
    }
    /// Sets a form as the body, with its content type.
    #[must_use]
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let encoded: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", path_segment(name), path_segment(value))).collect();
        self.inner.body = encoded.join("&").into_bytes();
        self.header("content-type", "application/x-www-form-urlencoded")
    }
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.inner.headers.push(wit::Header { name: name.to_owned(), value: value.into() });
        self
    }
    /// Sets a JSON body and its content type.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.inner.body = bytes,
            Err(e) => self.body = Err(error(Code::Internal, format!("request is not representable as JSON: {e}"))),
        }
        self.header("content-type", "application/json")
    }
    /// Sets a body as it is.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.inner.body = body.into();
        self
    }
    /// Milliseconds to wait for the whole answer, instead of the connection's setting.
    #[must_use]
    pub fn timeout_ms(mut self, ms: u32) -> Self {
        self.inner.timeout_ms = Some(ms);
        self
    }
    /// Sends it. Any status is an answer; see [`Response::ok`].
    pub fn send(self) -> Result<Response> {
        self.body?;
        match door::send(&self.endpoint, &self.inner) {
            Ok(r) => Ok(Response { status: r.status, headers: r.headers, body: r.body }),
            Err(e) => Err(from_http_error(e)),
        }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    headers: Vec<wit::Header>,
    /// Body as it came.
    pub body: Vec<u8>,
}

impl Response {
    /// First value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value.as_str())
    }
    /// All headers, name and value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|h| (h.name.as_str(), h.value.as_str()))
    }
    /// The answer if its status is 2xx, else the error that its status means.
    pub fn ok(self) -> Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let code = match self.status {
            400 | 422 => Code::InvalidInput,
            401 => Code::Misconfigured,
            403 => Code::Forbidden,
            404 | 410 => Code::NotFound,
            408 | 504 => Code::Timeout,
            409 | 412 => Code::Conflict,
            429 => Code::RateLimited,
            500..=599 => Code::Unavailable,
            _ => Code::Internal,
        };
        let retry_after = self.header("retry-after").and_then(|v| v.trim().parse().ok());
        Err(Error { retry_after, ..error(code, format!("the system answered {}", self.status)) })
    }
    /// The body of a 2xx answer as JSON.
    pub fn json<T: DeserializeOwned>(self) -> Result<T> {
        Ok(serde_json::from_slice(&self.ok()?.body)?)
    }
    /// The body as JSON whatever the status, for systems that explain errors in the body.
    pub fn json_any_status<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

fn from_http_error(e: wit::HttpError) -> Error {
    let code = match e.code.as_str() {
        "timeout" => Code::Timeout,
        "connect" | "protocol" => Code::Unavailable,
        "limit" => Code::RateLimited,
        "invalid-request" => Code::Internal,
        "unknown-endpoint" | "refused" | "misconfigured" | "unauthorised" | "tls" => Code::Misconfigured,
        _ => Code::Unavailable,
    };
    Error { retry_after: e.retry_after, ..error(code, e.message) }
}

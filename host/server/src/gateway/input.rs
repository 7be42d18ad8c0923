//! Bodies: content type, size, form. Errors point at the field.

use super::Problem;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header;
use http::request::Parts;
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use std::time::Duration;
use unicode_normalization::UnicodeNormalization;

/// Largest body of a request, in bytes, except for the admin API's bundles.
pub(crate) const BODY_BYTES: usize = 1 << 20;
/// Largest bundle of a tenant's files: 8 MiB of data files, as base64, with room for the rest.
pub(crate) const BUNDLE_BYTES: usize = 16 << 20;

/// Longest time for a body to arrive. Slower senders only hold places.
const BODY_TIME: Duration = Duration::from_secs(20);

/// A JSON body, checked, up to `LIMIT` bytes.
pub(crate) struct JsonBody<T, const LIMIT: usize = BODY_BYTES>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync, const LIMIT: usize> FromRequest<S> for JsonBody<T, LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let essence = essence(&request);
        if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
            let got = if essence.is_empty() { "none".to_owned() } else { format!("`{}`", essence.escape_debug()) };
            return Err(Problem::unsupported_media_type(format!("send `content-type: application/json`; got {got}")));
        }
        parse(&collect(request, LIMIT).await?).map(JsonBody)
    }
}

/// The content type without its parameters.
pub(crate) fn essence(request: &Request) -> String {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A component as it is, up to `limit` bytes.
pub(crate) async fn wasm_body(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let essence = essence(&request);
    if essence != "application/wasm" {
        let got = if essence.is_empty() { "none".to_owned() } else { format!("`{}`", essence.escape_debug()) };
        return Err(Problem::unsupported_media_type(format!("send `content-type: application/wasm`; got {got}")));
    }
    collect(request, limit).await
}

/// A body as it is, up to `limit` bytes: for signatures, which are made over bytes.
pub(crate) async fn raw_body(request: Request, limit: usize) -> Result<Bytes, Problem> {
    collect(request, limit).await
}

async fn collect(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::body_too_large(format!("a body may have up to {limit} bytes"));
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let limited = http_body_util::Limited::new(request.into_body(), limit);
    match tokio::time::timeout(BODY_TIME, http_body_util::BodyExt::collect(limited)).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::bad_request("the body did not arrive whole")),
        Err(_) => Err(Problem::body_timeout(format!("the body did not arrive within {} s", BODY_TIME.as_secs()))),
    }
}

pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|e| {
        let pointer = pointer(e.path());
        let inner = e.into_inner();
        if inner.is_data() {
            Problem::invalid_input(without_values(&inner.to_string())).at(&pointer)
        } else {
            Problem::broken_json(inner.to_string())
        }
    })?;
    reader.end().map_err(|e| Problem::broken_json(e.to_string()))?;
    Ok(value)
}

/// serde quotes the value that doesn't fit; it may be a visitor's, and what is refused is also logged.
fn without_values(message: &str) -> String {
    match (message.find("string \""), message.rfind("\", expected")) {
        (Some(start), Some(end)) if start < end => {
            let (before, after) = (message.get(..start + "string".len()), message.get(end + 1..));
            format!("{}{}", before.unwrap_or_default(), after.unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .map(|segment| match segment {
            serde_path_to_error::Segment::Seq { index } => format!("/{index}"),
            serde_path_to_error::Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            serde_path_to_error::Segment::Enum { variant } => format!("/{variant}"),
            serde_path_to_error::Segment::Unknown => String::new(),
        })
        .collect()
}

/// Query parameters, with refusals like everybody's.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(query) => Ok(Params(query.0)),
            Err(e) => Err(Problem::bad_request(format!("query: {}", e.body_text()))),
        }
    }
}

/// Parts of the path, with refusals like everybody's.
pub(crate) struct PathParams<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(path) => Ok(PathParams(path.0)),
            Err(e) => Err(Problem::bad_request(format!("path: {}", e.body_text()))),
        }
    }
}

/// A line of text that a client sent: normalised (NFC), within its length, without control characters.
pub(crate) fn line(pointer: &str, value: &str, max_chars: usize) -> Result<String, Problem> {
    let text = normalised(value);
    let chars = text.chars().count();
    if chars == 0 || chars > max_chars {
        return Err(Problem::invalid_input(format!("must have 1 to {max_chars} characters, has {chars}")).at(pointer));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::invalid_input("must not contain control characters").at(pointer));
    }
    Ok(text)
}

/// A message: as [`line`], but line breaks and tabs are part of it.
pub(crate) fn message(pointer: &str, value: &str, max_chars: usize) -> Result<String, Problem> {
    let text = normalised(value);
    let chars = text.chars().count();
    if chars == 0 {
        return Err(Problem::invalid_input("must not be empty").at(pointer));
    }
    if chars > max_chars {
        return Err(
            Problem::invalid_input(format!("must have at most {max_chars} characters, has {chars}")).at(pointer)
        );
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(
            Problem::invalid_input("must not contain control characters other than line breaks and tabs").at(pointer)
        );
    }
    Ok(text)
}

/// Trimmed and in normalisation form C, so that equal texts are equal bytes.
pub(crate) fn normalised(value: &str) -> String {
    let text = value.trim();
    if text.is_ascii() { text.to_owned() } else { text.nfc().collect() }
}

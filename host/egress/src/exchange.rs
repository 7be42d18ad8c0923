//! One request and its answer.
//!
//! The answer's body is read piece by piece as it comes out of the decompressor, and reading stops at the cap: a few
//! kilobytes of gzip can't become gigabytes here. What went wrong is found by its type in the error's chain of
//! causes, never by its text; reqwest's own text has the URL in it, and is not used.

use std::error::Error;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, header};

use crate::dns::{AddressRefused, LookupError};
use crate::error::{ErrorCode, SendError};
use crate::limits::Limits;

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Send a request and read its answer, with at most `cap` bytes of body.
pub(crate) async fn exchange(
    client: &reqwest::Client,
    request: reqwest::Request,
    host: &str,
    cap: usize,
    limits: &Limits,
) -> Result<Answer, SendError> {
    let bodiless = request.method() == Method::HEAD;
    let response = client.execute(request).await.map_err(|error| classify(&error, host, limits))?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    if bodiless || matches!(status, 204 | 304) {
        return Ok(Answer { status, headers, body: Bytes::new() });
    }
    // What the client decompressed has lost this header.
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let encoding: String = String::from_utf8_lossy(encoding.as_bytes()).chars().take(32).collect();
        return Err(SendError::new(
            ErrorCode::Protocol,
            format!("{host} compressed its answer as \"{}\", which it was not asked for", encoding.escape_default()),
        ));
    }
    let body = read(response, host, cap, limits).await?;
    Ok(Answer { status, headers, body })
}

async fn read(mut response: reqwest::Response, host: &str, cap: usize, limits: &Limits) -> Result<Bytes, SendError> {
    let too_large = || {
        let message =
            format!("the answer of {host} has more than {cap} bytes; ask for fewer records or fields at a time");
        SendError::new(ErrorCode::TooLarge, message)
    };
    let expected = response.content_length().unwrap_or(0);
    if expected > cap as u64 {
        return Err(too_large());
    }
    let mut body = BytesMut::with_capacity(usize::try_from(expected).unwrap_or(0));
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error, host, limits))? {
        if body.len().saturating_add(chunk.len()) > cap {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn classify(error: &reqwest::Error, host: &str, limits: &Limits) -> SendError {
    if find::<AddressRefused>(error).is_some() {
        return SendError::refused(format!(
            "{host} does not have a public address; the operator can grant it: confab --allow-private {host}"
        ));
    }
    if let Some(unresolved) = find::<LookupError>(error) {
        return SendError::new(ErrorCode::Connect, unresolved.to_string());
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return SendError::new(ErrorCode::Tls, format!("no trusted TLS connection to {host}: {tls}"));
    }
    let cause = root_cause(error);
    if error.is_connect() {
        let message = if error.is_timeout() {
            format!("no connection to {host} within {} ms", limits.connect_timeout.as_millis())
        } else {
            format!("no connection to {host}: {cause}")
        };
        return SendError::new(ErrorCode::Connect, message);
    }
    if error.is_timeout() {
        return SendError::new(ErrorCode::Timeout, format!("{host} did not answer in time"));
    }
    SendError::new(ErrorCode::Protocol, format!("the exchange with {host} broke: {cause}"))
}

/// The first cause of this type. An `io::Error` hides the error that it was made of from `source()`, so its inside
/// is looked at as well.
fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<E>() {
            return Some(found);
        }
        if let Some(inside) = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(found) = find::<E>(inside)
        {
            return Some(found);
        }
        next = current.source();
    }
    None
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(next) = cause.and_then(Error::source) {
        cause = Some(next);
    }
    cause.map_or_else(|| "no further cause is known".to_owned(), ToString::to_string)
}

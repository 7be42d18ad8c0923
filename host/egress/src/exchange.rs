//! One request and its answer.
//!
//! The answer's body is read piece by piece as it comes out of the decompressor, and reading stops at the cap: a few
//! kilobytes of gzip can't become gigabytes here. What went wrong is found by its type in the error's chain of
//! causes, never by its text; reqwest's own text has the URL in it, and is not used.
//!
//! hyper cuts off heads, chunk extensions and trailers that do not end (tests/egress/hostile_systems.rs). Interim answers
//! (1xx) without end it reads until the deadline: they take no memory, and are not in the count of [`Traffic`].

use std::error::Error;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, header};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::dns::{AddressRefused, LookupError};
use crate::error::{ErrorCode, SendError};
use crate::limits::Limits;
use crate::report::provider_id;

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What one call has moved so far. Kept beside the call's future, so that it is known of one that ran out of time too.
#[derive(Default)]
pub(crate) struct Wire {
    traffic: Mutex<Traffic>,
    /// Number of the first request's turn in the budget.
    turn: u64,
    /// When a further request has to be on its way.
    latest: Option<Instant>,
}

/// See [`Wire`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: u32,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
    /// Of the last request, when its answer's head has come.
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<Duration>,
    /// Whether a redirect was followed: what it led away from was answered, and may have been done.
    pub(crate) followed: bool,
    /// By which the system's support finds the last request that was answered with an id. As it came.
    pub(crate) provider_id: Option<String>,
}

impl Traffic {
    /// A later try's.
    pub(crate) fn add(&mut self, later: Self) {
        self.requests = self.requests.saturating_add(later.requests);
        self.bytes_out = self.bytes_out.saturating_add(later.bytes_out);
        self.bytes_in = self.bytes_in.saturating_add(later.bytes_in);
        (self.status, self.retry_after) = (later.status, later.retry_after);
        self.provider_id = later.provider_id.or(self.provider_id.take());
    }
}

impl Wire {
    /// Of a try whose first request has this turn in the budget.
    pub(crate) fn of_try(turn: u64, latest: Instant) -> Self {
        Self { traffic: Mutex::default(), turn, latest: Some(latest) }
    }

    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic.lock().clone()
    }

    /// A redirect is being followed.
    pub(crate) fn follows(&self) {
        self.traffic.lock().followed = true;
    }

    /// The first request's turn in the budget.
    pub(crate) const fn turn(&self) -> u64 {
        self.turn
    }

    /// When the next request has to be on its way, if it is not the first.
    pub(crate) fn further(&self) -> Option<Instant> {
        self.latest.filter(|_| self.traffic.lock().requests > 0)
    }

    fn begins(&self, bytes: u64) {
        let mut traffic = self.traffic.lock();
        traffic.requests = traffic.requests.saturating_add(1);
        traffic.bytes_out = traffic.bytes_out.saturating_add(bytes);
        (traffic.status, traffic.retry_after) = (None, None);
    }

    /// The connection never stood.
    fn was_not_sent(&self, bytes: u64) {
        let mut traffic = self.traffic.lock();
        traffic.bytes_out = traffic.bytes_out.saturating_sub(bytes);
    }

    fn answered(&self, response: &reqwest::Response) {
        let mut traffic = self.traffic.lock();
        traffic.status = Some(response.status().as_u16());
        traffic.retry_after = retry_after(response.headers(), SystemTime::now());
        traffic.provider_id = provider_id(response.headers());
        traffic.bytes_in = traffic.bytes_in.saturating_add(headers_size(response.headers()));
    }

    fn arrived(&self, bytes: usize) {
        let mut traffic = self.traffic.lock();
        traffic.bytes_in = traffic.bytes_in.saturating_add(bytes as u64);
    }
}

/// A longer pause than this is no pause but nonsense, which clocks can't even be set to.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3_600);

/// How long the system asks to be left alone: seconds, or a date; a day at most.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds).min(LONGEST_PAUSE));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default().min(LONGEST_PAUSE))
}

fn headers_size(headers: &HeaderMap) -> u64 {
    // Colon, space, line end.
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64).sum()
}

/// Bytes of a request as HTTP/1.1 writes it, without what the client adds (host, user agent, length).
fn request_size(request: &reqwest::Request) -> u64 {
    let url = request.url();
    let target = url.path().len() + url.query().map_or(0, |query| query.len() + 1);
    let line = request.method().as_str().len() + target + " ".len() + " HTTP/1.1\r\n\r\n".len();
    let body = request.body().and_then(reqwest::Body::as_bytes).map_or(0, <[u8]>::len);
    (line + body) as u64 + headers_size(request.headers())
}

/// Send a request and read its answer, with at most `cap` bytes of body.
pub(crate) async fn exchange(
    client: &reqwest::Client,
    request: reqwest::Request,
    host: &str,
    cap: usize,
    limits: &Limits,
    wire: &Wire,
) -> Result<Answer, SendError> {
    let bodiless = request.method() == Method::HEAD;
    let bytes = request_size(&request);
    wire.begins(bytes);
    let response = client.execute(request).await.map_err(|error| {
        let error = classify(&error, host, limits);
        if matches!(error.code, ErrorCode::Refused | ErrorCode::Connect | ErrorCode::Tls) {
            wire.was_not_sent(bytes);
        }
        error
    })?;
    wire.answered(&response);
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
    let body = read(response, host, cap, limits, wire).await?;
    Ok(Answer { status, headers, body })
}

async fn read(
    mut response: reqwest::Response,
    host: &str,
    cap: usize,
    limits: &Limits,
    wire: &Wire,
) -> Result<Bytes, SendError> {
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
        wire.arrived(chunk.len());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_with_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 30);
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now).map(|pause| pause.as_secs())
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read(" 0 "), Some(0));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0), "that is over");
        for nonsense in ["18446744073709551615", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(read(nonsense), Some(86_400), "{nonsense}");
        }
        for text in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

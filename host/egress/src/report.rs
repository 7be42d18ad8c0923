//! What is told of a call: one line in the log when it failed, a counter and a histogram always.
//!
//! A line has what an operator needs to take it up with the system's vendor: where, what, how long, the vendor's own
//! request id. It never has a query, a header's value or a body. 404 and 410 are no failures: they are how most systems say
//! that there is no such order. Nor are 409 and 412, by which a system says that it has that one already, or that somebody
//! was faster: they are told quietly.

use std::time::{Duration, Instant};

use http::HeaderMap;
use metrics::{counter, histogram};
use parking_lot::Mutex;

use crate::call::{CallMeta, InResponse, Sent};
use crate::error::{ErrorCode, SendError};
use crate::limits::LOG_FIELD_CHARS;

/// Headers in which systems give the id by which their support finds a request.
const REQUEST_IDS: &[&str] = &[
    "x-request-id",
    "request-id",
    "x-correlation-id",
    "x-amzn-requestid",
    "x-amz-request-id",
    "x-ms-request-id",
    "x-github-request-id",
    "sforce-request-id",
    "x-hubspot-correlation-id",
    "x-trace-id",
    "cf-ray",
];

/// A call on its way.
pub(crate) struct Report<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) connection: &'a str,
    pub(crate) meta: &'a CallMeta,
    pub(crate) started: Instant,
    pub(crate) hush: &'a Hush,
}

/// Keeps what would be a flood of equal lines to one a second.
#[derive(Debug, Default)]
pub(crate) struct Hush(Mutex<(Option<Instant>, u64)>);

impl Hush {
    /// How many were kept back since the last line, if there may be another now.
    fn speak(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        let (last, kept_back) = &mut *state;
        if last.is_some_and(|last| now.saturating_duration_since(last) < Duration::from_secs(1)) {
            *kept_back += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(kept_back))
    }
}

impl Report<'_> {
    /// Tell how it ended.
    pub(crate) fn finish(&self, result: &Result<InResponse, SendError>) {
        let took = self.started.elapsed();
        let outcome = match result {
            Ok(response) => class(response.status),
            Err(error) => error.code.as_str(),
        };
        let nothing = Sent::default();
        let sent = match result {
            Ok(response) => &response.sent,
            Err(error) => error.sent.as_deref().unwrap_or(&nothing),
        };
        let span = tracing::Span::current();
        span.record("attempts", sent.attempts);
        if let Some(status) = sent.status {
            span.record("status", status);
        }
        if let Err(error) = result {
            span.record("error", error.code.as_str());
        }
        let labels = [
            ("tenant", self.tenant.to_owned()),
            ("connection", self.connection.to_owned()),
            ("endpoint", sent.endpoint.clone()),
        ];
        histogram!("confab_egress_request_seconds", &labels).record(took.as_secs_f64());
        let [tenant, connection, endpoint] = labels;
        counter!("confab_egress_requests_total", &[tenant, connection, endpoint, ("outcome", outcome.to_owned())])
            .increment(1);
        match result {
            Ok(response) => match response.status {
                ..=399 | 404 | 410 => {}
                409 | 412 => tracing::debug!(
                    tenant = self.tenant,
                    connection = self.connection,
                    endpoint = sent.endpoint,
                    operation = self.meta.operation,
                    status = sent.status,
                    "the system has it already, or somebody was faster"
                ),
                401..=403 | 407 | 408 | 429 | 430 | 500.. => {
                    self.warn(sent, None, "the system answered with an error", "upstream", 0);
                }
                _ => self.warn(sent, None, "the system refused the request", "guest", 0),
            },
            // The breaker has said so once; a line for each call that it refuses would be a flood.
            Err(error) if error.code == ErrorCode::Unavailable => {
                tracing::debug!(
                    tenant = self.tenant,
                    connection = self.connection,
                    reason = error.message,
                    "call refused"
                );
            }
            Err(error) => {
                // A visitor in a hurry is no reason for a line each; the first of a second says how many were before it.
                let kept_back = if error.code == ErrorCode::Limit { self.hush.speak(Instant::now()) } else { Some(0) };
                if let Some(kept_back) = kept_back {
                    self.warn(sent, Some(error.code.as_str()), &error.message, error.blame(), kept_back);
                }
            }
        }
    }

    fn warn(&self, sent: &Sent, code: Option<&str>, reason: &str, blame: &str, kept_back: u64) {
        tracing::warn!(
            tenant = self.tenant,
            connection = self.connection,
            endpoint = sent.endpoint,
            operation = self.meta.operation,
            method = sent.method,
            host = sent.host,
            path = sent.path,
            status = sent.status,
            code,
            reason,
            blame,
            attempts = sent.attempts,
            duration_ms = sent.duration_ms,
            waited_ms = sent.waited_ms,
            request_id = self.meta.request_id,
            provider_request_id = sent.provider_request_id,
            kept_back = (kept_back > 0).then_some(kept_back),
            "outgoing call failed"
        );
    }
}

const fn class(status: u16) -> &'static str {
    match status {
        0..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// The id by which the system's support finds a request, as it came.
pub(crate) fn provider_id(headers: &HeaderMap) -> Option<String> {
    let value = REQUEST_IDS.iter().find_map(|wanted| headers.get(*wanted))?;
    Some(short(&String::from_utf8_lossy(value.as_bytes())).to_owned())
}

/// A text that is short enough for a field of a log line.
pub(crate) fn short(text: &str) -> &str {
    cut(text, LOG_FIELD_CHARS)
}

/// At most so many characters of a text.
pub(crate) fn cut(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

//! What is told of a call: one line in the log when it failed, a counter and a histogram always.
//!
//! A line has what an operator needs to take it up with the system's vendor: where, what, how long, the vendor's own
//! request id. It never has a query, a header's value or a body. 404 is no failure: it is how most systems say
//! that there is no such order.

use std::time::Instant;

use metrics::{counter, histogram};

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
            Ok(response) if response.status >= 400 && response.status != 404 => {
                let provider = provider_id(response);
                self.warn(sent, None, "the system answered with an error", provider.as_deref());
            }
            Ok(_) => {}
            // The breaker has said so once; a line for each call that it refuses would be a flood.
            Err(error) if error.code == ErrorCode::Unavailable => {
                tracing::debug!(
                    tenant = self.tenant,
                    connection = self.connection,
                    reason = error.message,
                    "call refused"
                );
            }
            Err(error) => self.warn(sent, Some(error.code.as_str()), &error.message, None),
        }
    }

    fn warn(&self, sent: &Sent, code: Option<&str>, reason: &str, provider: Option<&str>) {
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
            duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            request_id = self.meta.request_id,
            provider_request_id = provider,
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

fn provider_id(response: &InResponse) -> Option<String> {
    let (_, value) = REQUEST_IDS
        .iter()
        .find_map(|wanted| response.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)))?;
    Some(short(value).escape_default().to_string())
}

/// A text that is short enough for a field of a log line.
pub(crate) fn short(text: &str) -> &str {
    cut(text, LOG_FIELD_CHARS)
}

/// At most so many characters of a text.
pub(crate) fn cut(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

//! What is told of a call: one line in the log when it failed, a counter and a histogram always.
//!
//! A line has what an operator needs to take it up with the system's vendor: where, what, how long, the vendor's own
//! request id. It never has a query, a header's value or a body. 404 is no failure: it is how most systems say
//! that there is no such order.

use std::time::Instant;

use metrics::{counter, histogram};

use crate::call::{CallMeta, InResponse};
use crate::error::SendError;
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
    /// One of the connection's endpoints, or `unknown`: it is a metric's label, so a guest must not make it up.
    pub(crate) endpoint: &'a str,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    /// Checked, without query.
    pub(crate) path: &'a str,
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
        let labels = [
            ("tenant", self.tenant.to_owned()),
            ("connection", self.connection.to_owned()),
            ("endpoint", self.endpoint.to_owned()),
        ];
        histogram!("confab_egress_request_seconds", &labels).record(took.as_secs_f64());
        let [tenant, connection, endpoint] = labels;
        counter!("confab_egress_requests_total", &[tenant, connection, endpoint, ("outcome", outcome.to_owned())])
            .increment(1);
        match result {
            Ok(response) if response.status >= 400 && response.status != 404 => {
                let provider = provider_id(response);
                self.warn(Some(response.status), None, "the system answered with an error", provider.as_deref());
            }
            Ok(_) => {}
            Err(error) => self.warn(None, Some(error.code.as_str()), &error.message, None),
        }
    }

    fn warn(&self, status: Option<u16>, code: Option<&str>, reason: &str, provider: Option<&str>) {
        tracing::warn!(
            tenant = self.tenant,
            connection = self.connection,
            endpoint = self.endpoint,
            operation = self.meta.operation,
            method = self.method,
            host = self.host,
            path = short(self.path),
            status,
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

fn short(text: &str) -> &str {
    text.char_indices().nth(LOG_FIELD_CHARS).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

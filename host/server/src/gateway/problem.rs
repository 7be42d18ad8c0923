//! Every refusal over HTTP, as RFC 9457 document: a stable `type` and `code`, what happened, what to do.

use axum::response::{IntoResponse, Response};
use confab_engine::store::StoreError;
use confab_engine::{ConnectionError, TurnError};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// Longest detail, in characters: it may quote what the client sent, and goes to the log as well.
const MAX_DETAIL: usize = 400;

/// A refusal.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
    pub(crate) retry_after: Option<u64>,
    /// Members beyond those of the standard.
    pub(crate) extra: Vec<(&'static str, Value)>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $code:literal, $title:literal;)*) => {
        impl Problem {
            $($(#[$doc])* pub(crate) fn $name(detail: impl Into<String>) -> Self {
                Problem::new(StatusCode::$status, $code, $title, detail)
            })*
        }
        /// Every code with status and title, for the documentation.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, u16, &str)] = &[$(($code, StatusCode::$status.as_u16(), $title)),*];
    };
}

problems! {
    broken_json = BAD_REQUEST, "broken-json", "The body is no JSON";
    bad_request = BAD_REQUEST, "bad-request", "The request can't be understood";
    unauthorised = UNAUTHORIZED, "unauthorised", "No valid API key";
    webhook_refused = UNAUTHORIZED, "webhook-refused", "The call is not proved to be the platform's";
    forbidden = FORBIDDEN, "forbidden", "The key may not do this";
    not_found = NOT_FOUND, "not-found", "There is no such resource";
    unknown_bot = NOT_FOUND, "unknown-bot", "There is no such bot";
    unknown_conversation = NOT_FOUND, "unknown-conversation", "There is no such conversation";
    unknown_connection = NOT_FOUND, "unknown-connection", "There is no such connection";
    method_not_allowed = METHOD_NOT_ALLOWED, "method-not-allowed", "The resource does not know this method";
    body_timeout = REQUEST_TIMEOUT, "body-timeout", "The body did not arrive in time";
    plugin_in_use = CONFLICT, "plugin-in-use", "Bots or connections use this version";
    busy = CONFLICT, "conversation-busy", "An earlier message is still being answered";
    in_flight = CONFLICT, "request-in-flight", "The same request is being served";
    handled_by_another = CONFLICT, "handled-by-another", "Somebody else has the conversation";
    not_handed_over = CONFLICT, "not-handed-over", "The bot answers the conversation";
    body_too_large = PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large";
    unsupported_media_type = UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has another type than expected";
    key_reused = UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The idempotency key belongs to another request";
    invalid_input = UNPROCESSABLE_ENTITY, "invalid-input", "The request is well-formed but can't be accepted";
    invalid_configuration = UNPROCESSABLE_ENTITY, "invalid-configuration", "The configuration has errors; nothing was changed";
    plugin_refused = UNPROCESSABLE_ENTITY, "plugin-refused", "The plugin is not let in; nothing was changed";
    unsupported = UNPROCESSABLE_ENTITY, "unsupported", "The connector does not offer this";
    crowded = TOO_MANY_REQUESTS, "conversation-crowded", "Too many messages of the conversation are waiting";
    internal = INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side";
    upstream = BAD_GATEWAY, "upstream", "The business system or its plugin failed";
    bot_not_ready = SERVICE_UNAVAILABLE, "bot-not-ready", "The bot is not ready";
    connection_not_ready = SERVICE_UNAVAILABLE, "connection-not-ready", "The connection is not ready";
    overloaded = SERVICE_UNAVAILABLE, "overloaded", "Too much is going on";
    store_unavailable = SERVICE_UNAVAILABLE, "store-unavailable", "Conversations can't be read or written now";
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let mut detail: String = detail.into();
        if detail.len() > MAX_DETAIL {
            let cut: String = detail.chars().take(MAX_DETAIL).collect();
            detail = format!("{cut}...");
        }
        Problem { status, code, title, detail, retry_after: None, extra: Vec::new(), headers: Vec::new() }
    }

    /// The same with when to try again, in seconds.
    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// The same with a member of its own.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.extra.push((name, value));
        self
    }

    /// The same pointing at a field of the body (RFC 6901).
    #[must_use]
    pub(crate) fn at(self, pointer: &str) -> Self {
        let detail = self.detail.clone();
        self.with("errors", json!([{"pointer": pointer, "detail": detail}]))
    }

    /// A rate limit was hit. Type and members are those of the IETF draft on RateLimit headers.
    pub(crate) fn quota(policy: &str, retry_after: u64) -> Self {
        let detail = format!("the limit `{policy}` is used up; try again in {retry_after} s");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "quota-exceeded", "Too many requests", detail)
            .retry_after(retry_after)
            .with("violated-policies", json!([policy]))
    }

    fn type_uri(&self) -> String {
        match self.code {
            "quota-exceeded" => "https://iana.org/assignments/http-problem-types#quota-exceeded".to_owned(),
            code => format!("urn:confab:problem:{code}"),
        }
    }

    pub(crate) fn into_response_for(self, request_id: &str) -> Response {
        let mut body = json!({
            "type": self.type_uri(), "title": self.title, "status": self.status.as_u16(),
            "detail": self.detail, "code": self.code, "request_id": request_id,
        });
        if let Some(object) = body.as_object_mut() {
            for (name, value) in self.extra {
                object.insert(name.to_owned(), value);
            }
            if let Some(seconds) = self.retry_after {
                object.insert("retry_after".to_owned(), Value::from(seconds));
            }
        }
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"confab\""));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// The middleware of [`super::request`] finds the problem in the response and writes its body, with the request's id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<TurnError> for Problem {
    fn from(error: TurnError) -> Self {
        let detail = error.to_string();
        match error {
            TurnError::UnknownBot(_) => Problem::unknown_bot(detail),
            TurnError::BotNotReady { bot, reason } => {
                tracing::error!(bot, "bot is not ready: {reason}");
                Problem::bot_not_ready(format!(
                    "bot `{bot}` is not ready; its operator finds the reason in the log and in GET /api/admin/bots"
                ))
                .retry_after(30)
            }
            TurnError::UnknownConversation => Problem::unknown_conversation(detail),
            TurnError::Busy => Problem::busy(detail).retry_after(2),
            TurnError::Crowded => Problem::crowded(detail).retry_after(2),
            TurnError::InFlight => Problem::in_flight(detail).retry_after(1),
            TurnError::KeyReused => Problem::key_reused(detail),
            TurnError::HandledBy(_) => Problem::handled_by_another(detail),
            TurnError::NotHandedOver => Problem::not_handed_over(detail),
            TurnError::Quota { retry_after_s } => Problem::quota("plugin-fuel", u64::from(retry_after_s)),
            TurnError::Overloaded => Problem::overloaded(detail).retry_after(1),
            TurnError::Store(store) => store.into(),
            TurnError::Internal(_) => {
                tracing::error!("{detail}");
                Problem::internal("the turn could not be finished; the request id finds it in the log")
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if !matches!(error, StoreError::Busy | StoreError::LeaseLost | StoreError::Crowded | StoreError::InFlight) {
            tracing::error!(error = %error, "store");
        }
        match error {
            StoreError::Busy | StoreError::LeaseLost => {
                Problem::busy("an earlier message of this conversation is still being answered").retry_after(2)
            }
            StoreError::Crowded => Problem::crowded(error.to_string()).retry_after(2),
            StoreError::InFlight => Problem::in_flight(error.to_string()).retry_after(1),
            StoreError::Corrupt { .. } => {
                Problem::internal("stored data can't be read; the request id finds the reason in the log")
            }
            _ => Problem::store_unavailable(
                "the store does not answer; whether this request was kept is not known, so ask before you repeat it",
            )
            .retry_after(2),
        }
    }
}

impl From<ConnectionError> for Problem {
    fn from(error: ConnectionError) -> Self {
        let detail = error.to_string();
        match error {
            ConnectionError::Unknown { .. } => Problem::unknown_connection(detail),
            ConnectionError::NotReady { .. } => Problem::connection_not_ready(detail),
            ConnectionError::Unsupported(_) => Problem::unsupported(detail),
            ConnectionError::Refused(e) if e.code == "not-found" => Problem::not_found(e.message),
            ConnectionError::Refused(_) => Problem::upstream(detail),
            ConnectionError::Failed(failure) => {
                let said = failure.report.last_lines.iter().rev().find(|line| line.contains("panicked at"));
                let said = said.map(|line| format!(": {line}")).unwrap_or_default();
                Problem::upstream(format!("{detail}{said}; `confab failures` has what is known of it"))
            }
        }
    }
}

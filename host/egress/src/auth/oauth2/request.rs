//! Token requests: how we name ourselves, what we send, what comes back.
//!
//! They go the way of all requests: the policy's check of the URL as it will be sent, checked addresses, size cap,
//! deadline. Nothing of an answer is repeated but its `error`, and that only when it is one of the words of the
//! standard's alphabet: descriptions repeat what they were sent.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, header};
use metrics::counter;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::Core;
use super::config::ClientAuth;
use crate::auth::sensitive;
use crate::client;
use crate::error::{ErrorCode, SendError};
use crate::exchange::{Answer, Wire, exchange, retry_after};
use crate::limits::{TOKEN_ERROR_CHARS, TOKEN_LONGEST_LIFE, TOKEN_TIMEOUT};
use crate::policy::Reach;
use crate::secret::Secret;

/// A place of the authorization server, checked.
pub(super) struct Place {
    pub(super) url: Url,
    pub(super) reach: Reach,
}

impl Place {
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

/// How we name ourselves.
pub(super) struct Client {
    pub(super) id: Option<String>,
    pub(super) secret: Option<Secret>,
    pub(super) auth: ClientAuth,
}

impl Client {
    /// The header of basic authentication: both parts are encoded as a form first (RFC 6749, 2.3.1).
    pub(super) fn basic(&self) -> Option<String> {
        let (id, secret) = (self.id.as_deref()?, self.secret.as_ref()?);
        let form = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        (self.auth == ClientAuth::Basic).then(|| STANDARD.encode(format!("{}:{}", form(id), form(secret.expose()))))
    }
}

/// What a token request got.
pub(super) struct Granted {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    pub(super) expires_in: Option<Duration>,
}

/// Why there is no token.
#[derive(Debug, Clone)]
pub(super) enum Denied {
    /// The server says that this grant (refresh token, code, assertion) is not good: `invalid_grant`.
    Grant,
    /// The server refused the request for another reason; the same request will be refused again.
    Refused(String),
    /// Nobody knows. It may be better later.
    Later(SendError),
}

#[derive(Deserialize)]
struct Body {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Value>,
    refresh_token: Option<String>,
    error: Option<Value>,
}

impl Core {
    /// Ask for a token.
    pub(super) async fn ask(&self, parameters: &[(&str, &str)]) -> Result<Granted, Denied> {
        let asked = self.request_token(parameters).await;
        let outcome = match &asked {
            Ok(_) => "granted",
            Err(Denied::Grant | Denied::Refused(_)) => "refused",
            Err(Denied::Later(_)) => "failed",
        };
        let (tenant, connection) = (self.owner.tenant.clone(), self.owner.connection.clone());
        counter!("confab_egress_token_requests_total", "tenant" => tenant, "connection" => connection, "outcome" => outcome)
            .increment(1);
        asked
    }

    async fn request_token(&self, parameters: &[(&str, &str)]) -> Result<Granted, Denied> {
        let answer = self.post(&self.token_url, parameters).await.map_err(Denied::Later)?;
        let host = self.token_url.host();
        let status = answer.status;
        let body = serde_json::from_slice::<Body>(&answer.body).ok();
        let said = body.as_ref().and_then(|body| body.error.as_ref());
        if status == 429 || status >= 500 {
            let error = failed(format!("{host} answered the request for a token with status {status}; try later"));
            let pause =
                retry_after(&answer.headers, SystemTime::now()).unwrap_or(self.shared.limits.login_failed_pause);
            return Err(Denied::Later(error.after(pause.as_secs())));
        }
        if !(200..300).contains(&status) || said.is_some() {
            let word = said.and_then(Value::as_str).filter(|word| is_error_word(word));
            return Err(match word {
                Some("invalid_grant") => Denied::Grant,
                Some("temporarily_unavailable" | "server_error" | "slow_down") => {
                    Denied::Later(failed(format!("{host} has no token for us now; try later")))
                }
                Some(word) => Denied::Refused(format!("{host} refused the request for a token: {word}")),
                None => Denied::Refused(format!("{host} refused the request for a token with status {status}")),
            });
        }
        let unexpected = |what: &str| Denied::Refused(format!("{host}'s answer to the request for a token {what}"));
        let body = body.ok_or_else(|| unexpected("is not JSON as it should be"))?;
        let access_token =
            body.access_token.filter(|token| !token.is_empty()).ok_or_else(|| unexpected("has no access_token"))?;
        if body.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) && self.prefix == "Bearer " {
            return Err(unexpected("has a token_type other than Bearer; say its `prefix` in the connection"));
        }
        let expires_in = body.expires_in.as_ref().and_then(seconds).or(self.expires_in_default);
        let refresh_token = body.refresh_token.filter(|token| !token.is_empty());
        Ok(Granted { access_token, refresh_token, expires_in: expires_in.map(|time| time.min(TOKEN_LONGEST_LIFE)) })
    }

    /// Send a form to the authorization server, with our name on it.
    pub(super) async fn post(&self, place: &Place, parameters: &[(&str, &str)]) -> Result<Answer, SendError> {
        let mut request = reqwest::Request::new(Method::POST, place.url.clone());
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let mut parameters = parameters.to_vec();
        if let Some(basic) = self.client.basic() {
            if let Some(value) = sensitive(&format!("Basic {basic}")) {
                headers.insert(header::AUTHORIZATION, value);
            }
        } else if self.assertion.is_none() || self.client.secret.is_some() {
            // An assertion says who we are; who is known by nothing else names itself.
            parameters.extend(self.client.id.as_deref().map(|id| ("client_id", id)));
            parameters.extend(self.client.secret.as_ref().map(|secret| ("client_secret", secret.expose())));
        }
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        *request.body_mut() = Some(form.into());
        let reach = self.shared.policy.reach(request.url()).map_err(SendError::refused)?;
        if reach != place.reach {
            return Err(SendError::refused("the request leads elsewhere than it was configured to"));
        }
        let limits = &self.shared.limits;
        let own = self.own.as_ref().filter(|own| own.host.eq_ignore_ascii_case(place.host()));
        let (cell, tls) = match (own, reach) {
            (Some(own), _) => (&own.client, &own.tls),
            (None, Reach::Global) => (&self.global, &self.shared.tls),
            (None, Reach::Granted) => (&self.granted, &self.shared.tls),
        };
        let lookup = std::sync::Arc::clone(&self.shared.lookup);
        let client = cell.get_or_try_init(|| async { client::build(tls, lookup, reach, limits) }).await;
        let client = client.map_err(|_| {
            SendError::new(ErrorCode::Misconfigured, "the host's HTTP client can't be set up; see its log")
        })?;
        let wire = Wire::default();
        let exchange = exchange(client, request, place.host(), limits.login_body_bytes, limits, &wire);
        timeout(TOKEN_TIMEOUT, exchange).await.unwrap_or_else(|_| {
            let message = format!("no complete answer from {} within {} s", place.host(), TOKEN_TIMEOUT.as_secs());
            Err(SendError::new(ErrorCode::Timeout, message))
        })
    }
}

/// Numbers, and numbers as text, which some servers send. Zero says nothing.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().filter(|n| *n >= 1.0).map(|n| n as u64))?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// The alphabet of error codes, and not of much else.
fn is_error_word(word: &str) -> bool {
    word.len() <= TOKEN_ERROR_CHARS && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

pub(super) fn failed(message: impl Into<String>) -> SendError {
    SendError::new(ErrorCode::Unauthorised, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_read_as_servers_write_them() {
        for (value, expected) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(3599.9), Some(3599)),
            (json!(0), None),
            (json!(-1), None),
            (json!("soon"), None),
            (json!(null), None),
        ] {
            assert_eq!(seconds(&value).map(|time| time.as_secs()), expected, "{value}");
        }
    }

    #[test]
    fn basic_authentication_encodes_both_parts_as_a_form() {
        let client = |auth| Client { id: Some("a:b".into()), secret: Some(Secret::new("p ä+%".into())), auth };
        let basic = client(ClientAuth::Basic).basic().unwrap();
        assert_eq!(STANDARD.decode(basic).unwrap(), b"a%3Ab:p+%C3%A4%2B%25");
        assert_eq!(client(ClientAuth::Body).basic(), None);
    }

    #[test]
    fn only_words_of_the_standard_are_repeated() {
        assert!(is_error_word("invalid_client"));
        for word in ["Secret1", "invalid client", &"a".repeat(65)] {
            assert!(!is_error_word(word), "{word}");
        }
    }
}

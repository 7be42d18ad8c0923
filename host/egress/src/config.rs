//! What a tenant writes about a connection, as it is read from a file or the admin API.
//!
//! These types hold names of secrets, never values, and nothing here is trusted yet: [`Egress::connect`] checks all
//! of it and gives every fault at once.
//!
//! ```yaml
//! endpoints:
//!   - name: api
//!     base_url: https://erp.example.com/api/v2
//!     methods: [GET, POST]
//!     auth: { kind: bearer, token: "env:SHOP_EU__ERP_TOKEN" }
//! ```
//!
//! [`Egress::connect`]: crate::Egress::connect

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::auth::oauth2::config::OAuth2Config;
use crate::budget::RateConfig;
use crate::retry::RetryConfig;
use crate::secret::{Credential, Pem, SecretRef};

/// One tenant's configured instance of a connector, as far as the network is concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionSpec {
    /// The tenant's id: lower-case letters, digits and single dashes.
    pub tenant: String,
    /// The connection's id.
    pub connection: String,
    /// The places that it may call.
    pub endpoints: Vec<EndpointConfig>,
    /// What of the operator's limits the tenant makes smaller.
    pub limits: ConnectionLimits,
    /// How often it may call; none for as often as the system itself allows.
    pub rate: Option<RateConfig>,
    /// How failed calls are repeated; none for the usual way.
    pub retry: Option<RetryConfig>,
}

/// Smaller limits for one connection: to be gentle to a small ERP, or strict with a talkative one. None may be larger
/// than the operator's ([`Limits`](crate::Limits)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionLimits {
    /// Calls at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    /// Bytes of a request's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<usize>,
    /// Bytes of a request's headers that the connector writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_header_bytes: Option<usize>,
    /// Bytes of an answer's body, decompressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<usize>,
    /// Bytes of an answer's headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header_bytes: Option<usize>,
}

/// A named place that a connection may call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// The name that the connector uses.
    pub name: String,
    /// `https://host[:port]/prefix`, without query. `http` only where the operator granted the host.
    pub base_url: String,
    /// Methods that the connector may use; none written means GET, POST, PUT, PATCH and DELETE. HEAD may be added.
    #[serde(default)]
    pub methods: Vec<String>,
    /// How a request is authorised.
    #[serde(default)]
    pub auth: Auth,
    /// Milliseconds for a whole call, at most 30,000; none for 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// Authorities that this endpoint's certificate must come from, in place of the system's and the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Pem>,
    /// What the host shows of itself where the system asks for it in TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
    /// Whether redirects are followed.
    #[serde(default)]
    pub redirects: Redirects,
    /// The header in which the system takes idempotency keys, if it is not `Idempotency-Key`. A request that has it may be
    /// repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_header: Option<String>,
}

/// A client's certificate for TLS (mTLS).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// The certificate, then those that lead to its authority: PEM.
    pub certificate: Pem,
    /// Its private key: PKCS#8, PKCS#1 or SEC1, in PEM.
    pub key: SecretRef,
}

/// What is done with a redirect. The rules are in the essay of the module `redirect`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redirects {
    /// Followed within the connection's endpoints.
    #[default]
    Follow,
    /// Given to the connector as the answer.
    None,
}

/// How a request is authorised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Bearer TOKEN`.
    Bearer {
        /// The token.
        token: SecretRef,
    },
    /// A header of the system's own, e.g. `X-Shopify-Access-Token: VALUE` or `Authorization: token VALUE`.
    Header {
        /// The header's name.
        name: String,
        /// The secret part of its value.
        value: SecretRef,
        /// What stands before the secret, with its space: `"token "`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefix: Option<String>,
    },
    /// A query parameter. Only where a system knows nothing else: queries end in other people's logs.
    Query {
        /// The parameter's name.
        name: String,
        /// Its value.
        value: SecretRef,
    },
    /// A segment between the base and the guest's path, as in Telegram's `/bot123:TOKEN/sendMessage`.
    Path {
        /// What stands before the secret in its segment: `bot`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefix: Option<String>,
        /// The secret part of the segment.
        value: SecretRef,
    },
    /// A value in the JSON body of each request to one path, as in Odoo's `execute_kw`. The connector writes `null`
    /// there.
    JsonBody {
        /// The path below the base: `/jsonrpc`. Requests to other paths go without.
        path: String,
        /// JSON pointer to the value's place: `/params/args/2`.
        pointer: String,
        /// The value.
        value: SecretRef,
    },
    /// Basic authentication.
    Basic {
        /// The user, or the name of a secret.
        username: Credential,
        /// The password; none for an empty one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password: Option<SecretRef>,
    },
    /// A session that is logged in for at first use, kept in memory, and renewed when the system refuses it.
    Session(Box<SessionConfig>),
    /// Each request is signed with a shared key.
    Hmac(Box<HmacConfig>),
    /// Each request is signed as AWS wants it (Signature Version 4).
    Aws(AwsConfig),
    /// Tokens of an authorization server, which are renewed before they expire.
    Oauth2(Box<OAuth2Config>),
}

/// Signing with a shared key (HMAC). What is signed and which headers carry it is said by minijinja templates.
///
/// A template sees `method`, `host`, `path`, `query`, `target` (path with query), `params` (the query's decoded
/// `[name, value]` pairs), `headers["name"]` (`""` for one that is not there), `body` (of text only),
/// `content_length`, `content_sha256` (hexadecimal), `content_sha256_base64`, `timestamp`, `nonce` and `key_id`; those of
/// `headers` see `signature` as well. Filters beyond minijinja's own: `b64encode`; `urlencode` encodes slashes too.
///
/// Standard Webhooks, for example:
/// ```json
/// {
///   "kind": "hmac", "secret": "env:SHOP_EU__HOOK", "secret_encoding": "base64", "encoding": "base64",
///   "sign": "{{ nonce }}.{{ timestamp }}.{{ body }}",
///   "headers": {
///     "webhook-id": "{{ nonce }}", "webhook-timestamp": "{{ timestamp }}", "webhook-signature": "v1,{{ signature }}"
///   }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HmacConfig {
    /// The hash.
    #[serde(default)]
    pub algorithm: HmacAlgorithm,
    /// The key.
    pub secret: SecretRef,
    /// How the key is written.
    #[serde(default)]
    pub secret_encoding: KeyEncoding,
    /// The key's name, where the system wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Credential>,
    /// Template of what is signed.
    pub sign: String,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: SignatureEncoding,
    /// How `timestamp` is written.
    #[serde(default)]
    pub timestamp: TimestampFormat,
    /// Headers that are added, each with the template of its value. One of them has `{{ signature }}` in it.
    pub headers: BTreeMap<String, String>,
}

/// The hash of an HMAC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HmacAlgorithm {
    /// For systems that know nothing newer.
    Sha1,
    /// The usual one.
    #[default]
    Sha256,
    /// A longer one.
    Sha512,
}

/// How a key is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyEncoding {
    /// Its characters are the key.
    #[default]
    Raw,
    /// Base64, with or without padding. A `whsec_` before it (Standard Webhooks) is left out.
    Base64,
    /// Hexadecimal.
    Hex,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureEncoding {
    /// Hexadecimal, in lower case.
    #[default]
    Hex,
    /// Base64 with padding.
    Base64,
    /// Base64 for URLs, without padding.
    Base64url,
}

/// How the time of a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimestampFormat {
    /// Seconds since 1970.
    #[default]
    Unix,
    /// Milliseconds since 1970.
    UnixMs,
    /// `2026-11-22T21:12:00Z`
    Rfc3339,
    /// `Sun, 22 Nov 2026 21:12:00 GMT`
    Http,
}

/// AWS Signature Version 4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsConfig {
    /// `eu-central-1`
    pub region: String,
    /// `execute-api`, `s3`, `es`, ...
    pub service: String,
    /// The access key's id, or the name of a secret.
    pub access_key_id: Credential,
    /// The secret access key.
    pub secret_access_key: SecretRef,
    /// The session's token, of keys that are lent for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SecretRef>,
}

/// A system that wants a login first and a session's credential after that.
///
/// The templates are minijinja. `body` sees `username` and `password`; `value` sees these and `login`, the login's
/// answer (JSON). Filters beyond minijinja's own: `b64encode`. An undefined value is an error.
///
/// Tryton, for example:
/// ```json
/// {
///   "kind": "session", "username": "chatbot", "password": "env:SHOP_EU__TRYTON",
///   "login": {
///     "method": "POST", "path": "/",
///     "body": "{\"method\":\"common.db.login\",\"params\":[{{ username|tojson }},{\"password\":{{ password|tojson }}},\"en\"]}"
///   },
///   "value": "Session {{ (username ~ ':' ~ login.result[0] ~ ':' ~ login.result[1]) | b64encode }}"
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    /// The user.
    pub username: String,
    /// The password's name.
    pub password: SecretRef,
    /// The login request.
    pub login: LoginConfig,
    /// The header that carries the session.
    #[serde(default = "authorization")]
    pub header: String,
    /// Template of that header's value.
    pub value: String,
    /// JSON pointer into the login's answer: when something other than null, false or "" is there, the login has
    /// failed, whatever the status. For systems that answer errors with 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_pointer: Option<String>,
    /// Statuses that mean "this session is over". The request is repeated once with a new session, whatever its
    /// method, so only name statuses with which the system says that it did not begin.
    #[serde(default = "unauthorised")]
    pub renew_on: Vec<u16>,
}

/// The login request of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginConfig {
    /// Its method.
    #[serde(default = "post")]
    pub method: String,
    /// Its path below the endpoint's base.
    pub path: String,
    /// Template of its body.
    pub body: String,
    /// The body's type. JSON is checked when the connection is set up.
    #[serde(default = "json")]
    pub content_type: String,
}

fn authorization() -> String {
    "authorization".to_owned()
}

fn unauthorised() -> Vec<u16> {
    vec![401]
}

fn post() -> String {
    "POST".to_owned()
}

fn json() -> String {
    "application/json".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_with_its_defaults() {
        let text = r#"{"name":"erp","base_url":"https://erp.example.com",
            "auth":{"kind":"session","username":"bot","password":"env:SHOP__P",
                    "login":{"path":"/","body":"{}"},"value":"x"}}"#;
        let endpoint: EndpointConfig = serde_json::from_str(text).unwrap();
        let Auth::Session(session) = endpoint.auth else { panic!("not a session") };
        assert_eq!((session.header.as_str(), session.login.method.as_str()), ("authorization", "POST"));
        assert_eq!(session.renew_on, [401]);
        assert!(endpoint.methods.is_empty() && endpoint.timeout_ms.is_none());
        assert_eq!(endpoint.redirects, Redirects::Follow);
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        let text = r#"{"name":"a","base_url":"https://a","auth":{"kind":"bearer","tokn":"env:A"}}"#;
        assert!(serde_json::from_str::<EndpointConfig>(text).is_err());
    }
}

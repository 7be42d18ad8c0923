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

use serde::{Deserialize, Serialize};

use crate::auth::oauth2::config::OAuth2Config;
use crate::secret::{Credential, SecretRef};

/// One tenant's configured instance of a connector, as far as the network is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSpec {
    /// The tenant's id: lower-case letters, digits and single dashes.
    pub tenant: String,
    /// The connection's id.
    pub connection: String,
    /// The places that it may call.
    pub endpoints: Vec<EndpointConfig>,
}

/// A named place that a connection may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Tokens of an authorization server, which are renewed before they expire.
    Oauth2(Box<OAuth2Config>),
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
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        let text = r#"{"name":"a","base_url":"https://a","auth":{"kind":"bearer","tokn":"env:A"}}"#;
        assert!(serde_json::from_str::<EndpointConfig>(text).is_err());
    }
}

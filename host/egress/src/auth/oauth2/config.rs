//! What a tenant, or a connector's manifest, writes about OAuth2.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::secret::{Credential, SecretRef};

/// A system that hands out access tokens which expire.
///
/// ```yaml
/// auth:
///   kind: oauth2
///   grant: authorization-code
///   authorize_url: https://app.example.com/oauth/authorize
///   token_url: https://api.example.com/oauth/v1/token
///   client_id: 0f9e8d7c
///   client_secret: env:SHOP__CRM_SECRET
///   scopes: [contacts.read, contacts.write]
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth2Config {
    /// How a token is asked for.
    pub grant: Grant,
    /// Where tokens are asked for. Its host may be another than the endpoint's; the operator's rules for hosts hold. On the
    /// endpoint's host the endpoint's `ca` and `client_certificate` are used, on others the operator's authorities.
    pub token_url: String,
    /// Authorization code: where a person says yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorize_url: Option<String>,
    /// Where tokens are given back when the connection is disconnected (RFC 7009), if the system has that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_url: Option<String>,
    /// Who we are, as the system registered us: plain or the name of a secret. JWT bearer may do without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Credential>,
    /// The client's secret; none for a public client, which PKCE alone protects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretRef>,
    /// Where the client's secret is put.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// What is asked for. With JWT bearer they are the claim `scope` (Google).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The parameter `audience` (Auth0); with JWT bearer the claim `aud`, which is `token_url` where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Further parameters: of the page where a person says yes (`access_type: offline` for Google), otherwise of the
    /// token request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
    /// JWT bearer: the key that assertions are signed with, PEM: RSA (PKCS#8 or PKCS#1) or EC P-256 (PKCS#8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<SecretRef>,
    /// JWT bearer: the key's id (`kid`), where the system wants it named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// JWT bearer: in whose name we act, the claim `sub` (Salesforce: the user; Google: the delegated user, or none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// JWT bearer: the claim `iss`, which is the client's id where none is written (Google: the service account).
    /// Authorization code: the issuer that an answer must name (RFC 9207); none where the system does not name itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// JWT bearer: how assertions are signed.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Seconds that a token holds when the system does not say (Salesforce). None: until it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_default_s: Option<u64>,
    /// The header that carries the token.
    #[serde(default = "authorization")]
    pub header: String,
    /// What stands before the token, with its space.
    #[serde(default = "bearer")]
    pub prefix: String,
}

/// How a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// With the client's own id and secret (RFC 6749, 4.4).
    ClientCredentials,
    /// A person of the tenant says yes once, in a browser (RFC 6749, 4.1, with PKCE); refresh tokens do the rest.
    AuthorizationCode,
    /// With an assertion that we sign (RFC 7523).
    JwtBearer,
}

/// Where the client's secret is put in a token request (RFC 6749, 2.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// Basic authentication.
    #[default]
    Basic,
    /// Parameters of the body.
    Body,
}

/// How an assertion is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSA, PKCS#1 v1.5, SHA-256.
    #[default]
    RS256,
    /// ECDSA on P-256, SHA-256.
    ES256,
}

fn authorization() -> String {
    "authorization".to_owned()
}

fn bearer() -> String {
    "Bearer ".to_owned()
}

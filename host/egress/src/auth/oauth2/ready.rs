//! From what a tenant wrote to what is used: everything that can be wrong is said here, with its place.

use std::sync::Arc;
use std::time::Duration;

use ring::digest;
use url::Url;

use super::assertion::{Assertion, Claims};
use super::config::{ClientAuth, Grant, OAuth2Config};
use super::record::random;
use super::request::{Client, Place};
use super::store::{TokenOwner, TokenStore};
use super::{Core, OAuth2, OwnTls};
use crate::auth::Setup;
use crate::egress::Shared;
use crate::secret::{Credential, Secret};

/// What an endpoint with OAuth2 needs of the house.
pub(crate) struct Room<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) tokens: Option<&'a Arc<dyn TokenStore>>,
    pub(crate) connection: &'a str,
    pub(crate) endpoint: &'a str,
    /// The endpoint's own authority and certificate.
    pub(crate) tls: Option<&'a rustls::ClientConfig>,
    /// The endpoint's host.
    pub(crate) host: &'a str,
}

/// Parameters that are ours to set.
const RESERVED: &[&str] = &[
    "grant_type",
    "response_type",
    "client_id",
    "client_secret",
    "redirect_uri",
    "state",
    "code",
    "code_verifier",
    "code_challenge",
    "code_challenge_method",
    "scope",
    "refresh_token",
    "assertion",
];

const NO_KEY: &str = "authorization-code needs a place for its tokens: the operator sets CONFAB_TOKEN_KEYS for the confab \
process to a key made by `openssl rand -base64 32`, so that they can be kept encrypted";

impl OAuth2 {
    /// Check a configuration. `None` when something was noted as wrong.
    pub(crate) fn new(config: &OAuth2Config, room: &Room<'_>, setup: &mut Setup<'_>) -> Option<Self> {
        let before = setup.errors.len();
        let header = setup.header_name("auth.header", &config.header);
        let token_url = place(setup, room, "auth.token_url", &config.token_url);
        let revocation_url =
            config.revocation_url.as_deref().and_then(|url| place(setup, room, "auth.revocation_url", url));
        let id = match &config.client_id {
            Some(Credential::Plain(text)) => Some(text.clone()),
            Some(Credential::Secret(reference)) => {
                setup.secret("auth.client_id", reference).map(|secret| secret.expose().to_owned())
            }
            None => None,
        };
        if id.is_none() && config.client_id.is_none() && config.grant != Grant::JwtBearer {
            setup.wrong("auth.client_id", "is missing; it is the name under which the system knows us");
        }
        let secret = config.client_secret.as_ref().and_then(|name| setup.secret("auth.client_secret", name));
        if config.client_secret.is_none() && config.grant == Grant::ClientCredentials {
            setup.wrong("auth.client_secret", "is missing; write `client_secret: env:NAME`");
        }
        if let Some(name) = config.extra.keys().find(|name| RESERVED.contains(&name.as_str())) {
            setup.wrong("auth.extra", format!("sets {name}, which the host sets"));
        }
        if config.prefix.chars().any(|c| c.is_control() || !c.is_ascii()) {
            setup.wrong("auth.prefix", "has characters that can't stand in a header");
        }
        let authorize_url = authorize_url(config, room, setup);
        let assertion = assertion(config, setup, id.as_deref());
        if config.grant == Grant::AuthorizationCode && room.tokens.is_none() {
            setup.wrong("auth.grant", NO_KEY);
        }
        let (header, token_url) = (header?, token_url?);
        if setup.errors.len() > before {
            return None;
        }
        let client = Client { id, secret, auth: config.client_auth };
        // What basic authentication makes of them must not come back either.
        setup.secrets.extend(client.basic().map(|basic| Secret::new(basic.trim_end_matches('=').to_owned())));
        let owner = TokenOwner {
            tenant: setup.tenant.to_owned(),
            connection: room.connection.to_owned(),
            endpoint: room.endpoint.to_owned(),
        };
        let core = Core {
            owner,
            made_with: made_with(config, client.id.as_deref()),
            grant: config.grant,
            secret_names: secret_names(config),
            client,
            assertion,
            token_url,
            authorize_url,
            revocation_url,
            scopes: config.scopes.join(" "),
            audience: config.audience.clone(),
            extra: config.extra.clone().into_iter().collect(),
            issuer: config.issuer.clone(),
            prefix: config.prefix.clone(),
            expires_in_default: config.expires_in_default_s.map(Duration::from_secs),
            spread: random() % 1_000,
            shared: Arc::clone(room.shared),
            tokens: room.tokens.map(Arc::clone),
            global: tokio::sync::OnceCell::new(),
            granted: tokio::sync::OnceCell::new(),
            own: room.tls.map(|tls| OwnTls {
                host: room.host.to_owned(),
                tls: tls.clone(),
                client: tokio::sync::OnceCell::new(),
            }),
            current: parking_lot::Mutex::default(),
            futile_until: parking_lot::Mutex::default(),
            flight: Arc::default(),
        };
        Some(Self { header, core: Arc::new(core) })
    }
}

/// A URL of the authorization server, as far as the operator's policy lets us go.
fn place(setup: &mut Setup<'_>, room: &Room<'_>, field: &str, text: &str) -> Option<Place> {
    let parsed = Url::parse(text).map_err(|_| "is not a URL".to_owned()).and_then(|url| {
        if !url.username().is_empty() || url.password().is_some() {
            return Err("has a user or password in it; name the client's secret in client_secret".to_owned());
        }
        if url.fragment().is_some() {
            return Err("has a fragment (#...), which is never sent".to_owned());
        }
        let reach = room.shared.policy.reach(&url)?;
        Ok(Place { url, reach })
    });
    parsed.map_err(|problem| setup.wrong(field, problem)).ok()
}

fn authorize_url(config: &OAuth2Config, room: &Room<'_>, setup: &mut Setup<'_>) -> Option<Url> {
    match (config.grant, &config.authorize_url) {
        (Grant::AuthorizationCode, Some(url)) => {
            let url = place(setup, room, "auth.authorize_url", url)?.url;
            let set_twice = url.query_pairs().map(|(name, _)| name).find(|name| RESERVED.contains(&name.as_ref()));
            if let Some(name) = set_twice {
                setup.wrong("auth.authorize_url", format!("sets {name}, which the host sets"));
                return None;
            }
            Some(url)
        }
        (Grant::AuthorizationCode, None) => {
            setup.wrong("auth.authorize_url", "is missing; it is the page where a person says yes");
            None
        }
        (_, Some(_)) => {
            setup.wrong("auth.authorize_url", "is only for `grant: authorization-code`; leave it out");
            None
        }
        (_, None) => None,
    }
}

fn assertion(config: &OAuth2Config, setup: &mut Setup<'_>, client: Option<&str>) -> Option<Assertion> {
    if config.grant != Grant::JwtBearer {
        let only = [
            ("auth.private_key", config.private_key.is_some()),
            ("auth.subject", config.subject.is_some()),
            ("auth.key_id", config.key_id.is_some()),
        ];
        for (field, _) in only.into_iter().filter(|(_, given)| *given) {
            setup.wrong(field, "is only for `grant: jwt-bearer`; leave it out");
        }
        return None;
    }
    let Some(name) = &config.private_key else {
        setup.wrong("auth.private_key", "is missing; write `private_key: file:NAME` or `env:NAME`");
        return None;
    };
    let Some(issuer) = config.issuer.as_deref().or(client) else {
        if config.client_id.is_none() {
            setup.wrong("auth.issuer", "is missing, and so is client_id: one of them says who we are");
        }
        return None;
    };
    // The key is never sent, so nothing can repeat it, and it is not among what is looked for in answers.
    let pem = match setup.source.resolve(setup.tenant, name) {
        Ok(pem) => pem,
        Err(error) => {
            setup.wrong("auth.private_key", error.to_string());
            return None;
        }
    };
    let audience = config.audience.as_deref().unwrap_or(&config.token_url);
    let claims = Claims { issuer, subject: config.subject.as_deref(), audience, scopes: &config.scopes };
    Assertion::new(&pem, config.algorithm, config.key_id.as_deref(), &claims)
        .map_err(|problem| setup.wrong("auth.private_key", problem))
        .ok()
}

/// A digest of what decides which tokens we get. The client's secret is not in it: it may be rotated.
fn made_with(config: &OAuth2Config, client: Option<&str>) -> String {
    let extra: Vec<_> = config.extra.iter().collect();
    let audience = (&config.audience, &config.issuer, &config.subject);
    let parts = (config.grant, &config.token_url, &config.authorize_url, client, &config.scopes, audience, extra);
    let text = serde_json::to_vec(&parts).unwrap_or_default();
    let digest = digest::digest(&digest::SHA256, &text);
    digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// What to look at when the server does not know us, by names.
fn secret_names(config: &OAuth2Config) -> String {
    let mut names: Vec<String> = Vec::new();
    if let Some(Credential::Secret(name)) = &config.client_id {
        names.push(format!("client_id in {name}"));
    }
    match (&config.client_secret, config.client_auth) {
        (Some(name), ClientAuth::Basic) => names.push(format!("client_secret in {name}")),
        (Some(name), ClientAuth::Body) => names.push(format!("client_secret in {name} (sent in the body)")),
        (None, _) => {}
    }
    if let Some(name) = &config.private_key {
        names.push(format!("private_key in {name}"));
    }
    if names.is_empty() { "client_id".to_owned() } else { names.join(", ") }
}

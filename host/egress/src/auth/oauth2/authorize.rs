//! Connecting by a person: the link to click, the code that comes back, the state of it all, and the way out.
//!
//! The link carries a challenge whose answer (the verifier, PKCE S256) never leaves the host before the code is
//! exchanged, so a code that somebody else picks up is worth nothing. Who keeps the verifier, and which link belongs to
//! which connection, is the caller's: it has the store.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use url::Url;

use super::config::Grant;
use super::record::TokenRecord;
use super::renewal::{Failed, Look};
use super::request::failed;
use super::store::TokenStore;
use super::{Core, OAuth2};
use crate::auth::Authoriser;
use crate::connection::{Connection, Endpoint};
use crate::error::{ErrorCode, SendError};
use crate::limits::TOKEN_HOLD;
use crate::redact::Redactor;
use crate::secret::Secret;

/// Where a person says yes, and what proves afterwards that we sent them.
#[derive(Debug, Clone)]
pub struct Authorization {
    /// The page to open.
    pub url: Url,
    /// Keep it, encrypted, until the code comes.
    pub verifier: Secret,
}

/// What came back with a code.
#[derive(Debug, Clone)]
pub struct AuthorizationCode {
    /// The code.
    pub code: Secret,
    /// The verifier of the [`Authorization`].
    pub verifier: Secret,
    /// The redirect URI of the [`Authorization`], once more.
    pub redirect_uri: String,
    /// Who says to have sent it (`iss`, RFC 9207), if it says.
    pub issuer: Option<String>,
}

/// How an endpoint with OAuth2 stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthState {
    /// It has tokens, or gets them by itself.
    Connected {
        /// When the access token in use expires, in milliseconds since 1970, if that is known.
        expires_at: Option<u64>,
        /// Whether it is renewed without a person.
        renewable: bool,
    },
    /// Nobody has connected it.
    NotConnected,
    /// A person has to connect it again.
    ReconnectNeeded {
        /// Why.
        because: String,
    },
    /// The store does not say now.
    Unknown {
        /// Why.
        because: String,
    },
}

/// What disconnecting did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnected {
    /// Whether there were tokens.
    pub was_connected: bool,
    /// Whether the system took them back; none where no `revocation_url` is configured, or there was nothing to revoke.
    pub revoked: Option<bool>,
}

impl Connection {
    /// Names of the endpoints that a person connects.
    pub fn connectable(&self) -> impl Iterator<Item = &str> {
        let by_person =
            |endpoint: &&Endpoint| oauth2(endpoint).is_some_and(|o| o.core.grant == Grant::AuthorizationCode);
        self.endpoints.values().filter(by_person).map(|endpoint| endpoint.name.as_str())
    }

    /// The link that connects an endpoint. `state` comes back with the code.
    ///
    /// # Errors
    /// `UnknownEndpoint` for one that no person connects.
    pub fn authorization(&self, endpoint: &str, redirect_uri: &str, state: &str) -> Result<Authorization, SendError> {
        self.by_person(endpoint)?.core.authorization(redirect_uri, state)
    }

    /// Exchange a code for tokens and keep them.
    ///
    /// # Errors
    /// When the authorization server refuses, or tokens can't be kept. The code is used up in any case.
    pub async fn finish_authorization(&self, endpoint: &str, answer: AuthorizationCode) -> Result<(), SendError> {
        let core = &self.by_person(endpoint)?.core;
        let finished = core.finish(answer, &self.redactor).await;
        finished.map_err(|error| SendError { message: self.redactor.text(error.message), ..error })
    }

    /// Forget an endpoint's tokens, everywhere, and have the system take them back where it can.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn disconnect(&self, endpoint: &str) -> Result<Disconnected, SendError> {
        self.by_person(endpoint)?.core.disconnect(&self.redactor).await
    }

    /// Forget what is in memory of tokens: the store has others.
    pub fn forget_tokens(&self) {
        self.endpoints.values().filter_map(oauth2).for_each(|oauth2| oauth2.core.forget());
    }

    /// How the endpoints with OAuth2 stand, in order of their names.
    pub async fn auth_states(&self) -> Vec<(String, AuthState)> {
        let mut states = Vec::new();
        for endpoint in self.endpoints.values() {
            if let Some(oauth2) = oauth2(endpoint) {
                states.push((endpoint.name.clone(), oauth2.core.state().await));
            }
        }
        states
    }

    fn by_person(&self, endpoint: &str) -> Result<&OAuth2, SendError> {
        let found = self.endpoints.get(endpoint).and_then(oauth2);
        found.filter(|oauth2| oauth2.core.grant == Grant::AuthorizationCode).ok_or_else(|| {
            let known: Vec<_> = self.connectable().collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            SendError::new(
                ErrorCode::UnknownEndpoint,
                format!("no such endpoint is connected by a person; those are: {known}"),
            )
        })
    }
}

fn oauth2(endpoint: &Endpoint) -> Option<&OAuth2> {
    match &endpoint.auth {
        Authoriser::OAuth2(oauth2) => Some(oauth2),
        _ => None,
    }
}

impl Core {
    fn authorization(&self, redirect_uri: &str, state: &str) -> Result<Authorization, SendError> {
        let Some(page) = &self.authorize_url else {
            return Err(SendError::new(ErrorCode::Misconfigured, "no authorize_url is configured"));
        };
        let mut bytes = [0; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| SendError::new(ErrorCode::Misconfigured, "this machine gives no random numbers"))?;
        let verifier = URL_SAFE_NO_PAD.encode(bytes);
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let mut url = page.clone();
        let mut query = url.query_pairs_mut();
        query.append_pair("response_type", "code");
        query.append_pair("client_id", self.client.id.as_deref().unwrap_or_default());
        query.append_pair("redirect_uri", redirect_uri);
        if !self.scopes.is_empty() {
            query.append_pair("scope", &self.scopes);
        }
        query.append_pair("state", state);
        query.append_pair("code_challenge", &challenge);
        query.append_pair("code_challenge_method", "S256");
        if let Some(audience) = &self.audience {
            query.append_pair("audience", audience);
        }
        query.extend_pairs(&self.extra);
        drop(query);
        Ok(Authorization { url, verifier: Secret::new(verifier) })
    }

    async fn finish(&self, answer: AuthorizationCode, redactor: &Redactor) -> Result<(), SendError> {
        let store = self.store()?;
        // One address serves all systems: only the issuer tells an answer of one from that of another (RFC 9700, 4.4).
        if let Some(expected) = &self.issuer
            && answer.issuer.as_ref() != Some(expected)
        {
            return Err(failed("the answer comes from another issuer than the configured one; it was not used"));
        }
        redactor.add_session([answer.code.expose(), answer.verifier.expose()]);
        let parameters = [
            ("grant_type", "authorization_code"),
            ("code", answer.code.expose()),
            ("redirect_uri", &answer.redirect_uri),
            ("code_verifier", answer.verifier.expose()),
        ];
        let granted = self.ask(&parameters).await.map_err(|denied| self.denied(denied).error)?;
        let record = TokenRecord::new(&self.made_with, granted, None);
        redactor.add_session(record.secrets());
        // A person who connects again replaces whatever was there: a renewal under way is fenced off.
        let bytes = Some(record.to_bytes());
        self.write(store, bytes).await.map_err(|failed| failed.error)?;
        self.adopt(record, redactor)?;
        // What went wrong before is over. A renewal that is under way finds the new tokens by itself.
        if let Ok(mut flight) = self.flight.try_lock() {
            flight.failed = None;
        }
        Ok(())
    }

    async fn disconnect(&self, redactor: &Redactor) -> Result<Disconnected, SendError> {
        let store = self.store()?;
        // What can't be read (its key is gone) is deleted all the same.
        let stored = store.load(&self.owner).await;
        self.write(store, None).await.map_err(|failed| failed.error)?;
        self.forget();
        let was_connected = !matches!(stored, Ok(None));
        let record = stored.ok().flatten().as_deref().and_then(TokenRecord::parse);
        let mut revoked = None;
        if let (Some(place), Some(record)) = (&self.revocation_url, &record) {
            redactor.add_session(record.secrets());
            let (token, hint) = match &record.refresh_token {
                Some(token) => (token, "refresh_token"),
                None => (&record.access_token, "access_token"),
            };
            let answer = self.post(place, &[("token", token), ("token_type_hint", hint)]).await;
            let done = answer.as_ref().is_ok_and(|answer| (200..300).contains(&answer.status));
            if !done {
                let status = answer.ok().map(|answer| answer.status);
                let (tenant, connection) = (&self.owner.tenant, &self.owner.connection);
                tracing::warn!(
                    tenant,
                    connection,
                    status,
                    "the system did not take the tokens back; they are deleted here"
                );
            }
            revoked = Some(done);
        }
        Ok(Disconnected { was_connected, revoked })
    }

    /// Write what no renewal may undo.
    async fn write(&self, store: &dyn TokenStore, record: Option<Bytes>) -> Result<(), Failed> {
        let fence = store.seize(&self.owner, TOKEN_HOLD).await.map_err(|e| self.unreadable(&e))?;
        let saved = store.save(&self.owner, fence, record).await.map_err(|e| self.unreadable(&e))?;
        store.free(&self.owner, fence).await.map_err(|e| self.unreadable(&e))?;
        if saved {
            return Ok(());
        }
        let error = failed("somebody else connected at the same moment; look how the connection stands and try again");
        Err(Failed { error, pause: Duration::ZERO })
    }

    async fn state(&self) -> AuthState {
        if self.grant != Grant::AuthorizationCode {
            let expires_at = self.current.lock().as_ref().and_then(|current| current.record.expires_at);
            return AuthState::Connected { expires_at, renewable: true };
        }
        let Ok(store) = self.store() else { return AuthState::NotConnected };
        match self.look(store, None).await {
            Err(failed) => AuthState::Unknown { because: failed.error.message },
            Ok(Look::Nothing) => AuthState::NotConnected,
            Ok(Look::Good(record) | Look::Old(record)) => match record.reconnect_because {
                Some(because) => AuthState::ReconnectNeeded { because },
                None if record.is_expired() && record.refresh_token.is_none() => AuthState::ReconnectNeeded {
                    because: "its token has expired and the system gave none to renew it".to_owned(),
                },
                None => {
                    AuthState::Connected { expires_at: record.expires_at, renewable: record.refresh_token.is_some() }
                }
            },
        }
    }

    fn store(&self) -> Result<&dyn TokenStore, SendError> {
        let none =
            || SendError::new(ErrorCode::Misconfigured, "this host keeps no tokens: CONFAB_TOKEN_KEYS is not set");
        self.tokens.as_deref().ok_or_else(none)
    }
}

impl AuthState {
    /// Its name in the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connected { .. } => "connected",
            Self::NotConnected => "not-connected",
            Self::ReconnectNeeded { .. } => "reconnect-needed",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// When the access token expires.
    #[must_use]
    pub fn expires_at(&self) -> Option<std::time::SystemTime> {
        match self {
            Self::Connected { expires_at, .. } => expires_at.map(|at| UNIX_EPOCH + Duration::from_millis(at)),
            _ => None,
        }
    }
}

//! Connecting by a person: an admin asks for a link, somebody of the tenant opens it and says yes, the system sends the
//! browser back here with a code, and the code becomes tokens.
//!
//! The link has a `state`: 32 random bytes. What it stands for (tenant, connection, endpoint, the verifier) is kept in
//! the store, encrypted, under the digest of the state, for ten minutes; whichever host the browser comes back to finds
//! it, and the first one takes it away. So a state is good once, for one connection, and nobody makes one up.

use super::Vault;
use crate::engine::Engine;
use crate::error::ConnectionError;
use crate::ids::{ConnectionId, TenantId};
use crate::registry::Connection;
use crate::turn::now_millis;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use confab_egress::{AuthState, AuthorizationCode, Disconnected, Secret, SendError};
use confab_store::StoreError;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// Where the browser comes back to, below the public URL.
pub const CALLBACK: &str = "/oauth/callback";

/// How long a link is good: to log in, find the second factor, and read what is asked for.
const LIFE: Duration = Duration::from_secs(600);

/// Space of the links that are open.
const SPACE: &str = "oauth/open-links";

/// Links that were never used and are swept out with a new one.
const SWEEP: usize = 100;

/// Longest code, state and issuer that is looked at. Microsoft's codes have 1,500 characters.
const LONGEST: usize = 8 * 1024;

/// A link for a person.
#[derive(Clone, Debug)]
pub struct ConnectLink {
    /// The endpoint that it connects.
    pub endpoint: String,
    /// The page to open.
    pub url: String,
    /// Until when, in milliseconds since 1970.
    pub expires_at: u64,
}

/// What the browser brought back.
#[derive(Clone, Default)]
pub struct Callback {
    /// `state`
    pub state: String,
    /// `code`
    pub code: Option<String>,
    /// `error`
    pub error: Option<String>,
    /// `iss`
    pub issuer: Option<String>,
}

/// What a link stands for.
#[derive(Serialize, Deserialize)]
struct Open {
    tenant: TenantId,
    connection: ConnectionId,
    endpoint: String,
    verifier: String,
    redirect_uri: String,
}

/// Why nothing was connected or disconnected.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The connection.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Nobody connects it: it has its credentials from the operator.
    #[error(
        "connection `{0}` has no endpoint that a person connects (`auth: {{kind: oauth2, grant: authorization-code}}`)"
    )]
    NotByPerson(String),
    /// Which endpoint?
    #[error("connection `{connection}` has several endpoints that a person connects; name one of: {known}")]
    Which {
        /// The connection.
        connection: String,
        /// The endpoints.
        known: String,
    },
    /// The operator has to say where browsers find this server.
    #[error(
        "this server does not know its own address: the operator sets --public-url (CONFAB_PUBLIC_URL), for example https://bot.example.com"
    )]
    NoPublicUrl,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system, or what was configured of it.
    #[error("{0}")]
    Failed(SendError),
    /// This machine.
    #[error("{0}")]
    Internal(String),
}

/// Why a person who came back is not connected.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// No such link: made up, used already, or too old.
    #[error("this link is not known: it was used already, or is older than ten minutes; ask for a new one")]
    Unknown,
    /// The person, or the system, said no.
    #[error("access was not granted; if that was not meant, ask for a new link and say yes")]
    Denied,
    /// The system has a fault of its own.
    #[error("the system could not grant access; ask for a new link in a while")]
    Provider,
    /// Connecting failed.
    #[error("the connection could not be made")]
    Failed(#[source] ConnectError),
}

impl Engine {
    /// A link that connects an endpoint of a connection; without a name, the only one.
    ///
    /// # Errors
    /// [`ConnectError`]
    pub async fn connect_link(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
        endpoint: Option<&str>,
    ) -> Result<ConnectLink, ConnectError> {
        let ready = self.ready_connection(tenant, connection)?;
        let endpoint = chosen(&ready, endpoint)?;
        let (vault, public) = self.vault_and_address()?;
        let redirect_uri = format!("{public}{CALLBACK}");
        let expires_at = now_millis().saturating_add(u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX));
        let mut bytes = [0; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| ConnectError::Internal("this machine gives no random numbers".to_owned()))?;
        let state = format!("{expires_at:x}.{}", URL_SAFE_NO_PAD.encode(bytes));
        let authorization =
            ready.egress.authorization(&endpoint, &redirect_uri, &state).map_err(ConnectError::Failed)?;
        let open = Open {
            tenant: tenant.clone(),
            connection: connection.clone(),
            endpoint: endpoint.clone(),
            verifier: authorization.verifier.expose().to_owned(),
            redirect_uri,
        };
        let key = key(&state, expires_at);
        let text = serde_json::to_vec(&open).map_err(|e| ConnectError::Internal(e.to_string()))?;
        let sealed = vault.keys.seal(&["link", &key], &text).map_err(|e| ConnectError::Internal(e.to_string()))?;
        let store = &self.inner.store;
        // Keys begin with the time, so the first ones are the oldest.
        for (old, _) in store.kv_scan(SPACE, "", None, SWEEP).await? {
            if old >= key_of_time(now_millis()) {
                break;
            }
            store.kv_delete(SPACE, &old).await?;
        }
        store.kv_set(SPACE, &key, Bytes::from(sealed)).await?;
        Ok(ConnectLink { endpoint, url: authorization.url.to_string(), expires_at })
    }

    /// What follows when the browser is back. Gives tenant and connection.
    ///
    /// # Errors
    /// [`CallbackError`]
    pub async fn finish_connect(&self, callback: Callback) -> Result<(TenantId, ConnectionId), CallbackError> {
        let open = self.take_link(&callback.state).await?;
        let (tenant, connection) = (open.tenant.clone(), open.connection.clone());
        let finished = self.finish(open, callback).await;
        match &finished {
            Ok(()) => tracing::info!(%tenant, %connection, "a connection was connected"),
            Err(CallbackError::Failed(reason)) => {
                tracing::warn!(%tenant, %connection, %reason, "a connection could not be connected");
            }
            Err(reason) => tracing::info!(%tenant, %connection, %reason, "a connection was not connected"),
        }
        finished.map(|()| (tenant, connection))
    }

    async fn finish(&self, open: Open, callback: Callback) -> Result<(), CallbackError> {
        if let Some(error) = callback.error {
            return Err(match error.as_str() {
                "access_denied" | "consent_required" | "login_required" => CallbackError::Denied,
                _ => CallbackError::Provider,
            });
        }
        let code =
            callback.code.filter(|code| !code.is_empty() && code.len() <= LONGEST).ok_or(CallbackError::Provider)?;
        let ready =
            self.ready_connection(&open.tenant, &open.connection).map_err(|e| CallbackError::Failed(e.into()))?;
        let answer = AuthorizationCode {
            code: Secret::new(code),
            verifier: Secret::new(open.verifier),
            redirect_uri: open.redirect_uri,
            issuer: callback.issuer,
        };
        let finished = ready.egress.finish_authorization(&open.endpoint, answer).await;
        finished.map_err(|e| CallbackError::Failed(ConnectError::Failed(e)))?;
        if let Some(candidate) = &ready.candidate {
            candidate.serves.egress.forget_tokens();
        }
        // It may be another account now.
        self.inner.cache.invalidate(open.tenant.as_str(), open.connection.as_str(), &[]).await;
        Ok(())
    }

    /// The link behind a state, which is then used up.
    async fn take_link(&self, state: &str) -> Result<Open, CallbackError> {
        let failed = |e: ConnectError| CallbackError::Failed(e);
        let (vault, _) = self.vault_and_address().map_err(failed)?;
        let time = state
            .split_once('.')
            .filter(|_| state.len() <= LONGEST)
            .and_then(|(time, _)| u64::from_str_radix(time, 16).ok());
        let expires_at = time.filter(|at| *at > now_millis()).ok_or(CallbackError::Unknown)?;
        let key = key(state, expires_at);
        let store = &self.inner.store;
        let found = store.kv_get(SPACE, &key).await.map_err(|e| failed(e.into()))?.ok_or(CallbackError::Unknown)?;
        if !store.kv_delete(SPACE, &key).await.map_err(|e| failed(e.into()))? {
            return Err(CallbackError::Unknown);
        }
        let text = vault.keys.open(&["link", &key], &found).map_err(|_| CallbackError::Unknown)?;
        serde_json::from_slice(&text).map_err(|_| CallbackError::Unknown)
    }

    /// Deletes a connection's tokens; without a name, those of all its endpoints.
    ///
    /// # Errors
    /// [`ConnectError`]
    pub async fn disconnect(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
        endpoint: Option<&str>,
    ) -> Result<Vec<(String, Disconnected)>, ConnectError> {
        let ready = self.ready_connection(tenant, connection)?;
        let endpoints = match endpoint {
            Some(_) => vec![chosen(&ready, endpoint)?],
            None => ready.egress.connectable().map(str::to_owned).collect(),
        };
        if endpoints.is_empty() {
            return Err(ConnectError::NotByPerson(connection.to_string()));
        }
        let mut done = Vec::new();
        for endpoint in endpoints {
            let disconnected = ready.egress.disconnect(&endpoint).await.map_err(ConnectError::Failed)?;
            done.push((endpoint, disconnected));
        }
        if let Some(candidate) = &ready.candidate {
            candidate.serves.egress.forget_tokens();
        }
        self.inner.cache.invalidate(tenant.as_str(), connection.as_str(), &[]).await;
        tracing::info!(%tenant, %connection, "a connection was disconnected");
        Ok(done)
    }

    /// A connection that is removed takes its tokens along. What fails is said in the log.
    pub(crate) async fn drop_tokens(&self, connection: &Arc<Connection>) {
        let endpoints: Vec<String> = connection.egress.connectable().map(str::to_owned).collect();
        for endpoint in endpoints {
            if let Err(error) = connection.egress.disconnect(&endpoint).await {
                let (tenant, connection) = (&connection.tenant, &connection.id);
                tracing::warn!(%tenant, %connection, endpoint, %error, "tokens of a removed connection are still stored, encrypted");
            }
        }
        self.inner.cache.invalidate(connection.tenant.as_str(), connection.id.as_str(), &[]).await;
    }

    fn vault_and_address(&self) -> Result<(&Vault, &str), ConnectError> {
        // Without keys no such connection becomes ready, and its reason says so.
        let vault = self
            .inner
            .vault
            .as_ref()
            .ok_or_else(|| ConnectError::Internal("CONFAB_TOKEN_KEYS is not set".to_owned()))?;
        let public = self.inner.public_url.as_deref().ok_or(ConnectError::NoPublicUrl)?;
        Ok((vault, public.trim_end_matches('/')))
    }
}

impl Connection {
    /// How its endpoints with OAuth2 stand.
    pub async fn auth_states(&self) -> Vec<(String, AuthState)> {
        self.egress.auth_states().await
    }
}

fn chosen(connection: &Connection, endpoint: Option<&str>) -> Result<String, ConnectError> {
    let known: Vec<&str> = connection.egress.connectable().collect();
    match (endpoint, known.as_slice()) {
        (_, []) => Err(ConnectError::NotByPerson(connection.id.to_string())),
        (Some(named), known) if known.contains(&named) => Ok(named.to_owned()),
        (None, [only]) => Ok((*only).to_owned()),
        (Some(_), _) | (None, _) => {
            Err(ConnectError::Which { connection: connection.id.to_string(), known: known.join(", ") })
        }
    }
}

fn key_of_time(at: u64) -> String {
    format!("{at:016}")
}

fn key(state: &str, expires_at: u64) -> String {
    let digest: String = Sha256::digest(state).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{digest}", key_of_time(expires_at))
}

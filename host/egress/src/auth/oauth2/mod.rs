//! OAuth2: access tokens that expire, and how they are renewed without anybody noticing.
//!
//! | file | what it holds |
//! |---|---|
//! | `config` | what a tenant writes |
//! | `ready` | the checks that it passes when a connection is set up |
//! | `request`, `assertion` | a token request and its answer; what we sign for it |
//! | `authorize` | connecting by a person: the link, the code, disconnecting |
//! | `record`, `store` | what is known of tokens; where that outlives the process |
//! | `renewal` | one renewal at a time, over all hosts |
//!
//! 1. A token in memory that holds is used. Nothing is asked, no lock is waited for.
//! 2. One that expires soon is still used, while one task renews it (single flight within the process).
//! 3. A renewal runs in a task of its own. A caller whose time is over leaves; the renewal does not: a server that
//!    rotates refresh tokens has taken the old one back when its answer is on the way.
//! 4. Among hosts one has the lease. The others look into the store until the new tokens are there (`renewal`).
//! 5. Every `TOKEN_LOOK` the store is looked into once more, so that a host hears of tokens that another one renewed,
//!    and of a connection that was disconnected.
//! 6. A 401 renews once. When the new token meets a 401 as well, renewing does not help, and is left alone for
//!    `TOKEN_FUTILE`: systems say 401 for missing rights too.

pub(crate) mod authorize;
pub(crate) mod config;
pub(crate) mod ready;
pub(crate) mod store;

mod assertion;
mod record;
mod renewal;
mod request;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderName;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use url::Url;

use self::assertion::Assertion;
use self::config::Grant;
use self::record::{TokenRecord, now};
use self::request::{Client, Place, failed};
use self::store::{TokenOwner, TokenStore};
use crate::auth::sensitive;
use crate::auth::session::Session;
use crate::egress::Shared;
use crate::error::SendError;
use crate::limits::{TOKEN_FUTILE, TOKEN_LOOK};
use crate::redact::Redactor;

/// An endpoint's tokens: how to get them, and the current one.
pub(crate) struct OAuth2 {
    header: HeaderName,
    core: Arc<Core>,
}

/// What a renewal needs, wherever it runs.
struct Core {
    owner: TokenOwner,
    /// See [`TokenRecord::made_with`].
    made_with: String,
    grant: Grant,
    /// Names of secrets, for messages.
    secret_names: String,
    client: Client,
    assertion: Option<Assertion>,
    token_url: Place,
    authorize_url: Option<Url>,
    revocation_url: Option<Place>,
    scopes: String,
    audience: Option<String>,
    extra: Vec<(String, String)>,
    issuer: Option<String>,
    prefix: String,
    expires_in_default: Option<Duration>,
    /// How early this host renews, in thousandths: see [`TokenRecord::due_at`].
    spread: u64,
    shared: Arc<Shared>,
    tokens: Option<Arc<dyn TokenStore>>,
    global: OnceCell<reqwest::Client>,
    granted: OnceCell<reqwest::Client>,
    /// Where the authorization server is the endpoint's own host.
    own: Option<OwnTls>,
    current: Mutex<Option<Current>>,
    /// A renewal after a 401 did not help; until then none is made for that reason.
    futile_until: Mutex<Option<Instant>>,
    flight: Arc<tokio::sync::Mutex<Flight>>,
}

/// An endpoint's own TLS, used for tokens as well where they come from the same host.
struct OwnTls {
    host: String,
    tls: rustls::ClientConfig,
    client: OnceCell<reqwest::Client>,
}

/// The token in use.
struct Current {
    session: Arc<Session>,
    record: TokenRecord,
    due_at: Option<u64>,
    looked_at: Instant,
}

/// What is known of the last renewal.
#[derive(Default)]
struct Flight {
    failed: Option<(Instant, SendError)>,
}

/// What to do with a token that could be used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Use it.
    Keep,
    /// Use it, and see to a newer one.
    Renew,
}

impl OAuth2 {
    /// The header that carries the token.
    pub(crate) const fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Does an answer with this status mean that the token is over?
    pub(crate) const fn is_over(status: u16) -> bool {
        status == 401
    }

    /// A new token met the same refusal as the one before.
    pub(crate) fn did_not_help(&self) {
        *self.core.futile_until.lock() = Some(Instant::now() + TOKEN_FUTILE);
    }

    /// The current token, or a new one. `refused` is the one that the system has just refused, if any; `None` when a
    /// new one would not help.
    pub(crate) async fn session(
        &self,
        refused: Option<&Session>,
        redactor: &Arc<Redactor>,
    ) -> Result<Option<Arc<Session>>, SendError> {
        let core = &self.core;
        let refused = refused.map(Session::number);
        if refused.is_some() && core.futile_until.lock().is_some_and(|until| until > Instant::now()) {
            return Ok(None);
        }
        let usable = match core.usable(refused) {
            Some((session, Wish::Keep)) => return Ok(Some(session)),
            Some((session, Wish::Renew)) => Some(session),
            None => None,
        };
        let flight = match &usable {
            Some(session) => match Arc::clone(&core.flight).try_lock_owned() {
                Ok(flight) => flight,
                // Somebody sees to it.
                Err(_) => return Ok(Some(Arc::clone(session))),
            },
            None => Arc::clone(&core.flight).lock_owned().await,
        };
        if let Some((session, Wish::Keep)) = core.usable(refused) {
            return Ok(Some(session));
        }
        if let Some((until, error)) = flight.failed.as_ref().filter(|(until, _)| *until > Instant::now()) {
            let seconds = until.saturating_duration_since(Instant::now()).as_secs().saturating_add(1);
            return usable.map_or_else(|| Err(error.clone().after(seconds)), |session| Ok(Some(session)));
        }
        let task = tokio::spawn(renewal::run(Arc::clone(core), Arc::clone(redactor), refused, flight));
        match usable {
            Some(session) => Ok(Some(session)),
            None => task.await.unwrap_or_else(|_| Err(failed("the token's renewal broke off; see the log"))).map(Some),
        }
    }
}

impl Core {
    /// The token in memory, if it holds and is not the refused one.
    fn usable(&self, refused: Option<u64>) -> Option<(Arc<Session>, Wish)> {
        let current = self.current.lock();
        let current = current.as_ref().filter(|current| refused != Some(current.record.number))?;
        if current.record.is_expired() {
            return None;
        }
        let due = current.due_at.is_some_and(|at| at <= now());
        let look = self.tokens.is_some() && current.looked_at.elapsed() >= TOKEN_LOOK;
        Some((Arc::clone(&current.session), if due || look { Wish::Renew } else { Wish::Keep }))
    }

    /// Use these tokens from now on.
    fn adopt(&self, record: TokenRecord, redactor: &Redactor) -> Result<Arc<Session>, SendError> {
        let mut current = self.current.lock();
        if let Some(known) = current.as_mut().filter(|known| known.record.number == record.number) {
            // The same token; perhaps another refresh token beside it.
            known.record = record;
            known.looked_at = Instant::now();
            return Ok(Arc::clone(&known.session));
        }
        redactor.add_session(record.secrets());
        let value = sensitive(&format!("{}{}", self.prefix, record.access_token))
            .ok_or_else(|| failed("the token has characters that can't stand in a header"))?;
        let session = Arc::new(Session::of(value, record.number));
        *current = Some(Current {
            session: Arc::clone(&session),
            due_at: record.due_at(self.spread),
            record,
            looked_at: Instant::now(),
        });
        Ok(session)
    }

    fn forget(&self) {
        *self.current.lock() = None;
    }

    /// What a person has to type.
    fn command(&self) -> String {
        format!("confab connection connect --tenant {} {}", self.owner.tenant, self.owner.connection)
    }

    fn not_connected(&self) -> SendError {
        let TokenOwner { connection, endpoint, .. } = &self.owner;
        failed(format!(
            "the connection {connection} (endpoint {endpoint}) is not connected; connect it: {}",
            self.command()
        ))
    }

    fn reconnect(&self, because: &str) -> SendError {
        let TokenOwner { connection, endpoint, .. } = &self.owner;
        failed(format!(
            "the connection {connection} (endpoint {endpoint}) has to be connected again, because {because}; reconnect it: {}",
            self.command()
        ))
    }
}

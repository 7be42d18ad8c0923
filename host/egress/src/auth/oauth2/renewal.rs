//! One renewal at a time, over all hosts.
//!
//! 1. Look into the store. Tokens that hold, and are not the refused ones, are used: another host was faster.
//! 2. Take the lease. Who does not get it looks again in a moment.
//! 3. Look again, since the last holder may have saved between 1 and 2.
//! 4. Note that a renewal has begun, ask the server, save what it gave. Each write has the lease's fence: a host that
//!    stood still for too long writes nothing over what others did.
//! 5. A refresh token that the server no longer takes (`invalid_grant`) means one of two things: another host has used
//!    it, then its result is in the store; or the host that used it died before it could save, and a person has to
//!    connect again. So the store is read once more before that is said. Nothing else ever gives tokens up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use super::config::Grant;
use super::record::{TokenRecord, now, random};
use super::request::{Denied, failed};
use super::store::{TokenOwner, TokenStore, TokenStoreError};
use super::{Core, Flight};
use crate::auth::session::Session;
use crate::error::{ErrorCode, SendError};
use crate::limits::{TOKEN_HOLD, TOKEN_POLL, TOKEN_SAVE_PATIENCE, TOKEN_WAIT};
use crate::redact::Redactor;

/// Why a renewal failed, and how long it is not tried again.
pub(super) struct Failed {
    pub(super) error: SendError,
    pub(super) pause: Duration,
}

/// What a look into the store showed.
pub(super) enum Look {
    /// Tokens that can be used.
    Good(TokenRecord),
    /// Tokens that have to be renewed.
    Old(TokenRecord),
    /// None, or those of another configuration.
    Nothing,
}

/// Renew, and let everybody know. The flight is over when this is.
pub(super) async fn run(
    core: Arc<Core>,
    redactor: Arc<Redactor>,
    refused: Option<u64>,
    mut flight: OwnedMutexGuard<Flight>,
) -> Result<Arc<Session>, SendError> {
    let outcome = core.renew(refused, &redactor).await;
    let outcome = outcome.and_then(|record| {
        let adopted = core.adopt(record, &redactor);
        adopted.map_err(|error| Failed { error, pause: core.shared.limits.login_refused_pause })
    });
    match outcome {
        Ok(session) => {
            flight.failed = None;
            Ok(session)
        }
        Err(Failed { mut error, pause }) => {
            error.message = redactor.text(error.message);
            flight.failed = Some((Instant::now() + pause, error.clone()));
            Err(error.after(pause.as_secs()))
        }
    }
}

impl Core {
    async fn renew(&self, refused: Option<u64>, redactor: &Redactor) -> Result<TokenRecord, Failed> {
        let Some(store) = &self.tokens else {
            return self.by_own_right().await;
        };
        match self.renew_for_all(store.as_ref(), refused, redactor).await {
            // Who can get a token without the store does.
            Err(failed) if failed.error.code == ErrorCode::Unavailable && self.grant != Grant::AuthorizationCode => {
                self.by_own_right().await
            }
            renewed => renewed,
        }
    }

    async fn renew_for_all(
        &self,
        store: &dyn TokenStore,
        refused: Option<u64>,
        redactor: &Redactor,
    ) -> Result<TokenRecord, Failed> {
        let give_up = Instant::now() + TOKEN_WAIT;
        loop {
            if let Some(done) = self.settled(self.look(store, refused).await?)? {
                return Ok(done);
            }
            if let Some(fence) = store.lease(&self.owner, TOKEN_HOLD).await.map_err(|e| self.unreadable(&e))? {
                let renewed = self.with_lease(store, fence, refused, redactor).await;
                if let Err(error) = store.free(&self.owner, fence).await {
                    tracing::debug!(%error, "a token's lease stays taken until its time is over");
                }
                match renewed {
                    Ok(Some(record)) => return Ok(record),
                    // The lease was taken over: look what the other one did.
                    Ok(None) => {}
                    Err(failed) => return Err(failed),
                }
            }
            if Instant::now() >= give_up {
                let error = failed("another host renews the token and has not finished; try again in a moment");
                return Err(Failed { error, pause: self.shared.limits.login_failed_pause });
            }
            pause().await;
        }
    }

    /// What can be said without asking the server.
    fn settled(&self, look: Look) -> Result<Option<TokenRecord>, Failed> {
        match look {
            Look::Good(record) => Ok(Some(record)),
            Look::Old(record) => match &record.reconnect_because {
                Some(because) => Err(self.told(self.reconnect(because))),
                None => Ok(None),
            },
            Look::Nothing if self.grant == Grant::AuthorizationCode => {
                self.forget();
                Err(self.told(self.not_connected()))
            }
            Look::Nothing => Ok(None),
        }
    }

    /// An error that only a person can help; what that person does is seen soon.
    fn told(&self, error: SendError) -> Failed {
        Failed { error, pause: self.shared.limits.login_failed_pause }
    }

    /// What the store has.
    pub(super) async fn look(&self, store: &dyn TokenStore, refused: Option<u64>) -> Result<Look, Failed> {
        let stored = store.load(&self.owner).await.map_err(|e| self.unreadable(&e))?;
        let record = stored.and_then(|bytes| TokenRecord::parse(&bytes));
        let Some(record) = record.filter(|record| record.made_with == self.made_with) else {
            return Ok(Look::Nothing);
        };
        let due = record.due_at(self.spread).is_some_and(|at| at <= now());
        let good = record.reconnect_because.is_none() && refused != Some(record.number) && !due;
        Ok(if good { Look::Good(record) } else { Look::Old(record) })
    }

    /// Renew as the one host that may. `None`: it no longer is.
    async fn with_lease(
        &self,
        store: &dyn TokenStore,
        fence: u64,
        refused: Option<u64>,
        redactor: &Redactor,
    ) -> Result<Option<TokenRecord>, Failed> {
        let before = match self.look(store, refused).await? {
            Look::Good(record) => return Ok(Some(record)),
            Look::Old(record) => Some(record),
            Look::Nothing => None,
        };
        match (self.grant, before) {
            (Grant::AuthorizationCode, Some(before)) if before.reconnect_because.is_none() => {
                self.refresh(store, fence, before, redactor).await
            }
            // Something else is in the store now; the caller looks again.
            (Grant::AuthorizationCode, _) => Ok(None),
            (Grant::ClientCredentials | Grant::JwtBearer, _) => {
                let record = self.by_own_right().await?;
                redactor.add_session(record.secrets());
                // Others could ask for one of their own; that this one is not shared harms nobody.
                if let Err(error) = store.save(&self.owner, fence, Some(record.to_bytes())).await {
                    tracing::debug!(%error, "a token is not shared with other hosts");
                }
                Ok(Some(record))
            }
        }
    }

    /// A token by what we have ourselves: the client's secret, or a key.
    async fn by_own_right(&self) -> Result<TokenRecord, Failed> {
        let assertion = self.assertion.as_ref().and_then(super::Assertion::sign);
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        match (self.grant, &assertion) {
            (Grant::JwtBearer, Some(assertion)) => {
                parameters.push(("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"));
                parameters.push(("assertion", assertion));
            }
            (Grant::ClientCredentials, _) => {
                parameters.push(("grant_type", "client_credentials"));
                if !self.scopes.is_empty() {
                    parameters.push(("scope", &self.scopes));
                }
                parameters.extend(self.audience.as_deref().map(|audience| ("audience", audience)));
            }
            // An authorization code comes from a person, and a key that was read signs.
            (Grant::AuthorizationCode, _) => return Err(self.told(self.not_connected())),
            (Grant::JwtBearer, None) => {
                let error = SendError::new(ErrorCode::Misconfigured, "the private key does not sign");
                return Err(Failed { error, pause: self.shared.limits.login_refused_pause });
            }
        }
        parameters.extend(self.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        match self.ask(&parameters).await {
            Ok(granted) => Ok(TokenRecord::new(&self.made_with, granted, None)),
            Err(Denied::Grant) => Err(self.refused(&format!("{} refused the grant", self.token_url.host()))),
            Err(denied) => Err(self.denied(denied)),
        }
    }

    /// New tokens for the refresh token, saved under the lease.
    async fn refresh(
        &self,
        store: &dyn TokenStore,
        fence: u64,
        mut before: TokenRecord,
        redactor: &Redactor,
    ) -> Result<Option<TokenRecord>, Failed> {
        let save = async |record: &TokenRecord| {
            let saved = store.save(&self.owner, fence, Some(record.to_bytes())).await;
            saved.map_err(|e| self.unreadable(&e))
        };
        let Some(refresh_token) = before.refresh_token.clone() else {
            // Without a refresh token a 401 may mean anything; only the end of its time is certain.
            if !before.is_expired() {
                let error = failed(format!(
                    "{} refuses the token, and gave nothing to renew it with; if that stays so, reconnect it: {}",
                    self.owner.connection,
                    self.command()
                ));
                return Err(Failed { error, pause: self.shared.limits.login_refused_pause });
            }
            return self
                .give_up(store, fence, before, "its token has expired and the system gave none to renew it")
                .await;
        };
        redactor.add_session(before.secrets());
        let interrupted = before.renewal_begun_at.replace(now()).is_some();
        if !save(&before).await? {
            return Ok(None);
        }
        let granted = match self.ask(&[("grant_type", "refresh_token"), ("refresh_token", &refresh_token)]).await {
            Ok(granted) => granted,
            Err(Denied::Grant) => {
                // Has somebody else saved meanwhile, whose tokens are newer than the one that was refused?
                let stored = store.load(&self.owner).await.map_err(|e| self.unreadable(&e))?;
                let same = stored.as_deref().and_then(TokenRecord::parse).is_some_and(|record| record == before);
                if !same {
                    return Ok(None);
                }
                let because = if interrupted {
                    "a renewal of its token was interrupted before the new one could be saved, and the old one is no longer taken"
                } else {
                    "the system no longer takes the token that renews it"
                };
                return self.give_up(store, fence, before, because).await;
            }
            Err(denied) => return Err(self.denied(denied)),
        };
        let record = TokenRecord::new(&self.made_with, granted, Some(&before));
        // Before anything is done with it.
        redactor.add_session(record.secrets());
        self.keep(store, fence, &before, record, redactor).await
    }

    /// Save what can't be had a second time, by all means.
    async fn keep(
        &self,
        store: &dyn TokenStore,
        mut fence: u64,
        before: &TokenRecord,
        record: TokenRecord,
        redactor: &Redactor,
    ) -> Result<Option<TokenRecord>, Failed> {
        let give_up = Instant::now() + TOKEN_SAVE_PATIENCE;
        // Callers need not wait until it is saved.
        let adopted = self.adopt(record.clone(), redactor);
        drop(adopted);
        loop {
            match store.save(&self.owner, fence, Some(record.to_bytes())).await {
                Ok(true) => return Ok(Some(record)),
                // We were too slow, and another host has the lease. If it has not got further than we, ours are newer.
                Ok(false) => match self.retake(store, before).await {
                    Ok(Some(newer)) => fence = newer,
                    Ok(None) => return Ok(None),
                    Err(error) => tracing::warn!(%error, "a renewed token is not saved yet"),
                },
                Err(error) => tracing::warn!(%error, "a renewed token is not saved yet"),
            }
            if Instant::now() >= give_up {
                let TokenOwner { tenant, connection, endpoint } = &self.owner;
                tracing::error!(
                    tenant,
                    connection,
                    endpoint,
                    "a renewed token could not be saved; it serves until this host ends, then the connection may have to be connected again"
                );
                return Ok(Some(record));
            }
            pause().await;
        }
    }

    /// The lease again, if what is stored is still what we began with; `None` if somebody got further.
    async fn retake(&self, store: &dyn TokenStore, before: &TokenRecord) -> Result<Option<u64>, TokenStoreError> {
        let fence = store.seize(&self.owner, TOKEN_HOLD).await?;
        let stored = store.load(&self.owner).await?.as_deref().and_then(TokenRecord::parse);
        if stored.is_some_and(|stored| stored.refresh_token == before.refresh_token) {
            return Ok(Some(fence));
        }
        store.free(&self.owner, fence).await?;
        Ok(None)
    }

    /// Only a person can help now. Said in the log once: by the host that finds it.
    async fn give_up(
        &self,
        store: &dyn TokenStore,
        fence: u64,
        before: TokenRecord,
        because: &str,
    ) -> Result<Option<TokenRecord>, Failed> {
        let record = TokenRecord { reconnect_because: Some(because.to_owned()), renewal_begun_at: None, ..before };
        let saved = store.save(&self.owner, fence, Some(record.to_bytes())).await;
        if !saved.map_err(|e| self.unreadable(&e))? {
            return Ok(None);
        }
        self.forget();
        let TokenOwner { tenant, connection, endpoint } = &self.owner;
        let help = self.command();
        tracing::error!(tenant, connection, endpoint, because, help, "a connection has to be connected again");
        Err(self.told(self.reconnect(because)))
    }

    pub(super) fn denied(&self, denied: Denied) -> Failed {
        let limits = &self.shared.limits;
        match denied {
            Denied::Later(error) => {
                let asked = error.retry_after.map(|seconds| Duration::from_secs(seconds.into()));
                let pause = asked.unwrap_or(limits.login_failed_pause).min(limits.login_refused_pause);
                let message = format!("no token: {}", error.message);
                Failed { error: SendError { message, ..error }, pause }
            }
            Denied::Refused(what) => self.refused(&what),
            Denied::Grant => self.refused(&format!("{} refused the grant", self.token_url.host())),
        }
    }

    fn refused(&self, what: &str) -> Failed {
        let error = failed(format!("{what}; check {}", self.secret_names));
        Failed { error, pause: self.shared.limits.login_refused_pause }
    }

    pub(super) fn unreadable(&self, error: &TokenStoreError) -> Failed {
        let error =
            SendError::new(ErrorCode::Unavailable, format!("the connection's tokens can't be read now: {error}"));
        Failed { error, pause: self.shared.limits.login_failed_pause }
    }
}

/// Until the next look, not in step with other hosts.
async fn pause() {
    let range = u64::try_from(TOKEN_POLL.as_millis()).unwrap_or(u64::MAX).max(1);
    tokio::time::sleep(TOKEN_POLL + Duration::from_millis(random() % range)).await;
}

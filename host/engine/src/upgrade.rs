//! Upgrading without a dropped turn.
//!
//! 1. Prepare everything in scope with the new version, beside what is in use. If anything refuses, nothing changes.
//! 2. Write the rollout to the store, in one step. Other hosts see it and do the same.
//! 3. Switch the registry, in one step. Turns that are being served keep what they began with.
//!
//! Going back is the same three steps. A candidate that keeps failing where the stable version does not goes by itself.

use crate::config::documents::{self, BotDoc, ConnectionDoc};
use crate::config::{Finding, Severity};
use crate::engine::Engine;
use crate::failures::Whose;
use crate::registry::{Registry, Slot};
use crate::rollout::{CandidateDoc, Place, ROLLOUT, RolledBack, RolloutDoc, Scope, Verdict};
use crate::turn::now_millis;
use crate::versions::{PluginRef, Versions};
use confab_sandbox::Failure;
use confab_store::StoreError;
use semver::Version;

/// Why a rollout was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// It can't be done, and what can.
    #[error("{0}")]
    Invalid(String),
    /// Something in scope refuses the version. Nothing was changed.
    #[error("{} finding(s)", .0.len())]
    Findings(Vec<Finding>),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host is at fault. Nothing was changed.
    #[error("{0}")]
    Internal(String),
}

/// A rollout after its change.
#[derive(Clone, Debug)]
pub struct RolloutReport {
    /// Its id.
    pub id: String,
    /// What it says now.
    pub doc: RolloutDoc,
    /// Bots that it holds for.
    pub bots: usize,
    /// Connections that it holds for.
    pub connections: usize,
}

fn invalid<T>(message: String) -> Result<T, RolloutError> {
    Err(RolloutError::Invalid(message))
}

impl Engine {
    /// Gives a share of the conversations to another version; also widens or narrows the share.
    ///
    /// # Errors
    /// [`RolloutError`]; then nothing was changed.
    pub async fn upgrade(
        &self,
        plugin: &str,
        version: &str,
        share: u8,
        scope: &Scope,
    ) -> Result<RolloutReport, RolloutError> {
        let version = Version::parse(version)
            .map_err(|e| RolloutError::Invalid(format!("`{version}` is no version ({e}): write 1.2.3")))?;
        if !(1..=100).contains(&share) {
            return invalid(format!("share {share}: give 1 to 100, of a hundred conversations"));
        }
        let _one = self.inner.changing.lock().await;
        self.check_scope(plugin, scope)?;
        let versions = self.versions().await?;
        let wanted = PluginRef { name: plugin.to_owned(), version: Some(version.clone()) };
        self.find(&versions, &wanted)?;
        let mut doc = match versions.rollouts.get(&scope.id(plugin)) {
            Some(doc) => doc.clone(),
            None => RolloutDoc::of(self.stable(&versions, plugin, scope)?),
        };
        if doc.stable == version {
            return invalid(format!("{plugin}@{version} is the stable version for {scope} already"));
        }
        match &mut doc.candidate {
            Some(candidate) if candidate.version == version => candidate.share = share,
            other => *other = Some(CandidateDoc { version: version.clone(), share, since: now_millis() }),
        }
        doc.rolled_back = doc.rolled_back.filter(|back| back.version != version);
        self.change(&versions, &scope.id(plugin), doc, Check::All).await
    }

    /// Makes the candidate the stable version.
    ///
    /// # Errors
    /// [`RolloutError`]; then nothing was changed.
    pub async fn promote(&self, plugin: &str, scope: &Scope) -> Result<RolloutReport, RolloutError> {
        let _one = self.inner.changing.lock().await;
        let versions = self.versions().await?;
        let doc = own(&versions, plugin, scope)?;
        let Some(candidate) = doc.candidate else {
            return invalid(format!(
                "no version of {plugin} is tried for {scope}: {} is stable; begin with `confab plugin upgrade`",
                doc.stable
            ));
        };
        let doc = RolloutDoc { candidate: None, previous: Some(doc.stable), stable: candidate.version, ..doc };
        self.change(&versions, &scope.id(plugin), doc, Check::All).await
    }

    /// Drops the candidate; without one, goes back to the version that was stable before.
    ///
    /// # Errors
    /// [`RolloutError`]; then nothing was changed.
    pub async fn rollback(&self, plugin: &str, scope: &Scope) -> Result<RolloutReport, RolloutError> {
        let _one = self.inner.changing.lock().await;
        let versions = self.versions().await?;
        let mut doc = own(&versions, plugin, scope)?;
        let back = |version| Some(RolledBack { version, reason: "by the operator".into(), at: now_millis() });
        let check = match (doc.candidate.take(), doc.previous.take()) {
            (Some(candidate), previous) => {
                doc.previous = previous;
                doc.rolled_back = back(candidate.version);
                Check::None
            }
            (None, Some(previous)) => {
                doc.rolled_back = back(std::mem::replace(&mut doc.stable, previous));
                Check::All
            }
            (None, None) => {
                return invalid(format!(
                    "there is nothing to go back to: {} is the only version of {plugin} that {scope} had",
                    doc.stable
                ));
            }
        };
        self.change(&versions, &scope.id(plugin), doc, check).await
    }

    /// Ends a rollout whose candidate kept failing. Called for each verdict.
    pub(crate) async fn carry_out(&self, verdict: Verdict) {
        let watch = &verdict.watch;
        let reason = format!("{}: {}", verdict.failure.kind.as_str(), verdict.failure.message);
        match self.drop_candidate(&verdict, &reason).await {
            Ok(true) => {
                metrics::counter!("confab_rollbacks_total", "plugin" => watch.plugin.clone()).increment(1);
                tracing::error!(
                    plugin = watch.plugin, version = %watch.version, rollout = watch.rollout,
                    "a new version kept failing where the stable one did not and was rolled back; last failure: {reason}"
                );
                let message = format!("version {} was rolled back; last failure: {reason}", watch.version);
                let record = Failure { message, ..verdict.failure };
                let whose = Whose {
                    tenant: &verdict.tenant,
                    bot: verdict.bot.as_deref(),
                    connection: verdict.connection.as_deref(),
                    conversation: None,
                    turn: None,
                    request_id: &verdict.request_id,
                };
                self.inner.watch.failures.plugin(&record, &whose);
            }
            Ok(false) => {}
            Err(e) => {
                watch.rearm();
                tracing::error!(plugin = watch.plugin, version = %watch.version, error = %e, "a version that keeps failing can't be rolled back now");
            }
        }
    }

    /// Whether it was this host that did it.
    async fn drop_candidate(&self, verdict: &Verdict, reason: &str) -> Result<bool, RolloutError> {
        let _one = self.inner.changing.lock().await;
        let versions = self.versions().await?;
        let watch = &verdict.watch;
        let Some(mut doc) = versions.rollouts.get(&watch.rollout).cloned() else { return Ok(false) };
        match doc.candidate.take() {
            Some(candidate) if candidate.version == watch.version && candidate.since == watch.since => {}
            // Another host was faster, or the operator.
            _ => return Ok(false),
        }
        let version = watch.version.clone();
        doc.rolled_back = Some(RolledBack { version, reason: reason.to_owned(), at: now_millis() });
        self.change(&versions, &watch.rollout, doc, Check::None).await?;
        Ok(true)
    }

    /// Steps 1 to 3 of the module's essay. The caller holds the lock.
    async fn change(
        &self,
        versions: &Versions,
        id: &str,
        doc: RolloutDoc,
        check: Check,
    ) -> Result<RolloutReport, RolloutError> {
        let plugin = id.split('/').next().unwrap_or(id);
        let mut rollouts = versions.rollouts.clone();
        rollouts.put(id, doc.clone());
        let (registry, findings) = self.assemble(&versions.with(rollouts)).await?;
        if check == Check::All {
            let old = self.inner.registry.load_full();
            let errors: Vec<Finding> = findings
                .into_iter()
                .filter(|found| found.finding.severity == Severity::Error && concerns(&old, plugin, found))
                .map(|found| Finding { file: format!("{}: {}", found.tenant, found.finding.file), ..found.finding })
                .collect();
            if !errors.is_empty() {
                return Err(RolloutError::Findings(errors));
            }
        }
        let (bots, connections) = held(&registry, id, plugin);
        let change = documents::put(ROLLOUT, id.to_owned(), &doc).map_err(|e| RolloutError::Internal(e.to_string()))?;
        self.inner.store.change_documents(vec![change]).await?;
        self.switch(registry);
        tracing::info!(rollout = id, stable = %doc.stable, candidate = ?doc.candidate, bots, connections, "rollout changed");
        Ok(RolloutReport { id: id.to_owned(), doc, bots, connections })
    }

    fn find(&self, versions: &Versions, plugin: &PluginRef) -> Result<Version, RolloutError> {
        let library = self.library();
        let shelf = tokio::task::block_in_place(|| versions.shelf(library, &plugin.name));
        match shelf.choose(plugin, None) {
            Ok(Some((entry, _))) => Ok(entry.version),
            Ok(None) => invalid(library.unknown(&plugin.name, versions.names()).to_string()),
            Err(e) => invalid(e.to_string()),
        }
    }

    /// What is stable where no rollout of its own says it.
    fn stable(&self, versions: &Versions, plugin: &str, scope: &Scope) -> Result<Version, RolloutError> {
        match versions.rollouts.holding(plugin, scope.into()) {
            Some((_, doc)) => Ok(doc.stable.clone()),
            None => self.find(versions, &PluginRef { name: plugin.to_owned(), version: None }),
        }
    }

    /// A name that is mistyped must not become a rollout for nobody.
    fn check_scope(&self, plugin: &str, scope: &Scope) -> Result<(), RolloutError> {
        let registry = self.registry();
        let (tenant, what, named) = match scope {
            Scope::All => return Ok(()),
            Scope::Tenant(tenant) => {
                return match registry.tenants.contains_key(tenant) {
                    true => Ok(()),
                    false => invalid(format!("there is no tenant `{tenant}`")),
                };
            }
            Scope::Bot(tenant, bot) => {
                let found = registry.bot(tenant, bot);
                (tenant, format!("bot `{bot}`"), found.map(|slot| ready(slot).map(|bot| bot.uses().plugin.clone())))
            }
            Scope::Connection(tenant, connection) => {
                let found = registry.connection(tenant, connection);
                let named = found.map(|slot| ready(slot).map(|connection| connection.uses().connector.clone()));
                (tenant, format!("connection `{connection}`"), named)
            }
        };
        match named {
            None => invalid(format!("tenant `{tenant}` has no {what}")),
            Some(Some(named)) if named != plugin => {
                let hint = if named.contains('@') { "; a pinned version is changed where it is written" } else { "" };
                invalid(format!("{what} of tenant `{tenant}` uses `{named}`{hint}"))
            }
            Some(_) => Ok(()),
        }
    }
}

/// What has to be ready before a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Everything that the change touches.
    All,
    /// Nothing: what stays is in use already.
    None,
}

/// The rollout of exactly this scope.
fn own(versions: &Versions, plugin: &str, scope: &Scope) -> Result<RolloutDoc, RolloutError> {
    if let Some(doc) = versions.rollouts.get(&scope.id(plugin)) {
        return Ok(doc.clone());
    }
    match versions.rollouts.holding(plugin, scope.into()) {
        Some((id, _)) => invalid(format!("there is no rollout of {plugin} for {scope}; the one that holds is `{id}`")),
        None => invalid(format!("there is no rollout of {plugin}; begin one with `confab plugin upgrade`")),
    }
}

fn ready<T>(slot: &Slot<T>) -> Option<&T> {
    match slot {
        Slot::Ready(ready) => Some(ready),
        Slot::Broken(_) => None,
    }
}

/// A finding about a bot or connection while a registry was made.
pub(crate) struct Found {
    pub(crate) tenant: crate::TenantId,
    pub(crate) about: About,
    pub(crate) finding: Finding,
}

/// What a finding is about.
#[derive(Clone)]
pub(crate) enum About {
    Bot(crate::BotId),
    Connection(crate::ConnectionId),
}

/// Whether a finding is of this plugin's rollout: about something that served until now and has to do with the plugin. What is broken
/// for other reasons keeps nobody from upgrading.
fn concerns(old: &Registry, plugin: &str, found: &Found) -> bool {
    let uses_it = |connection: &ConnectionDoc| connection.connector == plugin;
    match &found.about {
        About::Bot(id) => old.bot(&found.tenant, id).and_then(ready).is_some_and(|bot| {
            bot.uses().plugin == plugin || bot.bindings.values().any(|connection| uses_it(connection.uses()))
        }),
        About::Connection(id) => {
            old.connection(&found.tenant, id).and_then(ready).is_some_and(|connection| uses_it(connection.uses()))
        }
    }
}

/// Bots and connections that a rollout holds for.
fn held(registry: &Registry, id: &str, plugin: &str) -> (usize, usize) {
    let holds = |place: Place<'_>| registry.rollouts.holding(plugin, place).is_some_and(|(holding, _)| holding == id);
    let bot = |doc: &BotDoc| doc.plugin == plugin && holds(Place::Bot(&doc.tenant, &doc.id));
    let connection = |doc: &ConnectionDoc| doc.connector == plugin && holds(Place::Connection(&doc.tenant, &doc.id));
    let tenants = || registry.tenants.values();
    let bots = tenants().flat_map(|tenant| tenant.bots.values()).filter_map(ready);
    let connections = tenants().flat_map(|tenant| tenant.connections.values()).filter_map(ready);
    (bots.filter(|b| bot(b.uses())).count(), connections.filter(|c| connection(c.uses())).count())
}

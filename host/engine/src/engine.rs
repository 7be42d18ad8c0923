//! Everything together: store, sandbox, egress, registry.

use crate::budget::StoreBudget;
use crate::cache::ResultCache;
use crate::config::documents::{
    self, BOT, BotDoc, CONNECTION, ConnectionDoc, FILE, TENANT, TenantDoc, WEBHOOK, WebhookDoc,
};
use crate::config::{Bundle, Finding, Severity, SourceFile};
use crate::ids::{ConnectionId, ConversationId, TenantId};
use crate::install::GateConfig;
use crate::installed::Installed;
use crate::library::Library;
use crate::registry::{Publisher, Registry, Slot, Tenant};
use crate::rollout::{ROLLOUT, Rollouts, Verdict, Watches};
use crate::tokens::{TokenKeys, Vault};
use crate::turn::interrupt::Interruptible;
use crate::turn::merge::Gathering;
use crate::upgrade::{About, Found};
use crate::versions::Versions;
use crate::watch::Watch;
use crate::webhooks::{self, Hook};
use crate::work::Worker;
use arc_swap::ArcSwap;
use bytes::Bytes;
use confab_egress::{Egress, EgressPolicy, SecretSource};
use confab_sandbox::{Sandbox, SandboxConfig};
use confab_store::{DocumentChange, Store, StoreError};
use serde::Serialize;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// What an engine needs to know.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// `embedded:PATH` or `redis://...`
    pub store: String,
    /// Directory with plugin components.
    pub plugins: PathBuf,
    /// Directory for this host's copies of installed plugins.
    pub installed: PathBuf,
    /// What is demanded of plugins that are installed.
    pub gate: GateConfig,
    /// The sandbox: code cache, places, limits.
    pub sandbox: SandboxConfig,
    /// What the operator allows beyond https to global addresses.
    pub egress: EgressPolicy,
    /// Directory with secret files, one folder a tenant.
    pub secrets: Option<PathBuf>,
    /// What tokens are encrypted with; none: connections that a person connects can't be used.
    pub token_keys: Option<TokenKeys>,
    /// Where browsers find this server: `https://bot.example.com`.
    pub public_url: Option<String>,
    /// Whether this process does what waits in the store: a server does, a command that only looks does not.
    pub works: bool,
    /// Whether turns are journalled and their records kept. Only a measurement goes without: an unfinished turn is then lost.
    pub journal: bool,
}

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sandbox.
    #[error("sandbox: {0}")]
    Sandbox(String),
    /// Egress.
    #[error("egress: {0}")]
    Egress(#[from] confab_egress::ConfigError),
}

/// Why a folder was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It has errors. Nothing was changed.
    #[error("{} finding(s)", .0.len())]
    Findings(Vec<Finding>),
    /// The store. Nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host is at fault. Nothing was changed.
    #[error("{0}")]
    Internal(String),
}

/// What applying a folder did.
#[derive(Clone, Debug, Serialize)]
pub struct ApplyReport {
    /// The tenant.
    pub tenant: TenantId,
    /// Its bots in the folder.
    pub bots: Vec<String>,
    /// Its connections in the folder.
    pub connections: Vec<String>,
    /// What was removed.
    pub removed: Vec<String>,
    /// Warnings.
    pub warnings: Vec<Finding>,
    /// Whether it was stored, or only checked.
    pub applied: bool,
}

/// How to apply a folder.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApplyOptions {
    /// Check everything, store nothing.
    pub check_only: bool,
    /// Remove the tenant's bots, connections and webhooks that are not in the folder.
    pub prune: bool,
}

/// Commits that a listener may be behind before it has to look for itself.
const SAID: usize = 1_024;

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    publisher: Publisher,
    pub(crate) installed: Installed,
    pub(crate) gate: GateConfig,
    pub(crate) registry: ArcSwap<Registry>,
    /// One change of configuration at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
    pub(crate) turns: TaskTracker,
    worker: Worker,
    pub(crate) interruptible: Interruptible,
    pub(crate) gathering: Gathering,
    /// Conversations in which something was said.
    pub(crate) said: tokio::sync::broadcast::Sender<ConversationId>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) cache: Arc<ResultCache>,
    pub(crate) vault: Option<Vault>,
    pub(crate) public_url: Option<String>,
    pub(crate) journal: bool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("store", &self.inner.store.backend()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the store, sets up sandbox and egress, makes everything ready that the store holds, and follows its changes.
    ///
    /// # Errors
    /// [`StartError`]. A bot that can't be made ready is no error: it is logged and answers 503.
    pub async fn start(config: EngineConfig) -> Result<Engine, StartError> {
        let (store, works) = (confab_store::open(&config.store).await?, config.works);
        let sandbox = Sandbox::new(config.sandbox).map_err(|e| StartError::Sandbox(format!("{e:#}")))?;
        let library = Library::new(sandbox.clone(), config.plugins);
        let egress =
            Egress::new(config.egress, SecretSource::process(config.secrets), confab_egress::Limits::default())?
                .with_shared_budget(Arc::new(StoreBudget(store.clone())));
        let vault = config.token_keys.map(|keys| Vault::new(store.clone(), keys));
        let egress = match &vault {
            Some(vault) => egress.with_tokens(Arc::new(vault.clone())),
            None => egress,
        };
        let (watches, verdicts) = Watches::new();
        let installed = Installed::new(store.clone(), config.installed);
        let watch = Arc::new(Watch::start(&store));
        let cache = ResultCache::new(confab_store::Clock::system(), Some(store.clone()));
        let engine = Engine {
            inner: Arc::new(Inner {
                store,
                publisher: Publisher::new(sandbox, library, egress, watches, installed.clone()),
                installed,
                gate: config.gate,
                registry: ArcSwap::from_pointee(Registry::default()),
                changing: tokio::sync::Mutex::new(()),
                turns: TaskTracker::new(),
                worker: Worker::new(),
                interruptible: Interruptible::default(),
                gathering: Gathering::default(),
                said: tokio::sync::broadcast::Sender::new(SAID),
                watch,
                cache,
                vault,
                public_url: config.public_url,
                journal: config.journal,
            }),
        };
        let versions = engine.inner.store.config_version();
        engine.refresh().await?;
        engine.follow(versions);
        engine.judge(verdicts);
        if works {
            engine.inner.worker.start(&engine.inner);
        }
        Ok(engine)
    }

    /// The store, for what the gateway keeps there.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The sandbox.
    pub fn sandbox(&self) -> &Sandbox {
        &self.inner.publisher.sandbox
    }

    /// The plugins of this host.
    pub fn library(&self) -> &Library {
        &self.inner.publisher.library
    }

    /// The installed plugins.
    pub fn installed(&self) -> &Installed {
        &self.inner.installed
    }

    /// What is served now.
    pub fn registry(&self) -> arc_swap::Guard<Arc<Registry>> {
        self.inner.registry.load()
    }

    /// Turns that are being served.
    pub fn turns_in_flight(&self) -> usize {
        self.inner.turns.len()
    }

    /// Waits for turns that are being served, writes what is known of them, then closes the store.
    pub async fn close(&self) {
        self.inner.worker.stop().await;
        self.inner.turns.close();
        self.inner.turns.wait().await;
        self.inner.cache.close().await;
        self.inner.watch.flush().await;
        self.inner.store.close().await;
    }

    fn follow(&self, mut versions: tokio::sync::watch::Receiver<u64>) {
        let engine = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            while versions.changed().await.is_ok() {
                versions.mark_unchanged();
                let Some(inner) = engine.upgrade() else { return };
                if let Err(e) = (Engine { inner }).refresh().await {
                    tracing::error!(error = %e, "configuration changed but can't be read");
                }
            }
        });
    }

    /// Carries out what the watches of candidates say.
    fn judge(&self, mut verdicts: tokio::sync::mpsc::UnboundedReceiver<Verdict>) {
        let engine = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            while let Some(verdict) = verdicts.recv().await {
                let Some(inner) = engine.upgrade() else { return };
                Engine { inner }.carry_out(verdict).await;
            }
        });
    }

    /// Reads the configuration from the store and makes it ready.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _one = self.inner.changing.lock().await;
        self.rebuild().await
    }

    async fn rebuild(&self) -> Result<(), StoreError> {
        let versions = self.versions().await?;
        let (registry, _) = self.assemble(&versions).await?;
        self.switch(registry);
        Ok(())
    }

    /// Serves what was made ready, from the next turn on.
    pub(crate) fn switch(&self, registry: Registry) {
        self.inner.publisher.forget_unused(&registry);
        let (tenants, bots, ready) = registry.counts();
        tracing::info!(tenants, bots, ready, "configuration in use");
        self.inner.registry.store(Arc::new(registry));
    }

    /// All versions of plugins and what is said of their use, as it is now.
    pub(crate) async fn versions(&self) -> Result<Versions, StoreError> {
        let stored = self.inner.store.documents(ROLLOUT).await?;
        let rollouts = Rollouts::read(stored.iter().map(|(id, body)| (id.as_str(), body.as_ref())));
        let installed = self.inner.publisher.installed.all().await?;
        Ok(tokio::task::block_in_place(|| Versions::new(self.library(), installed, rollouts)))
    }

    /// Makes everything ready that the store holds, with these versions, beside what is in use.
    pub(crate) async fn assemble(&self, versions: &Versions) -> Result<(Registry, Vec<Found>), StoreError> {
        let (store, publisher) = (&self.inner.store, &self.inner.publisher);
        let old = self.inner.registry.load_full();
        let mut all = Vec::new();
        let mut tenants: HashMap<TenantId, Tenant> = HashMap::new();
        for doc in read_all::<TenantDoc>(store.documents(TENANT).await?) {
            let (bots, connections, webhooks) = Default::default();
            tenants.insert(doc.id.clone(), Tenant { doc, bots, connections, webhooks });
        }
        for doc in read_all::<ConnectionDoc>(store.documents(CONNECTION).await?) {
            let Some(tenant) = tenants.get_mut(&doc.tenant) else { continue };
            let mut files = Vec::new();
            for name in doc.files.keys() {
                let id = format!("{}/{}/{name}", doc.tenant, doc.id);
                files.push((name.clone(), store.document(FILE, &id).await?.unwrap_or_default().to_vec()));
            }
            let mut findings = Vec::new();
            let previous = old.connection(&doc.tenant, &doc.id);
            let ready = publisher.connection(versions, doc.id.as_str(), &doc, files, previous, &mut findings).await;
            let slot = slot(ready, &findings, "connection", &doc.tenant, doc.id.as_str());
            tenant.connections.insert(doc.id.clone(), slot);
            let about = About::Connection(doc.id);
            all.extend(findings.into_iter().map(|finding| Found {
                tenant: doc.tenant.clone(),
                about: about.clone(),
                finding,
            }));
        }
        for doc in read_all::<BotDoc>(store.documents(BOT).await?) {
            let Some(tenant) = tenants.get_mut(&doc.tenant) else { continue };
            let mut findings = Vec::new();
            let previous = old.bot(&doc.tenant, &doc.id);
            let connections = &tenant.connections;
            let ready = publisher.bot(versions, doc.id.as_str(), &doc, connections, previous, &mut findings).await;
            tenant.bots.insert(doc.id.clone(), slot(ready, &findings, "bot", &doc.tenant, doc.id.as_str()));
            let about = About::Bot(doc.id);
            all.extend(findings.into_iter().map(|finding| Found {
                tenant: doc.tenant.clone(),
                about: about.clone(),
                finding,
            }));
        }
        for doc in read_all::<WebhookDoc>(store.documents(WEBHOOK).await?) {
            let Some(tenant) = tenants.get_mut(&doc.tenant) else { continue };
            let mut findings = Vec::new();
            let ready = publisher.webhook(doc.id.as_str(), &doc, old.webhook(&doc.tenant, &doc.id), &mut findings);
            let slot = slot(ready, &findings, "webhook", &doc.tenant, doc.id.as_str());
            tenant.webhooks.insert(doc.id.clone(), Hook { doc, slot });
        }
        Ok((Registry { tenants, rollouts: versions.rollouts.clone() }, all))
    }

    /// Checks a tenant's folder, makes everything in it ready, stores it in one step and serves it.
    ///
    /// # Errors
    /// [`ApplyError`]; then nothing was changed.
    pub async fn apply(&self, files: &[SourceFile], options: ApplyOptions) -> Result<ApplyReport, ApplyError> {
        let bundle = Bundle::read(files).map_err(ApplyError::Findings)?;
        let _one = self.inner.changing.lock().await;
        let versions = self.versions().await?;
        let tenant = bundle.tenant.id.clone();
        let mut findings = Vec::new();
        let old = self.inner.registry.load_full();
        let old_tenant = old.tenants.get(&tenant);
        let mut connections: HashMap<ConnectionId, Slot<crate::registry::Connection>> = HashMap::new();
        if let Some(old_tenant) = old_tenant.filter(|_| !options.prune) {
            connections.extend(old_tenant.connections.iter().map(|(id, slot)| (id.clone(), slot.clone())));
        }
        for (file, doc) in &bundle.connections {
            let data = doc.files.keys().filter_map(|name| {
                bundle.files.get(&(doc.id.clone(), name.clone())).map(|content| (name.clone(), content.clone()))
            });
            let previous = old.connection(&tenant, &doc.id);
            let mut found = Vec::new();
            let ready =
                self.inner.publisher.connection(&versions, file, doc, data.collect(), previous, &mut found).await;
            bundle.locate(file, &mut found);
            findings.append(&mut found);
            let slot = match ready {
                Some(ready) => Slot::Ready(ready),
                None => Slot::Broken(format!("see {file}")),
            };
            connections.insert(doc.id.clone(), slot);
        }
        for (file, doc) in &bundle.bots {
            let previous = old.bot(&tenant, &doc.id);
            let mut found = Vec::new();
            self.inner.publisher.bot(&versions, file, doc, &connections, previous, &mut found).await;
            bundle.locate(file, &mut found);
            findings.append(&mut found);
        }
        for (file, doc) in &bundle.webhooks {
            let mut found = Vec::new();
            self.inner.publisher.webhook(file, doc, old.webhook(&tenant, &doc.id), &mut found);
            webhooks::check_bots(file, doc, &bundle, old_tenant, &mut found);
            bundle.locate(file, &mut found);
            findings.append(&mut found);
        }
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(ApplyError::Findings(findings));
        }
        let (changes, removed) =
            changes(&bundle, old_tenant, options).map_err(|e| ApplyError::Internal(e.to_string()))?;
        if !options.check_only {
            self.inner.store.change_documents(changes).await?;
            self.rebuild().await?;
            let gone = old_tenant.into_iter().flat_map(|tenant| tenant.webhooks.keys());
            for id in gone.filter(|id| removed.contains(&format!("webhook {id}"))) {
                self.forget_webhook(&tenant, id).await?;
            }
            let gone = old_tenant.into_iter().flat_map(|tenant| &tenant.connections);
            for (id, slot) in gone.filter(|(id, _)| removed.contains(&format!("connection {id}"))) {
                if let Slot::Ready(connection) = slot {
                    tracing::debug!(%id, "a removed connection gives its tokens back");
                    self.drop_tokens(connection).await;
                }
            }
        }
        Ok(ApplyReport {
            tenant,
            bots: bundle.bots.iter().map(|(_, doc)| doc.id.to_string()).collect(),
            connections: bundle.connections.iter().map(|(_, doc)| doc.id.to_string()).collect(),
            removed,
            warnings: findings,
            applied: !options.check_only,
        })
    }
}

/// The documents that a bundle changes, and names of what it removes.
fn changes(
    bundle: &Bundle,
    old: Option<&Tenant>,
    options: ApplyOptions,
) -> Result<(Vec<DocumentChange>, Vec<String>), serde_json::Error> {
    let tenant = &bundle.tenant.id;
    let mut changes = vec![documents::put(TENANT, tenant.to_string(), &bundle.tenant)?];
    for (_, doc) in &bundle.connections {
        changes.push(documents::put(CONNECTION, format!("{tenant}/{}", doc.id), doc)?);
    }
    for ((connection, name), content) in &bundle.files {
        let body = Some(Bytes::from(content.clone()));
        changes.push(DocumentChange { kind: FILE.to_owned(), id: format!("{tenant}/{connection}/{name}"), body });
    }
    for (_, doc) in &bundle.bots {
        changes.push(documents::put(BOT, format!("{tenant}/{}", doc.id), doc)?);
    }
    for (_, doc) in &bundle.webhooks {
        changes.push(documents::put(WEBHOOK, format!("{tenant}/{}", doc.id), doc)?);
    }
    let mut removed = Vec::new();
    if let Some(old) = old.filter(|_| options.prune) {
        for id in old.webhooks.keys().filter(|id| !bundle.webhooks.iter().any(|(_, doc)| doc.id == **id)) {
            changes.push(documents::delete(WEBHOOK, format!("{tenant}/{id}")));
            removed.push(format!("webhook {id}"));
        }
        for id in old.bots.keys().filter(|id| !bundle.bots.iter().any(|(_, doc)| doc.id == **id)) {
            changes.push(documents::delete(BOT, format!("{tenant}/{id}")));
            removed.push(format!("bot {id}"));
        }
        for id in old.connections.keys().filter(|id| !bundle.connections.iter().any(|(_, doc)| doc.id == **id)) {
            changes.push(documents::delete(CONNECTION, format!("{tenant}/{id}")));
            removed.push(format!("connection {id}"));
        }
    }
    Ok((changes, removed))
}

pub(crate) fn read_all<T: serde::de::DeserializeOwned>(stored: Vec<(String, Bytes)>) -> Vec<T> {
    stored
        .into_iter()
        .filter_map(|(id, body)| {
            serde_json::from_slice(&body)
                .map_err(|e| tracing::error!(id, error = %e, "a configuration document can't be read; apply it again"))
                .ok()
        })
        .collect()
}

fn slot<T>(ready: Option<Arc<T>>, findings: &[Finding], what: &str, tenant: &TenantId, id: &str) -> Slot<T> {
    let reasons: Vec<&str> =
        findings.iter().filter(|f| f.severity == Severity::Error).map(|f| f.message.as_str()).collect();
    let reason = reasons.join("; ");
    match ready {
        Some(ready) => {
            if !reason.is_empty() {
                tracing::error!(%tenant, id, "{what} is served by the stable version alone: {reason}");
            }
            Slot::Ready(ready)
        }
        None => {
            tracing::error!(%tenant, id, "{what} is not ready: {reason}");
            Slot::Broken(reason)
        }
    }
}

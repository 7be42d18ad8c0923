//! Bots and connections, prepared and ready to serve.
//!
//! Built from the store's documents, whole, beside the one in use; then switched in one step. What did not change is
//! taken over, so that a change of one bot costs that bot alone. Something that can't be made ready is kept
//! with its reason and does not keep others from serving.

use crate::config::documents::{BotDoc, ConnectionDoc, EndpointDoc, PeopleDoc, TenantDoc, WhileBusy};
use crate::config::{Finding, Severity, endpoints};
use crate::events::subscribe::{Subscriptions, check_sources};
use crate::events::webhook::Webhook;
use crate::ids::{BotId, ConnectionId, TenantId, WebhookId};
use crate::installed::Installed;
use crate::library::Library;
use crate::rollout::{Candidate, Place, Rollouts, Watches};
use crate::settings_schema;
use crate::versions::{ChosenCandidate, Versions};
use crate::watch::{BotMetrics, Post};
use crate::webhooks::Hook;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confab_egress::{Auth, ConnectionSpec, Egress, EndpointConfig};
use confab_sandbox::manifest::EndpointManifest;
use confab_sandbox::snapshot::{PrepareError, Prepared};
use confab_sandbox::{Kind, Plugin, Sandbox};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A bot that is ready to serve.
#[derive(Debug)]
pub struct Bot {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: BotId,
    /// Its name, for people.
    pub name: String,
    /// Its intent plugin, prepared with its definition: the stable version.
    pub plugin: Plugin,
    /// The version that is tried, prepared with the same definition.
    pub candidate: Option<Candidate<Plugin>>,
    /// Capability to connection.
    pub bindings: BTreeMap<String, Arc<Connection>>,
    /// What visitors read when the plugin fails, by language.
    pub fallback: BTreeMap<String, String>,
    /// Life of a conversation without messages.
    pub conversation_ttl: Duration,
    /// What becomes of a message that comes while another one is being answered.
    pub while_busy: WhileBusy,
    /// That people take over where the bot hands over.
    pub people: Option<PeopleDoc>,
    /// Events that it wants to hear of.
    pub(crate) events: Subscriptions,
    /// Digest of the definition.
    pub(crate) definition: String,
    pub(crate) space: Arc<str>,
    /// The tenant's id once more, for accounts.
    pub(crate) tenant_name: Arc<str>,
    /// Made at the first turn: see [`crate::watch`].
    pub(crate) metrics: OnceLock<BotMetrics>,
    /// See `metrics`.
    pub(crate) post: OnceLock<Post>,
    doc: BotDoc,
    digest: String,
}

impl Bot {
    /// What its plugin was prepared with.
    pub(crate) fn definition_text(&self) -> &str {
        &self.doc.definition
    }
}

/// A connection that is ready to serve.
#[derive(Debug)]
pub struct Connection {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: ConnectionId,
    /// Its connector, prepared with settings and files where it wants that: the stable version.
    pub plugin: Plugin,
    /// The same connection by the version that is tried.
    pub candidate: Option<Candidate<Arc<Connection>>>,
    pub(crate) settings: Arc<str>,
    pub(crate) egress: Arc<confab_egress::Connection>,
    /// What is kept of its results.
    pub(crate) cache: Arc<crate::cache::Place>,
    pub(crate) space: Arc<str>,
    /// The tenant's id once more, for accounts.
    pub(crate) tenant_name: Arc<str>,
    /// Made at the first call: see [`crate::watch`].
    pub(crate) post: OnceLock<Post>,
    /// The last failure of each endpoint that has not worked since.
    pub(crate) troubles: crate::breakers::Troubles,
    /// How its platform's webhooks are checked.
    pub(crate) webhook: Option<Webhook>,
    doc: ConnectionDoc,
    digest: String,
}

/// Something that is ready, or the reason why not.
#[derive(Debug)]
pub enum Slot<T> {
    /// Ready.
    Ready(Arc<T>),
    /// Not ready, and why.
    Broken(String),
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        match self {
            Slot::Ready(thing) => Slot::Ready(thing.clone()),
            Slot::Broken(reason) => Slot::Broken(reason.clone()),
        }
    }
}

/// A tenant with what belongs to it.
#[derive(Debug)]
pub struct Tenant {
    /// What is known of it.
    pub doc: TenantDoc,
    /// Its bots.
    pub bots: HashMap<BotId, Slot<Bot>>,
    /// Its connections.
    pub connections: HashMap<ConnectionId, Slot<Connection>>,
    /// Its webhooks, in order of their ids.
    pub webhooks: BTreeMap<WebhookId, Hook>,
}

/// Everything that this host serves.
#[derive(Debug, Default)]
pub struct Registry {
    /// By id.
    pub tenants: HashMap<TenantId, Tenant>,
    /// Which versions are in use and which are tried.
    pub rollouts: Rollouts,
}

impl Bot {
    /// What it was made from.
    pub(crate) fn uses(&self) -> &BotDoc {
        &self.doc
    }
}

impl Connection {
    /// What it was made from.
    pub(crate) fn uses(&self) -> &ConnectionDoc {
        &self.doc
    }
}

impl Registry {
    /// A bot of a tenant.
    pub fn bot(&self, tenant: &TenantId, bot: &BotId) -> Option<&Slot<Bot>> {
        self.tenants.get(tenant)?.bots.get(bot)
    }

    /// A connection of a tenant.
    pub fn connection(&self, tenant: &TenantId, connection: &ConnectionId) -> Option<&Slot<Connection>> {
        self.tenants.get(tenant)?.connections.get(connection)
    }

    /// A webhook of a tenant.
    pub fn webhook(&self, tenant: &TenantId, webhook: &WebhookId) -> Option<&Hook> {
        self.tenants.get(tenant)?.webhooks.get(webhook)
    }

    /// Counts: tenants, bots, bots that are ready.
    pub fn counts(&self) -> (usize, usize, usize) {
        let bots = self.tenants.values().flat_map(|tenant| tenant.bots.values());
        let (all, ready) =
            bots.fold((0, 0), |(all, ready), slot| (all + 1, ready + usize::from(matches!(slot, Slot::Ready(_)))));
        (self.tenants.len(), all, ready)
    }
}

/// Makes bots and connections ready.
pub(crate) struct Publisher {
    pub(crate) sandbox: Sandbox,
    pub(crate) library: Library,
    pub(crate) egress: Egress,
    pub(crate) watches: Watches,
    pub(crate) installed: Installed,
    /// Prepared plugins by everything that went into them: equal bots share one.
    prepared: Mutex<HashMap<String, Prepared>>,
}

impl Publisher {
    pub(crate) fn new(
        sandbox: Sandbox,
        library: Library,
        egress: Egress,
        watches: Watches,
        installed: Installed,
    ) -> Self {
        Publisher { sandbox, library, egress, watches, installed, prepared: Mutex::new(HashMap::new()) }
    }

    /// Makes a connection ready. Errors and warnings go to `findings`, under the tenant's file name.
    pub(crate) async fn connection(
        &self,
        versions: &Versions,
        file: &str,
        doc: &ConnectionDoc,
        files: Vec<(String, Vec<u8>)>,
        previous: Option<&Slot<Connection>>,
        findings: &mut Vec<Finding>,
    ) -> Option<Arc<Connection>> {
        let place = Place::Connection(&doc.tenant, &doc.id);
        let what = ("connector", doc.connector.as_str());
        let chosen = self.choose(versions, file, what, Kind::Connector, place, findings).await?;
        if let Some(Slot::Ready(old)) = previous
            && old.doc == *doc
            && old.digest == chosen.stable.digest()
            && same(old.candidate.as_ref(), chosen.candidate.as_ref())
        {
            return Some(old.clone());
        }
        let mut connection = self.by_version(file, doc, &files, &chosen.stable, findings).await?;
        if let Some(candidate) = chosen.candidate {
            let mut found = Vec::new();
            let tried = self.by_version(file, doc, &files, &candidate.plugin, &mut found).await;
            findings.extend(candidate.refused(found));
            connection.candidate = tried.map(|tried| candidate.serving(Arc::new(tried)));
        }
        Some(Arc::new(connection))
    }

    /// A connection by one version of its connector.
    async fn by_version(
        &self,
        file: &str,
        doc: &ConnectionDoc,
        files: &[(String, Vec<u8>)],
        source: &Plugin,
        findings: &mut Vec<Finding>,
    ) -> Option<Connection> {
        let before = findings.len();
        check_settings(file, doc, source, findings);
        check_cache(file, doc, source, findings);
        let endpoints = endpoints(file, doc, source, findings);
        let spec = ConnectionSpec {
            tenant: doc.tenant.to_string(),
            connection: doc.id.to_string(),
            endpoints,
            limits: doc.limits.clone(),
            rate: doc.rate.clone(),
            retry: doc.retry.clone(),
        };
        let egress = match self.egress.connect(spec) {
            Ok(egress) => {
                findings.extend(egress.notes().into_iter().map(|note| endpoints::note(file, doc, &note)));
                Some(egress)
            }
            Err(errors) => {
                findings.extend(errors.iter().map(|error| endpoints::finding(file, doc, error)));
                None
            }
        };
        let webhook = Webhook::new(file, doc, source, &self.egress, findings);
        if findings.iter().skip(before).any(|finding| finding.severity == Severity::Error) {
            return None;
        }
        let plugin = if source.has("lifecycle") {
            let listed: Vec<Value> = files
                .iter()
                .map(|(name, content)| json!({"name": name, "content": STANDARD.encode(content)}))
                .collect();
            let mut input = Map::new();
            input.insert("settings".into(), Value::String(doc.settings.to_string()));
            input.insert("files".into(), Value::Array(listed));
            self.prepare(file, source, "lifecycle", input, findings).await?
        } else {
            if !doc.files.is_empty() {
                let message = format!("connector `{}` takes no files", doc.connector);
                findings.push(Finding::error(file, message).field("files"));
                return None;
            }
            source.clone()
        };
        Some(Connection {
            tenant: doc.tenant.clone(),
            id: doc.id.clone(),
            plugin,
            candidate: None,
            settings: Arc::from(doc.settings.to_string()),
            egress: egress?,
            cache: crate::cache::Place::new(doc, source.manifest(), source.digest()),
            space: Arc::from(format!("connection/{}/{}", doc.tenant, doc.id)),
            tenant_name: Arc::from(doc.tenant.as_str()),
            post: OnceLock::new(),
            troubles: crate::breakers::Troubles::default(),
            webhook,
            doc: doc.clone(),
            digest: source.digest().to_owned(),
        })
    }

    /// Makes a bot ready, on these connections.
    pub(crate) async fn bot(
        &self,
        versions: &Versions,
        file: &str,
        doc: &BotDoc,
        connections: &HashMap<ConnectionId, Slot<Connection>>,
        previous: Option<&Slot<Bot>>,
        findings: &mut Vec<Finding>,
    ) -> Option<Arc<Bot>> {
        let place = Place::Bot(&doc.tenant, &doc.id);
        let what = ("plugin", doc.plugin.as_str());
        let chosen = self.choose(versions, file, what, Kind::Intent, place, findings).await?;
        let source = &chosen.stable;
        let bindings = bindings(file, doc, connections, findings)?;
        if !check_sources(file, &doc.events, connections, findings) {
            return None;
        }
        if let Some(Slot::Ready(old)) = previous
            && old.doc == *doc
            && old.digest == source.digest()
            && same(old.candidate.as_ref(), chosen.candidate.as_ref())
            && old.bindings.iter().all(|(name, old)| bindings.get(name).is_some_and(|new| Arc::ptr_eq(old, new)))
        {
            return Some(old.clone());
        }
        let mut input = Map::new();
        input.insert("definition".into(), Value::String(doc.definition.clone()));
        let definition = &doc.definition_file;
        let plugin = self.prepare(definition, source, "dialogue", input.clone(), findings).await?;
        let mut candidate = None;
        if let Some(chosen) = chosen.candidate {
            let mut found = Vec::new();
            let tried = self.prepare(definition, &chosen.plugin, "dialogue", input, &mut found).await;
            findings.extend(chosen.refused(found));
            candidate = tried.map(|tried| chosen.serving(tried));
        }
        Some(Arc::new(Bot {
            tenant: doc.tenant.clone(),
            id: doc.id.clone(),
            name: doc.name.clone(),
            plugin,
            candidate,
            bindings,
            fallback: doc.fallback.clone(),
            conversation_ttl: Duration::from_secs(doc.conversation_ttl_s),
            while_busy: doc.while_busy,
            people: doc.people.clone(),
            events: Subscriptions::new(&doc.events),
            definition: crate::turn::record::digest(doc.definition.as_bytes()),
            space: Arc::from(format!("bot/{}/{}", doc.tenant, doc.id)),
            tenant_name: Arc::from(doc.tenant.as_str()),
            metrics: OnceLock::new(),
            post: OnceLock::new(),
            doc: doc.clone(),
            digest: source.digest().to_owned(),
        }))
    }

    async fn prepare(
        &self,
        file: &str,
        source: &Plugin,
        interface: &str,
        input: Map<String, Value>,
        findings: &mut Vec<Finding>,
    ) -> Option<Plugin> {
        let key = Sandbox::prepared_key(source, &input);
        let known = self.prepared.lock().get(&key).cloned();
        if let Some(known) = known {
            findings.extend(known.warnings.into_iter().map(|w| Finding::from_diagnostic(file, w)));
            return Some(known.plugin);
        }
        match self.sandbox.prepare(source, interface, input).await {
            Ok(prepared) => {
                findings.extend(prepared.warnings.iter().cloned().map(|w| Finding::from_diagnostic(file, w)));
                let plugin = prepared.plugin.clone();
                if prepared.shared {
                    self.prepared.lock().insert(key, prepared);
                }
                Some(plugin)
            }
            Err(PrepareError::Refused(diagnostics)) => {
                findings.extend(diagnostics.into_iter().map(|d| Finding::from_diagnostic(file, d)));
                None
            }
            Err(e) => {
                findings.push(Finding::error(file, format!("can't be prepared: {e}")).field("id"));
                None
            }
        }
    }

    /// Forgets prepared plugins that nothing uses.
    pub(crate) fn forget_unused(&self, registry: &Registry) {
        let mut plugins: Vec<&Plugin> = Vec::new();
        for tenant in registry.tenants.values() {
            for slot in tenant.bots.values() {
                if let Slot::Ready(bot) = slot {
                    plugins.push(&bot.plugin);
                    plugins.extend(bot.candidate.iter().map(|candidate| &candidate.serves));
                }
            }
            for slot in tenant.connections.values() {
                if let Slot::Ready(connection) = slot {
                    plugins.push(&connection.plugin);
                    plugins.extend(connection.candidate.iter().map(|candidate| &candidate.serves.plugin));
                }
            }
        }
        let used: HashSet<&str> = plugins.iter().map(|plugin| plugin.key()).collect();
        self.prepared.lock().retain(|_, prepared| used.contains(prepared.plugin.key()));
        self.library.forget_unused(&plugins.iter().map(|plugin| plugin.digest()).collect());
    }
}

/// Whether a candidate is the chosen one. One that could not be made ready is none, and is tried again.
fn same<T>(old: Option<&Candidate<T>>, chosen: Option<&ChosenCandidate>) -> bool {
    match (old, chosen) {
        (None, None) => true,
        (Some(old), Some(chosen)) => {
            old.share == chosen.share && old.digest == chosen.plugin.digest() && Arc::ptr_eq(&old.watch, &chosen.watch)
        }
        _ => false,
    }
}

impl ChosenCandidate {
    fn serving<T>(&self, serves: T) -> Candidate<T> {
        Candidate {
            serves,
            share: self.share,
            digest: self.plugin.digest().to_owned(),
            watch: self.watch.clone(),
            post: OnceLock::new(),
        }
    }

    /// What the candidate refuses, in words that say which version it is. Its warnings are for the time when it is stable.
    fn refused(&self, found: Vec<Finding>) -> impl Iterator<Item = Finding> {
        let manifest = self.plugin.manifest();
        let who = format!("candidate {}@{}", manifest.name, manifest.version);
        found
            .into_iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(move |finding| Finding { message: format!("{who}: {}", finding.message), ..finding })
    }
}

fn check_settings(file: &str, doc: &ConnectionDoc, plugin: &Plugin, findings: &mut Vec<Finding>) {
    let Some(schema) = &plugin.manifest().settings else {
        return;
    };
    match settings_schema::validator(schema) {
        Ok(validator) => {
            for error in validator.iter_errors(&doc.settings) {
                let at = error.instance_path().to_string().replace('/', ".");
                let message = format!("settings{at}: {error}");
                findings.push(Finding::error(file, message).field(format!("settings{at}")));
            }
        }
        Err(e) => {
            findings.push(Finding::error(file, format!("plugin `{}` has a broken settings schema: {e}", doc.connector)))
        }
    }
}

fn check_cache(file: &str, doc: &ConnectionDoc, plugin: &Plugin, findings: &mut Vec<Finding>) {
    let Some(cache) = &doc.cache else { return };
    let offers = |capability: &str, function: &str| {
        let named = |offered: &str| offered.rsplit('/').next() == Some(capability);
        plugin.callables().any(|callable| callable.function == function && named(&callable.capability))
    };
    let wrong = crate::cache::check(cache, plugin.manifest(), offers);
    findings.extend(wrong.into_iter().map(|(field, message)| Finding::error(file, message).field(field)));
}

/// The plugin's endpoints, each with the connection's place and names of secrets.
fn endpoints(file: &str, doc: &ConnectionDoc, plugin: &Plugin, findings: &mut Vec<Finding>) -> Vec<EndpointConfig> {
    let declared = &plugin.manifest().endpoints;
    for name in doc.endpoints.keys().filter(|name| !declared.iter().any(|d| d.name == **name)) {
        let known: Vec<&str> = declared.iter().map(|d| d.name.as_str()).collect();
        let message = format!("connector `{}` has no endpoint `{name}`; it has: {}", doc.connector, known.join(", "));
        findings.push(Finding::error(file, message).field(format!("endpoints.{name}")));
    }
    let mut out = Vec::new();
    for endpoint in declared {
        let Some(given) = doc.endpoints.get(&endpoint.name) else {
            if !endpoint.optional {
                let message = format!("endpoints.{} is missing: {}", endpoint.name, endpoint.description);
                findings.push(
                    Finding::error(file, message)
                        .field("endpoints")
                        .help(format!("endpoints: {{ {}: {{ url: https://... }} }}", endpoint.name)),
                );
            }
            continue;
        };
        match auth(endpoint, given) {
            Ok(auth) => out.push(EndpointConfig {
                name: endpoint.name.clone(),
                base_url: given.url.clone(),
                methods: endpoint.methods.clone(),
                auth,
                timeout_ms: given.timeout_ms,
                ca: given.ca.clone().or_else(|| doc.ca.clone()),
                client_certificate: given.client_certificate.clone(),
                redirects: given.redirects,
                idempotency_header: given.idempotency_header.clone(),
            }),
            Err(message) => findings.push(
                Finding::error(file, format!("endpoints.{}: {message}", endpoint.name))
                    .field(format!("endpoints.{}.auth", endpoint.name)),
            ),
        }
    }
    out
}

/// How an endpoint is signed in to: the form from the manifest, the names of secrets from the connection.
///
/// The manifest has `auth.KIND = {..}` with a kind of [`Auth`]; what the connection supplies (`username`, `password`,
/// `token`) is put in. A connection's own `auth` completes the manifest's form when it is of the same kind, and takes
/// its place when it is of another, or the manifest has none.
pub(crate) fn auth(endpoint: &EndpointManifest, given: &EndpointDoc) -> Result<Auth, String> {
    let Some((kind, form)) = endpoint.auth.as_object().and_then(|auth| auth.iter().next()) else {
        return match &given.auth {
            None => Ok(Auth::None),
            Some(auth) => serde_json::from_value(auth.clone()).map_err(|e| format!("auth: {e}")),
        };
    };
    let own = given.auth.as_ref().and_then(Value::as_object);
    if let Some(auth) = &given.auth
        && auth.get("kind").and_then(Value::as_str) != Some(kind)
    {
        return serde_json::from_value(auth.clone()).map_err(|e| format!("auth: {e}"));
    }
    let mut filled = form.as_object().cloned().unwrap_or_default();
    filled.extend(own.cloned().unwrap_or_default());
    filled.insert("kind".into(), Value::String(kind.clone()));
    let mut need = |field: &str, from: &str, value: &Option<String>| match value {
        Some(value) => {
            filled.insert(field.to_owned(), Value::String(value.clone()));
            Ok(())
        }
        None if filled.contains_key(field) => Ok(()),
        None => Err(format!("`{from}` is missing: write `{from}: env:NAME`")),
    };
    match kind.as_str() {
        "session" => {
            need("username", "username", &given.username)?;
            need("password", "password", &given.password)?;
        }
        "basic" => {
            need("username", "username", &given.username)?;
            if given.password.is_some() {
                need("password", "password", &given.password)?;
            }
        }
        "bearer" => need("token", "token", &given.token)?,
        "header" | "query" | "path" | "json-body" => need("value", "token", &given.token)?,
        "hmac" => {
            need("secret", "token", &given.token)?;
            if given.username.is_some() {
                need("key_id", "username", &given.username)?;
            }
        }
        "aws" => {
            need("access_key_id", "username", &given.username)?;
            need("secret_access_key", "password", &given.password)?;
            if given.token.is_some() {
                need("session_token", "token", &given.token)?;
            }
        }
        _ => {}
    }
    let whose = if own.is_some() { "auth" } else { "auth of the manifest" };
    serde_json::from_value(Value::Object(filled)).map_err(|e| format!("{whose}: {e}"))
}

#[cfg(test)]
mod auth_tests;

/// Connections by capability, each of which serves it.
fn bindings(
    file: &str,
    doc: &BotDoc,
    connections: &HashMap<ConnectionId, Slot<Connection>>,
    findings: &mut Vec<Finding>,
) -> Option<BTreeMap<String, Arc<Connection>>> {
    let mut out = BTreeMap::new();
    let mut good = true;
    for (capability, id) in &doc.connections {
        let problem = match connections.get(id) {
            None => {
                let mut known: Vec<&str> = connections.keys().map(ConnectionId::as_str).collect();
                known.sort_unstable();
                format!("connections.{capability}: there is no connection `{id}`; there are: {}", known.join(", "))
            }
            Some(Slot::Broken(reason)) => format!("connections.{capability}: connection `{id}` is not ready: {reason}"),
            Some(Slot::Ready(connection)) => {
                let offers = |plugin: &Plugin| plugin.capabilities().any(|offered| offered == *capability);
                let without = connection.candidate.as_ref().filter(|candidate| !offers(&candidate.serves.plugin));
                if let Some(without) = without {
                    let message = format!(
                        "connections.{capability}: candidate {}@{} of connection `{id}` does not offer `{capability}`",
                        connection.doc.connector,
                        without.version()
                    );
                    findings.push(Finding::error(file, message).field(format!("connections.{capability}")));
                }
                if offers(&connection.plugin) {
                    out.insert(capability.clone(), connection.clone());
                    continue;
                }
                let offered: Vec<String> = connection.plugin.capabilities().collect();
                format!(
                    "connections.{capability}: connection `{id}` ({}) does not offer `{capability}`; it offers: {}",
                    connection.doc.connector,
                    offered.join(", ")
                )
            }
        };
        good = false;
        findings.push(Finding::error(file, problem).field(format!("connections.{capability}")));
    }
    good.then_some(out)
}

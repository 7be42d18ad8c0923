//! Bots and connections, prepared and ready to serve.
//!
//! Built from the store's documents, whole, beside the one in use; then switched in one step. What did not change is
//! taken over, so that a change of one bot costs that bot alone. Something that can't be made ready is kept
//! with its reason and does not keep others from serving.

use crate::config::documents::{BotDoc, ConnectionDoc, EndpointDoc, TenantDoc};
use crate::config::{Finding, Severity};
use crate::ids::{BotId, ConnectionId, TenantId};
use crate::installed::Installed;
use crate::library::Library;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confab_egress::{Auth, ConnectionSpec, Egress, EndpointConfig};
use confab_sandbox::manifest::EndpointManifest;
use confab_sandbox::snapshot::{PrepareError, Prepared};
use confab_sandbox::{Kind, Plugin, Sandbox, Source};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
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
    /// Its intent plugin, prepared with its definition.
    pub plugin: Plugin,
    /// Capability to connection.
    pub bindings: BTreeMap<String, Arc<Connection>>,
    /// What visitors read when the plugin fails, by language.
    pub fallback: BTreeMap<String, String>,
    /// Life of a conversation without messages.
    pub conversation_ttl: Duration,
    pub(crate) space: Arc<str>,
    /// The tenant's id once more, for accounts.
    pub(crate) tenant_name: Arc<str>,
    pub(crate) metrics: BotMetrics,
    doc: BotDoc,
    digest: String,
}

/// Metric handles, made once.
#[derive(Debug)]
pub(crate) struct BotMetrics {
    pub(crate) answered: metrics::Counter,
    pub(crate) fallback: metrics::Counter,
    pub(crate) seconds: metrics::Histogram,
    pub(crate) fuel: metrics::Counter,
}

/// A connection that is ready to serve.
#[derive(Debug)]
pub struct Connection {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: ConnectionId,
    /// Its connector, prepared with settings and files where it wants that.
    pub plugin: Plugin,
    pub(crate) settings: Arc<str>,
    pub(crate) egress: Arc<confab_egress::Connection>,
    pub(crate) space: Arc<str>,
    /// The tenant's id once more, for accounts.
    pub(crate) tenant_name: Arc<str>,
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
}

/// Everything that this host serves.
#[derive(Debug, Default)]
pub struct Registry {
    /// By id.
    pub tenants: HashMap<TenantId, Tenant>,
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
    pub(crate) installed: Installed,
    /// Prepared plugins by everything that went into them: equal bots share one.
    prepared: Mutex<HashMap<String, Prepared>>,
}

impl Publisher {
    pub(crate) fn new(sandbox: Sandbox, library: Library, egress: Egress, installed: Installed) -> Self {
        Publisher { sandbox, library, egress, installed, prepared: Mutex::new(HashMap::new()) }
    }

    /// Makes a connection ready. Errors and warnings go to `findings`, under the tenant's file name.
    pub(crate) async fn connection(
        &self,
        file: &str,
        doc: &ConnectionDoc,
        files: Vec<(String, Vec<u8>)>,
        previous: Option<&Slot<Connection>>,
        findings: &mut Vec<Finding>,
    ) -> Option<Arc<Connection>> {
        let source = self.plugin(file, "connector", &doc.connector, Kind::Connector, findings).await?;
        if let Some(Slot::Ready(old)) = previous
            && old.doc == *doc
            && old.digest == source.digest()
        {
            return Some(old.clone());
        }
        let before = findings.len();
        check_settings(file, doc, &source, findings);
        let endpoints = endpoints(file, doc, &source, findings);
        let spec = ConnectionSpec { tenant: doc.tenant.to_string(), connection: doc.id.to_string(), endpoints };
        let egress = match self.egress.connect(spec) {
            Ok(egress) => Some(egress),
            Err(errors) => {
                findings.extend(errors.into_iter().map(|e| Finding::error(file, in_words_of_the_file(&e)).field(e.at)));
                None
            }
        };
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
            self.prepare(file, &source, "lifecycle", input, findings).await?
        } else {
            if !doc.files.is_empty() {
                let message = format!("connector `{}` takes no files", doc.connector);
                findings.push(Finding::error(file, message).field("files"));
                return None;
            }
            source.clone()
        };
        Some(Arc::new(Connection {
            tenant: doc.tenant.clone(),
            id: doc.id.clone(),
            plugin,
            settings: Arc::from(doc.settings.to_string()),
            egress: egress?,
            space: Arc::from(format!("connection/{}/{}", doc.tenant, doc.id)),
            tenant_name: Arc::from(doc.tenant.as_str()),
            doc: doc.clone(),
            digest: source.digest().to_owned(),
        }))
    }

    /// Makes a bot ready, on these connections.
    pub(crate) async fn bot(
        &self,
        file: &str,
        doc: &BotDoc,
        connections: &HashMap<ConnectionId, Slot<Connection>>,
        previous: Option<&Slot<Bot>>,
        findings: &mut Vec<Finding>,
    ) -> Option<Arc<Bot>> {
        let source = self.plugin(file, "plugin", &doc.plugin, Kind::Intent, findings).await?;
        let bindings = bindings(file, doc, connections, findings)?;
        if let Some(Slot::Ready(old)) = previous
            && old.doc == *doc
            && old.digest == source.digest()
            && old.bindings.iter().all(|(name, old)| bindings.get(name).is_some_and(|new| Arc::ptr_eq(old, new)))
        {
            return Some(old.clone());
        }
        let mut input = Map::new();
        input.insert("definition".into(), Value::String(doc.definition.clone()));
        let plugin = self.prepare(&doc.definition_file, &source, "dialogue", input, findings).await?;
        let (tenant, bot) = (doc.tenant.to_string(), doc.id.to_string());
        let counter = |outcome: &'static str| metrics::counter!("confab_turns_total", "tenant" => tenant.clone(), "bot" => bot.clone(), "outcome" => outcome);
        Some(Arc::new(Bot {
            tenant: doc.tenant.clone(),
            id: doc.id.clone(),
            name: doc.name.clone(),
            plugin,
            bindings,
            fallback: doc.fallback.clone(),
            conversation_ttl: Duration::from_secs(doc.conversation_ttl_s),
            space: Arc::from(format!("bot/{}/{}", doc.tenant, doc.id)),
            tenant_name: Arc::from(doc.tenant.as_str()),
            metrics: BotMetrics {
                answered: counter("answered"),
                fallback: counter("fallback"),
                seconds: metrics::histogram!("confab_turn_seconds", "tenant" => tenant.clone(), "bot" => bot.clone()),
                fuel: metrics::counter!("confab_plugin_fuel_total", "tenant" => tenant.clone(), "plugin" => doc.plugin.clone()),
            },
            doc: doc.clone(),
            digest: source.digest().to_owned(),
        }))
    }

    /// The newest installed version of a plugin.
    async fn newest(&self, name: &str) -> Option<Plugin> {
        let version = self.installed.versions(name).await.ok()?.pop()?;
        let path = self.installed.fetch(&version.digest).await.map_err(|e| tracing::error!("{e}")).ok()?;
        let source = Source { digest: version.digest, path };
        tokio::task::block_in_place(|| self.sandbox.open(&source)).map_err(|e| tracing::error!("{e}")).ok()
    }

    async fn plugin(
        &self,
        file: &str,
        field: &str,
        name: &str,
        kind: Kind,
        findings: &mut Vec<Finding>,
    ) -> Option<Plugin> {
        // Compiling takes up to seconds and runs once per plugin file.
        let found = match tokio::task::block_in_place(|| self.library.get(name)) {
            Err(e) => self.newest(name).await.ok_or(e),
            found => found,
        };
        match found {
            Ok(source) if source.manifest().kind == kind => Some(source),
            Ok(source) => {
                let message = format!(
                    "plugin `{name}` is of kind {:?}, here a plugin of kind {kind:?} is needed",
                    source.manifest().kind
                );
                findings.push(Finding::error(file, message).field(field));
                None
            }
            Err(e) => {
                findings.push(Finding::error(file, e.to_string()).field(field));
                None
            }
        }
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
        let mut used: HashSet<&str> = HashSet::new();
        for tenant in registry.tenants.values() {
            for slot in tenant.bots.values() {
                if let Slot::Ready(bot) = slot {
                    used.insert(bot.plugin.key());
                }
            }
            for slot in tenant.connections.values() {
                if let Slot::Ready(connection) = slot {
                    used.insert(connection.plugin.key());
                }
            }
        }
        self.prepared.lock().retain(|_, prepared| used.contains(prepared.plugin.key()));
    }
}

/// Egress has its own names for what a connection's file calls `url`, `token` and `password`.
fn in_words_of_the_file(error: &confab_egress::ConfigError) -> String {
    let at = error.at.replace(".base_url", ".url").replace(".auth.value", ".token").replace(".auth.", ".");
    format!("{at}: {}", error.message)
}

fn check_settings(file: &str, doc: &ConnectionDoc, plugin: &Plugin, findings: &mut Vec<Finding>) {
    let Some(schema) = &plugin.manifest().settings else {
        return;
    };
    match jsonschema::validator_for(schema) {
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
            }),
            Err(message) => findings.push(
                Finding::error(file, format!("endpoints.{}: {message}", endpoint.name))
                    .field(format!("endpoints.{}", endpoint.name)),
            ),
        }
    }
    out
}

/// How an endpoint is signed in to: the form from the manifest, the names of secrets from the connection.
///
/// The manifest has `auth.KIND = {..}` with a kind of [`Auth`]; what the connection supplies (`username`, `password`,
/// `token`) is put in. Without it the connection says `auth` itself.
pub(crate) fn auth(endpoint: &EndpointManifest, given: &EndpointDoc) -> Result<Auth, String> {
    let Some((kind, form)) = endpoint.auth.as_object().and_then(|auth| auth.iter().next()) else {
        return match &given.auth {
            None => Ok(Auth::None),
            Some(auth) => serde_json::from_value(auth.clone()).map_err(|e| format!("auth: {e}")),
        };
    };
    let mut filled = form.as_object().cloned().unwrap_or_default();
    filled.insert("kind".into(), Value::String(kind.clone()));
    let mut need = |field: &str, from: &str, value: &Option<String>| match value {
        Some(value) => {
            filled.insert(field.to_owned(), Value::String(value.clone()));
            Ok(())
        }
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
        "header" | "query" | "path" => need("value", "token", &given.token)?,
        _ => {}
    }
    serde_json::from_value(Value::Object(filled)).map_err(|e| format!("auth of the manifest: {e}"))
}

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
                if connection.plugin.capabilities().any(|offered| offered == *capability) {
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

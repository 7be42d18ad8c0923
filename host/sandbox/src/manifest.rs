//! What a plugin says about itself: a custom section `confab:manifest` of the component, JSON.
//!
//! Authors write it as `plugin.toml`; `confab plugin build` checks and embeds it. One file is the whole plugin.

use crate::docs::Docs;
use crate::limits::LimitRequest;
use serde::{Deserialize, Serialize};

/// Name of the custom section that holds the manifest.
pub const MANIFEST_SECTION: &str = "confab:manifest";
/// Name of the custom section that holds the documentation of the plugin's own interfaces, see [`crate::docs`].
pub const DOCS_SECTION: &str = "confab:docs";

/// The three kinds of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Decides turns.
    Intent,
    /// Speaks to one business system.
    Connector,
    /// Speaks one messenger's dialect.
    Channel,
}

/// A plugin's manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name by which bots and connections choose it: 1 to 63 of `a-z`, `0-9` and `-`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// Who ships it.
    pub publisher: String,
    /// What it is.
    pub kind: Kind,
    /// One or two sentences for the tenant who chooses it.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of a connection's settings.
    #[serde(default)]
    pub settings: Option<serde_json::Value>,
    /// Places that a connection must name.
    #[serde(default)]
    pub endpoints: Vec<EndpointManifest>,
    /// How the host may treat the calls that it serves. What stands in no entry is treated as its capability says
    /// ([`Manifest::reads`]) and is not cached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationManifest>,
    /// What it needs to tell a platform's webhooks from anybody's; only for connectors that export `webhook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookManifest>,
    /// Limits it asks for.
    #[serde(default)]
    pub limits: LimitRequest,
    /// What the component imports, without versions: all that it can do to the outside. `confab plugin build` fills it in;
    /// components that were built before have none, and can't be installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imports: Option<Vec<String>>,
}

/// A named place that a connector calls. Where it is, the connection says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointManifest {
    /// Its name in `http.send`.
    pub name: String,
    /// What a tenant should put there.
    #[serde(default)]
    pub description: String,
    /// HTTP methods that the plugin uses. Others are refused.
    #[serde(default)]
    pub methods: Vec<String>,
    /// How the system is signed in to, in the words of the egress crate.
    #[serde(default)]
    pub auth: serde_json::Value,
    /// Whether a connection may do without it.
    #[serde(default)]
    pub optional: bool,
}

/// The webhooks that a connector reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookManifest {
    /// What a tenant has to do at the platform, so that it calls.
    #[serde(default)]
    pub description: String,
    /// Secrets that a connection supplies to check requests with. The plugin names them and never sees them.
    #[serde(default)]
    pub secrets: Vec<WebhookSecret>,
}

/// A secret that webhooks are checked with. Its value is the connection's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSecret {
    /// Its name in `signatures.verify-hmac` and `verify-equal`.
    pub name: String,
    /// Where a tenant finds it.
    #[serde(default)]
    pub description: String,
    /// How the platform shows the bytes that it signs with.
    #[serde(default, skip_serializing_if = "SecretEncoding::is_text")]
    pub encoding: SecretEncoding,
    /// Whether a connection may do without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// How a platform shows a secret. HMACs are made with the bytes that it stands for; `verify-equal` compares it as it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretEncoding {
    /// The characters are the key.
    #[default]
    Text,
    /// Base64, with or without `=` at the end; `whsec_` in front does not count (Standard Webhooks).
    Base64,
    /// Hexadecimal.
    Hex,
}

impl SecretEncoding {
    fn is_text(&self) -> bool {
        *self == SecretEncoding::Text
    }
}

/// How the host may treat one function of a connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationManifest {
    /// Interface and function: `inventory.availability`.
    pub name: String,
    /// Whether a call changes nothing, so that it may be repeated and its result kept. For the capabilities of the
    /// contract the host knows; for interfaces of the plugin's own the answer is no where nothing stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<bool>,
    /// How long results may be kept. Only for calls that read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheManifest>,
    /// Tags of kept results that a call which succeeded makes worthless. `{sku}` stands for that argument.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalidates: Vec<String>,
}

/// How long the result of a call may be kept, and what it depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheManifest {
    /// Seconds for which a result counts as fresh; 1 to 86,400.
    pub ttl_s: u32,
    /// Seconds after that in which it may be served at once while a new one is fetched; at most 86,400.
    #[serde(default)]
    pub stale_while_revalidate_s: u32,
    /// Seconds after freshness in which it may be served when the system does not answer; at most 604,800.
    #[serde(default)]
    pub stale_if_error_s: u32,
    /// What the result depends on: `stock`, `stock:{sku}`. `{sku}` stands for that argument.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// The calls of the contract's capabilities that change nothing.
const READS: [&str; 12] = [
    "orders.get",
    "orders.list-for-customer",
    "orders.track",
    "inventory.availability",
    "catalog.search",
    "catalog.get",
    "catalog.recommend",
    "contacts.find",
    "tickets.get",
    "tickets.search",
    "health.check",
    "files.list-files",
];

/// Why a manifest can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It isn't there.
    #[error("the component has no `{MANIFEST_SECTION}` section: build it with `confab plugin build DIR`")]
    Missing,
    /// The bytes are no component.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// It isn't what it should be.
    #[error("manifest: {0}")]
    Invalid(String),
}

impl Manifest {
    /// Reads the manifest of a component, without compiling it.
    ///
    /// # Errors
    /// [`ManifestError`], with what to do.
    pub fn of_component(wasm: &[u8]) -> Result<Manifest, ManifestError> {
        let section = custom_section(wasm, MANIFEST_SECTION)?.ok_or(ManifestError::Missing)?;
        let manifest: Manifest = serde_json::from_slice(section).map_err(|e| ManifestError::Invalid(e.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// What it says of an operation (`orders.get`).
    pub fn operation(&self, name: &str) -> Option<&OperationManifest> {
        self.operations.iter().find(|operation| operation.name == name)
    }

    /// Whether a call of this operation changes nothing in the business system, so that it may be tried again.
    pub fn reads(&self, operation: &str) -> bool {
        READS.contains(&operation) || self.operation(operation).and_then(|o| o.reads).unwrap_or(false)
    }

    /// Checks what types can't.
    ///
    /// # Errors
    /// [`ManifestError::Invalid`] with the field and what it may hold.
    pub fn check(&self) -> Result<(), ManifestError> {
        let version = (!self.version.split(['.', '-', '+']).take(3).all(|part| part.parse::<u64>().is_ok())
            || self.version.split('.').count() < 3)
            .then(|| format!("version `{}` must be like 1.2.3", shown(&self.version)));
        let operations = self.operations.iter().filter_map(|operation| self.operation_problem(operation));
        let first = self.name_problems().into_iter().chain(version).chain(operations).next();
        first.map_or(Ok(()), |problem| Err(ManifestError::Invalid(problem)))
    }

    /// The secret of this name that webhooks are checked with.
    pub fn webhook_secret(&self, name: &str) -> Option<&WebhookSecret> {
        self.webhook.iter().flat_map(|webhook| &webhook.secrets).find(|secret| secret.name == name)
    }

    /// Names that are none: its own, its endpoints' and its secrets'.
    pub(crate) fn name_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !is_name(&self.name) {
            problems.push(format!(
                "name `{}` must have 1 to 63 of a-z, 0-9 and -, and start with a letter",
                shown(&self.name)
            ));
        }
        let wrong = self.endpoints.iter().filter(|endpoint| !is_name(&endpoint.name));
        problems.extend(wrong.map(|endpoint| format!("endpoint name `{}` must be like `api`", shown(&endpoint.name))));
        let secrets = self.webhook.iter().flat_map(|webhook| &webhook.secrets).filter(|secret| !is_name(&secret.name));
        problems
            .extend(secrets.map(|s| format!("name `{}` of a webhook's secret must be like `signing`", shown(&s.name))));
        problems
    }

    /// What is wrong with an operation, whether the component has such a function or not.
    pub(crate) fn operation_problem(&self, operation: &OperationManifest) -> Option<String> {
        let wrong = |problem: &str| Some(format!("operation `{}` {problem}", shown(&operation.name)));
        let parts: Vec<&str> = operation.name.split('.').collect();
        let (interface, function) = match parts.as_slice() {
            [interface, function] if is_name(interface) && is_name(function) => (interface, function),
            _ => return wrong("must be like `inventory.availability`"),
        };
        let cache = operation.cache.as_ref()?;
        if !self.reads(&operation.name) {
            let known =
                |package: &str| Docs::builtin().get(&format!("{package}/{interface}"), Some(function)).is_some();
            return if known("confab:capabilities") || known("confab:plugin") {
                wrong("changes something, so its results can't be kept: leave `cache` out")
            } else {
                wrong(
                    "is no function of the contract, so it may change something: if it is your own and only reads, say `reads = true`; else leave `cache` out",
                )
            };
        }
        if !(1..=86_400).contains(&cache.ttl_s)
            || cache.stale_while_revalidate_s > 86_400
            || cache.stale_if_error_s > 604_800
        {
            return wrong("has a cache with ttl_s not in 1 to 86400, or staleness over a day (over a week on errors)");
        }
        None
    }
}

/// A stranger's text as it may be shown on a terminal.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}

/// Whether this may name a plugin, an endpoint, a tenant and the like.
pub fn is_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The imports of the outermost component, in order, without versions. Reads no more than names.
///
/// # Errors
/// When the bytes are no component.
pub fn imports_of(wasm: &[u8]) -> Result<Vec<String>, ManifestError> {
    let not = |e: wasmparser::BinaryReaderError| ManifestError::NotAComponent(e.to_string());
    let mut imports = Vec::new();
    let mut depth = 0_u32;
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload.map_err(not)? {
            wasmparser::Payload::ModuleSection { .. } | wasmparser::Payload::ComponentSection { .. } => depth += 1,
            wasmparser::Payload::End(_) => depth = depth.saturating_sub(1),
            wasmparser::Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let name = import.map_err(not)?.name.name;
                    imports.push(name.split('@').next().unwrap_or(name).to_owned());
                }
            }
            _ => {}
        }
    }
    imports.sort();
    imports.dedup();
    Ok(imports)
}

/// Whether an import (without version) fits a pattern: the same, or what stands before a `*` at its end.
pub fn import_fits(pattern: &str, import: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => import.starts_with(start),
        None => pattern == import,
    }
}

/// A custom section of the outermost component or module.
pub(crate) fn custom_section<'a>(wasm: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, ManifestError> {
    if !wasmparser::Parser::is_component(wasm) {
        return Err(ManifestError::NotAComponent(
            "the file does not begin like one; build it with `confab plugin build DIR`".into(),
        ));
    }
    let mut depth = 0_u32;
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload.map_err(|e| ManifestError::NotAComponent(e.to_string()))? {
            wasmparser::Payload::ModuleSection { .. } | wasmparser::Payload::ComponentSection { .. } => depth += 1,
            wasmparser::Payload::End(_) => depth = depth.saturating_sub(1),
            wasmparser::Payload::CustomSection(section) if depth == 0 && section.name() == name => {
                return Ok(Some(section.data()));
            }
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(operation: serde_json::Value) -> Result<(), String> {
        let manifest =
            json!({"name": "x", "version": "1.0.0", "publisher": "p", "kind": "connector", "operations": [operation]});
        let manifest: Manifest = serde_json::from_value(manifest).map_err(|e| e.to_string())?;
        manifest.check().map_err(|e| e.to_string())
    }

    #[test]
    fn only_what_changes_nothing_may_be_kept() {
        let cache = json!({"ttl_s": 30, "tags": ["stock:{sku}"]});
        assert_eq!(with(json!({"name": "inventory.availability", "cache": cache})), Ok(()));
        assert_eq!(with(json!({"name": "acme.lookup", "reads": true, "cache": cache})), Ok(()));
        assert!(with(json!({"name": "acme.lookup", "cache": cache})).unwrap_err().contains("`reads = true`"));
        assert!(
            with(json!({"name": "order.get", "cache": cache})).unwrap_err().contains("no function of the contract")
        );
        assert!(with(json!({"name": "leads.create", "cache": cache})).unwrap_err().contains("changes something"));
        for ttl_s in [0, 86_401] {
            assert!(with(json!({"name": "orders.get", "cache": {"ttl_s": ttl_s}})).unwrap_err().contains("ttl_s"));
        }
        for name in ["orders", "orders.get.more", "Orders.get", "orders."] {
            assert!(with(json!({"name": name})).is_err(), "{name}");
        }
    }
}

//! The install gate: what a stranger's file must pass before any bot or connection may use it.
//!
//! From cheap to dear, so that a file that is refused costs little, and each step only sees what the one before let through:
//!
//! 1. size; is it a component
//! 2. signature: a publisher that the operator trusts, and under its own name
//! 3. manifest: names, version, endpoints, sizes; what the engine knows more of ([`GateRules::more`])
//! 4. imports: all of them named by the manifest, none denied by the operator
//! 5. compiled, in a process with limits of its own ([`crate::compile`])
//! 6. fits a place of the pool; its interfaces can be linked and described, and are those that the manifest speaks of
//! 7. instantiated once, on its own budget, with a host that grants nothing
//!
//! What of this the file alone shows, [`examine`] tells its author, all at once: `confab plugin build` ends with it.
//!
//! A refusal has a stable code, says what is wrong, and what to change. What is merely clamped is a note.

use crate::call::new_store;
use crate::compile::CompileError;
use crate::engine::{Sandbox, digest};
use crate::failure::classify;
use crate::lanes::{Laned, Measured, Moving};
use crate::limits::{COMPONENT_BYTES, LimitPolicy, Limits, zero};
use crate::load::LoadError;
use crate::manifest::{
    DOCS_SECTION, MANIFEST_SECTION, Manifest, ManifestError, custom_section, import_fits, imports_of, is_name, shown,
};
use crate::offers::Offers;
use crate::plugin::{Live, Source};
use crate::services::DenyAll;
use crate::signature::{SignatureError, TrustedPublishers};
use serde::Serialize;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of a manifest. The largest of ours has 6 kB, most of it a settings schema.
const MANIFEST_BYTES: usize = 256 << 10;
/// Bytes of the documentation of a plugin's own interfaces. That of all our capabilities together has 30 kB.
const DOCS_BYTES: usize = 1 << 20;
/// Endpoints of one connector. The most that a system of ours has is two.
const ENDPOINTS: usize = 32;
/// Secrets that one connector's webhooks are checked with. No platform has more than two: of the app and of the account.
const WEBHOOK_SECRETS: usize = 8;
/// Characters of a version: it becomes part of ids and file names.
const VERSION_CHARS: usize = 64;
/// What an endpoint may be called with.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// What to do about a component that is no plugin of its kind.
const CONTRACT: &str = "Make it export and import what wit/v1 has for its kind, within the limits of docs/operators.md";

/// The tenant that a trial's CPU time is counted for.
const INSTALLING: &str = "(installing)";

/// Whether a plugin without a signature that counts may pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unsigned {
    /// The operator's settings forbid it.
    #[default]
    Forbidden,
    /// The operator allows it, but whoever installs has not said that it is meant.
    NotAsked,
    /// Both want it.
    Accepted,
}

/// What the operator demands.
#[derive(Clone, Debug)]
pub struct GateRules {
    /// Whose plugins are let in.
    pub trusted: TrustedPublishers,
    /// Whether one without a signature is.
    pub unsigned: Unsigned,
    /// Imports that no plugin may have: `wasi:*`, `confab:plugin/http`.
    pub deny_imports: Vec<String>,
    /// Checks of the manifest by those who know more than the sandbox.
    pub more: fn(&Manifest) -> Result<(), Refusal>,
}

impl Default for GateRules {
    fn default() -> Self {
        GateRules {
            trusted: TrustedPublishers::default(),
            unsigned: Unsigned::Forbidden,
            deny_imports: Vec::new(),
            more: |_| Ok(()),
        }
    }
}

/// Why a plugin is not let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}{} {help}", if message.ends_with('?') { "" } else { "." })]
pub struct Refusal {
    /// Stable: `too-large`, `not-a-component`, `unsigned`, `untrusted`, `tampered`, `manifest`, `imports`, `denied-import`,
    /// `compile`, `too-much-to-compile`, `resources`, `contract`, `instantiation`, `name-taken`, `version-taken`, `host`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to change.
    pub help: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Refusal { code, message: message.into(), help: help.into() }
    }

    fn manifest(message: impl Into<String>) -> Self {
        Refusal::new("manifest", message, "Correct plugin.toml and build it again with `confab plugin build DIR`")
    }
}

/// A plugin that passed. Its code is in the cache.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Its manifest.
    pub manifest: Manifest,
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// Id of the key that signed it.
    pub signed_by: Option<String>,
    /// What the operator and the author should know.
    pub notes: Vec<String>,
}

/// What is known before anything is compiled.
struct Checked {
    manifest: Manifest,
    digest: String,
    signed_by: Option<String>,
    notes: Vec<String>,
}

impl Sandbox {
    /// Lets a component in, or says why not. Takes as long as compiling does.
    ///
    /// # Errors
    /// [`Refusal`]. Nothing of a refused component stays.
    pub async fn admit(&self, wasm: &[u8], rules: &GateRules) -> Result<Admitted, Refusal> {
        let (sandbox, rules, wasm) = (self.clone(), rules.clone(), wasm.to_vec());
        let compiled = tokio::task::spawn_blocking(move || {
            let checked = check(&wasm, &rules)?;
            let limits = sandbox.limits_of(&checked.manifest).map_err(|e| Refusal::manifest(e.to_string()))?;
            let known = sandbox.inner.cache.has(&checked.digest);
            let live = sandbox.compile_on_trial(&checked, &wasm).inspect_err(|_| {
                if !known {
                    sandbox.inner.cache.forget(&checked.digest);
                }
            })?;
            Ok((checked, limits, live, known))
        });
        let (mut checked, limits, live, known) = compiled.await.map_err(|e| host(e.to_string()))??;
        if let Err(refusal) = self.try_instantiate(live, limits).await {
            if !known {
                self.inner.cache.forget(&checked.digest);
            }
            return Err(refusal);
        }
        for (limit, asked, given) in self.inner.policy.clamped(&checked.manifest.limits) {
            checked.notes.push(format!("it asks for limits.{limit} = {asked}; here it gets {given}"));
        }
        let Checked { manifest, digest, signed_by, notes } = checked;
        Ok(Admitted { manifest, digest, signed_by, notes })
    }

    /// Steps 5 and 6. Blocks.
    fn compile_on_trial(&self, checked: &Checked, wasm: &[u8]) -> Result<Live, Refusal> {
        let cache = &self.inner.cache;
        let scratch = Scratch(cache.scratch(wasm).map_err(|e| host(format!("{e:#}")))?);
        cache.load(&self.inner.engine, &checked.digest, &scratch.0).map_err(|e| match e {
            CompileError::Invalid(_) => Refusal::new(
                "compile",
                e.to_string(),
                "Build it with `confab plugin build DIR`, without threads, 64-bit memories, garbage collection and exceptions",
            ),
            CompileError::TooMuch(why) => Refusal::new(
                "too-much-to-compile",
                format!("the compiler was stopped ({why})"),
                "Split large functions and leave out what the plugin does not need, or raise [compiler] in the server's limits file",
            ),
            CompileError::Misfit(_) => Refusal::new(
                "resources",
                e.to_string(),
                "Use fewer modules, memories and tables: a plugin has 16 instances, 4 memories and 8 tables at most",
            ),
            CompileError::Cache(why) => host(why),
        })?;
        let source = Source { digest: checked.digest.clone(), path: scratch.0.clone() };
        let (shape, live) = self.read(&source, checked.manifest.clone(), wasm).map_err(of_load)?;
        match Offers::of(&shape).misfits(&checked.manifest).into_iter().next() {
            Some(misfit) => Err(Refusal::manifest(misfit)),
            None => Ok(live),
        }
    }

    /// Step 7.
    async fn try_instantiate(&self, live: Live, limits: Limits) -> Result<(), Refusal> {
        let _one = self.inner.preparing.acquire().await;
        let tenant = self.inner.tenants.of(INSTALLING);
        let wall = Duration::from_millis(limits.wall_ms);
        let mut store = new_store(&self.inner.engine, Box::new(DenyAll), tenant.clone(), limits);
        store.set_fuel(limits.instantiation_fuel).map_err(|e| host(format!("{e:#}")))?;
        let trial: Moving<_> = Box::pin(Measured::new(tenant, async move {
            tokio::time::timeout(wall, live.pre.instantiate_async(&mut store)).await.map(|done| done.map(|_| ()))
        }));
        let help = "A plugin must start with no work but that of its memory: do what costs in `prepare`, and ask for what it needs under [limits] in plugin.toml";
        match Laned::new(self.inner.lanes.clone(), trial).await {
            Some((Ok(Ok(())), _)) => Ok(()),
            Some((Ok(Err(e)), _)) => {
                let (kind, message, _) = classify(&e);
                Err(Refusal::new(
                    "instantiation",
                    format!("can't be instantiated ({}): {message}", kind.as_str()),
                    help,
                ))
            }
            Some((Err(_), _)) => {
                let message = format!("was not instantiated within {} ms", limits.wall_ms);
                Err(Refusal::new("instantiation", message, help))
            }
            None => Err(host("the host is stopping".into())),
        }
    }
}

/// A file that is gone with the value.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Not the plugin's fault.
fn host(message: String) -> Refusal {
    tracing::error!("the install gate can't do its work: {message}");
    Refusal::new("host", format!("this host can't check it now: {message}"), "Try again; the server's log has more")
}

fn of_load(error: LoadError) -> Refusal {
    // The help comes behind a full stop of its own.
    let message = error.to_string().trim_end_matches('.').to_owned();
    match error {
        LoadError::Unavailable { .. } => host(message),
        LoadError::Import { import, .. } => {
            let help = format!(
                "Build it without `{import}`: docs/connector-authors.md says what each kind of plugin may import"
            );
            Refusal::new("imports", message, help)
        }
        LoadError::Manifest(_) => Refusal::manifest(message),
        LoadError::TooLarge(_) | LoadError::Invalid { .. } => Refusal::new("contract", message, CONTRACT),
    }
}

/// Everything that a host with default settings would refuse, as far as the file shows it without being compiled: steps 1, 3
/// and 4, the limits asked for, and whether the manifest speaks of what the component offers.
pub fn examine(wasm: &[u8], manifest: &Manifest, offers: &Offers) -> Vec<Refusal> {
    let mut wrong: Vec<Refusal> = sizes(wasm).err().into_iter().collect();
    wrong.extend(manifest.name_problems().into_iter().map(Refusal::manifest));
    wrong.extend(unsound(manifest));
    // Of a function that isn't there nothing else is worth saying.
    let there = manifest.operations.iter().filter(|operation| offers.arguments(&operation.name).is_some());
    wrong.extend(there.filter_map(|operation| manifest.operation_problem(operation)).map(Refusal::manifest));
    wrong.extend(offers.misfits(manifest).into_iter().map(Refusal::manifest));
    if let Err(limit) = LimitPolicy::default().clamp(Limits::CONNECTOR, &manifest.limits) {
        wrong.push(Refusal::manifest(zero(limit)));
    }
    wrong.extend(offers.lacks(manifest.kind).map(|message| Refusal::new("contract", message, CONTRACT)));
    let named = manifest.imports.as_deref().unwrap_or_default();
    wrong.extend(offers.webhook_problem(manifest, named).map(|message| Refusal::new("contract", message, CONTRACT)));
    wrong.extend(imports(wasm, manifest, &GateRules::default()).err());
    wrong
}

/// Step 1, and the sizes of what step 3 reads.
fn sizes(wasm: &[u8]) -> Result<(), Refusal> {
    if wasm.len() > COMPONENT_BYTES {
        return Err(Refusal::new(
            "too-large",
            format!("has {} bytes, at most {COMPONENT_BYTES} are allowed", wasm.len()),
            "Build it for size, strip names and debug sections, and move data files into the connection",
        ));
    }
    let not_a_component = |e: ManifestError| {
        Refusal::new("not-a-component", e.to_string(), "Install the file that `confab plugin build DIR` wrote")
    };
    let section = |name: &str| custom_section(wasm, name).map_err(not_a_component);
    let manifest_bytes = section(MANIFEST_SECTION)?.map_or(0, <[u8]>::len);
    if manifest_bytes > MANIFEST_BYTES {
        let message = format!("its manifest has {manifest_bytes} bytes, at most {MANIFEST_BYTES} are allowed");
        return Err(Refusal::new("manifest", message, "Make the settings schema and the descriptions shorter"));
    }
    let docs_bytes = section(DOCS_SECTION)?.map_or(0, <[u8]>::len);
    if docs_bytes > DOCS_BYTES {
        let message = format!("its documentation has {docs_bytes} bytes, at most {DOCS_BYTES} are allowed");
        return Err(Refusal::new("manifest", message, "Make the doc comments of the plugin's own WIT files shorter"));
    }
    Ok(())
}

/// Steps 1 to 4: everything that can be known without compiling.
fn check(wasm: &[u8], rules: &GateRules) -> Result<Checked, Refusal> {
    sizes(wasm)?;
    let manifest = Manifest::of_component(wasm).map_err(|e| Refusal::manifest(e.to_string()))?;
    let mut notes = Vec::new();
    let signed_by = signature(wasm, &manifest, rules, &mut notes)?;
    if let Some(refusal) = unsound(&manifest).into_iter().next() {
        return Err(refusal);
    }
    (rules.more)(&manifest)?;
    imports(wasm, &manifest, rules).map(|()| Checked { digest: digest(wasm), manifest, signed_by, notes })
}

fn signature(
    wasm: &[u8],
    manifest: &Manifest,
    rules: &GateRules,
    notes: &mut Vec<String>,
) -> Result<Option<String>, Refusal> {
    let (code, what, sign) = match rules.trusted.verify(wasm, &manifest.publisher) {
        Ok(Some(key)) => return Ok(Some(key)),
        Ok(None) => {
            ("unsigned", "is not signed".to_owned(), "Have it signed (`confab plugin sign FILE --key NAME.key`)")
        }
        Err(e @ SignatureError::UnknownKey(_)) => {
            ("untrusted", format!("is {e}"), "Add the publisher's line to the file that --trusted-publishers names")
        }
        Err(e @ SignatureError::OtherPublisher { .. }) => {
            let help =
                "A key signs for one publisher: set `publisher` in plugin.toml to the name that the key is trusted for";
            return Err(Refusal::new("untrusted", format!("is {e}"), help));
        }
        Err(e) => {
            let help = "Get the file again from its publisher, or have it signed again with `confab plugin sign`";
            return Err(Refusal::new("tampered", e.to_string(), help));
        }
    };
    match rules.unsigned {
        Unsigned::Accepted => {
            notes.push(format!("it {what}: nobody vouches for it"));
            Ok(None)
        }
        Unsigned::NotAsked => Err(Refusal::new(code, what, format!("{sign}, or install it with --unsigned"))),
        Unsigned::Forbidden => Err(Refusal::new(
            code,
            what,
            format!(
                "{sign}; to take unsigned plugins, start the server with --allow-unsigned and install with --unsigned"
            ),
        )),
    }
}

/// What types and names leave open.
fn unsound(manifest: &Manifest) -> Vec<Refusal> {
    let mut wrong = Vec::new();
    let version = &manifest.version;
    let release = version.split('-').next().unwrap_or_default();
    let plain_number = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let pre = version.split_once('-').map(|(_, pre)| pre);
    let good_pre = pre.is_none_or(|pre| {
        pre.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    });
    let three = release.split('.').count() == 3 && release.split('.').all(|part| plain_number(part) && part.len() < 19);
    if !three || !good_pre || version.len() > VERSION_CHARS {
        wrong.push(format!(
            "version `{}` must be like 1.2.3 or 1.2.3-rc.1",
            version.chars().take(VERSION_CHARS).collect::<String>().escape_debug()
        ));
    }
    if !is_name(&manifest.publisher) {
        wrong.push(format!(
            "publisher `{}` must have 1 to 63 of a-z, 0-9 and -, and start with a letter",
            manifest.publisher.chars().take(63).collect::<String>().escape_debug()
        ));
    }
    if manifest.endpoints.len() > ENDPOINTS {
        wrong.push(format!("has {} endpoints, at most {ENDPOINTS} are allowed", manifest.endpoints.len()));
    }
    let mut names = HashSet::new();
    for endpoint in &manifest.endpoints {
        let name = shown(&endpoint.name);
        if !names.insert(endpoint.name.as_str()) {
            wrong.push(format!("endpoint `{name}` is there twice"));
        }
        for method in endpoint.methods.iter().filter(|method| !METHODS.contains(&method.as_str())) {
            wrong.push(format!(
                "endpoint `{name}` has the method `{}`; there are: {}",
                method.chars().take(20).collect::<String>().escape_debug(),
                METHODS.join(", ")
            ));
        }
        let one_way = endpoint.auth.is_null() || endpoint.auth.as_object().is_some_and(|auth| auth.len() < 2);
        if !one_way {
            wrong.push(format!(
                "endpoint `{name}`: `auth` must be a table with one way to sign in: [endpoints.auth.bearer]"
            ));
        }
    }
    let secrets: Vec<&str> =
        manifest.webhook.iter().flat_map(|webhook| &webhook.secrets).map(|secret| secret.name.as_str()).collect();
    if secrets.len() > WEBHOOK_SECRETS {
        wrong.push(format!("names {} secrets for webhooks, at most {WEBHOOK_SECRETS} are allowed", secrets.len()));
    }
    let mut names = HashSet::new();
    let twice = secrets.iter().filter(|name| !names.insert(**name));
    wrong.extend(twice.map(|name| format!("the webhook's secret `{}` is there twice", shown(name))));
    wrong.into_iter().map(Refusal::manifest).collect()
}

fn imports(wasm: &[u8], manifest: &Manifest, rules: &GateRules) -> Result<(), Refusal> {
    let Some(named) = &manifest.imports else {
        return Err(Refusal::new(
            "imports",
            "its manifest does not say what it imports",
            "Build it again with this version's `confab plugin build`",
        ));
    };
    let imports = imports_of(wasm).map_err(|e| {
        Refusal::new("not-a-component", e.to_string(), "Install the file that `confab plugin build DIR` wrote")
    })?;
    for import in &imports {
        if !named.iter().any(|pattern| import_fits(pattern, import)) {
            return Err(Refusal::new(
                "imports",
                format!("imports `{import}`, which its manifest does not name"),
                "Build it again with `confab plugin build`, which names all imports; if its source does not use this one, find out who added it",
            ));
        }
        if let Some(pattern) = rules.deny_imports.iter().find(|pattern| import_fits(pattern, import)) {
            return Err(Refusal::new(
                "denied-import",
                format!("imports `{import}`, which this server's operator denies (`{pattern}`)"),
                "Build it without this import, or have the operator take it out of --deny-imports",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

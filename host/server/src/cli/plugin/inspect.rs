//! `confab plugin inspect`: what a component is, needs and offers.

use anyhow::{Context, Result, anyhow};
use confab_sandbox::manifest::{EndpointManifest, OperationManifest, SecretEncoding, WebhookManifest};
use confab_sandbox::signature::{SignatureError, TrustedPublishers};
use confab_sandbox::{Plugin, Sandbox, SandboxConfig};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

/// Interfaces of the contract that are no capability, and what it means to have them.
const OTHERS: [(&str, &str); 4] = [
    ("health", "`confab connection check` works"),
    ("lifecycle", "prepared with its settings and files when it is applied"),
    ("files", "holds files to download"),
    ("webhook", "reads what the platform tells by itself"),
];

pub(super) fn inspect(file: &Path, json: bool) -> Result<()> {
    let wasm = std::fs::read(file).with_context(|| file.display().to_string())?;
    let cache = tempfile::tempdir()?;
    let sandbox =
        Sandbox::new(SandboxConfig { calls: 2, ..SandboxConfig::new(cache.path()) }).map_err(|e| anyhow!("{e:#}"))?;
    let plugin = sandbox.load(&wasm).with_context(|| file.display().to_string())?;
    if json {
        let all = serde_json::json!({
            "manifest": plugin.manifest(), "digest": plugin.digest(), "limits": plugin.limits(),
            "imports": plugin.imports(), "functions": plugin.callables().collect::<Vec<_>>(),
        });
        say!("{all:#}");
    } else {
        crate::say::bytes(page(&plugin, &signature(&wasm, &plugin.manifest().publisher)).as_bytes());
    }
    Ok(())
}

/// Who signed it, without judging whether they are trusted.
fn signature(wasm: &[u8], publisher: &str) -> String {
    match TrustedPublishers::default().verify(wasm, publisher) {
        Ok(None) => "none".into(),
        Ok(Some(key)) | Err(SignatureError::UnknownKey(key)) => {
            format!("key {key}; `confab plugin verify` tells whether it fits")
        }
        Err(e) => e.to_string(),
    }
}

fn page(plugin: &Plugin, signature: &str) -> String {
    let manifest = plugin.manifest();
    let kind = format!("{:?}", manifest.kind).to_lowercase();
    let mut out = format!("{} {} by {} ({kind})\n", manifest.name, manifest.version, manifest.publisher);
    let _ = writeln!(out, "{}\nsha256:{}\nsignature: {signature}", manifest.description, plugin.digest());
    section(&mut out, "imports", plugin.imports().iter().cloned());
    let functions = plugin.callables().map(|callable| {
        let text = callable.description.lines().next().unwrap_or_default();
        format!("{}.{}  {text}", callable.capability, callable.function)
    });
    section(&mut out, "functions", functions);
    let others = OTHERS.iter().filter(|(name, _)| plugin.has(name));
    section(&mut out, "beside them", others.map(|(name, meaning)| format!("{name}  {meaning}")));
    section(&mut out, "settings", settings(manifest.settings.as_ref()).into_iter());
    section(&mut out, "endpoints", manifest.endpoints.iter().map(endpoint));
    section(&mut out, "webhook", manifest.webhook.iter().flat_map(webhook));
    section(&mut out, "operations", manifest.operations.iter().map(operation));
    let limits = serde_json::to_value(plugin.limits()).unwrap_or_default();
    let limits: Vec<String> =
        limits.as_object().into_iter().flatten().map(|(name, value)| format!("{name} {value}")).collect();
    section(&mut out, "limits (an operator may change them)", std::iter::once(limits.join(", ")));
    out
}

/// A heading with its lines, indented; nothing where there are none.
fn section(out: &mut String, name: &str, lines: impl Iterator<Item = String>) {
    for (n, line) in lines.enumerate() {
        let heading = if n == 0 { format!("{name}:\n") } else { String::new() };
        let _ = writeln!(out, "{heading}  {}", line.trim_end());
    }
}

fn settings(schema: Option<&Value>) -> Vec<String> {
    let Some(schema) = schema else { return Vec::new() };
    let required: Vec<&Value> = schema.get("required").and_then(Value::as_array).into_iter().flatten().collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    let line = |(name, schema): (&String, &Value)| {
        let mut about: Vec<String> = Vec::new();
        about.extend(schema.get("type").map(|kind| kind.to_string().replace('"', "")));
        about.extend(required.iter().any(|r| *r == name).then(|| "needed".to_owned()));
        about.extend(schema.get("default").map(|default| format!("default {default}")));
        let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        format!("{name}{}  {text}", in_brackets(&about))
    };
    let lines: Vec<String> = properties.into_iter().flatten().map(line).collect();
    if lines.is_empty() { vec!["see the schema (--json)".to_owned()] } else { lines }
}

fn endpoint(endpoint: &EndpointManifest) -> String {
    let methods = if endpoint.methods.is_empty() { "any method".to_owned() } else { endpoint.methods.join(" ") };
    let auth = endpoint.auth.as_object().and_then(|auth| auth.keys().next());
    let auth = auth.map_or_else(|| "the connection says how to sign in".to_owned(), |kind| format!("auth {kind}"));
    let optional = endpoint.optional.then(|| "optional".to_owned());
    let about: Vec<String> = [methods, auth].into_iter().chain(optional).collect();
    format!("{}{}  {}", endpoint.name, in_brackets(&about), endpoint.description)
}

/// What to do at the platform, then the secrets.
fn webhook(webhook: &WebhookManifest) -> Vec<String> {
    let about = (!webhook.description.is_empty()).then(|| webhook.description.clone());
    let secrets = webhook.secrets.iter().map(|secret| {
        let encoding = match secret.encoding {
            SecretEncoding::Text => None,
            SecretEncoding::Base64 => Some("base64"),
            SecretEncoding::Hex => Some("hexadecimal"),
        };
        let optional = secret.optional.then_some("optional");
        let about: Vec<String> = ["secret"].into_iter().chain(encoding).chain(optional).map(str::to_owned).collect();
        format!("{}{}  {}", secret.name, in_brackets(&about), secret.description)
    });
    about.into_iter().chain(secrets).collect()
}

fn operation(operation: &OperationManifest) -> String {
    let mut about = Vec::new();
    about.extend(operation.reads.map(|reads| if reads { "reads".to_owned() } else { "changes something".to_owned() }));
    if let Some(cache) = &operation.cache {
        about.push(format!("kept {} s", cache.ttl_s));
        let stale = [
            (cache.stale_while_revalidate_s, "more while it is renewed"),
            (cache.stale_if_error_s, "more when the system is down"),
        ];
        about.extend(stale.iter().filter(|(s, _)| *s > 0).map(|(s, why)| format!("{s} s {why}")));
        about.extend((!cache.tags.is_empty()).then(|| format!("tags {}", cache.tags.join(" "))));
    }
    about.extend(
        (!operation.invalidates.is_empty()).then(|| format!("invalidates {}", operation.invalidates.join(" "))),
    );
    format!("{}  {}", operation.name, about.join(", "))
}

fn in_brackets(about: &[String]) -> String {
    if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) }
}

//! Reads `plugin.toml`, with errors that name file and line.
//!
//! What it means is not checked here: that takes the component, and then everything is said at once ([`super::examine`]).

use anyhow::{Context, Result, anyhow, bail};
use confab_sandbox::limits::LimitRequest;
use confab_sandbox::manifest::{EndpointManifest, Kind, Manifest, OperationManifest, WebhookManifest};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What `plugin.toml` says.
pub(super) struct PluginToml {
    /// The file.
    pub(super) file: PathBuf,
    /// What goes into the component.
    pub(super) manifest: Manifest,
    /// The file of the settings schema.
    pub(super) settings: Option<PathBuf>,
    /// The module or component that the plugin is made of; none for a Rust crate.
    pub(super) module: Option<PathBuf>,
}

/// As it is written: a [`Manifest`] whose files are named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    version: Option<String>,
    publisher: String,
    kind: Kind,
    #[serde(default)]
    description: String,
    settings: Option<String>,
    module: Option<String>,
    #[serde(default)]
    endpoints: Vec<EndpointManifest>,
    #[serde(default)]
    operations: Vec<OperationManifest>,
    webhook: Option<WebhookManifest>,
    #[serde(default)]
    limits: LimitRequest,
    imports: Option<Value>,
}

/// Reads the `plugin.toml` of a directory. `version` may be left out: it is then the crate's.
pub(super) fn read(dir: &Path) -> Result<PluginToml> {
    let file = dir.join("plugin.toml");
    let text = std::fs::read_to_string(&file).with_context(|| {
        format!("{}: a plugin needs a plugin.toml with at least name, publisher and kind", file.display())
    })?;
    let written: Written = toml::from_str(&text).map_err(|e| anyhow!("{}{}", file.display(), placed(&e, &text)))?;
    if written.imports.is_some() {
        bail!("{}: leave `imports` out: it is read from the component", file.display());
    }
    let settings = written.settings.map(|name| dir.join(name));
    let manifest = Manifest {
        name: written.name,
        version: written.version.map_or_else(|| crate_version(dir), Ok)?,
        publisher: written.publisher,
        kind: written.kind,
        description: written.description,
        settings: settings.as_deref().map(read_schema).transpose()?,
        endpoints: written.endpoints,
        operations: written.operations,
        webhook: written.webhook,
        limits: written.limits,
        imports: None,
    };
    let module = written.module.map(|name| dir.join(name));
    Ok(PluginToml { file, manifest, settings, module })
}

/// `:LINE:COLUMN: MESSAGE`, from 1, where the library knows the place.
fn placed(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().trim();
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return format!(": {message}") };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(":{line}:{column}: {message}")
}

fn read_schema(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{}: named in plugin.toml", file.display()))?;
    serde_json::from_str(&text).map_err(|e| anyhow!("{}:{}:{}: {e}", file.display(), e.line(), e.column()))
}

fn crate_version(dir: &Path) -> Result<String> {
    let file = dir.join("Cargo.toml");
    if !file.exists() {
        bail!("{}: `version` is missing (there is no crate to take it from)", dir.join("plugin.toml").display());
    }
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let table: toml::Table = toml::from_str(&text).map_err(|e| anyhow!("{}{}", file.display(), placed(&e, &text)))?;
    match table.get("package").and_then(|package| package.get("version")) {
        Some(toml::Value::String(version)) => Ok(version.clone()),
        // `version.workspace = true`: the workspace's own.
        _ => {
            let root = dir.canonicalize()?;
            root.ancestors()
                .skip(1)
                .filter_map(|parent| std::fs::read_to_string(parent.join("Cargo.toml")).ok())
                .filter_map(|text| toml::from_str::<toml::Table>(&text).ok())
                .find_map(|table| table.get("workspace")?.get("package")?.get("version")?.as_str().map(str::to_owned))
                .context(format!("{}: give the plugin a version in plugin.toml", file.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_missing_or_of_another_type_is_told_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let good = "name = \"x\"\nversion = \"1.0.0\"\npublisher = \"me\"\nkind = \"connector\"\n";
        for (text, wanted) in [
            (format!("{good}colour = \"red\"\n"), "plugin.toml:5:1: unknown field `colour`"),
            (good.replace("publisher = \"me\"\n", ""), "plugin.toml:1:1: missing field `publisher`"),
            (good.replace("\"connector\"", "\"connektor\""), "plugin.toml:4:8: unknown variant `connektor`"),
            (format!("{good}settings = 5\n"), "plugin.toml:5:12: invalid type: integer `5`"),
            (format!("{good}[[endpoints]]\nmethods = []\n"), "plugin.toml:5:1: missing field `name`"),
            (
                format!("{good}[[operations]]\nname = \"orders.get\"\ncache = {{ ttl = 5 }}\n"),
                "plugin.toml:7:11: unknown field `ttl`",
            ),
            (format!("{good}[webhook]\nsecrets = [\"signing\"]\n"), "plugin.toml:6:12: "),
            (format!("{good}[limits]\nmemory = 5\n"), "plugin.toml:6:1: unknown field `memory`"),
            (format!("{good}name = \"y\"\n"), "plugin.toml:5:1: duplicate key"),
        ] {
            std::fs::write(dir.path().join("plugin.toml"), text).unwrap();
            let told = read(dir.path()).map(|_| ()).unwrap_err().to_string();
            assert!(told.contains(wanted), "{wanted}: {told}");
        }
    }
}

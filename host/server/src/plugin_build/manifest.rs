//! Reads `plugin.toml`, with errors that name file and line.

use anyhow::{Context, Result, anyhow, bail};
use confab_sandbox::Manifest;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What `plugin.toml` says.
pub(super) struct PluginToml {
    /// What goes into the component.
    pub(super) manifest: Manifest,
    /// The module or component that the plugin is made of; none for a Rust crate.
    pub(super) module: Option<PathBuf>,
}

/// Reads the `plugin.toml` of a directory. `version` may be left out: it is then the crate's.
pub(super) fn read(dir: &Path) -> Result<PluginToml> {
    let file = dir.join("plugin.toml");
    let text = std::fs::read_to_string(&file).with_context(|| {
        format!("{}: a plugin needs a plugin.toml with at least name, publisher and kind", file.display())
    })?;
    let mut table: toml::Table = toml::from_str(&text).map_err(|e| anyhow!("{}: {e}", file.display()))?;
    if !table.contains_key("version") {
        table.insert("version".into(), toml::Value::String(crate_version(dir)?));
    }
    let module = match table.remove("module") {
        Some(toml::Value::String(name)) => Some(dir.join(name)),
        Some(_) => bail!("{}: `module` must name a .wat or .wasm file beside it", file.display()),
        None => None,
    };
    let schema = match table.remove("settings") {
        Some(toml::Value::String(name)) => Some(read_schema(dir, &name)?),
        Some(_) => bail!("{}: `settings` must name a JSON Schema file beside it", file.display()),
        None => None,
    };
    if table.contains_key("imports") {
        bail!("{}: leave `imports` out: it is read from the component", file.display());
    }
    let json = serde_json::to_value(table).context("plugin.toml")?;
    let mut manifest: Manifest = serde_json::from_value(json).map_err(|e| anyhow!("{}: {e}", file.display()))?;
    manifest.settings = schema;
    manifest.check().map_err(|e| anyhow!("{}: {e}", file.display()))?;
    Ok(PluginToml { manifest, module })
}

fn read_schema(dir: &Path, name: &str) -> Result<Value> {
    let file = dir.join(name);
    let text = std::fs::read_to_string(&file).with_context(|| format!("{}: named in plugin.toml", file.display()))?;
    serde_json::from_str(&text).map_err(|e| anyhow!("{}:{}:{}: {e}", file.display(), e.line(), e.column()))
}

fn crate_version(dir: &Path) -> Result<String> {
    let file = dir.join("Cargo.toml");
    if !file.exists() {
        bail!("{}: `version` is missing (there is no crate to take it from)", dir.join("plugin.toml").display());
    }
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let table: toml::Table = toml::from_str(&text).map_err(|e| anyhow!("{}: {e}", file.display()))?;
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

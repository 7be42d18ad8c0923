//! `confab plugin ...`

use crate::plugin_build::Builder;
use anyhow::{Context, Result, anyhow};
use clap::Subcommand;
use confab_sandbox::{Sandbox, SandboxConfig};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Build plugins from source (Rust, or a Wasm module) into components, one file each.
    Build {
        /// Directories with plugin.toml, and with Cargo.toml or the module that plugin.toml names.
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
        /// Where to put NAME.wasm.
        #[arg(long, default_value = "target/plugins")]
        out: PathBuf,
    },
    /// Show what a component is, what it needs and what it offers.
    Inspect {
        /// The component.
        file: PathBuf,
        /// As JSON, with schemas.
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Rollout(super::rollout::RolloutCommand),
}

pub(crate) fn run(command: PluginCommand) -> Result<()> {
    match command {
        PluginCommand::Build { dirs, out } => build(&dirs, &out),
        PluginCommand::Inspect { file, json } => inspect(&file, json),
        PluginCommand::Rollout(_) => Err(anyhow!("this command needs a server or its store")),
    }
}

fn build(dirs: &[PathBuf], out: &std::path::Path) -> Result<()> {
    let mut builder = Builder::default();
    for dir in dirs {
        let file = builder.build(dir, out)?;
        let bytes = std::fs::metadata(&file).map(|m| m.len()).unwrap_or_default();
        println!("{} ({} kB)", file.display(), bytes.div_ceil(1000));
    }
    Ok(())
}

fn inspect(file: &std::path::Path, json: bool) -> Result<()> {
    let wasm = std::fs::read(file).with_context(|| file.display().to_string())?;
    let cache = tempfile::tempdir()?;
    let sandbox =
        Sandbox::new(SandboxConfig { calls: 2, ..SandboxConfig::new(cache.path()) }).map_err(|e| anyhow!("{e:#}"))?;
    let plugin = sandbox.load(&wasm).with_context(|| file.display().to_string())?;
    let callables: Vec<_> = plugin.callables().collect();
    if json {
        let all = serde_json::json!({
            "manifest": plugin.manifest(), "digest": plugin.digest(), "limits": plugin.limits(),
            "imports": plugin.imports(), "functions": callables,
        });
        println!("{all:#}");
        return Ok(());
    }
    let manifest = plugin.manifest();
    println!("{} {} by {} ({:?})", manifest.name, manifest.version, manifest.publisher, manifest.kind);
    println!("{}\nsha256:{}", manifest.description, plugin.digest());
    println!("imports:");
    for import in plugin.imports() {
        println!("  {import}");
    }
    println!("functions:");
    for callable in callables {
        let text = callable.description.lines().next().unwrap_or_default();
        println!("  {}.{}  {text}", callable.capability, callable.function);
    }
    for endpoint in &manifest.endpoints {
        println!("endpoint {}: {}", endpoint.name, endpoint.description);
    }
    Ok(())
}

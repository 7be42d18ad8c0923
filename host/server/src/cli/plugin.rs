//! `confab plugin ...`

mod docs;
mod inspect;
pub(super) mod install;
mod sign;

use crate::plugin_build::Builder;
use anyhow::{Result, anyhow};
use clap::Subcommand;
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
    /// Print what connectors do, as Markdown.
    Docs {
        /// Their components.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Make a key to sign plugins with: NAME.key, which stays with you, and NAME.pub for operators who trust you.
    Keygen {
        /// The publisher that the key is for, as in plugin.toml.
        name: String,
        /// Where to put the two files.
        #[arg(long, default_value = ".")]
        out: PathBuf,
    },
    /// Sign a component, in place. An older signature is replaced.
    Sign {
        /// The component.
        file: PathBuf,
        /// The key's file.
        #[arg(long, env = "CONFAB_SIGNING_KEY")]
        key: PathBuf,
    },
    /// Check who signed a component.
    Verify {
        /// The component.
        file: PathBuf,
        /// Lines of the .pub files of publishers that you trust.
        #[arg(long)]
        trusted: PathBuf,
    },
    /// Install a plugin on all hosts that share the store, after checking all of it.
    Install {
        /// A file, or an https URL.
        file: String,
        /// Take it although nobody signed it whom the server trusts. The server must have been started with --allow-unsigned.
        #[arg(long)]
        unsigned: bool,
        /// What its SHA-256 must be: sha256:HEX.
        #[arg(long)]
        digest: Option<String>,
    },
    /// List installed plugins, and those in the plugin directory.
    List,
    /// Remove an installed version that nothing uses.
    Remove {
        /// The plugin.
        name: String,
        /// Its version.
        version: String,
    },
    #[command(flatten)]
    Rollout(super::rollout::RolloutCommand),
}

impl PluginCommand {
    /// Whether it needs no server and no store.
    pub(super) fn is_offline(&self) -> bool {
        !matches!(
            self,
            PluginCommand::Install { .. }
                | PluginCommand::List
                | PluginCommand::Remove { .. }
                | PluginCommand::Rollout(_)
        )
    }
}

/// Runs a command that is offline.
pub(crate) fn run(command: PluginCommand) -> Result<()> {
    match command {
        PluginCommand::Build { dirs, out } => build(&dirs, &out),
        PluginCommand::Inspect { file, json } => inspect::inspect(&file, json),
        PluginCommand::Docs { files } => docs::docs(&files),
        PluginCommand::Rollout(_) => Err(anyhow!("this command needs a server or its store")),
        PluginCommand::Keygen { name, out } => sign::keygen(&name, &out),
        PluginCommand::Sign { file, key } => sign::sign(&file, &key),
        PluginCommand::Verify { file, trusted } => sign::verify(&file, &trusted),
        PluginCommand::Install { .. } | PluginCommand::List | PluginCommand::Remove { .. } => {
            Err(anyhow!("this command needs a server or its store"))
        }
    }
}

fn build(dirs: &[PathBuf], out: &std::path::Path) -> Result<()> {
    let mut builder = Builder::default();
    for dir in dirs {
        let built = builder.build(dir, out)?;
        for warning in built.warnings {
            eprintln!("warning: {warning}");
        }
        let bytes = std::fs::metadata(&built.file).map(|m| m.len()).unwrap_or_default();
        say!("{} ({} kB)", built.file.display(), bytes.div_ceil(1000));
    }
    Ok(())
}

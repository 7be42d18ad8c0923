//! The commands.
//!
//! Those that change or ask something go through the same admin API as everybody: over the admin socket when a server
//! runs on this data directory, else by opening the store themselves ([`client`]).

pub(crate) mod apply;
mod breakers;
mod chat;
mod client;
mod connection;
mod events;
mod failures;
mod key;
mod plugin;
mod replay;
mod rollout;
mod usage;
mod webhook;

use crate::settings::{Common, Serve};
use clap::{Parser, Subcommand};
use plugin::PluginCommand;
use std::path::PathBuf;
use std::process::ExitCode;

/// Chatbots for many businesses, with sandboxed plugins.
#[derive(Debug, Parser)]
#[command(name = "confab", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve bots.
    Serve(Serve),
    /// Check a tenant's folder and serve what is in it.
    Apply {
        /// The folder: tenant.yaml, bots/, connections/, webhooks/.
        dir: PathBuf,
        /// Check everything, change nothing.
        #[arg(long)]
        check: bool,
        /// Remove the tenant's bots, connections and webhooks that are not in the folder.
        #[arg(long)]
        prune: bool,
    },
    /// Talk to a bot.
    Chat(chat::ChatArgs),
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Look at connections.
    #[command(subcommand)]
    Connection(connection::ConnectionCommand),
    /// Look at webhooks, test them, have messages sent again.
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Show what failed, newest first: whose fault it was, which limit ended it, what it had used.
    Failures(failures::FailuresArgs),
    /// Show what other systems told and what became of it; process it anew.
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Show what bots and connections used, by day.
    Usage(usage::UsageArgs),
    /// Show what is not called because it kept failing, or call it again.
    Breakers(breakers::BreakersArgs),
    /// Run turns of the past again, offline, and show what comes out otherwise.
    Replay(replay::ReplayArgs),
    /// Build, sign, install and look at plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Compile a plugin within limits. The server starts itself with this.
    #[command(name = COMPILE, hide = true)]
    Compile {
        /// The component.
        wasm: PathBuf,
        /// Where to put the code.
        code: PathBuf,
        /// MiB of address space.
        memory_mib: u64,
        /// Seconds of CPU time.
        cpu_s: u64,
    },
}

/// See [`Command::Compile`].
pub(crate) const COMPILE: &str = "compile-plugin";

/// Runs the command line. Errors go to standard error with all their causes.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        // Before any thread is started: it gives up what it has.
        Command::Compile { wasm, code, memory_mib, cpu_s } => {
            let code = confab_sandbox::compile::child(&wasm, &code, memory_mib, cpu_s);
            return u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from);
        }
        Command::Plugin(command) if command.is_offline() => plugin::run(command),
        command => match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(run(cli.common, command)),
            Err(e) => Err(e.into()),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(common: Common, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(serve) => crate::serve::run(common, serve).await,
        Command::Apply { dir, check, prune } => apply::run(&common, &dir, check, prune).await,
        Command::Chat(args) => chat::run(&common, args).await,
        Command::Key(command) => key::run(&common, command).await,
        Command::Connection(command) => connection::run(&common, command).await,
        Command::Webhook(command) => webhook::run(&common, command).await,
        Command::Plugin(PluginCommand::Rollout(command)) => rollout::run(&common, command).await,
        Command::Failures(args) => failures::run(&common, args).await,
        Command::Replay(args) => replay::run(&common, args).await,
        Command::Events(command) => events::run(&common, command).await,
        Command::Usage(args) => usage::run(&common, args).await,
        Command::Breakers(args) => breakers::run(&common, args).await,
        Command::Plugin(command) => plugin::install::run(&common, command).await,
        Command::Compile { .. } => Ok(()),
    }
}

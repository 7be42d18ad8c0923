//! The commands.

mod plugin;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Chatbots for many businesses, with sandboxed plugins.
#[derive(Debug, Parser)]
#[command(name = "confab", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build and look at plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
}

/// Runs the command line. Errors go to standard error with all their causes.
pub(crate) fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Plugin(command) => plugin::run(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

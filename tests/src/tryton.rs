//! A real Tryton with a shop's data in it, by the scripts of `systems/tryton`.
//!
//! The first test on a machine installs it (a minute, by pip); from then on it takes seconds. Each value is a server of
//! its own on a copy of the seeded database.

use crate::place;
use crate::redis::free_port;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The password that the scripts give to the user `chatbot`: a fixture, not a secret.
pub const PASSWORD: &str = "connector-pass-1";

/// A running Tryton. Dropping it stops it.
#[derive(Debug)]
pub struct Tryton {
    port: u16,
    dir: TempDir,
}

fn script(name: &str) -> PathBuf {
    place::root().join("tests/systems/tryton").join(name)
}

impl Tryton {
    /// Starts one. Blocks for seconds, the first time on a machine for a minute.
    ///
    /// # Errors
    /// When it can't be installed or started.
    pub async fn start() -> Result<Tryton> {
        tokio::task::spawn_blocking(|| {
            run(&["ensure"])?;
            let tryton = Tryton { port: free_port()?, dir: tempfile::tempdir()? };
            run(&["start", &tryton.port.to_string(), &tryton.dir.path().display().to_string()])?;
            Ok(tryton)
        })
        .await?
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The database's URL.
    pub fn url(&self) -> String {
        format!("http://{}/erp", self.address())
    }

    /// What is really there, by JSON-RPC and past everything of ours: `leads` or `parties` with an e-mail address.
    ///
    /// # Errors
    /// When Tryton can't be asked.
    pub async fn find(&self, what: &str, email: &str) -> Result<Vec<Value>> {
        let (url, what, email) = (self.url(), what.to_owned(), email.to_owned());
        let output = tokio::task::spawn_blocking(move || {
            Command::new("python3").arg(script("query.py")).args([&url, &what, "--email", &email]).output()
        })
        .await??;
        // Status 1 with an empty list means that nothing was found.
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    // Not `output`: the server that it leaves behind would hold the pipe open.
    let status = Command::new(script("tryton.sh")).args(arguments).stdout(std::process::Stdio::null()).status()?;
    ensure!(status.success(), "tryton.sh {arguments:?} failed (see above)");
    Ok(())
}

impl Drop for Tryton {
    fn drop(&mut self) {
        let _ = run(&["stop", &self.dir.path().display().to_string()]);
    }
}

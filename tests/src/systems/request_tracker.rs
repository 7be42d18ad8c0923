//! A real Request Tracker with a shop's tickets in it, by the scripts of `systems/request-tracker`.
//!
//! Each value is a server of its own on a copy of the seeded database, which can be read past everything of ours.

use crate::place;
use crate::redis::free_port;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Reads a database and prints its rows as JSON, without waiting for or disturbing the server.
const QUERY: &str = "import json, sqlite3, sys
rows = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True).execute(sys.argv[2], sys.argv[3:]).fetchall()
print(json.dumps(rows))";

/// Where Debian's package has the program.
const SERVER: &str = "/usr/share/request-tracker5/libexec/rt-server";

/// A running Request Tracker. Dropping it stops it.
#[derive(Debug)]
pub struct RequestTracker {
    port: u16,
    dir: TempDir,
}

fn run(arguments: &[&str]) -> Result<()> {
    let script = place::root().join("tests/systems/request-tracker/request-tracker.sh");
    // Not `output`: the server that it leaves behind would hold the pipe open.
    let status = Command::new(script).args(arguments).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "request-tracker.sh {arguments:?} failed (see above)");
    Ok(())
}

fn cache() -> Result<PathBuf> {
    let home = std::env::var_os("RT_HOME").map(PathBuf::from);
    let usual = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/confab-tests/request-tracker"));
    home.or_else(usual).context("HOME is not set")
}

/// Whether it was installed and seeded on this machine: then it starts within seconds.
pub fn installed() -> bool {
    cache().is_ok_and(|dir| dir.join("stamp").is_file()) && std::path::Path::new(SERVER).is_file()
}

impl RequestTracker {
    /// Starts one. Blocks for seconds, the first time on a machine for minutes.
    ///
    /// # Errors
    /// When it can't be installed or started.
    pub async fn start() -> Result<RequestTracker> {
        tokio::task::spawn_blocking(|| {
            run(&["ensure"])?;
            let rt = RequestTracker { port: free_port()?, dir: tempfile::tempdir()? };
            run(&["start", &rt.port.to_string(), &rt.dir.path().display().to_string()])?;
            Ok(rt)
        })
        .await?
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What people open in a browser, and connections call.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The auth token of a user: `chatbot`, `chatadmin` (may create users) or `chatlooks` (may only read).
    ///
    /// # Errors
    /// When there is none.
    pub fn token(&self, user: &str) -> Result<String> {
        let file = cache()?.join(format!("{user}.token"));
        std::fs::read_to_string(&file).with_context(|| file.display().to_string())
    }

    /// Rows of RT's own database.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn rows(&self, sql: &str, values: &[&str]) -> Result<Vec<Value>> {
        let mut command = Command::new("python3");
        command.args(["-c", QUERY]).arg(self.dir.path().join("rt.sqlite")).arg(sql).args(values);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

impl Drop for RequestTracker {
    fn drop(&mut self) {
        let _ = run(&["stop", &self.dir.path().display().to_string()]);
    }
}

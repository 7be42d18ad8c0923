//! A real Vendure with a shop's data in it, by the scripts of `systems/vendure`.
//!
//! The first test on a machine installs it (some minutes, by npm); from then on it takes seconds. Each value is a server of its own on a copy
//! of the seeded database.

use crate::client::plain_http;
use crate::place;
use crate::redis::free_port;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A running Vendure. Dropping it stops it.
#[derive(Debug)]
pub struct Vendure {
    port: u16,
    dir: TempDir,
}

impl Vendure {
    /// Starts one. Blocks for seconds, the first time on a machine for minutes.
    ///
    /// # Errors
    /// When it can't be installed or started.
    pub async fn start() -> Result<Vendure> {
        tokio::task::spawn_blocking(|| {
            run(&["ensure"])?;
            let vendure = Vendure { port: free_port()?, dir: tempfile::tempdir()? };
            run(&["start", &vendure.port.to_string(), &vendure.dir.path().display().to_string()])?;
            Ok(vendure)
        })
        .await?
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The server's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The API key of a role that the seed made: `chatbot` or `stock-only`. A fixture, not a secret.
    ///
    /// # Errors
    /// When there is none.
    pub fn key(&self, role: &str) -> Result<String> {
        let home = std::env::var_os("VENDURE_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/confab-tests/vendure")));
        let file = home.context("there is no $HOME")?.join("keys.json");
        let keys: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
        keys[role].as_str().map(str::to_owned).with_context(|| format!("no key for {role}"))
    }

    /// What is really there, past everything of ours: the data of a question that the shop's administrator asks.
    ///
    /// # Errors
    /// When Vendure refuses it.
    pub async fn ask(&self, document: &str, variables: Value) -> Result<Value> {
        let (client, url) = (plain_http()?, format!("{}/admin-api", self.url()));
        let login = "mutation { login(username: \"superadmin\", password: \"superadmin-pw-1\") { __typename ... on ErrorResult { message } } }";
        let signed_in = client.post(&url).body(json!({"query": login}).to_string());
        let signed_in = signed_in.header("content-type", "application/json").send().await?;
        let token = signed_in.headers().get("vendure-auth-token").context("the administrator can't sign in")?.clone();
        let asked = client.post(&url).header("authorization", [b"Bearer ".as_slice(), token.as_bytes()].concat());
        let asked = asked.header("content-type", "application/json");
        let answer = asked.body(json!({"query": document, "variables": variables}).to_string()).send().await?;
        let mut answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
        ensure!(answer["errors"].is_null(), "{answer}");
        Ok(answer["data"].take())
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    let script = place::root().join("tests/systems/vendure/vendure.sh");
    // Not `output`: the server that it leaves behind would hold the pipe open.
    let status = Command::new(script).args(arguments).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "vendure.sh {arguments:?} failed (see above)");
    Ok(())
}

impl Drop for Vendure {
    fn drop(&mut self) {
        let _ = run(&["stop", &self.dir.path().display().to_string()]);
    }
}

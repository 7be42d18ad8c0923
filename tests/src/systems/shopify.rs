//! Shopify's Admin GraphQL API with Shopify's own schema, by the scripts of `systems/shopify`.
//!
//! The schema refuses what Shopify's does; behaviour and data are ours, as strict as Shopify documents it. The first test on a machine fetches
//! the schema (by npm); from then on it takes seconds. Each value is a server of its own with fresh data.

use crate::client::plain_http;
use crate::place;
use crate::redis::free_port;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Shopify {
    port: u16,
    dir: TempDir,
}

impl Shopify {
    /// Starts one. Blocks for seconds.
    ///
    /// # Errors
    /// When it can't be installed or started.
    pub async fn start() -> Result<Shopify> {
        tokio::task::spawn_blocking(|| {
            run(&["ensure"])?;
            let shopify = Shopify { port: free_port()?, dir: tempfile::tempdir()? };
            run(&["start", &shopify.port.to_string(), &shopify.dir.path().display().to_string()])?;
            Ok(shopify)
        })
        .await?
    }

    /// Host and port, as `--allow-private` wants it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The shop's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// What is really there, past everything of ours: `customers`, `orders`, and the `requests` that were made.
    ///
    /// # Errors
    /// When the server can't be asked.
    pub async fn state(&self) -> Result<Value> {
        let answer = plain_http()?.get(format!("{}/_test/state", self.url())).send().await?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    let script = place::root().join("tests/systems/shopify/shopify.sh");
    // Not `output`: the server that it leaves behind would hold the pipe open.
    let status = Command::new(script).args(arguments).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "shopify.sh {arguments:?} failed (see above)");
    Ok(())
}

impl Drop for Shopify {
    fn drop(&mut self) {
        let _ = run(&["stop", &self.dir.path().display().to_string()]);
    }
}

//! `confab plugin install|list|remove`, through the admin API.

use super::PluginCommand;
use crate::cli::client::Client;
use crate::settings::Common;
use anyhow::{Context, Result, bail};
use confab_engine::egress::download;
use confab_sandbox::limits::COMPONENT_BYTES;
use http::Method;
use hyper::body::Bytes;
use serde_json::Value;
use std::time::Duration;

/// Time to download a plugin. The largest takes 20 s with 25 Mbit/s.
const DOWNLOAD: Duration = Duration::from_secs(300);

pub(crate) async fn run(common: &Common, command: PluginCommand) -> Result<()> {
    match command {
        PluginCommand::Install { file, unsigned, digest } => {
            let wasm = bytes_of(common, &file).await?;
            check_digest(&wasm, digest.as_deref())?;
            let client = Client::open(common).await?;
            let outcome = install(&client, &file, wasm, unsigned).await;
            client.close().await;
            outcome
        }
        PluginCommand::List => {
            let client = Client::open(common).await?;
            let outcome = client.json(Method::GET, "/api/admin/plugins", None).await;
            client.close().await;
            list(&outcome?);
            Ok(())
        }
        PluginCommand::Remove { name, version } => {
            let client = Client::open(common).await?;
            let path = format!("/api/admin/plugins/{}/{}", plain(&name)?, plain(&version)?);
            let outcome = client.json(Method::DELETE, &path, None).await;
            client.close().await;
            let gone = outcome?;
            say!("removed {} {}", text(&gone, "name"), text(&gone, "version"));
            Ok(())
        }
        offline => super::run(offline),
    }
}

/// What may stand in a path as it is.
fn plain(part: &str) -> Result<&str> {
    if part.is_empty()
        || part.starts_with('.')
        || !part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
    {
        bail!("`{}` is no name and no version of a plugin", part.escape_debug());
    }
    Ok(part)
}

async fn bytes_of(common: &Common, file: &str) -> Result<Bytes> {
    if file.contains("://") {
        return download(file, COMPONENT_BYTES, DOWNLOAD, &common.ca_files).await.with_context(|| file.to_owned());
    }
    let size = std::fs::metadata(file).with_context(|| file.to_owned())?.len();
    if size > COMPONENT_BYTES as u64 {
        bail!("{file} has {size} bytes, at most {COMPONENT_BYTES} are allowed");
    }
    Ok(Bytes::from(std::fs::read(file).with_context(|| file.to_owned())?))
}

fn check_digest(wasm: &[u8], wanted: Option<&str>) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let found = confab_sandbox::engine::digest(wasm);
    let hex = wanted.strip_prefix("sha256:").context("--digest must be sha256:HEX")?;
    if !hex.eq_ignore_ascii_case(&found) {
        bail!("the file has the digest sha256:{found}, not {wanted}: it is not the file that you meant");
    }
    Ok(())
}

async fn install(client: &Client, file: &str, wasm: Bytes, unsigned: bool) -> Result<()> {
    let path = if unsigned { "/api/admin/plugins?unsigned=true" } else { "/api/admin/plugins" };
    let answer = client.send_as(Method::POST, path, "application/wasm", wasm).await?;
    let installed = answer.json().with_context(|| format!("{file} was not installed"))?;
    for note in installed.get("notes").and_then(Value::as_array).into_iter().flatten() {
        say!("note: {}", note.as_str().unwrap_or_default());
    }
    let done = if installed.get("already") == Some(&Value::Bool(true)) { "is installed already" } else { "installed" };
    say!(
        "{} {} by {} {done}\nsha256:{}",
        text(&installed, "name"),
        text(&installed, "version"),
        text(&installed, "publisher"),
        text(&installed, "digest")
    );
    Ok(())
}

fn list(listed: &Value) {
    let rows = |name: &str| listed.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    say!("{:<24} {:<12} {:<10} {:<16} {:<18} DIGEST", "NAME", "VERSION", "KIND", "PUBLISHER", "SIGNED BY");
    for row in rows("installed") {
        let signed = row.get("signed_by").and_then(Value::as_str).unwrap_or("(unsigned)");
        say!(
            "{:<24} {:<12} {:<10} {:<16} {signed:<18} {}",
            text(&row, "name"),
            text(&row, "version"),
            text(&row, "kind"),
            text(&row, "publisher"),
            text(&row, "digest")
        );
    }
    for row in rows("plugins") {
        let manifest = row.get("manifest").cloned().unwrap_or_default();
        say!(
            "{:<24} {:<12} {:<10} {:<16} {:<18} {}",
            text(&row, "name"),
            text(&manifest, "version"),
            text(&manifest, "kind"),
            text(&manifest, "publisher"),
            "(directory)",
            text(&row, "digest")
        );
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

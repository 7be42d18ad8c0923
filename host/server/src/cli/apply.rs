//! `confab apply DIR`

use super::client::Client;
use crate::api::App;
use crate::api::admin::config::ApplyRequest;
use crate::settings::Common;
use anyhow::{Context, Result, bail};
use confab_engine::engine::{ApplyError, ApplyOptions};
use confab_engine::{Finding, SourceFile};
use http::{Method, StatusCode};
use serde_json::Value;
use std::path::Path;

/// Most files of a folder; more is the wrong folder.
const MAX_FILES: usize = 2_000;
/// Endings that a tenant's folder is made of.
const ENDINGS: &[&str] = &["yaml", "yml", "csv", "json", "md", "txt"];

pub(super) async fn run(common: &Common, dir: &Path, check: bool, prune: bool) -> Result<()> {
    let files = read_folder(dir)?;
    let client = if check { Client::open_to_look(common).await? } else { Client::open(common).await? };
    let body = serde_json::to_value(ApplyRequest { files, check_only: check, prune })?;
    let answer = client.send(Method::POST, "/api/admin/apply", Some(&body)).await?;
    client.close().await;
    let value: Value = serde_json::from_slice(&answer.body).context("the answer is no JSON")?;
    let list = if answer.status.is_success() { "warnings" } else { "findings" };
    for finding in value.get(list).and_then(Value::as_array).into_iter().flatten() {
        let finding: Finding = serde_json::from_value(finding.clone())?;
        eprintln!("{}/{finding}", dir.display());
    }
    if answer.status == StatusCode::UNPROCESSABLE_ENTITY && value.get("findings").is_some() {
        bail!("nothing was changed");
    }
    answer.json()?;
    let names = |field: &str| {
        let all = value.get(field).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let tenant = value.get("tenant").and_then(Value::as_str).unwrap_or_default();
    let done = if check { "checked" } else { "applied" };
    say!("{done} tenant {tenant}: bots {}; connections {}", names("bots"), names("connections"));
    if !names("removed").is_empty() {
        say!("removed: {}", names("removed"));
    }
    Ok(())
}

/// `confab serve --apply DIR`
pub(crate) async fn at_start(app: &App, dir: &Path) -> Result<()> {
    let files = read_folder(dir)?;
    match app.engine.apply(&files, ApplyOptions::default()).await {
        Ok(report) => {
            for warning in &report.warnings {
                eprintln!("{}/{warning}", dir.display());
            }
            Ok(())
        }
        Err(ApplyError::Findings(findings)) => {
            for finding in &findings {
                eprintln!("{}/{finding}", dir.display());
            }
            bail!("{} was not applied", dir.display())
        }
        Err(e) => Err(e).with_context(|| dir.display().to_string()),
    }
}

/// All files of a folder that belong to a tenant's configuration, with paths relative to it.
fn read_folder(dir: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| format!("can't read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let mut kind = entry.file_type()?;
            if kind.is_symlink() {
                // A mounted ConfigMap is made of links to files. Links to folders could go round in circles.
                kind = std::fs::metadata(&path).with_context(|| format!("can't read {}", path.display()))?.file_type();
                if kind.is_dir() {
                    bail!("{} is a link to a folder; put the folder itself there", path.display());
                }
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && path.extension().and_then(|e| e.to_str()).is_some_and(|e| ENDINGS.contains(&e))
            {
                let relative = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                let content = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
                files.push(SourceFile { path: relative, content });
                if files.len() > MAX_FILES {
                    bail!("{} has more than {MAX_FILES} files: is it the right folder?", dir.display());
                }
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

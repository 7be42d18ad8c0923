//! `confab plugin upgrade|promote|rollback|rollouts`

use super::client::Client;
use crate::settings::Common;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use confab_engine::Finding;
use http::{Method, StatusCode};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Give a share of the conversations to another version; again with another share to widen it.
    Upgrade {
        /// The plugin.
        plugin: String,
        /// The version.
        version: String,
        /// Conversations that get it, of a hundred.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
        share: u8,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Make the version that is tried the stable one.
    Promote {
        /// The plugin.
        plugin: String,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Take the version back that is tried; without one, go back to what was stable before.
    Rollback {
        /// The plugin.
        plugin: String,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// List which versions are stable and which are tried.
    Rollouts,
}

/// What is meant; without any, everything that uses the plugin.
#[derive(Debug, Args)]
pub(crate) struct ScopeArgs {
    /// Only this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Only this bot of the tenant.
    #[arg(long, requires = "tenant", conflicts_with = "connection")]
    bot: Option<String>,
    /// Only this connection of the tenant.
    #[arg(long, requires = "tenant")]
    connection: Option<String>,
}

impl ScopeArgs {
    fn body(&self) -> Value {
        json!({"tenant": self.tenant, "bot": self.bot, "connection": self.connection})
    }
}

pub(super) async fn run(common: &Common, command: RolloutCommand) -> Result<()> {
    let client = Client::open(common).await?;
    let outcome = with(&client, command).await;
    client.close().await;
    outcome
}

async fn with(client: &Client, command: RolloutCommand) -> Result<()> {
    match command {
        RolloutCommand::Upgrade { plugin, version, share, scope } => {
            let mut body = scope.body();
            if let Some(body) = body.as_object_mut() {
                body.insert("version".into(), json!(version));
                body.insert("share".into(), json!(share));
            }
            change(client, &plugin, "upgrade", &body).await
        }
        RolloutCommand::Promote { plugin, scope } => change(client, &plugin, "promote", &scope.body()).await,
        RolloutCommand::Rollback { plugin, scope } => change(client, &plugin, "rollback", &scope.body()).await,
        RolloutCommand::Rollouts => {
            let listed = client.json(Method::GET, "/api/admin/rollouts", None).await?;
            for rollout in listed.get("rollouts").and_then(Value::as_array).into_iter().flatten() {
                say!("{}", line(rollout));
            }
            Ok(())
        }
    }
}

async fn change(client: &Client, plugin: &str, what: &str, body: &Value) -> Result<()> {
    let plugin: String = plugin.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let path = format!("/api/admin/rollouts/{plugin}/{what}");
    let answer = client.send(Method::POST, &path, Some(body)).await?;
    let value: Value = serde_json::from_slice(&answer.body).context("the answer is no JSON")?;
    for finding in value.get("findings").and_then(Value::as_array).into_iter().flatten() {
        let finding: Finding = serde_json::from_value(finding.clone())?;
        eprintln!("{finding}");
    }
    if answer.status == StatusCode::UNPROCESSABLE_ENTITY && value.get("findings").is_some() {
        bail!("nothing was changed");
    }
    let changed = answer.json()?;
    let count = |field: &str| changed.get(field).and_then(Value::as_u64).unwrap_or_default();
    say!("{} ({} bots, {} connections)", line(&changed), count("bots"), count("connections"));
    Ok(())
}

/// `flow shop/bot/shop: 0.1.0, tries 0.2.0 for 10 % since ...`
fn line(rollout: &Value) -> String {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut out = text(rollout, "plugin");
    for (field, before) in [("tenant", " "), ("bot", "/bot/"), ("connection", "/connection/")] {
        if let Some(name) = rollout.get(field).and_then(Value::as_str) {
            out.push_str(before);
            out.push_str(name);
        }
    }
    out.push_str(&format!(": {}", text(rollout, "stable")));
    if let Some(candidate) = rollout.get("candidate").filter(|candidate| candidate.is_object()) {
        let share = candidate.get("share").and_then(Value::as_u64).unwrap_or_default();
        let (version, since) = (text(candidate, "version"), text(candidate, "since"));
        out.push_str(&format!(", tries {version} for {share} % since {since}"));
    }
    if let Some(previous) = rollout.get("previous").and_then(Value::as_str) {
        out.push_str(&format!(", before {previous}"));
    }
    if let Some(back) = rollout.get("rolled_back").filter(|back| back.is_object()) {
        let (version, at, reason) = (text(back, "version"), text(back, "at"), text(back, "reason"));
        out.push_str(&format!(", took {version} back at {at}: {reason}"));
    }
    out
}

//! `confab key ...`

use super::client::{Client, query};
use crate::gateway::keys::Scope;
use crate::settings::Common;
use anyhow::{Result, bail};
use clap::Subcommand;
use confab_engine::config::bundle::duration_s;
use http::Method;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key. Its secret is shown once.
    Create {
        /// Tenant whose bots it opens.
        #[arg(long)]
        tenant: String,
        /// The only bot that it opens; all of the tenant's without.
        #[arg(long)]
        bot: Option<String>,
        /// What it is for.
        #[arg(long, default_value = "")]
        label: String,
        /// What it may do. May be repeated. [default: chat]
        #[arg(long = "scope", value_enum)]
        scopes: Vec<Scope>,
        /// Time to live: 90s, 30m, 24h, 365d. Without, it does not expire.
        #[arg(long)]
        expires: Option<String>,
        /// Requests a minute, instead of the host's setting.
        #[arg(long)]
        rate: Option<u32>,
        /// Print the key alone.
        #[arg(long)]
        quiet: bool,
    },
    /// List keys, without secrets.
    List {
        /// Only this tenant's.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Refuse a key from now on.
    Revoke {
        /// Its id, cfb_...; the whole key does too.
        id: String,
    },
}

pub(super) async fn run(common: &Common, command: KeyCommand) -> Result<()> {
    let client = Client::open(common).await?;
    let outcome = with(&client, command).await;
    client.close().await;
    outcome
}

async fn with(client: &Client, command: KeyCommand) -> Result<()> {
    match command {
        KeyCommand::Create { tenant, bot, label, scopes, expires, rate, quiet } => {
            let expires_in_s = expires.as_deref().map(seconds).transpose()?;
            let body = json!({"tenant": tenant, "bot": bot, "label": label, "scopes": scopes, "expires_in_s": expires_in_s, "rate": rate});
            let made = client.json(Method::POST, "/api/admin/keys", Some(&body)).await?;
            let text = |field: &str| made.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            if !quiet {
                eprintln!("key {} for tenant {tenant}; this is the only time its secret is shown:", text("id"));
            }
            say!("{}", text("key"));
        }
        KeyCommand::List { tenant } => {
            let listed =
                client.json(Method::GET, &format!("/api/admin/keys{}", query(tenant.as_deref())), None).await?;
            say!("{:<18} {:<16} {:<16} {:<24} {:<9} {:<22} LABEL", "ID", "TENANT", "BOT", "SCOPES", "STATE", "EXPIRES");
            for key in listed.get("keys").and_then(Value::as_array).into_iter().flatten() {
                let text = |field: &str, none: &str| key.get(field).and_then(Value::as_str).unwrap_or(none).to_owned();
                let scopes: Vec<&str> = key
                    .get("scopes")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let state = if key.get("revoked").is_some_and(Value::is_string) { "revoked" } else { "good" };
                say!(
                    "{:<18} {:<16} {:<16} {:<24} {state:<9} {:<22} {}",
                    text("id", ""),
                    text("tenant", ""),
                    text("bot", "all"),
                    scopes.join(","),
                    text("expires", "never"),
                    text("label", "")
                );
            }
        }
        KeyCommand::Revoke { id } => {
            let id: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect();
            let revoked = client.json(Method::DELETE, &format!("/api/admin/keys/{id}"), None).await?;
            say!("revoked {}", revoked.get("id").and_then(Value::as_str).unwrap_or_default());
        }
    }
    Ok(())
}

fn seconds(text: &str) -> Result<u64> {
    match duration_s(text) {
        Some(seconds) => Ok(seconds),
        None => bail!("--expires {text}: write 90s, 30m, 24h or 365d"),
    }
}

//! `confab breakers`

use super::client::{Client, parameters, printable};
use crate::settings::Common;
use anyhow::Result;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

#[derive(Debug, Args)]
pub(crate) struct BreakersArgs {
    #[command(subcommand)]
    command: Option<BreakersCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BreakersCommand {
    /// List endpoints with their state, and plugins in quarantine (the default).
    List {
        /// Only this tenant's.
        #[arg(long)]
        tenant: Option<String>,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Call an endpoint or run a plugin again at once.
    Reset {
        /// The tenant.
        #[arg(long)]
        tenant: String,
        /// The connection of the endpoint.
        #[arg(long, requires = "endpoint", conflicts_with = "plugin", required_unless_present = "plugin")]
        connection: Option<String>,
        /// The endpoint.
        #[arg(long, requires = "connection")]
        endpoint: Option<String>,
        /// The plugin.
        #[arg(long)]
        plugin: Option<String>,
    },
}

pub(super) async fn run(common: &Common, args: BreakersArgs) -> Result<()> {
    let client = Client::open_existing(common).await?;
    let outcome = with(&client, args.command.unwrap_or(BreakersCommand::List { tenant: None, json: false })).await;
    client.close().await;
    outcome
}

async fn with(client: &Client, command: BreakersCommand) -> Result<()> {
    match command {
        BreakersCommand::List { tenant, json } => {
            let query = parameters(&[("tenant", tenant.as_deref())]);
            let listed = client.json(Method::GET, &format!("/api/admin/breakers{query}"), None).await?;
            if json {
                say!("{listed}");
                return Ok(());
            }
            for kind in ["plugins", "endpoints"] {
                for breaker in listed.get(kind).and_then(Value::as_array).into_iter().flatten() {
                    say!("{}", line(breaker));
                }
            }
        }
        BreakersCommand::Reset { tenant, connection, endpoint, plugin } => {
            let query = parameters(&[
                ("tenant", Some(&tenant)),
                ("connection", connection.as_deref()),
                ("endpoint", endpoint.as_deref()),
                ("plugin", plugin.as_deref()),
            ]);
            client.json(Method::DELETE, &format!("/api/admin/breakers{query}"), None).await?;
            say!("it is called again");
        }
    }
    Ok(())
}

fn line(breaker: &Value) -> String {
    let text = |name: &str| printable(breaker.get(name).and_then(Value::as_str).unwrap_or_default());
    let what = match text("plugin") {
        plugin if plugin.is_empty() => {
            format!("{}/{} endpoint {}", text("tenant"), text("connection"), text("endpoint"))
        }
        plugin => format!("{} plugin {plugin}@{}", text("tenant"), text("version")),
    };
    let mut line = format!("{:<8} {what}", text("state"));
    for (name, word) in [("since", "since"), ("until", "until"), ("reason", "last failure:")] {
        if !text(name).is_empty() {
            line.push_str(&format!("  {word} {}", text(name)));
        }
    }
    line
}

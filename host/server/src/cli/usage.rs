//! `confab usage`

use super::client::{Client, bytes, count, duration, parameters, printable};
use crate::settings::Common;
use anyhow::Result;
use clap::Args;
use http::Method;
use serde_json::Value;

#[derive(Debug, Args)]
pub(crate) struct UsageArgs {
    /// Only this tenant's.
    #[arg(long)]
    tenant: Option<String>,
    /// The first day, in UTC: 2026-11-22. [default: six days before the last]
    #[arg(long)]
    from: Option<String>,
    /// The last day. [default: today]
    #[arg(long)]
    to: Option<String>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(common: &Common, args: UsageArgs) -> Result<()> {
    let client = Client::open_existing(common).await?;
    let query =
        parameters(&[("tenant", args.tenant.as_deref()), ("from", args.from.as_deref()), ("to", args.to.as_deref())]);
    let report = client.json(Method::GET, &format!("/api/admin/usage{query}"), None).await;
    client.close().await;
    let report = report?;
    if args.json {
        say!("{report}");
        return Ok(());
    }
    say!(
        "{:<10} {:<32} {:<20} {:>8} {:>8} {:>10} {:>10} {:>10} {:>10}",
        "DAY",
        "BOT OR CONNECTION",
        "PLUGIN",
        "CALLS",
        "FAILED",
        "FUEL",
        "CPU",
        "MEMORY",
        "OUT"
    );
    let empty = Vec::new();
    let rows = report.get("rows").and_then(Value::as_array).unwrap_or(&empty);
    for row in rows.iter().chain(report.get("total")) {
        say!("{}", line(row));
    }
    Ok(())
}

fn line(row: &Value) -> String {
    let text = |name: &str| printable(row.get(name).and_then(Value::as_str).unwrap_or_default());
    let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
    let who = match (text("bot"), text("connection")) {
        (bot, _) if !bot.is_empty() => format!("{}/{bot}", text("tenant")),
        (_, connection) if !connection.is_empty() => format!("{}/{connection} (connection)", text("tenant")),
        _ => "all".to_owned(),
    };
    format!(
        "{:<10} {who:<32} {:<20} {:>8} {:>8} {:>10} {:>10} {:>10} {:>10}",
        text("day"),
        text("plugin"),
        number("calls"),
        number("failures"),
        count(number("fuel")),
        duration(number("cpu_us")),
        bytes(number("peak_memory")),
        bytes(number("bytes_out"))
    )
}

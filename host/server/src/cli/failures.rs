//! `confab failures`

use super::client::{Client, bytes, count, duration, parameters, printable};
use crate::settings::Common;
use anyhow::Result;
use clap::Args;
use http::Method;
use serde_json::Value;
use std::fmt::Write as _;

/// Records that one request asks for.
const PAGE: usize = 200;

#[derive(Debug, Args)]
pub(crate) struct FailuresArgs {
    /// Only this tenant's.
    #[arg(long)]
    tenant: Option<String>,
    /// Only of this bot.
    #[arg(long)]
    bot: Option<String>,
    /// Only of this connection.
    #[arg(long)]
    connection: Option<String>,
    /// Only of this plugin.
    #[arg(long)]
    plugin: Option<String>,
    /// Only of this kind: fuel, time, memory, trap, contract, http-status, timeout, ...
    #[arg(long)]
    kind: Option<String>,
    /// Only by the fault of guest (the plugin), host or upstream (the business system).
    #[arg(long)]
    blame: Option<String>,
    /// How many, newest first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print the records as JSON, one a line.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(common: &Common, args: FailuresArgs) -> Result<()> {
    let client = Client::open_existing(common).await?;
    let outcome = show(&client, &args).await;
    client.close().await;
    outcome
}

async fn show(client: &Client, args: &FailuresArgs) -> Result<()> {
    let (mut left, mut before, mut shown) = (usize::try_from(args.limit)?, None::<String>, 0);
    while left > 0 {
        let limit = left.min(PAGE).to_string();
        let query = parameters(&[
            ("tenant", args.tenant.as_deref()),
            ("bot", args.bot.as_deref()),
            ("connection", args.connection.as_deref()),
            ("plugin", args.plugin.as_deref()),
            ("kind", args.kind.as_deref()),
            ("blame", args.blame.as_deref()),
            ("limit", Some(&limit)),
            ("before", before.as_deref()),
        ]);
        let page = client.json(Method::GET, &format!("/api/admin/failures{query}"), None).await?;
        let records = page.get("failures").and_then(Value::as_array).cloned().unwrap_or_default();
        for record in &records {
            if args.json {
                say!("{record}");
            } else {
                crate::say::bytes(text(record).as_bytes());
            }
        }
        shown += records.len();
        left -= records.len().min(left);
        before = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if before.is_none() || records.is_empty() {
            break;
        }
    }
    if shown == 0 && !args.json {
        say!("nothing failed that is still known");
    } else if before.is_some() && !args.json {
        say!("there are older ones: --limit");
    }
    Ok(())
}

/// A record for people: what and whose fault in the first line, what it used in the second, where it was below.
fn text(record: &Value) -> String {
    let field = |name: &str| printable(record.get(name).and_then(Value::as_str).unwrap_or_default());
    let number = |name: &str| record.get(name).and_then(Value::as_u64).unwrap_or(0);
    let lines = |name: &str| record.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut out = format!(
        "{}  {:<8}  {}@{} {} {}: {}",
        field("at"),
        field("blame"),
        field("plugin"),
        field("version"),
        field("function"),
        field("kind"),
        field("message")
    );
    let times = number("count");
    if times > 1 {
        let _ = write!(out, "  ({times} times)");
    }
    let mut about = format!("tenant {}", field("tenant"));
    for name in ["bot", "connection", "conversation", "turn"] {
        if !field(name).is_empty() {
            let _ = write!(about, ", {name} {}", field(name));
        }
    }
    let _ = write!(out, "\n    {about}, request {}\n", field("request_id"));
    if !field("endpoint").is_empty() {
        let status = number("status");
        let status = if status > 0 { status.to_string() } else { "no answer".to_owned() };
        let _ = write!(out, "    {}: {} {} -> {status}", field("endpoint"), field("method"), field("path"));
        if number("attempts") > 0 {
            let _ = write!(out, ", {}", duration(number("duration_ms").saturating_mul(1_000)));
        }
        if number("attempts") > 1 {
            let _ = write!(out, ", {} tries", number("attempts"));
        }
        if !field("provider_request_id").is_empty() {
            let _ = write!(out, ", their request {}", field("provider_request_id"));
        }
        out.push('\n');
    } else if number("wall_us") > 0 {
        let _ = writeln!(
            out,
            "    fuel {}, cpu {}, memory {}, wall {}, {} host call(s)",
            count(number("fuel")),
            duration(number("cpu_us")),
            bytes(number("peak_memory")),
            duration(number("wall_us")),
            number("host_calls")
        );
    }
    for (name, mark) in [("last_lines", "|"), ("backtrace", "at")] {
        for line in lines(name) {
            let _ = writeln!(out, "      {mark} {}", printable(line.as_str().unwrap_or_default()));
        }
    }
    let suppressed = number("suppressed");
    if suppressed > 0 {
        let _ = writeln!(
            out,
            "    {suppressed} other failure(s) of the tenant at this time were not kept: there were too many"
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_is_readable_and_what_a_plugin_wrote_can_not_move_the_cursor() {
        let record = json!({"at": "2026-11-22T10:00:00Z", "blame": "guest", "plugin": "panics", "version": "1.0.0",
            "function": "handle", "kind": "trap", "message": "panicked\u{1b}[2J", "tenant": "shop", "bot": "b", "request_id": "r",
            "fuel": 1_234_567, "cpu_us": 10, "peak_memory": 1_114_112, "wall_us": 250, "host_calls": 1, "count": 3,
            "last_lines": ["panicked at src/lib.rs:12: told to"], "backtrace": ["panics::handle"]});
        let text = text(&record);
        let expected = "2026-11-22T10:00:00Z  guest     panics@1.0.0 handle trap: panicked [2J  (3 times)\n    tenant shop, bot b, request r\n    fuel 1234.6 k, cpu 10 us, memory 1.1 MiB, wall 250 us, 1 host call(s)\n      | panicked at src/lib.rs:12: told to\n      at panics::handle\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_call_of_a_business_system_is_told_with_its_tries_and_their_id() {
        let record = json!({"at": "2026-11-22T10:00:00Z", "blame": "upstream", "plugin": "acme", "version": "1.0.0",
            "function": "orders.get", "kind": "http-status", "message": "erp.example answered 503", "tenant": "shop",
            "connection": "erp", "request_id": "r", "count": 1, "endpoint": "api", "method": "GET", "path": "/orders",
            "status": 503, "attempts": 3, "duration_ms": 412, "provider_request_id": "abc-1"});
        let line = "    api: GET /orders -> 503, 412.0 ms, 3 tries, their request abc-1\n";
        assert!(text(&record).ends_with(line), "{}", text(&record));
    }
}

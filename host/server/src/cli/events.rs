//! `confab events`

use super::client::{Client, encoded, parameters, printable};
use crate::settings::Common;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Events that one request asks for.
const PAGE: usize = 200;

#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// List events with what became of them, newest first.
    List(ListArgs),
    /// List the events that could not be processed.
    Dead(ListArgs),
    /// Show one event with its data.
    Show {
        /// Its id.
        id: String,
        /// The tenant.
        #[arg(long)]
        tenant: String,
        /// Its source, if the id is not unique: a connection, or `api`.
        #[arg(long)]
        source: Option<String>,
    },
    /// Process events anew: each is a new turn in the conversations that are meant.
    Replay {
        /// The event's id.
        #[arg(required_unless_present = "since", conflicts_with_all = ["since", "until", "status"])]
        id: Option<String>,
        /// The tenant.
        #[arg(long)]
        tenant: String,
        /// Its source, if the id is not unique.
        #[arg(long, requires = "id")]
        source: Option<String>,
        /// All that came in since then: 2026-11-22T10:32:00Z.
        #[arg(long)]
        since: Option<String>,
        /// Up to then. [default: now]
        #[arg(long, requires = "since")]
        until: Option<String>,
        /// Which of them: dead, done or ignored. [default: dead]
        #[arg(long, requires = "since")]
        status: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// Only these: pending, done, ignored or dead.
    #[arg(long)]
    status: Option<String>,
    /// Only from this source: a connection, or `api`.
    #[arg(long)]
    source: Option<String>,
    /// Only of this name: order.shipped.
    #[arg(long)]
    name: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print them as JSON, one a line.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(common: &Common, command: EventsCommand) -> Result<()> {
    let client = Client::open_existing(common).await?;
    let outcome = with(&client, command).await;
    client.close().await;
    outcome
}

async fn with(client: &Client, command: EventsCommand) -> Result<()> {
    match command {
        EventsCommand::List(args) => list(client, &args).await,
        EventsCommand::Dead(args) if args.status.is_some() => bail!("`confab events dead` knows the status: dead"),
        EventsCommand::Dead(args) => list(client, &ListArgs { status: Some("dead".to_owned()), ..args }).await,
        EventsCommand::Show { id, tenant, source } => {
            let query = parameters(&[("tenant", Some(&tenant)), ("source", source.as_deref())]);
            let event = client.json(Method::GET, &format!("/api/admin/events/{}{query}", encoded(&id)), None).await?;
            say!("{}", serde_json::to_string_pretty(&event)?);
            Ok(())
        }
        EventsCommand::Replay { id, tenant, source, since, until, status } => {
            let query = parameters(&[("tenant", Some(&tenant))]);
            let mut body = json!({});
            let given = [("id", id), ("source", source), ("since", since), ("until", until), ("status", status)];
            for (name, value) in given {
                if let (Some(object), Some(value)) = (body.as_object_mut(), value) {
                    object.insert(name.to_owned(), value.into());
                }
            }
            let replayed = client.json(Method::POST, &format!("/api/admin/events/replay{query}"), Some(&body)).await?;
            say!("{} event(s) are processed anew", replayed.get("replayed").and_then(Value::as_u64).unwrap_or(0));
            Ok(())
        }
    }
}

async fn list(client: &Client, args: &ListArgs) -> Result<()> {
    let (mut left, mut before, mut shown) = (usize::try_from(args.limit)?, None::<String>, 0);
    while left > 0 {
        let limit = left.min(PAGE).to_string();
        let query = parameters(&[
            ("tenant", Some(&args.tenant)),
            ("status", args.status.as_deref()),
            ("source", args.source.as_deref()),
            ("name", args.name.as_deref()),
            ("limit", Some(&limit)),
            ("before", before.as_deref()),
        ]);
        let page = client.json(Method::GET, &format!("/api/admin/events{query}"), None).await?;
        let events = page.get("events").and_then(Value::as_array).cloned().unwrap_or_default();
        for event in &events {
            if args.json {
                say!("{event}");
            } else {
                say!("{}", line(event));
            }
        }
        shown += events.len();
        left -= events.len().min(left);
        before = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if before.is_none() {
            break;
        }
    }
    if shown == 0 && !args.json {
        say!("no such events are known");
    } else if before.is_some() && !args.json {
        say!("there may be older ones: --limit");
    }
    Ok(())
}

/// An event for people.
fn line(event: &Value) -> String {
    let text = |name: &str| printable(event.get(name).and_then(Value::as_str).unwrap_or_default());
    let number = |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut out = format!(
        "{}  {:<7}  {}  {}  {}",
        text("received_at"),
        text("status"),
        text("event"),
        text("source"),
        text("id")
    );
    let subjects: Vec<String> = event
        .get("subjects")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(printable)
        .collect();
    if !subjects.is_empty() {
        let _ = write!(out, "  about {}", subjects.join(", "));
    }
    if text("status") != "pending" && text("status") != "ignored" {
        let _ = write!(out, "  told {}", number("told"));
    }
    if number("tries") > 1 {
        let _ = write!(out, "  {} tries", number("tries"));
    }
    if number("replay") > 0 {
        let _ = write!(out, "  replay {}", number("replay"));
    }
    if !text("error").is_empty() {
        let _ = write!(out, "\n    {}", text("error"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_and_why_it_is_dead_another() {
        let event = json!({"id": "e-1", "source": "api", "event": "order.shipped", "status": "dead", "subjects": ["order:1\u{1b}[2J"],
            "received_at": "2026-11-22T10:00:00Z", "tries": 8, "told": 0, "replay": 1, "error": "bot `shop`: the event has no `data.x`"});
        let expected = "2026-11-22T10:00:00Z  dead     order.shipped  api  e-1  about order:1 [2J  told 0  8 tries  replay 1\n    bot `shop`: the event has no `data.x`";
        assert_eq!(line(&event), expected);
    }
}

//! `confab webhook ...`

use super::client::{Client, parameters, printable, query};
use crate::settings::Common;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

/// Which webhook.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The webhook.
    id: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// List webhooks: whether messages go through, how many wait, and when the next try is.
    List {
        /// Only this tenant's.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Show the last tries of deliveries, newest first.
    Deliveries {
        #[command(flatten)]
        which: Which,
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Send a signed `webhook.ping` now and show what the receiver says.
    Ping {
        #[command(flatten)]
        which: Which,
    },
    /// Have messages sent again that the receiver took once: one by its id, or all of a time.
    Replay {
        #[command(flatten)]
        which: Which,
        /// The message: msg_...
        #[arg(long, conflicts_with_all = ["since", "until"])]
        message: Option<String>,
        /// What happened from then on: 2026-11-23T04:00:00Z
        #[arg(long, required_unless_present = "message")]
        since: Option<String>,
        /// What happened before then.
        #[arg(long)]
        until: Option<String>,
    },
    /// Let messages through again, those that wait first.
    Enable {
        #[command(flatten)]
        which: Which,
    },
    /// Keep messages back until the webhook is enabled.
    Disable {
        #[command(flatten)]
        which: Which,
    },
}

pub(super) async fn run(common: &Common, command: WebhookCommand) -> Result<()> {
    let client = Client::open_existing(common).await?;
    let outcome = with(&client, command).await;
    client.close().await;
    outcome
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, field: &str) -> u64 {
    value.get(field).and_then(Value::as_u64).unwrap_or_default()
}

impl Which {
    fn path(&self, what: &str, more: &[(&str, Option<&str>)]) -> String {
        let plain: String = self.id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let parameters = parameters(&[&[("tenant", Some(self.tenant.as_str()))], more].concat());
        format!("/api/admin/webhooks/{plain}/{what}{parameters}")
    }
}

fn say_state(webhook: &Value) {
    let waiting = match number(webhook, "waiting") {
        0 => String::new(),
        waiting => format!(", {waiting} waiting"),
    };
    let next = match (number(webhook, "failed_attempts"), text(webhook, "next_attempt_at")) {
        (0, _) | (_, "") => String::new(),
        (tries, next) => format!(", {tries} tries failed, next at {next}"),
    };
    let reason = Some(text(webhook, "reason")).filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| format!(": {}", printable(reason))).unwrap_or_default();
    let (tenant, id, state) = (text(webhook, "tenant"), text(webhook, "id"), text(webhook, "state"));
    say!("{tenant}/{id} {state}{waiting}{next} {}{reason}", printable(text(webhook, "url")));
}

fn say_delivery(delivery: &Value) {
    let status = delivery.get("status").and_then(Value::as_u64).map_or("-".to_owned(), |status| status.to_string());
    let mut line = format!(
        "{} {status:<4} {} {} try {} {} ms",
        text(delivery, "at"),
        text(delivery, "message_id"),
        text(delivery, "type"),
        number(delivery, "attempt"),
        number(delivery, "ms")
    );
    for (field, words) in [("error", ""), ("next_attempt_at", "next ")] {
        if !text(delivery, field).is_empty() {
            line.push_str(&format!(" {words}{}", printable(text(delivery, field))));
        }
    }
    say!("{line}");
}

async fn with(client: &Client, command: WebhookCommand) -> Result<()> {
    match command {
        WebhookCommand::List { tenant } => {
            let path = format!("/api/admin/webhooks{}", query(tenant.as_deref()));
            let listed = client.json(Method::GET, &path, None).await?;
            listed.get("webhooks").and_then(Value::as_array).into_iter().flatten().for_each(say_state);
        }
        WebhookCommand::Deliveries { which, limit } => {
            let path = which.path("deliveries", &[("limit", Some(&limit.to_string()))]);
            let listed = client.json(Method::GET, &path, None).await?;
            listed.get("deliveries").and_then(Value::as_array).into_iter().flatten().for_each(say_delivery);
        }
        WebhookCommand::Ping { which } => {
            let pinged = client.json(Method::POST, &which.path("ping", &[]), None).await?;
            say_delivery(pinged.get("delivery").unwrap_or(&Value::Null));
            let answer = text(&pinged, "answer");
            if !answer.is_empty() {
                say!("{}", printable(answer));
            }
            if pinged.get("taken").and_then(Value::as_bool) != Some(true) {
                bail!("webhook {} did not take it", which.id);
            }
        }
        WebhookCommand::Replay { which, message, since, until } => {
            let given = [("message_id", message), ("since", since), ("until", until)];
            let body: serde_json::Map<String, Value> =
                given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect();
            let done = client.json(Method::POST, &which.path("replay", &[]), Some(&Value::Object(body))).await?;
            say!("{} messages are sent again", number(&done, "replayed"));
        }
        WebhookCommand::Enable { which } => {
            say_state(&client.json(Method::POST, &which.path("enable", &[]), None).await?);
        }
        WebhookCommand::Disable { which } => {
            say_state(&client.json(Method::POST, &which.path("disable", &[]), None).await?);
        }
    }
    Ok(())
}

//! `confab chat`: a bot in the terminal, for whoever writes one.

use super::client::{Client, query};
use crate::settings::Common;
use anyhow::Result;
use clap::Args;
use http::Method;
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal};

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The bot; may be left out when the tenant has one.
    #[arg(long)]
    bot: Option<String>,
    /// Language, e.g. `de`.
    #[arg(long)]
    locale: Option<String>,
    /// Id of the visitor to play.
    #[arg(long)]
    visitor: Option<String>,
    /// Say this and leave. Without, messages are read line by line.
    message: Vec<String>,
}

pub(super) async fn run(common: &Common, args: ChatArgs) -> Result<()> {
    let client = Client::open(common).await?;
    let outcome = talk(&client, &args).await;
    client.close().await;
    outcome
}

async fn talk(client: &Client, args: &ChatArgs) -> Result<()> {
    let path = format!("/api/chat{}", query(Some(&args.tenant)));
    let mut conversation: Option<String> = None;
    let terminal = std::io::stdin().is_terminal();
    let mut lines = std::io::stdin().lock().lines();
    let mut first = (!args.message.is_empty()).then(|| args.message.join(" "));
    let once = first.is_some();
    loop {
        let message = match first.take() {
            Some(message) => message,
            None if once => return Ok(()),
            None => {
                if terminal {
                    crate::say::bytes(b"> ");
                }
                match lines.next() {
                    Some(line) => line?,
                    None => return Ok(()),
                }
            }
        };
        if message.trim().is_empty() {
            continue;
        }
        let body = json!({"message": message, "conversation_id": conversation, "bot": args.bot, "locale": args.locale, "visitor": args.visitor});
        match client.json(Method::POST, &path, Some(&body)).await {
            Ok(answer) => {
                conversation = answer.get("conversation_id").and_then(Value::as_str).map(str::to_owned);
                print_answer(&answer);
            }
            Err(e) if !once && terminal => eprintln!("error: {e:#}"),
            Err(e) => return Err(e),
        }
    }
}

fn print_answer(answer: &Value) {
    for reply in answer.get("replies").and_then(Value::as_array).into_iter().flatten() {
        say!("{}", reply.get("text").and_then(Value::as_str).unwrap_or_default());
        let choices = reply.get("choices").and_then(Value::as_array).into_iter().flatten();
        let labels: Vec<String> =
            choices.filter_map(|c| c.get("label").and_then(Value::as_str)).map(|label| format!("[{label}]")).collect();
        if !labels.is_empty() {
            say!("  {}", labels.join(" "));
        }
    }
    if let Some(reason) = answer.pointer("/handoff/reason").and_then(Value::as_str) {
        say!("  (hands over to people: {reason})");
    }
}

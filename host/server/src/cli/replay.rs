//! `confab replay`: a turn of the past, run again, step by step.

use super::client::{Client, printable, query};
use crate::settings::Common;
use anyhow::{Context, Result, bail};
use clap::Args;
use http::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Turns, or conversations for all of their turns: the turn_id or conversation_id of an answer; `-` reads them from
    /// standard input, one a line.
    #[arg(required_unless_present = "test")]
    turns: Vec<String>,
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The bot; may be left out when the tenant has one.
    #[arg(long)]
    bot: Option<String>,
    /// Run it on this component instead of the plugin that serves.
    #[arg(long)]
    plugin: Option<PathBuf>,
    /// Keep the conversation in this file, as a test of the bot. The file holds what the visitor wrote.
    #[arg(long, conflicts_with_all = ["plugin", "test"])]
    save: Option<PathBuf>,
    /// Run conversations that were kept, and fail if a visitor would see anything else.
    #[arg(long, num_args = 1.., conflicts_with = "turns")]
    test: Vec<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
    /// Print how many came to the same, as JSON, and nothing else.
    #[arg(long, conflicts_with = "json")]
    counts: bool,
}

/// What was run.
#[derive(Debug, Default)]
struct Counts {
    turns: u64,
    equal: u64,
    without_record: u64,
}

pub(super) async fn run(common: &Common, args: ReplayArgs) -> Result<()> {
    let client = Client::open_existing(common).await?;
    let outcome = with(&client, args).await;
    client.close().await;
    outcome
}

async fn with(client: &Client, args: ReplayArgs) -> Result<()> {
    let plugin = args.plugin.as_deref().map(std::path::absolute).transpose()?;
    if let Some(file) = &args.save {
        let [turn] = args.turns.as_slice() else { bail!("name one conversation to keep in {}", file.display()) };
        return save(client, &args, turn, file).await;
    }
    let mut counts = Counts::default();
    for file in &args.test {
        let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        let recorded: Value =
            serde_json::from_str(&text).with_context(|| format!("{} is no recorded conversation", file.display()))?;
        let body = json!({"recorded": recorded, "plugin": plugin});
        let answer =
            client.json(Method::POST, &path(&args), Some(&body)).await.with_context(|| file.display().to_string())?;
        counts.add(&answer);
        show(&answer, &args, false);
    }
    let named = named(&args.turns)?;
    for turn in &named {
        let body = json!({"turn": turn, "bot": args.bot, "plugin": plugin});
        let sent = client.send(Method::POST, &path(&args), Some(&body)).await?;
        if sent.code().as_deref() == Some("not-found") && named.len() > 1 {
            counts.without_record += 1;
            continue;
        }
        let answer = sent.json().map_err(|e| client.elsewhere(sent.status, e))?;
        counts.add(&answer);
        show(&answer, &args, named.len() == 1);
    }
    let different = counts.turns - counts.equal;
    if args.counts {
        let Counts { turns, equal, without_record } = counts;
        say!("{}", json!({"turns": turns, "equal": equal, "different": different, "without_record": without_record}));
    } else if !args.json {
        say!("{} of {} turns came to the same", counts.equal, counts.turns);
    }
    if different > 0 {
        bail!("{different} turn(s) came out otherwise");
    }
    Ok(())
}

impl Counts {
    fn add(&mut self, answer: &Value) {
        let count = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
        self.equal += count("equal");
        self.turns += count("equal") + count("different");
        self.without_record += count("without_record");
    }
}

fn path(args: &ReplayArgs) -> String {
    format!("/api/admin/replay{}", query(Some(&args.tenant)))
}

/// The turns that were named, those of standard input among them.
fn named(turns: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for turn in turns {
        if turn == "-" {
            let lines = std::io::read_to_string(std::io::stdin())?;
            all.extend(lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
        } else {
            all.push(turn.clone());
        }
    }
    Ok(all)
}

async fn save(client: &Client, args: &ReplayArgs, turn: &str, file: &Path) -> Result<()> {
    let body = json!({"turn": turn, "bot": args.bot, "record": true});
    let recorded = client.json(Method::POST, &path(args), Some(&body)).await?;
    let text = serde_json::to_string_pretty(&recorded)?;
    std::fs::write(file, text).with_context(|| format!("can't write {}", file.display()))?;
    say!("kept in {}; run it with: confab replay --tenant {} --test {}", file.display(), args.tenant, file.display());
    Ok(())
}

/// Tells of each turn; of those that came to the same only when there are few.
fn show(answer: &Value, args: &ReplayArgs, few: bool) {
    if args.counts {
        return;
    }
    if args.json {
        return say!("{answer}");
    }
    let text = |value: &Value, name: &str| printable(value.get(name).and_then(Value::as_str).unwrap_or_default());
    for turn in answer.get("turns").and_then(Value::as_array).into_iter().flatten() {
        let equal = turn.get("equal").and_then(Value::as_bool) == Some(true);
        if equal && !few {
            continue;
        }
        let number = turn.get("number").and_then(Value::as_u64).unwrap_or_default();
        say!("turn {number} {}: {}", text(turn, "turn"), text(turn, "text"));
        for note in turn.get("notes").and_then(Value::as_array).into_iter().flatten() {
            say!("  note: {}", printable(note.as_str().unwrap_or_default()));
        }
        for step in turn.get("steps").and_then(Value::as_array).into_iter().flatten() {
            let (arguments, gave) = (step.get("arguments").cloned(), step.get("gave").cloned());
            let (arguments, gave) = (arguments.unwrap_or_default().to_string(), gave.unwrap_or_default().to_string());
            say!("  {} {} ({})", text(step, "call"), printable(&arguments), text(step, "then"));
            say!("    gave {}", printable(&gave));
        }
        for line in turn.get("log").and_then(Value::as_array).into_iter().flatten() {
            say!("  log: {}", printable(line.as_str().unwrap_or_default()));
        }
        for difference in turn.get("differences").and_then(Value::as_array).into_iter().flatten() {
            say!(
                "  {} was {}",
                text(difference, "what"),
                printable(&difference.get("was").cloned().unwrap_or_default().to_string())
            );
            say!(
                "  {} is  {}",
                text(difference, "what"),
                printable(&difference.get("is").cloned().unwrap_or_default().to_string())
            );
        }
        if equal {
            say!("  came to the same");
        }
    }
}

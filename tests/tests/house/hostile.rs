//! Plugins that misbehave. The visitor reads the bot's fallback, the operator finds it counted, and nobody else feels it.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::folder::Folder;
use confab_tests::metric::Metrics;
use confab_tests::server::{Host, Server};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Guests that every limit of computing, memory and calls ends, and the limit; the others are in `hostile_museum`.
const ENDED_BY: &[(&str, &str)] = &[
    ("spins", "fuel"),
    ("computes-too-long", "time"),
    ("allocates", "memory"),
    ("recurses", "stack"),
    ("calls-in-a-loop", "host-calls"),
    ("panics", "trap"),
];
/// Conversations with each of them at once, and messages in each but for the German one. Fewer than ten failures in all:
/// a plugin that fails ten times in a row is not run any more.
const TALKS: usize = 3;
const MESSAGES: usize = 2;
/// Lines of log that a call may write, and bytes of one.
const LOG_LINES: usize = 256;
const LOG_LINE_BYTES: usize = 2 << 10;

async fn open(guests: &[&str]) -> Result<(Server, Client)> {
    let folder = Folder::shop()?;
    for guest in guests {
        folder.guest_as(guest, guest, &[("inventory", "shop-data")])?;
    }
    let host = Host::new()?.apply(folder.path()).serving("--key-rate", "1000000").serving("--visitor-rate", "1000000");
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    Ok((server, client))
}

/// Talks with the shop's bot for as long as it is let, and says how often and how long the slowest answer took.
pub(crate) async fn shop_goes_on(
    client: Client,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> Result<(usize, Duration)> {
    let (mut rounds, mut slowest) = (0, Duration::ZERO);
    while !*stop.borrow_and_update() {
        let mut talk = client.talk().with("shop");
        for (question, answer) in
            [("Do you have SKU-1001 in stock?", "5 available"), ("and what does it cost?", "349.00")]
        {
            let asked = Instant::now();
            talk.hears(question, &[answer]).await?;
            slowest = slowest.max(asked.elapsed());
        }
        rounds += 1;
    }
    Ok((rounds, slowest))
}

async fn suffer(client: &Client, guest: &str) -> Result<()> {
    let mut talk = client.talk().with(guest);
    for _ in 0..MESSAGES {
        let said = talk.say("panic").await?;
        ensure!(said.response == format!("{guest} failed"), "{guest} answers: {}", said.response);
        ensure!(said.body["intent"] == Value::Null && said.body["handoff"] == Value::Null, "{}", said.body);
    }
    let german = client.talk().with(guest).in_language("de-AT").say("panic").await?;
    ensure!(german.response == format!("{guest} ist ausgefallen"), "{guest} answers: {}", german.response);
    // What the visitor read is in the transcript like any other turn.
    let messages = client.transcript(talk.id()?, &format!("?bot={guest}")).await?;
    ensure!(messages.len() == 2 * MESSAGES, "{messages:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_plugin_does_its_visitors_get_the_fallback_and_all_others_their_answers() -> Result<()> {
    let names: Vec<&str> = ENDED_BY.iter().map(|(guest, _)| *guest).collect();
    let (mut server, client) = open(&names).await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let shop = tokio::spawn(shop_goes_on(client.clone(), stopped));
    for (guest, kind) in ENDED_BY {
        let talks = (0..TALKS).map(|_| suffer(&client, guest));
        for talk in futures::future::join_all(talks).await {
            talk?;
        }
        server.lives()?;
        let metrics = Metrics::of(&client).await?;
        let turns = (TALKS * (MESSAGES + 1)) as f64;
        let fallback = metrics.sum("confab_turns_total", &[("bot", guest), ("outcome", "fallback")]);
        ensure!(fallback == turns, "{guest}: {fallback} of {turns} fallbacks counted");
        let answered = metrics.sum("confab_turns_total", &[("bot", guest), ("outcome", "answered")]);
        ensure!(answered == 0.0, "{guest}: {answered} turns counted as answered");
        let failures = metrics.sum("confab_plugin_failures_total", &[("plugin", guest), ("kind", kind)]);
        let refused = metrics.sum("confab_plugin_failures_total", &[("plugin", guest), ("kind", "quarantined")]);
        let all = metrics.sum("confab_plugin_failures_total", &[("plugin", guest)]);
        ensure!(
            // After ten failures it is not even run.
            failures >= turns.min(10.0) && failures + refused == turns && all == turns,
            "{guest}: {failures} failures of kind {kind}, {refused} refused and {all} of all for {turns}"
        );
    }
    stop.send_replace(true);
    let (rounds, slowest) = shop.await??;
    ensure!(rounds > ENDED_BY.len(), "the shop's bot answered {rounds} times only");
    // A fuel or time limit must not become everybody's: two cores are shared by the guests and all else that runs.
    ensure!(slowest < Duration::from_secs(10), "the shop's visitors waited up to {slowest:?}");
    let metrics = Metrics::of(&client).await?;
    ensure!(
        metrics.sum("confab_turns_total", &[("bot", "shop"), ("outcome", "fallback")]) == 0.0,
        "{}",
        metrics.text()
    );
    let places = metrics.sum("confab_plugin_places_free", &[("kind", "intent")]);
    ensure!(places == 128.0, "places for plugin calls are lost: {places} are free");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_turn_leaves_the_conversation_as_it_was_and_its_author_a_record() -> Result<()> {
    let (server, client) = open(&["panics"]).await?;
    let mut talk = client.talk().with("panics");
    talk.hears("hello", &["1: hello"]).await?;
    talk.hears("panic", &["panics failed"]).await?;
    talk.hears("hello again", &["2: hello again"]).await?;
    let log = server.host().log()?;
    let record =
        log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| line["kind"] == "trap");
    let record = record.context("no record in the log")?;
    ensure!(record["plugin"] == "panics" && record["function"] == "handle" && record["blame"] == "Guest", "{record}");
    ensure!(record["tenant"] == "shop" && record["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{record}");
    ensure!(record["fuel"].as_u64() > Some(0) && record["peak_memory"].as_u64() > Some(0), "{record}");
    ensure!(record["backtrace"].as_str().is_some_and(|trace| trace.contains("panic")), "{record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_log_lines_is_cut_and_cannot_forge_any() -> Result<()> {
    let (server, client) = open(&["floods-log"]).await?;
    client.talk().with("floods-log").hears("hello", &["wrote 1000 lines"]).await?;
    let log = server.host().log()?;
    let lines: Vec<Value> =
        log.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("a line is no JSON")?;
    let flood: Vec<&Value> = lines.iter().filter(|line| line["plugin"] == "floods-log").collect();
    ensure!(flood.len() == LOG_LINES, "{} lines were written", flood.len());
    for line in flood {
        let message = line["message"].as_str().unwrap_or_default();
        ensure!(message.starts_with("flood ") && message.len() <= LOG_LINE_BYTES, "{} bytes: {line}", message.len());
        ensure!(!message.contains(['\n', '\r']), "a line break in a line: {line}");
        ensure!(line["tenant"] == "shop" && line["target"] == "plugin", "does not say whose it is: {line}");
    }
    ensure!(!lines.iter().any(|line| line["message"] == "forged"), "a forged line is in the log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_too_large_is_not_kept_and_counts_as_the_plugins_failure() -> Result<()> {
    let (_server, client) = open(&["big-state"]).await?;
    let mut talk = client.talk().with("big-state");
    talk.hears("hello", &["big-state failed"]).await?;
    talk.hears("hello", &["big-state failed"]).await?;
    let metrics = Metrics::of(&client).await?;
    let fallback = metrics.sum("confab_turns_total", &[("bot", "big-state"), ("outcome", "fallback")]);
    ensure!(fallback == 2.0, "{fallback} of 2 fallbacks counted");
    // It returned what its contract doesn't allow.
    let failures = metrics.sum("confab_plugin_failures_total", &[("plugin", "big-state"), ("kind", "contract")]);
    ensure!(failures == 2.0, "{failures} of 2 failures counted: {}", metrics.text());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_never_gets_ready_is_refused_and_holds_up_nobody() -> Result<()> {
    let (server, client) = open(&[]).await?;
    let folder = Folder::of("shop")?;
    folder.guest("spins-in-prepare")?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let shop = tokio::spawn(shop_goes_on(client.clone(), stopped));
    let ran = server.host().run(&["apply", &folder.path().display().to_string()]).await?;
    stop.send_replace(true);
    let (rounds, _) = shop.await??;
    ensure!(!ran.status.success(), "it was applied: {}", ran.stdout);
    ensure!(ran.stderr.contains("spins-in-prepare") && ran.stderr.contains("fuel"), "{}", ran.stderr);
    ensure!(ran.stderr.contains("nothing was changed"), "{}", ran.stderr);
    ensure!(rounds > 3, "the shop's bot answered {rounds} times only");
    client.talk().with("spins-in-prepare").send("hello").await?.problem(404, "unknown-bot")?;
    Ok(())
}

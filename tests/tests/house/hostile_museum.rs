//! Every exhibit of the museum, one after the other on one server: what stops it is what the table says, and nobody else
//! notices.

use crate::hostile::shop_goes_on;
use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::endpoint::Endpoint;
use confab_tests::folder::Folder;
use confab_tests::metric::Metrics;
use confab_tests::museum::{Exhibit, exhibits};
use confab_tests::server::{Host, Ran};
use serde_json::Value;
use std::time::Duration;

/// Each is tried so often. A plugin that fails ten times in a row is not run any more.
const TRIES: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn every_exhibit_is_stopped_by_what_the_table_says_and_nobody_else_notices() -> Result<()> {
    let endpoint = Endpoint::start().await?;
    let folder = Folder::shop()?;
    let shown: Vec<&Exhibit> = exhibits().iter().filter(|exhibit| exhibit.runs()).collect();
    for exhibit in &shown {
        exhibit.furnish(&folder, "shop", &endpoint.url())?;
    }
    let host = Host::new()?
        .flag("--allow-private", &endpoint.address())
        .env("SHOP__API_TOKEN", "canary-token-94d0b2")
        .apply(folder.path())
        .serving("--key-rate", "1000000")
        .serving("--visitor-rate", "1000000");
    let mut server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let shop = tokio::spawn(shop_goes_on(client.clone(), stopped));
    let mut wrong = Vec::new();
    for exhibit in &shown {
        for _ in 0..TRIES {
            if let Err(e) = watch(&client, exhibit).await {
                wrong.push(format!("{} {} ({}): {e:#}", exhibit.guest, exhibit.says, exhibit.tries));
            }
        }
        server.lives().with_context(|| format!("after {} ({})", exhibit.guest, exhibit.tries))?;
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), TRIES * shown.len(), wrong.join("\n"));
    stop.send_replace(true);
    let (rounds, slowest) = shop.await??;
    ensure!(rounds > shown.len() / 2, "the shop's bot answered {rounds} times only");
    // One attacker at a time: a visitor of the shop waits for the other core at most, never for a limit to be reached.
    ensure!(slowest < Duration::from_secs(10), "the shop's visitors waited up to {slowest:?}");
    let metrics = Metrics::of(&client).await?;
    let lost = metrics.sum("confab_turns_total", &[("bot", "shop"), ("outcome", "fallback")]);
    ensure!(lost == 0.0, "{lost} visitors of the shop read the fallback");
    for kind in ["intent", "connector"] {
        let free = metrics.sum("confab_plugin_places_free", &[("kind", kind)]);
        ensure!(free == 128.0, "places for plugin calls are lost: {free} of {kind} are free");
    }
    Ok(())
}

/// Lets it try once, and holds what the visitor reads and what was counted against the table.
async fn watch(client: &Client, exhibit: &Exhibit) -> Result<()> {
    let failures = |metrics: &Metrics, kind: &str| {
        metrics.sum("confab_plugin_failures_total", &[("plugin", exhibit.guest), ("kind", kind)])
    };
    let all = |metrics: &Metrics| metrics.sum("confab_plugin_failures_total", &[("plugin", exhibit.guest)]);
    let before = Metrics::of(client).await?;
    let said = client.talk().with(exhibit.guest).say(&exhibit.message()?).await?.response;
    let after = Metrics::of(client).await?;
    let failed = all(&after) - all(&before);
    if failed == 0.0 {
        ensure!(exhibit.may_be_harmless(), "nothing stopped it, it says: {}", short(&said));
        ensure!(exhibit.fallback().is_none_or(|fallback| said != fallback), "the fallback without a failure");
        return Ok(());
    }
    ensure!(failed == 1.0, "{failed} failures were counted for one turn");
    let kind = exhibit.failures().find(|kind| failures(&after, kind) > failures(&before, kind));
    let lines: Vec<&str> = after
        .text()
        .lines()
        .filter(|line| {
            line.starts_with("confab_plugin_failures_total") && line.contains(&format!("\"{}\"", exhibit.guest))
        })
        .collect();
    ensure!(kind.is_some(), "not stopped by {:?}: {lines:?}", exhibit.stopped_by);
    match exhibit.fallback() {
        Some(fallback) => ensure!(said == fallback, "the visitor reads: {}", short(&said)),
        None => {
            let answer: Value = serde_json::from_str(&said).with_context(|| short(&said))?;
            ensure!(answer["error"]["code"].is_string(), "the caller is told: {}", short(&said));
        }
    }
    Ok(())
}

fn short(text: &str) -> String {
    text.chars().take(300).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_run_is_refused_with_its_name_and_a_reason_and_changes_nothing() -> Result<()> {
    let folder = Folder::shop()?;
    let host = Host::new()?.apply(folder.path());
    let mut server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    let mut wrong = Vec::new();
    for exhibit in exhibits().iter().filter(|exhibit| !exhibit.runs()) {
        let folder = Folder::of("shop")?;
        exhibit.furnish(&folder, "shop", "")?;
        let ran = host.run(&["apply", &folder.path().display().to_string()]).await?;
        if let Err(e) = check(exhibit, &ran) {
            wrong.push(format!("{} ({}): {e:#}", exhibit.guest, exhibit.tries));
        }
        server.lives().context(exhibit.guest)?;
        client.talk().with(exhibit.guest).send("hello").await?.problem(404, "unknown-bot").context(exhibit.guest)?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    client.talk().with("shop").hears("Do you have SKU-1001 in stock?", &["5 available"]).await?;
    Ok(())
}

fn check(exhibit: &Exhibit, ran: &Ran) -> Result<()> {
    ensure!(!ran.status.success(), "it was applied: {}", ran.stdout);
    for words in [&[exhibit.guest, "nothing was changed"], exhibit.stopped_by].concat() {
        ensure!(ran.stderr.contains(words), "the refusal does not say `{words}`: {}", ran.stderr);
    }
    Ok(())
}

//! Guests that look where they have no business: data of others, the world around the host, values that no type stops.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::folder::Folder;
use confab_tests::metric::Metrics;
use confab_tests::museum::connect;
use confab_tests::server::{Host, Server};
use serde_json::{Value, json};

async fn open(folder: &Folder) -> Result<(Server, Client)> {
    let host = Host::new()?.env("LEAKED", "canary-environment-7c1f").apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    Ok((server, client))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_sees_its_own_data_and_nobody_elses() -> Result<()> {
    let folder = Folder::shop()?;
    for bot in ["first", "second", "first-too"] {
        folder.guest_as(bot, "scans-others-data", &[])?;
    }
    // Others keep something too: a bot that floods its space, and the shop's own connection with a ticket.
    folder.guest("kv-flood")?;
    let other = Folder::of("other")?;
    other.guest_as("first", "scans-others-data", &[])?;
    let (server, client) = open(&folder).await?;
    let host = server.host();
    host.confab(&["apply", &other.path().display().to_string()]).await?;
    let stranger = client.with_key(&host.key("other", &[]).await?);
    client.talk().with("kv-flood").say("often").await?;
    // Twice round, so that each has had its chance to see what the others keep.
    for _ in 0..2 {
        for (client, bot, word) in [
            (&client, "first", "canary-one"),
            (&client, "second", "canary-two"),
            (&client, "first-too", "canary-three"),
            (&stranger, "first", "canary-four"),
        ] {
            let seen = client.talk().with(bot).say(word).await?.response;
            ensure!(seen == format!("own={word}"), "{bot} sees: {seen}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_data_at_once_is_more_than_one_call_may_bring() -> Result<()> {
    let folder = Folder::shop()?;
    folder.guest("giant-string-from-host")?;
    let (_server, client) = open(&folder).await?;
    let mut talk = client.talk().with("giant-string-from-host");
    // 60 values of 64 KiB are just below 4 MiB, 120 are over.
    for _ in 0..2 {
        talk.hears("fill", &["unharmed"]).await?;
    }
    talk.hears("scan", &["unharmed"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_too_large_is_refused_and_the_plugin_told() -> Result<()> {
    let folder = Folder::shop()?;
    folder.guest("kv-flood")?;
    let (_server, client) = open(&folder).await?;
    client.talk().with("kv-flood").hears("large", &["refused: too-large"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_looks_around_finds_nothing() -> Result<()> {
    let folder = Folder::shop()?;
    folder.guest("reads-env")?;
    let (server, client) = open(&folder).await?;
    let said = client.talk().with("reads-env").say("hello").await?.response;
    ensure!(said == "0001", "variables, arguments, directories, closed input: {said}");
    ensure!(!server.host().log()?.contains("canary-environment"), "the environment is in the log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_answers_nonsense_is_blamed_and_not_the_plugin_that_called_it() -> Result<()> {
    let folder = Folder::shop()?;
    connect(&folder, "shop", "nonsense", "breaks-its-schema", None)?;
    folder.guest_as("typed", "typed", &[("inventory", "nonsense")])?;
    folder.guest_as("calls", "calls", &[("inventory", "nonsense")])?;
    let (server, client) = open(&folder).await?;
    for sku in ["nan", "inf"] {
        let said = client.talk().with("typed").say(sku).await?.response;
        let metrics = Metrics::of(&client).await?;
        let blamed = metrics.sum("confab_plugin_failures_total", &[("plugin", "typed")]);
        ensure!(blamed == 0.0, "{sku}: the caller was blamed, and its visitor reads: {said}");
    }
    // A code and a message with control characters come as an error like any other, and forge no line of log.
    let call = json!({"capability": "inventory", "function": "availability", "arguments": {"sku": "code"}});
    let said = client.talk().with("calls").say(&call.to_string()).await?.response;
    let answer: Value = serde_json::from_str(&said).context(said)?;
    ensure!(answer["error"]["code"].is_string(), "{answer}");
    for line in server.host().log()?.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| format!("a forged line: {line}"))?;
        ensure!(line["message"] != "forged", "a forged line: {line}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_unfolds_into_half_a_million_parts_is_refused_and_a_deep_one_is_shown_in_part() -> Result<()> {
    let file = |name: &str| Ok::<_, anyhow::Error>(confab_tests::place::plugins()?.join(name).display().to_string());
    let host = Host::new()?;
    let refused = host.run(&["plugin", "inspect", "--json", &file("exploding-types.wasm")?]).await?;
    ensure!(!refused.status.success() && refused.stderr.contains("too large to describe"), "{}", refused.stderr);
    let shown = host.confab(&["plugin", "inspect", "--json", &file("deep-recursive-types.wasm")?]).await?;
    ensure!(shown.contains("parameters"), "the function is not shown at all: {shown}");
    ensure!(shown.len() < 10 << 20, "its schema has {} bytes", shown.len());
    Ok(())
}

//! New versions of plugins: they come and go under load without a lost turn, and a bad one goes by itself.

use anyhow::{Context, Result, ensure};
use confab_tests::client::{Client, Talk};
use confab_tests::erp::{Erp, Manner};
use confab_tests::folder::Folder;
use confab_tests::metric::Metrics;
use confab_tests::place;
use confab_tests::redis::Redis;
use confab_tests::server::{Host, Server};
use confab_tests::versions::{Load, Shelf, with_manifest};
use confab_tests::wait::{LONG, until};
use serde_json::{Value, json};
use std::time::Duration;

/// How often the version is changed and changed back.
const CHANGES: usize = 100;
/// Conversations that go on meanwhile.
const TALKS: usize = 6;
/// Within this time a change reaches another host: they tell each other within a second.
const SOON: Duration = Duration::from_secs(15);

/// A server with the bot `echo`, and `echo@0.2.0` made of this guest's code.
async fn open(code: &str) -> Result<(Server, Client, Shelf)> {
    let shelf = Shelf::new(&["echo"])?;
    shelf.add(code, "echo", "0.2.0")?;
    let folder = Folder::of("shop")?;
    folder.guest("echo")?;
    let (server, client) = serve(Host::new()?.plugins(shelf.path()), &folder).await?;
    Ok((server, client, shelf))
}

async fn serve(host: Host, folder: &Folder) -> Result<(Server, Client)> {
    let host = host.serving("--key-rate", "1000000").serving("--visitor-rate", "1000000");
    let server = host.clone().apply(folder.path()).start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    Ok((server, client))
}

async fn plugin(server: &Server, arguments: &[&str]) -> Result<String> {
    server.host().confab(&[&["plugin"], arguments].concat()).await
}

async fn rollouts(server: &Server) -> Result<String> {
    plugin(server, &["rollouts"]).await
}

async fn fallbacks(client: &Client) -> Result<f64> {
    Ok(Metrics::of(client).await?.sum("confab_turns_total", &[("outcome", "fallback")]))
}

/// Says something and tells whether `typed`, which knows no conversation's number, has answered.
async fn is_on_typed(talk: &mut Talk) -> Result<bool> {
    let said = talk.say("hello").await?.response;
    ensure!(said.contains("error") || said.contains(": hello"), "neither version says `{said}`");
    Ok(said.contains("error"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_upgrades_and_rollbacks_under_load_lose_no_turn() -> Result<()> {
    let (server, client, _shelf) = open("panics").await?;
    let load = Load::start(&client, "echo", TALKS, "hello");
    for round in 0..CHANGES {
        let done = plugin(&server, &["upgrade", "echo", "0.2.0"]).await?;
        ensure!(done.contains("tries 0.2.0 for 100 %") && done.contains("(1 bots, 0 connections)"), "{done}");
        if round % 2 == 1 {
            let done = plugin(&server, &["promote", "echo"]).await?;
            ensure!(done.starts_with("echo: 0.2.0, before 0.1.0"), "{done}");
        }
        let before = load.turns();
        until("turns go on", LONG, || async {
            load.goes_on()?;
            Ok((load.turns() >= before + TALKS).then_some(()))
        })
        .await?;
        let done = plugin(&server, &["rollback", "echo"]).await?;
        ensure!(done.starts_with("echo: 0.1.0, took 0.2.0 back"), "{done}");
    }
    let turns = load.stop().await?;
    ensure!(turns >= CHANGES * TALKS, "{turns} turns only");
    ensure!(fallbacks(&client).await? == 0.0, "a visitor got the fallback");
    let metrics = Metrics::of(&client).await?;
    let answered = metrics.sum("confab_turns_total", &[("bot", "echo"), ("outcome", "answered")]);
    ensure!(answered as usize == turns, "{answered} turns counted, {turns} answered");
    ensure!(metrics.sum("confab_plugin_failures_total", &[]) == 0.0, "a plugin failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_stays_on_its_version_while_the_share_grows() -> Result<()> {
    let (server, client, _shelf) = open("typed").await?;
    plugin(&server, &["upgrade", "echo", "0.2.0", "--share", "30"]).await?;
    let mut talks: Vec<Talk> = (0..60).map(|_| client.talk().with("echo")).collect();
    let mut on_new = Vec::new();
    for talk in &mut talks {
        on_new.push(is_on_typed(talk).await?);
    }
    let few = on_new.iter().filter(|new| **new).count();
    // 30 of 100: fewer than 3 or more than 40 of 60 happens once in a million runs.
    ensure!((3..=40).contains(&few), "{few} of 60 conversations are on the new version");
    for (talk, new) in talks.iter_mut().zip(&on_new) {
        ensure!(is_on_typed(talk).await? == *new, "a conversation changed its version");
    }
    plugin(&server, &["upgrade", "echo", "0.2.0", "--share", "80"]).await?;
    let mut more = 0;
    for (talk, new) in talks.iter_mut().zip(&on_new) {
        let now = is_on_typed(talk).await?;
        ensure!(now || !new, "a conversation went back to the old version");
        more += usize::from(now);
    }
    ensure!(more > few, "{few} then {more} of 60 conversations are on the new version");
    let listed = server.host().confab(&["plugin", "rollouts"]).await?;
    ensure!(listed.starts_with("echo: 0.1.0, tries 0.2.0 for 80 % since 20"), "{listed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_fails_is_taken_back_by_itself_and_no_visitor_notices() -> Result<()> {
    let (server, client, _shelf) = open("panics").await?;
    for round in 1..=2 {
        plugin(&server, &["upgrade", "echo", "0.2.0"]).await?;
        let load = Load::start(&client, "echo", TALKS, "panic");
        until("the version is taken back", LONG, || async {
            load.goes_on()?;
            Ok(rollouts(&server).await?.contains("took 0.2.0 back").then_some(()))
        })
        .await?;
        load.stop().await?;
        let listed = rollouts(&server).await?;
        ensure!(listed.starts_with("echo: 0.1.0, took 0.2.0 back") && listed.contains(": trap: "), "{listed}");
        let metrics = Metrics::of(&client).await?;
        let rollbacks = metrics.sum("confab_rollbacks_total", &[("plugin", "echo")]);
        ensure!(rollbacks == f64::from(round), "{rollbacks} rollbacks counted after round {round}");
        ensure!(metrics.sum("confab_plugin_failures_total", &[("kind", "trap")]) >= 3.0, "{}", metrics.text());
    }
    ensure!(fallbacks(&client).await? == 0.0, "a visitor got the fallback");
    let log = server.host().log()?;
    let error = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| {
        line["level"] == "ERROR" && line["message"].as_str().is_some_and(|text| text.contains("was rolled back"))
    });
    let error = error.context("the log does not say it")?;
    ensure!(error["plugin"] == "echo" && error["version"] == "0.2.0", "{error}");
    ensure!(log.contains("was rolled back; last failure: trap"), "no record of it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_fails_in_the_middle_of_a_write_leaves_one_record() -> Result<()> {
    // It may use its data twice only: enough to claim the write, not to finish it.
    let shelf = Shelf::new(&["flow", "sheet"])?;
    let sheet = std::fs::read(place::plugins()?.join("sheet.wasm"))?;
    let broken = with_manifest(&sheet, |manifest| {
        manifest["version"] = json!("0.2.0");
        manifest["limits"]["kv_calls"] = json!(2);
    })?;
    std::fs::write(shelf.path().join("sheet@0.2.0.wasm"), broken)?;
    let folder = Folder::shop()?;
    let (server, client) = serve(Host::new()?.plugins(shelf.path()), &folder).await?;
    let scope = ["--tenant", "shop", "--connection", "shop-data"];
    let done = plugin(&server, &[&["upgrade", "sheet", "0.2.0"], &scope[..]].concat()).await?;
    ensure!(done.starts_with("sheet shop/connection/shop-data: 0.1.0, tries 0.2.0"), "{done}");
    for number in 1..=3 {
        let mut talk = client.talk().with("shop");
        let email = format!("ada{number}@example.test");
        for message in ["have sales call me", "Ada Lovelace", &email, "twelve machines"] {
            talk.say(message).await?;
        }
        talk.hears("yes", &["Done"]).await?;
    }
    until("the version is taken back", LONG, || async {
        Ok(rollouts(&server).await?.contains("took 0.2.0 back").then_some(()))
    })
    .await?;
    let listed = rollouts(&server).await?;
    ensure!(listed.contains("host-calls: "), "{listed}");
    let leads = server.host().confab(&["connection", "download", "--tenant", "shop", "shop-data", "leads.csv"]).await?;
    for number in 1..=3 {
        let count = leads.matches(&format!("ada{number}@example.test")).count();
        ensure!(count == 1, "{count} leads of visitor {number}: {leads}");
    }
    ensure!(fallbacks(&client).await? == 0.0, "a visitor got the fallback");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_fails_between_two_writes_leaves_one_record_of_each() -> Result<()> {
    // Passing on a lead takes two calls: the contact is written, then the new version may call no more.
    let shelf = Shelf::new(&["flow", "sheet"])?;
    let flow = std::fs::read(place::plugins()?.join("flow.wasm"))?;
    let broken = with_manifest(&flow, |manifest| {
        manifest["version"] = json!("0.2.0");
        manifest["limits"]["host_calls"] = json!(1);
    })?;
    std::fs::write(shelf.path().join("flow@0.2.0.wasm"), broken)?;
    let folder = Folder::shop()?;
    let (server, client) = serve(Host::new()?.plugins(shelf.path()), &folder).await?;
    plugin(&server, &["upgrade", "flow", "0.2.0", "--tenant", "shop"]).await?;
    for number in 1..=3 {
        let mut talk = client.talk().with("shop");
        let email = format!("ada{number}@example.test");
        for message in ["have sales call me", "Ada Lovelace", &email, "twelve machines"] {
            talk.say(message).await?;
        }
        talk.hears("yes", &["Done"]).await?;
    }
    until("the version is taken back", LONG, || async {
        Ok(rollouts(&server).await?.contains("took 0.2.0 back").then_some(()))
    })
    .await?;
    let listed = rollouts(&server).await?;
    ensure!(listed.starts_with("flow shop: 0.1.0") && listed.contains("host-calls: "), "{listed}");
    for file in ["contacts.csv", "leads.csv"] {
        let download = ["connection", "download", "--tenant", "shop", "shop-data", file];
        let rows = server.host().confab(&download).await?;
        for number in 1..=3 {
            let count = rows.lines().filter(|row| row.contains(&format!("ada{number}@example.test"))).count();
            ensure!(count == 1, "{count} rows of visitor {number} in {file}: {rows}");
        }
    }
    ensure!(fallbacks(&client).await? == 0.0, "a visitor got the fallback");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_on_one_store_follow_each_others_rollouts() -> Result<()> {
    let redis = Redis::start().await?;
    let shelf = Shelf::new(&["echo"])?;
    shelf.add("typed", "echo", "0.2.0")?;
    let folder = Folder::of("shop")?;
    folder.guest("echo")?;
    let west = Host::new()?.plugins(shelf.path()).flag("--store", &redis.url());
    let east = Host::new()?.plugins(shelf.path()).flag("--store", &redis.url());
    let (west, on_west) = serve(west, &folder).await?;
    let (east, on_east) = serve(east, &folder).await?;
    let both = |what: &'static str, new: bool| {
        let clients = [on_west.clone(), on_east.clone()];
        async move {
            for client in &clients {
                until(what, SOON, || async {
                    let mut talk = client.talk().with("echo");
                    Ok((is_on_typed(&mut talk).await? == new).then_some(()))
                })
                .await?;
            }
            anyhow::Ok(())
        }
    };
    both("the old version", false).await?;
    plugin(&west, &["upgrade", "echo", "0.2.0"]).await?;
    both("the upgrade", true).await?;
    plugin(&east, &["rollback", "echo"]).await?;
    both("the rollback", false).await?;
    plugin(&east, &["upgrade", "echo", "0.2.0"]).await?;
    plugin(&east, &["promote", "echo"]).await?;
    both("the promotion", true).await?;
    let (west, east) = (rollouts(&west).await?, rollouts(&east).await?);
    ensure!(west == east && west.starts_with("echo: 0.2.0, before 0.1.0"), "west: {west}\neast: {east}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_a_bot_refuses_changes_nothing_and_says_why() -> Result<()> {
    let shelf = Shelf::new(&["echo"])?;
    shelf.add("flow", "echo", "0.2.0")?;
    shelf.add("sheet", "echo", "0.3.0")?;
    let folder = Folder::of("shop")?;
    folder.guest("echo")?;
    folder.write("bots/echo.yaml", "id: echo\nplugin: echo\ndefinition: echo.flow.yaml\n")?;
    folder.write("bots/echo.flow.yaml", "anything: goes\n")?;
    folder.write("bots/pinned.yaml", "id: pinned\nplugin: echo@0.1.0\n")?;
    let (server, client) = serve(Host::new()?.plugins(shelf.path()), &folder).await?;
    let mut talk = client.talk().with("echo");
    talk.hears("hello", &["1: hello"]).await?;
    let refused = async |arguments: &[&str], words: &[&str]| {
        let ran = server.host().run(&[&["plugin"], arguments].concat()).await?;
        ensure!(!ran.status.success(), "{arguments:?} succeeded: {}", ran.stdout);
        for word in words {
            ensure!(ran.stderr.contains(word), "{arguments:?} does not say `{word}`: {}", ran.stderr);
        }
        anyhow::Ok(())
    };
    let upgrade = ["upgrade", "echo", "0.2.0"];
    refused(&upgrade, &["shop: bots/echo.flow.yaml:", "candidate echo@0.2.0", "nothing was changed"]).await?;
    refused(&["upgrade", "echo", "0.3.0"], &["kind Connector", "nothing was changed"]).await?;
    refused(&["upgrade", "echo", "9.9.9"], &["no version 9.9.9", "0.1.0, 0.2.0, 0.3.0"]).await?;
    refused(&["upgrade", "echo", "0.1.0"], &["stable version for all tenants already"]).await?;
    refused(&["upgrade", "nobody", "0.1.0"], &["no plugin `nobody`", "echo"]).await?;
    refused(&[&upgrade[..], &["--tenant", "shop", "--bot", "ehco"]].concat(), &["has no bot `ehco`"]).await?;
    refused(&[&upgrade[..], &["--tenant", "shop", "--bot", "pinned"]].concat(), &["echo@0.1.0", "pinned"]).await?;
    refused(&["promote", "echo"], &["no rollout of echo"]).await?;
    refused(&["rollback", "echo"], &["no rollout of echo"]).await?;
    ensure!(rollouts(&server).await?.trim().is_empty(), "something was changed");
    talk.hears("hello", &["2: hello"]).await?;
    // And versions are nobody's but the operator's.
    let admin = client.with_key(&server.host().key("shop", &["--scope", "admin"]).await?);
    admin.get("/api/admin/rollouts").await?.problem(403, "forbidden")?;
    let body = json!({"version": "0.2.0"});
    admin.post("/api/admin/rollouts/echo/upgrade", &body).await?.problem(403, "forbidden")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_ends_on_the_version_that_it_began_with() -> Result<()> {
    let erp = Erp::start(Manner::Waits).await?;
    let shelf = Shelf::new(&["typed", "tryton"])?;
    shelf.add("echo", "typed", "0.2.0")?;
    let folder = Folder::of("shop")?;
    // As long as there may be: publishing gives way to everything else, and a busy machine takes its time.
    folder.write("connections/erp.yaml", &format!("{}    timeout_ms: 30000\n", erp.connection()))?;
    folder.guest_as("typed", "typed", &[("inventory", "erp")])?;
    let host = Host::new()?.plugins(shelf.path());
    let host = host.flag("--allow-private", &erp.address()).env("SHOP__TRYTON_PASSWORD", "not-asked-for");
    let (server, client) = serve(host, &folder).await?;
    let mut talk = client.talk().with("typed");
    let turn = tokio::spawn(async move {
        let said = talk.say("SKU-1001").await?;
        anyhow::Ok((talk, said))
    });
    erp.called(1).await?;
    plugin(&server, &["upgrade", "typed", "0.2.0"]).await?;
    plugin(&server, &["promote", "typed"]).await?;
    client.talk().with("typed").hears("hello", &["1: hello"]).await?;
    ensure!(!turn.is_finished(), "the turn ended before its ERP had answered");
    erp.answer_all();
    let (mut talk, said) = turn.await??;
    ensure!(said.response.starts_with("error "), "the old version did not answer: {}", said.response);
    talk.hears("hello", &[": hello"]).await?;
    ensure!(fallbacks(&client).await? == 0.0, "a visitor got the fallback");
    Ok(())
}

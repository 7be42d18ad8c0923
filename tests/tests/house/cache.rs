//! Results are kept: one call for all who ask the same, nobody's order for anybody else, and an old answer says that it is old.
//!
//! The connector `kept-stock` asks its system once for each call that is made, so the system's requests are the calls.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::endpoint::Endpoint;
use confab_tests::folder::Folder;
use confab_tests::metric::Metrics;
use confab_tests::place;
use confab_tests::redis::Redis;
use confab_tests::server::{Host, Server};
use confab_tests::wait::{LONG, until};
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Questions that are on their way at once.
const AT_ONCE: usize = 40;

/// A tenant `acme` with the bot `calls` on a connection `kept`.
fn folder(endpoint: &Endpoint, cache: &str) -> Result<Folder> {
    let folder = Folder::of("acme")?;
    let kept = [("inventory", "kept"), ("orders", "kept"), ("leads", "kept")];
    folder.guest_as("calls", "calls", &kept)?;
    connect(&folder, endpoint, cache)?;
    Ok(folder)
}

fn connect(folder: &Folder, endpoint: &Endpoint, cache: &str) -> Result<()> {
    place::plugin("kept-stock")?;
    let yaml = format!("id: kept\nconnector: kept-stock\nendpoints:\n  api:\n    url: {}\n{cache}", endpoint.url());
    folder.write("connections/kept.yaml", &yaml)
}

async fn open(folder: &Folder, endpoint: &Endpoint) -> Result<(Server, Client)> {
    let host = Host::new()?
        .flag("--allow-private", &endpoint.address())
        .serving("--key-rate", "1000000")
        .serving("--visitor-rate", "1000000")
        .apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("acme", &[]).await?)?;
    Ok((server, client))
}

async fn call(client: &Client, function: &str, arguments: Value) -> Result<Value> {
    let (capability, function) = function.split_once('.').context("no function")?;
    let message = json!({"capability": capability, "function": function, "arguments": arguments}).to_string();
    let said = client.talk().with("calls").say(&message).await?;
    Ok(serde_json::from_str(&said.response)?)
}

async fn stock(client: &Client) -> Result<()> {
    let said = call(client, "inventory.availability", json!({"sku": "SKU-1"})).await?;
    ensure!(said["ok"][0]["available"] == json!(5.0), "{said}");
    Ok(())
}

async fn many(clients: &[&Client], questions: usize) -> Result<()> {
    let asking = clients.iter().cycle().take(questions).map(|client| stock(client));
    let answers: Vec<Result<()>> = futures::stream::iter(asking).buffer_unordered(AT_ONCE).collect().await;
    answers.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_equal_questions_make_one_call_in_each_time_to_live() -> Result<()> {
    let endpoint = Endpoint::start().await?;
    let ttl = Duration::from_secs(2);
    let cache = "cache:\n  inventory.availability: {ttl_s: 2, stale_if_error_s: 0}\n";
    let (_server, client) = open(&folder(&endpoint, cache)?, &endpoint).await?;
    let begun = Instant::now();
    many(&[&client], 1_000).await?;
    let periods = begun.elapsed().as_secs_f64() / ttl.as_secs_f64();
    let calls = endpoint.asked("/stock/SKU-1");
    ensure!(calls >= 1 && calls as f64 <= periods + 1.0, "{calls} calls in {periods} times to live");
    let metrics = Metrics::of(&client).await?;
    let counted = |outcome| metrics.sum("confab_result_cache_total", &[("connection", "kept"), ("outcome", outcome)]);
    ensure!(counted("miss") as usize == calls, "{} misses, {calls} calls", counted("miss"));
    ensure!(counted("hit") + counted("shared") + counted("miss") == 1_000.0, "{}", metrics.text());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_on_one_store_make_one_call_and_forget_together() -> Result<()> {
    let (redis, endpoint) = (Redis::start().await?, Endpoint::start().await?);
    let folder = folder(&endpoint, "")?;
    let host = || anyhow::Ok(Host::new()?.flag("--store", &redis.url()).flag("--allow-private", &endpoint.address()));
    let (west, east) = (host()?.apply(folder.path()), host()?);
    let west_server = west.start().await?;
    let east_server = east.start().await?;
    let key = west.key("acme", &[]).await?;
    let (on_west, on_east) = (Client::new(&west_server, &key)?, Client::new(&east_server, &key)?);
    until("the key reaches the other host", LONG, || async {
        Ok((on_east.talk().with("calls").send("{}").await?.status != 401).then_some(()))
    })
    .await?;
    many(&[&on_west, &on_east], 200).await?;
    ensure!(endpoint.asked("/stock/") == 1, "{} calls", endpoint.asked("/stock/"));

    // Forgotten on one host, the other one asks anew; and what it gets, both have.
    west.confab(&["connection", "refresh", "--tenant", "acme", "kept", "--tag", "stock:SKU-1"]).await?;
    until("the other host asks again", LONG, || async {
        stock(&on_east).await?;
        Ok((endpoint.asked("/stock/") > 1).then_some(()))
    })
    .await?;
    many(&[&on_west, &on_east], 100).await?;
    ensure!(endpoint.asked("/stock/") == 2, "{} calls", endpoint.asked("/stock/"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_a_person_and_a_change_of_the_connection_make_kept_results_worthless() -> Result<()> {
    let endpoint = Endpoint::start().await?;
    let folder = folder(&endpoint, "")?;
    let (server, client) = open(&folder, &endpoint).await?;
    let calls = || endpoint.asked("/stock/");
    let host = server.host();
    let refresh = |tags: &'static [&'static str]| {
        let arguments = [&["connection", "refresh", "--tenant", "acme", "kept"], tags].concat();
        async move { host.confab(&arguments).await }
    };
    many(&[&client], 10).await?;
    ensure!(calls() == 1, "{} calls before anything changed", calls());

    let created = call(
        &client,
        "leads.create",
        json!({"lead": {"person": {"email": "a@b.example"}, "subject": "x", "skus": []}}),
    );
    ensure!(created.await?["ok"]["id"] == "1", "the lead was not created");
    many(&[&client], 10).await?;
    ensure!(calls() == 2, "{} calls after a write", calls());

    refresh(&["--tag", "stock:SKU-2"]).await?;
    many(&[&client], 10).await?;
    ensure!(calls() == 2, "another article's tag made {} calls", calls());
    refresh(&["--tag", "stock:SKU-1"]).await?;
    many(&[&client], 10).await?;
    ensure!(calls() == 3, "{} calls after its tag", calls());
    refresh(&[]).await?;
    many(&[&client], 10).await?;
    ensure!(calls() == 4, "{} calls after all", calls());
    let unknown = host.run(&["connection", "refresh", "--tenant", "acme", "nobody"]).await?;
    ensure!(!unknown.status.success() && unknown.stderr.contains("nobody"), "{}", unknown.stderr);

    // Another revision, and back: never what the other one fetched.
    connect(&folder, &endpoint, "cache:\n  inventory.availability: {ttl_s: 1800}\n")?;
    host.confab(&["apply", &folder.path().display().to_string()]).await?;
    many(&[&client], 10).await?;
    ensure!(calls() == 5, "{} calls after the connection changed", calls());

    // Switched off, each question is a call; and what can't be kept is refused with its line.
    connect(&folder, &endpoint, "cache: off\n")?;
    host.confab(&["apply", &folder.path().display().to_string()]).await?;
    many(&[&client], 10).await?;
    ensure!(calls() == 15, "{} calls without a cache", calls());
    connect(&folder, &endpoint, "cache:\n  inventory.availability: {ttl_s: 5}\n  leads.create: {ttl_s: 5}\n")?;
    let refused = host.run(&["apply", &folder.path().display().to_string()]).await?;
    let line = folder.line_of("connections/kept.yaml", "leads.create")?;
    let said = format!("{}{}", refused.stdout, refused.stderr);
    ensure!(said.contains(&format!("kept.yaml:{line}")) && said.contains("changes something"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_kept_for_one_proof_is_never_given_to_another() -> Result<()> {
    let endpoint = Endpoint::start().await?;
    let (_server, client) = open(&folder(&endpoint, "")?, &endpoint).await?;
    let order = async |email: &str| {
        let said = call(&client, "orders.get", json!({"number": "WEB-42", "proof": {"email": email}})).await?;
        anyhow::Ok(said["ok"]["reference"].as_str().unwrap_or_default().to_owned())
    };
    for _ in 0..3 {
        for email in ["ada@example.test", "grace@example.test"] {
            ensure!(order(email).await? == email, "an order of somebody else");
        }
    }
    ensure!(endpoint.asked("/orders/") == 2, "{} calls for two proofs", endpoint.asked("/orders/"));
    // What does not exist is asked for again soon, not each time.
    for _ in 0..3 {
        let said = call(&client, "inventory.availability", json!({"sku": "SKU-404"})).await?;
        ensure!(said["error"]["code"] == "not-found", "{said}");
    }
    ensure!(endpoint.asked("/stock/SKU-404") < 3, "not-found is not kept");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_system_is_down_turns_still_answer_and_say_from_when() -> Result<()> {
    let endpoint = Endpoint::start().await?;
    let folder = Folder::shop()?;
    connect(&folder, &endpoint, "cache:\n  inventory.availability: {ttl_s: 1}\n")?;
    folder.replace("bots/shop.yaml", "inventory: shop-data", "inventory: kept")?;
    let host = Host::new()?.flag("--allow-private", &endpoint.address()).apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &["--bot", "shop"]).await?)?;
    let ask = async |sku: &str| client.talk().say(&format!("Do you have {sku} in stock?")).await;
    let fresh = ask("SKU-1001").await?.response;
    ensure!(fresh.contains("5 available") && !fresh.contains("as of"), "{fresh}");
    endpoint.set_down(true);
    let stale = until("the answer is stale", LONG, || async {
        let said = ask("SKU-1001").await?.response;
        ensure!(said.contains("5 available"), "a turn did not answer: {said}");
        Ok(said.contains("(as of ").then_some(said))
    })
    .await?;
    ensure!(stale.contains(" UTC)"), "{stale}");
    // Nothing is invented for what was never asked, and the failure is on record.
    let unknown = ask("SKU-1002").await?.response;
    ensure!(!unknown.contains("available.") && !unknown.is_empty(), "{unknown}");
    let failures = host.confab(&["failures", "--tenant", "shop"]).await?;
    ensure!(failures.contains("kept"), "{failures}");
    let metrics = Metrics::of(&client).await?;
    ensure!(metrics.sum("confab_result_cache_total", &[("outcome", "stale-on-error")]) >= 1.0, "{}", metrics.text());
    // And when it is back, so is the present.
    endpoint.set_down(false);
    until("the answer is fresh again", LONG, || async {
        Ok((!ask("SKU-1001").await?.response.contains("as of")).then_some(()))
    })
    .await
}

//! Guests on their way out: credentials that they try to see, requests that they try to smuggle, answers that never end.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use confab_tests::client::Client;
use confab_tests::endpoint::Endpoint;
use confab_tests::folder::Folder;
use confab_tests::museum::connect;
use confab_tests::server::{Host, Server};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Looked for everywhere; no real secret.
const TOKEN: &str = "canary-token-94d0b2";
/// What `searches-memory` XORs with what it is told.
const MASK: u8 = 0x5a;
const CONNECTORS: &[&str] = &["reads-secrets", "searches-memory", "sends-anything", "spawns-many-http"];

struct House {
    endpoint: Endpoint,
    server: Server,
    client: Client,
}

/// A bot for each connector, and one named `by-name` for a further URL.
async fn open(url: Option<&str>) -> Result<House> {
    let endpoint = Endpoint::start().await?;
    let folder = Folder::shop()?;
    for guest in CONNECTORS {
        connect(&folder, "shop", guest, guest, Some(&endpoint.url()))?;
        folder.guest_as(guest, "calls", &[("catalog", guest)])?;
    }
    if url.is_some() {
        connect(&folder, "shop", "by-name", "sends-anything", url)?;
        folder.guest_as("by-name", "calls", &[("catalog", "by-name")])?;
    }
    let host = Host::new()?
        .flag("--allow-private", &endpoint.address())
        .env("SHOP__API_TOKEN", TOKEN)
        .env("RUST_LOG", "debug")
        .apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(
        &server,
        &host.key("shop", &["--scope", "admin", "--scope", "transcripts", "--scope", "chat"]).await?,
    )?;
    Ok(House { endpoint, server, client })
}

/// Has a connector do what it is told in the place of an article number.
async fn tell(client: &Client, bot: &str, sku: &str) -> Result<Value> {
    let call = json!({"capability": "catalog", "function": "get", "arguments": {"sku": sku}});
    let said = client.talk().with(bot).say(&call.to_string()).await?.response;
    serde_json::from_str(&said).context(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_never_sees_its_credential_however_often_it_is_repeated() -> Result<()> {
    let House { endpoint, server, client } = open(None).await?;
    let answer = tell(&client, "reads-secrets", "x").await?;
    let sent = endpoint.requests();
    let told = sent.iter().filter(|request| request.contains(TOKEN)).count();
    ensure!(told >= 8, "the endpoint got the credential {told} times only: nothing is shown\n{answer}");
    let description = answer["ok"]["description"].as_str().unwrap_or_default();
    for expected in ["settings", "200", "x-echo", "401", "500", "302", "set by the host", "no endpoint"] {
        ensure!(description.contains(expected), "the guest did not see `{expected}`: {description}");
    }
    let mut seen = vec![("the answer", answer.to_string()), ("the log", server.host().log()?)];
    for path in ["/metrics", "/api/admin/connections", "/api/admin/plugins", "/api/admin/bots"] {
        seen.push((path, String::from_utf8_lossy(&client.get(path).await?.body).into_owned()));
    }
    for form in [TOKEN.to_owned(), STANDARD_NO_PAD.encode(TOKEN), TOKEN.replace('-', "%2D")] {
        for (place, text) in &seen {
            ensure!(!text.contains(&form), "{place} has the credential as `{form}`: {text}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_nowhere_in_a_connectors_memory() -> Result<()> {
    let House { endpoint, client, server: _server } = open(None).await?;
    let masked = |text: &str| -> String { text.bytes().map(|byte| format!("{:02x}", byte ^ MASK)).collect() };
    // It finds what is there: a header that the endpoint repeats.
    let found = tell(&client, "searches-memory", &masked("x-echo")).await?.to_string();
    ensure!(found.contains("\"found in"), "it can't find what is there: {found}");
    for part in [TOKEN, "token-94d0b2", &STANDARD_NO_PAD.encode(TOKEN)] {
        let found = tell(&client, "searches-memory", &masked(part)).await?.to_string();
        ensure!(found.contains("not found in"), "`{part}`: {found}");
    }
    ensure!(endpoint.requests().iter().any(|request| request.contains(TOKEN)), "the credential was never sent");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_where_the_connection_says_or_nowhere() -> Result<()> {
    let House { endpoint, client, server: _server } = open(None).await?;
    let path = |path: &str| json!({"method": "GET", "path": path});
    let header = |name: &str, value: &str| json!({"method": "GET", "path": "/echo", "headers": [[name, value]]});
    let mut attempts = vec![
        json!({"method": "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\nGET", "path": "/echo"}),
        json!({"method": "CONNECT", "path": "/echo"}),
        json!({"method": "get\u{0}", "path": "/echo"}),
        json!({"method": "GET", "path": "/echo", "endpoint": "http://169.254.169.254"}),
    ];
    for leads_away in [
        "http://169.254.169.254/latest",
        "//169.254.169.254/latest",
        "/\\169.254.169.254/",
        "@169.254.169.254/",
        ":80/",
        "/../smuggled",
        "/..",
        "/%2e%2e/smuggled",
        "/%252e%252e/smuggled",
        "/..%2fsmuggled",
        "/x/..;/../../smuggled",
        "/..%5csmuggled",
        "/a HTTP/1.1\r\nx-smuggled: 1\r\n\r\nGET /smuggled",
        "/a\r\nx-smuggled: 1",
        "/a\nx-smuggled: 1",
        "/a\u{0}",
        "/a#b",
        "",
        "echo",
        "?x",
        "/ä",
    ] {
        attempts.push(path(leads_away));
    }
    for (name, value) in [
        ("content-length", "0"),
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
        ("Transfer_Encoding", "chunked"),
        ("host", "169.254.169.254"),
        ("connection", "keep-alive"),
        ("authorization", "Bearer mine"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/smuggled"),
        ("expect", "100-continue"),
        ("upgrade", "h2c"),
        ("te", "trailers"),
        ("proxy-authorization", "x"),
        ("x-a", "1\r\nx-smuggled: 1"),
        ("x-a", "1\nx-smuggled: 1"),
        ("x-a", "\u{0}"),
        ("x-a\r\nx-smuggled", "1"),
        ("x a", "1"),
        ("", "1"),
        ("x-smuggled:", "1"),
        (":path", "/smuggled"),
    ] {
        attempts.push(header(name, value));
    }
    for attempt in &attempts {
        let before = endpoint.requests().len();
        let answer = tell(&client, "sends-anything", &attempt.to_string()).await?;
        ensure!(answer["error"]["code"].is_string(), "{attempt} was answered: {answer}");
        let sent = endpoint.requests();
        ensure!(sent.len() == before, "{attempt} was sent: {:?}", sent.last());
    }
    // What may be sent arrives as it was meant: one request, nothing behind it.
    for body in ["", "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n", "0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"] {
        let post = json!({"method": "POST", "path": "/echo?a=%0d%0ax:1", "headers": [["x-mine", "1"]], "body": body});
        let answer = tell(&client, "sends-anything", &post.to_string()).await?;
        let sent = endpoint.requests().pop().context("nothing was sent")?;
        ensure!(answer["ok"]["description"].as_str().is_some_and(|text| text.contains("x-mine")), "{answer}");
        ensure!(sent.starts_with("POST /base/echo?a=%0d%0ax:1 HTTP/1.1\r\n"), "{sent}");
        ensure!(sent.ends_with(&format!("\r\n\r\n{body}")), "something stands behind the request: {sent}");
        ensure!(body.is_empty() || sent.contains(&format!("content-length: {}\r\n", body.len())), "{sent}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_drips_or_leads_elsewhere_costs_its_own_call_only() -> Result<()> {
    let House { endpoint, client, server: _server } = open(None).await?;
    let drip = json!({"method": "GET", "path": "/drip", "timeout_ms": 300}).to_string();
    let asked = Instant::now();
    let drips = (0..8).map(|_| tell(&client, "sends-anything", &drip));
    for answer in futures::future::join_all(drips).await {
        let answer = answer?;
        ensure!(answer["error"]["code"] == "timeout", "{answer}");
    }
    // Eight at once, none of which would have ended by itself within half an hour.
    ensure!(asked.elapsed() < Duration::from_secs(30), "they took {:?}", asked.elapsed());
    let before = endpoint.requests().len();
    let answer = tell(&client, "sends-anything", &json!({"method": "GET", "path": "/redirect"}).to_string()).await?;
    let text = answer["ok"]["description"].as_str().unwrap_or_default();
    ensure!(text.contains("302"), "a redirect was followed: {answer}");
    ensure!(!text.contains(TOKEN), "{answer}");
    ensure!(endpoint.requests().len() == before + 1, "more than one request for a redirect");
    tell(&client, "spawns-many-http", "x").await?;
    let spawned = endpoint.requests().len() - before - 1;
    ensure!(spawned == 16, "{spawned} requests were sent, 16 are allowed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_in_whatever_form_it_is_written() -> Result<()> {
    // None of these is granted. By https, since plain http to a private name is refused for that alone.
    let urls = [
        "https://127.0.0.1:9",
        "https://2130706433:9",
        "https://0177.0.0.1:9",
        "https://0x7f.1:9",
        "https://127.1:9",
        "https://0.0.0.0:9",
        "https://[::1]:9",
        "https://[::ffff:127.0.0.1]:9",
        "https://[::127.0.0.1]:9",
        "https://[64:ff9b::7f00:1]:9",
        "https://[2002:7f00:1::]:9",
        "https://[fd00:ec2::254]:9",
        "https://[fe80::1]:9",
        "https://10.0.0.1:9",
        "https://192.168.1.1:9",
        "https://172.16.0.1:9",
        "https://100.64.0.1:9",
        "https://169.254.169.254",
        "https://3232235777:9",
        "https://224.0.0.1:9",
        "https://255.255.255.255:9",
    ];
    let names = ["https://localhost:9", "https://localhost.:9", "https://erp.localhost:9"];
    let folder = Folder::of("shop")?;
    for (number, url) in urls.iter().enumerate() {
        connect(&folder, "shop", &format!("form-{number}"), "sends-anything", Some(url))?;
    }
    for (number, url) in names.iter().enumerate() {
        connect(&folder, "shop", &format!("name-{number}"), "sends-anything", Some(url))?;
    }
    // A name of this machine that looks like any other: what it means is known when it is asked for.
    let own = std::fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned();
    let known = !own.is_empty() && std::net::ToSocketAddrs::to_socket_addrs(&(own.as_str(), 9)).is_ok();
    let url = known.then(|| format!("https://{own}:9"));
    let House { client, server, .. } = open(url.as_deref()).await?;
    let ran = server.host().run(&["apply", &folder.path().display().to_string()]).await?;
    ensure!(!ran.status.success(), "it was applied: {}", ran.stdout);
    for (number, url) in urls.iter().enumerate() {
        let file = format!("form-{number}.yaml:");
        let refusal =
            ran.stderr.lines().find(|line| line.contains(&file)).with_context(|| format!("{url} is allowed"))?;
        ensure!(refusal.contains("not a public address"), "{url} is not refused for what it is: {refusal}");
    }
    for (number, name) in names.iter().enumerate() {
        let file = format!("name-{number}.yaml:");
        let refusal = ran.stderr.lines().find(|line| line.contains(&file)).context(*name)?;
        ensure!(refusal.contains("localhost is this machine"), "{name} is not refused for what it is: {refusal}");
    }
    if known {
        let get = json!({"method": "GET", "path": "/echo", "timeout_ms": 2000}).to_string();
        let answer = tell(&client, "by-name", &get).await?;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        ensure!(message.contains("does not have a public address"), "{own} was not refused for what it is: {answer}");
    }
    Ok(())
}

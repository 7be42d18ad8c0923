//! Platforms that call: what is genuine is taken in once, all else is refused, whatever a plugin makes of it.
//!
//! The connector `told` believes what is signed with the secret `signing`, or everybody when it is told to.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confab_tests::client::{Answer, Client, send};
use confab_tests::folder::Folder;
use confab_tests::place;
use confab_tests::server::{Host, Server};
use confab_tests::wait::{LONG, until};
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const SECRET: &str = "a secret of the tests";
/// What the official libraries of Standard Webhooks use in their tests.
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn open() -> Result<(Server, Client)> {
    for guest in ["leaves", "told"] {
        place::plugin(guest)?;
    }
    let folder = Folder::of("acme")?;
    folder.write("bots/leaves.yaml", "id: leaves\nplugin: leaves\nevents:\n  \"*\": {}\n")?;
    let connection = |id: &str, webhook: &str| {
        folder.write(&format!("connections/{id}.yaml"), &format!("id: {id}\nconnector: told\n{webhook}"))
    };
    connection("shop", "webhook:\n  secrets: {signing: env:ACME__HOOK}\n")?;
    connection(
        "standard",
        "webhook:\n  standard: [env:ACME__OLD, env:ACME__STANDARD]\n  subjects: [\"order:{{ data.order }}\", \"a:{{ data.absent }}\"]\n",
    )?;
    connection("token", "webhook:\n  token: {header: X-Hook-Token, value: env:ACME__HOOK}\n")?;
    connection("silent", "")?;
    let host = Host::new()?
        .env("ACME__HOOK", SECRET)
        .env("ACME__OLD", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
        .env("ACME__STANDARD", STANDARD_SECRET)
        .serving("--key-rate", "1000000")
        .apply(folder.path());
    let server = host.start().await?;
    let scopes = ["--scope", "chat", "--scope", "transcripts", "--scope", "admin"];
    let client = Client::new(&server, &host.key("acme", &scopes).await?)?;
    Ok((server, client))
}

fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

fn sign(key: &[u8], message: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes())
}

fn hex(tag: &hmac::Tag) -> String {
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A call of the platform of `shop`.
async fn call(server: &Server, seconds: u64, signed: &str, body: &str, more: &[(&str, &str)]) -> Result<Answer> {
    let signature = hex(&sign(SECRET.as_bytes(), &format!("{seconds}.{signed}")));
    let seconds = seconds.to_string();
    let headers = [&[("x-timestamp", seconds.as_str()), ("x-signature", &signature)], more].concat();
    post(server, "acme.shop", &headers, body).await
}

async fn post(server: &Server, address: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
    let request = Client::anonymous(server)?.request(Method::POST, &format!("/webhooks/{address}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(request.body(body.to_owned())).await
}

fn told(id: &str) -> Value {
    json!({"events": [{"id": id, "name": "order.shipped", "subjects": ["order:1"], "data": {"id": id}}]})
}

async fn processed(client: &Client, wanted: &[&str]) -> Result<()> {
    let mut wanted: Vec<&str> = wanted.to_vec();
    wanted.sort_unstable();
    until(&format!("{wanted:?}"), LONG, || async {
        let listed = client.json("/api/admin/events").await?;
        let events = listed["events"].as_array().context("no events")?.clone();
        let mut ids: Vec<&str> =
            events.iter().filter(|e| e["status"] == "done").filter_map(|e| e["id"].as_str()).collect();
        ids.sort_unstable();
        Ok((ids == wanted).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_call_is_taken_in_once_and_all_others_are_refused() -> Result<()> {
    let (server, client) = open().await?;
    let mut talk = client.talk().by("ada");
    talk.hears(&json!([{"watch": "order:1", "for": 3600}]).to_string(), &["left 1"]).await?;
    let (now, body) = (now()?, told("w-1").to_string());
    let good = call(&server, now, &body, &body, &[]).await?;
    ensure!(good.status == 202 && good.body.is_empty(), "{good:?}");
    // Delivered again, as platforms do that lost the answer: accepted, and nothing comes of it.
    for _ in 0..3 {
        ensure!(call(&server, now, &body, &body, &[]).await?.status == 202);
    }
    let tampered = body.replace("w-1", "w-2");
    let refused = [
        call(&server, now, &body, &tampered, &[]).await?,
        call(&server, now - 301, &body, &body, &[]).await?,
        call(&server, now + 600, &body, &body, &[]).await?,
        post(&server, "acme.shop", &[], &tampered).await?,
        post(&server, "acme.shop", &[("x-signature", ""), ("x-timestamp", "0")], &tampered).await?,
        // Believed by the plugin, by nobody else.
        post(&server, "acme.shop", &[("x-careless", "1")], &tampered).await?,
        // Its panic makes nothing genuine either: a refusal as well, as nothing was checked.
        post(&server, "acme.shop", &[("x-careless", "1")], &json!({"answer": "yes"}).to_string()).await?,
    ];
    let details: Vec<String> = refused
        .iter()
        .map(|answer| Ok(answer.problem(401, "webhook-refused")?.detail().to_owned()))
        .collect::<Result<_>>()?;
    ensure!(details.iter().all(|detail| *detail == details[0]), "a refusal says why: {details:?}");
    let last = told("w-3").to_string();
    ensure!(call(&server, now, &last, &last, &[]).await?.status == 202);
    processed(&client, &["w-1", "w-3"]).await?;
    let messages = client.transcript(talk.id()?, "?visitor=ada").await?;
    let said: Vec<&str> = messages.iter().filter(|m| m["from"] == "bot").filter_map(|m| m["text"].as_str()).collect();
    ensure!(said == ["left 1", r#"order.shipped {"id":"w-1"}"#, r#"order.shipped {"id":"w-3"}"#], "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_breaks_takes_nothing_in_and_the_platform_tries_again() -> Result<()> {
    let (server, client) = open().await?;
    let now = now()?;
    for broken in [
        json!({"events": [{"id": "b-1", "name": "a"}], "panic": true}),
        json!({"events": [{"id": "b-2", "name": "a"}], "garbage": true}),
        json!({"events": [{"id": "b-3", "name": "a"}], "times": 101}),
    ] {
        let body = broken.to_string();
        let refused = call(&server, now, &body, &body, &[]).await?;
        ensure!(!refused.problem(503, "connection-not-ready")?.header("retry-after").is_empty());
    }
    let failures = server.host().confab(&["failures", "--connection", "shop"]).await?;
    ensure!(failures.contains("told to") && failures.contains("at most 100"), "{failures}");
    // Genuine, and not understood: no use in trying again.
    call(&server, now, "[", "[", &[]).await?.problem(400, "bad-request")?;
    ensure!(client.json("/api/admin/events").await?["events"] == json!([]));
    // What it answers is said in its words, and never as a page of ours.
    let body = json!({"answer": "challenge"}).to_string();
    let answer = call(&server, now, &body, &body, &[]).await?;
    ensure!(answer.status == 200 && answer.body == "challenge", "{answer:?}");
    ensure!(
        answer.header("content-security-policy").contains("sandbox")
            && answer.header("x-content-type-options") == "nosniff"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_without_a_webhook_are_not_there() -> Result<()> {
    let (server, _client) = open().await?;
    let body = told("w-1").to_string();
    for address in [
        "acme.silent",
        "acme.none",
        "none.shop",
        "shop",
        "acme.",
        ".shop",
        "acme.shop.more",
        "ACME.shop",
        "acme%2Eshop%2Ex",
    ] {
        post(&server, address, &[("x-careless", "1")], &body).await?.problem(404, "not-found")?;
    }
    post(&server, "acme.shop", &[], &"x".repeat((1 << 20) + 1)).await?.problem(413, "body-too-large")?;
    let get = Client::anonymous(&server)?.get("/webhooks/acme.shop?hub.challenge=1").await?;
    get.problem(401, "webhook-refused")?;
    let get = Client::anonymous(&server)?.get("/webhooks/acme.standard").await?;
    get.problem(401, "webhook-refused")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_webhooks_and_a_token_are_checked_by_the_host() -> Result<()> {
    let (server, client) = open().await?;
    let (now, body) = (now()?, json!({"type": "order.paid", "data": {"order": "7"}}).to_string());
    let key = STANDARD.decode(STANDARD_SECRET.trim_start_matches("whsec_"))?;
    let standard = |id: &'static str, at: u64, body: String, sent: String| {
        let signature = format!("v1,{}", STANDARD.encode(sign(&key, &format!("{id}.{at}.{body}"))));
        let (server, at) = (&server, at.to_string());
        async move {
            let headers =
                [("webhook-id", id), ("webhook-timestamp", at.as_str()), ("webhook-signature", signature.as_str())];
            post(server, "acme.standard", &headers, &sent).await
        }
    };
    ensure!(standard("msg_1", now, body.clone(), body.clone()).await?.status == 202);
    ensure!(standard("msg_1", now, body.clone(), body.clone()).await?.status == 202, "again");
    standard("msg_2", now - 301, body.clone(), body.clone()).await?.problem(401, "webhook-refused")?;
    standard("msg_3", now, body.clone(), body.replace('7', "8")).await?.problem(401, "webhook-refused")?;
    standard("msg_4", now, "{}".into(), "{}".into()).await?.problem(400, "bad-request")?;
    post(&server, "acme.standard", &[], &body).await?.problem(401, "webhook-refused")?;

    let token = |value: &'static str, body: Value| {
        let server = &server;
        async move { post(server, "acme.token", &[("x-hook-token", value)], &body.to_string()).await }
    };
    ensure!(token(SECRET, json!({"event": "stock.changed", "id": "t-1"})).await?.status == 202);
    token("another", json!({"event": "stock.changed", "id": "t-2"})).await?.problem(401, "webhook-refused")?;
    token("", json!({"event": "stock.changed", "id": "t-3"})).await?.problem(401, "webhook-refused")?;
    processed(&client, &["msg_1", "t-1"]).await?;
    let event = client.json("/api/admin/events/msg_1?source=standard").await?;
    ensure!(event["subjects"] == json!(["order:7"]) && event["source"] == "standard", "{event}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_held_back_before_anything_is_run() -> Result<()> {
    place::plugin("told")?;
    let folder = Folder::of("acme")?;
    folder.write(
        "connections/shop.yaml",
        "id: shop\nconnector: told\nwebhook:\n  secrets: {signing: env:ACME__HOOK}\n",
    )?;
    let host = Host::new()?.env("ACME__HOOK", SECRET).serving("--webhook-rate", "10").apply(folder.path());
    let server = host.start().await?;
    for _ in 0..5 {
        post(&server, "acme.shop", &[], "{}").await?.problem(401, "webhook-refused")?;
    }
    let refused = post(&server, "acme.shop", &[], "{}").await?.problem(429, "quota-exceeded")?;
    ensure!(refused.document["violated-policies"] == json!(["webhook-address"]), "{}", refused.document);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_could_not_be_checked_is_found_when_it_is_applied() -> Result<()> {
    place::plugin("told")?;
    let folder = Folder::of("acme")?;
    let host = Host::new()?.env("ACME__HOOK", SECRET);
    for (webhook, message) in [
        ("secrets: {signing: env:ACME__ABSENT}", "ACME__ABSENT is not set"),
        ("secrets: {signing: env:OTHER__HOOK}", "may not read OTHER__HOOK"),
        ("secrets: {other: env:ACME__HOOK}", "has no such secret; it has: signing"),
        ("secrets: {}", "webhook.secrets.signing is missing"),
        ("standard: env:ACME__HOOK", "begins with none of whsec_"),
    ] {
        folder.write("connections/shop.yaml", &format!("id: shop\nconnector: told\nwebhook:\n  {webhook}\n"))?;
        let ran = host.run(&["apply", "--check", &folder.path().display().to_string()]).await?;
        let said = format!("{}{}", ran.stdout, ran.stderr);
        ensure!(
            !ran.status.success() && said.contains(message) && said.contains("connections/shop.yaml:"),
            "{webhook}: {said}"
        );
        ensure!(!said.contains(SECRET), "{said}");
    }
    Ok(())
}

//! Tenants' systems are told what happened: signed, in order, also after days; and nobody else is.
//!
//! The receiver verifies with the official library. Where days have to pass the wall clock is moved, for the server and the receiver alike.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::folder::Folder;
use confab_tests::receiver::{Clock, Got, Receiver};
use confab_tests::server::{Host, Server};
use confab_tests::use_cases;
use confab_tests::wait::{LONG, until};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_bm90IGEgc2VjcmV0LCBvbmx5IGEgdGVzdCB2YWx1ZQ==";
const PRIVATE: &str = "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=";
/// Seconds between two tries, as the specification has them.
const PAUSES: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// A tenant `acme` with the bot `echo` and a webhook `crm`.
struct Acme {
    host: Host,
    folder: Folder,
}

impl Acme {
    fn new(receiver: &Receiver, events: &str) -> Result<Acme> {
        let folder = Folder::of("acme")?;
        folder.guest("echo")?;
        let yaml = format!("id: crm\nurl: {}\nevents: {events}\nsecrets: [env:ACME__HOOK]\n", receiver.url());
        folder.write("webhooks/crm.yaml", &yaml)?;
        let host = Host::new()?
            .flag("--allow-private", &receiver.address())
            .env("ACME__HOOK", NEW)
            .env("ACME__HOOK_OLD", OLD)
            .env("ACME__HOOK_KEY", PRIVATE)
            .serving("--key-rate", "1000000")
            .serving("--visitor-rate", "1000000");
        Ok(Acme { host: host.apply(folder.path()), folder })
    }

    async fn start(&self) -> Result<(Server, Client)> {
        let server = self.host.start().await?;
        let key = self.host.key("acme", &["--scope", "chat", "--scope", "admin"]).await?;
        let client = Client::new(&server, &key)?;
        Ok((server, client))
    }
}

async fn state(client: &Client) -> Result<Value> {
    let listed = client.json("/api/admin/webhooks").await?;
    let crm = listed["webhooks"].as_array().into_iter().flatten().find(|webhook| webhook["id"] == "crm");
    crm.cloned().with_context(|| format!("no webhook crm: {listed}"))
}

/// Waits until so many requests have come.
async fn requests(receiver: &Receiver, count: usize) -> Result<Vec<Got>> {
    until(&format!("{count} requests"), LONG, || async {
        let got = receiver.got().await?;
        Ok((got.len() >= count).then_some(got))
    })
    .await
}

/// Waits until nothing waits any more.
async fn delivered(client: &Client) -> Result<()> {
    until("everything is delivered", LONG, || async {
        let lanes_out = state(client).await?["waiting"] == 0;
        Ok(lanes_out.then_some(()))
    })
    .await
}

/// Waits until so many messages were tried that many times.
async fn failed(client: &Client, tries: usize) -> Result<Value> {
    until(&format!("{tries} failed tries"), LONG, || async {
        let state = state(client).await?;
        Ok((state["failed_attempts"] == tries).then_some(state))
    })
    .await
}

/// What was taken, each once, in the order in which it was first taken.
fn taken(got: &[Got]) -> Vec<&Got> {
    let mut seen = BTreeSet::new();
    got.iter().filter(|got| got.taken() && seen.insert(got.id().to_owned())).collect()
}

/// What a visitor wrote, in the order of its messages.
fn written(got: &[&Got], conversation: &str) -> Vec<String> {
    let messages = got.iter().map(|got| got.message());
    let of_visitor = messages
        .filter(|message| message["data"]["conversation_id"] == conversation && message["data"]["from"] == "visitor");
    of_visitor.filter_map(|message| message["data"]["text"].as_str().map(str::to_owned)).collect()
}

fn verified(got: &[Got]) -> Result<()> {
    for one in got {
        ensure!(one.said.iter().all(|said| said == "verified"), "{one:?}");
        ensure!(one.header("user-agent").starts_with("Confab/"), "{one:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_down_for_three_days_gets_everything_in_order() -> Result<()> {
    let clock = Clock::new()?;
    let receiver = Receiver::start(&[NEW], Some(&clock)).await?;
    let acme = Acme::new(&receiver, "['*']")?;
    let acme = Acme { host: clock.of(acme.host), ..acme };
    receiver.answers(&json!({"status": 500})).await?;
    let (_server, client) = acme.start().await?;

    let mut talk = client.talk().with("echo").by("ada");
    for number in 0..4 {
        talk.say(&format!("before {number}")).await?;
    }
    for (tries, pause) in (1..).zip(PAUSES) {
        let state = failed(&client, tries).await?;
        let asked = requests(&receiver, tries).await?.len();
        ensure!(asked == tries, "{asked} requests in {tries} tries: others than the oldest message were sent");
        let next = state["next_attempt_at"].as_str().context("no next attempt")?;
        ensure!(state["state"] == "enabled" && next.ends_with('Z'), "{state}");
        if tries == PAUSES.len() {
            break;
        }
        // Less than the pause: nothing is sent. It is looked at again when the rest has passed.
        clock.advance(Duration::from_secs(pause - 4))?;
        talk.say(&format!("during {tries}")).await?;
        clock.advance(Duration::from_secs(pause / 10 + 5))?;
    }
    let down = receiver.got().await?;
    ensure!(down.iter().all(|got| got.id() == down[0].id()), "the oldest message holds up the others: {down:#?}");
    let times: BTreeSet<&str> = down.iter().map(|got| got.header("webhook-timestamp")).collect();
    ensure!(times.len() == down.len(), "each try has its own time: {times:?}");
    let bodies: BTreeSet<&str> = down.iter().map(|got| got.body.as_str()).collect();
    ensure!(bodies.len() == 1, "the same bytes each time: {bodies:?}");

    receiver.answers(&json!({"status": 204})).await?;
    clock.advance(Duration::from_secs(PAUSES[8] + PAUSES[8] / 10 + 1))?;
    delivered(&client).await?;
    let got = receiver.got().await?;
    verified(&got)?;
    let took = taken(&got);
    let texts = written(&took, talk.id()?);
    let said: Vec<String> =
        (0..4).map(|number| format!("before {number}")).chain((1..9).map(|tries| format!("during {tries}"))).collect();
    ensure!(texts == said, "{texts:#?}");
    // The conversation's beginning, and each turn's question and answer.
    let kinds: Vec<String> = took.iter().map(|got| got.kind()).collect();
    ensure!(kinds.len() == 1 + 2 * said.len() && kinds[0] == "conversation.started", "{kinds:?}");
    ensure!(kinds.iter().skip(1).all(|kind| kind == "message.created"), "{kinds:?}");
    ensure!(got.len() == down.len() + took.len(), "nothing is sent twice: {}", got.len());
    let state = state(&client).await?;
    ensure!(state["state"] == "enabled" && state["waiting"] == 0 && state["failed_attempts"] == 0, "{state}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_ten_tries_a_webhook_is_disabled_and_what_waited_comes_when_it_is_enabled() -> Result<()> {
    let clock = Clock::new()?;
    let receiver = Receiver::start(&[NEW], Some(&clock)).await?;
    let acme = Acme::new(&receiver, "[message.created]")?;
    let acme = Acme { host: clock.of(acme.host), ..acme };
    // Each of them is a failure.
    receiver.answers(&json!({"status": 302, "headers": {"location": "/elsewhere"}})).await?;
    let (_server, client) = acme.start().await?;
    let mut talk = client.talk().with("echo");
    talk.say("one").await?;
    talk.say("two").await?;
    for (tries, pause) in (1..).zip(PAUSES) {
        failed(&client, tries).await?;
        receiver.answers(&[json!({"status": 404}), json!({"status": 200, "hang_up": true})][tries % 2]).await?;
        clock.advance(Duration::from_secs(pause + pause / 10 + 1))?;
    }
    let disabled = until("it is disabled", LONG, || async {
        let state = state(&client).await?;
        Ok((state["state"] == "disabled").then_some(state))
    })
    .await?;
    ensure!(disabled["disabled_because"] == "failing" && disabled["waiting"] == 4, "{disabled}");
    ensure!(disabled["next_attempt_at"].is_null(), "{disabled}");
    let tried = requests(&receiver, 10).await?;
    ensure!(tried.len() == 10 && tried.iter().all(|got| !got.header("webhook-id").is_empty()), "{tried:#?}");
    let failures = client.json("/api/admin/failures?kind=webhook-disabled").await?;
    ensure!(failures["failures"][0]["message"].as_str().is_some_and(|message| message.contains("`crm`")), "{failures}");
    // Disabled is disabled, but not deaf.
    client.talk().with("echo").say("three").await?;
    clock.advance(Duration::from_secs(24 * 3600))?;

    receiver.answers(&json!({"status": 200})).await?;
    let enabled = client.post("/api/admin/webhooks/crm/enable", &json!({})).await?.json()?;
    ensure!(enabled["state"] == "enabled" && enabled["failed_attempts"] == 0, "{enabled}");
    delivered(&client).await?;
    let got = receiver.got().await?;
    verified(&got)?;
    ensure!(got.iter().all(|got| got.headers["host"] == receiver.address().as_str()), "a redirect was followed");
    // One that hung up may have taken what it was sent: it does not count here, it never answered.
    let took: Vec<&Got> = got.iter().skip(10).collect();
    ensure!(written(&took, talk.id()?) == ["one", "two"], "{took:#?}");
    ensure!(took.len() == 6 && took[4].message()["data"]["text"] == "three", "{took:#?}");
    let log = client.json("/api/admin/webhooks/crm/deliveries?limit=200").await?;
    let log = log["deliveries"].as_array().context("no deliveries")?.clone();
    ensure!(log.len() == got.len() && log.iter().filter(|one| one["status"] == 404).count() == 4, "{log:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_left_alone_for_as_long_as_it_asks_and_for_good_after_410() -> Result<()> {
    let clock = Clock::new()?;
    let receiver = Receiver::start(&[NEW], Some(&clock)).await?;
    let acme = Acme::new(&receiver, "[conversation.started]")?;
    let acme = Acme { host: clock.of(acme.host), ..acme };
    receiver.answers(&json!({"status": 503, "headers": {"retry-after": "7200"}})).await?;
    let (_server, client) = acme.start().await?;
    client.talk().with("echo").say("hello").await?;
    let state_then = failed(&client, 1).await?;
    let log = client.json("/api/admin/webhooks/crm/deliveries").await?;
    let (at, next) = (&log["deliveries"][0]["at"], &log["deliveries"][0]["next_attempt_at"]);
    let (at, next) = (at.as_str().context("no time")?, next.as_str().context("no next time")?);
    // Two hours, and not the five seconds of the schedule. The day does not matter for that.
    ensure!(at[11..13] != next[11..13] && state_then["next_attempt_at"].is_string(), "{log}");
    clock.advance(Duration::from_secs(3_600))?;
    // It is awake, and does other things; so it had the time to make a mistake.
    client.talk().with("echo").say("hello").await?;
    ensure!(receiver.got().await?.len() == 1, "it was asked before its time");
    receiver.answers(&json!({"status": 410})).await?;
    clock.advance(Duration::from_secs(2 * 3_600))?;
    let gone = until("it is disabled", LONG, || async {
        let state = state(&client).await?;
        Ok((state["state"] == "disabled").then_some(state))
    })
    .await?;
    ensure!(gone["disabled_because"] == "gone" && gone["waiting"] == 2, "{gone}");
    clock.advance(Duration::from_secs(3 * 24 * 3_600))?;
    client.talk().with("echo").say("hello").await?;
    ensure!(receiver.got().await?.len() == 2, "who is gone is left alone");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_replaced_without_a_gap_and_ed25519_is_verified_with_the_public_key() -> Result<()> {
    let receiver = Receiver::start(&[NEW, OLD], None).await?;
    let acme = Acme::new(&receiver, "['*']")?;
    acme.folder.replace(
        "webhooks/crm.yaml",
        "[env:ACME__HOOK]",
        "[env:ACME__HOOK, env:ACME__HOOK_OLD, env:ACME__HOOK_KEY]",
    )?;
    let (server, client) = acme.start().await?;
    client.talk().with("echo").say("hello").await?;
    let got = requests(&receiver, 3).await?;
    verified(&got)?;
    let public = state(&client).await?["public_keys"][0].as_str().context("no public key")?.to_owned();
    let public = decode(public.strip_prefix("whpk_").context("no whpk_")?)?;
    for one in &got {
        let signatures: Vec<&str> = one.header("webhook-signature").split(' ').collect();
        ensure!(signatures.len() == 3 && signatures[0].starts_with("v1,"), "{signatures:?}");
        let ed25519 = decode(signatures[2].strip_prefix("v1a,").context("no v1a")?)?;
        let signed = format!("{}.{}.{}", one.id(), one.header("webhook-timestamp"), one.body);
        let key = UnparsedPublicKey::new(&ED25519, &public);
        ensure!(key.verify(signed.as_bytes(), &ed25519).is_ok(), "{one:?}");
    }

    // The rotation ends: the old secret is no longer good.
    acme.folder.replace("webhooks/crm.yaml", ", env:ACME__HOOK_OLD, env:ACME__HOOK_KEY", "")?;
    acme.host.confab(&["apply", &acme.folder.path().display().to_string()]).await?;
    client.talk().with("echo").say("hello").await?;
    let later = requests(&receiver, 6).await?;
    for one in &later[3..] {
        ensure!(one.said[0] == "verified" && one.said[1].contains("No matching signature"), "{one:?}");
    }
    let log = server.host().log()?;
    let disk = server.host().disk()?;
    for secret in [NEW, OLD, PRIVATE].map(|secret| secret.split_once('_').map_or(secret, |(_, secret)| secret)) {
        ensure!(!log.contains(secret), "a secret is in the log");
        let on_disk = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        ensure!(!disk.iter().any(|(_, bytes)| on_disk(bytes)), "a secret is on disk");
    }
    Ok(())
}

fn decode(text: &str) -> Result<Vec<u8>> {
    use base64::Engine as _;
    Ok(base64::engine::general_purpose::STANDARD.decode(text)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_tested_and_messages_are_sent_once_more_under_their_old_ids() -> Result<()> {
    let receiver = Receiver::start(&[NEW], None).await?;
    let acme = Acme::new(&receiver, "[message.created]\nbots: [echo]")?;
    let (_server, client) = acme.start().await?;
    receiver.answers(&json!({"status": 200, "body": "got it"})).await?;
    let pinged = acme.host.confab(&["webhook", "ping", "--tenant", "acme", "crm"]).await?;
    ensure!(pinged.contains("webhook.ping") && pinged.contains("200") && pinged.contains("got it"), "{pinged}");
    receiver.answers(&json!({"status": 404})).await?;
    let refused = acme.host.run(&["webhook", "ping", "--tenant", "acme", "crm"]).await?;
    ensure!(!refused.status.success() && refused.stderr.contains("did not take it"), "{refused:?}");
    receiver.answers(&json!({"status": 200})).await?;

    let mut talk = client.talk().with("echo");
    for text in ["one", "two"] {
        talk.say(text).await?;
    }
    let got = requests(&receiver, 6).await?;
    ensure!(got[0].kind() == "webhook.ping" && got[2..].iter().all(|got| got.kind() == "message.created"), "{got:#?}");
    let id = got[4].id().to_owned();
    let said = acme.host.confab(&["webhook", "replay", "--tenant", "acme", "crm", "--message", &id]).await?;
    ensure!(said.contains("1 messages"), "{said}");
    let again = requests(&receiver, 7).await?;
    ensure!(again[6].id() == id && again[6].body == got[4].body, "{:?}", again[6]);

    let range = json!({"since": "2020-01-01T00:00:00Z"});
    let replayed = client.post("/api/admin/webhooks/crm/replay", &range).await?.json()?;
    ensure!(replayed["replayed"] == 4, "each message once, also one that was sent again before: {replayed}");
    let all = requests(&receiver, 11).await?;
    let ids = |got: &[Got]| got.iter().map(|got| got.id().to_owned()).collect::<Vec<_>>();
    // In the order in which they were taken.
    ensure!(ids(&all[7..]) == ids(&got[2..6]), "{:#?}", &all[7..]);
    verified(&all)?;

    let post = |path: &'static str, body: Value| {
        let client = client.clone();
        async move { client.post(&format!("/api/admin/webhooks/{path}"), &body).await }
    };
    post("crm/replay", json!({"message_id": "msg_unknown"})).await?.problem(404, "not-found")?;
    post("crm/replay", json!({})).await?.problem(422, "invalid-input")?;
    post("crm/replay", json!({"since": "yesterday"})).await?.problem(422, "invalid-input")?.points_at("/since")?;
    post("nobody/ping", json!({})).await?.problem(404, "not-found")?;
    let chat_only = acme.host.key("acme", &["--scope", "chat"]).await?;
    client.with_key(&chat_only).get("/api/admin/webhooks").await?.problem(403, "forbidden")?;

    // One that somebody disabled keeps what comes, and a removed one is forgotten.
    let listed = acme.host.confab(&["webhook", "disable", "--tenant", "acme", "crm"]).await?;
    ensure!(listed.contains("disabled"), "{listed}");
    talk.say("three").await?;
    until("it waits", LONG, || async { Ok((state(&client).await?["waiting"] == 2).then_some(())) }).await?;
    std::fs::remove_file(acme.folder.path().join("webhooks/crm.yaml"))?;
    let removed = acme.host.confab(&["apply", "--prune", &acme.folder.path().display().to_string()]).await?;
    ensure!(removed.contains("webhook crm"), "{removed}");
    ensure!(client.json("/api/admin/webhooks").await?["webhooks"] == json!([]), "it is still there");
    ensure!(receiver.got().await?.len() == all.len(), "a removed webhook is told nothing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bots_write_say_and_fail_at_is_told_to_who_wants_it_and_of_whom_he_wants_it() -> Result<()> {
    let receiver = Receiver::start(&[NEW], None).await?;
    let folder = Folder::shop()?;
    folder.guest("panics")?;
    folder.guest("echo")?;
    let hook = |id: &str, more: &str| {
        let yaml = format!("id: {id}\nurl: {}\nsecrets: [env:SHOP__HOOK]\n{more}", receiver.url());
        folder.write(&format!("webhooks/{id}.yaml"), &yaml)
    };
    hook("writes", "events: [lead.created, \"ticket.*\", plugin.failed, \"handoff.*\"]\n")?;
    hook("people", "events: [message.created]\nbots: [echo]\n")?;
    let host = Host::new()?.flag("--allow-private", &receiver.address()).env("SHOP__HOOK", NEW).apply(folder.path());
    let server = host.start().await?;
    let key = host.key("shop", &["--scope", "chat", "--scope", "people", "--scope", "admin"]).await?;
    let client = Client::new(&server, &key)?;

    let talker = client.with_key(&host.key("shop", &["--bot", "shop"]).await?);
    use_cases::lead(&talker, "Ada Muster", "ada@muster.example", "200 kg of beans").await?;
    let ticket = use_cases::ticket(&talker, "No steam", "It hisses", "ada@muster.example").await?;
    let mut failing = client.talk().with("panics");
    failing.hears("panic", &["panics failed"]).await?;
    let mut talk = client.talk().with("echo").by("ada");
    talk.say("is anybody there?").await?;
    let path = format!("/api/conversations/{}", talk.id()?);
    client.post(&format!("{path}/claim"), &json!({"bot": "echo", "agent": "grace"})).await?.json()?;
    client
        .post(&format!("{path}/messages"), &json!({"bot": "echo", "agent": "grace", "text": "I am"}))
        .await?
        .json()?;
    client.post(&format!("{path}/release"), &json!({"bot": "echo", "agent": "grace"})).await?.json()?;

    let got = requests(&receiver, 8).await?;
    verified(&got)?;
    let of = |kind: &str| got.iter().map(Got::message).filter(|message| message["type"] == kind).collect::<Vec<_>>();
    let one = |kind: &str| match of(kind).as_slice() {
        [one] => Ok(one["data"].clone()),
        other => Err(anyhow::anyhow!("{} of {kind}: {got:#?}", other.len())),
    };
    ensure!(one("lead.created")?["result"]["id"].is_string() && one("lead.created")?["bot"] == "shop", "{got:#?}");
    ensure!(one("ticket.created")?["result"].to_string().contains(&ticket), "{got:#?}");
    let failed = one("plugin.failed")?;
    ensure!(failed["plugin"] == "panics" && !failed.to_string().contains("backtrace"), "{failed}");
    ensure!(one("handoff.claimed")?["agent"] == "grace" && one("handoff.released")?["agent"] == "grace", "{got:#?}");
    let messages = of("message.created");
    let from: Vec<&str> = messages.iter().filter_map(|message| message["data"]["from"].as_str()).collect();
    ensure!(from == ["visitor", "bot", "agent"], "{messages:#?}");
    ensure!(messages[0]["data"]["visitor_id"] == "ada" && messages[2]["data"]["agent"] == "grace", "{messages:#?}");
    ensure!(messages[2]["data"]["replies"][0]["text"] == "I am", "{messages:#?}");
    ensure!(got.len() == 8, "nothing else was asked for: {got:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_could_not_be_delivered_to_is_refused_with_file_and_line() -> Result<()> {
    let folder = Folder::of("acme")?;
    folder.guest("echo")?;
    let host = Host::new()?.env("ACME__HOOK", "not a key").env("ACME__PUBLIC", "whpk_AAAA");
    let _server = host.start().await?;
    let refused = |yaml: String| {
        let (host, written) = (host.clone(), folder.write("webhooks/crm.yaml", &yaml));
        let path = folder.path().display().to_string();
        async move {
            written?;
            let ran = host.run(&["apply", &path]).await?;
            ensure!(!ran.status.success(), "it was applied: {}", ran.stdout);
            Ok::<_, anyhow::Error>(format!("{}{}", ran.stdout, ran.stderr))
        }
    };
    let yaml = |url: &str, secret: &str| format!("id: crm\nurl: {url}\nevents: ['*']\nsecrets: [{secret}]\n");
    for url in [
        "http://127.0.0.1:1/x",
        "https://169.254.169.254/",
        "https://localhost/",
        "ftp://a.example",
        "https://u:p@a.example/",
        "https://a.example/#x",
    ] {
        let said = refused(yaml(url, "env:ACME__HOOK")).await?;
        ensure!(said.contains("webhooks/crm.yaml:2:"), "{url}: {said}");
    }
    for secret in ["env:ACME__HOOK", "env:ACME__PUBLIC", "env:ACME__MISSING", "env:SHOP__HOOK"] {
        let said = refused(yaml("https://a.example/", secret)).await?;
        ensure!(said.contains("webhooks/crm.yaml:4:") && !said.contains("not a key"), "{secret}: {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_while_it_delivers_loses_nothing_and_repeats_only_under_the_same_id() -> Result<()> {
    const TALKERS: usize = 6;
    const KILLS: usize = 4;
    let receiver = Receiver::start(&[NEW], None).await?;
    let acme = Acme::new(&receiver, "['*']")?;
    let (mut server, client) = acme.start().await?;
    let key = acme.host.key("acme", &["--scope", "chat", "--scope", "admin"]).await?;
    drop(client);
    let mut turns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kill in 0..KILLS {
        let (client, stop) = (Client::new(&server, &key)?, Arc::new(AtomicBool::new(false)));
        let talkers: Vec<_> = (0..TALKERS)
            .map(|number| {
                let (mut talk, stop) =
                    (client.talk().with("echo").by(format!("visitor-{kill}-{number}")), stop.clone());
                tokio::spawn(async move {
                    let mut texts = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let text = format!("{}", texts.len());
                        if talk.say(&text).await.is_err() {
                            break;
                        }
                        texts.push(text);
                    }
                    (talk.id().map(str::to_owned), texts)
                })
            })
            .collect();
        let before = receiver.got().await?.len();
        requests(&receiver, before + 60).await?;
        server.kill().await?;
        stop.store(true, Ordering::Relaxed);
        for talker in talkers {
            // One may not have been answered at all.
            if let (Ok(id), texts) = talker.await? {
                turns.insert(id, texts);
            }
        }
        server = acme.host.start().await?;
    }
    let client = Client::new(&server, &key)?;
    let all: usize = turns.values().map(Vec::len).sum();
    // Each turn asks and answers; each conversation begins. What was committed but not answered may come on top.
    until("everything that was answered is told", LONG, || async {
        let got = receiver.got().await?;
        Ok((taken(&got).len() >= 2 * all + turns.len()).then_some(()))
    })
    .await?;
    delivered(&client).await?;
    let got = receiver.got().await?;
    verified(&got)?;
    let took = taken(&got);
    for (conversation, texts) in &turns {
        let told = written(&took, conversation);
        ensure!(told.get(..texts.len()) == Some(texts.as_slice()), "{texts:?} was answered, {told:?} was told");
        // At most one turn of a conversation was committed without its answer coming through.
        ensure!(told.len() <= texts.len() + 1, "{texts:?} was answered, {told:?} was told");
    }
    let twice = got.len() - took.len();
    println!(
        "{all} turns in {} conversations, {} messages, {twice} repeated after {KILLS} kills",
        turns.len(),
        took.len()
    );
    ensure!(twice <= KILLS, "{twice} messages were repeated after {KILLS} kills: one each is what can't be avoided");
    let bodies: BTreeSet<(&str, &str)> = got.iter().map(|got| (got.id(), got.body.as_str())).collect();
    ensure!(bodies.len() == took.len(), "an id has always the same body");
    Ok(())
}

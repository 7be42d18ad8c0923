//! Turns that are sent again, wait for each other, outlive their host, and are run again.

use anyhow::{Context, Result, ensure};
use confab_tests::client::{Answer, Client};
use confab_tests::erp::{Erp, Manner};
use confab_tests::folder::Folder;
use confab_tests::server::{Host, Server};
use confab_tests::wait::{LONG, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Sends a message under a key.
async fn send(client: &Client, key: &str, body: &Value) -> Result<Answer> {
    send_to(client, "/api/chat", key, body).await
}

async fn send_to(client: &Client, path: &str, key: &str, body: &Value) -> Result<Answer> {
    let request = client.request(Method::POST, path).header("idempotency-key", key);
    confab_tests::client::send(request.header("content-type", "application/json").body(body.to_string())).await
}

/// Sends a message that has to wait, and comes back when it does: of two requests under one key, one is told that the other is in flight.
async fn waits(client: &Client, key: &'static str, body: Value) -> Result<JoinHandle<Result<Answer>>> {
    let [one, other] = [client.clone(), client.clone()].map(|client| {
        let body = body.clone();
        tokio::spawn(async move { send(&client, key, &body).await })
    });
    let (told, _, mut left) = futures::future::select_all([one, other]).await;
    told??.problem(409, "request-in-flight")?;
    left.pop().context("nobody waits")
}

/// A shop with a bot `caller` that calls what it is told to call, on a system that does not answer until it is told to.
struct Waiting {
    erp: Erp,
    host: Host,
    server: Server,
    client: Client,
    _folder: Folder,
}

impl Waiting {
    async fn start(while_busy: &str) -> Result<Waiting> {
        let erp = Erp::start(Manner::Waits).await?;
        let folder = Folder::shop()?;
        folder.write("connections/erp.yaml", &erp.connection())?;
        folder.guest_as("caller", "calls", &[("leads", "erp"), ("catalog", "erp")])?;
        let yaml = folder.read("bots/caller.yaml")?;
        folder.write("bots/caller.yaml", &format!("{yaml}while_busy: {while_busy}\n"))?;
        let host = Host::new()?.flag("--allow-private", &erp.address()).env("SHOP__TRYTON_PASSWORD", "not-asked-for");
        let server = host.clone().apply(folder.path()).start().await?;
        let key = host.key("shop", &["--bot", "caller"]).await?;
        let client = Client::new(&server, &key)?;
        Ok(Waiting { erp, host, server, client, _folder: folder })
    }
}

/// A message that makes `caller` ask for a product; nothing is written by it.
const READS: &str = r#"{"capability": "catalog", "function": "get", "arguments": {"sku": "SKU-1001"}}"#;
/// A message that makes it write.
const WRITES: &str = r#"{"capability": "leads", "function": "create", "arguments": {"lead": {"person": {"name": "Ada", "email": "ada@muster.example"}, "subject": "machines", "skus": []}}}"#;
/// One that makes it say `{}`.
const NOTHING: &str = "{}";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_is_served_once() -> Result<()> {
    let folder = Folder::shop()?;
    let host = Host::new()?;
    let server = host.clone().apply(folder.path()).start().await?;
    let key = host.key("shop", &[]).await?;
    let client = Client::new(&server, &key)?;
    let hello = json!({"message": "hello"});
    let first = send(&client, "m-1", &hello).await?;
    ensure!(first.header("idempotency-replayed").is_empty());
    let first = first.json()?;
    let again = send(&client, "\"m-1\"", &hello).await?;
    ensure!(again.header("idempotency-replayed") == "true");
    ensure!(again.json()? == first, "another answer");
    // Also without a header, and five at once.
    let named = json!({"message": "hello", "conversation_id": first["conversation_id"], "client_message_id": "m-2"});
    let answers = futures::future::join_all((0..5).map(|_| client.post("/api/chat", &named))).await;
    let mut served = 0;
    for answer in answers {
        let answer = answer?;
        match answer.status.as_u16() {
            200 => served += usize::from(answer.header("idempotency-replayed").is_empty()),
            409 => drop(answer.problem(409, "request-in-flight")?),
            other => anyhow::bail!("answered {other}"),
        }
    }
    ensure!(served == 1, "served {served} times");
    send(&client, "m-1", &json!({"message": "another"})).await?.problem(422, "idempotency-key-reused")?;
    let id = first["conversation_id"].as_str().context("no conversation")?;
    let asked = client.transcript(id, "").await?.iter().filter(|message| message["from"] == "visitor").count();
    ensure!(asked == 2, "{asked} turns of two messages");
    // Another client's keys are its own.
    let other = client.with_key(&host.key("shop", &[]).await?);
    let theirs = send(&other, "m-1", &hello).await?.json()?;
    ensure!(theirs["conversation_id"] != first["conversation_id"], "two clients share a key");
    send(&client, &"x".repeat(256), &hello).await?.problem(400, "bad-request")?;

    // What is no message is served once, too. A new key is shown once.
    let admin = Client::new(&server, &host.key("shop", &["--scope", "admin"]).await?)?;
    let till = json!({"label": "till"});
    let made = send_to(&admin, "/api/admin/keys", "k-1", &till).await?.json()?;
    let repeated = send_to(&admin, "/api/admin/keys", "k-1", &till).await?;
    ensure!(repeated.header("idempotency-replayed") == "true");
    let repeated = repeated.json()?;
    ensure!(made["id"] == repeated["id"] && made["key"].is_string() && repeated["key"].is_null(), "{repeated}");
    let keys = admin.json("/api/admin/keys").await?.to_string();
    ensure!(keys.matches("till").count() == 1, "{keys}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_too_soon_are_refused_where_the_bot_says_so() -> Result<()> {
    let waiting = Waiting::start("reject").await?;
    let mut talk = waiting.client.talk();
    talk.say(NOTHING).await?;
    let id = talk.id()?.to_owned();
    let ask = json!({"message": READS, "conversation_id": id});
    let (client, asked) = (waiting.client.clone(), ask.clone());
    let first = tokio::spawn(async move { send(&client, "a", &asked).await });
    waiting.erp.called(1).await?;
    send(&waiting.client, "a", &ask).await?.problem(409, "request-in-flight")?;
    talk.send(NOTHING).await?.problem(409, "conversation-busy")?;
    waiting.erp.answer_all();
    let answer = first.await??.json()?;
    ensure!(answer["response"].as_str().is_some_and(|said| said.contains("error")), "{answer}");
    ensure!(send(&waiting.client, "a", &ask).await?.json()? == answer);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_wait_become_one_where_the_bot_says_so() -> Result<()> {
    let waiting = Waiting::start("merge").await?;
    let mut talk = waiting.client.talk();
    talk.say(NOTHING).await?;
    let id = talk.id()?.to_owned();
    let body = |text: &str| json!({"message": text, "conversation_id": id});
    let (client, asked) = (waiting.client.clone(), body(READS));
    let first = tokio::spawn(async move { send(&client, "first", &asked).await });
    waiting.erp.called(1).await?;
    // Two halves of a message, which is none without either.
    let half = waits(&waiting.client, "half", body("{")).await?;
    let rest = waits(&waiting.client, "rest", body("}")).await?;
    waiting.erp.answer_all();
    first.await??.json()?;
    let (half, rest) = (half.await??.json()?, rest.await??.json()?);
    ensure!(half["response"] == "{}" && half["turn_id"] == rest["turn_id"], "{half} {rest}");
    // Either is answered again under its own key.
    for (name, text) in [("half", "{"), ("rest", "}")] {
        let again = send(&waiting.client, name, &body(text)).await?;
        ensure!(
            again.header("idempotency-replayed") == "true" && again.json()?["turn_id"] == half["turn_id"],
            "{name}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_message_ends_an_answer_that_has_written_nothing() -> Result<()> {
    let waiting = Waiting::start("interrupt").await?;
    let mut talk = waiting.client.talk();
    talk.say(NOTHING).await?;
    let mut asking = talk.clone();
    let first = tokio::spawn(async move { asking.say(READS).await });
    waiting.erp.called(1).await?;
    // The system still does not answer.
    let second = talk.say(NOTHING).await?;
    ensure!(second.response == NOTHING);
    let first = first.await??;
    ensure!(first.body["interrupted"] == true && first.response.is_empty(), "{}", first.body);
    let transcript = waiting.client.transcript(talk.id()?, "").await?;
    let texts: Vec<&str> = transcript.iter().filter_map(|message| message["text"].as_str()).collect();
    ensure!(texts == [NOTHING, NOTHING, READS, NOTHING, NOTHING], "{texts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_was_writing_when_its_host_was_killed_is_finished_by_the_next() -> Result<()> {
    let waiting = Waiting::start("enqueue").await?;
    let mut talk = waiting.client.talk();
    talk.say(NOTHING).await?;
    let id = talk.id()?.to_owned();
    let body = json!({"message": WRITES, "conversation_id": id});
    let (client, asked) = (waiting.client.clone(), body.clone());
    let cut = tokio::spawn(async move { send(&client, "write", &asked).await });
    waiting.erp.called(1).await?;
    waiting.server.kill().await?;
    ensure!(cut.await?.is_err(), "a killed host answered");
    waiting.erp.answer_all();

    // Nobody asks: the host finishes it by itself.
    let server = waiting.host.start().await?;
    let key = waiting.host.key("shop", &["--bot", "caller"]).await?;
    let client = Client::new(&server, &key)?;
    let transcript = until("the turn is finished", LONG, || async {
        let transcript = client.json(&format!("/api/conversations/{id}?limit=10")).await?;
        let messages = transcript["messages"].as_array().cloned().unwrap_or_default();
        Ok((messages.len() == 4).then_some(messages))
    })
    .await?;
    ensure!(transcript[2]["text"] == WRITES, "{transcript:?}");
    ensure!(waiting.host.log()?.contains("an unfinished turn is taken up"), "the log does not tell of it");
    // The client that was cut off gets that answer; it has another key now, so it is another client: under the old one it is kept.
    let turn = transcript[2]["turn_id"].as_str().context("no turn")?.to_owned();
    let said = waiting.host.run(&["replay", &turn, "--tenant", "shop", "--bot", "caller", "--json"]).await?;
    let replayed: Value = serde_json::from_str(&said.stdout).with_context(|| said.stderr.clone())?;
    ensure!(replayed["equal"] == 1 && replayed["different"] == 0, "{replayed}");
    ensure!(replayed["turns"][0]["steps"][0]["call"] == "leads.create", "{replayed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_take_a_conversation_over_and_give_it_back() -> Result<()> {
    let folder = Folder::shop()?;
    let bot = folder.read("bots/shop.yaml")?;
    folder.write("bots/shop.yaml", &format!("{bot}people:\n  wait: 1h\n"))?;
    let host = Host::new()?;
    let server = host.clone().apply(folder.path()).start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    let desk = Client::new(&server, &host.key("shop", &["--scope", "people"]).await?)?;
    let mut talk = client.talk().by("ada");
    talk.say("hello").await?;
    let said = talk.say("I want to talk to a human").await?;
    ensure!(said.body["with_people"] == true && said.body["handoff"]["reason"].is_string(), "{}", said.body);
    let id = talk.id()?.to_owned();
    let silent = talk.say("are you there?").await?;
    ensure!(silent.response.is_empty() && silent.body["with_people"] == true, "the bot spoke: {}", silent.body);

    client.get("/api/handoffs").await?.problem(403, "forbidden")?;
    let open = desk.json("/api/handoffs").await?;
    ensure!(open["handoffs"][0]["conversation_id"] == id && open["handoffs"][0]["state"] == "requested", "{open}");
    let post = |what: &str, body: Value| {
        let path = format!("/api/conversations/{id}/{what}");
        let desk = desk.clone();
        async move { desk.post(&path, &body).await }
    };
    post("claim", json!({"agent": "Anna"})).await?.json()?;
    post("claim", json!({"agent": "Ben"})).await?.problem(409, "handled-by-another")?;
    post("messages", json!({"agent": "Anna"})).await?.problem(422, "invalid-input")?.points_at("/text")?;
    // Who waits hears it at once.
    let news = format!("/api/conversations/{id}/messages?visitor=ada&after=4&wait=25");
    let listening = tokio::spawn({
        let (client, news) = (client.clone(), news.clone());
        async move { client.json(&news).await }
    });
    post("messages", json!({"agent": "Anna", "text": "Hello, this is Anna."})).await?.json()?;
    let heard = listening.await??;
    let message = &heard["messages"][0];
    ensure!(
        message["from"] == "agent" && message["agent"] == "Anna" && message["text"] == "Hello, this is Anna.",
        "{heard}"
    );
    ensure!(heard["after"] == 5 && heard["with_people"] == true, "{heard}");
    client.get(&format!("/api/conversations/{id}/messages?visitor=eve")).await?.problem(404, "unknown-conversation")?;

    post("release", json!({"agent": "Anna"})).await?.json()?;
    post("release", json!({"agent": "Anna"})).await?.problem(409, "not-handed-over")?;
    ensure!(desk.json("/api/handoffs").await?["handoffs"].as_array().is_some_and(Vec::is_empty));
    let back = talk.hears("Do you have SKU-1001 in stock?", &["5 available"]).await?;
    ensure!(back.body["with_people"] == false);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_nobody_takes_is_the_bots_again() -> Result<()> {
    let folder = Folder::shop()?;
    let bot = folder.read("bots/shop.yaml")?;
    folder.write("bots/shop.yaml", &format!("{bot}people:\n  wait: 1s\n  unavailable: {{en: Nobody is here.}}\n"))?;
    let host = Host::new()?;
    let server = host.clone().apply(folder.path()).start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    let mut talk = client.talk();
    let said = talk.say("I want to talk to a human").await?;
    ensure!(said.body["with_people"] == true, "{}", said.body);
    let news = format!("/api/conversations/{}/messages?after=1&wait=25", talk.id()?);
    let heard = client.json(&news).await?;
    ensure!(
        heard["messages"].as_array().is_some_and(|all| all.iter().any(|m| m["text"] == "Nobody is here.")),
        "{heard}"
    );
    ensure!(heard["with_people"] == false, "{heard}");
    talk.hears("Do you have SKU-1001 in stock?", &["5 available"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_conversation_is_a_test_of_the_bot() -> Result<()> {
    let folder = Folder::shop()?;
    let host = Host::new()?;
    let server = host.clone().apply(folder.path()).start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    let mut talk = client.talk();
    talk.hears("Do you have SKU-1001 in stock?", &["5 available"]).await?;
    talk.hears("and what does it cost?", &["349.00"]).await?;
    talk.hears("Where is my order WEB-42?", &["e-mail"]).await?;
    talk.hears("einkauf@muster.example", &["WEB-42 is shipped"]).await?;
    let id = talk.id()?.to_owned();
    let counts = host.confab(&["replay", &id, "--tenant", "shop", "--counts"]).await?;
    ensure!(
        serde_json::from_str::<Value>(&counts)? == json!({"turns": 4, "equal": 4, "different": 0, "without_record": 0})
    );

    let file = folder.path().join("recorded.json");
    let file = file.to_str().context("no path")?;
    host.confab(&["replay", &id, "--tenant", "shop", "--save", file]).await?;
    ensure!(host.confab(&["replay", "--tenant", "shop", "--test", file]).await?.contains("4 of 4"));
    // The bot now says something else, and the test says what.
    folder.replace("bots/shop.flow.yaml", "in stock:", "on our shelves:")?;
    host.confab(&["apply", &folder.path().display().to_string()]).await?;
    let ran = host.run(&["replay", "--tenant", "shop", "--test", file]).await?;
    ensure!(!ran.status.success() && ran.stdout.contains("on our shelves"), "{}{}", ran.stdout, ran.stderr);
    let nothing = host.run(&["replay", "not-a-turn", "--tenant", "shop"]).await?;
    ensure!(nothing.stderr.contains("is no turn and no conversation"), "{}", nothing.stderr);
    Ok(())
}

//! What other systems tell: taken in once, told once, found again when it went wrong.
//!
//! The bot `leaves` watches what a message says and answers an event with its name and data.

use anyhow::{Context, Result, ensure};
use confab_tests::client::{Answer, Client, Talk, send};
use confab_tests::endpoint::Endpoint;
use confab_tests::folder::Folder;
use confab_tests::place;
use confab_tests::server::{Host, Server};
use confab_tests::wait::{LONG, until};
use reqwest::Method;
use serde_json::{Value, json};

const TOLD: &str = r#"
  order.shipped:
    from: [api]
    say: {en: "Order {{ data.order }} has been shipped.", de: "Bestellung {{ data.order }} ist unterwegs."}
  "order.*": {}
"#;

fn folder(events: &str) -> Result<Folder> {
    place::plugin("leaves")?;
    let folder = Folder::of("acme")?;
    bot(&folder, events)?;
    Ok(folder)
}

fn bot(folder: &Folder, events: &str) -> Result<()> {
    folder.write("bots/leaves.yaml", &format!("id: leaves\nplugin: leaves\nevents:{events}"))
}

async fn open(host: &Host) -> Result<(Server, Client)> {
    let server = host.start().await?;
    let scopes = ["chat", "events", "transcripts"];
    let scopes: Vec<&str> = scopes.iter().flat_map(|scope| ["--scope", scope]).collect();
    let client = Client::new(&server, &host.key("acme", &scopes).await?)?;
    Ok((server, client))
}

async fn admin(server: &Server) -> Result<Client> {
    Client::new(server, &server.host().key("acme", &["--scope", "admin"]).await?)
}

fn host(folder: &Folder) -> Result<Host> {
    Ok(Host::new()?.serving("--key-rate", "1000000").serving("--visitor-rate", "1000000").apply(folder.path()))
}

async fn watching(client: &Client, subject: &str) -> Result<Talk> {
    let mut talk = client.talk().by("ada").in_language("de-AT");
    talk.hears(&json!([{"watch": subject, "for": 3600}]).to_string(), &["left 1"]).await?;
    Ok(talk)
}

/// What the bot said, in order, without the answers to messages.
async fn told(client: &Client, talk: &Talk) -> Result<Vec<String>> {
    let messages = client.transcript(talk.id()?, "?visitor=ada").await?;
    let said = messages.iter().filter(|message| message["from"] == "bot");
    let said = said.filter_map(|message| message["text"].as_str().map(str::to_owned));
    Ok(said.filter(|text| !text.starts_with("left ")).collect())
}

async fn hears(client: &Client, talk: &Talk, words: &str) -> Result<Vec<String>> {
    until(words, LONG, || async {
        let said = told(client, talk).await?;
        Ok(said.iter().any(|text| text.contains(words)).then_some(said))
    })
    .await
}

fn status(answer: &Answer) -> Result<String> {
    ensure!(answer.status == 202, "{answer:?}");
    Ok(answer.json()?["status"].as_str().context("no status")?.to_owned())
}

fn shipped(id: &str, order: &str) -> Value {
    json!({"event": "order.shipped", "id": id, "data": {"order": order}, "subjects": [format!("order:{order}")]})
}

async fn record(admin: &Client, id: &str, status: &str) -> Result<Value> {
    until(&format!("{id} is {status}"), LONG, || async {
        let answer = admin.get(&format!("/api/admin/events/{id}")).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let record = answer.json()?;
        Ok((record["status"] == status).then_some(record))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_event_is_told_once_however_often_it_is_sent_and_although_the_host_is_killed() -> Result<()> {
    let folder = folder(TOLD)?;
    let host = host(&folder)?;
    let (server, client) = open(&host).await?;
    let talk = watching(&client, "order:WEB-42").await?;
    let sending = (0..5).map(|_| async { client.post("/api/events", &shipped("e-1", "WEB-42")).await });
    let answers: Vec<Answer> = futures::future::join_all(sending).await.into_iter().collect::<Result<_>>()?;
    server.kill().await?;
    let mut outcomes: Vec<String> = answers.iter().map(status).collect::<Result<_>>()?;
    outcomes.sort();
    ensure!(outcomes == ["accepted", "duplicate", "duplicate", "duplicate", "duplicate"], "{outcomes:?}");

    let server = host.start().await?;
    let key = host.key("acme", &["--scope", "chat", "--scope", "events", "--scope", "transcripts"]).await?;
    let client = Client::new(&server, &key)?;
    hears(&client, &talk, "WEB-42 ist unterwegs").await?;
    ensure!(status(&client.post("/api/events", &shipped("e-1", "WEB-42")).await?)? == "duplicate");
    // Events of one subject keep their order: after this one nothing of the first can still come.
    let after = json!({"event": "order.paid", "subjects": ["order:WEB-42"], "data": {"n": 1}});
    ensure!(status(&client.post("/api/events", &after).await?)? == "accepted");
    let said = hears(&client, &talk, "order.paid").await?;
    ensure!(said == ["Bestellung WEB-42 ist unterwegs.", r#"order.paid {"n":1}"#], "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_subject_are_told_in_their_order() -> Result<()> {
    let folder = folder(TOLD)?;
    let (_server, client) = open(&host(&folder)?).await?;
    let talk = watching(&client, "order:1").await?;
    for n in 0..40 {
        let event = json!({"event": "order.step", "subjects": ["order:1"], "data": n});
        ensure!(status(&client.post("/api/events", &event).await?)? == "accepted");
    }
    let said = hears(&client, &talk, "order.step 39").await?;
    let expected: Vec<String> = (0..40).map(|n| format!("order.step {n}")).collect();
    ensure!(said == expected, "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_or_key_for_another_event_is_refused_and_what_is_no_event_too() -> Result<()> {
    let folder = folder(TOLD)?;
    let host = host(&folder)?;
    let (server, client) = open(&host).await?;
    let sending = &client;
    let post = |body: Value| async move { sending.post("/api/events", &body).await };
    ensure!(status(&post(shipped("e-1", "WEB-1")).await?)? == "accepted");
    post(shipped("e-1", "WEB-2")).await?.problem(422, "idempotency-key-reused")?;
    ensure!(status(&post(shipped("e-1", "WEB-1")).await?)? == "duplicate", "the first one still counts");

    let client = Client::new(&server, &host.key("acme", &["--scope", "events"]).await?)?;
    let keyed = |key: &'static str, n: u32| {
        let request = client.request(Method::POST, "/api/events").header("idempotency-key", key);
        let body = json!({"event": "stock.changed", "data": n}).to_string();
        async move { send(request.header("content-type", "application/json").body(body)).await }
    };
    let first = keyed("k-1", 1).await?;
    ensure!(status(&first)? == "accepted");
    let again = keyed("k-1", 1).await?;
    ensure!(status(&again)? == "duplicate" && again.json()?["id"] == first.json()?["id"]);
    keyed("k-1", 2).await?.problem(422, "idempotency-key-reused")?;
    ensure!(status(&keyed("k-2", 2).await?)? == "accepted");
    // Another client's key is another key.
    let other = Client::new(&server, &host.key("acme", &["--scope", "events"]).await?)?;
    let request = other.request(Method::POST, "/api/events").header("idempotency-key", "k-1");
    let body = json!({"event": "stock.changed", "data": 3}).to_string();
    ensure!(status(&send(request.header("content-type", "application/json").body(body)).await?)? == "accepted");

    for (body, pointer) in [
        (json!({"event": "order shipped"}), "/event"),
        (json!({"event": "a", "subjects": vec!["x"; 17]}), "/subjects"),
        (json!({"event": "a", "subjects": ["x", ""]}), "/subjects/1"),
        (json!({"event": "a", "id": "a\nb"}), "/id"),
        (json!({"event": "a", "occurred_at": "noon"}), "/occurred_at"),
        (json!({"event": "a", "data": "x".repeat(262_145)}), "/data"),
    ] {
        client.post("/api/events", &body).await?.problem(422, "invalid-input")?.points_at(pointer)?;
    }
    client.post("/api/events", &json!({"event": "a", "bot": "none"})).await?.problem(404, "unknown-bot")?;
    client
        .post("/api/events", &json!({"event": "a", "connection": "none"}))
        .await?
        .problem(404, "unknown-connection")?;
    let chat = Client::new(&server, &host.key("acme", &["--scope", "chat"]).await?)?;
    chat.post("/api/events", &json!({"event": "a"})).await?.problem(403, "forbidden")?;
    Client::anonymous(&server)?.post("/api/events", &json!({"event": "a"})).await?.problem(401, "unauthorised")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_events_come_in_three_modes() -> Result<()> {
    let folder = folder(TOLD)?;
    let (server, client) = open(&host(&folder)?).await?;
    let talk = watching(&client, "order:7").await?;
    let event = |id: &str| {
        json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "order.paid", "subject": "order:7",
        "time": "2026-11-22T10:00:00Z", "datacontenttype": "application/json", "data": {"id": id}})
    };
    let as_one = Some("application/cloudevents+json; charset=utf-8");
    let one = client.post_as("/api/events", as_one, event("s").to_string()).await?;
    ensure!(status(&one)? == "accepted" && one.json()?["id"] == "/shop s", "{one:?}");
    ensure!(status(&client.post_as("/api/events", as_one, event("s").to_string()).await?)? == "duplicate");
    let batch = Some("application/cloudevents-batch+json");
    let many = client.post_as("/api/events", batch, json!([event("s"), event("b")]).to_string()).await?;
    ensure!(many.status == 202, "{many:?}");
    let expected = json!([{"id": "/shop s", "status": "duplicate"}, {"id": "/shop b", "status": "accepted"}]);
    ensure!(many.json()?["events"] == expected, "{}", many.json()?);
    let too_many: Vec<Value> = (0..101).map(|n| event(&format!("m{n}"))).collect();
    client.post_as("/api/events", batch, json!(too_many).to_string()).await?.problem(422, "invalid-input")?;
    // One of them wrong, none taken.
    let wrong = json!([event("w"), {"specversion": "1.0"}]).to_string();
    client.post_as("/api/events", batch, wrong).await?.problem(422, "invalid-input")?.points_at("/1/source")?;
    let binary = client.request(Method::POST, "/api/events").header("content-type", "application/json");
    let attributes = [
        ("ce-specversion", "1.0"),
        ("ce-id", "x"),
        ("ce-source", "/shop"),
        ("ce-type", "order.paid"),
        ("ce-subject", "order%3A7"),
    ];
    let binary = attributes.into_iter().fold(binary, |request, (name, value)| request.header(name, value));
    ensure!(status(&send(binary.body(r#"{"id":"x"}"#)).await?)? == "accepted");
    let said = hears(&client, &talk, r#"{"id":"x"}"#).await?;
    ensure!(said == ["s", "b", "x"].map(|id| format!("order.paid {{\"id\":\"{id}\"}}")), "{said:?}");

    let asked = Client::anonymous(&server)?.request(Method::OPTIONS, "/api/events");
    let answer = send(asked.header("webhook-request-origin", "eventemitter.example.com")).await?;
    ensure!(
        answer.status == 200 && answer.header("webhook-allowed-origin") == "eventemitter.example.com",
        "{answer:?}"
    );
    ensure!(
        answer.header("webhook-allowed-rate") == "1000000" && answer.header("allow").contains("POST"),
        "{answer:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_processed_is_kept_with_the_reason_and_can_be_processed_anew() -> Result<()> {
    let folder = folder("\n  order.shipped:\n    conversation: \"{{ data.conversation }}\"\n")?;
    let host = host(&folder)?;
    let (server, client) = open(&host).await?;
    let admin = admin(&server).await?;
    let talk = watching(&client, "order:WEB-1").await?;
    ensure!(status(&client.post("/api/events", &shipped("e-1", "WEB-1")).await?)? == "accepted");
    let dead = record(&admin, "e-1", "dead").await?;
    let reason = "bot `leaves`: events.order.shipped.conversation: the event has no `data.conversation`";
    ensure!(dead["error"] == reason && dead["tries"] == 1 && dead["data"]["order"] == "WEB-1", "{dead}");
    // Nobody subscribed to this one.
    ensure!(status(&client.post("/api/events", &json!({"event": "stock.changed", "id": "e-2"})).await?)? == "accepted");
    record(&admin, "e-2", "ignored").await?;
    let listed = host.confab(&["events", "dead", "--tenant", "acme"]).await?;
    ensure!(listed.lines().count() == 2 && listed.contains("e-1") && listed.contains(reason), "{listed}");
    let all = admin.json("/api/admin/events").await?;
    let ids: Vec<&str> =
        all["events"].as_array().context("no events")?.iter().filter_map(|e| e["id"].as_str()).collect();
    ensure!(ids == ["e-2", "e-1"], "{all}");

    // The bot is put right, and the event processed anew.
    bot(&folder, TOLD)?;
    host.confab(&["apply", &folder.path().display().to_string()]).await?;
    host.confab(&["events", "replay", "--tenant", "acme", "e-1"]).await?;
    hears(&client, &talk, "WEB-1 ist unterwegs").await?;
    let done = record(&admin, "e-1", "done").await?;
    ensure!(done["replay"] == 1 && done["told"] == 1 && done["turns"][0]["conversation"] == talk.id()?, "{done}");
    // By time: what is dead, and that is none any more.
    let body = json!({"since": "2020-01-01T00:00:00Z"});
    ensure!(admin.post("/api/admin/events/replay", &body).await?.json()?["replayed"] == 0);
    let body = json!({"since": "2020-01-01T00:00:00Z", "status": "done"});
    ensure!(admin.post("/api/admin/events/replay", &body).await?.json()?["ids"] == json!(["e-1"]));
    until("told again", LONG, || async { Ok((told(&client, &talk).await?.len() == 2).then_some(())) }).await?;
    admin.post("/api/admin/events/replay", &json!({"id": "none"})).await?.problem(404, "not-found")?;
    admin.post("/api/admin/events/replay", &json!({})).await?.problem(422, "invalid-input")?;
    admin.get("/api/admin/events/none").await?.problem(404, "not-found")?;
    client.get("/api/admin/events").await?.problem(403, "forbidden")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_conversation_of_a_visitor_is_told_and_a_conversation_that_is_named() -> Result<()> {
    let events = "\n  order.paid:\n    visitor: \"{{ data.customer }}\"\n  order.lost:\n    conversation: \"{{ data.conversation }}\"\n";
    let folder = folder(events)?;
    let (server, client) = open(&host(&folder)?).await?;
    let admin = admin(&server).await?;
    let mut old = client.talk().by("ada");
    old.hears("[]", &["left 0"]).await?;
    let mut new = client.talk().by("ada");
    new.hears("[]", &["left 0"]).await?;
    client.talk().by("eve").hears("[]", &["left 0"]).await?;
    client
        .post("/api/events", &json!({"event": "order.paid", "id": "p", "data": {"customer": "ada"}}))
        .await?
        .json()?;
    hears(&client, &new, "order.paid").await?;
    let done = record(&admin, "p", "done").await?;
    ensure!(done["told"] == 1 && told(&client, &old).await?.is_empty(), "{done}");
    let event = json!({"event": "order.lost", "id": "l", "data": {"conversation": old.id()?}});
    client.post("/api/events", &event).await?.json()?;
    hears(&client, &old, "order.lost").await?;
    // Somebody who is not there is nobody's fault.
    for (id, event, data) in [
        ("n1", "order.paid", json!({"customer": "nobody"})),
        ("n2", "order.lost", json!({"conversation": "nothing"})),
        ("n3", "order.lost", json!({"conversation": "01a203c4-88cf-7478-92fd-303b3f75dbe2"})),
    ] {
        client.post("/api/events", &json!({"event": event, "id": id, "data": data})).await?.json()?;
        ensure!(record(&admin, id, "done").await?["told"] == 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_makes_kept_results_worthless() -> Result<()> {
    let endpoint = Endpoint::start().await?;
    place::plugin("kept-stock")?;
    let folder = folder(" {}\n")?;
    folder.guest_as("calls", "calls", &[("inventory", "kept"), ("orders", "kept"), ("leads", "kept")])?;
    let kept = format!("id: kept\nconnector: kept-stock\nendpoints:\n  api:\n    url: {}\n", endpoint.url());
    folder.write("connections/kept.yaml", &kept)?;
    let (server, client) = open(&host(&folder)?.flag("--allow-private", &endpoint.address())).await?;
    let admin = admin(&server).await?;
    let ask = || async {
        let call = json!({"capability": "inventory", "function": "availability", "arguments": {"sku": "SKU-1"}});
        client.talk().with("calls").hears(&call.to_string(), &["5.0"]).await.map(drop)
    };
    ask().await?;
    ask().await?;
    ensure!(endpoint.asked("/stock/") == 1, "{} calls", endpoint.asked("/stock/"));
    let changed = json!({"event": "stock.changed", "id": "s-1", "subjects": ["stock:SKU-1"], "connection": "kept"});
    client.post("/api/events", &changed).await?.json()?;
    record(&admin, "s-1", "ignored").await?;
    ask().await?;
    ensure!(endpoint.asked("/stock/") == 2, "{} calls", endpoint.asked("/stock/"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_about_a_subscription_is_found_when_it_is_applied() -> Result<()> {
    let folder = folder("\n  order.shipped:\n    from: [api, nobody]\n    say: {en: \"{{ data.order }}\"}\n")?;
    let host = Host::new()?;
    let check = ["apply", "--check", &folder.path().display().to_string()];
    let ran = host.run(&check).await?;
    let said = format!("{}{}", ran.stdout, ran.stderr);
    ensure!(
        !ran.status.success() && said.contains("bots/leaves.yaml:5:") && said.contains("no connection `nobody`"),
        "{said}"
    );
    bot(&folder, "\n  order.shipped:\n    say: {en: \"{{ dta.order }}\"}\n")?;
    let ran = host.run(&check).await?;
    let said = format!("{}{}", ran.stdout, ran.stderr);
    ensure!(
        !ran.status.success() && said.contains("bots/leaves.yaml:5:") && said.contains("there is no `dta`"),
        "{said}"
    );
    Ok(())
}

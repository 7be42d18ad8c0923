//! A conversation belongs to the key's bot and the visitor, never to whoever names its id.

use anyhow::{Result, ensure};
use confab_tests::client::Client;
use confab_tests::folder::Folder;
use confab_tests::server::Host;
use confab_tests::wait::{LONG, until};
use serde_json::{Value, json};

/// Well-formed, and nobody's.
const NOBODYS: &str = "01a20000-0000-7000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_opens_for_its_own_bot_and_visitor_only() -> Result<()> {
    let (acme, other) = (Folder::of("acme")?, Folder::of("other")?);
    acme.guest("echo")?;
    acme.guest_as("second", "echo", &[])?;
    other.guest("echo")?;
    let host = Host::new()?.apply(acme.path()).apply(other.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("acme", &["--bot", "echo"]).await?)?;
    let same_bot = client.with_key(&host.key("acme", &["--bot", "echo"]).await?);
    let other_bot = client.with_key(&host.key("acme", &["--bot", "second"]).await?);
    let all_bots = client.with_key(&host.key("acme", &[]).await?);
    let other_tenant = client.with_key(&host.key("other", &[]).await?);
    let auditor = client.with_key(&host.key("acme", &["--bot", "echo", "--scope", "transcripts"]).await?);

    let mut ada = client.talk().by("ada");
    ada.hears("the launch code is 0000", &["1: the launch code"]).await?;
    let id = ada.id()?.to_owned();

    // Who may.
    ada.through(&same_bot).hears("second", &["2: second"]).await?;
    ada.through(&all_bots).with("echo").hears("third", &["3: third"]).await?;
    ensure!(client.transcript(&id, "?visitor=ada").await?.len() == 6, "the transcript is not whole");
    ensure!(
        auditor.transcript(&id, "").await?.len() == 6,
        "the scope `transcripts` reads all conversations of its bot"
    );

    // Who may not write to it.
    let unknown = "unknown-conversation";
    let strangers = [
        ("another visitor", client.talk().by("bob")),
        ("the same name with other capitals", client.talk().by("Ada")),
        ("nobody", client.talk()),
        ("another bot", other_bot.talk().by("ada")),
        ("another bot of a key for all", all_bots.talk().with("second").by("ada")),
        ("another tenant", other_tenant.talk().by("ada")),
    ];
    for (who, talk) in strangers {
        let answer = talk.about(&id).send("what did I say?").await?;
        let problem = answer.problem(404, unknown).map_err(|e| e.context(who))?;
        ensure!(!problem.document.to_string().contains("0000"), "{who} reads it: {}", problem.document);
    }
    other_bot.talk().with("echo").by("ada").about(&id).send("x").await?.problem(403, "forbidden")?;
    auditor.talk().by("ada").about(&id).send("x").await?.problem(403, "forbidden")?;

    // Who may not read it.
    let readers = [
        ("another visitor", &client, "?visitor=bob"),
        ("nobody", &client, ""),
        ("another bot", &other_bot, "?visitor=ada"),
        ("another tenant", &other_tenant, "?visitor=ada"),
    ];
    for (who, reader, query) in readers {
        let answer = reader.get(&format!("/api/conversations/{id}{query}")).await?;
        answer.problem(404, unknown).map_err(|e| e.context(who))?;
    }
    let named = other_bot.get(&format!("/api/conversations/{id}?visitor=ada&bot=echo")).await?;
    named.problem(403, "forbidden")?;
    let named = other_tenant.get(&format!("/api/conversations/{id}?visitor=ada&tenant=acme")).await?;
    named.problem(403, "forbidden")?;

    // One that does not exist answers the same as somebody else's.
    let missing = client.talk().by("bob").about(NOBODYS).send("x").await?.problem(404, unknown)?;
    let foreign = client.talk().by("bob").about(&id).send("x").await?.problem(404, unknown)?;
    ensure!(missing.detail() == foreign.detail(), "{} and {} can be told apart", missing.detail(), foreign.detail());
    client.talk().about("not-an-id").send("x").await?.problem(404, unknown)?;

    // Nothing of all this has left a trace in it.
    ensure!(ada.say("fourth").await?.response == "4: fourth", "a stranger's message was counted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transcript_has_every_turn_in_order_and_in_pages() -> Result<()> {
    let folder = Folder::of("acme")?;
    folder.guest("echo")?;
    let host = Host::new()?.apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("acme", &[]).await?)?;
    let mut talk = client.talk().by(json!({"id": "ada", "name": "Ada", "email": "ada@example.test"}));
    let mut turns = Vec::new();
    for number in 1..=5 {
        let text = format!("message {number} – grüß Gott 🙂\nsecond line");
        let said = talk.say(&text).await?;
        ensure!(said.response == format!("{number}: {text}"), "{}", said.response);
        turns.push((said.turn, text));
    }
    let messages = client.transcript(talk.id()?, "?visitor=ada").await?;
    ensure!(messages.len() == 10, "{messages:#?}");
    for (at, (turn, text)) in turns.iter().enumerate() {
        let number = at + 1;
        let [asked, answered] =
            [messages.get(2 * at), messages.get(2 * at + 1)].map(|m| m.cloned().unwrap_or_default());
        ensure!(asked["from"] == "visitor" && asked["text"] == text.as_str(), "{asked}");
        ensure!(answered["from"] == "bot" && answered["text"] == format!("{number}: {text}"), "{answered}");
        ensure!(asked["turn_id"] == turn.as_str() && answered["turn_id"] == turn.as_str(), "{asked} {answered}");
        ensure!(asked["at"].as_str().is_some_and(|at| at.ends_with('Z')), "no time: {asked}");
    }
    let page = |query: &str| format!("/api/conversations/{}?visitor=ada{query}", talk.id().unwrap_or_default());
    let first = client.json(&page("&limit=2")).await?;
    ensure!(first["messages"].as_array().map(Vec::len) == Some(4) && first["after"] == 2, "{first}");
    let rest = client.json(&page("&limit=50&after=2")).await?;
    ensure!(rest["messages"].as_array().map(Vec::len) == Some(6) && rest["after"] == Value::Null, "{rest}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_conversation_are_answered_one_at_a_time() -> Result<()> {
    let folder = Folder::of("acme")?;
    folder.guest("echo")?;
    let host = Host::new()?.apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("acme", &[]).await?)?;
    let mut talk = client.talk();
    talk.say("first").await?;
    let together = (0..20).map(|_| {
        let mut talk = talk.clone();
        async move { talk.say("at once").await }
    });
    let mut heard: Vec<String> = Vec::new();
    for said in futures::future::join_all(together).await {
        heard.push(said?.response);
    }
    heard.sort_by_key(|text| text.split(':').next().and_then(|number| number.parse::<u32>().ok()));
    let wanted: Vec<String> = (2..=21).map(|number| format!("{number}: at once")).collect();
    ensure!(heard == wanted, "turns were lost or counted twice: {heard:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_without_messages_is_forgotten_after_its_time() -> Result<()> {
    let folder = Folder::of("acme")?;
    folder.guest("echo")?;
    let bot = folder.read("bots/echo.yaml")?;
    folder.write("bots/echo.yaml", &format!("{bot}conversation_ttl: 2s\n"))?;
    let host = Host::new()?.apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("acme", &[]).await?)?;
    let mut talk = client.talk();
    talk.hears("hello", &["1: hello"]).await?;
    talk.hears("hello", &["2: hello"]).await?;
    let path = format!("/api/conversations/{}", talk.id()?);
    let gone = until("the conversation is forgotten", LONG, || async {
        let answer = client.get(&path).await?;
        Ok((answer.status != 200).then_some(answer))
    })
    .await?;
    gone.problem(404, "unknown-conversation")?;
    talk.send("hello?").await?.problem(404, "unknown-conversation")?;
    Ok(())
}

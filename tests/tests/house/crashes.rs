//! kill -9 in mid-conversation: what was answered is on disk.

use anyhow::{Context, Result, ensure};
use confab_tests::client::{Client, Talk};
use confab_tests::folder::Folder;
use confab_tests::server::Host;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Visitors that write without a pause while the server is killed.
const TALKERS: usize = 12;
/// Answers before it is killed.
const ANSWERS: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn the_next_message_after_a_kill_continues_the_conversation() -> Result<()> {
    let folder = Folder::shop()?;
    let host = Host::new()?.apply(folder.path());
    let server = host.start().await?;
    let key = host.key("shop", &["--bot", "shop"]).await?;
    let mut talk = Client::new(&server, &key)?.talk().by("ada");
    talk.hears("Do you have SKU-1001 in stock?", &["5 available"]).await?;
    // In the middle of a question of the bot's.
    let mut order = Client::new(&server, &key)?.talk();
    order.hears("Where is my order WEB-42?", &["e-mail"]).await?;
    server.kill().await?;

    // Nothing is applied at this start: bot, connections and key come from the store.
    let server = host.start().await?;
    let client = Client::new(&server, &key)?;
    talk.through(&client).hears("and what does it cost?", &["SKU-1001", "349.00"]).await?;
    order.through(&client).hears("einkauf@muster.example", &["WEB-42 is shipped"]).await?;
    let transcript = client.transcript(talk.id()?, "?visitor=ada").await?;
    let texts: Vec<&str> = transcript.iter().filter_map(|message| message["text"].as_str()).collect();
    ensure!(texts.first() == Some(&"Do you have SKU-1001 in stock?") && texts.len() == 4, "{texts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answered_turn_survives_a_kill_under_load() -> Result<()> {
    let folder = Folder::of("acme")?;
    folder.guest("echo")?;
    let host = Host::new()?.serving("--key-rate", "1000000").serving("--visitor-rate", "1000000");
    let applying = host.clone().apply(folder.path());
    let server = applying.start().await?;
    let key = host.key("acme", &[]).await?;
    let client = Client::new(&server, &key)?;

    let answered = Arc::new(AtomicUsize::new(0));
    let talkers: Vec<_> = (0..TALKERS)
        .map(|number| {
            let talk = client.talk().by(format!("visitor-{number}"));
            tokio::spawn(write_until_it_breaks(talk, answered.clone()))
        })
        .collect();
    confab_tests::wait::until("answers", confab_tests::wait::LONG, || {
        let enough = answered.load(Ordering::Relaxed) >= ANSWERS;
        async move { Ok(enough.then_some(())) }
    })
    .await?;
    server.kill().await?;

    let server = host.start().await?;
    let client = Client::new(&server, &key)?;
    for (number, talker) in talkers.into_iter().enumerate() {
        let (talk, turns) = talker.await?;
        let kept = client.transcript(talk.id()?, &format!("?visitor=visitor-{number}")).await?;
        let kept = whole(&client, &talk, number, kept).await?;
        let answered = turns.len();
        ensure!(kept.get(..answered) == Some(turns.as_slice()), "answered turns are gone: {turns:?} {kept:?}");
        // One may have been written whose answer did not come through; never more.
        ensure!(kept.len() <= answered + 1, "{} turns for {answered} answers", kept.len());
        let said = talk.through(&client).say("again").await?;
        let next = (kept.len() + 1) % 256;
        ensure!(said.response == format!("{next}: again"), "after {} turns: {}", kept.len(), said.response);
    }
    Ok(())
}

async fn write_until_it_breaks(mut talk: Talk, answered: Arc<AtomicUsize>) -> (Talk, Vec<String>) {
    let mut turns = Vec::new();
    while let Ok(said) = talk.say("hello").await {
        answered.fetch_add(1, Ordering::Relaxed);
        turns.push(said.turn);
    }
    (talk, turns)
}

/// Ids of all turns of a transcript, whose first page is given.
async fn whole(client: &Client, talk: &Talk, number: usize, mut page: Vec<Value>) -> Result<Vec<String>> {
    let mut turns: Vec<String> = Vec::new();
    loop {
        let asked = page.iter().filter(|message| message["from"] == "visitor");
        let before = turns.len();
        turns.extend(asked.filter_map(|message| message["turn_id"].as_str().map(str::to_owned)));
        if turns.len() == before {
            return Ok(turns);
        }
        let last = page.last().and_then(|message| message["turn"].as_u64()).context("a message without a turn")?;
        page = client.transcript(talk.id()?, &format!("?visitor=visitor-{number}&after={last}")).await?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_share_a_code_cache_prepare_the_same_plugin_at_once() -> Result<()> {
    let (cache, folder) = (tempfile::tempdir()?, Folder::of("shop")?);
    folder.guest("kv-flood")?;
    let hosts = (0..4).map(|_| anyhow::Ok(Host::new()?.code_cache(cache.path())?.apply(folder.path())));
    let hosts: Vec<Host> = hosts.collect::<Result<_>>()?;
    // Each compiles what the others do, and throws away what it needed for that.
    let starting = hosts.into_iter().map(|host| tokio::spawn(async move { host.start().await.map(drop) }));
    for started in futures::future::join_all(starting).await {
        started??;
    }
    Ok(())
}

//! Two hosts on one Redis: to clients they are one server.

use anyhow::{Result, ensure};
use confab_tests::client::{Client, Talk};
use confab_tests::folder::Folder;
use confab_tests::redis::Redis;
use confab_tests::server::{Host, public_part};
use confab_tests::wait::until;
use std::time::Duration;

/// What changed on one host must have reached the other by then. They tell each other within a second.
const SOON: Duration = Duration::from_secs(15);

async fn answers(talk: &Talk) -> Result<Option<()>> {
    Ok((talk.send("hello").await?.status == 200).then_some(()))
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_alternate_between_hosts_and_the_conversation_holds() -> Result<()> {
    let redis = Redis::start().await?;
    let folder = Folder::shop()?;
    folder.guest("echo")?;
    // The second host starts on an empty store and learns everything from the first.
    let west = Host::new()?.flag("--store", &redis.url());
    let east = Host::new()?.flag("--store", &redis.url());
    let (west_server, east_server) = (west.start().await?, east.start().await?);
    west.confab(&["apply", &folder.path().display().to_string()]).await?;
    let key = west.key("shop", &[]).await?;
    let (on_west, on_east) = (Client::new(&west_server, &key)?, Client::new(&east_server, &key)?);
    until("bots and key reach the other host", SOON, || {
        let greeting = on_east.talk().with("echo");
        async move { answers(&greeting).await }
    })
    .await?;

    let mut talk = on_west.talk().with("shop").by("ada");
    talk.hears("Do you have SKU-1001 in stock?", &["5 available"]).await?;
    let mut talk = talk.through(&on_east);
    talk.hears("and what does it cost?", &["349.00"]).await?;
    let mut talk = talk.through(&on_west);
    talk.hears("Where is my order WEB-42?", &["e-mail"]).await?;
    let mut talk = talk.through(&on_east);
    talk.hears("einkauf@muster.example", &["WEB-42 is shipped"]).await?;
    for host in [&on_west, &on_east] {
        let messages = host.transcript(talk.id()?, "?visitor=ada&bot=shop").await?;
        let asked = messages.iter().filter(|message| message["from"] == "visitor").count();
        ensure!(asked == 4, "{asked} of 4 messages: {messages:#?}");
    }

    // Both at once: one turn at a time, whichever host it came to.
    let mut first = on_west.talk().with("echo");
    first.say("first").await?;
    let together = (0..20).map(|number| {
        let mut talk = first.through(if number % 2 == 0 { &on_west } else { &on_east });
        async move { talk.say("at once").await }
    });
    let mut numbers = Vec::new();
    for said in futures::future::join_all(together).await {
        numbers.push(said?.response.split(':').next().unwrap_or_default().parse::<u32>()?);
    }
    numbers.sort_unstable();
    ensure!(numbers == (2..=21).collect::<Vec<_>>(), "turns were lost or counted twice: {numbers:?}");

    // What a visitor makes on one host is there on the other.
    let mut lead = on_west.talk().with("shop");
    for message in ["have sales call me", "Ada Lovelace", "ada@example.test", "twelve machines"] {
        lead.say(message).await?;
    }
    lead.through(&on_east).hears("yes", &["Done"]).await?;
    let leads = west.confab(&["connection", "download", "--tenant", "shop", "shop-data", "leads.csv"]).await?;
    ensure!(leads.matches("twelve machines,new").count() == 1, "{leads}");

    // One host dies, the conversation goes on.
    west_server.kill().await?;
    talk.through(&on_east).hears("what about SKU-1003, is it in stock?", &["out of stock"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_on_one_host_is_refused_on_the_other() -> Result<()> {
    let redis = Redis::start().await?;
    let folder = Folder::of("acme")?;
    folder.guest("echo")?;
    let west = Host::new()?.flag("--store", &redis.url()).apply(folder.path());
    let east = Host::new()?.flag("--store", &redis.url());
    let west_server = west.start().await?;
    let east_server = east.start().await?;
    let key = west.key("acme", &[]).await?;
    let (on_west, on_east) = (Client::new(&west_server, &key)?, Client::new(&east_server, &key)?);
    until("the key reaches the other host", SOON, || {
        let greeting = on_east.talk();
        async move { answers(&greeting).await }
    })
    .await?;
    // Only its id is needed: nobody has to paste a secret to take it back.
    west.confab(&["key", "revoke", &public_part(&key)]).await?;
    on_west.talk().send("hello").await?.problem(401, "unauthorised")?;
    let refused = until("the other host refuses the key", SOON, || {
        let greeting = on_east.talk();
        async move {
            let answer = greeting.send("hello").await?;
            Ok((answer.status != 200).then_some(answer))
        }
    })
    .await?;
    let problem = refused.problem(401, "unauthorised")?;
    ensure!(problem.detail().contains("revoked"), "{}", problem.detail());
    Ok(())
}

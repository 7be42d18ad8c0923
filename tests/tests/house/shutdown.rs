//! Told to stop, a host finishes what it has begun.

use anyhow::{Result, ensure};
use confab_tests::client::Client;
use confab_tests::erp::{Erp, Manner};
use confab_tests::folder::Folder;
use confab_tests::server::Host;
use confab_tests::wait::{LONG, until};

/// Turns that wait for their ERP when the host is told to stop.
const TURNS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn turns_that_have_begun_are_answered_before_the_host_stops() -> Result<()> {
    let erp = Erp::start(Manner::Waits).await?;
    let folder = Folder::shop()?;
    folder.write("connections/erp.yaml", &erp.connection())?;
    folder.replace("bots/shop.yaml", "inventory: shop-data", "inventory: erp")?;
    let host = Host::new()?.flag("--allow-private", &erp.address()).env("SHOP__TRYTON_PASSWORD", "not-asked-for");
    let server = host.clone().apply(folder.path()).start().await?;
    let key = host.key("shop", &[]).await?;
    let client = Client::new(&server, &key)?;
    let turns: Vec<_> = (0..TURNS)
        .map(|_| {
            let mut talk = client.talk();
            tokio::spawn(async move {
                let said = talk.say("Do you have SKU-1001 in stock?").await?;
                anyhow::Ok((talk, said))
            })
        })
        .collect();
    // All of them sign in once, together; the first request means that one is on its way, the gauge that all are.
    erp.called(1).await?;
    until("all turns are being served", LONG, || async {
        let in_flight = confab_tests::metric::Metrics::of(&client).await?.sum("confab_turns_in_flight", &[]);
        Ok((in_flight as usize == TURNS).then_some(()))
    })
    .await?;

    server.terminate().await?;
    until("the host stops listening", LONG, || async { Ok(host.log()?.contains("stopping").then_some(())) }).await?;
    ensure!(turns.iter().all(|turn| !turn.is_finished()), "a turn ended before its ERP had answered");
    let late = Client::new(&server, &key)?.talk().send("hello").await;
    ensure!(late.as_ref().map_or(true, |answer| answer.status == 503), "a new request was served: {late:?}");
    erp.answer_all();

    let mut talks = Vec::new();
    for turn in turns {
        let (talk, said) = turn.await??;
        ensure!(!said.response.is_empty(), "an empty answer");
        talks.push((talk, said));
    }
    let status = server.ended(LONG).await?;
    ensure!(status.success(), "ended with {status}");
    ensure!(host.log()?.lines().last().is_some_and(|line| line.contains("stopped")), "{}", host.log()?);

    // And what was answered is there at the next start.
    let server = host.start().await?;
    let client = Client::new(&server, &key)?;
    for (talk, said) in talks {
        let messages = client.transcript(talk.id()?, "").await?;
        ensure!(messages.iter().all(|message| message["turn_id"] == said.turn.as_str()), "{messages:#?}");
        ensure!(messages.len() >= 2, "{messages:#?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_has_nothing_to_do_stops_at_once_and_leaves_its_socket_to_the_next() -> Result<()> {
    let folder = Folder::of("acme")?;
    folder.guest("echo")?;
    let host = Host::new()?.apply(folder.path());
    let server = host.start().await?;
    // A client that keeps its connection open must not hold up the stop.
    let client = Client::new(&server, &host.key("acme", &[]).await?)?;
    client.talk().say("hello").await?;
    server.terminate().await?;
    let status = server.ended(std::time::Duration::from_secs(20)).await?;
    ensure!(status.success(), "ended with {status}: {}", host.log()?);
    let server = host.start().await?;
    // While it serves, nobody else may work on its data.
    let second = host.run(&["serve", "--listen", "127.0.0.1:0"]).await?;
    ensure!(!second.status.success(), "two servers on one data directory");
    drop(server);
    Ok(())
}

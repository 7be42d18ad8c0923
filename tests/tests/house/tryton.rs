//! The example bot on a real Tryton. Only the connection differs from the bot on CSV files.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::erp::connection;
use confab_tests::folder::Folder;
use confab_tests::server::Host;
use confab_tests::tryton::{PASSWORD, Tryton};

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_moves_to_an_erp_by_its_connection_alone() -> Result<()> {
    let tryton = Tryton::start().await?;
    let folder = Folder::shop()?;
    // All that changes: the connection, by the one that the example brings along.
    let example = folder.read("tryton/shop-data.yaml")?;
    let url = example.lines().find_map(|line| line.trim().strip_prefix("url: ")).context("the example has no url")?;
    folder.write("connections/shop-data.yaml", &example.replace(url, &tryton.url()))?;
    let host = Host::new()?.flag("--allow-private", &tryton.address()).env("SHOP__TRYTON_PASSWORD", PASSWORD);
    let server = host.clone().apply(folder.path()).start().await?;
    let checked = host.confab(&["connection", "check", "--tenant", "shop", "shop-data"]).await?;
    ensure!(checked.contains("sign in") && checked.contains("EUR") && checked.contains("allowed"), "{checked}");
    let client = Client::new(&server, &host.key("shop", &["--bot", "shop"]).await?)?;

    // 7 on hand of which 2 are reserved; and an article of which the CSV files have another number.
    let mut stock = client.talk();
    stock.hears("Do you have SKU-1001 in stock?", &["Espresso machine", "5 available"]).await?;
    stock.hears("and what does it cost?", &["349.00"]).await?;
    stock.hears("do you have SKU-1004 in stock?", &["Kaffeemühle Grün", "3 available"]).await?;
    stock.hears("is SKU-9999 in stock?", &["SKU-9999"]).await?;

    // The order is told to its owner, and to nobody else.
    let mut owner = client.talk();
    owner.hears("Where is my order WEB-42?", &["e-mail"]).await?;
    owner.hears("einkauf@muster.example", &["WEB-42 is being prepared", "698.00"]).await?;
    let mut stranger = client.talk();
    stranger.hears("Where is my order WEB-42?", &["e-mail"]).await?;
    let refused = stranger.hears("erika@example.test", &["can't find an order"]).await?;
    let mut guessing = client.talk();
    guessing.hears("Where is my order WEB-4711?", &["e-mail"]).await?;
    let unknown = guessing.hears("erika@example.test", &["can't find an order"]).await?;
    ensure!(refused.response == unknown.response, "{} and {} can be told apart", refused.response, unknown.response);
    let mut travelling = client.talk();
    travelling.hears("track order WEB-41", &["e-mail"]).await?;
    travelling.hears("erika@example.test", &["WEB-41", "EX0000041AT"]).await?;

    // A lead: found by a query of our own, once.
    let email = "ada.lovelace@example.test";
    ensure!(tryton.find("leads", email).await?.is_empty(), "there before it was made");
    let mut lead = client.talk();
    lead.hears("have sales call me", &["name"]).await?;
    lead.hears("Ada Lovelace", &["e-mail"]).await?;
    lead.hears(email, &["about"]).await?;
    lead.hears("twelve machines for our offices", &["Ada Lovelace"]).await?;
    lead.hears("yes", &["Done"]).await?;
    let found = tryton.find("leads", email).await?;
    ensure!(found.len() == 1, "{} leads: {found:#?}", found.len());
    ensure!(
        found.iter().all(|lead| lead["description"].as_str().is_some_and(|d| d.contains("twelve machines"))),
        "{found:#?}"
    );
    ensure!(tryton.find("parties", email).await?.len() == 1, "the contact is not there once");

    // What Tryton has no place for stays where it was.
    let mut ticket = client.talk();
    for message in ["i want to open a ticket", "Steam wand drips", "Since Monday", email] {
        ticket.say(message).await?;
    }
    ticket.hears("yes", &["T-"]).await?;
    let tickets = host.confab(&["connection", "download", "--tenant", "shop", "helpdesk", "tickets.csv"]).await?;
    ensure!(tickets.matches("Steam wand drips").count() == 1, "{tickets}");

    // And the password is nowhere to be read.
    let transcript = client.transcript(lead.id()?, "").await?;
    ensure!(!host.log()?.contains(PASSWORD) && !format!("{transcript:?}").contains(PASSWORD), "the password was told");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erp_that_refuses_or_is_away_is_excused_and_the_operator_told_why() -> Result<()> {
    let tryton = Tryton::start().await?;
    let folder = Folder::shop()?;
    folder.write("connections/erp.yaml", &connection(&tryton.url()))?;
    folder.replace("bots/shop.yaml", "inventory: shop-data", "inventory: erp")?;
    let host = Host::new()?.flag("--allow-private", &tryton.address()).apply(folder.path());
    let wrong = host.clone().env("SHOP__TRYTON_PASSWORD", "wrong-password-canary");
    let server = wrong.start().await?;
    let key = wrong.key("shop", &["--bot", "shop"]).await?;
    let client = Client::new(&server, &key)?;
    let said = client.talk().say("Do you have SKU-1001 in stock?").await?;
    ensure!(!said.response.is_empty() && !said.response.contains("available"), "{}", said.response);
    let checked = wrong.run(&["connection", "check", "--tenant", "shop", "erp"]).await?;
    ensure!(!checked.status.success() && checked.stdout.contains("sign in"), "{}{}", checked.stdout, checked.stderr);
    // What needs no ERP is answered as ever.
    client.talk().hears("what does SKU-1001 cost?", &["349.00"]).await?;
    drop(tryton);
    client.talk().say("Do you have SKU-1001 in stock?").await?;
    let log = host.log()?;
    ensure!(log.lines().any(|line| line.contains("outgoing call failed") && line.contains("duration_ms")), "{log}");
    ensure!(!log.contains("wrong-password-canary"), "the log has the password");
    Ok(())
}

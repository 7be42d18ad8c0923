//! The example shop, on nothing but its CSV files.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::folder::Folder;
use confab_tests::server::{Host, Server};

async fn open() -> Result<(Server, Client)> {
    let folder = Folder::shop()?;
    let server = Host::new()?.apply(folder.path()).start().await?;
    let key = server.host().key("shop", &["--bot", "shop"]).await?;
    let client = Client::new(&server, &key)?;
    Ok((server, client))
}

/// A cell of a CSV file of the example, by the values of its row's first columns.
fn cell(file: &str, row: &str, column: &str) -> Result<String> {
    let text = Folder::shop()?.read(file)?;
    let mut lines = text.lines();
    let header = lines.next().context("no header")?;
    let at = header.split(',').position(|name| name == column).with_context(|| format!("{file} has no {column}"))?;
    let line = lines.find(|line| line.starts_with(row)).with_context(|| format!("{file} has no {row}"))?;
    Ok(line.split(',').nth(at).unwrap_or_default().to_owned())
}

/// How many rows of a CSV file have these words.
fn rows(csv: &str, words: &str) -> usize {
    csv.lines().filter(|line| line.contains(words)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_learns_stock_and_price_and_the_second_question_remembers_the_first() -> Result<()> {
    let (_server, client) = open().await?;
    let available = cell("data/stock.csv", "SKU-1001,", "available")?;
    let mut talk = client.talk();
    let said = talk.hears("Do you have SKU-1001 in stock?", &["SKU-1001", &format!("{available} available")]).await?;
    ensure!(said.body["intent"]["name"] == "stock", "taken for {}", said.body["intent"]);
    ensure!(said.body["replies"][0]["kind"] == "text", "no replies: {}", said.body);
    talk.hears("and what does it cost?", &["SKU-1001", "349.00"]).await?;
    // Another visitor's "it" is not this one's.
    let lost = client.talk().say("and what does it cost?").await?;
    ensure!(!lost.response.contains("349.00"), "another conversation's article was remembered: {}", lost.response);
    talk.hears("is SKU-1003 in stock?", &["out of stock", "December"]).await?;
    talk.hears("is SKU-9999 in stock?", &["SKU-9999"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_told_to_whom_it_belongs_and_to_nobody_else() -> Result<()> {
    let (_server, client) = open().await?;
    let mut owner = client.talk();
    owner.hears("Where is my order WEB-42?", &["e-mail"]).await?;
    owner.hears("einkauf@muster.example", &["WEB-42 is shipped", "698.00", "EX0002042AT", "in transit"]).await?;

    let refused = "can't find an order";
    let mut stranger = client.talk();
    stranger.hears("Where is my order WEB-42?", &["e-mail"]).await?;
    let wrong = stranger.hears("erika@example.test", &[refused]).await?;
    ensure!(!wrong.response.contains("698"), "told a stranger: {}", wrong.response);

    // The same words for an order that does not exist: nobody can find out which do.
    let mut guessing = client.talk();
    guessing.hears("Where is my order WEB-4711?", &["e-mail"]).await?;
    let unknown = guessing.hears("einkauf@muster.example", &[refused]).await?;
    ensure!(unknown.response == wrong.response, "{} and {} can be told apart", unknown.response, wrong.response);

    // Nothing that was refused is remembered as proof.
    stranger.hears("where is my order", &["order number"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_speaks_german_by_locale_and_by_message() -> Result<()> {
    let (_server, client) = open().await?;
    let mut by_message = client.talk();
    by_message.hears("Haben Sie SKU-1001 auf Lager?", &["ist auf Lager", "5 verfügbar"]).await?;
    by_message.hears("und was kostet es?", &["kostet 349,00"]).await?;
    let mut by_locale = client.talk().in_language("de-AT");
    by_locale.hears("Wo ist meine Bestellung WEB-42?", &["E-Mail-Adresse"]).await?;
    by_locale.hears("einkauf@muster.example", &["WEB-42 ist verschickt", "698,00"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn recommendations_come_with_a_reason() -> Result<()> {
    let (_server, client) = open().await?;
    let mut talk = client.talk();
    talk.hears("what goes well with SKU-1001", &["SKU-1002", "often bought with"]).await?;
    talk.hears("i am looking for a coffee grinder", &["SKU-1004"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_and_a_ticket_made_in_chat_are_in_the_files_once_and_stay_there() -> Result<()> {
    let folder = Folder::shop()?;
    let host = Host::new()?.apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &["--bot", "shop"]).await?)?;

    let mut lead = client.talk();
    lead.hears("have sales call me", &["name"]).await?;
    lead.hears("Ada Lovelace", &["e-mail"]).await?;
    lead.hears("ada@example.test", &["about"]).await?;
    lead.hears("twelve machines for our offices", &["Ada Lovelace", "twelve machines"]).await?;
    let done = lead.hears("yes", &["Done", "L-"]).await?;

    let mut ticket = client.talk();
    ticket.hears("i want to open a ticket", &["about"]).await?;
    ticket.hears("Steam wand drips", &["describe"]).await?;
    ticket.hears("It has dripped since Monday", &["e-mail"]).await?;
    ticket.hears("grace@example.test", &["Steam wand drips"]).await?;
    let opened = ticket.hears("yes", &["T-"]).await?;

    // Asked and declined: nothing may come of it.
    let mut declined = client.talk();
    declined.hears("have sales call me", &["name"]).await?;
    declined.say("Charles Babbage").await?;
    declined.say("charles@example.test").await?;
    declined.say("an engine of difference").await?;
    declined.say("no").await?;

    let files = async |connection: &str, file: &[&str]| {
        host.confab(&[&["connection", "download", "--tenant", "shop", connection], file].concat()).await
    };
    let listed = files("shop-data", &[]).await?;
    for file in ["leads.csv", "contacts.csv"] {
        ensure!(listed.lines().any(|line| line == file), "{file} is not among {listed}");
    }
    // First over the running server's socket, then from the store itself.
    let running = [files("shop-data", &["leads.csv"]).await?, files("helpdesk", &["tickets.csv"]).await?];
    server.kill().await?;
    let stopped = [files("shop-data", &["leads.csv"]).await?, files("helpdesk", &["tickets.csv"]).await?];
    ensure!(running == stopped, "the files changed: {running:#?} {stopped:#?}");
    let [leads, tickets] = running;
    ensure!(rows(&leads, "ada@example.test") == 1 && rows(&leads, "twelve machines") == 1, "leads: {leads}");
    ensure!(rows(&leads, "charles@example.test") == 0, "a lead that was declined: {leads}");
    ensure!(rows(&tickets, "grace@example.test") == 1 && rows(&tickets, "Steam wand drips") == 1, "tickets: {tickets}");
    for (said, csv) in [(done, &leads), (opened, &tickets)] {
        let number = csv.lines().nth(1).and_then(|row| row.split(',').next()).unwrap_or_default();
        ensure!(said.response.contains(number), "the visitor was told another number than {number}: {}", said.response);
    }
    let contacts = files("shop-data", &["contacts.csv"]).await?;
    ensure!(rows(&contacts, "ada@example.test") == 1, "contacts: {contacts}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_talks_to_the_same_bot() -> Result<()> {
    let (server, _) = open().await?;
    let said = server.host().confab(&["chat", "--tenant", "shop", "Do you have SKU-1001 in stock?"]).await?;
    ensure!(said.contains("5 available"), "{said}");
    Ok(())
}

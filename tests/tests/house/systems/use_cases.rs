//! The five use cases over `POST /api/chat`, on real systems: the bot of `examples/shop` begins on CSV files, moves to Tryton
//! and then to Vendure, with Request Tracker as its helpdesk and Tryton as its pipeline. Only connections change. What
//! the bot says is compared with what each system itself says, and what it made is there once.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::erp::connection as tryton_connection;
use confab_tests::folder::Folder;
use confab_tests::server::Host;
use confab_tests::systems::request_tracker::RequestTracker;
use confab_tests::systems::vendure::Vendure;
use confab_tests::tryton::{PASSWORD, Tryton};
use confab_tests::use_cases::{lead, order, recommendation, stock, ticket};
use serde_json::{Value, json};

/// What Vendure says of an article: how many there are to have, in all places.
async fn free_in_vendure(vendure: &Vendure, sku: &str) -> Result<i64> {
    let question = "query($sku: String!) { productVariants(options: { filter: { sku: { eq: $sku } } }) { items { stockLevels { stockOnHand stockAllocated } } } }";
    let there = vendure.ask(question, json!({"sku": sku})).await?;
    let levels = there["productVariants"]["items"][0]["stockLevels"].as_array().cloned().context("no such article")?;
    let figure = |level: &Value, name: &str| level[name].as_i64().unwrap_or_default();
    Ok(levels.iter().map(|l| figure(l, "stockOnHand") - figure(l, "stockAllocated")).sum())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn the_same_bot_moves_from_files_to_tryton_to_vendure_by_its_connections() -> Result<()> {
    let (tryton, vendure, rt) = tokio::try_join!(Tryton::start(), Vendure::start(), RequestTracker::start())?;
    let folder = Folder::shop()?;
    let mut host = Host::new()?.env("SHOP__TRYTON_PASSWORD", PASSWORD);
    for address in [tryton.address(), vendure.address(), rt.address()] {
        host = host.flag("--allow-private", &address);
    }
    let secrets = [("SHOP__VENDURE_KEY", vendure.key("chatbot")?), ("SHOP__RT_TOKEN", rt.token("chatbot")?)];
    for (name, value) in &secrets {
        host = host.env(name, value);
    }
    let host = host.apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &["--bot", "shop"]).await?)?;
    let definition = folder.read("bots/shop.flow.yaml")?;
    let apply = || async { host.confab(&["apply", &folder.path().display().to_string()]).await };

    // 1. On CSV files.
    stock(&client, "SKU-1001", &["Espresso machine", "5 available"], "349.00").await?;
    order(&client, "WEB-42", "einkauf@muster.example", &["WEB-42", "698.00"]).await?;
    recommendation(&client, "a coffee grinder", &["SKU-1004"]).await?;

    // 2. On Tryton, with tickets in Request Tracker.
    let erp = tryton_connection(&tryton.url());
    folder.write("connections/erp.yaml", &erp)?;
    folder.write("connections/shop-data.yaml", &erp.replace("id: erp", "id: shop-data"))?;
    let helpdesk = format!(
        "id: helpdesk\nconnector: request-tracker\nendpoints:\n  rt:\n    url: {}\n    auth: {{kind: header, name: authorization, prefix: \"token \", value: \"env:SHOP__RT_TOKEN\"}}\nsettings: {{queue: Support}}\n",
        rt.url()
    );
    folder.write("connections/helpdesk.yaml", &helpdesk)?;
    apply().await?;
    stock(&client, "SKU-1001", &["Espresso machine", "5 available"], "349.00").await?;
    order(&client, "WEB-42", "einkauf@muster.example", &["WEB-42 is being prepared", "698.00"]).await?;
    recommendation(&client, "something for SKU-1001", &["SKU-"]).await?;
    let email = "ada.lovelace@example.test";
    lead(&client, "Ada Lovelace", email, "twelve machines for our offices").await?;
    let found = tryton.find("leads", email).await?;
    ensure!(found.len() == 1 && tryton.find("parties", email).await?.len() == 1, "{found:#?}");
    let subject = "Steam wand drips on Tryton";
    let number = ticket(&client, subject, "It has dripped since Monday", "grace@example.test").await?;
    let tickets = "select t.id, u.EmailAddress from Tickets t join Groups g on g.Instance = t.id and g.Domain = 'RT::Ticket-Role' and g.Name = 'Requestor' join CachedGroupMembers m on m.GroupId = g.id join Users u on u.id = m.MemberId where t.Subject = ?";
    let rows = rt.rows(tickets, &[subject]).await?;
    ensure!(rows.len() == 1, "{} tickets: {rows:?}", rows.len());
    let row = rows[0].to_string();
    ensure!(row.contains(&number) && row.contains("grace@example.test"), "the bot said {number}, RT has {row}");

    // 3. On Vendure; it has no pipeline, so leads stay in the ERP.
    let store = format!(
        "id: shop-data\nconnector: vendure\nendpoints:\n  api:\n    url: {}\n    token: env:SHOP__VENDURE_KEY\n",
        vendure.url()
    );
    folder.write("connections/shop-data.yaml", &store)?;
    folder.replace("bots/shop.yaml", "leads: shop-data", "leads: erp")?;
    apply().await?;
    let free = free_in_vendure(&vendure, "SKU-1001").await?;
    stock(&client, "SKU-1001", &["Espresso machine", &format!("{free} available")], "349.00").await?;
    order(&client, "WEB-42", "erika@example.test", &["WEB-42", "698.00"]).await?;
    recommendation(&client, "something for SKU-1001", &["SKU-"]).await?;
    let email = "charles.babbage@example.test";
    lead(&client, "Charles Babbage", email, "an engine of difference").await?;
    let found = tryton.find("leads", email).await?;
    ensure!(found.len() == 1, "{found:#?}");
    let subject = "Grinder too loud on Vendure";
    ticket(&client, subject, "Since it was delivered", "grace@example.test").await?;
    let rows = rt.rows("select id from Tickets where Subject = ?", &[subject]).await?;
    ensure!(rows.len() == 1, "{} tickets: {rows:?}", rows.len());

    // The bot is the one it was, and no credential was written down anywhere.
    ensure!(folder.read("bots/shop.flow.yaml")? == definition, "the definition was changed");
    let log = host.log()?;
    for secret in secrets.iter().map(|(_, value)| value.as_str()).chain([PASSWORD]) {
        ensure!(!log.contains(secret.trim()), "a credential stands in the log");
        for (file, bytes) in host.disk()? {
            let there = bytes.windows(secret.trim().len()).any(|part| part == secret.trim().as_bytes());
            ensure!(!there, "a credential stands in {}", file.display());
        }
    }
    Ok(())
}

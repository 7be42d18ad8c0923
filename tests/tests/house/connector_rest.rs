//! The example bot on a company's own API, which a YAML file describes: no code was written for it.

use anyhow::{Result, ensure};
use confab_tests::client::Client;
use confab_tests::connection::Connection;
use confab_tests::folder::Folder;
use confab_tests::server::{Host, Server};
use confab_tests::vendors::inhouse::{Inhouse, TOKEN};
use confab_tests::{place, use_cases};
use serde_json::json;

/// A server whose shop has everything in the API, and a client with all rights.
async fn open(api: &Inhouse) -> Result<(Folder, Host, Server, Client)> {
    place::plugin("rest")?;
    let folder = Folder::shop()?;
    let example = |name: &str| std::fs::read_to_string(place::example("connections").join(name));
    folder.write("connections/rest.api.yaml", &example("rest.api.yaml")?)?;
    folder
        .write("connections/inhouse.yaml", &example("rest.yaml")?.replace("https://api.example.com/v1", &api.url()))?;
    let bot = folder.read("bots/shop.yaml")?.replace(": shop-data", ": inhouse").replace(": helpdesk", ": inhouse");
    folder.write("bots/shop.yaml", &bot)?;
    let host = Host::new()?.flag("--allow-private", &api.address()).env("SHOP__INHOUSE_TOKEN", TOKEN);
    let host = host.apply(folder.path());
    let server = host.start().await?;
    let key = host.key("shop", &["--scope", "chat", "--scope", "admin"]).await?;
    let client = Client::new(&server, &key)?;
    Ok((folder, host, server, client))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_of_ones_own_serves_the_five_use_cases() -> Result<()> {
    let api = Inhouse::start().await?;
    let (_folder, host, _server, client) = open(&api).await?;
    let checked = host.confab(&["connection", "check", "--tenant", "shop", "inhouse"]).await?;
    ensure!(checked.contains("GET /status answers"), "{checked}");

    use_cases::stock(&client, "SKU-1001", &["Espresso machine", "5 available"], "349.00").await?;
    // Shipped, and on the second page of a search that finds another order first.
    use_cases::order(&client, "WEB-42", "einkauf@muster.example", &["WEB-42 is shipped", "698.00"]).await?;
    use_cases::recommendation(&client, "a coffee grinder", &["SKU-1004", "often bought together"]).await?;
    use_cases::lead(&client, "Ada Lovelace", "ada@example.test", "twelve machines for our offices").await?;
    let leads = api.created("leads")?;
    ensure!(leads.len() == 1 && leads[0]["email"] == "ada@example.test", "{leads:#?}");
    let number = use_cases::ticket(&client, "Steam wand drips", "Since Monday", "grace@example.test").await?;
    let tickets = api.created("tickets")?;
    ensure!(
        tickets.len() == 1 && tickets[0]["no"] == number && tickets[0]["title"] == "Steam wand drips",
        "{tickets:#?}"
    );
    ensure!(!host.log()?.contains(TOKEN), "the log has the token");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_one_key_is_made_once_and_only_its_owner_may_add_to_it() -> Result<()> {
    let api = Inhouse::start().await?;
    let (_folder, _host, _server, client) = open(&api).await?;
    let inhouse = Connection::new(&client, "inhouse");
    let ticket = json!({"ticket": {"subject": "Größe „L“ fehlt", "body": "Bitte nachsenden.", "requester": {"email": "erika@example.test"}, "order_number": "WEB-42"}});
    let first = inhouse.write("tickets.create", ticket.clone(), "key-1").await?;
    ensure!(inhouse.write("tickets.create", ticket.clone(), "key-1").await? == first, "another ticket");
    ensure!(api.created("tickets")?.len() == 1, "{:?}", api.created("tickets")?);
    ensure!(inhouse.write("tickets.create", ticket, "key-2").await?["number"] == "R-2", "the key is not looked at");

    let number = &first["number"];
    let own = json!({"email": "erika@example.test"});
    let commented =
        inhouse.write("tickets.comment", json!({"number": number, "text": "Danke", "proof": own}), "key-3").await?;
    ensure!(commented["comments"][0]["text"] == "Danke", "{commented}");
    for (proof, code) in [(json!({"email": "mallory@example.test"}), "not-found"), (json!({}), "proof-required")] {
        for operation in ["tickets.comment", "tickets.close", "tickets.get"] {
            let mut arguments = json!({"number": number, "proof": proof});
            if operation == "tickets.comment" {
                arguments["text"] = json!("gotcha");
            }
            let (said, _) = inhouse.refused(operation, arguments).await?;
            ensure!(said == code, "{operation}: {said}, not {code}");
        }
    }
    ensure!(!format!("{:?}", api.created("tickets")?).contains("gotcha"), "a stranger wrote on it");
    let closed = inhouse.write("tickets.close", json!({"number": number, "proof": own}), "key-4").await?;
    ensure!(closed["state"] == "closed", "{closed}");

    // A contact that is known is left as it is.
    let person = |name: &str| json!({"person": {"name": name, "email": "max@example.test"}});
    let made = inhouse.write("contacts.upsert", person("Max"), "key-5").await?;
    let again = inhouse.write("contacts.upsert", person("Mallory"), "key-6").await?;
    ensure!(made == again && api.created("customers")?.len() == 1, "{made} {again}");
    let (code, message) = inhouse.refused("leads.qualify", json!({"id": "1", "qualification": {"score": 5}})).await?;
    ensure!(code == "unsupported" && message.contains("leads.qualify"), "{code} {message}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_with_mistakes_is_refused_with_its_lines() -> Result<()> {
    let api = Inhouse::start().await?;
    let (folder, host, _server, _client) = open(&api).await?;
    folder.replace("connections/rest.api.yaml", "/articles/{sku}/stock", "/articles/{article}/stock")?;
    let line = folder.line_of("connections/rest.api.yaml", "inventory.availability:")?;
    let ran = host.run(&["apply", &folder.path().display().to_string(), "--check"]).await?;
    let said = format!("{}{}", ran.stdout, ran.stderr);
    ensure!(!ran.status.success() && said.contains("there is no argument `article`"), "{said}");
    ensure!(said.contains(&format!("connections/rest.api.yaml:{}", line + 1)), "not line {line} or the next: {said}");
    Ok(())
}

//! The odoo connector in its sandbox, against a small Odoo that checks each call; the key is put in by the host.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::connection::Connection;
use confab_tests::folder::Folder;
use confab_tests::place;
use confab_tests::server::{Host, Server};
use confab_tests::vendors::odoo::Odoo;
use confab_tests::vendors::odoo::orm::{Helpdesk, KEY, Orm};
use serde_json::{Value, json};

/// A server with a connection `odoo` to it.
async fn serve(odoo: &Odoo) -> Result<(Host, Server, Connection)> {
    place::plugin("odoo")?;
    let folder = Folder::of("shop")?;
    folder.write("connections/odoo.yaml", &odoo.connection("odoo", &[]))?;
    let host = Host::new()?.flag("--allow-private", &odoo.address()).env("SHOP__ODOO_KEY", KEY);
    let server = host.clone().apply(folder.path()).start().await?;
    let client = Client::new(&server, &host.key("shop", &["--scope", "admin"]).await?)?;
    Ok((host, server, Connection::new(&client, "odoo")))
}

fn proof(email: &str) -> Value {
    json!({"email": email, "phone": null, "postal_code": null, "customer_id": null})
}

#[tokio::test(flavor = "multi_thread")]
async fn each_capability_works_on_each_version() -> Result<()> {
    for (version, helpdesk, ticket) in
        [(16, Helpdesk::Oca, "HT00005"), (17, Helpdesk::Enterprise, "00005"), (18, Helpdesk::Oca, "HT00005")]
    {
        let odoo = Odoo::start(Orm::new(version, helpdesk)).await?;
        let (_host, _server, connection) = serve(&odoo).await?;
        let findings = connection.check().await?;
        ensure!(findings.iter().all(|(_, status, _)| status == "ok"), "Odoo {version}: {findings:?}");

        let order = json!({"number": "WEB-42", "proof": proof("einkauf@muster.example")});
        let found = connection.call("orders.get", order).await?;
        ensure!(found["total"] == json!({"amount": "698.00", "currency": "EUR"}), "{found}");
        ensure!(found["lines"][0]["sku"] == "SKU-1001" && found["state"] == "processing", "{found}");
        let others =
            connection.refused("orders.get", json!({"number": "S00042", "proof": proof("erika@example.test")})).await?;
        let unknown =
            connection.refused("orders.get", json!({"number": "S4711", "proof": proof("erika@example.test")})).await?;
        ensure!(others == unknown && others.0 == "not-found", "{others:?} and {unknown:?} can be told apart");
        let parcels =
            connection.call("orders.track", json!({"number": "WEB-41", "proof": proof("erika@example.test")})).await?;
        ensure!(parcels[0]["tracking_number"] == "EX0000041AT" && parcels[0]["state"] == "shipped", "{parcels}");

        let stock = connection.call("inventory.availability", json!({"sku": "SKU-1001", "location": null})).await?;
        ensure!(stock[0]["available"] == 3.0 && stock[1]["location"] == "Graz", "Odoo {version}: {stock}");
        let found = connection.call("catalog.search", json!({"query": "espresso", "limit": 5})).await?;
        ensure!(found[0]["price"]["amount"] == "349.00", "{found}");
        let interest = json!({"query": null, "skus": ["SKU-1001"], "customer_id": null});
        let fits = connection.call("catalog.recommend", json!({"interest": interest, "limit": 3})).await?;
        ensure!(fits[0]["product"]["sku"] == "SKU-1002", "{fits}");
        let people = connection.call("contacts.find", json!({"email": "ERIKA@example.test", "phone": null})).await?;
        ensure!(people[0]["id"] == "8", "{people}");

        let person =
            json!({"name": "Ada Lovelace", "email": "ada@example.test", "phone": "+44 20 5550123", "company": null});
        let lead = json!({"lead": {"person": person, "subject": "Twelve machines", "message": "soon", "source": "chat", "skus": ["SKU-1001"]}});
        let made = connection.write("leads.create", lead.clone(), "k-1").await?;
        ensure!(connection.write("leads.create", lead, "k-1").await? == made, "a repeat made another lead");
        let leads = odoo.with(|orm| orm.all("crm.lead"));
        ensure!(leads.len() == 1 && leads[0]["email_from"] == "ada@example.test", "{leads:?}");

        let asked = json!({"subject": "Steam wand", "body": "drips", "requester": person, "priority": "high", "category": null, "order_number": "WEB-42"});
        let opened = connection.write("tickets.create", json!({"ticket": asked}), "k-2").await?;
        ensure!(
            connection.write("tickets.create", json!({"ticket": asked}), "k-2").await? == opened,
            "a repeat made another"
        );
        let of_erika = json!({"number": ticket, "text": "Still drips", "proof": proof("erika@example.test")});
        let said = connection.write("tickets.comment", of_erika.clone(), "k-3").await?;
        ensure!(connection.write("tickets.comment", of_erika, "k-3").await? == said, "said twice");
        let comments = said["comments"].as_array().context("comments")?;
        ensure!(comments.len() == 2 && !said.to_string().contains("rude"), "{said}");
        let closing = json!({"number": ticket, "reason": "Repaired", "proof": proof("erika@example.test")});
        let closed = connection.write("tickets.close", closing, "k-4").await?;
        ensure!(closed["state"] == "closed", "{closed}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_in_each_call_to_odoo_and_nowhere_else() -> Result<()> {
    let odoo = Odoo::start(Orm::new(16, Helpdesk::None)).await?;
    let (host, _server, connection) = serve(&odoo).await?;
    connection.call("catalog.get", json!({"sku": "SKU-1001"})).await?;
    // A field of Odoo's that somebody put the key into: what comes back is masked.
    odoo.with(|orm| orm.set("product.product", 2, "description_sale", json!(format!("key {KEY}"))));
    let product = connection.call("catalog.get", json!({"sku": "SKU-1002"})).await?;
    ensure!(product["description"] == "key ***", "{product}");
    let requests = odoo.requests();
    let sent = requests.iter().filter(|call| call["params"]["args"][2] == KEY).count();
    ensure!(sent + 1 == requests.len(), "{sent} of {} calls had the key", requests.len());
    odoo.with(|orm| orm.change_key("revoked"));
    let (code, message) = connection.refused("catalog.get", json!({"sku": "SKU-1003"})).await?;
    ensure!(code == "misconfigured" && message.contains("API key"), "{code} {message}");
    let findings = connection.check().await?;
    ensure!(findings.iter().any(|(name, status, _)| name == "sign in" && status == "error"), "{findings:?}");
    ensure!(!host.log()?.contains(KEY), "the key is in the log");
    for (path, bytes) in host.disk()? {
        let found = bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes());
        ensure!(!found, "the key is in {}", path.display());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_says_which_right_is_missing() -> Result<()> {
    let mut orm = Orm::with_apps(16, Helpdesk::None, &["sale", "crm"]);
    orm.deny("crm.lead", "create");
    let odoo = Odoo::start(orm).await?;
    let (_host, _server, connection) = serve(&odoo).await?;
    let findings = connection.check().await?;
    let of = |wanted: &str| {
        findings.iter().find(|(name, ..)| name == wanted).map(|(_, status, said)| (status.as_str(), said.as_str()))
    };
    ensure!(
        of("create leads").is_some_and(|(status, said)| status == "error" && said.contains("crm.lead")),
        "{findings:?}"
    );
    ensure!(
        of("read deliveries").is_some_and(|(status, said)| status == "warning" && said.contains("Inventory")),
        "{findings:?}"
    );
    ensure!(
        of("helpdesk").is_some_and(|(status, said)| status == "warning" && said.contains("ticket_project")),
        "{findings:?}"
    );
    ensure!(of("sign in").is_some_and(|(status, _)| status == "ok"), "{findings:?}");
    let (code, _) = connection.refused("inventory.availability", json!({"sku": "SKU-1001", "location": null})).await?;
    ensure!(code == "unsupported", "{code}");
    Ok(())
}

//! The sap-s4 connector in its sandbox, against a small SAP Gateway that checks each request.

use anyhow::{Result, ensure};
use confab_tests::client::Client;
use confab_tests::connection::Connection;
use confab_tests::folder::Folder;
use confab_tests::place;
use confab_tests::server::{Host, Server};
use confab_tests::vendors::sap_s4::gateway::Gateway;
use confab_tests::vendors::sap_s4::{PASSWORD, SapS4};
use serde_json::{Value, json};

/// A server with a connection `sap` to it, which signs in with this password.
async fn serve(sap: &SapS4, password: &str) -> Result<(Host, Server, Connection)> {
    place::plugin("sap-s4")?;
    let folder = Folder::of("shop")?;
    let settings = ["client: \"100\"", "plants: { \"1010\": Wien, \"2020\": Graz }"];
    folder.write("connections/sap.yaml", &sap.connection("sap", &settings))?;
    let host = Host::new()?.flag("--allow-private", &sap.address()).env("SHOP__SAP_PASSWORD", password);
    let server = host.clone().apply(folder.path()).start().await?;
    let client = Client::new(&server, &host.key("shop", &["--scope", "admin"]).await?)?;
    Ok((host, server, Connection::new(&client, "sap")))
}

fn proof(email: &str) -> Value {
    json!({"email": email, "phone": null, "postal_code": null, "customer_id": null})
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_deliveries_and_stock_are_read() -> Result<()> {
    let sap = SapS4::start(Gateway::new()).await?;
    let (host, _server, connection) = serve(&sap, PASSWORD).await?;
    let findings = connection.check().await?;
    ensure!(findings.len() == 4 && findings.iter().all(|(_, status, _)| status == "ok"), "{findings:?}");

    let found =
        connection.call("orders.get", json!({"number": "web-42", "proof": proof("einkauf@muster.example")})).await?;
    ensure!(found["number"] == "42" && found["total"] == json!({"amount": "698.00", "currency": "EUR"}), "{found}");
    ensure!(found["lines"][0]["name"] == "Espressomaschine Größe 2", "{found}");
    let others =
        connection.refused("orders.get", json!({"number": "42", "proof": proof("erika@example.test")})).await?;
    let unknown =
        connection.refused("orders.get", json!({"number": "4711", "proof": proof("erika@example.test")})).await?;
    ensure!(others == unknown && others.0 == "not-found", "{others:?} and {unknown:?} can be told apart");
    let listed = connection.call("orders.list-for-customer", json!({"customer_id": "100020", "limit": 2})).await?;
    ensure!(listed.as_array().is_some_and(|all| all.len() == 2) && listed[0]["number"] == "44", "{listed}");
    let parcels =
        connection.call("orders.track", json!({"number": "42", "proof": proof("einkauf@muster.example")})).await?;
    ensure!(parcels[0]["tracking_number"] == "EX0000042AT" && parcels[1]["state"] == "packed", "{parcels}");

    let stock = connection.call("inventory.availability", json!({"sku": "SKU-1001", "location": null})).await?;
    ensure!(stock[0]["location"] == "Wien" && stock[0]["available"] == 5.5 && stock[0]["on_hand"] == 7.5, "{stock}");
    let injected = json!({"sku": "x' or Plant eq '1010", "location": null});
    ensure!(connection.refused("inventory.availability", injected).await?.0 == "not-found", "injected");
    ensure!(sap.requests().iter().all(|r| r.contains("sap-client=100")), "{:?}", sap.requests());
    ensure!(!host.log()?.contains(PASSWORD), "the password is in the log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_service_that_is_not_there_are_told() -> Result<()> {
    let mut gateway = Gateway::new();
    gateway.deactivate("API_OUTBOUND_DELIVERY_SRV;v=0002");
    gateway.refuse("API_MATERIAL_STOCK_SRV");
    let sap = SapS4::start(gateway).await?;
    let (_host, _server, connection) = serve(&sap, PASSWORD).await?;
    let findings = connection.check().await?;
    let of = |wanted: &str| {
        findings.iter().find(|(name, ..)| name == wanted).map(|(_, status, said)| (status.as_str(), said.as_str()))
    };
    ensure!(of("orders").is_some_and(|(status, _)| status == "ok"), "{findings:?}");
    ensure!(
        of("deliveries").is_some_and(|(status, said)| status == "warning" && said.contains("MAINT_SERVICE")),
        "{findings:?}"
    );
    ensure!(of("stock").is_some_and(|(status, said)| status == "error" && said.contains("S_SERVICE")), "{findings:?}");
    let (code, _) = connection.refused("inventory.availability", json!({"sku": "SKU-1001", "location": null})).await?;
    ensure!(code == "forbidden", "{code}");

    let (_host, _server, wrong) = serve(&sap, "wrong-canary").await?;
    let (code, message) =
        wrong.refused("orders.get", json!({"number": "42", "proof": proof("a@example.test")})).await?;
    ensure!(code == "misconfigured" && !message.contains("wrong-canary"), "{code} {message}");
    Ok(())
}

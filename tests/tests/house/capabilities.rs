//! An intent plugin that imports a capability as if it were linked with a connector: the host forwards each call.

use anyhow::{Result, ensure};
use confab_tests::client::Client;
use confab_tests::folder::Folder;
use confab_tests::server::Host;

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_import_reaches_the_connection_that_the_bot_has_bound() -> Result<()> {
    let folder = Folder::shop()?;
    folder.guest_as("typed", "typed", &[("inventory", "shop-data")])?;
    folder.guest_as("second", "typed", &[("inventory", "second-data")])?;
    folder.guest_as("unbound", "typed", &[])?;
    // The same plugin on another connection has other figures.
    folder.write(
        "connections/second-data.yaml",
        "id: second-data\nconnector: sheet\nfiles: {stock.csv: ../data/second.csv}\n",
    )?;
    folder.write("data/second.csv", "sku,name,on_hand,location\nSKU-1001,Second hand,2.5,Linz\n")?;
    let host = Host::new()?.apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    let ask = |bot: &str, sku: &str| {
        let (mut talk, sku) = (client.talk().with(bot), sku.to_owned());
        async move { anyhow::Ok(talk.say(&sku).await?.response) }
    };
    ensure!(ask("typed", "SKU-1001").await? == "Wien: 5 of 7 Espresso machine", "{}", ask("typed", "SKU-1001").await?);
    // A list of several records comes through whole and in order.
    let both = ask("typed", "SKU-1004").await?;
    ensure!(both == "Wien: 12 of 14 Coffee grinder; Graz: 3 of 3 Coffee grinder", "{both}");
    // A refusal of the connector arrives as the typed error that it is.
    ensure!(ask("typed", "SKU-9999").await? == "error not-found", "{}", ask("typed", "SKU-9999").await?);
    ensure!(ask("second", "SKU-1001").await? == "Linz: 2.5 of 2.5 Second hand", "{}", ask("second", "SKU-1001").await?);
    ensure!(ask("unbound", "SKU-1001").await? == "error unsupported", "{}", ask("unbound", "SKU-1001").await?);
    Ok(())
}

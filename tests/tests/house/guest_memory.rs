//! A credential that connections use all the time is in no guest's memory, at any moment, and nowhere on disk.

use anyhow::{Result, ensure};
use confab_tests::client::Client;
use confab_tests::endpoint::Endpoint;
use confab_tests::folder::Folder;
use confab_tests::memory::count_in_guests;
use confab_tests::museum::connect;
use confab_tests::server::Host;
use serde_json::json;

/// Looked for everywhere; no real secret.
const TOKEN: &str = "canary-token-c41b77e0";
/// What visitors write: it must be found in guests, or nothing is shown.
const WRITTEN: &str = "written-by-a-visitor-90d3";
/// Visitors at once, and moments at which the memory is read.
const TALKS: usize = 8;
const MOMENTS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_in_no_guests_memory_at_any_moment_and_nowhere_on_disk() -> Result<()> {
    let endpoint = Endpoint::start().await?;
    let folder = Folder::shop()?;
    for guest in ["reads-secrets", "sends-anything"] {
        connect(&folder, "shop", guest, guest, Some(&endpoint.url()))?;
        folder.guest_as(guest, "calls", &[("catalog", guest)])?;
    }
    let host = Host::new()?
        .flag("--allow-private", &endpoint.address())
        .env("SHOP__API_TOKEN", TOKEN)
        .env("RUST_LOG", "debug")
        .serving("--visitor-rate", "1000000")
        .serving("--key-rate", "1000000")
        .apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &["--scope", "admin", "--scope", "chat"]).await?)?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let talks: Vec<_> = (0..TALKS).map(|n| tokio::spawn(talk(client.clone(), n, stopped.clone()))).collect();
    let (mut written, mut betrayed, mut told) = (0, 0, Vec::new());
    while written == 0 || betrayed < MOMENTS {
        let (counts, used) = count_in_guests(server.pid()?, &[WRITTEN, TOKEN])?;
        written += counts[0];
        betrayed += 1;
        if counts[1] > 0 {
            told.push(format!("moment {betrayed}: {} times in {used} bytes of guests", counts[1]));
        }
        ensure!(betrayed < 100 * MOMENTS, "nothing that a visitor writes is ever in a guest: nothing is shown");
        // Something new happens before the next look.
        let seen = endpoint.requests().len();
        while endpoint.requests().len() < seen + TALKS {
            tokio::task::yield_now().await;
        }
    }
    stop.send_replace(true);
    for talk in talks {
        talk.await??;
    }
    ensure!(told.is_empty(), "{}", told.join("\n"));
    let used = endpoint.requests().iter().filter(|request| request.contains(TOKEN)).count();
    ensure!(used > MOMENTS, "the credential was sent {used} times only");
    server.terminate().await?;
    server.ended(std::time::Duration::from_secs(60)).await?;
    for (path, bytes) in host.disk()? {
        let there = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
        ensure!(!there, "{} has the credential", path.display());
    }
    ensure!(!host.log()?.contains(TOKEN), "the log has the credential");
    Ok(())
}

/// Has connectors ask an endpoint that repeats the credential in every form, until it is told to stop.
async fn talk(client: Client, number: usize, mut stop: tokio::sync::watch::Receiver<bool>) -> Result<()> {
    while !*stop.borrow_and_update() {
        let (bot, sku) = if number.is_multiple_of(2) {
            ("reads-secrets", WRITTEN.to_owned())
        } else {
            ("sends-anything", json!({"method": "GET", "path": format!("/betray?{WRITTEN}")}).to_string())
        };
        let call = json!({"capability": "catalog", "function": "get", "arguments": {"sku": sku}});
        let said = client.talk().with(bot).say(&call.to_string()).await?.response;
        ensure!(!said.contains(TOKEN), "a visitor reads the credential: {said}");
    }
    Ok(())
}

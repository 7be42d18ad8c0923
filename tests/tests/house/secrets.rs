//! A credential that the operator supplied is used, and never seen again: not by visitors, not in a log, not in any answer
//! of the API, even when the business system itself repeats it.

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confab_tests::client::Client;
use confab_tests::erp::{Erp, Manner};
use confab_tests::folder::Folder;
use confab_tests::server::Host;

/// Looked for everywhere; no real secret.
const PASSWORD: &str = "canary-password-5f3a9c";
const SESSION: &str = "canary-session-8d21e7";

#[tokio::test(flavor = "multi_thread")]
async fn a_password_and_its_session_are_never_seen_again() -> Result<()> {
    let erp = Erp::start(Manner::Betrays { session: SESSION.to_owned() }).await?;
    let folder = Folder::shop()?;
    folder.write("connections/erp.yaml", &erp.connection())?;
    for capability in ["orders", "inventory", "catalog", "contacts", "leads"] {
        folder.replace("bots/shop.yaml", &format!("{capability}: shop-data"), &format!("{capability}: erp"))?;
    }
    let host = Host::new()?
        .flag("--allow-private", &erp.address())
        .env("SHOP__TRYTON_PASSWORD", PASSWORD)
        .env("RUST_LOG", "debug");
    let server = host.clone().apply(folder.path()).start().await?;
    let client = Client::new(&server, &host.key("shop", &["--bot", "shop"]).await?)?;
    let admin = client.with_key(&host.key("shop", &["--scope", "admin", "--scope", "transcripts"]).await?);
    let mut seen: Vec<(String, String)> = Vec::new();

    // Every question goes to the system and gets the secrets back in an error.
    for conversation in [
        &["Do you have SKU-1001 in stock?", "and what does it cost?"][..],
        &["Where is my order WEB-42?", "einkauf@muster.example"],
        &["what do you recommend"],
        &["i am looking for a grinder"],
        &["have sales call me", "Ada", "ada@example.test", "twelve machines", "yes"],
    ] {
        let mut talk = client.talk();
        for message in conversation {
            seen.push((format!("the answer to `{message}`"), talk.say(message).await?.body.to_string()));
        }
        let path = format!("/api/conversations/{}?bot=shop", talk.id()?);
        seen.push(("the transcript".to_owned(), admin.json(&path).await?.to_string()));
    }
    ensure!(erp.betrayals() >= 5, "the system was asked {} times only: nothing is shown", erp.betrayals());

    for path in [
        "/api/admin/bots",
        "/api/admin/connections",
        "/api/admin/plugins",
        "/api/admin/tenants",
        "/api/admin/keys",
        "/api/admin/failures",
        "/api/admin/usage",
        "/api/admin/breakers",
        "/api/admin/connections/erp/files",
        "/api/admin/connections/erp/files/leads.csv",
        "/metrics",
        "/openapi.json",
    ] {
        seen.push((format!("GET {path}"), String::from_utf8_lossy(&admin.get(path).await?.body).into_owned()));
    }
    let checked = admin.post("/api/admin/connections/erp/check", &serde_json::json!({})).await?;
    seen.push(("POST check".to_owned(), String::from_utf8_lossy(&checked.body).into_owned()));
    for command in [
        &["connection", "check", "--tenant", "shop", "erp"][..],
        &["connection", "list", "--tenant", "shop"],
        &["connection", "download", "--tenant", "shop", "erp", "leads.csv"],
        &["apply", &folder.path().display().to_string()],
        &["key", "list"],
    ] {
        let ran = host.run(command).await?;
        seen.push((format!("confab {command:?}"), format!("{}{}", ran.stdout, ran.stderr)));
    }
    seen.push(("the log".to_owned(), host.log()?));

    let header = STANDARD.encode(format!("chatbot:7:{SESSION}"));
    let header = header.trim_end_matches('=').to_owned();
    let mut told = Vec::new();
    for (what, secret) in [("the password", PASSWORD), ("the session", SESSION), ("the session's header", &header)] {
        for (place, text) in &seen {
            if let Some(line) = text.lines().find(|line| line.contains(secret)) {
                let at = line.find(secret).unwrap_or_default();
                let around: String =
                    line.chars().skip(line[..at].chars().count().saturating_sub(200)).take(300).collect();
                told.push(format!("{place} has {what}: ...{around}..."));
            }
        }
    }
    ensure!(told.is_empty(), "{}", told.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_another_tenant_or_none_at_all_is_refused_by_its_name() -> Result<()> {
    let folder = Folder::shop()?;
    folder.write("connections/erp.yaml", &confab_tests::erp::connection("https://erp.example.com/erp"))?;
    folder.replace("connections/erp.yaml", "env:SHOP__TRYTON_PASSWORD", "env:OTHER__TRYTON_PASSWORD")?;
    let host = Host::new()?.env("OTHER__TRYTON_PASSWORD", PASSWORD);
    let ran = host.run(&["apply", &folder.path().display().to_string()]).await?;
    ensure!(!ran.status.success(), "a secret of another tenant was accepted: {}", ran.stdout);
    ensure!(ran.stderr.contains("SHOP__"), "does not say how it must be named: {}", ran.stderr);
    ensure!(!ran.stderr.contains(PASSWORD), "{}", ran.stderr);
    Ok(())
}

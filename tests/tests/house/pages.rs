//! What the server says about itself.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::folder::Folder;
use confab_tests::place;
use confab_tests::server::Host;

#[tokio::test(flavor = "multi_thread")]
async fn health_readiness_and_description_need_no_key() -> Result<()> {
    let folder = Folder::of("acme")?;
    folder.guest("echo")?;
    let server = Host::new()?.apply(folder.path()).start().await?;
    let client = Client::anonymous(&server)?;
    ensure!(client.json("/healthz").await?["status"] == "ok", "not alive");
    let ready = client.json("/readyz").await?;
    ensure!(ready["status"] == "ready" && ready["bots_ready"] == 1 && ready["store"] == "embedded", "{ready}");
    let metrics = client.get("/metrics").await?;
    ensure!(metrics.header("content-type").starts_with("text/plain"), "{:?}", metrics.headers);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_every_route_and_the_documentation_can_be_read() -> Result<()> {
    let folder = Folder::of("acme")?;
    folder.guest("echo")?;
    let server = Host::new()?.apply(folder.path()).start().await?;
    let client = Client::anonymous(&server)?;
    let description = client.json("/openapi.json").await?;
    ensure!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "not OpenAPI 3.1");
    let paths = description["paths"].as_object().context("no paths")?;
    for (path, method) in [
        ("/api/chat", "post"),
        ("/api/conversations/{id}", "get"),
        ("/api/admin/apply", "post"),
        ("/api/admin/tenants", "get"),
        ("/api/admin/bots", "get"),
        ("/api/admin/connections", "get"),
        ("/api/admin/plugins", "get"),
        ("/api/admin/keys", "post"),
        ("/api/admin/keys/{id}", "delete"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
    ] {
        let operation =
            paths.get(path).and_then(|item| item.get(method)).with_context(|| format!("no {method} {path}"))?;
        ensure!(
            operation["summary"].is_string() || operation["description"].is_string(),
            "{method} {path} is not described"
        );
    }
    for status in ["200", "401", "404", "413", "415", "422", "429"] {
        ensure!(
            description.pointer("/paths/~1api~1chat/post/responses").is_some_and(|all| all.get(status).is_some()),
            "chat: no {status}"
        );
    }
    let page = client.get("/docs").await?;
    ensure!(page.status == 200 && page.header("content-type").starts_with("text/html"), "{:?}", page.headers);
    ensure!(String::from_utf8_lossy(&page.body).contains("/api/chat"), "the documentation does not show how to chat");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_connectors_says_what_the_plugins_say() -> Result<()> {
    let mut arguments = vec!["plugin".to_owned(), "docs".to_owned()];
    let mut names = Vec::new();
    for entry in std::fs::read_dir(place::root().join("plugins"))? {
        let folder = entry?;
        if folder.path().join("plugin.toml").exists() {
            names.push(folder.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    for name in &names {
        place::plugin(name)?;
        arguments.push(place::plugins()?.join(format!("{name}.wasm")).display().to_string());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let page = Host::new()?.confab(&arguments).await?;
    let kept = std::fs::read_to_string(place::root().join("docs/connectors.md"))?;
    ensure!(page == kept, "docs/connectors.md is not what the plugins say now: run `make docs`");
    for name in names.iter().filter(|name| *name != "flow") {
        ensure!(page.contains(&format!("\n## {name}\n")), "nothing of {name}");
    }
    Ok(())
}

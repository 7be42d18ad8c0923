//! What goes wrong is said in a record that names it; what keeps going wrong is left alone; what is used is counted.

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use confab_tests::client::Client;
use confab_tests::folder::Folder;
use confab_tests::metric::Metrics;
use confab_tests::server::{Host, Server};
use confab_tests::wait::{LONG, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;

/// A tenant's bot that panics when it is told to, and another tenant.
struct House {
    server: Server,
    client: Client,
    admin: Client,
    /// Of the other tenant.
    stranger: Client,
    // Applied at each start: they must outlive the servers.
    _folders: [Folder; 2],
}

async fn open(host: Host, folder: Folder) -> Result<House> {
    folder.guest("panics")?;
    let bakery = Folder::of("bakery")?;
    bakery.guest("echo")?;
    let host = host.apply(folder.path()).apply(bakery.path());
    let host = host.serving("--key-rate", "1000000").serving("--visitor-rate", "1000000");
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    let admin = client.with_key(&host.key("shop", &["--scope", "admin"]).await?);
    let stranger = client.with_key(&host.key("bakery", &["--scope", "admin"]).await?);
    Ok(House { server, client, admin, stranger, _folders: [folder, bakery] })
}

async fn failures(client: &Client, query: &str) -> Result<Vec<Value>> {
    let page = client.json(&format!("/api/admin/failures{query}")).await?;
    page["failures"].as_array().cloned().with_context(|| page.to_string())
}

async fn delete(client: &Client, path: &str) -> Result<(u16, Value)> {
    let answer = client.request(Method::DELETE, path).send().await?;
    let status = answer.status().as_u16();
    Ok((status, serde_json::from_slice(&answer.bytes().await?)?))
}

/// Whether a name ends as compilers end them: `::h` and sixteen digits.
fn has_hash(name: &str) -> bool {
    name.rsplit_once("::h").is_some_and(|(_, end)| end.len() == 16 && end.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_becomes_a_record_with_everything_an_author_needs_and_no_stranger_sees_it() -> Result<()> {
    let House { server, client, admin, stranger, _folders } = open(Host::new()?, Folder::of("shop")?).await?;
    let mut talk = client.talk().with("panics");
    talk.hears("hello", &["1: hello"]).await?;
    let said = talk.hears("panic", &["panics failed"]).await?;
    let records = failures(&admin, "?plugin=panics").await?;
    let [record] = records.as_slice() else { anyhow::bail!("{} records: {records:#?}", records.len()) };
    for (field, value) in [
        ("tenant", json!("shop")),
        ("bot", json!("panics")),
        ("plugin", json!("panics")),
        ("function", json!("handle")),
        ("kind", json!("trap")),
        ("blame", json!("guest")),
        ("conversation", json!(talk.id()?)),
        ("turn", json!(said.turn)),
        ("count", json!(1)),
        ("connection", Value::Null),
    ] {
        ensure!(record[field] == value, "{field} is {}: {record:#}", record[field]);
    }
    for field in ["fuel", "cpu_us", "peak_memory", "wall_us"] {
        ensure!(record[field].as_u64() > Some(0), "{field}: {record:#}");
    }
    ensure!(record["digest"].as_str().is_some_and(|digest| digest.len() == 64), "{record:#}");
    ensure!(record["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{record:#}");
    let last = record["last_lines"].to_string();
    ensure!(last.contains("panicked at ") && last.contains("src/lib.rs:") && last.contains("told to panic"), "{last}");
    let trace: Vec<&str> = record["backtrace"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    ensure!(trace.iter().any(|name| name.contains("panic")), "{trace:?}");
    ensure!(!trace.iter().any(|name| has_hash(name) || name.starts_with("_ZN") || name.starts_with("_R")), "{trace:?}");

    // The same by command, for people and for programs.
    let host = server.host();
    let shown = host.confab(&["failures", "--tenant", "shop", "--kind", "trap"]).await?;
    for word in ["guest", "panics@", "handle trap", "fuel", "memory", "wall", "told to panic", "      at "] {
        ensure!(shown.contains(word), "no `{word}` in:\n{shown}");
    }
    let printed: Value = serde_json::from_str(host.confab(&["failures", "--json"]).await?.trim())?;
    ensure!(printed == *record, "{printed}");

    // A stranger sees nothing of it, nor does a key that is for chatting.
    ensure!(failures(&stranger, "").await?.is_empty(), "another tenant sees it");
    stranger.get("/api/admin/failures?tenant=shop").await?.problem(403, "forbidden")?;
    client.get("/api/admin/failures").await?.problem(403, "forbidden")?;
    ensure!(delete(&stranger, "/api/admin/failures?tenant=shop").await?.0 == 403, "a stranger may delete it");

    // Each list writes what is pending: these are three records more.
    for _ in 0..3 {
        talk.hears("panic", &["panics failed"]).await?;
        failures(&admin, "").await?;
    }
    let (mut ids, mut path) = (Vec::new(), "/api/admin/failures?limit=1".to_owned());
    loop {
        let page = admin.json(&path).await?;
        ids.extend(
            page["failures"].as_array().into_iter().flatten().filter_map(|r| r["id"].as_str()?.parse::<u64>().ok()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("/api/admin/failures?limit=1&before={next}"),
            None => break,
        }
    }
    ensure!(ids.len() == 4 && ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    for (filter, found) in
        [("bot=panics", 4), ("bot=other", 0), ("kind=trap", 4), ("kind=fuel", 0), ("blame=guest", 4), ("blame=host", 0)]
    {
        let listed = failures(&admin, &format!("?{filter}")).await?.len();
        ensure!(listed == found, "{filter} finds {listed}");
    }
    for (query, status, code) in [
        ("limit=0", 422, "invalid-input"),
        ("limit=201", 422, "invalid-input"),
        ("before=yesterday", 422, "invalid-input"),
        ("kind=", 422, "invalid-input"),
        ("blame=nobody", 400, "bad-request"),
        ("bot=No%20Bot", 400, "bad-request"),
        ("colour=red", 400, "bad-request"),
    ] {
        admin.get(&format!("/api/admin/failures?{query}")).await?.problem(status, code).context(query)?;
    }
    let (status, deleted) = delete(&admin, "/api/admin/failures").await?;
    ensure!(status == 200 && deleted["deleted"] == true, "{deleted}");
    ensure!(failures(&admin, "").await?.is_empty(), "they are still there");
    ensure!(host.confab(&["failures", "--tenant", "shop"]).await?.contains("nothing failed"), "the command has some");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_keeps_failing_is_quarantined_until_it_works_or_somebody_says_so() -> Result<()> {
    let House { server, client, admin, stranger, _folders } = open(Host::new()?, Folder::of("shop")?).await?;
    let quarantined = async |client: &Client| {
        let listed = client.json("/api/admin/breakers").await?;
        listed["plugins"].as_array().cloned().with_context(|| listed.to_string())
    };
    let gauge = async || {
        let metrics = Metrics::of(&client).await?;
        anyhow::Ok(metrics.sum("confab_plugin_quarantined", &[("tenant", "shop"), ("plugin", "panics")]))
    };
    let refused = async || {
        let metrics = Metrics::of(&client).await?;
        anyhow::Ok(metrics.sum("confab_plugin_failures_total", &[("plugin", "panics"), ("kind", "quarantined")]))
    };
    let mut talk = client.talk().with("panics");
    for round in 0..2 {
        for _ in 0..9 {
            talk.hears("panic", &["panics failed"]).await?;
        }
        ensure!(quarantined(&admin).await?.is_empty() && gauge().await? == 0.0, "quarantined before its tenth failure");
        talk.hears("panic", &["panics failed"]).await?;
        let listed = quarantined(&admin).await?;
        ensure!(listed.len() == 1 && listed[0]["plugin"] == "panics" && listed[0]["state"] == "open", "{listed:#?}");
        ensure!(listed[0]["since"].is_string() && listed[0]["until"].is_string(), "{listed:#?}");
        ensure!(listed[0]["reason"].as_str().is_some_and(|reason| reason.contains("panicked")), "{listed:#?}");
        ensure!(quarantined(&stranger).await?.is_empty(), "another tenant sees it");
        ensure!(gauge().await? == 1.0, "the metric says otherwise");
        let before = refused().await?;
        // Each pause is twice the one before: most of these are refused without being run.
        for _ in 0..5 {
            talk.hears("panic", &["panics failed"]).await?;
        }
        ensure!(refused().await? > before, "it was run although it is quarantined");
        if round == 0 {
            // The first call that is let through finds that it works.
            until("the plugin is run again", LONG, || {
                let mut talk = talk.clone();
                async move { Ok((talk.say("hello").await?.response != "panics failed").then_some(())) }
            })
            .await?;
        } else {
            ensure!(delete(&stranger, "/api/admin/breakers?plugin=panics").await?.0 == 404, "a stranger may reset it");
            let host = server.host();
            ensure!(host.confab(&["breakers"]).await?.contains("shop plugin panics@"), "the command doesn't list it");
            host.confab(&["breakers", "reset", "--tenant", "shop", "--plugin", "panics"]).await?;
            talk.hears("hello", &["hello"]).await?;
        }
        ensure!(quarantined(&admin).await?.is_empty() && gauge().await? == 0.0, "it is still quarantined");
    }
    // Each begin and each end is one record.
    let told: Vec<Value> = failures(&admin, "?kind=quarantined").await?;
    let count = |ended: bool| {
        let wanted = told.iter().filter(|record| (record["message"] == "is run again") == ended);
        wanted.filter_map(|record| record["count"].as_u64()).sum::<u64>()
    };
    ensure!(count(false) == 2 && count(true) == 2, "{told:#?}");
    ensure!(told.iter().all(|record| record["function"] == "quarantine"), "{told:#?}");
    Ok(())
}

fn sum(usage: &Value, who: &str, id: &str, field: &str) -> u64 {
    let rows = usage["rows"].as_array().into_iter().flatten();
    rows.filter(|row| row[who] == id).filter_map(|row| row[field].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_adds_up_over_turns_and_survives_a_restart() -> Result<()> {
    let folder = Folder::shop()?;
    folder.guest_as("typed", "typed", &[("inventory", "shop-data")])?;
    let House { server, client, admin, stranger, _folders } = open(Host::new()?, folder).await?;
    let metrics = Metrics::of(&client).await?;
    ensure!(metrics.sum("confab_turns_total", &[]) == 0.0, "bots that nobody talks to have metrics");
    ensure!(!metrics.text().contains("bot=\""), "bots that nobody talks to have metrics:\n{}", metrics.text());
    let mut talk = client.talk().with("panics");
    for (message, answer) in [("a", "1: a"), ("b", "2: b"), ("panic", "panics failed")] {
        talk.hears(message, &[answer]).await?;
    }
    client.talk().with("typed").hears("SKU-1001", &["Wien: 5 of 7"]).await?;
    let usage = admin.json("/api/admin/usage").await?;
    ensure!(sum(&usage, "bot", "panics", "calls") == 3 && sum(&usage, "bot", "panics", "failures") == 1, "{usage:#}");
    ensure!(sum(&usage, "connection", "shop-data", "calls") == 1, "{usage:#}");
    ensure!(sum(&usage, "bot", "typed", "host_calls") == 1, "{usage:#}");
    for field in ["fuel", "cpu_us", "wall_us", "peak_memory"] {
        ensure!(sum(&usage, "bot", "panics", field) > 0, "{field}: {usage:#}");
    }
    let fuel = sum(&usage, "bot", "panics", "fuel");
    let all: u64 = usage["rows"].as_array().into_iter().flatten().filter_map(|row| row["fuel"].as_u64()).sum();
    ensure!(usage["total"]["calls"] == 5 && usage["total"]["fuel"] == all, "{usage:#}");
    let metrics = Metrics::of(&client).await?;
    let labels = [("tenant", "shop"), ("bot", "panics"), ("plugin", "panics")];
    ensure!(metrics.sum("confab_plugin_calls_total", &labels) == 3.0, "{}", metrics.text());
    ensure!(metrics.sum("confab_plugin_fuel_total", &labels) == fuel as f64, "{}", metrics.text());
    ensure!(metrics.sum("confab_plugin_peak_memory_bytes", &labels) > 0.0, "{}", metrics.text());
    let connection = [("connection", "shop-data"), ("plugin", "sheet")];
    ensure!(metrics.sum("confab_plugin_calls_total", &connection) == 1.0, "{}", metrics.text());

    let theirs = stranger.json("/api/admin/usage").await?;
    ensure!(theirs["rows"] == json!([]) && theirs["total"]["calls"] == 0, "{theirs}");
    stranger.get("/api/admin/usage?tenant=shop").await?.problem(403, "forbidden")?;
    for query in
        ["from=yesterday", "from=2026-13-01", "from=2026-11-22T10:00", "from=2026-11-22&to=2026-11-21", "to=2020-01-01"]
    {
        admin.get(&format!("/api/admin/usage?{query}")).await?.problem(422, "invalid-input").context(query)?;
    }

    let host = server.host().clone();
    server.terminate().await?;
    ensure!(server.ended(LONG).await?.success(), "it did not stop well");
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &[]).await?)?;
    talk.through(&client).hears("c", &["3: c"]).await?;
    let printed: Value = serde_json::from_str(&host.confab(&["usage", "--tenant", "shop", "--json"]).await?)?;
    ensure!(sum(&printed, "bot", "panics", "calls") == 4, "{printed:#}");
    ensure!(sum(&printed, "bot", "panics", "fuel") > fuel, "{printed:#}");
    let shown = host.confab(&["usage"]).await?;
    ensure!(shown.contains("shop/panics") && shown.contains("shop/shop-data (connection)"), "{shown}");
    Ok(())
}

/// A business system that can break.
struct System {
    address: SocketAddr,
    broken: Arc<AtomicBool>,
}

impl System {
    async fn start() -> Result<System> {
        let broken = Arc::new(AtomicBool::new(true));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(broken.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(System { address, broken })
    }
}

async fn answer(State(broken): State<Arc<AtomicBool>>) -> Response {
    if broken.load(Ordering::SeqCst) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    axum::Json(json!({"sku": "A-1", "title": "Anvil", "shelf": 7, "free": 5})).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_system_that_fails_is_blamed_left_alone_and_called_again_when_somebody_says_so() -> Result<()> {
    let system = System::start().await?;
    let folder = Folder::of("shop")?;
    folder.guest_as("typed", "typed", &[("inventory", "erp")])?;
    let url = format!("http://{}/v1", system.address);
    folder.write(
        "connections/erp.yaml",
        &format!("id: erp\nconnector: acme\nendpoints:\n  api:\n    url: {url}\n    token: env:SHOP__ACME_TOKEN\n"),
    )?;
    let host =
        Host::new()?.flag("--allow-private", &system.address.to_string()).env("SHOP__ACME_TOKEN", "token-for-a-test");
    let House { server, client, admin, stranger, _folders } = open(host, folder).await?;
    let endpoint = async || {
        let listed = admin.json("/api/admin/breakers").await?;
        anyhow::Ok(listed["endpoints"][0].clone())
    };
    let before = endpoint().await?;
    ensure!(before["connection"] == "erp" && before["endpoint"] == "api" && before["state"] == "closed", "{before}");
    let mut talk = client.talk().with("typed");
    for _ in 0..5 {
        talk.hears("A-1", &["error "]).await?;
    }
    let records = failures(&admin, "?blame=upstream&connection=erp").await?;
    let count: u64 = records.iter().filter_map(|record| record["count"].as_u64()).sum();
    ensure!(count == 5, "{records:#?}");
    for (field, value) in [
        ("kind", json!("http-status")),
        ("bot", json!("typed")),
        ("plugin", json!("acme")),
        ("endpoint", json!("api")),
        ("method", json!("GET")),
        ("path", json!("/v1/stock/A-1")),
        ("status", json!(500)),
        ("attempts", json!(1)),
        ("conversation", json!(talk.id()?)),
    ] {
        ensure!(records[0][field] == value, "{field} is {}: {:#}", records[0][field], records[0]);
    }
    // The plugins did nothing wrong.
    ensure!(failures(&admin, "?blame=guest").await?.is_empty(), "a plugin is blamed");
    let open = endpoint().await?;
    ensure!(open["state"] == "open" && open["until"].is_string() && open["since"].is_string(), "{open}");
    ensure!(open["reason"].as_str().is_some_and(|reason| reason.contains("answered 500")), "{open}");
    ensure!(stranger.json("/api/admin/breakers").await?["endpoints"] == json!([]), "another tenant sees it");
    let shown = server.host().confab(&["breakers", "list", "--tenant", "shop"]).await?;
    ensure!(shown.starts_with("open ") && shown.contains("shop/erp endpoint api"), "{shown}");

    for (query, status) in [
        ("", 422),
        ("?connection=erp", 422),
        ("?connection=erp&endpoint=api&plugin=acme", 422),
        ("?connection=erp&endpoint=other", 404),
        ("?connection=other&endpoint=api", 404),
        ("?plugin=other", 404),
    ] {
        let (got, problem) = delete(&admin, &format!("/api/admin/breakers{query}")).await?;
        ensure!(got == status, "{query}: {problem}");
    }
    system.broken.store(false, Ordering::SeqCst);
    let (status, reset) = delete(&admin, "/api/admin/breakers?connection=erp&endpoint=api").await?;
    ensure!(status == 200 && reset["state"] == "closed", "{reset}");
    talk.hears("A-1", &["5 of 7 Anvil"]).await?;
    let after = endpoint().await?;
    ensure!(after["state"] == "closed" && after["reason"] == Value::Null && after["since"] == Value::Null, "{after}");
    Ok(())
}

/// Answers with the status that the article's number is.
async fn refuse(axum::extract::Path(status): axum::extract::Path<u16>) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::OK)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_a_system_refuses_is_a_record_when_the_call_fails_of_it() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = axum::Router::new().route("/v1/stock/{status}", axum::routing::get(refuse));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = Folder::of("shop")?;
    folder.guest_as("typed", "typed", &[("inventory", "erp")])?;
    let connection = format!(
        "id: erp\nconnector: acme\nendpoints:\n  api:\n    url: http://{address}/v1\n    token: env:SHOP__ACME_TOKEN\n"
    );
    folder.write("connections/erp.yaml", &connection)?;
    let host = Host::new()?.flag("--allow-private", &address.to_string()).env("SHOP__ACME_TOKEN", "token-for-a-test");
    let House { server, client, admin, stranger: _, _folders } = open(host, folder).await?;
    let mut talk = client.talk().with("typed");
    for status in ["404", "410", "409", "422"] {
        talk.hears(status, &["error "]).await?;
    }
    let records = failures(&admin, "?connection=erp").await?;
    let told: Vec<_> =
        records.iter().map(|r| (r["status"].as_u64(), r["kind"].as_str(), r["blame"].as_str())).collect();
    let refused = |status| (Some(status), Some("http-status"), Some("guest"));
    // Newest first. Of an order that is not there nobody wants to read.
    ensure!(told == [refused(422), refused(409)], "{records:#?}");
    ensure!(records[0]["operation"].is_null() && records[0]["path"] == "/v1/stock/422", "{:#}", records[0]);
    // It is up.
    ensure!(admin.json("/api/admin/breakers").await?["endpoints"][0]["state"] == "closed");
    let log = server.host().log()?;
    ensure!(log.contains("the system refused the request") && !log.contains("token-for-a-test"), "{log}");
    Ok(())
}

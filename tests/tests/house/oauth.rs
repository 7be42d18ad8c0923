//! Connections by OAuth2: connected by a person, renewed once for all hosts, encrypted at rest; and what happens when a host dies
//! at the worst moment.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confab_tests::client::{Answer, Client};
use confab_tests::folder::Folder;
use confab_tests::redis::Redis;
use confab_tests::server::{Host, Server};
use confab_tests::vendors::authorization_server::{AuthorizationServer, Registered};
use confab_tests::wait::{LONG, until};
use serde_json::{Value, json};

const PUBLIC: &str = "https://bot.example.com";
/// Looked for everywhere; no real secret.
const CLIENT_SECRET: &str = "canary-client-secret-77ab01";

/// An authorization server and a tenant whose bot `crm` calls the API behind it.
struct House {
    vendor: AuthorizationServer,
    folder: Folder,
}

fn key(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

impl House {
    async fn open() -> Result<House> {
        let vendor = AuthorizationServer::start(Registered {
            id: "confab".to_owned(),
            secret: Some(CLIENT_SECRET.to_owned()),
            basic: true,
            redirect_uri: format!("{PUBLIC}/oauth/callback"),
            key: None,
        })
        .await?;
        let folder = Folder::of("shop")?;
        let url = vendor.url();
        folder.write(
            "connections/crm.yaml",
            &format!(
                "id: crm\nconnector: sends-anything\nendpoints:\n  api:\n    url: {url}/api\n    auth:\n      kind: oauth2\n      grant: authorization-code\n      token_url: {url}/token\n      authorize_url: {url}/authorize\n      revocation_url: {url}/revoke\n      client_id: confab\n      client_secret: env:SHOP__CRM_SECRET\n      scopes: [contacts.read]\n"
            ),
        )?;
        folder.guest_as("crm", "calls", &[("catalog", "crm")])?;
        Ok(House { vendor, folder })
    }

    fn host(&self, keys: &str) -> Result<Host> {
        let host = Host::new()?
            .flag("--allow-private", &self.vendor.address())
            .flag("--public-url", PUBLIC)
            .serving("--key-rate", "100000")
            .serving("--visitor-rate", "100000")
            .env("SHOP__CRM_SECRET", CLIENT_SECRET)
            .env("RUST_LOG", "debug");
        Ok(host.env("CONFAB_TOKEN_KEYS", keys))
    }
}

async fn client(server: &Server) -> Result<Client> {
    let scopes = &["--scope", "admin", "--scope", "chat"];
    Client::new(server, &server.host().key("shop", scopes).await?)
}

/// Has the connector call the API; what it got, as text.
async fn call(client: &Client) -> Result<String> {
    let request = json!({"method": "GET", "path": "/contacts"}).to_string();
    let call = json!({"capability": "catalog", "function": "get", "arguments": {"sku": request}});
    Ok(client.talk().with("crm").say(&call.to_string()).await?.response)
}

async fn served(client: &Client) -> Result<()> {
    let said = call(client).await?;
    ensure!(said.contains("served") && said.contains("Bearer ***"), "not served: {said}");
    Ok(())
}

/// The link, opened: the path and query that the browser is sent back with.
async fn say_yes(vendor: &AuthorizationServer, link: &str) -> Result<String> {
    ensure!(link.starts_with(&format!("{}/authorize?", vendor.url())), "another page: {link}");
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let browser = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let answer = browser.get(link).send().await?;
    let location = answer.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = answer.status();
    let location = location.with_context(|| format!("the server did not send the browser back: {status}"))?;
    Ok(location.strip_prefix(PUBLIC).with_context(|| format!("sent elsewhere: {location}"))?.to_owned())
}

async fn link(client: &Client) -> Result<String> {
    let link = client.post("/api/admin/connections/crm/connect", &json!({})).await?.json()?;
    ensure!(link["endpoint"] == "api" && link["expires_at"].is_string(), "{link}");
    Ok(link["authorization_url"].as_str().context("no link")?.to_owned())
}

async fn connect(house: &House, client: &Client) -> Result<()> {
    let back = say_yes(&house.vendor, &link(client).await?).await?;
    let page = client.get(&back).await?;
    ensure!(page.status == 200, "{}: {}", page.status, text(&page));
    Ok(())
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

async fn state(client: &Client) -> Result<Value> {
    let listed = client.json("/api/admin/connections").await?;
    Ok(listed["connections"][0]["auth"][0].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_connects_a_connection_by_a_link_that_is_good_once() -> Result<()> {
    let house = House::open().await?;
    let server = house.host(&key(1))?.apply(house.folder.path()).start().await?;
    let client = client(&server).await?;
    let host = server.host();
    ensure!(state(&client).await?["state"] == "not-connected", "{}", state(&client).await?);
    let said = call(&client).await?;
    ensure!(said.contains("confab connection connect --tenant shop crm"), "does not say what to do: {said}");
    let checked = client.post("/api/admin/connections/crm/check", &json!({})).await?.json()?;
    let finding = &checked["findings"][0];
    ensure!(finding["status"] == "error" && finding["message"].to_string().contains("connect"), "{checked}");
    let visitor = client.with_key(&host.key("shop", &[]).await?);
    visitor.post("/api/admin/connections/crm/connect", &json!({})).await?.problem(403, "forbidden")?;

    // Nothing that comes is repeated, and nothing is connected by it.
    for query in ["", "?state=%3Cscript%3E&code=x&error=%3Cscript%3E", "?state=fffffffffff.AAAA&code=x", "?state=%FF"] {
        let page = visitor.get(&format!("/oauth/callback{query}")).await?;
        ensure!(page.status == 400 && !text(&page).contains("script"), "{query}: {} {}", page.status, text(&page));
        ensure!(page.header("content-security-policy").starts_with("default-src 'none'"), "no policy");
        ensure!(page.header("cache-control") == "no-store" && page.header("referrer-policy") == "no-referrer", "kept");
    }
    house.vendor.behave(|behaviour| behaviour.person_refuses = true);
    let page = client.get(&say_yes(&house.vendor, &link(&client).await?).await?).await?;
    ensure!(page.status == 400 && text(&page).contains("Access was not granted"), "{}", text(&page));
    house.vendor.behave(|behaviour| behaviour.person_refuses = false);

    let back = say_yes(&house.vendor, &link(&client).await?).await?;
    let page = Client::anonymous(&server)?.get(&back).await?;
    ensure!(page.status == 200 && text(&page).contains("connection crm of shop is connected"), "{}", text(&page));
    let again = client.get(&back).await?;
    ensure!(again.status == 400 && text(&again).contains("used already"), "a link was good twice: {}", text(&again));
    served(&client).await?;
    let now = state(&client).await?;
    ensure!(now["state"] == "connected" && now["expires_at"].is_string() && now["renewable"] == true, "{now}");
    let checked = client.post("/api/admin/connections/crm/check", &json!({})).await?.json()?;
    ensure!(checked["findings"][0]["status"] == "ok", "{checked}");

    let printed = host.confab(&["connection", "connect", "--tenant", "shop", "crm"]).await?;
    let page = client.get(&say_yes(&house.vendor, printed.trim()).await?).await?;
    ensure!(page.status == 200, "the operator's link: {}", text(&page));
    served(&client).await?;
    let printed = host.confab(&["connection", "disconnect", "--tenant", "shop", "crm"]).await?;
    ensure!(printed.contains("the system took them back"), "{printed}");
    ensure!(state(&client).await?["state"] == "not-connected", "{}", state(&client).await?);
    ensure!(!call(&client).await?.contains("served"), "it still serves");
    let counts = house.vendor.counts();
    ensure!((counts.asked, counts.refused) == (2, 0), "{counts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_for_tokens_such_a_connection_is_refused_with_what_to_do() -> Result<()> {
    let house = House::open().await?;
    let ran = house.host("")?.run(&["apply", &house.folder.path().display().to_string()]).await?;
    ensure!(!ran.status.success() && ran.stderr.contains("openssl rand -base64 32"), "{}{}", ran.stdout, ran.stderr);
    let ran = house.host("c2hvcnQ=")?.run(&["connection", "list"]).await?;
    ensure!(!ran.status.success() && ran.stderr.contains("has not 32 bytes"), "{}{}", ran.stdout, ran.stderr);
    Ok(())
}

/// Three hosts on one Redis, connected through the first.
async fn three(house: &House, redis: &Redis) -> Result<(Vec<Server>, Vec<Client>)> {
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(house.host(&key(1))?.flag("--store", &redis.url()).start().await?);
    }
    let first = servers.first().context("no server")?;
    first.host().confab(&["apply", &house.folder.path().display().to_string()]).await?;
    let known = client(first).await?;
    let admin = first.host().key("shop", &["--scope", "admin", "--scope", "chat"]).await?;
    let clients = servers.iter().map(|server| Client::new(server, &admin)).collect::<Result<Vec<_>>>()?;
    for client in &clients {
        until("the bot reaches every host", LONG, || async {
            Ok(client.get("/api/admin/connections").await?.json().ok().filter(|c| c["connections"][0]["id"] == "crm"))
        })
        .await?;
    }
    connect(house, &known).await?;
    Ok((servers, clients))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_calls_at_expiry_on_three_hosts_are_one_renewal() -> Result<()> {
    let (house, redis) = (House::open().await?, Redis::start().await?);
    // The first token holds so long only; those after it for an hour.
    house.vendor.behave(|behaviour| behaviour.expires_in = Some(2));
    let (_servers, clients) = three(&house, &redis).await?;
    house.vendor.behave(|behaviour| behaviour.expires_in = Some(3_600));
    until("the first token has expired", LONG, || async { Ok(house.vendor.all_expired().then_some(())) }).await?;
    let all = |_: ()| futures::future::try_join_all((0..200).map(|n| served(&clients[n % clients.len()])));
    all(()).await?;
    let counts = house.vendor.counts();
    ensure!((counts.refreshed, counts.refused, counts.served) == (1, 0, 200), "at expiry: {counts:?}");
    // And when the tokens end before their time, so that every call meets a 401 first.
    house.vendor.expire_all();
    all(()).await?;
    let counts = house.vendor.counts();
    ensure!((counts.refreshed, counts.refused, counts.served) == (2, 0, 400), "after 401: {counts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_between_the_answer_and_the_save_says_that_it_must_be_reconnected() -> Result<()> {
    let (house, redis) = (House::open().await?, Redis::start().await?);
    let (mut servers, clients) = three(&house, &redis).await?;
    served(&clients[0]).await?;
    house.vendor.expire_all();
    house.vendor.hold_answers();
    let asked = house.vendor.counts().asked;
    let dying = clients[0].clone();
    let unanswered = tokio::spawn(async move { call(&dying).await });
    // The server has rotated the token; the host has not heard of it when it dies.
    house.vendor.carried_out(asked + 1).await;
    servers.remove(0).kill().await?;
    house.vendor.release_answers();
    ensure!(unanswered.await?.is_err(), "the killed host answered");
    ensure!(house.vendor.counts().refreshed == 1, "{:?}", house.vendor.counts());

    for client in &clients[1..] {
        until("the connection asks to be connected again", LONG, || async {
            let said = call(client).await?;
            ensure!(!said.contains("served"), "a revoked family serves: {said}");
            Ok(said.contains("reconnect it: confab connection connect --tenant shop crm").then_some(()))
        })
        .await?;
        let now = state(client).await?;
        ensure!(now["state"] == "reconnect-needed" && now["reason"].to_string().contains("interrupted"), "{now}");
        let checked = client.post("/api/admin/connections/crm/check", &json!({})).await?.json()?;
        ensure!(checked["findings"][0]["message"].to_string().contains("reconnect"), "{checked}");
    }
    let mut said = 0;
    for server in &servers {
        said += server.host().log()?.matches("a connection has to be connected again").count();
    }
    ensure!(said == 1, "said {said} times in the log");
    ensure!(house.vendor.counts().refused == 1, "the old token is tried once: {:?}", house.vendor.counts());
    connect(&house, &clients[1]).await?;
    for client in &clients[1..] {
        // Another host remembers for a second that it had no tokens.
        until("it serves again", LONG, || async { Ok(call(client).await?.contains("served").then_some(())) }).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_before_the_server_did_anything_costs_nothing() -> Result<()> {
    let (house, redis) = (House::open().await?, Redis::start().await?);
    let (mut servers, clients) = three(&house, &redis).await?;
    house.vendor.expire_all();
    house.vendor.behave(|behaviour| behaviour.down = Some(503));
    house.vendor.hold_answers();
    let asked = house.vendor.counts().asked;
    let dying = clients[0].clone();
    let unanswered = tokio::spawn(async move { call(&dying).await });
    house.vendor.carried_out(asked + 1).await;
    servers.remove(0).kill().await?;
    house.vendor.behave(|behaviour| behaviour.down = None);
    house.vendor.release_answers();
    ensure!(unanswered.await?.is_err(), "the killed host answered");
    until("the lease of the dead host is over", LONG, || async {
        Ok(call(&clients[1]).await?.contains("served").then_some(()))
    })
    .await?;
    served(&clients[2]).await?;
    let counts = house.vendor.counts();
    ensure!((counts.refreshed, counts.refused) == (1, 0), "{counts:?}");
    Ok(())
}

/// Every secret there was, in the places where it might be.
fn nowhere(secrets: &[String], places: &[(String, Vec<u8>)]) -> Result<()> {
    for secret in secrets {
        for (place, bytes) in places {
            for form in [secret.clone(), STANDARD.encode(secret).trim_end_matches('=').to_owned()] {
                let found = bytes.windows(form.len()).any(|part| part == form.as_bytes());
                ensure!(!found, "{place} has {form}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_the_clients_secret_are_nowhere_but_encrypted() -> Result<()> {
    let redis = Redis::start().await?;
    for on_redis in [true, false] {
        let house = House::open().await?;
        let mut host = house.host(&key(1))?.apply(house.folder.path());
        if on_redis {
            host = host.flag("--store", &redis.url());
        }
        let server = host.start().await?;
        let client = client(&server).await?;
        let first = link(&client).await?;
        let verifier_is_kept = if on_redis { redis.dump().await? } else { Vec::new() };
        let back = say_yes(&house.vendor, &first).await?;
        client.get(&back).await?;
        served(&client).await?;
        house.vendor.expire_all();
        served(&client).await?;
        // The server and the API repeat what they are sent, in errors too.
        house.vendor.behave(|behaviour| behaviour.api_refuses = true);
        let mut places = vec![("the answer".to_owned(), call(&client).await?.into_bytes())];
        house.vendor.behave(|behaviour| behaviour.down = Some(500));
        house.vendor.expire_all();
        places.push(("an error".to_owned(), call(&client).await?.into_bytes()));
        for path in ["connections", "failures", "usage", "breakers", "plugins", "bots"] {
            let path = format!("/api/admin/{path}");
            places.push((path.clone(), client.get(&path).await?.body.to_vec()));
        }
        places.push(("/metrics".to_owned(), client.get("/metrics").await?.body.to_vec()));
        places.push(("the dump before the code".to_owned(), verifier_is_kept));
        if on_redis {
            let dump = redis.dump().await?;
            ensure!(String::from_utf8_lossy(&dump).contains("crm"), "the dump has nothing of the connection");
            places.push(("redis".to_owned(), dump));
        }
        let host = server.host().clone();
        server.terminate().await?;
        server.ended(LONG).await?;
        places.push(("the log".to_owned(), host.log()?.into_bytes()));
        let on_disk = if on_redis { Vec::new() } else { host.disk()? };
        places.extend(on_disk.into_iter().map(|(path, bytes)| (path.display().to_string(), bytes)));
        let mut secrets = house.vendor.secrets();
        ensure!(secrets.len() >= 5, "too few secrets: {}", secrets.len());
        secrets.extend([CLIENT_SECRET.to_owned(), key(1)]);
        nowhere(&secrets, &places)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_tokens_is_changed_without_connecting_again() -> Result<()> {
    let house = House::open().await?;
    let host = house.host(&key(1))?.apply(house.folder.path());
    let with = |keys: &str| host.clone().env("CONFAB_TOKEN_KEYS", keys);
    let stop = async |server: Server| -> Result<()> {
        server.terminate().await?;
        server.ended(LONG).await?;
        Ok(())
    };
    let server = host.start().await?;
    let admin = host.key("shop", &["--scope", "admin", "--scope", "chat"]).await?;
    connect(&house, &Client::new(&server, &admin)?).await?;
    stop(server).await?;

    let server = with(&format!("{},{}", key(2), key(1))).start().await?;
    served(&Client::new(&server, &admin)?).await?;
    // What is saved from now on has the new key.
    house.vendor.expire_all();
    served(&Client::new(&server, &admin)?).await?;
    stop(server).await?;

    let server = with(&key(2)).start().await?;
    served(&Client::new(&server, &admin)?).await?;
    stop(server).await?;

    let server = with(&key(3)).start().await?;
    let client = Client::new(&server, &admin)?;
    let now = state(&client).await?;
    ensure!(now["state"] == "unknown" && now["reason"].to_string().contains("CONFAB_TOKEN_KEYS"), "{now}");
    ensure!(!call(&client).await?.contains("served"), "a record of another key serves");
    connect(&house, &client).await?;
    served(&client).await?;
    Ok(())
}

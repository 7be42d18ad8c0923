//! Bad input: each kind with its own status, and a document that says what to do.

use anyhow::{Context, Result, ensure};
use confab_tests::client::{Answer, Client, Problem};
use confab_tests::folder::Folder;
use confab_tests::server::{Host, Server, public_part};
use confab_tests::wait::{LONG, until};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use reqwest::Method;
use serde_json::{Value, json};

const CHAT: &str = "/api/chat";
const JSON: &str = "application/json";
/// Largest body, in bytes.
const BODY_BYTES: usize = 1 << 20;
/// Longest message, in characters.
const MESSAGE_CHARS: usize = 4_000;

/// A tenant with two bots that echo.
async fn open(configure: fn(Host) -> Host) -> Result<Server> {
    let folder = Folder::of("acme")?;
    folder.guest("echo")?;
    folder.guest_as("second", "echo", &[])?;
    configure(Host::new()?.apply(folder.path())).start().await
}

async fn client(server: &Server) -> Result<Client> {
    Client::new(server, &server.host().key("acme", &["--bot", "echo"]).await?)
}

async fn unauthorised(client: &Client) -> Result<Problem> {
    for answer in [client.talk().send("hello").await?, client.get("/api/conversations/x").await?] {
        answer.problem(401, "unauthorised")?;
    }
    client.talk().send("hello").await?.problem(401, "unauthorised")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_must_be_there_and_be_good() -> Result<()> {
    let server = open(|host| host).await?;
    let host = server.host();
    let nobody = Client::anonymous(&server)?;
    let good = host.key("acme", &["--bot", "echo"]).await?;
    nobody.with_key(&good).talk().say("hello").await?;

    let none = unauthorised(&nobody).await?;
    ensure!(none.detail().contains("authorization: Bearer"), "does not say how to send one: {}", none.detail());
    let id = public_part(&good);
    let secret = good.strip_prefix(&format!("{id}_")).context("a key without a secret")?;
    let wrong = [
        "nonsense".to_owned(),
        "cfb_".to_owned(),
        "cfb_000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        id.clone(),
        format!("{id}_"),
        format!("{good}x"),
        format!("{id}_{}", secret.chars().rev().collect::<String>()),
        good.to_ascii_uppercase(),
    ];
    let mut details = Vec::new();
    for key in wrong {
        let problem = unauthorised(&nobody.with_key(&key)).await.context(key)?;
        ensure!(!problem.document.to_string().contains(secret), "the answer repeats a secret: {}", problem.document);
        details.push(problem.detail().to_owned());
    }
    details.dedup();
    ensure!(details.len() == 1, "wrong keys can be told from unknown ones: {details:?}");
    let basic = nobody.request(Method::POST, CHAT).header("authorization", "Basic YWRhOnNlY3JldA==").body("{}");
    confab_tests::client::send(basic).await?.problem(401, "unauthorised")?;

    let short = host.key("acme", &["--bot", "echo", "--expires", "1s"]).await?;
    let expired = until("the key expires", LONG, || {
        let talk = nobody.with_key(&short).talk();
        async move {
            let answer = talk.send("hello").await?;
            Ok((answer.status != 200).then_some(answer))
        }
    })
    .await?;
    let problem = expired.problem(401, "unauthorised")?;
    ensure!(problem.detail().contains("expired"), "{}", problem.detail());

    let revoked = host.key("acme", &["--bot", "echo"]).await?;
    let client = nobody.with_key(&revoked);
    client.talk().say("hello").await?;
    host.confab(&["key", "revoke", &revoked]).await?;
    let problem = unauthorised(&client).await?;
    ensure!(problem.detail().contains("revoked"), "{}", problem.detail());

    // Secrets are shown once: neither the list nor the data directory has them.
    let listed = host.confab(&["key", "list", "--tenant", "acme"]).await?;
    ensure!(listed.contains(&id) && !listed.contains(secret), "{listed}");
    ensure!(!host.log()?.contains(secret), "the log has a key's secret");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_its_own_bot_and_scope() -> Result<()> {
    let server = open(|host| host).await?;
    let host = server.host();
    let bound = client(&server).await?;
    let free = bound.with_key(&host.key("acme", &[]).await?);
    bound.talk().with("second").send("hello").await?.problem(403, "forbidden")?;
    bound.talk().with("nobody").send("hello").await?.problem(404, "unknown-bot")?;
    free.talk().with("nobody").send("hello").await?.problem(404, "unknown-bot")?;
    free.talk().with("No Bot\u{7}").send("hello").await?.problem(404, "unknown-bot")?;
    free.talk().send("hello").await?.problem(422, "invalid-input")?.points_at("/bot")?;
    free.talk().with("second").say("hello").await?;
    for path in
        ["/api/admin/bots", "/api/admin/connections", "/api/admin/plugins", "/api/admin/tenants", "/api/admin/keys"]
    {
        bound.get(path).await?.problem(403, "forbidden").context(path)?;
        Client::anonymous(&server)?.get(path).await?.problem(401, "unauthorised").context(path)?;
    }
    bound.post("/api/admin/keys", &json!({"scopes": ["admin"]})).await?.problem(403, "forbidden")?;
    bound.post("/api/admin/apply", &json!({"files": []})).await?.problem(403, "forbidden")?;
    // A key that may do everything may do it for its own tenant.
    let admin = bound.with_key(&host.key("acme", &["--scope", "admin"]).await?);
    admin.talk().with("echo").send("hello").await?.problem(403, "forbidden")?;
    admin.post("/api/admin/keys", &json!({"tenant": "other"})).await?.problem(403, "forbidden")?;
    admin.get("/api/admin/bots?tenant=other").await?.problem(403, "forbidden")?;
    let bots = admin.json("/api/admin/bots").await?;
    ensure!(bots["bots"].as_array().map(Vec::len) == Some(2), "{bots}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_must_be_json_of_the_right_form() -> Result<()> {
    let server = open(|host| host).await?;
    let client = client(&server).await?;
    for broken in
        ["", "{", r#"{"message": "hello""#, r#"{"message": "hello"} and more"#, "message=hello", "{'message': 'hello'}"]
    {
        let problem = client.post_as(CHAT, Some(JSON), broken.to_owned()).await?.problem(400, "broken-json");
        let problem = problem.with_context(|| format!("body `{broken}`"))?;
        ensure!(problem.detail().contains("line"), "does not say where: {}", problem.detail());
    }
    client.post_as(CHAT, Some(JSON), b"{\"message\": \"\xff\xfe\"}".to_vec()).await?.problem(400, "broken-json")?;
    // Deeper than any parser may follow.
    let deep = format!("{{\"message\": \"x\", \"more\": {}", "[".repeat(200_000));
    client.post_as(CHAT, Some(JSON), deep).await?.problem(400, "broken-json")?;

    for content_type in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonx"), Some("json")]
    {
        let answer = client.post_as(CHAT, content_type, r#"{"message": "hello"}"#).await?;
        let problem = answer.problem(415, "unsupported-media-type").with_context(|| format!("{content_type:?}"))?;
        ensure!(problem.detail().contains(JSON), "does not say what to send: {}", problem.detail());
    }
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        client.post_as(CHAT, Some(content_type), r#"{"message": "hello"}"#).await?.json().context(content_type)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_must_be_sayable() -> Result<()> {
    let server = open(|host| host).await?;
    let client = client(&server).await?;
    let longest = "ä".repeat(MESSAGE_CHARS);
    ensure!(client.talk().say(&longest).await?.response == format!("1: {longest}"), "the longest message is refused");
    let with = |field: &str, value: Value| json!({"message": "hello", field: value});
    let table = [
        ("empty", "/message", json!({"message": ""})),
        ("blank", "/message", json!({"message": " \n\t "})),
        ("too long", "/message", json!({"message": "ä".repeat(MESSAGE_CHARS + 1)})),
        ("nul", "/message", json!({"message": "hel\u{0}lo"})),
        ("escape", "/message", json!({"message": "\u{1b}[2J"})),
        ("bell", "/message", json!({"message": "\u{7}"})),
        ("C1 control", "/message", json!({"message": "\u{9b}31m"})),
        ("number", "/message", json!({"message": 5})),
        ("null", "/message", json!({"message": null})),
        ("locale", "/locale", with("locale", json!("de AT; drop"))),
        ("empty locale", "/locale", with("locale", json!(""))),
        ("visitor with control", "/visitor", with("visitor", json!("a\nb"))),
        ("empty visitor", "/visitor", with("visitor", json!(""))),
        ("visitor's id too long", "/visitor/id", with("visitor", json!({"id": "x".repeat(201)}))),
        ("visitor's e-mail with control", "/visitor/email", with("visitor", json!({"id": "x", "email": "a\u{0}@b"}))),
    ];
    for (what, pointer, body) in table {
        let answer = client.post(CHAT, &body).await?;
        answer.problem(422, "invalid-input").and_then(|problem| problem.points_at(pointer)).context(what)?;
    }
    client.post(CHAT, &json!({})).await?.problem(422, "invalid-input")?;
    client.post(CHAT, &json!("hello")).await?.problem(422, "invalid-input")?;
    client.post(CHAT, &json!({"message": "hello", "visitor": {"id": 5}})).await?.problem(422, "invalid-input")?;
    client
        .post(CHAT, &json!({"message": "hello", "conversation_id": "x"}))
        .await?
        .problem(404, "unknown-conversation")?;
    // None of these began a conversation that counts.
    ensure!(client.talk().say("hello").await?.response == "1: hello", "the bot remembers what was refused");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_more_than_a_mebibyte_is_refused_however_it_is_sent() -> Result<()> {
    let server = open(|host| host).await?;
    let client = client(&server).await?;
    let body = |size: usize| json!({"message": "x".repeat(size)}).to_string();
    // Many times over: a refusal that is sent while the client still writes is lost now and then.
    for size in [BODY_BYTES, BODY_BYTES + 1, 2 * BODY_BYTES, 8 * BODY_BYTES] {
        for _ in 0..20 {
            let answer = client.post_as(CHAT, Some(JSON), body(size)).await.with_context(|| format!("{size} bytes"))?;
            let problem = answer.problem(413, "body-too-large").with_context(|| format!("{size} bytes"))?;
            ensure!(problem.detail().contains("1048576"), "does not say how much may be sent: {}", problem.detail());
        }
    }
    // Without a length, so that it has to be counted.
    for size in [2 * BODY_BYTES, 8 * BODY_BYTES] {
        let frames: Vec<Result<Frame<Bytes>, std::io::Error>> =
            body(size).into_bytes().chunks(10_000).map(|part| Ok(Frame::data(Bytes::copy_from_slice(part)))).collect();
        let stream = reqwest::Body::wrap(StreamBody::new(futures::stream::iter(frames)));
        let answer = client.post_as(CHAT, Some(JSON), stream).await.context("in chunks")?;
        answer.problem(413, "body-too-large").context("in chunks")?;
    }
    // Below the limit it is the message that is too long.
    client.post_as(CHAT, Some(JSON), body(BODY_BYTES / 2)).await?.problem(422, "invalid-input")?;
    client.talk().say("and the server goes on").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_limit_the_answer_says_when_to_come_back() -> Result<()> {
    let server = open(|host| host.serving("--visitor-rate", "5")).await?;
    let client = Client::new(&server, &server.host().key("acme", &["--bot", "echo", "--rate", "3"]).await?)?;
    let (served, problem) = until_refused(&client, "ada").await?;
    // The window slides: at a full minute some of what was used counts no more.
    ensure!((3..=6).contains(&served.len()), "{} requests of 3 a minute were served", served.len());
    let first = served.first().context("none was served")?;
    ensure!(first.header("ratelimit-policy").contains("\"key\";q=3;w=60"), "{:?}", first.headers);
    ensure!(first.header("ratelimit").contains("\"key\";r=2;t="), "{:?}", first.headers);
    check_quota(&problem, "key")?;
    // The limit is the key's: another one is served, and this one's other requests too.
    let other = client.with_key(&server.host().key("acme", &["--bot", "echo"]).await?);
    other.talk().by("grace").say("hello").await?;
    client.get("/healthz").await?.json()?;

    let (_, problem) = until_refused(&other, "bob").await?;
    check_quota(&problem, "visitor")?;
    other.talk().by("carol").say("hello").await?;
    Ok(())
}

async fn until_refused(client: &Client, visitor: &str) -> Result<(Vec<Answer>, Problem)> {
    let mut served = Vec::new();
    for _ in 0..20 {
        let answer = client.talk().by(visitor).send("hello").await?;
        if answer.status != 200 {
            return Ok((served, answer.problem(429, "quota-exceeded")?));
        }
        served.push(answer);
    }
    anyhow::bail!("20 requests were served")
}

fn check_quota(problem: &Problem, policy: &str) -> Result<()> {
    let wait: u64 = problem.header("retry-after").parse().context("Retry-After is no number of seconds")?;
    ensure!((1..=60).contains(&wait), "Retry-After: {wait}");
    ensure!(problem.document["retry_after"] == wait, "{}", problem.document);
    ensure!(problem.document["violated-policies"] == json!([policy]), "{}", problem.document);
    ensure!(problem.header("ratelimit-policy").contains("w=60"), "no RateLimit-Policy: {:?}", problem.headers);
    ensure!(problem.header("ratelimit").contains(&format!("\"{policy}\";r=0;t=")), "RateLimit: {:?}", problem.headers);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_problems_like_any_other() -> Result<()> {
    let server = open(|host| host).await?;
    let client = client(&server).await?;
    for path in ["/", "/api", "/api/chat/", "/api/nothing", "/api/conversations", "/API/CHAT", "/..%2fetc/passwd"] {
        client.get(path).await?.problem(404, "not-found").context(path)?;
    }
    for (method, path) in
        [(Method::GET, CHAT), (Method::DELETE, CHAT), (Method::POST, "/healthz"), (Method::PUT, "/api/conversations/x")]
    {
        let answer = confab_tests::client::send(client.request(method, path)).await?;
        let problem = answer.problem(405, "method-not-allowed").context(path)?;
        ensure!(!problem.header("allow").is_empty(), "405 without Allow at {path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_or_path_that_cannot_be_read_is_a_problem_too() -> Result<()> {
    let server = open(|host| host).await?;
    let client = client(&server).await?;
    let mut wrong = Vec::new();
    for path in [
        "/api/conversations/01a20000-0000-7000-8000-000000000000?limit=many",
        "/api/conversations/01a20000-0000-7000-8000-000000000000?after=-1",
        "/api/conversations/01a20000-0000-7000-8000-000000000000?tenant=No%20Tenant",
        "/api/conversations/%ff",
    ] {
        let answer = client.get(path).await?;
        let code = if answer.status == 422 { "invalid-input" } else { "bad-request" };
        let status = if answer.status == 422 { 422 } else { 400 };
        wrong.extend(answer.problem(status, code).err().map(|e| format!("GET {path}: {e}")));
    }
    let answer = client.post(&format!("{CHAT}?tenant=No%20Tenant"), &json!({"message": "hello"})).await?;
    let code = if answer.status == 422 { "invalid-input" } else { "bad-request" };
    wrong.extend(
        answer.problem(answer.status.as_u16(), code).err().map(|e| format!("POST {CHAT}?tenant=No%20Tenant: {e}")),
    );
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_keeps_the_id_that_its_client_gave_it() -> Result<()> {
    let server = open(|host| host).await?;
    let client = client(&server).await?;
    let with_id = |id: &str| client.request(Method::GET, "/nothing").header("x-request-id", id);
    let answer = confab_tests::client::send(with_id("order-4711.a_b")).await?;
    ensure!(answer.problem(404, "not-found")?.header("x-request-id") == "order-4711.a_b", "{answer:?}");
    for bad in ["a b", "\"quoted\"", &"x".repeat(65)] {
        let answer = confab_tests::client::send(with_id(bad)).await?;
        ensure!(answer.problem(404, "not-found")?.header("x-request-id") != bad, "{bad} was taken over");
    }
    ensure!(server.host().log()?.contains("order-4711.a_b"), "the log does not have the request's id");
    Ok(())
}

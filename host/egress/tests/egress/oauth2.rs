//! OAuth2, against an authorization server that rotates refresh tokens and forgives nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Query;
use axum::http::Uri;
use confab_egress::{
    Auth, AuthState, AuthorizationCode, Connection, ConnectionSpec, Egress, ErrorCode, Limits, Secret, SecretSource,
    SendError, TokenStore,
};
use futures::future::join_all;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::authorization_server::{AuthorizationServer, Registered};
use crate::support::*;
use crate::token_store::MemoryTokens;

/// Characters that a form must encode.
const CLIENT_SECRET: &str = "client secret+0815 %ä";
const REDIRECT: &str = "https://bot.example.com/oauth/callback";

fn registered() -> Registered {
    Registered {
        id: "client:7".into(),
        secret: Some(CLIENT_SECRET.into()),
        basic: true,
        redirect_uri: REDIRECT.into(),
        key: None,
    }
}

/// One host of several: each has its own egress, all share the store.
fn host(server: &AuthorizationServer, auth: Value, tokens: Option<&Arc<MemoryTokens>>, pem: &str) -> Arc<Connection> {
    let secrets = SecretSource::given([("SHOP_EU__CLIENT", CLIENT_SECRET), ("SHOP_EU__KEY", pem)], None);
    let limits = Limits {
        // Tests do not wait for pauses that spare real servers.
        login_failed_pause: Duration::ZERO,
        login_refused_pause: Duration::ZERO,
        concurrency: 128,
        ..Limits::default()
    };
    let mut egress = Egress::new(policy(&[server.address()]), secrets, limits).unwrap();
    if let Some(tokens) = tokens {
        egress = egress.with_tokens(Arc::clone(tokens) as Arc<dyn TokenStore>);
    }
    let endpoints = vec![endpoint("api", format!("{}/api", server.url()), crate::support::auth(auth))];
    let (tenant, connection) = (TENANT.into(), "crm".into());
    egress.connect(ConnectionSpec { tenant, connection, endpoints, ..ConnectionSpec::default() }).unwrap()
}

fn config(server: &AuthorizationServer, grant: &str, more: Value) -> Value {
    let mut config = json!({
        "kind": "oauth2", "grant": grant, "token_url": format!("{}/token", server.url()), "client_id": "client:7",
    });
    if grant != "jwt-bearer" {
        config["client_secret"] = "env:SHOP_EU__CLIENT".into();
    }
    if grant == "authorization-code" {
        config["authorize_url"] = format!("{}/authorize?prompt=consent", server.url()).into();
    }
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn by_person(server: &AuthorizationServer, tokens: &Arc<MemoryTokens>) -> Arc<Connection> {
    host(server, config(server, "authorization-code", json!({})), Some(tokens), "")
}

/// A person opens the link: what the browser is sent back with.
async fn say_yes(url: &str) -> HashMap<String, String> {
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let browser = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let answer = browser.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 302, "{}", answer.text().await.unwrap());
    let back: Uri = answer.headers()["location"].to_str().unwrap().parse().unwrap();
    assert!(back.to_string().starts_with(REDIRECT));
    Query::try_from_uri(&back).unwrap().0
}

async fn connected(server: &AuthorizationServer, tokens: &Arc<MemoryTokens>) -> Arc<Connection> {
    let connection = by_person(server, tokens);
    connect_by_person(&connection).await.unwrap();
    connection
}

async fn connect_by_person(connection: &Connection) -> Result<(), SendError> {
    let link = connection.authorization("api", REDIRECT, &"s".repeat(40)).unwrap();
    let back = say_yes(link.url.as_str()).await;
    assert_eq!(back["state"], "s".repeat(40));
    connection
        .finish_authorization(
            "api",
            AuthorizationCode {
                code: Secret::new(back["code"].clone()),
                verifier: link.verifier,
                redirect_uri: REDIRECT.into(),
                issuer: Some(back["iss"].clone()),
            },
        )
        .await
}

async fn served(connection: &Connection) {
    let answer = send(connection, get("/contacts")).await.unwrap();
    assert_eq!((answer.status, text(&answer)), (200, r#"{"served":true,"you-sent":"Bearer ***"}"#));
}

#[tokio::test]
async fn twenty_calls_ask_for_one_token_by_client_credentials() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let connection = host(&server, config(&server, "client-credentials", json!({"scopes": ["a", "b"]})), None, "");
    join_all((0..20).map(|_| served(&connection))).await;
    assert_eq!((server.counts().asked, server.counts().served), (1, 20));
    assert_eq!(connection.connectable().count(), 0);
    assert_eq!(code(&connection, header("Authorization", "Bearer mine")).await, ErrorCode::Refused);
}

#[tokio::test]
async fn the_clients_secret_goes_into_the_body_where_the_server_wants_it_there() {
    let server = AuthorizationServer::start(Registered { basic: false, ..registered() }).await.unwrap();
    let connection = host(&server, config(&server, "client-credentials", json!({"client_auth": "body"})), None, "");
    served(&connection).await;
}

#[tokio::test]
async fn a_client_that_is_not_known_is_told_where_to_look_and_sees_no_secret() {
    let server =
        AuthorizationServer::start(Registered { secret: Some("another".into()), ..registered() }).await.unwrap();
    let (log, _guard) = Log::start();
    let connection = host(&server, config(&server, "client-credentials", json!({})), None, "");
    let error = send(&connection, get("/x")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unauthorised);
    assert!(error.message.contains("invalid_client; check client_secret in env:SHOP_EU__CLIENT"), "{error}");
    assert!(!log.text().contains("0815") && !error.message.contains("0815"));
}

#[tokio::test]
async fn an_assertion_is_signed_with_either_kind_of_key() {
    let generated = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, generated.as_ref(), &SystemRandom::new()).unwrap();
    let ec = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
        &PrivatePkcs8KeyDer::from(generated.as_ref().to_vec()),
        &rcgen::PKCS_ECDSA_P256_SHA256,
    );
    let made = std::process::Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .expect("openssl makes the RSA key of this test: apt-get install openssl");
    let rsa = String::from_utf8(made.stdout).unwrap();
    let der = PrivatePkcs8KeyDer::from_pem_slice(rsa.as_bytes()).unwrap();
    let public = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap().public_key().as_ref().to_vec();
    let keys = [
        ("ES256", ec.unwrap().serialize_pem(), pair.public_key().as_ref().to_vec()),
        // As it stands in an environment variable.
        ("RS256", rsa.replace('\n', "\\n"), public),
    ];
    for (algorithm, pem, public) in keys {
        let server =
            AuthorizationServer::start(Registered { key: Some((algorithm, public)), ..registered() }).await.unwrap();
        let says = json!({"private_key": "env:SHOP_EU__KEY", "algorithm": algorithm, "subject": "bot@shop.example"});
        let connection = host(&server, config(&server, "jwt-bearer", says), None, &pem);
        served(&connection).await;
        // The server did not say how long it holds: it is used until it is refused.
        server.expire_all();
        served(&connection).await;
        assert_eq!((server.counts().asked, server.counts().refused), (2, 0), "{algorithm}");
        let wrong = json!({"private_key": "env:SHOP_EU__KEY", "algorithm": algorithm, "subject": "b", "issuer": "x"});
        let error =
            send(&host(&server, config(&server, "jwt-bearer", wrong), None, &pem), get("/x")).await.unwrap_err();
        assert!(error.message.contains("check private_key in env:SHOP_EU__KEY"), "{error}");
    }
}

#[tokio::test]
async fn a_person_connects_a_connection_and_it_serves_on_every_host() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let tokens = MemoryTokens::new();
    let (first, second) = (by_person(&server, &tokens), by_person(&server, &tokens));
    assert_eq!(first.connectable().collect::<Vec<_>>(), ["api"]);
    assert_eq!(first.auth_states().await, [("api".to_owned(), AuthState::NotConnected)]);
    let error = send(&first, get("/x")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unauthorised);
    assert!(error.message.contains("connect it: confab connection connect --tenant shop-eu crm"), "{error}");
    connect_by_person(&first).await.unwrap();
    served(&first).await;
    served(&second).await;
    assert_eq!(server.counts().asked, 1);
    let states = second.auth_states().await;
    assert!(matches!(states[0].1, AuthState::Connected { expires_at: Some(_), renewable: true }), "{states:?}");

    let gone = first.disconnect("api").await.unwrap();
    assert!(gone.was_connected && gone.revoked.is_none());
    assert_eq!(code(&first, get("/x")).await, ErrorCode::Unauthorised);
    second.forget_tokens();
    assert_eq!(code(&second, get("/x")).await, ErrorCode::Unauthorised);
    assert!(!first.disconnect("api").await.unwrap().was_connected);
}

#[tokio::test]
async fn tokens_are_revoked_where_the_system_can() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let tokens = MemoryTokens::new();
    let more = json!({"revocation_url": format!("{}/revoke", server.url())});
    let connection = host(&server, config(&server, "authorization-code", more), Some(&tokens), "");
    connect_by_person(&connection).await.unwrap();
    assert_eq!(connection.disconnect("api").await.unwrap().revoked, Some(true));
    assert!(server.all_revoked());
}

#[tokio::test]
async fn a_code_is_worth_nothing_without_its_verifier_or_from_another_issuer() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let tokens = MemoryTokens::new();
    let more = json!({"issuer": server.url()});
    let connection = host(&server, config(&server, "authorization-code", more), Some(&tokens), "");
    let link = connection.authorization("api", REDIRECT, &"s".repeat(40)).unwrap();
    let back = say_yes(link.url.as_str()).await;
    let other = connection.authorization("api", REDIRECT, &"s".repeat(40)).unwrap();
    let with = |verifier: &Secret, issuer: &str| AuthorizationCode {
        code: Secret::new(back["code"].clone()),
        verifier: verifier.clone(),
        redirect_uri: REDIRECT.into(),
        issuer: Some(issuer.into()),
    };
    let wrong = connection.finish_authorization("api", with(&link.verifier, "https://evil.example")).await.unwrap_err();
    assert!(wrong.message.contains("another issuer"), "{wrong}");
    assert_eq!(server.counts().asked, 0, "the code was sent to nobody");
    assert!(connection.finish_authorization("api", with(&other.verifier, &server.url())).await.is_err());
    assert_eq!(connection.auth_states().await[0].1, AuthState::NotConnected);
    connection.finish_authorization("api", with(&link.verifier, &server.url())).await.unwrap();
    served(&connection).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_calls_on_three_hosts_renew_once() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let tokens = MemoryTokens::new();
    let hosts = [connected(&server, &tokens).await, by_person(&server, &tokens), by_person(&server, &tokens)];
    for round in 1..=3 {
        join_all(hosts.iter().map(|host| served(host))).await;
        server.expire_all();
        join_all((0..200).map(|n| served(&hosts[n % 3]))).await;
        assert_eq!((server.counts().refreshed, server.counts().refused), (round, 0));
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires_and_nobody_waits() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    // It is due in the last fifth of its life, at the latest two seconds before its end.
    server.behave(|behaviour| behaviour.expires_in = Some(20));
    let tokens = MemoryTokens::new();
    let connection = connected(&server, &tokens).await;
    server.hold_answers();
    server.behave(|behaviour| behaviour.expires_in = Some(3_600));
    tokio::time::timeout(Duration::from_secs(60), async {
        while server.counts().refreshed == 0 {
            served(&connection).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    // The answer is kept back, and calls are served.
    served(&connection).await;
    server.release_answers();
    assert_eq!(server.counts().turned_away, 0);
}

#[tokio::test]
async fn a_401_that_a_new_token_does_not_cure_is_left_alone() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let tokens = MemoryTokens::new();
    let connection = connected(&server, &tokens).await;
    server.behave(|behaviour| behaviour.api_refuses = true);
    for _ in 0..5 {
        assert_eq!(send(&connection, get("/x")).await.unwrap().status, 401);
    }
    assert_eq!((server.counts().refreshed, server.counts().turned_away), (1, 6));
}

#[tokio::test]
async fn a_server_that_is_down_costs_no_tokens() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let tokens = MemoryTokens::new();
    let connection = connected(&server, &tokens).await;
    server.expire_all();
    for status in [500, 503, 429] {
        server.behave(|behaviour| behaviour.down = Some(status));
        let error = send(&connection, get("/x")).await.unwrap_err();
        assert!(error.message.contains(&format!("status {status}; try later")), "{error}");
        assert!(matches!(connection.auth_states().await[0].1, AuthState::Connected { .. }));
    }
    server.behave(|behaviour| behaviour.down = None);
    tokens.fail(true);
    assert_eq!(code(&connection, get("/x")).await, ErrorCode::Unavailable);
    tokens.fail(false);
    served(&connection).await;
    assert_eq!(server.counts().refused, 0);
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_end_the_renewal() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let tokens = MemoryTokens::new();
    let connection = connected(&server, &tokens).await;
    server.expire_all();
    server.hold_answers();
    let impatient = confab_egress::OutRequest { timeout: Some(Duration::from_millis(100)), ..get("/x") };
    assert_eq!(code(&connection, impatient).await, ErrorCode::Timeout);
    server.carried_out(2).await;
    server.release_answers();
    served(&connection).await;
    assert_eq!((server.counts().refreshed, server.counts().refused), (1, 0));
}

/// Runs a host on a runtime of its own until the server has rotated the tokens, and kills it before it hears of it.
async fn dies_in_renewal(server: &AuthorizationServer, tokens: &Arc<MemoryTokens>) {
    tokens.hold_for(Duration::from_millis(50));
    server.expire_all();
    server.hold_answers();
    let asked = server.counts().asked;
    let (other, doomed) = (Arc::clone(tokens), by_person(server, tokens));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.spawn(async move {
        let _kept = other;
        let _never = send(&doomed, get("/x")).await;
    });
    server.carried_out(asked + 1).await;
    // All of its threads have ended before the answer is given.
    tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(60))).await.unwrap();
    server.release_answers();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_dies_before_it_saves_leaves_a_connection_that_asks_to_be_reconnected() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let tokens = MemoryTokens::new();
    connected(&server, &tokens).await;
    dies_in_renewal(&server, &tokens).await;
    assert_eq!(server.counts().refreshed, 1);

    let (survivor, third) = (by_person(&server, &tokens), by_person(&server, &tokens));
    for host in [&survivor, &survivor, &third] {
        let error = send(host, get("/x")).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthorised);
        assert!(error.message.contains("interrupted before the new one could be saved"), "{error}");
        assert!(error.message.contains("reconnect it: confab connection connect --tenant shop-eu crm"), "{error}");
    }
    assert_eq!(server.counts().refused, 1, "the old token is tried once");
    assert!(matches!(third.auth_states().await[0].1, AuthState::ReconnectNeeded { .. }));
    connect_by_person(&third).await.unwrap();
    served(&survivor).await;
    served(&third).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_dies_before_the_server_has_done_anything_costs_nothing() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let tokens = MemoryTokens::new();
    connected(&server, &tokens).await;
    server.behave(|behaviour| behaviour.down = Some(503));
    dies_in_renewal(&server, &tokens).await;
    server.behave(|behaviour| behaviour.down = None);
    served(&by_person(&server, &tokens)).await;
    assert_eq!((server.counts().refreshed, server.counts().refused), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_when_tokens_come_gets_them_when_it_is_back() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let tokens = MemoryTokens::new();
    let connection = connected(&server, &tokens).await;
    server.expire_all();
    server.hold_answers();
    let call = tokio::spawn(async move { served(&connection).await });
    server.carried_out(2).await;
    tokens.fail(true);
    server.release_answers();
    tokio::time::timeout(Duration::from_secs(60), async {
        while tokens.failures() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    tokens.fail(false);
    call.await.unwrap();
    served(&by_person(&server, &tokens)).await;
    assert_eq!((server.counts().refreshed, server.counts().refused), (1, 0));
}

#[tokio::test]
async fn tokens_of_another_client_are_not_used() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let tokens = MemoryTokens::new();
    connected(&server, &tokens).await;
    let other = config(&server, "authorization-code", json!({"client_id": "client:8"}));
    let connection = host(&server, other, Some(&tokens), "");
    assert_eq!(code(&connection, get("/x")).await, ErrorCode::Unauthorised);
    assert_eq!(connection.auth_states().await[0].1, AuthState::NotConnected);
}

#[tokio::test]
async fn nothing_of_a_token_is_in_a_log_or_an_error() {
    let server = AuthorizationServer::start(registered()).await.unwrap();
    let tokens = MemoryTokens::new();
    let (log, _guard) = Log::start();
    let connection = connected(&server, &tokens).await;
    served(&connection).await;
    server.behave(|behaviour| behaviour.api_refuses = true);
    let refused = send(&connection, get("/x")).await.unwrap();
    assert_eq!(text(&refused), "you sent Bearer ***");
    connection.disconnect("api").await.unwrap();
    let error = send(&connection, get("/x")).await.unwrap_err().to_string();
    let told = format!("{error}{}", log.text());
    assert!(server.secrets().len() >= 5);
    for secret in server.secrets() {
        assert!(!told.contains(&secret), "{secret}");
    }
}

#[tokio::test]
async fn what_can_not_work_is_said_when_the_connection_is_set_up() {
    let faults = |json: Value| {
        let errors = connect(&egress(&[]), vec![endpoint("api", "https://crm.example.com", auth(json))]).unwrap_err();
        errors.into_iter().map(|error| error.to_string()).collect::<Vec<_>>().join("\n")
    };
    let base = |grant: &str| json!({"kind": "oauth2", "grant": grant, "token_url": "https://id.example.com/token"});
    let told = faults(base("client-credentials"));
    assert!(told.contains("auth.client_id") && told.contains("auth.client_secret"), "{told}");
    let told = faults(base("authorization-code"));
    assert!(told.contains("auth.authorize_url") && told.contains("CONFAB_TOKEN_KEYS"), "{told}");
    let told = faults(base("jwt-bearer"));
    assert!(told.contains("auth.private_key"), "{told}");
    for (field, value) in [
        ("token_url", json!("http://id.example.com/token")),
        ("token_url", json!("https://169.254.169.254/token")),
        ("token_url", json!("https://user:secret@id.example.com/")),
        ("revocation_url", json!("https://10.0.0.1/")),
        ("extra", json!({"redirect_uri": "https://evil.example"})),
        ("header", json!("host")),
        ("private_key", json!("env:SHOP_EU__TOKEN")),
        ("authorize_url", json!("https://id.example.com/")),
    ] {
        let mut config = base("client-credentials");
        config["client_id"] = "c".into();
        config["client_secret"] = "env:SHOP_EU__PASSWORD".into();
        config[field] = value;
        let told = faults(config);
        assert!(told.starts_with(&format!("endpoints.api.auth.{field}")), "{field}: {told}");
        assert!(!told.contains("secret@"), "{told}");
    }
    let mut jwt = base("jwt-bearer");
    jwt["client_id"] = "c".into();
    jwt["private_key"] = "env:SHOP_EU__TOKEN".into();
    let told = faults(jwt);
    assert!(told.contains("is not a private key in PEM") && !told.contains(TOKEN), "{told}");
    assert!(serde_json::from_value::<Auth>(json!({"kind": "oauth2", "grant": "password", "token_url": "x"})).is_err());
}

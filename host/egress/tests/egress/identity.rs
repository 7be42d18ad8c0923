//! An endpoint's own authority, and the certificate that the host shows: real TLS, real refusals.

use std::sync::Arc;

use axum::Router;
use confab_egress::{Auth, Connection, Egress, EndpointConfig, ErrorCode, Limits, SecretSource};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::*;
use crate::tls::{Clients, TlsListener};

/// An authority of a company's own.
struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate of such an authority.
struct Issued {
    pem: String,
    key: String,
    der: Vec<u8>,
    key_der: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        Self { pem: made.pem(), der: made.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn issue(&self, name: &str) -> Issued {
        self.issue_until(name, 2096)
    }

    fn issue_until(&self, name: &str, year: i32) -> Issued {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        Issued { pem: made.pem(), key: key.serialize_pem(), der: made.der().to_vec(), key_der: key.serialize_der() }
    }
}

/// A server for `erp.test` with a certificate of `ca`, for clients with one of `clients` if there is such.
async fn serve_tls(ca: &Authority, clients: Option<&Authority>) -> (u16, Clients) {
    let own = ca.issue("erp.test");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.key_der));
    let mut config = builder.with_single_cert(vec![CertificateDer::from(own.der)], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Clients::default();
    let listener = TlsListener(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&seen));
    let token = || async { axum::Json(json!({"access_token": "abc", "token_type": "Bearer", "expires_in": 600})) };
    let router = Router::new().route("/token", axum::routing::post(token)).fallback(|| async { "hello" });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (port, seen)
}

/// An egress that knows these secrets, in the environment and as files.
fn egress_with(port: u16, variables: &[(&str, &str)], directory: Option<&std::path::Path>) -> Egress {
    let names = Names(vec![("erp.test", vec!["127.0.0.1"])]);
    let secrets = SecretSource::given(variables.iter().copied(), directory.map(ToOwned::to_owned));
    Egress::with_lookup(policy(&[format!("erp.test:{port}")]), secrets, Limits::default(), Arc::new(names)).unwrap()
}

fn at(port: u16, name: &str, more: Value) -> EndpointConfig {
    let mut all = json!({"name": name, "base_url": format!("https://erp.test:{port}")});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

async fn call(connection: &Connection, endpoint: &str) -> Result<u16, ErrorCode> {
    let answer = connection.send(endpoint, get("/x"), confab_egress::CallMeta::default()).await;
    answer.map(|answer| answer.status).map_err(|error| error.code)
}

#[tokio::test]
async fn an_authority_of_its_own_is_good_for_its_endpoint_alone() {
    let (ca, other) = (Authority::new(), Authority::new());
    let (port, _) = serve_tls(&ca, None).await;
    let egress = egress_with(port, &[("SHOP_EU__CA", &ca.pem)], None);
    let both = format!("{}{}", other.pem, ca.pem);
    let connection = connect(
        &egress,
        vec![
            at(port, "inline", json!({"ca": ca.pem})),
            at(port, "named", json!({"ca": "env:SHOP_EU__CA"})),
            at(port, "several", json!({"ca": both})),
            at(port, "plain", json!({})),
            at(port, "other", json!({"ca": other.pem})),
        ],
    )
    .unwrap();
    for (endpoint, answer) in [
        ("inline", Ok(200)),
        ("plain", Err(ErrorCode::Tls)),
        ("named", Ok(200)),
        ("other", Err(ErrorCode::Tls)),
        ("several", Ok(200)),
        ("plain", Err(ErrorCode::Tls)),
    ] {
        assert_eq!(call(&connection, endpoint).await, answer, "{endpoint}");
    }
}

#[tokio::test]
async fn an_authority_of_its_own_stands_in_place_of_the_operators() {
    let (ca, other) = (Authority::new(), Authority::new());
    let (port, _) = serve_tls(&ca, None).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, &ca.pem).unwrap();
    let mut policy = policy(&[format!("erp.test:{port}")]);
    policy.ca_files = vec![file];
    let names = Names(vec![("erp.test", vec!["127.0.0.1"])]);
    let egress = Egress::with_lookup(policy, secrets(), Limits::default(), Arc::new(names)).unwrap();
    let endpoints = vec![at(port, "operators", json!({})), at(port, "own", json!({"ca": other.pem}))];
    let connection = connect(&egress, endpoints).unwrap();
    assert_eq!(call(&connection, "operators").await, Ok(200));
    assert_eq!(call(&connection, "own").await, Err(ErrorCode::Tls));
}

#[tokio::test]
async fn each_identity_has_sockets_of_its_own() {
    let (ca, people) = (Authority::new(), Authority::new());
    let (port, seen) = serve_tls(&ca, Some(&people)).await;
    let (anna, bert) = (people.issue("anna"), people.issue("bert"));
    // Keys as they stand in a file, and in a variable on one line.
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(TENANT)).unwrap();
    std::fs::write(dir.path().join(TENANT).join("anna.key"), &anna.key).unwrap();
    let one_line = bert.key.replace('\n', "\\n");
    let variables = [("SHOP_EU__BERT_KEY", one_line.as_str()), ("SHOP_EU__BERT", bert.pem.as_str())];
    let egress = egress_with(port, &variables, Some(dir.path()));
    let as_anna = json!({"ca": ca.pem, "client_certificate": {"certificate": anna.pem, "key": "file:anna.key"}});
    let as_bert = json!({"ca": ca.pem,
        "client_certificate": {"certificate": "env:SHOP_EU__BERT", "key": "env:SHOP_EU__BERT_KEY"}});
    let endpoints =
        vec![at(port, "anna", as_anna), at(port, "bert", as_bert.clone()), at(port, "nobody", json!({"ca": ca.pem}))];
    let connection = connect(&egress, endpoints).unwrap();
    for _ in 0..2 {
        assert_eq!(call(&connection, "anna").await, Ok(200));
        assert_eq!(call(&connection, "bert").await, Ok(200));
        assert!(matches!(call(&connection, "nobody").await, Err(ErrorCode::Tls | ErrorCode::Protocol)));
    }
    // Another connection with the same identity has sockets of its own as well.
    let second = connect(&egress, vec![at(port, "bert", as_bert)]).unwrap();
    assert_eq!(call(&second, "bert").await, Ok(200));
    let shown: Vec<_> = seen.lock().unwrap().iter().flatten().cloned().collect();
    assert_eq!(shown, [anna.der, bert.der.clone(), bert.der]);
}

#[tokio::test]
async fn tokens_of_the_endpoints_host_are_asked_for_as_the_endpoint_is() {
    let (ca, people) = (Authority::new(), Authority::new());
    let (port, _) = serve_tls(&ca, Some(&people)).await;
    let own = people.issue("confab");
    let egress = egress_with(port, &[("SHOP_EU__KEY", &own.key), ("SHOP_EU__CLIENT", "client-secret-0815")], None);
    let certificate = json!({"certificate": own.pem, "key": "env:SHOP_EU__KEY"});
    let auth = json!({
        "kind": "oauth2", "grant": "client-credentials", "token_url": format!("https://ERP.test:{port}/token"),
        "client_id": "confab", "client_secret": "env:SHOP_EU__CLIENT",
    });
    let endpoints = vec![
        at(port, "both", json!({"ca": ca.pem, "client_certificate": certificate, "auth": auth})),
        at(port, "stranger", json!({"ca": ca.pem, "auth": auth})),
    ];
    let connection = connect(&egress, endpoints).unwrap();
    assert_eq!(call(&connection, "both").await, Ok(200));
    assert!(call(&connection, "stranger").await.is_err());
}

#[tokio::test]
async fn a_certificate_of_a_stranger_is_refused_by_the_system() {
    let (ca, people, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let (port, seen) = serve_tls(&ca, Some(&people)).await;
    let eve = strangers.issue("eve");
    let egress = egress_with(port, &[("SHOP_EU__KEY", &eve.key)], None);
    let own = json!({"ca": ca.pem, "client_certificate": {"certificate": eve.pem, "key": "env:SHOP_EU__KEY"}});
    let connection = connect(&egress, vec![at(port, "api", own)]).unwrap();
    let error = send(&connection, get("/x")).await.unwrap_err();
    // In TLS 1.3 the refusal comes when the client is done with its part, and HTTP/2 keeps only the words of it.
    assert!(matches!(error.code, ErrorCode::Tls | ErrorCode::Protocol), "{error}");
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_can_not_be_used_is_found_before_the_first_call_and_shows_no_key() {
    let people = Authority::new();
    let (anna, bert) = (people.issue("anna"), people.issue("bert"));
    let variables =
        [("SHOP_EU__KEY", bert.key.as_str()), ("SHOP_EU__WORD", "a password"), ("SHOP_EU__CERT", &anna.pem)];
    let egress = egress_with(1, &variables, None);
    let errors = |more: Value| {
        let errors = connect(&egress, vec![at(1, "api", more)]).unwrap_err();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let own = |certificate: &str, key: &str| json!({"client_certificate": {"certificate": certificate, "key": key}});
    for (more, message) in [
        (own(&anna.pem, "env:SHOP_EU__KEY"), "endpoints.api.client_certificate: can't be used"),
        (own(&anna.pem, "env:SHOP_EU__WORD"), "endpoints.api.client_certificate.key: has no private key in PEM"),
        (own(&anna.pem, "env:SHOP_EU__CERT"), "endpoints.api.client_certificate.key: has no private key in PEM"),
        (own("env:SHOP_EU__WORD", "env:SHOP_EU__KEY"), "client_certificate.certificate: has no certificate in it"),
        (own("env:OTHER__CERT", "env:SHOP_EU__KEY"), "may not read OTHER__CERT"),
        (json!({"ca": "env:SHOP_EU__WORD"}), "endpoints.api.ca: has no certificate in it"),
        (json!({"ca": "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n"}), "endpoints.api.ca: is broken"),
        (json!({"ca": "file:none"}), "endpoints.api.ca: file:none is named, but this host has no secrets directory"),
        (json!({"ca": anna.pem, "base_url": "http://erp.test:1"}), "endpoints.api.base_url: is not https"),
    ] {
        let errors = errors(more.clone());
        assert!(errors.contains(message), "{message}: {errors}");
        let key_line = bert.key.lines().nth(1).unwrap();
        assert!(!errors.contains(key_line) && !errors.contains("a password"), "{errors}");
    }
}

#[tokio::test]
async fn a_certificate_that_ends_is_told_of_in_time() {
    let people = Authority::new();
    let (good, old) = (people.issue("good"), people.issue_until("old", 2020));
    let egress = egress_with(1, &[("SHOP_EU__GOOD", &good.key), ("SHOP_EU__OLD", &old.key)], None);
    let (log, _guard) = Log::start();
    let own = |issued: &Issued, key: &str| json!({"client_certificate": {"certificate": issued.pem, "key": key}});
    let connection = connect(
        &egress,
        vec![at(1, "good", own(&good, "env:SHOP_EU__GOOD")), at(1, "old", own(&old, "env:SHOP_EU__OLD"))],
    )
    .unwrap();
    let note = "endpoints.old.client_certificate: the certificate ended on 2020-01-01; the system will refuse it";
    assert_eq!(connection.notes(), [note]);
    assert!(log.text().contains(note), "{}", log.text());
    let plain = connect(&egress, vec![endpoint("api", "https://erp.test:1", Auth::None)]).unwrap();
    assert!(plain.notes().is_empty());
}

//! Requests that the host signs, at servers that compute the signature for themselves.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confab_egress::{ConfigError, ErrorCode, OutRequest};
use ring::{digest, hmac};
use serde_json::{Value, json};

use crate::support::*;

/// Whether a request is signed as the system wants it.
type Check = fn(&Seen) -> bool;

/// A server that answers 204 to what is signed well, and 401 to anything else.
async fn checking(check: Check) -> SocketAddr {
    let router =
        Router::new().fallback(any(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
            let seen = Seen { method, uri, headers, body };
            if check(&seen) { StatusCode::NO_CONTENT } else { StatusCode::UNAUTHORIZED }
        }));
    serve(router).await
}

fn post(path: &str, body: &[u8]) -> OutRequest {
    let headers = vec![("content-type".into(), "application/json".into()), ("x-shop".into(), "eu".into())];
    OutRequest { method: "POST".into(), body: Bytes::copy_from_slice(body), headers, ..get(path) }
}

fn mac(algorithm: hmac::Algorithm, key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, key), text).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `X-Signature: hex(hmac_sha256(secret, timestamp + method + path + body))`
fn plain(seen: &Seen) -> bool {
    let (time, target) = (seen.header("x-timestamp"), seen.uri.path_and_query().unwrap().as_str());
    let mut text = format!("{time}{}{target}", seen.method).into_bytes();
    text.extend_from_slice(&seen.body);
    let good = hex(&mac(hmac::HMAC_SHA256, TOKEN.as_bytes(), &text));
    time.parse::<u64>().is_ok() && seen.header("x-signature") == good
}

fn plain_auth() -> Value {
    json!({"kind": "hmac", "secret": "env:SHOP_EU__TOKEN", "sign": "{{ timestamp }}{{ method }}{{ target }}{{ body }}",
        "headers": {"X-Signature": "{{ signature }}", "X-Timestamp": "{{ timestamp }}"}})
}

/// Standard Webhooks: base64 of HMAC-SHA-256 over id, time and body, with a key that is base64 itself.
fn webhook(seen: &Seen) -> bool {
    let (id, time) = (seen.header("webhook-id"), seen.header("webhook-timestamp"));
    let mut text = format!("{id}.{time}.").into_bytes();
    text.extend_from_slice(&seen.body);
    let good = STANDARD.encode(mac(hmac::HMAC_SHA256, b"a key of 24 bytes or so.", &text));
    id.len() == 32 && seen.header("webhook-signature") == format!("v1,{good}")
}

/// A vendor's: SHA-512 over method, sorted parameters, a header and the body's hash, `key:signature` in one header.
fn vendor(seen: &Seen) -> bool {
    let mut params: Vec<&str> = seen.uri.query().unwrap_or_default().split('&').collect();
    params.sort_unstable();
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, &seen.body).as_ref());
    let text = format!("{}\n{}\n{}\n{hash}", seen.method, params.join("&"), seen.header("x-shop"));
    let good = STANDARD.encode(mac(hmac::HMAC_SHA512, &[0xde, 0xad, 0xbe, 0xef, 1, 2, 3], text.as_bytes()));
    seen.header("authorization") == format!("HMAC confab-7:{good}")
        && seen.header("digest") == format!("SHA-256={hash}")
}

#[tokio::test]
async fn schemes_of_all_kinds_are_accepted_by_a_server_that_checks() {
    let webhook_auth = json!({"kind": "hmac", "secret": "env:SHOP_EU__HOOK", "secret_encoding": "base64",
        "encoding": "base64", "sign": "{{ nonce }}.{{ timestamp }}.{{ body }}",
        "headers": {"webhook-id": "{{ nonce }}", "webhook-timestamp": "{{ timestamp }}",
            "webhook-signature": "v1,{{ signature }}"}});
    let vendor_auth = json!({"kind": "hmac", "algorithm": "sha512", "secret": "env:SHOP_EU__HEX",
        "secret_encoding": "hex", "key_id": "confab-7", "encoding": "base64",
        "sign": "{{ method }}\n{% for p in params|sort %}{{ p[0] }}={{ p[1] }}{{ '&' if not loop.last }}{% endfor %}\n{{ headers['x-shop'] }}\n{{ content_sha256_base64 }}",
        "headers": {"Authorization": "HMAC {{ key_id }}:{{ signature }}", "Digest": "SHA-256={{ content_sha256_base64 }}"}});
    let cases: [(Value, Check); 3] = [(plain_auth(), plain), (webhook_auth, webhook), (vendor_auth, vendor)];
    for (config, check) in cases {
        let connection = to(checking(check).await, auth(config.clone()));
        for request in [
            post("/orders?b=2&a=1", "{\"name\":\"Jürgen\"}".as_bytes()),
            OutRequest { headers: vec![("x-shop".into(), "us".into())], ..get("/orders/WEB%2F42?x=1&a=9") },
            OutRequest { method: "DELETE".into(), ..get("/orders/1?z=1") },
        ] {
            assert_eq!(send(&connection, request).await.unwrap().status, 204, "{config}");
        }
    }
    // The servers do check: another key is refused.
    let mut wrong = plain_auth();
    wrong["secret"] = json!("env:SHOP_EU__PASSWORD");
    let connection = to(checking(plain).await, auth(wrong));
    assert_eq!(send(&connection, get("/x")).await.unwrap().status, 401);
}

#[tokio::test]
async fn each_request_has_a_nonce_of_its_own() {
    let (address, record) = recorder().await;
    let mut config = plain_auth();
    config["headers"]["X-Nonce"] = json!("{{ nonce }}");
    let connection = to(address, auth(config));
    for _ in 0..3 {
        send(&connection, get("/x")).await.unwrap();
    }
    let mut nonces: Vec<String> = record.all().iter().map(|seen| seen.header("x-nonce").to_owned()).collect();
    nonces.sort();
    nonces.dedup();
    assert_eq!((nonces.len(), nonces[0].len()), (3, 32));
}

#[tokio::test]
async fn a_body_that_is_no_text_can_be_signed_by_its_hash_only() {
    let (address, record) = recorder().await;
    let connection = to(address, auth(plain_auth()));
    let error = send(&connection, post("/x", b"\xff\xfe")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    assert!(error.message.contains("sign content_sha256 in its place"), "{}", error.message);
    assert!(record.all().is_empty());
    let mut by_hash = plain_auth();
    by_hash["sign"] = json!("{{ content_sha256 }}");
    send(&to(address, auth(by_hash)), post("/x", b"\xff\xfe")).await.unwrap();
    let hash = hex(digest::digest(&digest::SHA256, b"\xff\xfe").as_ref());
    let good = hex(&mac(hmac::HMAC_SHA256, TOKEN.as_bytes(), hash.as_bytes()));
    assert_eq!(record.last().header("x-signature"), good);
}

#[tokio::test]
async fn a_guest_can_not_set_what_a_signature_uses() {
    let (address, record) = recorder().await;
    for (config, names) in [
        (plain_auth(), ["X-Signature", "x_timestamp", "authorization"]),
        (aws_auth("s3"), ["X-Amz-Date", "x-amz-security-token", "x_amz_content_sha256"]),
    ] {
        let connection = to(address, auth(config));
        for name in names {
            assert_eq!(code(&connection, header(name, "mine")).await, ErrorCode::Refused, "{name}");
        }
    }
    assert!(record.all().is_empty());
}

#[tokio::test]
async fn keys_of_signatures_are_not_sent_and_not_shown() {
    let (address, record) = recorder().await;
    for config in [plain_auth(), aws_auth("execute-api")] {
        let connection = to(address, auth(config.clone()));
        let (log, _guard) = Log::start();
        send(&connection, post("/x", b"{}")).await.unwrap();
        let all = format!("{:?} {config:?} {:?}", record.last(), log.text());
        assert!(!all.contains(TOKEN) && !all.contains(PASSWORD), "{all}");
    }
}

#[tokio::test]
async fn what_can_not_sign_is_found_before_the_first_call() {
    let wrong = |field: &str, value: Value| {
        let mut config = plain_auth();
        config[field] = value;
        let errors = connect(&egress(&[]), vec![endpoint("api", "https://erp.example.com", auth(config))]).unwrap_err();
        errors.iter().map(ConfigError::to_string).collect::<Vec<_>>().join("; ")
    };
    for (field, value, message) in [
        ("sign", json!("{{ bdoy }}"), "endpoints.api.auth.sign: can't be rendered: undefined value"),
        ("sign", json!("{% if %}"), "endpoints.api.auth.sign: is not a template"),
        ("sign", json!("{% for a in range(99999) %}{{ path * 99 }}{% endfor %}"), "auth.sign: can't be rendered"),
        ("headers", json!({"x-key": "{{ nonce }}"}), "endpoints.api.auth.headers: has no header with {{ signature }}"),
        ("headers", json!({"Host": "{{ signature }}"}), "endpoints.api.auth.headers.Host: is not a header"),
        ("headers", json!({"x": "{{ signature }}\n{{ nonce }}"}), "endpoints.api.auth.headers.x: renders to what"),
        ("secret_encoding", json!("hex"), "endpoints.api.auth.secret: is not hexadecimal"),
        ("secret", json!("env:SHOP_EU__NONE"), "SHOP_EU__NONE is not set"),
        ("key_id", json!("env:OTHER__TOKEN"), "may not read OTHER__TOKEN"),
    ] {
        let errors = wrong(field, value.clone());
        assert!(errors.contains(message), "{field} {value}: {errors}");
        assert!(!errors.contains(TOKEN), "{errors}");
    }
}

fn aws_auth(service: &str) -> Value {
    json!({"kind": "aws", "region": "eu-central-1", "service": service, "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": "env:SHOP_EU__TOKEN", "session_token": "env:SHOP_EU__SESSION"})
}

/// Signature Version 4 as its documentation has it, for requests whose paths and queries need no encoding.
fn aws(seen: &Seen) -> bool {
    let value = seen.header("authorization");
    let part = |name: &str| value.split_once(name).and_then(|(_, rest)| rest.split(", ").next()).unwrap_or("");
    let (names, date) = (part("SignedHeaders="), seen.header("x-amz-date"));
    let lines: String = names.split(';').map(|name| format!("{name}:{}\n", seen.header(name))).collect();
    let mut query: Vec<&str> = seen.uri.query().unwrap_or_default().split('&').filter(|q| !q.is_empty()).collect();
    query.sort_unstable();
    let hash = hex(digest::digest(&digest::SHA256, &seen.body).as_ref());
    let (method, path) = (&seen.method, seen.uri.path());
    let request = format!("{method}\n{path}\n{}\n{lines}\n{names}\n{hash}", query.join("&"));
    let scope = format!("{}/eu-central-1/execute-api/aws4_request", &date[..8]);
    let request = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
    let mut key = format!("AWS4{TOKEN}").into_bytes();
    for part in scope.split('/') {
        key = mac(hmac::HMAC_SHA256, &key, part.as_bytes());
    }
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{request}");
    let needed = ["host", "x-amz-date", "x-amz-security-token"];
    needed.iter().all(|name| names.split(';').any(|n| n == *name))
        && seen.header("x-amz-security-token") == "session/token+of=aws"
        && part("Credential=") == format!("AKIDEXAMPLE/{scope}")
        && part("Signature=") == hex(&mac(hmac::HMAC_SHA256, &key, text.as_bytes()))
}

#[tokio::test]
async fn aws_signatures_are_accepted_by_a_server_that_checks() {
    let connection = to(checking(aws).await, auth(aws_auth("execute-api")));
    for request in [
        get("/orders"),
        get("/orders?b=2&a=1&a=0&q=a+b"),
        post("/orders?x=1", "{\"name\":\"Jürgen\"}".as_bytes()),
        OutRequest { method: "PUT".into(), ..header("x-amz-target", "  Orders.v1  ") },
    ] {
        assert_eq!(send(&connection, request).await.unwrap().status, 204);
    }
    let mut wrong = aws_auth("execute-api");
    wrong["secret_access_key"] = json!("env:SHOP_EU__PASSWORD");
    assert_eq!(send(&to(checking(aws).await, auth(wrong)), get("/x")).await.unwrap().status, 401);
}

#[tokio::test]
async fn services_that_want_the_bodys_hash_get_it() {
    let (address, record) = recorder().await;
    for (service, wants) in [("s3", true), ("execute-api", false)] {
        send(&to(address, auth(aws_auth(service))), post("/x", b"{}")).await.unwrap();
        let hash = hex(digest::digest(&digest::SHA256, b"{}").as_ref());
        assert_eq!(record.last().header("x-amz-content-sha256") == hash, wants, "{service}");
    }
}

#[tokio::test]
async fn a_request_stays_in_its_endpoint_when_it_is_signed() {
    let (address, record) = recorder().await;
    for config in [plain_auth(), aws_auth("s3")] {
        let connection: Arc<_> = to(address, auth(config));
        for path in ["/../x", "/%2e%2e/x", "//evil.example/x", "https://evil.example/"] {
            assert!(send(&connection, get(path)).await.is_err(), "{path}");
        }
        assert_eq!(code(&connection, OutRequest { method: "HEAD".into(), ..get("/x") }).await, ErrorCode::Refused);
    }
    assert!(record.all().is_empty());
    let errors = connect(
        &egress(&[]),
        vec![endpoint(
            "api",
            "https://e.com",
            auth({
                let mut config = aws_auth("a/b");
                config["region"] = json!("");
                config
            }),
        )],
    );
    let at: Vec<_> = errors.unwrap_err().into_iter().map(|error| error.at).collect();
    assert_eq!(at, ["endpoints.api.auth.region", "endpoints.api.auth.service"]);
}

//! Credentials arrive at the system, and come back nowhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confab_egress::{Auth, EndpointConfig, OutRequest, Redirects};
use serde_json::json;

use crate::support::*;

fn kinds() -> Vec<Auth> {
    [
        json!({"kind": "bearer", "token": "env:SHOP_EU__TOKEN"}),
        json!({"kind": "header", "name": "X-Api-Key", "value": "env:SHOP_EU__TOKEN"}),
        json!({"kind": "header", "name": "Authorization", "value": "env:SHOP_EU__TOKEN", "prefix": "token "}),
        json!({"kind": "query", "name": "key", "value": "env:SHOP_EU__TOKEN"}),
        json!({"kind": "path", "prefix": "bot", "value": "env:SHOP_EU__SEGMENT"}),
        json!({"kind": "basic", "username": "bot", "password": "env:SHOP_EU__PASSWORD"}),
        json!({"kind": "basic", "username": "env:SHOP_EU__TOKEN"}),
    ]
    .map(auth)
    .into()
}

#[tokio::test]
async fn each_kind_of_credential_arrives() {
    let (address, record) = recorder().await;
    let mut seen = Vec::new();
    for auth in kinds() {
        assert_eq!(send(&to(address, auth), get("/x?a=b")).await.unwrap().status, 200);
        seen.push(record.last());
    }
    let basic = |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    assert_eq!(seen[0].header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(seen[1].header("x-api-key"), TOKEN);
    assert_eq!(seen[2].header("authorization"), format!("token {TOKEN}"));
    assert_eq!(seen[3].uri, "/base/x?a=b&key=tok-4711%2Fvery%2Bsecret");
    assert_eq!(seen[4].uri, "/base/bot123:ABC-path-token/x?a=b");
    assert_eq!(seen[5].header("authorization"), basic("bot", PASSWORD));
    assert_eq!(seen[6].header("authorization"), basic(TOKEN, ""));
    let (_, plain) = (send(&to(address, Auth::None), get("/y")).await.unwrap(), record.last());
    assert_eq!((plain.uri.to_string().as_str(), plain.header("authorization")), ("/base/y", ""));
    assert_eq!(plain.header("host"), address.to_string());
}

#[tokio::test]
async fn credentials_that_the_system_echoes_are_masked_and_not_logged() {
    let router = Router::new().fallback(|uri: Uri, headers: HeaderMap, body: Bytes| async move {
        let all: Vec<_> = headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
        let echo = json!({"uri": uri.to_string(), "headers": all, "plain": [TOKEN, PASSWORD, "123:ABC-path-token"]});
        let mut out = HeaderMap::new();
        for name in ["set-cookie", "www-authenticate", "proxy-authenticate", "authorization", "x-api-key"] {
            out.insert(name, TOKEN.parse().unwrap());
        }
        let sent = headers.get("authorization").cloned().unwrap_or_else(|| TOKEN.parse().unwrap());
        out.insert("x-echo", sent);
        out.insert("x-request-id", format!("prov-{TOKEN}").parse().unwrap());
        out.insert("x-uri", uri.to_string().parse().unwrap());
        (StatusCode::INTERNAL_SERVER_ERROR, out, format!("{echo}{}", String::from_utf8_lossy(&body)))
    });
    let address = serve(router).await;
    let (log, _guard) = Log::start();
    for auth in kinds() {
        let kind = format!("{auth:?}");
        let response = send(&to(address, auth), get("/x?customer=erika")).await.unwrap();
        let all = format!("{:?} {}", response.headers, text(&response));
        assert_eq!(response.status, 500);
        let own = if kind.contains("SEGMENT") {
            "123:ABC-path-token"
        } else if kind.contains("PASSWORD") {
            "pass"
        } else {
            TOKEN
        };
        let encoded = STANDARD.encode(format!("bot:{PASSWORD}"));
        for secret in [
            own.replace("pass", PASSWORD),
            "tok-4711%2Fvery%2Bsecret".into(),
            encoded,
            STANDARD.encode(format!("{TOKEN}:")),
        ] {
            let expected = own != TOKEN && secret.contains("tok-");
            assert!(expected || !all.contains(&secret), "{kind}: {secret} in {all}");
        }
        // The password as JSON has it: its quote is escaped there.
        assert!(own != "pass" || !all.contains("word-0815"), "{kind}: {all}");
        assert!(all.contains("***"), "{kind}: {all}");
        for gone in ["set-cookie", "www-authenticate", "proxy-authenticate", "authorization"] {
            assert!(!response.headers.iter().any(|(name, _)| name == gone), "{kind}: {gone}");
        }
    }
    let logged = log.text();
    assert_eq!(log.failures().len(), kinds().len());
    for secret in [PASSWORD, "pass\\\"word", "ABC-path-token", "customer=erika", "erika"] {
        assert!(!logged.contains(secret), "{secret} in {logged}");
    }
}

#[tokio::test]
async fn a_failed_call_is_one_line_with_what_is_needed_and_no_more() {
    let router =
        Router::new().fallback(|| async { (StatusCode::BAD_GATEWAY, [("x-request-id", "prov-1")], "secret body") });
    let address = serve(router).await;
    let connection = to(address, auth(json!({"kind": "query", "name": "key", "value": "env:SHOP_EU__TOKEN"})));
    let (log, _guard) = Log::start();
    send(&connection, get("/orders?q=erika")).await.unwrap();
    let [line] = log.failures().try_into().unwrap();
    for (field, value) in [
        ("tenant", json!(TENANT)),
        ("connection", json!("erp")),
        ("endpoint", json!("api")),
        ("operation", json!("orders.get")),
        ("method", json!("GET")),
        ("host", json!(address.to_string())),
        ("path", json!("/base/orders")),
        ("status", json!(502)),
        ("request_id", json!("req-77")),
        ("provider_request_id", json!("prov-1")),
    ] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    assert!(line["duration_ms"].is_u64(), "{line}");
    for secret in [TOKEN, "tok-4711", "erika", "secret body"] {
        assert!(!log.text().contains(secret), "{secret} in {}", log.text());
    }
}

#[tokio::test]
async fn not_found_is_no_failure() {
    let address = serve(Router::new()).await;
    let (log, _guard) = Log::start();
    assert_eq!(send(&to(address, Auth::None), get("/orders/none")).await.unwrap().status, 404);
    assert!(log.failures().is_empty());
}

#[tokio::test]
async fn a_guest_can_not_set_what_the_credential_uses() {
    let (address, record) = recorder().await;
    let by_query = to(address, auth(json!({"kind": "query", "name": "key", "value": "env:SHOP_EU__TOKEN"})));
    for path in ["/x?key=mine", "/x?a=b&%6bey=mine", "/x?key"] {
        assert_eq!(code(&by_query, get(path)).await.as_str(), "refused", "{path}");
    }
    let by_header = to(address, auth(json!({"kind": "header", "name": "X-Api-Key", "value": "env:SHOP_EU__TOKEN"})));
    for name in ["x-api-key", "X-API-KEY", "x_api_key", "authorization"] {
        assert_eq!(code(&by_header, header(name, "mine")).await.as_str(), "refused", "{name}");
    }
    assert!(record.all().is_empty());
}

#[tokio::test]
async fn a_redirect_to_another_place_is_an_answer() {
    let (elsewhere, record) = recorder().await;
    let router = Router::new()
        .fallback(move || async move { (StatusCode::FOUND, [("location", format!("http://{elsewhere}/?t={TOKEN}"))]) });
    let address = serve(router).await;
    let response = send(&to(address, kinds().remove(0)), get("/x")).await.unwrap();
    assert_eq!(response.status, 302);
    let location = response.headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.clone());
    assert_eq!(location, Some(format!("http://{elsewhere}/?t=***")));
    assert!(record.all().is_empty());
}

#[tokio::test]
async fn no_redirect_is_followed_where_that_is_switched_off() {
    let (elsewhere, record) = recorder().await;
    let asked = Arc::new(AtomicUsize::new(0));
    for status in [301, 302, 303, 307, 308] {
        for location in [
            format!("http://{elsewhere}/"),
            format!("//{elsewhere}/"),
            "/base/other".into(),
            "http://169.254.169.254/latest/meta-data/".into(),
            "http://[::1]/".into(),
            "file:///etc/passwd".into(),
        ] {
            let (to_there, count) = (location.clone(), Arc::clone(&asked));
            let router = Router::new().fallback(move || {
                count.fetch_add(1, Ordering::SeqCst);
                async move { (StatusCode::from_u16(status).unwrap(), [("location", to_there)]) }
            });
            let address = serve(router).await;
            let config = EndpointConfig {
                redirects: Redirects::None,
                ..endpoint("api", format!("http://{address}/base"), kinds().remove(0))
            };
            let connection = connect(&egress(&[address.to_string()]), vec![config]).unwrap();
            let post = OutRequest { method: "POST".into(), body: Bytes::from_static(b"{}"), ..get("/x") };
            assert_eq!(send(&connection, post).await.unwrap().status, status, "{location}");
        }
    }
    assert_eq!((asked.load(Ordering::SeqCst), record.all().len()), (30, 0));
}

#[tokio::test]
async fn a_credential_in_the_body_is_put_there_by_the_host_and_masked_when_it_comes_back() {
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    let router = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
        keep.lock().push((headers.get("content-length").cloned(), body.clone()));
        async { body }
    });
    let address = serve(router).await;
    let place =
        json!({"kind": "json-body", "path": "/jsonrpc", "pointer": "/params/args/2", "value": "env:SHOP_EU__TOKEN"});
    let connection = to(address, auth(place));
    let call = |path: &str, key: serde_json::Value| OutRequest {
        method: "POST".into(),
        path: path.into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: json!({"params": {"args": ["db", 7, key, "sale.order"]}}).to_string().into(),
        timeout: None,
    };
    let answer = send(&connection, call("/jsonrpc", json!(null))).await.unwrap();
    let (length, body) = seen.lock().pop().unwrap();
    let arrived: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(arrived["params"]["args"], json!(["db", 7, TOKEN, "sale.order"]));
    assert_eq!(length.unwrap().to_str().unwrap(), body.len().to_string());
    assert!(text(&answer).contains("***") && !text(&answer).contains("tok-4711"), "{}", text(&answer));
    // The account is of what was sent, with the credential.
    assert!(answer.sent.bytes_out > body.len() as u64);
    // Elsewhere it does not go, and a value of the plugin's own is not sent at all.
    send(&connection, call("/website/form", json!(null))).await.unwrap();
    assert!(!seen.lock().pop().unwrap().1.windows(8).any(|part| part == b"tok-4711"));
    let refused = send(&connection, call("/jsonrpc", json!("mine"))).await.unwrap_err();
    assert_eq!(refused.code, confab_egress::ErrorCode::Refused);
    assert!(seen.lock().is_empty());
}

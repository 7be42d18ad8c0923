//! What a guest may ask for.

use axum::body::Bytes;
use confab_egress::{Auth, CallMeta, ErrorCode, OutRequest};

use crate::support::*;

#[tokio::test]
async fn a_request_arrives_as_it_was_made() {
    let (address, record) = recorder().await;
    let request = OutRequest {
        method: "post".into(),
        path: "/orders/WEB%2F42?expand=lines&q=a%20b".into(),
        headers: vec![
            ("Content-Type".into(), "application/json".into()),
            ("x-two".into(), "1".into()),
            ("x-two".into(), "2".into()),
        ],
        body: Bytes::from_static(b"{}"),
        timeout: None,
    };
    send(&to(address, Auth::None), request).await.unwrap();
    let seen = record.last();
    assert_eq!(
        (seen.method.as_str(), seen.uri.to_string().as_str()),
        ("POST", "/base/orders/WEB%2F42?expand=lines&q=a%20b")
    );
    assert_eq!((seen.header("content-type"), &seen.body[..]), ("application/json", &b"{}"[..]));
    assert_eq!(seen.headers.get_all("x-two").iter().count(), 2);
    assert!(seen.header("user-agent").starts_with("confab/"));
    assert!(!seen.headers.contains_key("referer") && !seen.headers.contains_key("cookie"));
}

#[tokio::test]
async fn paths_that_lead_elsewhere_never_leave_the_host() {
    let (address, record) = recorder().await;
    let connection = to(address, Auth::None);
    for path in [
        "",
        "x",
        "//evil.example/x",
        "http://evil.example/",
        "/../x",
        "/%2e%2e/x",
        "/%252e%252e/x",
        "/a\\..\\x",
        "/a b",
        "/a#b",
        "/a\r\nx: y",
        "/a%5c",
        "/..;/x",
        "/a%2f..%2fx",
        "@evil.example/",
        "/%00",
    ] {
        let code = code(&connection, get(path)).await;
        assert!(matches!(code, ErrorCode::InvalidRequest | ErrorCode::Refused), "{path:?}: {code}");
    }
    assert!(record.all().is_empty());
}

#[tokio::test]
async fn headers_of_the_host_never_leave_the_host() {
    let (address, record) = recorder().await;
    let connection = to(address, Auth::None);
    for name in [
        "host",
        "authorization",
        "proxy-authorization",
        "cookie",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
        "expect",
        "forwarded",
        "x-forwarded-for",
        "x-http-method-override",
    ] {
        assert_eq!(code(&connection, header(name, "x")).await, ErrorCode::Refused, "{name}");
    }
    assert_eq!(code(&connection, header("a", "b\r\nc: d")).await, ErrorCode::InvalidRequest);
    assert!(record.all().is_empty());
}

#[tokio::test]
async fn methods_and_endpoints_are_those_of_the_connection() {
    let (address, record) = recorder().await;
    let mut read = endpoint("api", format!("http://{address}"), Auth::None);
    read.methods = vec!["GET".into(), "HEAD".into()];
    let connection = connect(&egress(&[address.to_string()]), vec![read]).unwrap();
    let with = |method: &str| OutRequest { method: method.into(), ..get("/x") };
    for method in ["POST", "DELETE", "CONNECT", "TRACE", "OPTIONS"] {
        assert_eq!(code(&connection, with(method)).await, ErrorCode::Refused, "{method}");
    }
    for method in ["", "G ET", "GET\r\n"] {
        assert_eq!(code(&connection, with(method)).await, ErrorCode::InvalidRequest, "{method:?}");
    }
    assert_eq!(send(&connection, with("HEAD")).await.unwrap().body.len(), 0);
    assert_eq!(record.all().len(), 1);
    let error = connection.send("erp\nfake line", get("/x"), CallMeta::default()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownEndpoint);
    assert_eq!(error.message, "there is no endpoint \"erp\\nfake line\"; this connection has: api");
}

#[tokio::test]
async fn a_body_over_the_cap_is_not_sent() {
    let (address, record) = recorder().await;
    let connection = to(address, Auth::None);
    let post = |bytes: usize| OutRequest { method: "POST".into(), body: vec![b'x'; bytes].into(), ..get("/x") };
    assert_eq!(code(&connection, post(4 * 1024 * 1024 + 1)).await, ErrorCode::TooLarge);
    assert!(record.all().is_empty());
}

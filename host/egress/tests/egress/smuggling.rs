//! A guest that wants its request to be two, to go elsewhere, or to be taken for another's. What the server reads here is
//! the socket, not what a library made of it.

use std::sync::{Arc, Mutex};

use confab_egress::{Auth, Connection, ErrorCode, OutRequest};
use serde_json::json;

use crate::support::*;

/// A connection below `/base`, with a credential, and the heads of the requests that it sends.
async fn wire() -> (Arc<Connection>, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let address = raw(move |head| {
        seen.lock().unwrap().push(head.to_owned());
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()
    })
    .await;
    (to(address, auth(json!({"kind": "bearer", "token": "env:SHOP_EU__TOKEN"}))), heads)
}

#[tokio::test]
async fn no_path_makes_another_request() {
    let (connection, heads) = wire().await;
    for path in [
        // Absolute form, authority form, another host.
        "http://evil.example/",
        "https://evil.example/base/x",
        "HTTP://evil.example/",
        "evil.example:443",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\\\evil.example\\",
        "*",
        // Userinfo that would make the host a user's name.
        "@evil.example/",
        ":pass@evil.example/",
        ".evil.example/",
        // Line ends, NUL, spaces: a second request line.
        "/x HTTP/1.1\r\nhost: evil.example\r\n\r\nGET /",
        "/x\r\n\r\nGET /admin HTTP/1.1",
        "/x\nx: y",
        "/x\rx: y",
        "/x\0",
        "/x\t/y",
        "/x y",
        "/x\u{0b}",
        "/x\u{7f}",
        "/x\u{85}y",
        "/x\u{2028}y",
        "/ä",
        "/x?a=b\r\nc: d",
        "/x?a=b c",
        // Up, in each encoding.
        "/..",
        "/../admin",
        "/./../admin",
        "/%2e%2e/admin",
        "/%2E%2e/admin",
        "/.%2e/admin",
        "/%252e%252e/admin",
        "/%25252e%25252e/admin",
        "/..%2fadmin",
        "/..%252fadmin",
        "/..%5cadmin",
        "/..%255cadmin",
        "/%c0%ae%c0%ae/admin",
        "/%c0%af..%c0%afadmin",
        "/%e0%80%ae%e0%80%ae/admin",
        "/%ef%bc%8e%ef%bc%8e/admin",
        "/%u002e%u002e/admin",
        "/..;/admin",
        "/..;a=b/admin",
        "/..%3b/admin",
        "/..%3fx/admin",
        "/..%23x/admin",
        "/x/..%00/admin",
        "/x/.. /admin",
        "/x/..%20/admin",
        "/x/..%09/admin",
        // A fragment, half an escape.
        "/x#y",
        "/x%",
        "/x%2",
        "/x%g0",
        "/x?%",
    ] {
        let Err(error) = send(&connection, get(path)).await else { panic!("{path:?} was sent") };
        let refused = error.code;
        assert!(matches!(refused, ErrorCode::InvalidRequest | ErrorCode::Refused), "{path:?}: {refused}");
    }
    assert_eq!(*heads.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_odd_but_allowed_is_one_request_below_the_base() {
    let (connection, heads) = wire().await;
    let odd = [
        "/",
        "/;",
        "/;x=y/z",
        "/@evil.example/",
        "/:80/",
        "/http://evil.example/",
        "/x?http://evil.example/",
        "/x?/../..",
        "/x??y",
        "/x?a=%0d%0ahost:%20evil",
        "/%2f%2fevil.example",
        "/x&y=z",
        "/~root/",
        "/...",
        "/..x",
        "/x..",
        "/x%3fy",
        "/{}|^`\"<>",
    ];
    for path in odd {
        send(&connection, get(path)).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), odd.len());
    for head in heads.iter() {
        let mut lines = head.lines();
        let words: Vec<_> = lines.next().unwrap().split(' ').collect();
        assert!(matches!(words[..], ["GET", target, "HTTP/1.1"] if target.starts_with("/base/")), "{head}");
        let mut names: Vec<_> =
            lines.filter(|line| !line.is_empty()).map(|line| line.split(':').next().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "accept-encoding", "authorization", "host", "user-agent"], "{head}");
    }
}

#[tokio::test]
async fn no_header_changes_where_a_request_goes_how_it_is_framed_or_whose_it_is() {
    let (connection, heads) = wire().await;
    for name in [
        "host",
        "Host",
        "HOST",
        "content-length",
        "Content_Length",
        "transfer-encoding",
        "Transfer_Encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
        "expect",
        "proxy-authorization",
        "proxy-connection",
        "proxy-anything",
        "authorization",
        "Authorization",
        "cookie",
        "accept-encoding",
        "via",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x_forwarded_proto",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "x-client-ip",
        "x-original-url",
        "x-rewrite-url",
        "x-original-host",
        "x-http-method-override",
    ] {
        for value in ["", "0", "chunked", "evil.example"] {
            assert_eq!(code(&connection, header(name, value)).await, ErrorCode::Refused, "{name}: {value}");
        }
    }
    for name in [
        "",
        " ",
        " host",
        "host ",
        "host\t",
        "ho st",
        "host:",
        ":host",
        ":authority",
        ":path",
        "host\r",
        "host\n",
        "a\r\nhost",
        "a\0",
        "a\u{7f}",
        "hｏst",
        "ĥost",
        "a(b)",
        "a/b",
        "a,b",
        "a;b",
        "a=b",
        "\"a\"",
        "{a}",
    ] {
        assert_eq!(code(&connection, header(name, "x")).await, ErrorCode::InvalidRequest, "{name:?}");
    }
    for value in [
        "x\r\nhost: evil.example",
        "x\r\n\r\nGET /admin HTTP/1.1",
        "x\r\n folded",
        "x\n\tfolded",
        "x\rhost: evil.example",
        "x\nhost: evil.example",
        "\r\n",
        "\0",
        "x\0y",
        "x\u{0b}y",
        "x\u{7f}",
        "x\u{85}host: y",
        "čĊhost: y",
        "ü",
    ] {
        assert_eq!(code(&connection, header("x-a", value)).await, ErrorCode::InvalidRequest, "{value:?}");
    }
    assert_eq!(*heads.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn long_lists_of_headers_are_not_sent() {
    let (connection, heads) = wire().await;
    let list = |count: usize, bytes: usize| OutRequest {
        headers: (0..count).map(|n| (format!("x-{n}"), "v".repeat(bytes))).collect(),
        ..get("/x")
    };
    for (count, bytes) in [(65, 0), (1_000_000, 0), (64, 1_024), (1, 16 * 1_024), (1, 4 << 20)] {
        assert_eq!(code(&connection, list(count, bytes)).await, ErrorCode::TooLarge, "{count} of {bytes}");
    }
    assert_eq!(heads.lock().unwrap().len(), 0);
    assert_eq!(send(&connection, list(64, 200)).await.unwrap().status, 200);
}

#[tokio::test]
async fn no_method_makes_another_request() {
    let (connection, heads) = wire().await;
    let with = |method: &str| OutRequest { method: method.into(), ..get("/x") };
    for method in ["", " ", "GET ", " GET", "GET /admin HTTP/1.1\r\n", "GET\r\nhost: x", "GET\0", "GÉT", "(GET)"] {
        assert_eq!(code(&connection, with(method)).await, ErrorCode::InvalidRequest, "{method:?}");
    }
    for method in ["CONNECT", "TRACE", "OPTIONS", "PRI", "PROPFIND", "HEAD", "GETGET", &"X".repeat(100_000)] {
        assert_eq!(code(&connection, with(method)).await, ErrorCode::Refused);
    }
    assert_eq!(heads.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_body_is_framed_by_its_length_and_nothing_else() {
    let (connection, heads) = wire().await;
    let body = "0\r\n\r\nGET /admin HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    let request = OutRequest { method: "POST".into(), body: body.into(), ..get("/x") };
    send(&connection, request).await.unwrap();
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].contains(&format!("content-length: {}\r\n", body.len())), "{}", heads[0]);
    assert!(!heads[0].contains("transfer-encoding"), "{}", heads[0]);
}

#[tokio::test]
async fn a_connection_without_a_credential_takes_none_from_a_guest() {
    let (address, record) = recorder().await;
    let connection = to(address, Auth::None);
    for name in ["authorization", "cookie", "proxy-authorization"] {
        assert_eq!(code(&connection, header(name, "Bearer mine")).await, ErrorCode::Refused, "{name}");
    }
    assert!(record.all().is_empty());
}

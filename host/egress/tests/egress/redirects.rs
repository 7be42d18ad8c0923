//! Redirects are followed within a connection's endpoints and nowhere else.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use confab_egress::{Auth, CallMeta, Connection, EndpointConfig, ErrorCode, InResponse, OutRequest};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::*;

/// A server that redirects `/base/go` to a place, `/base/again/N` to N + 1, and answers anything else with 200.
/// What it was asked comes out of the channel.
async fn server(status: u16, location: impl Into<String>) -> (SocketAddr, UnboundedReceiver<Seen>) {
    let (tell, told) = unbounded_channel();
    let location = location.into();
    let router = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let path = uri.path().to_owned();
        tell.send(Seen { method, uri, headers, body }).unwrap();
        let again = path.strip_prefix("/base/again/").map(|n| format!("{}", n.parse::<u32>().unwrap() + 1));
        let to = if path == "/base/go" { Some(location.clone()) } else { again };
        async move {
            let mut headers = HeaderMap::new();
            match to {
                Some(to) => {
                    headers.insert("location", to.parse().unwrap());
                    (StatusCode::from_u16(status).unwrap(), headers, "elsewhere")
                }
                None => (StatusCode::OK, headers, "arrived"),
            }
        }
    });
    (serve(router).await, told)
}

fn all(told: &mut UnboundedReceiver<Seen>) -> Vec<Seen> {
    std::iter::from_fn(|| told.try_recv().ok()).collect()
}

fn request(method: &str, body: &'static str) -> OutRequest {
    let headers = [("content-type", "text/plain"), ("accept", "text/plain"), ("x-mine", "1")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    OutRequest { method: method.into(), body: Bytes::from_static(body.as_bytes()), headers, ..get("/go") }
}

fn bearer() -> Auth {
    auth(json!({"kind": "bearer", "token": "env:SHOP_EU__TOKEN"}))
}

fn location(answer: &InResponse) -> &str {
    answer.headers.iter().find(|(name, _)| name == "location").map_or("", |(_, value)| value)
}

#[tokio::test]
async fn within_the_endpoint_methods_change_as_the_status_says() {
    for (status, method, becomes) in [
        (301, "GET", Some("GET")),
        (302, "GET", Some("GET")),
        (303, "GET", Some("GET")),
        (307, "GET", Some("GET")),
        (308, "GET", Some("GET")),
        (301, "POST", None),
        (302, "POST", None),
        (303, "POST", Some("GET")),
        (307, "POST", Some("POST")),
        (308, "PUT", Some("PUT")),
        (303, "DELETE", Some("GET")),
        (302, "DELETE", None),
        (300, "GET", None),
        (304, "GET", None),
        (305, "GET", None),
    ] {
        let (address, mut told) = server(status, "there?x=1#part").await;
        let answer = send(&to(address, bearer()), request(method, "{}")).await.unwrap();
        let seen = all(&mut told);
        let Some(becomes) = becomes else {
            assert_eq!((answer.status, seen.len(), answer.sent.requests), (status, 1, 1), "{status} {method}");
            continue;
        };
        assert_eq!((answer.status, text(&answer), answer.sent.requests), (200, "arrived", 2), "{status} {method}");
        let [_, hop] = seen.try_into().unwrap();
        assert_eq!((hop.method.as_str(), hop.uri.to_string().as_str()), (becomes, "/base/there?x=1"));
        assert_eq!((hop.header("authorization"), hop.header("x-mine")), (format!("Bearer {TOKEN}").as_str(), "1"));
        let kept = becomes == method;
        assert_eq!(!hop.body.is_empty(), kept, "{status} {method}");
        assert_eq!(hop.header("content-type"), if kept { "text/plain" } else { "" }, "{status} {method}");
    }
}

#[tokio::test]
async fn what_leads_out_of_the_endpoint_is_the_answer() {
    let (other, record) = recorder().await;
    for status in [301, 303, 307] {
        for place in [
            format!("http://{other}/base/x"),
            format!("//{other}/base/x"),
            "http://169.254.169.254/latest/meta-data/".into(),
            "http://[fd00:ec2::254]/latest/meta-data/".into(),
            "https://HOST/base/x".into(),
            "http://user:pass@HOST/base/x".into(),
            "http://user@HOST/base/x".into(),
            "ftp://HOST/base/x".into(),
            "file:///etc/passwd".into(),
            "javascript:alert(1)".into(),
            "http://localhost/base/x".into(),
            "http://HOST.evil.example/base/x".into(),
            "/other".into(),
            "/basement".into(),
            "/base/../other".into(),
            "../../other".into(),
            "/base/%2e%2e/other".into(),
            "/base/%252e%252e/other".into(),
            "/base/..%2fother".into(),
            "/base/..;/other".into(),
            "/base\\..\\other".into(),
            "\\\\HOST\\base\\x".into(),
            "/base/a b".into(),
            "/base/\tx".into(),
            "http://HOST:99999/base/x".into(),
            format!("/base/{}", "x".repeat(9000)),
            String::new(),
        ] {
            // The server does not know its own address before it is there.
            let (tell, mut told) = unbounded_channel();
            let wanted = place.clone();
            let router = Router::new().fallback(move |headers: HeaderMap, uri: Uri| {
                tell.send(uri.to_string()).unwrap();
                let host = headers["host"].to_str().unwrap().to_owned();
                let to = wanted.replace("HOST", &host);
                async move { (StatusCode::from_u16(status).unwrap(), [("location", to)], "no") }
            });
            let answer = send(&to(serve(router).await, bearer()), get("/go")).await.unwrap();
            // An empty one is the same place once more, which is a circle.
            assert_eq!(answer.status, status, "{place}");
            let asked: Vec<String> = std::iter::from_fn(|| told.try_recv().ok()).collect();
            assert_eq!(asked, ["/base/go"], "{place}");
        }
    }
    assert!(record.all().is_empty());
}

#[tokio::test]
async fn one_hop_too_many_and_a_circle_end_with_the_redirect() {
    let (address, mut told) = server(302, "/base/go").await;
    let connection = to(address, Auth::None);
    assert_eq!(send(&connection, get("/go")).await.unwrap().status, 302);
    assert_eq!(all(&mut told).len(), 1);
    let answer = send(&connection, get("/again/1")).await.unwrap();
    assert_eq!((answer.status, location(&answer), all(&mut told).len()), (302, "7", 6));
    // Two that point at each other.
    let (tell, mut told) = unbounded_channel();
    let router = Router::new().fallback(move |uri: Uri| {
        tell.send(()).unwrap();
        let to = if uri.path() == "/base/a" { "b" } else { "a" };
        async move { (StatusCode::SEE_OTHER, [("location", to)]) }
    });
    assert_eq!(send(&to(serve(router).await, Auth::None), get("/a")).await.unwrap().status, 303);
    assert_eq!(std::iter::from_fn(|| told.try_recv().ok()).count(), 2);
}

#[tokio::test]
async fn two_places_at_once_are_none() {
    let asked =
        raw(|_| b"HTTP/1.1 302 Found\r\nlocation: /base/a\r\nlocation: /base/b\r\ncontent-length: 0\r\n\r\n".into());
    assert_eq!(send(&to(asked.await, Auth::None), get("/go")).await.unwrap().status, 302);
}

#[tokio::test]
async fn a_redirects_own_body_is_capped_as_well() {
    let (tell, mut told) = unbounded_channel();
    let router = Router::new().fallback(move || {
        tell.send(()).unwrap();
        async { (StatusCode::FOUND, [("location", "/base/x")], vec![b'x'; 4 * 1024 * 1024 + 1]) }
    });
    assert_eq!(code(&to(serve(router).await, Auth::None), get("/go")).await, ErrorCode::TooLarge);
    assert_eq!(std::iter::from_fn(|| told.try_recv().ok()).count(), 1);
}

#[tokio::test]
async fn a_method_that_the_endpoint_does_not_allow_does_not_come_of_a_redirect() {
    let (address, mut told) = server(303, "there").await;
    let config = EndpointConfig {
        methods: vec!["POST".into()],
        ..endpoint("api", format!("http://{address}/base"), Auth::None)
    };
    let connection = connect(&egress(&[address.to_string()]), vec![config]).unwrap();
    assert_eq!(send(&connection, request("POST", "{}")).await.unwrap().status, 303);
    assert_eq!(all(&mut told).len(), 1);
}

#[tokio::test]
async fn a_credential_in_the_query_is_not_doubled_by_a_system_that_repeats_it() {
    let (address, mut told) = server(302, "there?key=tok-4711%2Fvery%2Bsecret&a=1&%6bey=other").await;
    let connection = to(address, auth(json!({"kind": "query", "name": "key", "value": "env:SHOP_EU__TOKEN"})));
    assert_eq!(send(&connection, get("/go")).await.unwrap().status, 200);
    let [_, hop] = all(&mut told).try_into().unwrap();
    assert_eq!(hop.uri, "/base/there?a=1&key=tok-4711%2Fvery%2Bsecret");
}

#[tokio::test]
async fn a_hop_is_signed_anew() {
    let (address, mut told) = server(307, "there").await;
    let config = json!({"kind": "hmac", "secret": "env:SHOP_EU__TOKEN", "sign": "{{ nonce }}{{ path }}{{ body }}",
        "headers": {"x-signature": "{{ signature }}", "x-path": "{{ path }}", "x-nonce": "{{ nonce }}"}});
    send(&to(address, auth(config)), request("POST", "{}")).await.unwrap();
    let [first, hop] = all(&mut told).try_into().unwrap();
    assert_eq!((first.header("x-path"), hop.header("x-path")), ("/base/go", "/base/there"));
    assert_ne!(first.header("x-nonce"), hop.header("x-nonce"));
    assert_ne!(first.header("x-signature"), hop.header("x-signature"));
}

/// `api` with a bearer token, and `files` with basic authentication that may only be read.
async fn two(place: &str, status: u16, methods: &[&str]) -> (Arc<Connection>, UnboundedReceiver<Seen>, Record) {
    let (files, record) = recorder().await;
    let (api, told) = server(status, format!("http://{files}{place}")).await;
    let basic = auth(json!({"kind": "basic", "username": "bot", "password": "env:SHOP_EU__PASSWORD"}));
    let mut second = endpoint("files", format!("http://{files}/files"), basic);
    second.methods = methods.iter().map(|method| (*method).to_owned()).collect();
    let endpoints = vec![endpoint("api", format!("http://{api}/base"), bearer()), second];
    let connection = connect(&egress(&[api.to_string(), files.to_string()]), endpoints).unwrap();
    (connection, told, record)
}

#[tokio::test]
async fn another_endpoint_gets_its_own_credential_and_nothing_of_the_connector() {
    for (status, method) in [(302, "GET"), (303, "POST"), (307, "GET")] {
        let (connection, _told, record) = two("/files/7?x=1", status, &["GET"]).await;
        let answer = send(&connection, request(method, "private")).await.unwrap();
        assert_eq!((answer.status, text(&answer)), (200, "fine"));
        let [seen] = record.all().try_into().unwrap();
        assert_eq!((seen.method.as_str(), seen.uri.to_string().as_str()), ("GET", "/files/7?x=1"));
        assert!(seen.header("authorization").starts_with("Basic "), "{seen:?}");
        assert_eq!((seen.header("accept"), seen.header("x-mine"), seen.header("content-type")), ("text/plain", "", ""));
        assert!(seen.body.is_empty() && !format!("{seen:?}").contains(TOKEN));
    }
}

#[tokio::test]
async fn another_endpoints_methods_and_prefix_hold_and_bodies_do_not_go_there() {
    for (place, status, method, methods) in [
        ("/files/7", 302, "GET", &["POST"][..]),
        ("/files/7", 307, "POST", &["GET", "POST"]),
        ("/files/7", 308, "DELETE", &["DELETE"]),
        ("/filesystem", 302, "GET", &["GET"]),
        ("/files/../x", 302, "GET", &["GET"]),
    ] {
        let (connection, _told, record) = two(place, status, methods).await;
        assert_eq!(send(&connection, request(method, "{}")).await.unwrap().status, status, "{place} {method}");
        assert!(record.all().is_empty(), "{place} {method}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_left_alone_is_not_called_by_redirect_either() {
    let (files, mut asked) = server(500, "x").await;
    let (api, _told) = server(302, format!("http://{files}/base/again/1")).await;
    let endpoints = vec![
        endpoint("api", format!("http://{api}/base"), Auth::None),
        endpoint("files", format!("http://{files}/base"), Auth::None),
    ];
    let connection = connect(&egress(&[api.to_string(), files.to_string()]), endpoints).unwrap();
    for _ in 0..5 {
        connection.send("files", get("/again/1"), CallMeta::default()).await.unwrap();
    }
    assert_eq!(all(&mut asked).len(), 5);
    assert_eq!(send(&connection, get("/go")).await.unwrap().status, 302);
    assert!(all(&mut asked).is_empty());
}

//! What is tried again, and what is not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use confab_egress::breaker::{BreakerState, Clock, ManualClock};
use confab_egress::{
    Auth, CallMeta, Connection, ConnectionSpec, ErrorCode, InResponse, OutRequest, RetryConfig, SendError,
};
use futures::future;
use tokio::io::AsyncWriteExt as _;

use crate::support::*;

/// Answers with these statuses, one after the other, and then with 200. 0 never answers.
async fn system(statuses: Vec<u16>) -> (SocketAddr, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let router = Router::new().fallback(move || {
        let n = count.fetch_add(1, Ordering::SeqCst);
        let status = statuses.get(n).copied().unwrap_or(200);
        async move {
            if status == 0 {
                return future::pending().await;
            }
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", format!("try-{}", n + 1).parse().unwrap());
            (StatusCode::from_u16(status).unwrap(), headers, "body").into_response()
        }
    });
    (serve(router).await, asked)
}

fn connection(address: SocketAddr, retry: Option<RetryConfig>) -> Arc<Connection> {
    let mut api = endpoint("api", format!("http://{address}"), Auth::None);
    api.idempotency_header = Some("X-Once".into());
    let spec = ConnectionSpec {
        tenant: TENANT.into(),
        connection: "erp".into(),
        endpoints: vec![api],
        retry,
        ..ConnectionSpec::default()
    };
    egress(&[address.to_string()]).connect(spec).unwrap()
}

fn request(method: &str, headers: &[(&str, &str)]) -> OutRequest {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    OutRequest { method: method.into(), headers, ..get("/x") }
}

async fn call(connection: &Connection, request: OutRequest, reads: bool) -> Result<InResponse, SendError> {
    let meta = CallMeta { reads, operation: "orders.get".into(), request_id: "r".into() };
    tokio::time::timeout(Duration::from_secs(60), connection.send("api", request, meta)).await.unwrap()
}

#[tokio::test]
async fn what_may_be_made_twice_is_and_nothing_else() {
    for (method, headers, reads, again) in [
        ("GET", &[][..], false, true),
        ("PUT", &[], false, false),
        ("DELETE", &[], false, false),
        ("POST", &[], false, false),
        ("PATCH", &[], false, false),
        ("POST", &[], true, true),
        ("POST", &[("Idempotency-Key", "k")], false, true),
        ("PATCH", &[("x-once", "k")], false, true),
        ("POST", &[("x-other", "k")], false, false),
    ] {
        for status in [502, 503, 504] {
            let (address, asked) = system(vec![status]).await;
            let answer = call(&connection(address, None), request(method, headers), reads).await.unwrap();
            let expected = if again { (200, 2) } else { (status, 1) };
            let what = format!("{method} {headers:?} {reads} {status}");
            assert_eq!((answer.status, answer.sent.attempts), expected, "{what}");
            assert_eq!(asked.load(Ordering::SeqCst), answer.sent.attempts as usize, "{what}");
            assert_eq!(answer.sent.provider_request_id, Some(format!("try-{}", expected.1)), "{what}");
        }
        if !headers.is_empty() || !["GET", "POST"].contains(&method) {
            continue;
        }
        // It did not begin: whatever it was.
        let (address, asked) = system(vec![429]).await;
        let answer = call(&connection(address, None), request(method, headers), reads).await.unwrap();
        assert_eq!((answer.status, asked.load(Ordering::SeqCst)), (200, 2), "{method}");
    }
    for status in [400, 404, 409, 500, 501] {
        let (address, asked) = system(vec![status]).await;
        let answer = call(&connection(address, None), get("/x"), true).await.unwrap();
        assert_eq!((answer.status, asked.load(Ordering::SeqCst)), (status, 1));
    }
}

#[tokio::test]
async fn a_call_is_made_at_most_as_often_as_its_connection_says() {
    for (attempts, expected) in [(Some(1), 1), (Some(2), 2), (None, 3)] {
        let (address, asked) = system(vec![503; 10]).await;
        let retry = attempts.map(|attempts| RetryConfig { attempts, try_timeout_ms: None });
        let answer = call(&connection(address, retry), get("/x"), false).await.unwrap();
        assert_eq!((answer.status, answer.sent.attempts), (503, expected));
        assert_eq!(asked.load(Ordering::SeqCst), expected as usize);
        assert_eq!(answer.sent.requests, expected);
    }
}

#[tokio::test]
async fn a_request_that_found_nobody_is_made_again_whatever_its_method() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = call(&connection(address, None), request("POST", &[]), false).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Connect);
    let sent = error.sent.unwrap();
    assert_eq!((sent.attempts, sent.bytes_out), (3, 0));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again_where_that_is_safe() {
    for (method, expected) in [("GET", 3), ("POST", 1)] {
        let broken = raw_with(|_, mut socket| async move {
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
        })
        .await;
        let error = call(&connection(broken, None), request(method, &[]), false).await.unwrap_err();
        assert_eq!((error.code, error.sent.unwrap().attempts), (ErrorCode::Protocol, expected), "{method}");
    }
}

#[tokio::test]
async fn a_try_without_an_answer_leaves_time_for_another() {
    let (address, asked) = system(vec![0]).await;
    let retry = RetryConfig { attempts: 3, try_timeout_ms: Some(100) };
    let answer = call(&connection(address, Some(retry.clone())), get("/x"), false).await.unwrap();
    assert_eq!((answer.status, answer.sent.attempts), (200, 2));
    // What may have begun is not made again: it gets all the time.
    let (address, _) = system(vec![0]).await;
    let hurry = OutRequest { timeout: Some(Duration::from_millis(300)), ..request("POST", &[]) };
    let error = call(&connection(address, Some(retry)), hurry, false).await.unwrap_err();
    assert_eq!((error.code, error.sent.unwrap().attempts), (ErrorCode::Timeout, 1));
    assert!(error.message.contains(" 300 ms") || error.message.contains(" 29"), "{}", error.message);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn only_a_fifth_of_many_calls_is_repeated() {
    let (address, asked) = system((0..400).map(|n| if n % 2 == 0 { 502 } else { 200 }).collect()).await;
    let connection = connection(address, None);
    let mut repeated = 0;
    for _ in 0..60 {
        let request = OutRequest { timeout: Some(Duration::from_secs(20)), ..get("/x") };
        match call(&connection, request, false).await {
            Ok(answer) => repeated += answer.sent.attempts as usize - 1,
            Err(error) => assert_eq!(error.code, ErrorCode::Unavailable, "{error}"),
        }
        connection.reset("api").await;
    }
    // A fifth of sixty, two for a quiet connection, and one each ten seconds that this took.
    assert!((8..=20).contains(&repeated), "{repeated}");
    assert_eq!(asked.load(Ordering::SeqCst), 60 + repeated);
}

#[tokio::test]
async fn tries_open_the_breaker_and_a_try_closes_it() {
    let now = Arc::new(Mutex::new(503_u16));
    let asked = Arc::new(AtomicUsize::new(0));
    let (answers, count) = (Arc::clone(&now), Arc::clone(&asked));
    let router = Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let status = *answers.lock().unwrap();
        async move { StatusCode::from_u16(status).unwrap() }
    });
    let address = serve(router).await;
    let clock = ManualClock::new();
    let spec = ConnectionSpec {
        tenant: TENANT.into(),
        connection: "erp".into(),
        endpoints: vec![endpoint("api", format!("http://{address}"), Auth::None)],
        ..ConnectionSpec::default()
    };
    let egress = egress(&[address.to_string()]).with_clock(Clock::Manual(clock.clone()));
    let connection = egress.connect(spec).unwrap();
    let mut last = 0;
    while connection.breakers()[0].1 == BreakerState::Closed {
        let answer = call(&connection, get("/x"), false).await.unwrap();
        assert_eq!(answer.status, 503, "what the system said, not that it was then left alone");
        last = answer.sent.attempts;
    }
    assert!(last >= 1);
    assert_eq!(asked.load(Ordering::SeqCst), 5, "each try counts");
    assert_eq!(call(&connection, get("/x"), false).await.unwrap_err().code, ErrorCode::Unavailable);
    *now.lock().unwrap() = 200;
    clock.advance(Duration::from_millis(1_300));
    assert_eq!(call(&connection, get("/x"), false).await.unwrap().status, 200);
    assert_eq!(connection.breakers()[0].1, BreakerState::Closed);
}

#[tokio::test]
async fn a_call_that_is_tried_again_is_one_line_in_the_log() {
    let (log, _guard) = Log::start();
    let (address, _) = system(vec![503; 3]).await;
    let _ = call(&connection(address, None), get("/x?customer=erika"), false).await;
    let lines = log.failures();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line = &lines[0];
    for (field, expected) in [
        ("connection", "erp"),
        ("endpoint", "api"),
        ("operation", "orders.get"),
        ("blame", "upstream"),
        ("provider_request_id", "try-3"),
    ] {
        assert_eq!(line[field], expected, "{line}");
    }
    assert_eq!((line["status"].as_u64(), line["attempts"].as_u64()), (Some(503), Some(3)));
    assert!(line["duration_ms"].is_u64());
    // The span that a collector of traces sees, on each line of the call.
    assert!(log.text().contains("\"name\":\"egress.send\""), "{}", log.text());
    assert!(!log.text().contains("erika"));
}

#[tokio::test]
async fn a_write_that_was_answered_with_a_redirect_is_not_made_again_for_what_the_redirect_led_to() {
    for status in [429, 503] {
        let posts = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&posts);
        let router = Router::new().fallback(move |method: axum::http::Method| {
            let posted = method == axum::http::Method::POST;
            count.fetch_add(usize::from(posted), Ordering::SeqCst);
            async move {
                match posted {
                    true => (StatusCode::SEE_OTHER, [("location", "/done")]).into_response(),
                    false => StatusCode::from_u16(status).unwrap().into_response(),
                }
            }
        });
        let connection = connection(serve(router).await, None);
        let answer = call(&connection, request("POST", &[]), false).await.unwrap();
        assert_eq!((answer.status, posts.load(Ordering::SeqCst)), (status, 1));
        // What is safe to make twice is made again.
        let answer = call(&connection, request("POST", &[("Idempotency-Key", "k")]), false).await.unwrap();
        assert!(answer.sent.attempts > 1, "{answer:?}");
    }
}

#[tokio::test]
async fn a_pause_beyond_all_clocks_is_not_waited_for() {
    let router = Router::new().fallback(|| async {
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "18446744073709551615")]).into_response()
    });
    let connection = connection(serve(router).await, None);
    let answer = call(&connection, request("GET", &[]), true).await.unwrap();
    assert_eq!((answer.status, answer.sent.attempts), (429, 1));
}

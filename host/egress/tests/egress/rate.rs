//! A provider with a limit, offered more than it allows, over real sockets.
//!
//! The clock is tokio's paused one, and a driver moves it: five milliseconds of it for each real one, so that sockets keep
//! up. Nothing depends on how fast the machine is, since provider and egress see the same clock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use confab_egress::{Auth, Connection, ConnectionSpec, ErrorCode, OutRequest, RateConfig, RetryConfig};
use serde_json::json;
use tokio::time::Instant;

use crate::support::*;

/// Moves the paused clock while it lives. A blocking task keeps tokio from moving it by itself while sockets are waited for.
struct Driver(Arc<AtomicBool>);

impl Driver {
    fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (seen, held) = (Arc::clone(&over), Arc::clone(&over));
        tokio::task::spawn_blocking(move || {
            while !held.load(Ordering::SeqCst) {
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        tokio::spawn(async move {
            while !seen.load(Ordering::SeqCst) {
                tokio::task::spawn_blocking(|| std::thread::park_timeout(Duration::from_millis(1))).await.unwrap();
                tokio::time::advance(Duration::from_millis(5)).await;
            }
        });
        Self(over)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A bucket of so many tokens, filled at that rate a second; 429 when it is empty.
async fn provider(size: f64, asked: Arc<AtomicUsize>, refused: Arc<AtomicUsize>) -> std::net::SocketAddr {
    let bucket = Arc::new(Mutex::new((size, Instant::now())));
    let router = Router::new().fallback(move || {
        asked.fetch_add(1, Ordering::SeqCst);
        let mut bucket = bucket.lock().unwrap();
        let now = Instant::now();
        let tokens = (bucket.0 + (now - bucket.1).as_secs_f64() * size).min(size);
        let good = tokens >= 1.0;
        *bucket = (if good { tokens - 1.0 } else { tokens }, now);
        if !good {
            refused.fetch_add(1, Ordering::SeqCst);
        }
        async move { if good { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS } }
    });
    serve(router).await
}

fn connection(address: std::net::SocketAddr, rate: Option<RateConfig>, attempts: u32) -> Arc<Connection> {
    let spec = ConnectionSpec {
        tenant: TENANT.into(),
        connection: "erp".into(),
        endpoints: vec![endpoint("api", format!("http://{address}"), Auth::None)],
        rate,
        retry: Some(RetryConfig { attempts, try_timeout_ms: None }),
        ..ConnectionSpec::default()
    };
    egress(&[address.to_string()]).connect(spec).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_provider_of_four_a_second_is_offered_fifty_and_never_has_to_refuse_one() {
    let (asked, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let address = provider(4.0, Arc::clone(&asked), Arc::clone(&refused)).await;
    let _driver = Driver::start();
    let rate = RateConfig { per_second: Some(4), burst: Some(4), per_minute: None };
    let connection = connection(address, Some(rate), 3);
    let mut calls = Vec::new();
    for _ in 0..200 {
        let connection = Arc::clone(&connection);
        calls.push(tokio::spawn(async move {
            let began = Instant::now();
            let request = OutRequest { timeout: Some(Duration::from_secs(5)), ..get("/x") };
            let meta = confab_egress::CallMeta::default();
            let result = connection.send("api", request, meta).await;
            assert!(began.elapsed() <= Duration::from_millis(5_100), "{:?}", began.elapsed());
            match result {
                Ok(answer) => {
                    assert_eq!((answer.status, answer.sent.attempts), (200, 1));
                    true
                }
                Err(error) => {
                    assert_eq!(error.code, ErrorCode::Limit, "{error}");
                    assert!(error.retry_after.is_some());
                    assert_eq!(error.sent.unwrap().requests, 0);
                    false
                }
            }
        }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut answered = 0;
    for call in calls {
        answered += usize::from(call.await.unwrap());
    }
    assert_eq!(refused.load(Ordering::SeqCst), 0);
    assert_eq!(asked.load(Ordering::SeqCst), answered);
    // Four seconds of calls and four more of the queue.
    assert!((25..=40).contains(&answered), "{answered}");
}

/// Answers with these, one after the other; the last one stays.
async fn answering(answers: Vec<(u16, Vec<(&'static str, &'static str)>)>) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let router = Router::new().fallback(move || {
        let n = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let (status, headers) = answers[n].clone();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        async move { (StatusCode::from_u16(status).unwrap(), map, "body") }
    });
    (serve(router).await, asked)
}

#[tokio::test]
async fn a_429_stops_all_calls_until_its_time_and_opens_no_breaker() {
    for told in ["60", "Fri, 31 Dec 2100 23:59:59 GMT"] {
        let (address, asked) = answering(vec![(429, vec![("retry-after", told)])]).await;
        let connection = connection(address, None, 3);
        assert_eq!(
            send(&connection, get("/x")).await.unwrap().status,
            429,
            "a pause that does not fit is not waited for"
        );
        for _ in 0..10 {
            let error = send(&connection, get("/x")).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::Limit);
            let seconds = error.retry_after.unwrap();
            assert!((50..=300).contains(&seconds), "{seconds}");
            assert!(error.message.contains("asked for a pause"), "{error}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(connection.breakers()[0].1, confab_egress::breaker::BreakerState::Closed);
    }
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_known_before_the_first_429() {
    let (address, asked) = answering(vec![
        (200, vec![("x-ratelimit-remaining", "2"), ("x-ratelimit-reset", "60")]),
        (200, vec![("ratelimit", "\"default\";r=1;t=60")]),
        (200, vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "60")]),
        (429, vec![]),
    ])
    .await;
    let connection = connection(address, None, 3);
    for _ in 0..3 {
        assert_eq!(send(&connection, get("/x")).await.unwrap().status, 200);
    }
    assert_eq!(code(&connection, get("/x")).await, ErrorCode::Limit);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn refused_calls_are_told_of_once_a_second() {
    let (log, _guard) = Log::start();
    let (address, _) = answering(vec![(429, vec![("retry-after", "60"), ("x-request-id", "abc-1")])]).await;
    let connection = connection(address, None, 1);
    for _ in 0..20 {
        let _ = send(&connection, get("/x")).await;
    }
    let lines = log.failures();
    assert!((2..10).contains(&lines.len()), "{lines:#?}");
    assert_eq!(lines[0]["provider_request_id"], "abc-1");
    assert_eq!((lines[0]["attempts"].as_u64(), lines[0]["blame"].as_str()), (Some(1), Some("upstream")));
    assert_eq!((lines[1]["code"].as_str(), lines[1]["blame"].as_str()), (Some("limit"), Some("host")));
}

#[tokio::test]
async fn a_login_and_the_call_after_it_are_two_requests_of_the_rate() {
    let (address, asked) = answering(vec![(200, vec![])]).await;
    let session = auth(json!({"kind": "session", "username": "bot", "password": "env:SHOP_EU__PASSWORD",
        "login": {"path": "/login", "body": "{}", "content_type": "text/plain"}, "value": "x"}));
    let spec = ConnectionSpec {
        tenant: TENANT.into(),
        connection: "erp".into(),
        endpoints: vec![endpoint("api", format!("http://{address}"), session)],
        rate: Some(RateConfig { per_minute: Some(1), ..RateConfig::default() }),
        retry: None,
        ..ConnectionSpec::default()
    };
    let connection = egress(&[address.to_string()]).connect(spec).unwrap();
    // The body is no JSON, so the login itself is what fails; it has used the only request of this minute.
    assert_eq!(code(&connection, get("/x")).await, ErrorCode::Unauthorised);
    assert_eq!(code(&connection, get("/x")).await, ErrorCode::Limit);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_rate_that_can_not_work_is_refused_with_its_place() {
    let spec = ConnectionSpec {
        tenant: TENANT.into(),
        connection: "erp".into(),
        endpoints: vec![],
        rate: Some(RateConfig { per_second: Some(0), ..RateConfig::default() }),
        retry: Some(RetryConfig { attempts: 9, try_timeout_ms: None }),
        ..ConnectionSpec::default()
    };
    let errors = egress(&[]).connect(spec).unwrap_err();
    let places: Vec<&str> = errors.iter().map(|error| error.at.as_str()).collect();
    assert_eq!(places, ["rate.per_second", "retry.attempts"]);
}

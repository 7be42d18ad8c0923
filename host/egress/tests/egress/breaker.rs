//! An endpoint that keeps failing is left alone, told of once, and tried again by one call.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use confab_egress::breaker::{BreakerState, Clock, ManualClock};
use confab_egress::{Auth, Connection, Egress, ErrorCode, InResponse, Limits, OutRequest, SendError};
use futures::future;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use serde_json::json;
use tokio::sync::{Notify, mpsc};

use crate::support::*;

/// A system whose answers the test decides.
#[derive(Clone)]
struct System {
    answer: Arc<Mutex<(u16, Option<String>)>>,
    asked: Arc<AtomicUsize>,
    address: SocketAddr,
}

impl System {
    async fn start() -> Self {
        let answer = Arc::new(Mutex::new((200, None::<String>)));
        let asked = Arc::new(AtomicUsize::new(0));
        let (now, count) = (Arc::clone(&answer), Arc::clone(&asked));
        let router = Router::new().fallback(move || {
            count.fetch_add(1, Ordering::SeqCst);
            let (status, retry_after) = now.lock().unwrap().clone();
            let mut headers = HeaderMap::new();
            if let Some(value) = retry_after {
                headers.insert("retry-after", value.parse().unwrap());
            }
            async move { (StatusCode::from_u16(status).unwrap(), headers, "body") }
        });
        Self { answer, asked, address: serve(router).await }
    }

    fn answers(&self, status: u16, retry_after: Option<&str>) {
        *self.answer.lock().unwrap() = (status, retry_after.map(str::to_owned));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A way out that this system is granted to, and the clock of its breakers.
    fn egress(&self) -> (Egress, ManualClock) {
        let clock = ManualClock::new();
        (egress(&[self.address.to_string()]).with_clock(Clock::Manual(clock.clone())), clock)
    }

    fn connect(&self, egress: &Egress) -> Arc<Connection> {
        connect(egress, vec![endpoint("api", format!("http://{}/base", self.address), Auth::None)]).unwrap()
    }
}

fn state(connection: &Connection) -> BreakerState {
    let [(name, state)] = connection.breakers().try_into().unwrap();
    assert_eq!(name, "api");
    state
}

fn is_open(connection: &Connection) -> bool {
    matches!(state(connection), BreakerState::Open { .. })
}

async fn times(n: usize, connection: &Connection) -> Vec<Result<InResponse, SendError>> {
    let mut results = Vec::new();
    for _ in 0..n {
        results.push(send(connection, get("/x")).await);
    }
    results
}

/// The last value of a metric of the endpoint, by its name.
fn metric(snapshot: &Snapshotter, name: &str) -> Option<f64> {
    snapshot.snapshot().into_vec().into_iter().find(|(key, ..)| key.key().name() == name).map(|(key, _, _, value)| {
        let labels: Vec<_> = key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        assert_eq!(labels, ["tenant=shop-eu", "connection=erp", "endpoint=api"]);
        match value {
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Counter(value) => value as f64,
            DebugValue::Histogram(_) => panic!("{name} is a histogram"),
        }
    })
}

#[tokio::test]
async fn a_system_that_is_down_is_left_alone_until_a_probe_succeeds() {
    let recorder = DebuggingRecorder::new();
    let snapshot = recorder.snapshotter();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    let (log, _guard) = Log::start();
    let system = System::start().await;
    let (egress, clock) = system.egress();
    let connection = system.connect(&egress);
    system.answers(500, None);
    for answer in times(5, &connection).await {
        assert_eq!(answer.unwrap().status, 500);
    }
    assert_eq!(metric(&snapshot, "confab_egress_breaker_open"), Some(1.0));
    for answer in times(3, &connection).await {
        let error = answer.unwrap_err();
        assert_eq!((error.code, error.code.as_str()), (ErrorCode::Unavailable, "unavailable"));
        let seconds = error.retry_after.unwrap();
        assert!((1..=2).contains(&seconds), "{error:?}");
        assert!(error.message.contains("\"api\"") && error.message.contains(&format!("in {seconds} s")), "{error}");
        assert!(error.is_upstream());
        let sent = error.sent.unwrap();
        assert_eq!((sent.requests, sent.bytes_out, sent.path.as_str()), (0, 0, "/base/x"));
    }
    assert_eq!(metric(&snapshot, "confab_egress_breaker_refused_total"), Some(3.0));
    assert_eq!(system.asked(), 5);
    // The probe fails: open for twice as long.
    clock.advance(Duration::from_millis(1_200));
    assert_eq!(send(&connection, get("/x")).await.unwrap().status, 500);
    clock.advance(Duration::from_millis(1_900));
    assert_eq!(code(&connection, get("/x")).await, ErrorCode::Unavailable);
    system.answers(200, None);
    clock.advance(Duration::from_millis(500));
    assert_eq!(send(&connection, get("/x")).await.unwrap().status, 200);
    assert_eq!((state(&connection), system.asked()), (BreakerState::Closed, 7));
    assert_eq!(metric(&snapshot, "confab_egress_breaker_open"), Some(0.0));
    let lines = log.text();
    let count = |text: &str| lines.lines().filter(|line| line.contains(text)).count();
    assert_eq!(count("calls to it are refused until one succeeds"), 1, "{lines}");
    assert_eq!(count("are let through again"), 1, "{lines}");
    assert_eq!(log.failures().len(), 6, "refused calls are no lines of their own");
}

#[tokio::test]
async fn a_system_that_asks_for_a_pause_gets_it() {
    let system = System::start().await;
    let (egress, clock) = system.egress();
    let connection = system.connect(&egress);
    for (status, told, seconds) in [(503, "7", 7), (503, "86400", 60)] {
        system.answers(status, Some(told));
        let before = system.asked();
        assert_eq!(send(&connection, get("/x")).await.unwrap().status, status);
        let error = send(&connection, get("/x")).await.unwrap_err();
        assert_eq!((error.code, error.retry_after), (ErrorCode::Unavailable, Some(seconds)), "{status} {told}");
        clock.advance(Duration::from_millis(u64::from(seconds) * 1_000 - 1));
        assert_eq!(code(&connection, get("/x")).await, ErrorCode::Unavailable);
        assert_eq!(system.asked(), before + 1);
        system.answers(200, None);
        clock.advance(Duration::from_millis(1));
        assert_eq!(send(&connection, get("/x")).await.unwrap().status, 200);
    }
    // Without a time it is a failure like others.
    system.answers(503, Some("soon"));
    times(4, &connection).await;
    assert_eq!(state(&connection), BreakerState::Closed);
    times(1, &connection).await;
    assert!(is_open(&connection));
}

#[tokio::test]
async fn answers_that_say_no_are_no_failures() {
    let system = System::start().await;
    let (egress, _) = system.egress();
    let connection = system.connect(&egress);
    for status in [400, 401, 403, 404, 409, 422] {
        system.answers(status, Some("60"));
        times(10, &connection).await;
        assert_eq!(state(&connection), BreakerState::Closed, "{status}");
    }
}

#[tokio::test]
async fn a_guest_can_not_open_it_with_requests_that_are_refused() {
    let system = System::start().await;
    let (egress, _) = system.egress();
    let connection = system.connect(&egress);
    for _ in 0..50 {
        code(&connection, get("/../x")).await;
        code(&connection, header("host", "x")).await;
        code(&connection, OutRequest { method: "TRACE".into(), ..get("/x") }).await;
        code(&connection, OutRequest { method: "POST".into(), body: vec![0; 4 << 20 | 1].into(), ..get("/x") }).await;
    }
    assert_eq!((state(&connection), system.asked()), (BreakerState::Closed, 0));
    // Nor by being in a hurry.
    let never = serve(Router::new().fallback(future::pending::<&'static str>)).await;
    let connection = to(never, Auth::None);
    for _ in 0..10 {
        let hurry = OutRequest { timeout: Some(Duration::from_millis(1)), ..get("/x") };
        assert_eq!(code(&connection, hurry).await, ErrorCode::Timeout);
    }
    assert_eq!(state(&connection), BreakerState::Closed);
}

#[tokio::test]
async fn no_connection_broken_answers_and_no_answer_in_time_are_failures() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let broken = raw(|_| b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()).await;
    let never = serve(Router::new().fallback(future::pending::<&'static str>)).await;
    for (address, expected) in
        [(nobody, ErrorCode::Connect), (broken, ErrorCode::Protocol), (never, ErrorCode::Timeout)]
    {
        let mut api = endpoint("api", format!("http://{address}"), Auth::None);
        api.timeout_ms = Some(if expected == ErrorCode::Timeout { 30 } else { 10_000 });
        let connection = connect(&egress(&[address.to_string()]), vec![api]).unwrap();
        for answer in times(5, &connection).await {
            let error = answer.unwrap_err();
            assert_eq!(error.code, expected);
            let bytes = error.sent.unwrap().bytes_out;
            assert_eq!(bytes > 0, expected != ErrorCode::Connect, "{expected}: {bytes}");
        }
        assert!(is_open(&connection), "{expected}");
    }
}

#[tokio::test]
async fn a_login_that_breaks_counts_and_a_wrong_password_does_not() {
    let session = json!({"kind": "session", "username": "bot", "password": "env:SHOP_EU__PASSWORD",
        "login": {"path": "/login", "body": "{}"}, "value": "x"});
    let limits =
        Limits { login_failed_pause: Duration::ZERO, login_refused_pause: Duration::ZERO, ..Limits::default() };
    for (status, open) in [(401, false), (500, true)] {
        let system = System::start().await;
        system.answers(status, None);
        let connection = to_with(system.address, auth(session.clone()), limits.clone());
        for answer in times(5, &connection).await {
            assert_eq!(answer.unwrap_err().code, ErrorCode::Unauthorised);
        }
        assert_eq!((is_open(&connection), system.asked()), (open, 5), "{status}");
    }
}

#[tokio::test]
async fn what_is_known_of_an_endpoint_outlives_its_connection() {
    let system = System::start().await;
    let (egress, _) = system.egress();
    let connection = system.connect(&egress);
    system.answers(500, None);
    times(5, &connection).await;
    let again = system.connect(&egress);
    drop(connection);
    assert_eq!(code(&again, get("/x")).await, ErrorCode::Unavailable);
    // Another place, another endpoint, another connection, another tenant: nothing is known of these.
    let at = |name: &str, path: &str| endpoint(name, format!("http://{}{path}", system.address), Auth::None);
    for (tenant, id, config) in [
        ("shop-eu", "erp", at("api", "/other")),
        ("shop-eu", "erp", at("second", "/base")),
        ("shop-eu", "crm", at("api", "/base")),
        ("shop-us", "erp", at("api", "/base")),
    ] {
        let spec = confab_egress::ConnectionSpec {
            tenant: tenant.into(),
            connection: id.into(),
            endpoints: vec![config.clone()],
            ..Default::default()
        };
        let other = egress.connect(spec).unwrap();
        assert_eq!(other.breakers(), [(config.name, BreakerState::Closed)], "{tenant} {id}");
    }
    // Nobody holds it any longer: forgotten.
    drop(again);
    assert_eq!(state(&system.connect(&egress)), BreakerState::Closed);
}

#[tokio::test]
async fn an_operator_can_close_it() {
    let system = System::start().await;
    let (egress, _) = system.egress();
    let connection = system.connect(&egress);
    system.answers(500, None);
    times(5, &connection).await;
    assert!(is_open(&connection) && !connection.reset("other").await);
    assert!(connection.reset("api").await);
    system.answers(200, None);
    assert_eq!(send(&connection, get("/x")).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_probe_whose_caller_gives_up_leaves_its_place_to_the_next() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (well, release) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let (is_well, held) = (Arc::clone(&well), Arc::clone(&release));
    let router = Router::new().fallback(move || {
        let (arrived, is_well, held) = (arrived.clone(), Arc::clone(&is_well), Arc::clone(&held));
        async move {
            arrived.send(()).unwrap();
            if !is_well.load(Ordering::SeqCst) {
                return StatusCode::BAD_GATEWAY;
            }
            held.notified().await;
            StatusCode::OK
        }
    });
    let address = serve(router).await;
    let clock = ManualClock::new();
    let egress = egress(&[address.to_string()]).with_clock(Clock::Manual(clock.clone()));
    let connection = connect(&egress, vec![endpoint("api", format!("http://{address}"), Auth::None)]).unwrap();
    times(5, &connection).await;
    for _ in 0..5 {
        arrivals.recv().await.unwrap();
    }
    well.store(true, Ordering::SeqCst);
    clock.advance(Duration::from_secs(2));
    let probe = |connection: &Arc<Connection>| {
        let connection = Arc::clone(connection);
        tokio::spawn(async move { send(&connection, get("/x")).await })
    };
    let first = probe(&connection);
    arrivals.recv().await.unwrap();
    assert_eq!(state(&connection), BreakerState::Probing);
    assert_eq!(code(&connection, get("/x")).await, ErrorCode::Unavailable, "one at a time");
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let second = probe(&connection);
    arrivals.recv().await.unwrap();
    // The first one's handler may still wait for the signal; both get one.
    release.notify_waiters();
    release.notify_one();
    assert_eq!(second.await.unwrap().unwrap().status, 200);
    assert_eq!(state(&connection), BreakerState::Closed);
}

#[tokio::test]
async fn a_record_can_say_what_a_call_was() {
    let system = System::start().await;
    let (egress, _) = system.egress();
    let token = auth(json!({"kind": "bearer", "token": "env:SHOP_EU__TOKEN"}));
    let base = format!("http://{}/base", system.address);
    let connection = connect(&egress, vec![endpoint("api", base, token)]).unwrap();
    let request = OutRequest { method: "post".into(), body: vec![b'x'; 1_000].into(), ..get("/orders?customer=erika") };
    let sent = send(&connection, request).await.unwrap().sent;
    assert_eq!(
        (sent.endpoint.as_str(), sent.method.as_str(), sent.path.as_str(), sent.status, sent.requests),
        ("api", "POST", "/base/orders", Some(200), 1)
    );
    assert_eq!(sent.host, system.address.to_string());
    let line = "POST /base/orders?customer=erika HTTP/1.1\r\n\r\n".len();
    let credential = format!("authorization: Bearer {TOKEN}\r\n").len();
    assert_eq!(sent.bytes_out, (line + credential + 1_000) as u64);
    assert!(sent.bytes_in > 4 && sent.bytes_in < 500, "{}", sent.bytes_in);
}

#[tokio::test]
async fn a_refused_request_is_told_of_with_its_method_and_path() {
    let (log, _guard) = Log::start();
    let system = System::start().await;
    let (egress, _) = system.egress();
    let connection = system.connect(&egress);
    let long = format!("/{}", "a".repeat(100_000));
    for (method, path, shown_method, shown_path) in [
        ("GET", "/a\r\nfake: line?q=erika", "GET", "/a\\r\\nfake: line"),
        ("GET", "http://evil.example/x#erika", "GET", "http://evil.example/x"),
        ("PO\nST\u{7f}ABCDEFGHIJKLMN", "/x", "PO\\nST\\u{7f}ABCDEFGHIJ", "/x"),
        ("GET", long.as_str(), "GET", &long[..256]),
    ] {
        let error = send(&connection, OutRequest { method: method.into(), ..get(path) }).await.unwrap_err();
        assert!(!error.is_upstream());
        let sent = error.sent.unwrap();
        assert_eq!((sent.method.as_str(), sent.path.as_str()), (shown_method, shown_path));
        let line = log.failures().pop().unwrap();
        assert_eq!((line["method"].as_str(), line["path"].as_str()), (Some(shown_method), Some(shown_path)));
        assert_eq!(line["endpoint"], "api");
    }
    assert!(!log.text().contains("erika"));
}

//! Deadlines and places.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get as on;
use confab_egress::{Auth, ErrorCode, Limits, OutRequest};
use futures::{StreamExt, future, stream};
use tokio::sync::{Notify, mpsc};

use crate::support::*;

fn within(path: &str, ms: u64) -> OutRequest {
    OutRequest { timeout: Some(Duration::from_millis(ms)), ..get(path) }
}

#[tokio::test]
async fn an_answer_that_never_ends_is_a_timeout() {
    let drip = || stream::iter([Ok::<_, std::io::Error>("x")]).chain(stream::pending());
    let router = Router::new()
        .route("/base/drip", on(move || async move { Body::from_stream(drip()) }))
        .route("/base/never", on(future::pending::<&'static str>));
    let connection = to(serve(router).await, Auth::None);
    for path in ["/drip", "/never"] {
        let started = Instant::now();
        assert_eq!(code(&connection, within(path, 150)).await, ErrorCode::Timeout, "{path}");
        assert!(started.elapsed() >= Duration::from_millis(150));
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_the_maximum() {
    let router = Router::new().fallback(future::pending::<&'static str>);
    let limits = Limits {
        max_timeout: Duration::from_millis(100),
        default_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let connection = to_with(serve(router).await, Auth::None, limits);
    assert_eq!(code(&connection, within("/x", 3_600_000)).await, ErrorCode::Timeout);
}

#[tokio::test]
async fn calls_beyond_the_places_wait_and_then_get_a_limit() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let release = Arc::new(Notify::new());
    let held = Arc::clone(&release);
    let router = Router::new().fallback(move || {
        let (arrived, held) = (arrived.clone(), Arc::clone(&held));
        async move {
            arrived.send(()).unwrap();
            held.notified().await;
            "done"
        }
    });
    let limits = Limits { concurrency: 2, ..Limits::default() };
    let connection = to_with(serve(router).await, Auth::None, limits);
    let call =
        |connection: Arc<confab_egress::Connection>| tokio::spawn(async move { send(&connection, get("/x")).await });
    let first = [call(Arc::clone(&connection)), call(Arc::clone(&connection))];
    arrivals.recv().await.unwrap();
    arrivals.recv().await.unwrap();
    let error = send(&connection, within("/x", 50)).await.unwrap_err();
    assert_eq!((error.code, error.retry_after), (ErrorCode::Limit, Some(1)));
    // One that can wait gets the place that becomes free.
    let third = call(Arc::clone(&connection));
    release.notify_one();
    arrivals.recv().await.unwrap();
    release.notify_one();
    release.notify_one();
    for done in first.into_iter().chain([third]) {
        assert_eq!(done.await.unwrap().unwrap().status, 200);
    }
}

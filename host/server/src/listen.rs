//! Accepting connections, with limits that a client can't sit out.
//!
//! `axum::serve` has no timer: a client that sends half a header keeps its connection for ever. Here a request's head must
//! arrive within [`HEAD_TIME`], idle connections are closed after the same time, and there are at most [`CONNECTIONS`].
//! (Bodies have a time of their own, see [`crate::gateway::input`].)

use axum::Router;
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Longest time for the head of a request, and for silence between requests.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Connections at once. Each idle one costs some kilobytes.
const CONNECTIONS: usize = 10_000;

/// Serves until told to stop; then waits for the requests that are being answered.
pub(crate) async fn serve<L: Listener>(mut listener: L, router: Router, mut stopped: watch::Receiver<bool>) {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    http.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD_TIME).keep_alive_timeout(HEAD_TIME);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let open = GracefulShutdown::new();
    loop {
        let (io, _address) = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(CONNECTIONS, "a connection was refused: too many are open");
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(io), service).into_owned();
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // How a connection ends is the client's business.
            let _ = connection.await;
            drop(place);
        });
    }
    open.shutdown().await;
}

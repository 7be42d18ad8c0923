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
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

/// Longest time for the head of a request, and for silence between requests.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Connections at once. Each idle one costs some kilobytes.
const CONNECTIONS: usize = 10_000;

/// Who sent a request, in its extensions. Behind a proxy it is the proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote(pub(crate) IpAddr);

/// An address that a connection comes from.
pub(crate) trait Peer {
    /// The other machine; none for a socket of this one.
    fn remote(&self) -> Option<Remote>;
}

impl Peer for SocketAddr {
    fn remote(&self) -> Option<Remote> {
        Some(Remote(self.ip().to_canonical()))
    }
}

impl Peer for tokio::net::unix::SocketAddr {
    fn remote(&self) -> Option<Remote> {
        None
    }
}

/// Serves until told to stop; then waits for the requests that are being answered.
pub(crate) async fn serve<L>(mut listener: L, router: Router, mut stopped: watch::Receiver<bool>)
where
    L: Listener,
    L::Addr: Peer,
{
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    http.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD_TIME).keep_alive_timeout(HEAD_TIME);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let open = GracefulShutdown::new();
    loop {
        let (io, address) = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(CONNECTIONS, "a connection was refused: too many are open");
            continue;
        };
        let remote = address.remote();
        let service = router.clone().map_request(move |mut request: http::Request<hyper::body::Incoming>| {
            if let Some(remote) = remote {
                request.extensions_mut().insert(remote);
            }
            request
        });
        let service = TowerToHyperService::new(service);
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

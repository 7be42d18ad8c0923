//! `confab serve`: the listeners, and stopping without losing a turn.

use crate::api::{App, Shared, router};
use crate::gateway::caller::FromOperator;
use crate::gateway::keys::Keys;
use crate::gateway::rate::{Limiter, Rates};
use crate::settings::{Common, Serve};
use crate::telemetry;
use anyhow::{Context, Result, bail};
use axum::{Extension, Router};
use confab_engine::Engine;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

/// Everything that answers requests, without a listener.
pub(crate) async fn app(common: &Common, rates: Rates, open_metrics: bool) -> Result<App> {
    let metrics = telemetry::start_metrics()?;
    make_private(&common.data)?;
    let engine = Engine::start(common.engine()?).await?;
    let keys = Keys::open(engine.store().clone()).await?;
    let limiter = Limiter::start(engine.store());
    Ok(Arc::new(Shared { engine, keys, limiter, rates, metrics, open_metrics, stopping: AtomicBool::new(false) }))
}

/// The same router for whoever may open the admin socket.
pub(crate) fn operator(app: App) -> Router {
    router(app).layer(Extension(FromOperator))
}

/// Runs until the process is told to stop.
pub(crate) async fn run(common: Common, serve: Serve) -> Result<()> {
    telemetry::start_log(serve.log_format, "info");
    let open_metrics = serve.open_metrics || serve.listen.ip().is_loopback();
    let app = app(&common, serve.rates(), open_metrics).await?;
    for folder in &serve.apply {
        crate::cli::apply::at_start(&app, folder).await?;
    }
    let listener =
        TcpListener::bind(serve.listen).await.with_context(|| format!("can't listen on {}", serve.listen))?;
    let address = listener.local_addr()?;
    let socket = admin_socket(&common.socket()).await?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "serving plain HTTP beyond this machine: put a proxy with HTTPS in front");
    }
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(refresh_metrics(app.metrics.clone()));
    let clients = axum::serve(listener, router(app.clone())).with_graceful_shutdown(until(stopped.clone()));
    let admin = axum::serve(socket, operator(app.clone())).with_graceful_shutdown(until(stopped));
    let clients = tokio::spawn(async move { clients.await });
    let admin = tokio::spawn(async move { admin.await });
    tracing::info!(%address, socket = %common.socket().display(), store = app.engine.store().backend(), "ready");
    // The line that scripts wait for.
    println!("listening on http://{address}");

    told_to_stop().await?;
    tracing::info!(in_flight = app.engine.turns_in_flight(), "stopping: no new requests, waiting for turns");
    app.stopping.store(true, Ordering::Relaxed);
    let _ = stop.send(true);
    let drained = async {
        let _ = clients.await;
        let _ = admin.await;
        app.engine.close().await;
    };
    if tokio::time::timeout(Duration::from_secs(serve.drain), drained).await.is_err() {
        let left = app.engine.turns_in_flight();
        let _ = std::fs::remove_file(common.socket());
        bail!("{left} turn(s) were not finished within {} s", serve.drain);
    }
    let _ = std::fs::remove_file(common.socket());
    tracing::info!("stopped");
    Ok(())
}

async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn told_to_stop() -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Histograms keep raw values until they are summed up; without a scraper they would grow.
async fn refresh_metrics(handle: metrics_exporter_prometheus::PrometheusHandle) {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

fn make_private(data: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(data).with_context(|| format!("can't create {}", data.display()))?;
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o700))
        .with_context(|| format!("can't restrict {} to its owner", data.display()))
}

/// The socket over which the operator's commands come. Its directory is mode 0700: who can open it is the operator.
async fn admin_socket(path: &Path) -> Result<UnixListener> {
    if tokio::net::UnixStream::connect(path).await.is_ok() {
        bail!("another confab serves {}; stop it, or choose another --data directory", path.display());
    }
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).with_context(|| format!("can't make the admin socket {}", path.display()))
}

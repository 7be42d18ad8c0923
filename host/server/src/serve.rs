//! `confab serve`: the listeners, and stopping without losing a turn.

use crate::api::{App, Shared, router};
use crate::gateway::caller::FromOperator;
use crate::gateway::keys::Keys;
use crate::gateway::rate::{Limiter, Rates};
use crate::listen;
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

/// How often it is looked whether turns are still being served, and how often in a row none must be: 2 s in all.
const CHECK: Duration = Duration::from_millis(100);
/// See [`CHECK`].
const QUIET_CHECKS: u32 = 20;

/// Everything that answers requests, without a listener.
pub(crate) async fn app(common: &Common, rates: Rates, open_metrics: bool, works: bool, journal: bool) -> Result<App> {
    let metrics = telemetry::start_metrics()?;
    make_private(&common.data)?;
    let engine = Engine::start(common.engine(works, journal)?).await?;
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
    // Before anything takes long: who is told to stop while it starts stops as soon as it has started. Process 1 of a container would
    // not hear of it otherwise.
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    // First of all, so that a port in use is found before anything is changed. Commands that come early wait in the socket's queue.
    make_private(&common.data)?;
    let listener =
        TcpListener::bind(serve.listen).await.with_context(|| format!("can't listen on {}", serve.listen))?;
    let address = listener.local_addr()?;
    let socket = admin_socket(&common.socket()).await?;
    let app = match app(&common, serve.rates(), open_metrics, true, !serve.no_journal).await {
        Ok(app) => app,
        Err(e) => {
            let _ = std::fs::remove_file(common.socket());
            return Err(e);
        }
    };
    for folder in &serve.apply {
        crate::cli::apply::at_start(&app, folder).await?;
    }
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "serving plain HTTP beyond this machine: put a proxy with HTTPS in front");
    }
    if serve.no_journal {
        tracing::warn!(
            "--no-journal: a turn that is cut off is lost, or its writes are made twice; for measuring only"
        );
    }
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(refresh_metrics(app.metrics.clone()));
    let clients = tokio::spawn(listen::serve(listener, router(app.clone()), stopped.clone()));
    let admin = tokio::spawn(listen::serve(socket, operator(app.clone()), stopped));
    tracing::info!(%address, socket = %common.socket().display(), store = app.engine.store().backend(), "ready");
    // The line that scripts wait for.
    println!("listening on http://{address}");

    told_to_stop(&mut terminate).await;
    tracing::info!(in_flight = app.engine.turns_in_flight(), "stopping: no new requests, waiting for turns");
    app.stopping.store(true, Ordering::Relaxed);
    let _ = stop.send(true);
    let answered = async {
        let _ = clients.await;
        let _ = admin.await;
    };
    // A client that holds back half a request must not keep the host from stopping: only turns are waited for.
    let only_idle = async {
        let mut quiet = 0;
        while quiet < QUIET_CHECKS {
            tokio::time::sleep(CHECK).await;
            quiet = if app.engine.turns_in_flight() == 0 { quiet + 1 } else { 0 };
        }
    };
    let drained = async {
        tokio::select! {
            () = answered => {}
            () = only_idle => {}
        }
        app.engine.close().await;
    };
    let outcome = tokio::time::timeout(Duration::from_secs(serve.drain), drained).await;
    let _ = std::fs::remove_file(common.socket());
    let left = app.engine.turns_in_flight();
    if outcome.is_err() && left > 0 {
        bail!("{left} turn(s) were not finished within {} s", serve.drain);
    }
    tracing::info!("stopped");
    Ok(())
}

async fn told_to_stop(terminate: &mut tokio::signal::unix::Signal) {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Histograms keep raw values until they are summed up; without a scraper they would grow.
async fn refresh_metrics(handle: metrics_exporter_prometheus::PrometheusHandle) {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

/// The data directory holds code that is run and conversations: nobody else may open it. One that holds other things and is
/// open to others is somebody else's; changing its mode would shut them out.
fn make_private(data: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    if !data.exists() {
        return std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data).with_context(|| {
            format!("can't create the data directory {}; choose another with --data", data.display())
        });
    }
    let wrong = || format!("{} can't be the data directory; choose another with --data", data.display());
    let mode = std::fs::metadata(data).with_context(wrong)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let foreign = std::fs::read_dir(data).with_context(wrong)?.flatten().any(|entry| {
        let name = entry.file_name();
        !OURS.iter().any(|ours| name == *ours)
    });
    if foreign {
        bail!(
            "the data directory {} is open to others and holds other things: choose a directory of its own with --data, or `chmod 700` it",
            data.display()
        );
    }
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o700)).with_context(wrong)
}

/// What a data directory holds.
const OURS: &[&str] = &["store", "code", "plugins", "installed", "admin.sock", "ready"];

/// The socket over which the operator's commands come. Its directory is mode 0700: who can open it is the operator.
async fn admin_socket(path: &Path) -> Result<UnixListener> {
    if tokio::net::UnixStream::connect(path).await.is_ok() {
        bail!("another confab serves {}; stop it, or choose another --data directory", path.display());
    }
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).with_context(|| format!("can't make the admin socket {}", path.display()))
}

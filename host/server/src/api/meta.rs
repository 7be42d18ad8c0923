//! For machines that watch this one: liveness, readiness, metrics, the API's description.

use super::App;
use crate::gateway::keys::Scope;
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// The OpenAPI 3.1 document, kept by hand next to the routes; a test holds the two together.
pub(crate) const OPENAPI: &str = include_str!("openapi.json");

/// `GET /healthz`: the process answers.
pub(crate) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`: it can serve turns.
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<Value>, Problem> {
    if app.stopping.load(Ordering::Relaxed) {
        return Err(Problem::overloaded("this host is stopping; ask another one").retry_after(1));
    }
    app.engine.store().ping().await?;
    let (tenants, bots, ready) = app.engine.registry().counts();
    Ok(Json(
        json!({"status": "ready", "store": app.engine.store().backend(), "tenants": tenants, "bots": bots, "bots_ready": ready}),
    ))
}

/// `GET /metrics`, in Prometheus' text format.
///
/// It names tenants and bots: beyond loopback it takes a key with the scope `admin`, unless the operator opened it.
pub(crate) async fn metrics(
    State(app): State<App>,
    caller: Result<Caller, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // A proxy on this machine brings strangers over loopback.
    let through_proxy = headers.contains_key("forwarded") || headers.contains_key("x-forwarded-for");
    if !app.open_metrics || through_proxy {
        caller?.needs(Scope::Admin)?;
    }
    let (intents, connectors) = app.engine.sandbox().free_places();
    metrics::gauge!("confab_plugin_places_free", "kind" => "intent").set(intents as f64);
    metrics::gauge!("confab_plugin_places_free", "kind" => "connector").set(connectors as f64);
    metrics::gauge!("confab_turns_in_flight").set(app.engine.turns_in_flight() as f64);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render()).into_response())
}

/// `GET /openapi.json`
pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

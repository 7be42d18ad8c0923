//! The HTTP API.
//!
//! | module | routes |
//! |---|---|
//! | [`chat`] | `POST /api/chat` |
//! | [`conversations`] | `/api/conversations/{id}/...`, `GET /api/handoffs` |
//! | [`events`] | `POST /api/events` |
//! | [`webhooks`] | `/webhooks/{TENANT.CONNECTION}` |
//! | [`admin`] | `/api/admin/...` |
//! | [`oauth`] | `GET /oauth/callback` |
//! | [`meta`] | health, readiness, metrics, OpenAPI, documentation |
//!
//! One router serves clients over TCP and the operator over the admin socket; only the caller differs.

pub(crate) mod admin;
pub(crate) mod chat;
pub(crate) mod conversations;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod meta;
pub(crate) mod oauth;
#[cfg(test)]
mod openapi_test;
pub(crate) mod webhooks;

use crate::gateway::keys::Keys;
use crate::gateway::rate::{Limiter, Rates};
use crate::gateway::{once, request};
use axum::Router;
use axum::routing::{delete, get, post};
use confab_engine::Engine;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What handlers share. Axum clones it for every extractor of every request.
pub(crate) type App = Arc<Shared>;

/// See [`App`].
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) keys: Arc<Keys>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) rates: Rates,
    pub(crate) metrics: PrometheusHandle,
    /// Whether `/metrics`, which names tenants and bots, is open to everybody who reaches the listener.
    pub(crate) open_metrics: bool,
    /// Set when the process was told to stop: it is still alive, but no longer ready.
    pub(crate) stopping: AtomicBool,
}

/// All routes.
pub(crate) fn router(app: App) -> Router {
    // What messages and events are answered under their keys, they keep by themselves.
    let admin = Router::new()
        .route("/api/admin/apply", post(admin::config::apply))
        .route("/api/admin/tenants", get(admin::config::tenants))
        .route("/api/admin/bots", get(admin::config::bots))
        .route("/api/admin/connections", get(admin::config::connections))
        .route("/api/admin/connections/{id}/check", post(admin::connections::check))
        .route("/api/admin/connections/{id}/connect", post(admin::connect::connect))
        .route("/api/admin/connections/{id}/disconnect", post(admin::connect::disconnect))
        .route("/api/admin/connections/{id}/call", post(admin::connections::call))
        .route("/api/admin/connections/{id}/invalidate", post(admin::cache::invalidate))
        .route("/api/admin/connections/{id}/files", get(admin::connections::files))
        .route("/api/admin/connections/{id}/files/{name}", get(admin::connections::download))
        .route("/api/admin/webhooks", get(admin::webhooks::list))
        .route("/api/admin/webhooks/{id}/deliveries", get(admin::webhooks::deliveries))
        .route("/api/admin/webhooks/{id}/ping", post(admin::webhooks::ping))
        .route("/api/admin/webhooks/{id}/replay", post(admin::webhooks::replay))
        .route("/api/admin/webhooks/{id}/enable", post(admin::webhooks::enable))
        .route("/api/admin/webhooks/{id}/disable", post(admin::webhooks::disable))
        .route("/api/admin/rollouts", get(admin::rollouts::list))
        .route("/api/admin/rollouts/{plugin}/upgrade", post(admin::rollouts::upgrade))
        .route("/api/admin/rollouts/{plugin}/promote", post(admin::rollouts::promote))
        .route("/api/admin/rollouts/{plugin}/rollback", post(admin::rollouts::rollback))
        .route("/api/admin/plugins", get(admin::plugins::list).post(admin::plugins::install))
        .route("/api/admin/plugins/{name}/{version}", delete(admin::plugins::remove))
        .route("/api/admin/keys", get(admin::keys::list).post(admin::keys::create))
        .route("/api/admin/keys/{id}", delete(admin::keys::revoke))
        .route("/api/admin/failures", get(admin::failures::list).delete(admin::failures::delete))
        .route("/api/admin/replay", post(admin::replay::replay))
        .route("/api/admin/events", get(admin::events::list))
        .route("/api/admin/events/replay", post(admin::events::replay))
        .route("/api/admin/events/{id}", get(admin::events::show))
        .route("/api/admin/usage", get(admin::usage::get))
        .route("/api/admin/breakers", get(admin::breakers::list).delete(admin::breakers::reset))
        .route_layer(axum::middleware::from_fn_with_state(app.clone(), once::once));
    Router::new()
        .route("/api/chat", post(chat::chat))
        .route("/api/conversations/{id}", get(conversations::get))
        .route("/api/conversations/{id}/messages", get(conversations::news).post(conversations::reply))
        .route("/api/conversations/{id}/claim", post(conversations::claim))
        .route("/api/conversations/{id}/release", post(conversations::release))
        .route("/api/handoffs", get(conversations::handoffs))
        .route("/api/events", post(events::accept).options(events::handshake))
        .route("/webhooks/{address}", get(webhooks::receive).post(webhooks::receive))
        .route("/oauth/callback", get(oauth::callback))
        .route("/healthz", get(meta::healthz))
        .route("/readyz", get(meta::readyz))
        .route("/metrics", get(meta::metrics))
        .route("/openapi.json", get(meta::openapi))
        .route("/docs", get(docs::page))
        .merge(admin)
        .fallback(request::unknown_path)
        .method_not_allowed_fallback(request::unknown_method)
        .layer(axum::middleware::from_fn(request::around))
        .with_state(app)
}

//! Connecting a connection by a person: the link, and the way out. Where the browser comes back to: [`super::super::oauth`].

use super::super::App;
use super::connections::whose;
use super::time;
use crate::gateway::input::{Params, PathParams};
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::State;
use confab_engine::TenantId;
use confab_engine::egress::{AuthState, ErrorCode};
use confab_engine::registry::Connection;
use confab_engine::tokens::connect::ConnectError;
use serde::Deserialize;
use serde_json::{Value, json};

/// Which connection of whom, and which endpoint of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectQuery {
    tenant: Option<TenantId>,
    endpoint: Option<String>,
}

/// `POST /api/admin/connections/{id}/connect`
pub(crate) async fn connect(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<ConnectQuery>,
) -> Result<Json<Value>, Problem> {
    let (tenant, id) = whose(&caller, query.tenant.as_ref(), &id)?;
    let link = app.engine.connect_link(&tenant, &id, query.endpoint.as_deref()).await?;
    Ok(Json(json!({
        "connection": id, "endpoint": link.endpoint,
        "authorization_url": link.url, "expires_at": time(link.expires_at),
    })))
}

/// `POST /api/admin/connections/{id}/disconnect`
pub(crate) async fn disconnect(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<ConnectQuery>,
) -> Result<Json<Value>, Problem> {
    let (tenant, id) = whose(&caller, query.tenant.as_ref(), &id)?;
    let done = app.engine.disconnect(&tenant, &id, query.endpoint.as_deref()).await?;
    let endpoints: Vec<Value> = done
        .into_iter()
        .map(|(name, done)| json!({"endpoint": name, "was_connected": done.was_connected, "revoked": done.revoked}))
        .collect();
    Ok(Json(json!({ "connection": id, "endpoints": endpoints })))
}

/// How a connection's endpoints with OAuth2 stand.
pub(super) async fn states(connection: &Connection) -> Vec<Value> {
    let mut states = Vec::new();
    for (endpoint, state) in connection.auth_states().await {
        let mut shown = json!({"endpoint": endpoint, "state": state.name()});
        let more = match state {
            AuthState::Connected { expires_at, renewable } => {
                json!({"expires_at": expires_at.and_then(time), "renewable": renewable})
            }
            AuthState::ReconnectNeeded { because } | AuthState::Unknown { because } => json!({ "reason": because }),
            AuthState::NotConnected => json!({}),
        };
        if let (Some(shown), Value::Object(more)) = (shown.as_object_mut(), more) {
            shown.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
        }
        states.push(shown);
    }
    states
}

impl From<ConnectError> for Problem {
    fn from(error: ConnectError) -> Self {
        let detail = error.to_string();
        match error {
            ConnectError::Connection(error) => error.into(),
            ConnectError::Store(error) => error.into(),
            ConnectError::NotByPerson(_) => Problem::unsupported(detail),
            ConnectError::Which { .. } => Problem::invalid_input(detail),
            ConnectError::NoPublicUrl => Problem::connection_not_ready(detail),
            ConnectError::Failed(error) if error.code == ErrorCode::Unavailable => {
                Problem::store_unavailable(detail).retry_after(2)
            }
            ConnectError::Failed(_) => Problem::upstream(detail),
            ConnectError::Internal(_) => {
                tracing::error!("{detail}");
                Problem::internal("the link could not be made; the request id finds it in the log")
            }
        }
    }
}

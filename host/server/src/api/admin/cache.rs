//! What is kept of a connection's results is no longer true.

use super::super::App;
use super::super::chat::TenantQuery;
use super::bounded;
use crate::gateway::input::{JsonBody, Params, PathParams};
use crate::gateway::keys::Scope;
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::State;
use confab_engine::ConnectionId;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most tags of one request: a webhook tells of a few records.
const TAGS: usize = 100;
/// Longest tag.
const TAG_CHARS: usize = 200;

/// Which results.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvalidateRequest {
    #[serde(default)]
    pub(crate) tags: Vec<String>,
}

/// `POST /api/admin/connections/{id}/invalidate`
pub(crate) async fn invalidate(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<TenantQuery>,
    JsonBody(body): JsonBody<InvalidateRequest>,
) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    let tenant = caller.tenant(query.tenant.as_ref())?;
    let unknown = || Problem::unknown_connection(format!("there is no connection `{}`", id.escape_debug()));
    let connection: ConnectionId = id.parse().map_err(|_| unknown())?;
    if body.tags.len() > TAGS {
        return Err(Problem::invalid_input(format!("name at most {TAGS} tags, or none for all results")).at("/tags"));
    }
    let mut tags = Vec::with_capacity(body.tags.len());
    for (at, tag) in body.tags.into_iter().enumerate() {
        tags.extend(bounded(&format!("/tags/{at}"), Some(tag), TAG_CHARS)?);
    }
    let everywhere = app.engine.refresh_connection(&tenant, &connection, &tags).await?;
    Ok(Json(json!({ "connection": connection, "tags": tags, "everywhere": everywhere })))
}

//! A connection: whether it works, and what it holds as files.

use super::super::App;
use super::super::chat::TenantQuery;
use crate::gateway::input::{Params, PathParams};
use crate::gateway::keys::Scope;
use crate::gateway::request::RequestId;
use crate::gateway::{Caller, Problem};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use confab_engine::{ConnectionId, TenantId};
use http::{HeaderValue, header};
use serde_json::{Value, json};

pub(super) fn whose(caller: &Caller, tenant: Option<&TenantId>, id: &str) -> Result<(TenantId, ConnectionId), Problem> {
    caller.needs(Scope::Admin)?;
    let tenant = caller.tenant(tenant)?;
    let id = id
        .parse()
        .map_err(|_| Problem::unknown_connection(format!("there is no connection `{}`", id.escape_debug())))?;
    Ok((tenant, id))
}

/// `POST /api/admin/connections/{id}/check`
pub(crate) async fn check(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<TenantQuery>,
    Extension(request): Extension<RequestId>,
) -> Result<Json<Value>, Problem> {
    let (tenant, id) = whose(&caller, query.tenant.as_ref(), &id)?;
    let findings = app.engine.check_connection(&tenant, &id, request.0).await?;
    Ok(Json(json!({ "connection": id, "findings": findings })))
}

/// `GET /api/admin/connections/{id}/files`
pub(crate) async fn files(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<TenantQuery>,
    Extension(request): Extension<RequestId>,
) -> Result<Json<Value>, Problem> {
    let (tenant, id) = whose(&caller, query.tenant.as_ref(), &id)?;
    let files = app.engine.connection_files(&tenant, &id, request.0).await?;
    Ok(Json(json!({ "connection": id, "files": files })))
}

/// `GET /api/admin/connections/{id}/files/{name}`
pub(crate) async fn download(
    State(app): State<App>,
    caller: Caller,
    PathParams((id, name)): PathParams<(String, String)>,
    Params(query): Params<TenantQuery>,
    Extension(request): Extension<RequestId>,
) -> Result<Response, Problem> {
    let (tenant, id) = whose(&caller, query.tenant.as_ref(), &id)?;
    let content = app.engine.download(&tenant, &id, &name, request.0).await?;
    let mut response = content.into_response();
    let kind = if name.ends_with(".csv") { "text/csv; charset=utf-8" } else { "application/octet-stream" };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(response)
}

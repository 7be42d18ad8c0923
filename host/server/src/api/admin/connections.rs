//! A connection: whether it works, and what it holds as files.

use super::super::App;
use super::super::chat::TenantQuery;
use crate::gateway::input::{JsonBody, Params, PathParams};
use crate::gateway::keys::Scope;
use crate::gateway::request::RequestId;
use crate::gateway::{Caller, Problem};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use confab_engine::connections::ConnectionCall;
use confab_engine::{ConnectionError, ConnectionId, TenantId};
use http::{HeaderValue, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

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

/// A call of a function.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallRequest {
    capability: String,
    function: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    idempotency_key: Option<String>,
    locale: Option<String>,
}

/// Longest name of an interface or function, and longest idempotency key: what the contract and its systems can hold.
const NAME_BYTES: usize = 200;

/// `POST /api/admin/connections/{id}/call`
pub(crate) async fn call(
    State(app): State<App>,
    caller: Caller,
    PathParams(id): PathParams<String>,
    Params(query): Params<TenantQuery>,
    Extension(request): Extension<RequestId>,
    JsonBody(body): JsonBody<CallRequest>,
) -> Result<Json<Value>, Problem> {
    let (tenant, id) = whose(&caller, query.tenant.as_ref(), &id)?;
    let CallRequest { capability, function, arguments, idempotency_key, locale } = body;
    let named = [Some(&capability), Some(&function), idempotency_key.as_ref(), locale.as_ref()];
    if named.into_iter().flatten().any(|text| text.is_empty() || text.len() > NAME_BYTES) {
        let detail = format!("capability, function, idempotency_key and locale have 1 to {NAME_BYTES} bytes");
        return Err(Problem::bad_request(detail));
    }
    let operation = format!("{capability}.{function}");
    let call = ConnectionCall { capability, function, arguments, idempotency_key, locale };
    match app.engine.call_connection(&tenant, &id, call, request.0).await {
        Ok(result) => Ok(Json(json!({ "connection": id, "operation": operation, "result": result }))),
        Err(ConnectionError::Refused(e)) => Ok(Json(json!({
            "connection": id,
            "operation": operation,
            "error": { "code": e.code, "message": e.message, "retry_after": e.retry_after },
        }))),
        Err(other) => Err(other.into()),
    }
}

//! `POST /webhooks/{TENANT.CONNECTION}`: a platform calls.
//!
//! Whose call it is stands in the address alone. No key is needed: that the call is genuine the connection's check says, see
//! `confab_engine::events::webhook`. Before anything that costs something, calls are limited for each connection, and for each remote address of it. A
//! refusal tells nothing of why, nor whether an address without a webhook is a connection.

use super::App;
use crate::gateway::Problem;
use crate::gateway::input::{BODY_BYTES, PathParams, raw_body};
use crate::gateway::rate::Check;
use crate::gateway::request::RequestId;
use crate::listen::Remote;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use confab_engine::events::Refused;
use confab_engine::sandbox::WebhookRequest;
use confab_engine::{ConnectionId, TenantId};
use http::{HeaderName, HeaderValue, StatusCode, header};

/// The handler.
pub(crate) async fn receive(
    State(app): State<App>,
    PathParams(address): PathParams<String>,
    Extension(request_id): Extension<RequestId>,
    remote: Option<Extension<Remote>>,
    request: Request,
) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("there is no webhook at this address");
    let (tenant, connection) = address.split_once('.').ok_or_else(unknown)?;
    let tenant: TenantId = tenant.parse().map_err(|_| unknown())?;
    let connection: ConnectionId = connection.parse().map_err(|_| unknown())?;
    // Names that nobody has would only fill the table of counters.
    if app.engine.registry().connection(&tenant, &connection).is_none() {
        return Err(unknown());
    }
    let of_connection = format!("w/{tenant}/{connection}");
    // Of this connection: platforms and proxies call for many tenants from one address.
    let of_address = remote.map(|Extension(Remote(address))| format!("wa/{tenant}/{connection}/{address}"));
    let mut checks = Vec::new();
    if let Some(subject) = &of_address {
        checks.push(Check { policy: "webhook-address", subject, limit: app.rates.webhook.div_ceil(2) });
    }
    checks.push(Check { policy: "webhook", subject: &of_connection, limit: app.rates.webhook });
    app.limiter.take(&checks)?;

    let (method, uri) = (request.method().to_string(), request.uri().clone());
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let host = headers.iter().find(|(name, _)| name == "host").map(|(_, host)| format!("http://{host}"));
    let public = app.engine.public_url().map(str::to_owned).or(host).unwrap_or_default();
    let target = uri.path_and_query().map_or(uri.path(), http::uri::PathAndQuery::as_str);
    let url = format!("{public}{target}");
    let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
    let body = raw_body(request, BODY_BYTES).await?;
    let request = WebhookRequest { method, url, path, query, headers, body };
    let received = app.engine.receive_webhook(&tenant, &connection, request, request_id.0).await?;
    let Some(answer) = received.answer else { return Ok(StatusCode::ACCEPTED.into_response()) };
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    // The words are a plugin's: no browser may take them for a page of this server's.
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    Ok(response)
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::Unknown => Problem::not_found(detail),
            Refused::NotGenuine => Problem::webhook_refused(detail),
            Refused::NotUnderstood(_) => Problem::bad_request(detail),
            Refused::Unavailable { retry_after_s, .. } => {
                Problem::connection_not_ready(detail).retry_after(retry_after_s)
            }
            Refused::Store(error) => error.into(),
        }
    }
}

//! `Idempotency-Key` on all of the admin API that changes something. Messages and events keep their answers by themselves.
//!
//! A request under a key is a small conversation of its own in the store: its lock is what a repeat meets while the first is being
//! served, its stored answer is what a repeat gets afterwards. See [`super::idempotency`].
//!
//! 1. Who asks, and which key; without one the request goes on as it is.
//! 2. Take the lock, or find the answer.
//! 3. Serve. What succeeded, and what will be refused each time, is kept; what may succeed later is not.

use super::idempotency::{IDEMPOTENCY_KEY, REPLAYED, key_of, scoped};
use super::input::BUNDLE_BYTES;
use super::{Caller, Problem};
use crate::api::App;
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use confab_engine::IdempotencyKey;
use confab_engine::store::{BeginTurn, Begun, ConversationKey, Lease, Store, StoredAnswer, TurnCommit};
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Longest that a request holds its key: applying a large folder on a busy machine takes minutes.
const HOLD: Duration = Duration::from_secs(600);
/// Largest body of the operator's, a plugin.
const OPERATOR_BYTES: usize = 80 << 20;
/// Largest answer that is kept.
const ANSWER_BYTES: usize = 4 << 20;
/// The one answer of such a conversation.
const ANSWER: &str = "answer";

/// What is kept of an answer.
#[derive(Serialize, Deserialize)]
struct Kept {
    fingerprint: String,
    status: u16,
    content_type: Option<String>,
    body: String,
}

/// The middleware.
pub(crate) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let changes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(request.method());
    if !changes || !request.headers().contains_key(&IDEMPOTENCY_KEY) {
        return next.run(request).await;
    }
    served_once(&app, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn served_once(app: &App, request: Request, next: Next) -> Result<Response, Problem> {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, app).await?;
    let Some(key) = key_of(&parts.headers, None)? else {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let limit = if matches!(caller, Caller::Operator) { OPERATOR_BYTES } else { BUNDLE_BYTES };
    let body =
        Limited::new(body, limit).collect().await.map_err(|e| match e.is::<http_body_util::LengthLimitError>() {
            true => Problem::body_too_large(format!("a body may have up to {limit} bytes")),
            false => Problem::bad_request("the body did not arrive whole"),
        })?;
    let body = body.to_bytes();
    let mut content = format!("{} {}\n", parts.method, parts.uri).into_bytes();
    content.extend_from_slice(&body);
    let key = scoped(&caller, &key, &content);
    let store = app.engine.store().clone();
    // No tenant has such a name.
    let place = ConversationKey::new("#once", "request", key.name.as_str());
    let begin = BeginTurn { wait: Duration::ZERO, hold: HOLD, most_waiting: 0, answer_key: Some(ANSWER.to_owned()) };
    let lease = match store.begin_turn(&place, begin).await {
        Ok(Begun::Open(open)) => open.lease,
        Ok(Begun::Answered(kept)) => return again(&kept, &key),
        Err(error) => {
            use confab_engine::store::StoreError::{Busy, Crowded, InFlight};
            return Err(match error {
                Busy | Crowded | InFlight => {
                    Problem::in_flight("a request with the same idempotency key is being served").retry_after(1)
                }
                other => other.into(),
            });
        }
    };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    keep(store, lease, &key, route, response).await
}

/// The answer that was given before.
fn again(kept: &[u8], key: &IdempotencyKey) -> Result<Response, Problem> {
    let kept: Kept = serde_json::from_slice(kept)
        .map_err(|e| Problem::internal(format!("the answer kept for this request can't be read: {e}")))?;
    if kept.fingerprint != key.fingerprint {
        return Err(Problem::key_reused("this idempotency key was used for another request; use a new key for each"));
    }
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let mut response = (status, kept.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if let Some(value) = kept.content_type.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Keeps an answer, if a repeat should get it.
async fn keep(
    store: Arc<dyn Store>,
    lease: Lease,
    key: &IdempotencyKey,
    route: &str,
    response: Response,
) -> Result<Response, Problem> {
    // Problems are written further out, and a refusal by form or right comes out the same without being kept.
    if !response.status().is_success() {
        store.abandon_turn(lease).await;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body: Bytes = match Limited::new(body, ANSWER_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            store.abandon_turn(lease).await;
            return Err(Problem::internal("the answer is too large to be kept under an idempotency key"));
        }
    };
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let text = String::from_utf8_lossy(&body).into_owned();
    let kept = Kept {
        fingerprint: key.fingerprint.clone(),
        status: parts.status.as_u16(),
        content_type,
        body: if route == "/api/admin/keys" { without_secret(&text) } else { text },
    };
    let answer = StoredAnswer {
        key: ANSWER.to_owned(),
        body: Bytes::from(serde_json::to_vec(&kept).unwrap_or_default()),
        expires_in: key.keep,
    };
    let commit = TurnCommit { expires_in: key.keep, answers: vec![answer], ..TurnCommit::default() };
    if let Err(error) = store.commit_turn(lease, commit).await {
        // It is done all the same; only a repeat would be done again.
        tracing::warn!(%error, route, "an answer could not be kept under its idempotency key");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// A new API key is shown once: what is kept tells all of it but the secret.
fn without_secret(answer: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(answer) {
        Ok(serde_json::Value::Object(mut object)) => {
            object.insert("key".to_owned(), serde_json::Value::Null);
            serde_json::Value::Object(object).to_string()
        }
        _ => "{}".to_owned(),
    }
}

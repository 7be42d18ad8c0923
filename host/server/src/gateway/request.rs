//! Around every request: an id, one log line, a document for every refusal, and no panic that reaches the client.

use super::Problem;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::{HeaderName, HeaderValue, header};
use hyper::body::Body as _;
use metrics::Counter;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

/// The header that carries the id, both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Id of a request, in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// Longest id that is taken over from a client.
const MAX_ID: usize = 64;

/// The middleware.
pub(crate) async fn around(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id: Arc<str> = match request.headers().get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(|v| usable(v)) {
        Some(given) => Arc::from(given),
        None => Arc::from(&*uuid::Uuid::now_v7().simple().encode_lower(&mut uuid::Uuid::encode_buffer())),
    };
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let path = request.uri().clone();
    let (request, rest) = if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        // Nothing to read, or a client that waits for our word before it sends.
        (request, None)
    } else {
        let (parts, body) = request.into_parts();
        let (body, rest) = super::body::share(body);
        (Request::from_parts(parts, body), Some(rest))
    };
    // A panic becomes an answer like any other; the process and its other turns go on.
    let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_panic) => Problem::internal("something went wrong; the request id finds it in the log").into_response(),
    };
    let status = response.status();
    let mut code = "";
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        code = problem.code;
        let detail = problem.detail.clone();
        if let Some(rest) = rest {
            rest.discard().await;
        }
        let refused = problem.into_response_for(&id);
        let mut headers = std::mem::take(response.headers_mut());
        headers.remove(http::header::CONTENT_LENGTH);
        response = refused;
        for (name, value) in headers {
            if let Some(name) = name {
                response.headers_mut().entry(name).or_insert(value);
            }
        }
        tracing::info!(request_id = %id, %method, path = cut(path.path()), status = status.as_u16(), code, ms = started.elapsed().as_millis() as u64, "{detail}");
    } else {
        tracing::debug!(request_id = %id, %method, path = path.path(), status = status.as_u16(), ms = started.elapsed().as_millis() as u64, "served");
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    count(route.as_ref().map_or("unmatched", MatchedPath::as_str), status.as_u16(), code);
    response
}

/// Counts a request. The handle of the ordinary case, success, is kept by route: making one costs more than all the rest here.
fn count(route: &str, status: u16, code: &'static str) {
    static ORDINARY: RwLock<BTreeMap<String, Counter>> = RwLock::new(BTreeMap::new());
    let class = status_class(status);
    let make = || metrics::counter!("confab_http_requests_total", "route" => route.to_owned(), "status" => class, "code" => code);
    if class != "2xx" {
        return make().increment(1);
    }
    if let Some(counter) = ORDINARY.read().get(route) {
        return counter.increment(1);
    }
    ORDINARY.write().entry(route.to_owned()).or_insert_with(make).increment(1);
}

/// A path as far as a log needs it.
fn cut(path: &str) -> &str {
    let end = path.char_indices().nth(200).map_or(path.len(), |(at, _)| at);
    path.get(..end).unwrap_or_default()
}

fn usable(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= MAX_ID
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn status_class(status: u16) -> &'static str {
    match status {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// For paths that nobody serves.
pub(crate) async fn unknown_path(request: Request) -> Response {
    Problem::not_found(format!("there is nothing at {}; GET /docs lists what there is", request.uri().path()))
        .into_response()
}

/// For methods that a path doesn't know.
pub(crate) async fn unknown_method(request: Request) -> Response {
    Problem::method_not_allowed(format!(
        "{} is not served at {}; see GET /docs",
        request.method(),
        request.uri().path()
    ))
    .into_response()
}

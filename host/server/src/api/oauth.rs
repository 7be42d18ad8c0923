//! `GET /oauth/callback`: where a browser comes back to after somebody said yes (or no) to a connection.
//!
//! Strangers may call it, with anything: it needs no key, since the `state` in the query says what it is about and is
//! good once. The page has no script, no style and nothing of what was sent; it says what happened and what to do.

use super::App;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use confab_engine::tokens::connect::{Callback, CallbackError};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;

const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a system sends along. Anything else is left alone: systems add parameters of their own.
#[derive(Default, Deserialize)]
pub(crate) struct CallbackQuery {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// `GET /oauth/callback`
pub(crate) async fn callback(State(app): State<App>, query: Result<Query<CallbackQuery>, QueryRejection>) -> Response {
    let Query(query) = query.unwrap_or_default();
    let callback = Callback { state: query.state, code: query.code, error: query.error, issuer: query.iss };
    match app.engine.finish_connect(callback).await {
        // Ids of tenants and connections are letters, digits and dashes.
        Ok((tenant, connection)) => page(
            StatusCode::OK,
            "Connected",
            &format!("The connection {connection} of {tenant} is connected. You can close this window."),
        ),
        Err(error) => {
            let status = match &error {
                CallbackError::Unknown | CallbackError::Denied => StatusCode::BAD_REQUEST,
                CallbackError::Provider | CallbackError::Failed(_) => StatusCode::BAD_GATEWAY,
            };
            // What exactly failed is in the log, for the operator; the reader here may be anybody.
            page(status, "Not connected", &sentence(&error.to_string()))
        }
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body><h1>{title}</h1><p>{text}</p></body></html>\n"
    );
    let mut response = (status, html).into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The address has the code in it.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

//! Sessions, against a server that behaves as Tryton does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confab_egress::{Auth, Connection, ErrorCode, Limits};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::*;

/// Sessions are numbered; only the one after `ended` logins is good.
#[derive(Default)]
struct Tryton {
    logins: AtomicUsize,
    ended: AtomicUsize,
    calls: AtomicUsize,
}

fn session(number: usize) -> String {
    format!("0123456789abcdef-session-{number}")
}

async fn login(State(tryton): State<Arc<Tryton>>, Json(body): Json<Value>) -> Response {
    let number = tryton.logins.fetch_add(1, Ordering::SeqCst) + 1;
    assert_eq!(body["method"], "common.db.login");
    match body["params"][1]["password"].as_str() {
        Some(PASSWORD) => Json(json!({"result": [5, session(number), null]})).into_response(),
        Some("soft") => Json(json!({"error": ["UserError", ["no"]]})).into_response(),
        _ => (StatusCode::UNAUTHORIZED, Html("<p>no</p>")).into_response(),
    }
}

async fn call(State(tryton): State<Arc<Tryton>>, headers: HeaderMap) -> Response {
    tryton.calls.fetch_add(1, Ordering::SeqCst);
    let sent = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    let good = (tryton.ended.load(Ordering::SeqCst) + 1..=tryton.logins.load(Ordering::SeqCst))
        .any(|number| sent == format!("Session {}", STANDARD.encode(format!("chatbot:5:{}", session(number)))));
    if good {
        Json(json!({"echo": sent, "id": session(1), "result": 7})).into_response()
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

async fn tryton(password: &str) -> (Arc<Tryton>, Arc<Connection>) {
    let state = Arc::new(Tryton::default());
    let router = Router::new().route("/base/login", post(login)).fallback(call).with_state(Arc::clone(&state));
    let address = serve(router).await;
    let secrets = confab_egress::SecretSource::given([("SHOP_EU__PASSWORD", password)], None);
    let egress = confab_egress::Egress::new(policy(&[address.to_string()]), secrets, Limits::default()).unwrap();
    let mut api = endpoint("api", format!("http://{address}/base"), config());
    // The login is the host's request: the guest's methods do not limit it.
    api.methods = vec!["GET".into()];
    (state, connect(&egress, vec![api]).unwrap())
}

fn config() -> Auth {
    auth(json!({
        "kind": "session", "username": "chatbot", "password": "env:SHOP_EU__PASSWORD",
        "login": {
            "path": "/login",
            "body": r#"{"method":"common.db.login","params":[{{ username|tojson }},{"password":{{ password|tojson }}},"en"]}"#
        },
        "value": r#"Session {{ (username ~ ":" ~ login.result[0] ~ ":" ~ login.result[1]) | b64encode }}"#,
        "fail_pointer": "/error"
    }))
}

#[tokio::test]
async fn twenty_calls_make_one_login() {
    let (tryton, connection) = tryton(PASSWORD).await;
    let answers = join_all((0..20).map(|_| send(&connection, get("/rpc")))).await;
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(text(&answer), r#"{"echo":"***","id":"***","result":7}"#);
    }
    assert_eq!((tryton.logins.load(Ordering::SeqCst), tryton.calls.load(Ordering::SeqCst)), (1, 20));
}

#[tokio::test]
async fn a_session_that_is_over_is_renewed_once_for_all() {
    let (tryton, connection) = tryton(PASSWORD).await;
    send(&connection, get("/rpc")).await.unwrap();
    tryton.ended.store(1, Ordering::SeqCst);
    let answers = join_all((0..20).map(|_| send(&connection, get("/rpc")))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status == 200));
    assert_eq!(tryton.logins.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_request_is_repeated_only_once() {
    let (tryton, connection) = tryton(PASSWORD).await;
    tryton.ended.store(usize::MAX - 1, Ordering::SeqCst);
    assert_eq!(send(&connection, get("/rpc")).await.unwrap().status, 401);
    assert_eq!((tryton.logins.load(Ordering::SeqCst), tryton.calls.load(Ordering::SeqCst)), (2, 2));
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_explained() {
    for wrong in ["wrong-password", "soft"] {
        let (tryton, connection) = tryton(wrong).await;
        let (log, guard) = Log::start();
        for answer in join_all((0..20).map(|_| send(&connection, get("/rpc")))).await {
            let error = answer.unwrap_err();
            assert_eq!(error.code, ErrorCode::Unauthorised);
            assert!(error.message.contains("\"chatbot\" and its password in env:SHOP_EU__PASSWORD"), "{error}");
            assert!(error.retry_after.is_some());
            assert!(!error.message.contains(wrong));
        }
        assert_eq!((tryton.logins.load(Ordering::SeqCst), tryton.calls.load(Ordering::SeqCst)), (1, 0));
        assert!(!log.text().contains("wrong-password"));
        drop(guard);
    }
}

#[tokio::test]
async fn a_guest_can_not_set_the_sessions_header() {
    let (tryton, connection) = tryton(PASSWORD).await;
    assert_eq!(code(&connection, header("Authorization", "Session mine")).await, ErrorCode::Refused);
    assert_eq!(tryton.logins.load(Ordering::SeqCst), 0);
}

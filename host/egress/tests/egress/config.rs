//! What is wrong in a connection's configuration is found at once, all of it, and without showing a secret.

use std::sync::Arc;
use std::time::Duration;

use confab_egress::{Auth, ConnectionLimits, ConnectionSpec, ErrorCode, OutRequest};
use serde_json::json;

use crate::support::*;

fn at(auth: Auth) -> Vec<String> {
    let errors = connect(&egress(&[]), vec![endpoint("api", "https://erp.example.com", auth)]).unwrap_err();
    errors.into_iter().map(|error| error.to_string()).collect()
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    let mut slow = endpoint("slow", "https://erp.example.com", Auth::None);
    slow.timeout_ms = Some(30_001);
    slow.methods = vec!["CONNECT".into()];
    let endpoints = vec![
        endpoint("", "https://a.example", Auth::None),
        endpoint("twice", "nonsense", Auth::None),
        endpoint("twice", "https://a.example", Auth::None),
        endpoint("token", "https://a.example", auth(json!({"kind": "bearer", "token": "env:SHOP_EU__NONE"}))),
        slow,
    ];
    let errors = connect(&egress(&[]), endpoints).unwrap_err();
    let at: Vec<_> = errors.iter().map(|error| error.at.as_str()).collect();
    assert_eq!(
        at,
        [
            "endpoints[0].name",
            "endpoints.twice.base_url",
            "endpoints.twice",
            "endpoints.token.auth.token",
            "endpoints.slow.timeout_ms",
            "endpoints.slow.methods",
        ]
    );
}

#[tokio::test]
async fn a_tenant_can_not_name_another_tenants_secret() {
    let errors = at(auth(json!({"kind": "bearer", "token": "env:OTHER__TOKEN"})));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("tenant \"shop-eu\" may not read OTHER__TOKEN"), "{errors:?}");
    assert!(errors[0].contains("set SHOP_EU__OTHER__TOKEN"), "{errors:?}");
    assert!(!errors[0].contains("of-another"));
    let errors = at(auth(json!({"kind": "bearer", "token": "env:PATH"})));
    assert!(errors[0].contains("its variables start with SHOP_EU__"), "{errors:?}");
}

#[tokio::test]
async fn credentials_go_only_into_headers_that_can_carry_them() {
    for name in ["host", "content-length", "proxy-authorization", "x-forwarded-for", "a b"] {
        let errors = at(auth(json!({"kind": "header", "name": name, "value": "env:SHOP_EU__TOKEN"})));
        assert!(errors[0].starts_with("endpoints.api.auth.name"), "{errors:?}");
    }
}

#[tokio::test]
async fn templates_are_checked_before_the_first_call() {
    let session = |body: &str, value: &str| {
        at(auth(json!({"kind": "session", "username": "u", "password": "env:SHOP_EU__PASSWORD",
            "login": {"path": "/", "body": body}, "value": value})))
    };
    for (body, value, place) in [
        ("{", "x", "auth.login.body: does not render to JSON"),
        ("{{ pasword }}", "x", "auth.login.body: can't be rendered"),
        ("{% if %}", "x", "auth.login.body: is not a template"),
        // Only `tojson` keeps the quote in this password from ending the string.
        (r#"{"password":"{{ password }}"}"#, "x", "auth.login.body: does not render to JSON"),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            "x",
            "auth.login.body: can't be rendered",
        ),
        ("{}", "{{ login.", "auth.value: is not a template"),
    ] {
        let errors = session(body, value);
        assert!(errors.iter().any(|error| error.contains(place)), "{place}: {errors:?}");
        assert!(!errors.iter().any(|error| error.contains("word-0815")), "{errors:?}");
    }
}

#[tokio::test]
async fn a_connections_own_limits_hold_and_are_never_above_the_hosts() {
    let (address, _) = recorder().await;
    let egress = egress(&[address.to_string()]);
    let limited = |limits: serde_json::Value| {
        let endpoints = vec![endpoint("api", format!("http://{address}"), Auth::None)];
        let limits = serde_json::from_value(limits).unwrap();
        egress.connect(ConnectionSpec {
            tenant: TENANT.into(),
            connection: "erp".into(),
            endpoints,
            limits,
            ..ConnectionSpec::default()
        })
    };
    let errors = limited(json!({"concurrency": 33, "request_bytes": 0, "response_bytes": 99_999_999})).unwrap_err();
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "limits.concurrency: is not between 1 and 32, which is this host's own limit",
            "limits.request_bytes: is not between 1 and 4194304, which is this host's own limit",
            "limits.response_bytes: is not between 1 and 4194304, which is this host's own limit",
        ]
    );
    let body = |bytes: usize| OutRequest { method: "POST".into(), body: vec![b'x'; bytes].into(), ..get("/x") };
    let small = limited(json!({"request_bytes": 10, "request_header_bytes": 8})).unwrap();
    assert_eq!(send(&small, body(10)).await.unwrap().status, 200);
    assert_eq!(code(&small, body(11)).await, ErrorCode::TooLarge);
    assert_eq!(send(&small, header("x-a", "12345")).await.unwrap().status, 200);
    assert_eq!(code(&small, header("x-a", "123456")).await, ErrorCode::TooLarge);
    // The recorder answers "fine".
    assert_eq!(send(&limited(json!({"response_bytes": 4})).unwrap(), get("/x")).await.unwrap().status, 200);
    assert_eq!(code(&limited(json!({"response_bytes": 3})).unwrap(), get("/x")).await, ErrorCode::TooLarge);
    assert_eq!(code(&limited(json!({"response_header_bytes": 9})).unwrap(), get("/x")).await, ErrorCode::TooLarge);
}

#[tokio::test]
async fn a_connections_own_number_of_calls_at_a_time_holds() {
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let router = axum::Router::new().fallback(move || {
        arrived.send(()).unwrap();
        futures::future::pending::<&'static str>()
    });
    let address = serve(router).await;
    let endpoints = vec![endpoint("api", format!("http://{address}"), Auth::None)];
    let limits = ConnectionLimits { concurrency: Some(1), ..ConnectionLimits::default() };
    let spec = ConnectionSpec {
        tenant: TENANT.into(),
        connection: "erp".into(),
        endpoints,
        limits,
        ..ConnectionSpec::default()
    };
    let connection = egress(&[address.to_string()]).connect(spec).unwrap();
    let held = Arc::clone(&connection);
    let first = tokio::spawn(async move { send(&held, get("/x")).await });
    arrivals.recv().await.unwrap();
    let impatient = OutRequest { timeout: Some(Duration::from_millis(50)), ..get("/x") };
    assert_eq!(code(&connection, impatient).await, ErrorCode::Limit);
    assert!(arrivals.try_recv().is_err());
    first.abort();
}

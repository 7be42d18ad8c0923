//! How a connection's words about signing in meet those of the connector's manifest.

use super::*;

fn made(manifest: Value, given: Value) -> Result<Auth, String> {
    let endpoint = serde_json::from_value(json!({"name": "api", "auth": manifest})).unwrap();
    let mut doc = json!({"url": "https://crm.example.com"});
    doc.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
    auth(&endpoint, &serde_json::from_value(doc).unwrap())
}

fn shown(auth: Result<Auth, String>) -> Value {
    serde_json::to_value(auth.unwrap()).unwrap()
}

#[test]
fn a_connection_completes_the_manifests_form_of_the_same_kind() {
    let form = json!({"oauth2": {
        "grant": "authorization-code", "token_url": "https://id.example.com/token",
        "authorize_url": "https://id.example.com/authorize", "scopes": ["a"],
    }});
    let own = json!({"auth": {"kind": "oauth2", "client_id": "7", "client_secret": "env:SHOP__S", "scopes": ["b"]}});
    let auth = shown(made(form.clone(), own));
    assert_eq!(auth["token_url"], "https://id.example.com/token");
    assert_eq!((&auth["client_id"], &auth["client_secret"]), (&json!("7"), &json!("env:SHOP__S")));
    assert_eq!(auth["scopes"], json!(["b"]), "what the connection says holds");
    let error = made(form, json!({"auth": {"kind": "oauth2", "client_secret": "the secret itself"}})).unwrap_err();
    assert!(error.starts_with("auth: ") && !error.contains("the secret itself"), "{error}");
}

#[test]
fn another_kind_takes_the_place_of_the_manifests_form() {
    let form = json!({"bearer": {}});
    let own = json!({"auth": {"kind": "header", "name": "x-key", "value": "env:SHOP__S"}});
    assert_eq!(shown(made(form.clone(), own))["kind"], "header");
    assert_eq!(shown(made(form.clone(), json!({"token": "env:SHOP__T"})))["token"], "env:SHOP__T");
    let own = json!({"auth": {"kind": "bearer", "token": "env:SHOP__T"}});
    assert_eq!(shown(made(form.clone(), own))["token"], "env:SHOP__T");
    assert!(made(form.clone(), json!({})).unwrap_err().contains("`token` is missing"));
    for wrong in [json!({"auth": "bearer"}), json!({"auth": {"token": "env:SHOP__T"}}), json!({"auth": {"kind": "x"}})]
    {
        assert!(made(form.clone(), wrong.clone()).is_err(), "{wrong}");
    }
    assert_eq!(shown(made(json!(null), json!({})))["kind"], "none");
}

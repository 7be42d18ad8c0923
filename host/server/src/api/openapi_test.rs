//! Holds the document to the server: routes, problem codes, limits, examples; and the page to the document.

use super::admin::config::ApplyRequest;
use super::admin::events::ReplayRequest as ReplayEvents;
use super::admin::rollouts::RolloutRequest;
use super::admin::webhooks::ReplayRequest;
use super::chat::{ChatRequest, MESSAGE_CHARS};
use super::docs;
use super::events::EventRequest;
use super::meta::OPENAPI;
use crate::gateway::Problem;
use crate::gateway::keys::{NewKey, Scope};
use crate::gateway::problem::ALL;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// Method and path of all operations, with the operation.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let items = document["paths"].as_object().unwrap();
    let all = items.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter().filter(|(method, _)| METHODS.contains(&method.as_str()));
        methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    all.collect()
}

/// Method and path of all routes, from the source of `router()`: `.route("/path", get(a).post(b))`.
fn routes() -> BTreeSet<String> {
    let source = include_str!("mod.rs");
    let body = source.split_once("fn router(").unwrap().1.split_once("\n}").unwrap().0;
    let compact: String =
        body.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(str::split_whitespace).collect();
    let mut routes = BTreeSet::new();
    for route in compact.split(".route(").skip(1) {
        let (path, handlers) = route.strip_prefix('"').unwrap().split_once("\",").unwrap();
        let before = routes.len();
        for word in handlers.split('(').map(|part| part.rsplit(|c: char| !c.is_ascii_lowercase()).next().unwrap()) {
            if METHODS.contains(&word) {
                routes.insert(format!("{word} {path}"));
            }
        }
        assert!(routes.len() > before, "no method found in .route({route}");
    }
    // One made in the same function: its routes were read above.
    let compact = compact.replace(".merge(admin)", "");
    for other in [".nest(", ".merge(", "route_service(", "any(", "on("] {
        assert!(!compact.contains(other), "router() has `{other}`: teach this test to read it");
    }
    routes
}

/// Calls `f` with each object in a document.
fn each_object<'a>(node: &'a Value, f: &mut impl FnMut(&'a serde_json::Map<String, Value>)) {
    match node {
        Value::Object(object) => {
            f(object);
            object.values().for_each(|value| each_object(value, f));
        }
        Value::Array(items) => items.iter().for_each(|item| each_object(item, f)),
        _ => {}
    }
}

fn resolved<'a>(document: &'a Value, node: &'a Value) -> &'a Value {
    match node["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => node,
    }
}

/// Examples of an operation's request body, each as the handler's type would read it.
fn read_requests<T: DeserializeOwned>(path: &str) {
    let document = document();
    let content = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"];
    let examples = content["examples"].as_object().unwrap();
    assert!(!examples.is_empty());
    for (name, example) in examples {
        if let Err(e) = serde_json::from_value::<T>(example["value"].clone()) {
            panic!("example `{name}` of {path}: {e}");
        }
    }
    // And the schema's members are the type's: one that is in no schema is refused or ignored by both.
    let schema = resolved(&document, &content["schema"]);
    if schema["additionalProperties"] == json!(false) {
        let error = serde_json::from_value::<T>(json!({"?": 1})).err().unwrap().to_string();
        for member in schema["properties"].as_object().unwrap().keys() {
            assert!(error.contains(&format!("`{member}`")), "{path} does not know `{member}`: {error}");
        }
        assert_eq!(error.matches('`').count() / 2 - 1, schema["properties"].as_object().unwrap().len(), "{error}");
    }
}

#[test]
fn the_document_has_all_routes_and_no_others() {
    let document = document();
    let documented: BTreeSet<String> = operations(&document).into_iter().map(|(route, _)| route).collect();
    assert_eq!(documented, routes());
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = document();
    let mut used = BTreeSet::new();
    each_object(&document, &mut |object| {
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference} leads nowhere");
            used.insert(reference.to_owned());
        }
    });
    for kind in ["parameters", "headers", "schemas", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(used.contains(&format!("#/components/{kind}/{name}")), "nothing uses {kind}/{name}");
        }
    }
}

#[test]
fn every_problem_code_is_described_as_it_is_sent() {
    let document = document();
    let quota = Problem::quota("key", 1);
    let all = ALL.iter().copied().chain([(quota.code, quota.status.as_u16(), quota.title)]);
    let mut codes = BTreeSet::new();
    for (code, status, title) in all {
        codes.insert(code.to_owned());
        let example = &document["components"]["examples"][code];
        assert_eq!(example["value"]["code"], code);
        assert_eq!(example["value"]["status"], status, "{code}");
        assert_eq!(example["value"]["title"], title, "{code}");
        assert_eq!(example["summary"], title, "{code}");
        assert!(example["description"].is_string(), "{code}");
    }
    let described: BTreeSet<String> = document["components"]["examples"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(described, codes);
    let listed = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
    assert_eq!(listed.iter().map(|code| code.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(), codes);
}

#[test]
fn every_operation_says_what_a_stranger_needs() {
    let document = document();
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut ids = BTreeSet::new();
    for (route, operation) in operations(&document) {
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{route}");
        assert!(tags.contains(&&operation["tags"][0]), "{route} is in no group of the page");
        assert!(operation["summary"].is_string() && operation["description"].is_string(), "{route}");
        let open = operation["security"].as_array().unwrap().is_empty();
        // Metrics are open only where the operator or a loopback address says so.
        // A handshake asks whether it may come, before it has a key.
        let needs_key = (route.contains("/api/") || route.contains("/metrics")) && !route.starts_with("options ");
        assert_eq!(open, !needs_key, "{route}");
        for scope in operation["security"].as_array().unwrap().iter().flat_map(|way| way.as_object().unwrap().values())
        {
            assert!(serde_json::from_value::<Vec<Scope>>(scope.clone()).is_ok(), "{route}: {scope}");
        }
        let parameters: Vec<&Value> =
            operation["parameters"].as_array().into_iter().flatten().map(|p| resolved(&document, p)).collect();
        for name in route.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
            let found = parameters.iter().find(|parameter| parameter["in"] == "path" && parameter["name"] == name);
            assert!(
                found.is_some_and(|parameter| parameter["example"].is_string()),
                "{route} needs an example of `{name}`"
            );
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolved(&document, response);
            assert!(response["headers"]["x-request-id"].is_object(), "{route} {status}");
            for (kind, content) in response["content"].as_object().unwrap() {
                for code in content["examples"].as_object().into_iter().flat_map(serde_json::Map::keys) {
                    assert_eq!(kind, "application/problem+json", "{route} {status}");
                    assert_eq!(
                        document["components"]["examples"][code]["value"]["status"].to_string(),
                        *status,
                        "{route} {code}"
                    );
                }
            }
        }
        // Webhooks have signatures in place of keys.
        let refuses = !open || route.contains("/webhooks/");
        assert_eq!(refuses, !operation["responses"]["401"].is_null(), "{route}");
    }
}

#[test]
fn requests_are_read_as_they_are_described() {
    read_requests::<ChatRequest>("/api/chat");
    read_requests::<ApplyRequest>("/api/admin/apply");
    read_requests::<NewKey>("/api/admin/keys");
    read_requests::<ReplayRequest>("/api/admin/webhooks/{id}/replay");
    read_requests::<EventRequest>("/api/events");
    read_requests::<ReplayEvents>("/api/admin/events/replay");
    for change in ["upgrade", "promote", "rollback"] {
        read_requests::<RolloutRequest>(&format!("/api/admin/rollouts/{{plugin}}/{change}"));
    }
    let document = document();
    assert_eq!(document["components"]["schemas"]["ChatRequest"]["properties"]["message"]["maxLength"], MESSAGE_CHARS);
    let scopes = document["components"]["schemas"]["Scope"]["enum"].clone();
    let known: Vec<Scope> = serde_json::from_value(scopes.clone()).unwrap();
    assert_eq!(serde_json::to_value(known).unwrap(), scopes);
    let unknown = serde_json::from_value::<Scope>(json!("?")).unwrap_err().to_string();
    assert!(
        scopes.as_array().unwrap().iter().all(|scope| unknown.contains(&format!("`{}`", scope.as_str().unwrap()))),
        "{unknown}"
    );
}

#[test]
fn the_page_shows_every_route_and_problem_and_every_link_leads_somewhere() {
    let page = docs::render(OPENAPI);
    let document = document();
    for (route, operation) in operations(&document) {
        assert!(page.contains(&format!("<h3 id=\"{}\">", operation["operationId"].as_str().unwrap())), "{route}");
        assert!(page.contains(&format!("</span> {}</code>", route.split_once(' ').unwrap().1)), "{route}");
    }
    for (code, _, _) in ALL {
        assert!(page.contains(&format!("id=\"problem-{code}\"")), "{code}");
    }
    for link in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(page.contains(&format!("id=\"{link}\"")), "#{link} leads nowhere");
    }
    let ids: Vec<&str> = page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id occurs twice");
}

#[test]
fn what_the_document_says_can_not_break_out_of_the_page() {
    let evil = "<script>alert('1')</script>\" onload=\"x & `<b>` $(id) `";
    let escaped_only = |page: &str| {
        !page.contains("<script") && !page.contains("\" onload") && !page.contains("<b>`") && !page.contains("alert('")
    };
    let document = json!({
        "info": {"title": evil, "summary": evil, "description": format!("{evil}\n\n- {evil}\n\n## {evil}\n\n```\n{evil}\n```")},
        "tags": [{"name": evil, "description": evil}],
        "paths": {format!("/{evil}/{{id}}"): {"post": {
            "operationId": evil, "summary": evil, "description": evil, "tags": [evil], "security": [{"key": [evil]}],
            "parameters": [{"name": "id", "in": "path", "description": evil, "schema": {"enum": [evil], "pattern": evil, "default": evil, "type": evil, "format": evil}, "example": evil}],
            "requestBody": {"description": evil, "content": {"application/json": {
                "schema": {"properties": {evil: {"description": evil}}}, "examples": {evil: {"summary": evil, "value": {evil: evil}}}}}},
            "responses": {
                "200": {"description": evil, "headers": {evil: {}}, "content": {evil: {"example": evil}}},
                evil: {"description": evil, "content": {evil: {"examples": {evil: {}}}}}},
        }}},
        "components": {"headers": {evil: {"description": evil, "example": evil}}, "examples": {evil: {"summary": evil, "description": evil, "value": evil}}},
    });
    let page = docs::render(&document.to_string());
    assert!(escaped_only(&page), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)"));
    assert!(docs::render("no JSON").contains("</html>"));
}

#[tokio::test]
async fn the_page_runs_nothing_and_loads_nothing() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let response = docs::page().await;
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let page = std::str::from_utf8(&body).unwrap();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let digest = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style));
    assert!(policy.contains(&format!("style-src 'sha256-{digest}'")), "{policy}");
    for foreign in ["<script", "<link", "<img", "style=\"", "src=", "url(", "@import", "href=\"http", "javascript:"] {
        assert!(!page.contains(foreign), "the page has {foreign}");
    }
}

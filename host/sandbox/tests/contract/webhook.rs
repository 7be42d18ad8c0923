//! Webhooks: a connector reads them and checks them with secrets that it never sees; what it returns is a stranger's.

use crate::guest::{RECEIVE, component, load, manifest, plain_connector, reader, reader_of, reader_world, sandbox};
use bytes::Bytes;
use confab_sandbox::{
    CapabilityError, FailureKind, HmacAlgorithm, HostServices, Plugin, SignatureCheck, WebhookAccepted, WebhookRequest,
};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// Fits the signature `good` and the value `good`. Remembers what was asked.
#[derive(Clone, Default)]
struct Secrets(Arc<Mutex<Vec<SignatureCheck>>>);

impl HostServices for Secrets {
    fn now_millis(&self) -> u64 {
        1_000_000
    }
    fn verify(&mut self, check: SignatureCheck) -> Result<bool, CapabilityError> {
        let fits = match &check {
            SignatureCheck::Hmac { signature, .. } => signature == "good",
            SignatureCheck::Equal { value, .. } if value == "unknown" => {
                return Err(CapabilityError::new("unknown-secret", "there is no such secret"));
            }
            SignatureCheck::Equal { value, .. } => value == "good",
        };
        self.0.lock().unwrap().push(check);
        Ok(fits)
    }
}

/// Takes the query for the signature of the body, which is the event's data. One event: id `42`, name `order.shipped`, about
/// `order:WEB-42`. It answers `yes` as text/plain with 200.
fn genuine() -> Vec<u8> {
    reader(&format!(
        r#"(data (i32.const 2048) "42order.shippedorder:WEB-42yescontent-typetext/plainunauthorisedit does not fit")
        ;; The event at 3000: id, name, data (later), one subject at 3050, no time.
        (data (i32.const 3000) "\00\08\00\00\02\00\00\00\02\08\00\00\0d\00\00\00\00\00\00\00\00\00\00\00\ec\0b\00\00\01\00\00\00\00\00\00\00")
        (data (i32.const 3052) "\0f\08\00\00\0c\00\00\00")
        ;; The answer's header at 3100.
        (data (i32.const 3100) "\1e\08\00\00\0c\00\00\00\2a\08\00\00\0a\00\00\00")
        ;; ok at 3200: one event, some answer: 200, one header, a body.
        (data (i32.const 3200) "\00\00\00\00\b8\0b\00\00\01\00\00\00\01\00\00\00\c8\00\00\00\1c\0c\00\00\01\00\00\00\1b\08\00\00\03\00\00\00")
        ;; err at 3300.
        (data (i32.const 3300) "\01\00\00\00\34\08\00\00\0c\00\00\00\40\08\00\00\0f\00\00\00")
        {RECEIVE}
            (call $hmac (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 6)
                (local.get $body) (local.get $body-len) (local.get $query) (local.get $query-len) (i32.const 512))
            (if (i32.or (i32.load8_u (i32.const 512)) (i32.eqz (i32.load8_u (i32.const 516)))) (then (return (i32.const 3300))))
            (i32.store (i32.const 3016) (local.get $body))
            (i32.store (i32.const 3020) (local.get $body-len))
            (i32.const 3200))"#
    ))
}

fn request(query: &str, body: &str) -> WebhookRequest {
    WebhookRequest {
        method: "POST".into(),
        url: format!("https://shop.example/webhooks/erp?{query}"),
        path: "/webhooks/erp".into(),
        query: query.into(),
        headers: vec![("Content-Type".into(), "application/json".into())],
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

async fn receive(plugin: &Plugin, request: WebhookRequest) -> Result<WebhookAccepted, String> {
    let answered = plugin.receive(Box::new(Secrets::default()), request).await;
    answered.map_err(|failure| failure.to_string())?.value.map_err(|refusal| refusal.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_request_becomes_events_and_a_forged_one_is_refused() {
    let (_dir, sandbox) = sandbox();
    let plugin = load(&sandbox, &genuine()).unwrap();
    assert!(plugin.has_webhook());
    assert_eq!(plugin.capabilities().collect::<Vec<_>>(), ["test:guest/pings"]);
    assert!(plugin.callables().all(|callable| callable.function == "ping"));
    let secrets = Secrets::default();
    let body = r#"{"order": "WEB-42"}"#;
    let got = plugin.receive(Box::new(secrets.clone()), request("good", body)).await.unwrap().value.unwrap();
    let asked = secrets.0.lock().unwrap().clone();
    let wanted = SignatureCheck::Hmac {
        secret: "signing".into(),
        algorithm: HmacAlgorithm::Sha256,
        message: Bytes::from_static(body.as_bytes()),
        signature: Bytes::from_static(b"good"),
    };
    assert_eq!(asked, [wanted]);
    let event = &got.events[0];
    assert_eq!((event.id.as_str(), event.name.as_str()), ("42", "order.shipped"));
    assert_eq!(
        (&event.data, event.subjects.as_slice()),
        (&json!({"order": "WEB-42"}), &["order:WEB-42".to_owned()][..])
    );
    let answer = got.answer.as_ref().unwrap();
    assert_eq!((answer.status, answer.body.as_ref()), (200, &b"yes"[..]));
    assert_eq!(answer.headers, [("content-type".to_owned(), "text/plain".to_owned())]);
    assert!(got.verified && got.events.len() == 1 && event.occurred_at.is_none());
    assert_eq!(receive(&plugin, request("bad", body)).await.unwrap_err(), "unauthorised");
    // What the platform signed need not be JSON; what an event says must.
    let told = receive(&plugin, request("good", "order=WEB-42")).await.unwrap_err();
    assert!(told.contains("event 1: data is no JSON"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_vouched_for_is_told_from_what_was_checked() {
    let (_dir, sandbox) = sandbox();
    // Accepts everything: ok of nothing at 4000, whatever the checks said.
    let accepts = |check: &str| reader(&format!("{RECEIVE} {check} (i32.const 4000))"));
    let equal = |value: &str| format!(r#"(call $equal (i32.const 1024) (i32.const 7) {value} (i32.const 512))"#);
    for (check, query, verified) in [
        (String::new(), "good", false),
        ("(drop (call $fresh (i64.const 1000) (i32.const 5)))".into(), "good", false),
        (equal("(local.get $query) (local.get $query-len)"), "good", true),
        (equal("(local.get $query) (local.get $query-len)"), "bad", false),
        (equal("(local.get $query) (local.get $query-len)"), "unknown", false),
        (equal("(local.get $query) (i32.const 0)"), "good", false),
    ] {
        let plugin = load(&sandbox, &accepts(&check)).unwrap();
        let got = receive(&plugin, request(query, "{}")).await.unwrap();
        assert_eq!((got.verified, got.events.len()), (verified, 0), "{check} {query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_is_fresh_for_as_long_as_it_was_said_before_and_after() {
    let (_dir, sandbox) = sandbox();
    for (moment, tolerance, fresh) in [
        (1_000_i64, 0_u32, 1),
        (995, 5, 1),
        (994, 5, 0),
        (1_005, 5, 1),
        (1_006, 5, 0),
        (i64::MIN, u32::MAX, 0),
        (i64::MAX, 300, 0),
    ] {
        // ok of nothing where it is fresh, else a refusal.
        let plugin = load(
            &sandbox,
            &reader(&format!(
                r#"(data (i32.const 3300) "\01\00\00\00\10\04\00\00\06\00\00\00\00\00\00\00\00\00\00\00")
                {RECEIVE} (select (i32.const 4000) (i32.const 3300) (call $fresh (i64.const {moment}) (i32.const {tolerance}))))"#,
                tolerance = tolerance as i32
            )),
        )
        .unwrap();
        let got = receive(&plugin, request("", "{}")).await;
        assert_eq!(i32::from(got.is_ok()), fresh, "{moment} {tolerance}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_events_are_none() {
    let (_dir, sandbox) = sandbox();
    // 10,000 events of 44 zeros from 8192 on.
    let floods = reader(&format!(
        r#"(data (i32.const 3200) "\00\00\00\00\00\20\00\00\10\27\00\00\00\00\00\00")
        {RECEIVE} (i32.const 3200))"#
    ));
    let plugin = load(&sandbox, &floods).unwrap();
    let failure = plugin.receive(Box::new(Secrets::default()), request("", "")).await.unwrap_err();
    assert_eq!((failure.kind, failure.function.as_str()), (FailureKind::Contract, "receive"));
    assert!(failure.message.contains("10000 events") && failure.report.fuel > 0, "{failure:?}");
    // A hundred of them are wrong one by one: an id is missing.
    let plugin = load(
        &sandbox,
        &reader(&format!(
            r#"(data (i32.const 3200) "\00\00\00\00\00\20\00\00\64\00\00\00\00\00\00\00") {RECEIVE} (i32.const 3200))"#
        )),
    )
    .unwrap();
    assert!(receive(&plugin, request("", "")).await.unwrap_err().contains("event 1: an id has 1 to 200 bytes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_at_a_secret_ends_soon() {
    let (_dir, sandbox) = sandbox();
    let guesses = reader(&format!(
        r#"{RECEIVE} (local $n i32)
        (loop $again
            (call $equal (i32.const 1024) (i32.const 7) (local.get $query) (local.get $query-len) (i32.const 512))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (i32.const 1000))))
        (i32.const 4000))"#
    ));
    let plugin = load(&sandbox, &guesses).unwrap();
    let secrets = Secrets::default();
    let got = plugin.receive(Box::new(secrets.clone()), request("bad", "")).await.unwrap().value.unwrap();
    assert_eq!((got.verified, secrets.0.lock().unwrap().len()), (false, 32));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_can_not_check_or_names_no_secret_is_refused() {
    let (_dir, sandbox) = sandbox();
    let reads = format!("{RECEIVE} (i32.const 4000))");
    let refused = |wasm: Vec<u8>| load(&sandbox, &wasm).unwrap_err().to_string();
    let secrets = json!({"webhook": {"secrets": [{"name": "signing"}]}});
    let blind = format!("(module {} {reads})", plain_connector());
    let told = refused(component(&blind, &[&reader_world()], &manifest("connector", secrets.clone())));
    assert!(told.contains("does not import confab:plugin/signatures"), "{told}");
    for none in [json!({}), json!({"webhook": {"secrets": []}})] {
        let told = refused(reader_of(&reads, none));
        assert!(told.contains("[[webhook.secrets]]"), "{told}");
    }
    let world = "package test:guest@1.0.0; interface pings { ping: func(); } world guest { include confab:plugin/connector@1.0.0; export pings; }";
    let deaf = format!("(module {})", plain_connector());
    let told = refused(component(&deaf, &[world], &manifest("connector", secrets)));
    assert!(told.contains("exports no confab:plugin/webhook@1.0.0"), "{told}");
    // A bot's logic has no business with secrets, a connector none with turns.
    let module = r#"(module (import "confab:plugin/effects@1.0.0" "cancel" (func (param i32 i32 i32)))"#;
    let world = "package test:guest@1.0.0; interface pings { ping: func(); } world guest { import confab:plugin/effects@1.0.0; export pings; }";
    let told =
        refused(component(&format!("{module} {})", plain_connector()), &[world], &manifest("connector", json!({}))));
    assert!(told.contains("confab:plugin/effects") && told.contains("Only intent plugins"), "{told}");
}

//! What a turn leaves behind is checked for form and number before anybody keeps it.

use crate::guest::{intent, load, said, sandbox, turn};
use confab_sandbox::{CapabilityError, Effect, FailureKind, HostServices, Sandbox};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const IMPORTS: &str = r#"
    (import "confab:plugin/effects@1.0.0" "schedule" (func $schedule (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "confab:plugin/effects@1.0.0" "cancel" (func $cancel (param i32 i32 i32)))
    (import "confab:plugin/effects@1.0.0" "watch" (func $watch (param i32 i32 i32 i32)))
    (import "confab:plugin/effects@1.0.0" "unwatch" (func $unwatch (param i32 i32 i32)))
    (import "confab:plugin/effects@1.0.0" "emit" (func $emit (param i32 i32 i32 i32 i32)))
    (data (i32.const 2048) "order:WEB-42 cart.reminder{\"n\": 1}[1]{oops\0a a b")
"#;

/// Where words of the data above are: place and length.
const SUBJECT: &str = "(i32.const 2048) (i32.const 12)";
const NAME: &str = "(i32.const 2061) (i32.const 13)";
const OBJECT: &str = "(i32.const 2074) (i32.const 8)";
const LIST: &str = "(i32.const 2082) (i32.const 3)";
const BROKEN: &str = "(i32.const 2085) (i32.const 5)";
const LINE_BREAK: &str = "(i32.const 2085) (i32.const 6)";
const SPACED: &str = "(i32.const 2092) (i32.const 3)";
const EMPTY: &str = "(i32.const 2048) (i32.const 0)";
/// Zeros are control characters, so length is what is said first.
const LONG: &str = "(i32.const 4096) (i32.const 201)";
const HUGE: &str = "(i32.const 4096) (i32.const 16385)";

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Effect>>>);

impl HostServices for Kept {
    fn effect(&mut self, effect: Effect) -> Result<(), CapabilityError> {
        self.0.lock().unwrap().push(effect);
        Ok(())
    }
}

fn schedule(key: &str, event: &str, after: u32, data: &str) -> String {
    format!("(call $schedule {key} {event} (i32.const {after}) {data} (i32.const 512))")
}

fn times(count: u32, call: &str) -> String {
    format!(
        "(loop $again {call} (local.set $n (i32.add (local.get $n) (i32.const 1))) (br_if $again (i32.lt_u (local.get $n) (i32.const {count}))))"
    )
}

/// What the guest was told, and what was kept.
async fn left(sandbox: &Sandbox, body: &str) -> (String, Vec<Effect>) {
    let plugin = load(sandbox, &intent(IMPORTS, body, &[])).unwrap();
    let kept = Kept::default();
    let outcome = plugin.handle(Box::new(kept.clone()), turn()).await.unwrap();
    let effects = kept.0.lock().unwrap().clone();
    (said(outcome.value), effects)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_well_formed_is_kept_as_it_was_asked_for() {
    let (_dir, sandbox) = sandbox();
    let body = [
        schedule(SUBJECT, NAME, 7_200, &format!("(i32.const 1) {OBJECT}")),
        schedule(SUBJECT, NAME, 7_776_000, &format!("(i32.const 0) {EMPTY}")),
        format!("(call $cancel {SUBJECT} (i32.const 512))"),
        format!("(call $watch {SUBJECT} (i32.const 60) (i32.const 512))"),
        format!("(call $unwatch {SUBJECT} (i32.const 512))"),
        format!("(call $emit {NAME} {OBJECT} (i32.const 512))"),
    ];
    let (told, kept) = left(&sandbox, &body.concat()).await;
    let (key, event) = ("order:WEB-42".to_owned(), "cart.reminder".to_owned());
    let days = |n: u64| Duration::from_secs(n * 86_400);
    let wanted = vec![
        Effect::Schedule {
            key: key.clone(),
            event: event.clone(),
            after: Duration::from_secs(7_200),
            data: Some(json!({"n": 1})),
        },
        Effect::Schedule { key: key.clone(), event: event.clone(), after: days(90), data: None },
        Effect::Cancel { key: key.clone() },
        Effect::Watch { subject: key.clone(), keep: Duration::from_secs(60) },
        Effect::Unwatch { subject: key },
        Effect::Emit { event, data: json!({"n": 1}) },
    ];
    assert_eq!((told.as_str(), &kept), ("unharmed", &wanted));
    // It is journalled: what is written down is read as it was.
    let written = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Effect>>(&written).unwrap(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_well_formed_is_refused_and_the_services_never_see_it() {
    let (_dir, sandbox) = sandbox();
    let none = format!("(i32.const 0) {EMPTY}");
    let cases = [
        (schedule(LONG, NAME, 60, &none), "invalid-input"),
        (schedule(EMPTY, NAME, 60, &none), "invalid-input"),
        (schedule(SUBJECT, LINE_BREAK, 60, &none), "invalid-input"),
        (schedule(SUBJECT, NAME, 0, &none), "invalid-input"),
        (schedule(SUBJECT, NAME, 7_776_001, &none), "invalid-input"),
        (schedule(SUBJECT, NAME, 60, &format!("(i32.const 1) {BROKEN}")), "invalid-input"),
        (schedule(SUBJECT, NAME, 60, &format!("(i32.const 1) {HUGE}")), "too-large"),
        (format!("(call $cancel {EMPTY} (i32.const 512))"), "invalid-input"),
        (format!("(call $watch {SUBJECT} (i32.const 0) (i32.const 512))"), "invalid-input"),
        (format!("(call $watch {LINE_BREAK} (i32.const 60) (i32.const 512))"), "invalid-input"),
        (format!("(call $unwatch {LONG} (i32.const 512))"), "invalid-input"),
        (format!("(call $emit {SPACED} {OBJECT} (i32.const 512))"), "invalid-input"),
        (format!("(call $emit {SUBJECT} {OBJECT} (i32.const 512))"), "invalid-input"),
        (format!("(call $emit {NAME} {LIST} (i32.const 512))"), "invalid-input"),
        (format!("(call $emit {NAME} {HUGE} (i32.const 512))"), "too-large"),
    ];
    for (body, code) in cases {
        assert_eq!(left(&sandbox, &body).await, (code.to_owned(), Vec::new()), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_leaves_so_much_and_no_more() {
    let (_dir, sandbox) = sandbox();
    let remind = schedule(SUBJECT, NAME, 60, &format!("(i32.const 0) {EMPTY}"));
    for (call, most) in [
        (remind, 16),
        (format!("(call $watch {SUBJECT} (i32.const 60) (i32.const 512))"), 32),
        (format!("(call $emit {NAME} {OBJECT} (i32.const 512))"), 16),
        (format!("(call $cancel {SUBJECT} (i32.const 512)) (call $unwatch {SUBJECT} (i32.const 512))"), 32),
    ] {
        let (told, kept) = left(&sandbox, &times(most, &call)).await;
        let calls = kept.len();
        assert!(told == "unharmed" && calls.is_multiple_of(most as usize), "{call}: {told} after {calls}");
        let (told, kept) = left(&sandbox, &times(most + 1, &call)).await;
        assert_eq!((told.as_str(), kept.len()), ("limit", calls), "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_without_end_is_ended() {
    let (_dir, sandbox) = sandbox();
    let body = format!("(loop $ever (call $emit {NAME} {LIST} (i32.const 512)) (br $ever))");
    let plugin = load(&sandbox, &intent(IMPORTS, &body, &[])).unwrap();
    let kept = Kept::default();
    let failure = plugin.handle(Box::new(kept.clone()), turn()).await.unwrap_err();
    assert_eq!((failure.kind, kept.0.lock().unwrap().len()), (FailureKind::HostCalls, 0), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_keeps_nothing_says_so() {
    struct Nothing;
    impl HostServices for Nothing {}
    let (_dir, sandbox) = sandbox();
    let body = format!("(call $watch {SUBJECT} (i32.const 60) (i32.const 512))");
    let plugin = load(&sandbox, &intent(IMPORTS, &body, &[])).unwrap();
    assert_eq!(said(plugin.handle(Box::new(Nothing), turn()).await.unwrap().value), "unsupported");
}

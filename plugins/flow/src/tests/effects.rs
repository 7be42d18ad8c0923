//! What steps leave behind: reminders, subjects to watch, word to the tenant's systems.

use super::{Chat, bot};
use confab_plugin_sdk::effects::Effect;
use serde_json::json;

const BOT: &str = r#"
entities: {order: {regex: 'W\d+'}}
intents:
  pick_up:
    examples: [i will pick it up, pick up the order, collect my order]
  cancel_pick_up:
    examples: [i will not come, i can not collect it, no longer picking up]
  quote:
    examples: [i want a quote, make me an offer, offer please]
slots:
  order: {entity: order, keep: conversation, ask: Which order?}
  delay: {entity: duration, ask: "When?"}
flows:
  pick_up:
    on: pick_up
    steps:
      - need: [order, delay]
      - remind: {key: "pickup:{{ order }}", in: "{{ delay }}", event: pickup.due, data: {order: "{{ order }}", nothing: "{{ error.code }}"}}
      - remind: {key: stale, in: 1h30m, event: pickup.stale}
      - watch: "order:{{ order }}"
      - watch: shop
        for: 14d
      - say: "Fine, in {{ delay }} seconds, at {{ now | later(delay) | date('clock') }}."
  cancel_pick_up:
    on: cancel_pick_up
    steps:
      - unremind: "pickup:{{ order }}"
      - unwatch: "order:{{ order }}"
      - say: A pity.
  quote:
    on: quote
    steps:
      - emit: {event: quote.requested, data: {order: "{{ order }}", count: 3, tags: [a, "{{ lang }}"]}}
      - emit: {event: seen}
      - say: "It is on its way."
events:
  pickup.due: {say: "Pick up {{ event.data.order }}!"}
  pickup.*: {emit: {event: stale, data: "{{ event.data }}"}}
"#;

fn chat() -> Chat {
    Chat::new(bot(BOT))
}

#[test]
fn reminders_and_watches_are_left_and_taken_back() {
    let mut chat = chat();
    assert_eq!(chat.say("I will pick it up, W7"), "When?");
    assert_eq!(chat.left, []);
    assert_eq!(chat.say("in 2 hours"), "Fine, in 7200 seconds, at 12:32 UTC.");
    let remind = |key: &str, event: &str, after_seconds, data| Effect::Schedule {
        key: key.into(),
        event: event.into(),
        after_seconds,
        data,
    };
    assert_eq!(
        chat.left,
        [
            remind("pickup:W7", "pickup.due", 7_200, Some(json!({"order": "W7"}))),
            remind("stale", "pickup.stale", 5_400, None),
            Effect::Watch { subject: "order:W7".into(), for_seconds: 30 * 86_400 },
            Effect::Watch { subject: "shop".into(), for_seconds: 14 * 86_400 },
        ]
    );
    assert_eq!(chat.event("pickup.due", r#"{"order": "W7"}"#), "Pick up W7!");
    assert_eq!(chat.say("i will not come"), "A pity.");
    assert_eq!(chat.left, [Effect::Cancel { key: "pickup:W7".into() }, Effect::Unwatch { subject: "order:W7".into() }]);
}

#[test]
fn systems_are_told_values_not_texts() {
    let mut chat = chat();
    assert_eq!(chat.say("make me an offer"), "It is on its way.");
    let emit = |event: &str, data| Effect::Emit { event: event.into(), data };
    assert_eq!(chat.left, [emit("quote.requested", json!({"count": 3, "tags": ["a", "en"]})), emit("seen", json!({}))]);
    // Also from an event, with its data as it came.
    assert_eq!(chat.event("pickup.stale", r#"{"days": [1, 2]}"#), "");
    assert_eq!(chat.left, [emit("stale", json!({"days": [1, 2]}))]);
}

#[test]
fn what_the_host_refuses_ends_the_flow_and_promises_nothing() {
    for (given, note) in [
        ("{{ lang }}", "invalid-input: `in` came to `en`"),
        ("{{ error.code }}", "invalid-input: `in` came to"),
        ("{{ 0 }}", "invalid-input"),
        ("{{ 91 * 86400 }}", "invalid-input"),
        ("{{ 0 - 5 }}", "invalid-input"),
    ] {
        let mut chat = Chat::new(bot(&BOT.replace("in: \"{{ delay }}\"", &format!("in: \"{given}\""))));
        let said = chat.say("I will pick it up, W7, in 2 hours");
        assert!(said.starts_with("Sorry, that didn't work"), "{given}: {said}");
        assert!(chat.notes[0].starts_with("`remind` failed: ") && chat.notes[0].contains(note), "{:?}", chat.notes);
        assert_eq!(chat.left, []);
    }
    let mut chat = Chat::new(bot(
        &BOT.replace("data: {order: \"{{ order }}\", count: 3", "data: {order: \"{{ 'x' * 20000 }}\", count: 3")
    ));
    assert!(chat.say("make me an offer").contains("didn't work"), "{:?}", chat.left);
    assert!(chat.notes[0].contains("`emit` failed: too-large"), "{:?}", chat.notes);
    // No data is no object.
    assert!(self::chat().event("pickup.stale", "7").contains("didn't work"));
}

#[test]
fn lengths_of_time_may_be_texts_that_templates_give() {
    let mut chat = Chat::new(bot(&BOT.replace("in: \"{{ delay }}\"", "in: \"{{ 2 }}h\"")));
    chat.say("I will pick it up, W7, in 5 minutes");
    assert!(matches!(chat.left.first(), Some(Effect::Schedule { after_seconds: 7_200, .. })), "{:?}", chat.left);
}

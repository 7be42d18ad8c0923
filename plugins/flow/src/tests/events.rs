//! What bots do when something happens elsewhere, and what becomes of the form that is open meanwhile.

use super::{Chat, bot, failure};
use serde_json::json;

const BOT: &str = r#"
languages: [en, de]
intents:
  book:
    title: Book a table
    examples: [book a table, i want to reserve a table, table reservation, reserve seats, make a booking]
slots:
  people: {entity: number, ask: "How many people?"}
  day: {entity: text, ask: Which day?}
  room: {entity: text, keep: conversation, ask: Which room?}
  stars: {entity: number, ask: "How many stars?"}
flows:
  book:
    on: book
    steps:
      - need: [people, day]
      - say: "{{ people }} on {{ day }}{% if room %} in {{ room }}{% endif %}"
  rate:
    - need: stars
    - say: "{{ stars }} stars for {{ visit or 'us' }}"
  thank: [{say: Thank you.}]
  lunch:
    on_event: [lunch.ready, lunch.late]
    steps: [{say: "Lunch: {{ event.name }}"}]
events:
  table.free:
    - say: {en: "Table {{ event.data.table-number }} is free.", de: "Tisch {{ event.data.table_number }} ist frei."}
  table.*: [{say: "Something about a table: {{ event.name }}"}]
  table.lost: []
  room.given: {set: {room: "{{ event.data.room }}", people: 99}}
  visit.over:
    - set: {visit: "{{ event.data.visit }}"}
    - flow: rate
  visit.paid: {flow: thank}
  visit.asked:
    - call: custom.lookup
      with: {id: "{{ event.data.id }}"}
      save: found
      on_error: {else: [{say: Not found.}, end]}
    - say: "Found {{ found.name }}"
  help.wanted: [{handoff: "{{ event.data.why }}"}]
  shop.closed: [{say: Bye.}, {end: conversation}]
  survey: [{confirm: Happy?, then: [{say: Great.}]}]
"#;

fn source() -> String {
    // A name with `-` is minus in templates, as everywhere.
    BOT.replace("table-number", "table_number")
}

fn chat() -> Chat {
    Chat::new(bot(&source())).with(|_, arguments| match arguments["id"].as_i64() {
        Some(7) => Ok(json!({"name": "seven"})),
        _ => Err(failure("not-found", "?")),
    })
}

#[test]
fn an_event_is_told_by_its_entry_and_the_nearest_one_wins() {
    let mut chat = chat();
    assert_eq!(chat.event("table.free", r#"{"table-number": 4}"#), "Table 4 is free.");
    assert_eq!(chat.event("table.broken.leg", "{}"), "Something about a table: table.broken.leg");
    assert_eq!(chat.event("table.lost", "{}"), "");
    assert!(chat.notes.is_empty());
    assert_eq!(chat.event("lunch.late", "{}"), "Lunch: lunch.late");
    chat.locale = Some("de");
    assert_eq!(chat.event("table.free", r#"{"table-number": 4}"#), "Tisch 4 ist frei.");
}

#[test]
fn an_event_that_nothing_is_done_on_changes_nothing() {
    let mut chat = chat();
    chat.say("book a table");
    for state in [chat.state.clone(), Vec::new(), b"{damaged".to_vec()] {
        chat.state.clone_from(&state);
        assert_eq!(chat.event("tablefree", r#"{"table-number": 4}"#), "");
        assert_eq!(chat.event("table", "{}"), "");
        assert!(chat.state == state && chat.notes[0].contains("`table`"), "{:?}", chat.notes);
    }
}

#[test]
fn a_form_goes_on_where_it_was_after_an_event() {
    let mut chat = chat();
    assert_eq!(chat.say("book a table"), "How many people?");
    assert_eq!(chat.event("table.free", r#"{"table-number": 4}"#), "Table 4 is free.");
    assert_eq!(chat.event("visit.asked", r#"{"id": 8}"#), "Not found.");
    assert_eq!(chat.event("visit.asked", r#"{"id": 7}"#), "Found seven");
    assert_eq!(chat.say("4"), "Which day?");
    // A slot of the conversation stays; the open form's own slots are not the event's.
    assert_eq!(chat.event("room.given", r#"{"room": "the garden"}"#), "");
    assert_eq!(chat.say("friday"), "4 on friday in the garden");
}

#[test]
fn tries_are_not_used_up_by_events() {
    let mut chat = chat();
    chat.say("book a table");
    chat.say("blue");
    for _ in 0..5 {
        chat.event("table.free", "{}");
    }
    assert!(chat.say("green").ends_with("How many people?"));
}

#[test]
fn a_flow_that_an_event_starts_takes_over_and_gives_back() {
    let mut chat = chat();
    chat.say("book a table");
    assert_eq!(chat.event("visit.over", r#"{"visit": "Tuesday"}"#), "How many stars?");
    // The same event again is the same question, asked once.
    assert_eq!(chat.event("visit.over", r#"{"visit": "Wednesday"}"#), "How many stars?");
    assert_eq!(chat.say("5"), "5 stars for Wednesday | Back to where we were: How many people?");
    // One that asks nothing: the form is asked for at once.
    assert_eq!(chat.event("visit.paid", "{}"), "Thank you. | Back to where we were: How many people?");
    assert_eq!(chat.event("lunch.ready", "{}"), "Lunch: lunch.ready | Back to where we were: How many people?");
    assert_eq!(chat.say("2"), "Which day?");
}

#[test]
fn an_event_may_ask_itself() {
    let mut chat = chat();
    chat.say("book a table");
    assert_eq!(chat.event("survey", "{}"), "Happy?");
    assert_eq!(chat.say("yes"), "Great. | Back to where we were: How many people?");
}

#[test]
fn events_hand_over_and_end_conversations() {
    let mut chat = chat();
    chat.event("help.wanted", r#"{"why": "fire"}"#);
    assert_eq!(chat.outcome().handoff.as_ref().unwrap().reason, "fire");
    assert_eq!(chat.event("shop.closed", "{}"), "Bye.");
    assert!(chat.outcome().ended && chat.state.is_empty());
}

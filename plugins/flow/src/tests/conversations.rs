//! What the machine does: slots, interruptions, cancelling, errors, state.

use super::{Chat, bot, failure};
use serde_json::json;

/// A little of everything.
const BOT: &str = r#"
languages: [en, de]
entities:
  sku: {regex: 'SKU-\d{4}', normalize: upper}
  size:
    list:
      small: {en: [s, tiny], de: [klein]}
      large: {en: [l, big], de: [groß]}
intents:
  stock:
    title: Stock
    examples: [is it in stock, do you have it, stock of the item, is the item available, how many do you have]
  book:
    examples:
      en: [book a table, i want to reserve a table, table reservation, reserve seats for tonight, make a booking]
      de: [tisch reservieren, ich möchte einen tisch buchen, reservierung bitte]
  hours:
    examples: [when are you open, opening hours, what time do you close, are you open on sunday]
  loop:
    examples: [go around in circles, run in a loop, spin round and round]
slots:
  sku: {entity: sku, keep: conversation, ask: Which article?}
  people: {entity: number, ask: "How many people?", invalid: "A number, please.", tries: 2, otherwise: [{say: "Let's leave it."}]}
  size: {entity: size, ask: Which size?, choices: [small, {label: Big one, value: large}]}
  note: {entity: text, ask: Any wishes?}
flows:
  stock:
    on: stock
    steps:
      - need: sku
      - call: inventory.availability
        with: {sku: "{{ sku }}"}
        save: levels
        on_error:
          not-found: [{say: "No such thing: {{ error.code }}"}, end]
      - say: "{{ levels[0].available }} of {{ sku }}"
  book:
    on: book
    steps:
      - need: [people, size, note]
      - confirm: {en: "{{ people }} people, {{ size }}, {{ note }}?", de: "{{ people }} Personen, {{ size }}?"}
      - choose: Where?
        save: place
        options:
          - {label: {en: Inside, de: Drinnen}, value: in}
          - {label: {en: On the terrace, de: Terrasse}, value: out, then: [{say: Bring a jacket.}]}
        else: [{say: Anywhere then.}, {set: {place: any}}]
      - say: ["Booked {{ place }}."]
  hours:
    on: hours
    on_event: asked
    steps:
      - say: {en: "Nine to five.", de: "Neun bis fünf."}
        card: {title: Hours, url: "https://example.test/{{ lang }}"}
  loop:
    on: loop
    steps: [{jump: loop}]
"#;

fn chat() -> Chat {
    Chat::new(bot(BOT)).with(|_, arguments| match arguments["sku"].as_str() {
        Some("SKU-1001") => Ok(json!([{"available": 7.0}])),
        Some("SKU-5003") => Err(failure("unavailable", "down")),
        Some("SKU-5000") => Err(failure("internal", "secret detail")),
        _ => Err(failure("not-found", "?")),
    })
}

#[test]
fn slots_are_filled_over_turns_and_from_the_first_message() {
    let mut chat = chat();
    assert_eq!(chat.say("I want to book a big table"), "How many people?");
    assert_eq!(chat.say("we are 4"), "Any wishes?");
    assert_eq!(chat.say("window seat"), "4 people, large, window seat?");
    assert_eq!(chat.say("yes"), "Where?");
    assert_eq!(chat.say("on the terrace please"), "Bring a jacket. | Booked out.");
    // Nothing of it is left.
    assert_eq!(chat.say("book a table"), "How many people?");
}

#[test]
fn one_answer_may_fill_more_than_was_asked() {
    let mut chat = chat();
    chat.say("book a table");
    assert_eq!(chat.say("3, and make it tiny"), "Any wishes?");
}

#[test]
fn choices_are_sent_and_understood() {
    let mut chat = chat();
    chat.say("book a table for 2");
    let choices = &chat.outcome().replies[0].choices;
    assert_eq!((choices[1].label.as_str(), choices[1].value.as_str()), ("Big one", "large"));
    chat.say("large");
    chat.say("none");
    chat.say("ja");
    assert_eq!(chat.say("2"), "Bring a jacket. | Booked out.");
}

#[test]
fn wrong_answers_are_counted() {
    let mut chat = chat();
    chat.say("book a table");
    assert_eq!(chat.say("blue"), "A number, please.");
    assert_eq!(chat.say("green"), "Let's leave it.");
    chat.say("book a big table for 2");
    chat.say("nothing");
    chat.say("yes");
    assert!(chat.say("purple").ends_with("Where?"));
    chat.say("purple");
    assert_eq!(chat.say("purple"), "Anywhere then. | Booked any.");
}

#[test]
fn another_matter_is_served_in_between() {
    let mut chat = chat();
    chat.say("book a table");
    assert_eq!(chat.say("when are you open?"), "Nine to five. | Back to where we were: How many people?");
    assert_eq!(chat.outcome().replies[0].kind, "card");
    assert_eq!(chat.outcome().replies[0].data.as_deref(), Some(r#"{"title":"Hours","url":"https://example.test/en"}"#));
    // One that asks itself.
    assert_eq!(chat.say("is the item available"), "Which article?");
    assert_eq!(chat.say("SKU-1001"), "7 of SKU-1001 | Back to where we were: How many people?");
    assert_eq!(chat.say("5"), "Which size?");
}

#[test]
fn cancel_ends_the_matter_that_is_open() {
    let mut chat = chat();
    chat.say("book a table");
    chat.say("is the item available");
    assert!(chat.say("never mind").ends_with("Back to where we were: How many people?"));
    assert!(chat.say("abbrechen").contains("cancelled"));
    assert!(chat.say("cancel").contains("nothing to cancel"));
}

#[test]
fn no_is_no_in_both_languages() {
    for no in ["no", "nein danke"] {
        let mut chat = chat();
        chat.say("book a big table for 2");
        chat.say("none");
        let said = chat.say(no);
        assert!(said.contains("won't do it") || said.contains("lasse ich es"), "{said}");
        assert!(!String::from_utf8_lossy(&chat.state).contains("stack"));
    }
}

#[test]
fn calls_that_fail_are_excused() {
    let mut chat = chat();
    assert_eq!(chat.say("do you have it in stock: SKU-4040"), "No such thing: not-found");
    let later = chat.say("do you have it in stock: SKU-5003");
    assert!(later.contains("try again"), "{later}");
    assert!(chat.notes[0].contains("unavailable: down"));
    let sorry = chat.say("do you have it in stock: SKU-5000");
    assert!(sorry.contains("Sorry") && !sorry.contains("secret") && !sorry.contains("again"), "{sorry}");
}

#[test]
fn damaged_state_is_a_fresh_start() {
    for state in [&b"{"[..], b"[1,2]", br#"{"v":99}"#, b"\xff\xfe"] {
        let mut chat = chat();
        chat.state = state.to_vec();
        assert!(chat.say("when are you open").contains("Nine"));
        assert!(chat.notes[0].contains("afresh"), "{:?}", chat.notes);
    }
}

#[test]
fn a_changed_definition_cancels_what_it_no_longer_has() {
    let mut chat = chat();
    chat.say("book a table");
    let state = chat.state.clone();
    // Steps before the question change nothing.
    chat.bot = bot(&BOT.replace("- need: [people, size, note]", "- say: hi\n      - need: [people, size, note]"));
    assert_eq!(chat.say("4"), "Which size?");
    // The question is gone.
    chat.bot = bot(&BOT.replace("- need: [people, size, note]", "- need: [size, note]"));
    chat.state = state.clone();
    assert!(chat.say("4").contains("lost the thread"));
    assert!(chat.notes[0].contains("ask:people"));
    chat.state = state;
    assert_eq!(chat.say("when are you open"), "Nine to five.");
}

#[test]
fn a_yes_belongs_to_its_question() {
    let mut chat = chat();
    chat.say("book a big table for 2");
    chat.say("none");
    chat.bot = bot(&BOT.replace("{{ people }} people, {{ size }}, {{ note }}?", "Cancel everything?"));
    assert!(chat.say("yes").contains("lost the thread"));
}

#[test]
fn circles_come_to_an_end() {
    let mut chat = chat();
    assert!(chat.say("go around in circles").contains("Sorry"));
    assert!(chat.notes[0].contains("does not come to an end"));
}

#[test]
fn unknown_turns_are_answered_with_nothing() {
    let mut chat = chat();
    assert_eq!(chat.turn("reaction", "👍", None), "");
    assert_eq!(chat.event("asked", "no json"), "Nine to five.");
}

#[test]
fn near_misses_are_offered() {
    let mut chat = chat();
    let said = chat.say("zzz");
    assert!(said.contains("put it another way"), "{said}");
    assert!(chat.say("zzz").contains("what I can do"));
    assert_eq!(chat.outcome().replies[0].choices[0].value, "Stock");
    chat.say("Stock");
    assert_eq!(chat.intent(), Some("stock"));
}

#[test]
fn large_results_are_not_kept() {
    let mut chat = Chat::new(bot(&BOT.replace("- say: \"{{ levels[0].available }} of {{ sku }}\"", "- need: note")))
        .with(|_, _| Ok(json!([{"available": "x".repeat(60_000)}])));
    assert_eq!(chat.say("do you have it SKU-1001"), "Any wishes?");
    assert!(chat.state.len() < 1000 && chat.notes[0].contains("levels"));
}

#[test]
fn templates_print_for_people_and_give_values_to_machines() {
    let source = r#"
intents: {go: {examples: [go now, start it, begin please]}}
flows:
  go:
    on: go
    steps:
      - set: {n: 7.0, half: 2.5, items: ["{{ n }}", "x{{ half }}"]}
      - call: custom.thing
        with: {n: "{{ n }}", list: "{{ items }}", text: "n is {{ n }}, {{ half }}", none: "{{ event.data.nothing }}", flag: true}
        save: result
      - say: "{{ n }} {{ half }} {{ result.some_name }} {{ result.nothing.at.all }} {{ now | date }} {{ result.price | money }} {{ turn }}"
"#;
    let mut chat = Chat::new(bot(source))
        .with(|_, _| Ok(json!({"some-name": 3.0, "price": {"amount": "1349.5", "currency": "EUR"}})));
    assert_eq!(chat.say("go now"), "7 2.5 3  22 November 2026 €1,349.50 1");
    assert_eq!(chat.last_call().1, &json!({"n": 7.0, "list": [7.0, "x2.5"], "text": "n is 7, 2.5", "flag": true}));
}

#[test]
fn variants_go_with_the_turn() {
    let source = "intents: {go: {examples: [go now, start it, begin please]}}\nflows: {go: {on: go, steps: [{say: [one, two]}]}}";
    let mut chat = Chat::new(bot(source));
    assert_eq!([chat.say("go now"), chat.say("go now"), chat.say("go now")], ["two", "one", "two"]);
}

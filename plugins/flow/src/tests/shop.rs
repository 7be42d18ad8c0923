//! The example bot against a small business system.

use super::{Chat, failure, shop};
use confab_plugin_sdk::effects::Effect;
use confab_plugin_sdk::types::Error;
use serde_json::{Value, json};

/// SKU-1001 has 5 to sell, WEB-42 belongs to erika@example.test; no tickets.
pub(super) fn system(call: &str, arguments: &Value) -> Result<Value, Error> {
    let desk = json!({"sku": "SKU-1001", "name": "Walnut Desk", "price": {"amount": "349.00", "currency": "EUR"}, "categories": [], "extra": []});
    let is_desk = arguments["sku"] == "SKU-1001";
    match call {
        "inventory.availability" if is_desk => Ok(json!([{
            "sku": "SKU-1001", "name": "Walnut Desk", "on-hand": 7.0, "available": 5.0, "location": null, "as-of": "2026-11-22T10:00:00Z"
        }])),
        "inventory.availability" if arguments["sku"] == "SKU-1002" => Ok(json!([{
            "sku": "SKU-1002", "name": "Oak Chair", "on-hand": 0.0, "available": 0.0, "restock-at": "2026-12-01T00:00:00Z", "as-of": "2026-11-22T10:00:00Z"
        }])),
        "catalog.get" if is_desk => Ok(desk),
        "catalog.search" => {
            let query = arguments["query"].as_str().unwrap_or_default().to_lowercase();
            Ok(if query.contains("desk") || query.contains("schreibtisch") { json!([desk]) } else { json!([]) })
        }
        "catalog.recommend" => Ok(json!([{"product": desk, "reason": "often bought with SKU-1002"}])),
        "orders.get" | "orders.track" => {
            if arguments["number"] != "WEB-42" || arguments["proof"]["email"] != "erika@example.test" {
                return Err(failure("not-found", "no such order"));
            }
            Ok(if call == "orders.get" {
                json!({"number": "7", "reference": "WEB-42", "state": "shipped", "total": {"amount": "698.00", "currency": "EUR"}, "lines": [], "extra": []})
            } else {
                json!([{"state": "in-transit", "carrier": "DHL", "tracking-number": "JD0123", "expected-at": "2026-11-24T00:00:00Z", "events": []}])
            })
        }
        "contacts.upsert" => Ok(json!({"id": "1", "name": "x", "extra": []})),
        "leads.create" => Ok(json!({"id": "9", "number": "L-9", "state": "new", "subject": "x"})),
        "tickets.create" => Err(failure("unsupported", "no helpdesk")),
        _ => Err(failure("not-found", "nothing like that")),
    }
}

fn chat() -> Chat {
    Chat::new(shop()).with(system)
}

#[test]
fn stock_then_price_without_naming_the_article_again() {
    let mut chat = chat();
    assert_eq!(chat.say("Do you have SKU-1001 in stock?"), "Yes, Walnut Desk (SKU-1001) is in stock: 5 available.");
    assert_eq!(chat.last_call(), ("inventory.availability", &json!({"sku": "SKU-1001"})));
    assert_eq!(chat.say("and what does it cost?"), "Walnut Desk (SKU-1001) costs €349.00.");
    assert_eq!(chat.intent(), Some("price"));
    // The same question about another one.
    assert!(chat.say("Und haben Sie SKU-1002 auf Lager?").contains("1. Dezember 2026"), "{:?}", chat.outcome());
    assert!(chat.say("und SKU-1001?").contains("ist auf Lager: 5 verfügbar"), "{:?}", chat.outcome());
}

#[test]
fn articles_are_found_by_name() {
    let mut chat = chat();
    assert!(chat.say("is the walnut desk in stock?").contains("5 available"));
    assert!(chat.say("Was kostet der Schreibtisch?").contains("349,00 €"));
    let mut chat = self::chat();
    assert!(chat.say("is it in stock?").contains("Which article"));
    assert!(chat.say("the desk made of walnut").contains("5 available"));
    let mut chat = self::chat();
    chat.say("is it in stock?");
    assert!(chat.say("a unicorn").contains("couldn't find"));
    let mut chat = self::chat();
    assert!(chat.say("Do you have SKU-9999 in stock?").contains("don't know"));
}

#[test]
fn an_order_needs_its_proof() {
    let mut chat = chat();
    assert!(chat.say("where is my order?").contains("order number"));
    assert!(chat.say("it's web-42").contains("e-mail"));
    assert!(chat.say("no idea what you mean").contains("doesn't look like an e-mail"));
    let said = chat.say("erika@example.test");
    assert!(
        said.contains("WEB-42 is shipped, total €698.00")
            && said.contains("DHL, tracking number JD0123, expected on 24 November 2026"),
        "{said}"
    );
}

#[test]
fn a_wrong_proof_reveals_nothing() {
    let mut chat = chat();
    let wrong_mail = chat.say("Where is my order WEB-42? My mail is mallory@example.test");
    let mut chat = self::chat();
    let wrong_number = chat.say("Where is my order WEB-43? My mail is erika@example.test");
    assert_eq!(wrong_mail, wrong_number);
    assert!(wrong_mail.contains("can't find an order"));
    // Both are asked for again.
    assert!(chat.say("where is my order?").contains("order number"));
    assert!(chat.say("42").contains("e-mail"));
    chat.say("erika@example.test");
    assert_eq!(chat.calls.last().unwrap().1["number"], json!("42"));
}

#[test]
fn sales_get_a_lead_after_a_yes() {
    let mut chat = chat();
    chat.say("Do you have SKU-1001 in stock?");
    assert!(chat.say("please have sales call me").contains("your name"));
    assert!(chat.say("My name is Erika Mustermann").contains("e-mail address or phone"));
    assert!(chat.say("hm").contains("I need an e-mail address or a phone number"));
    assert!(chat.say("+49 30 1234567").contains("about"));
    let confirm = chat.say("ten desks for our new office");
    assert!(
        confirm.contains("Erika Mustermann (+49 30 1234567)") && chat.outcome().replies[0].choices.len() == 2,
        "{confirm}"
    );
    assert!(!chat.calls.iter().any(|(name, _)| name == "leads.create"));
    assert!(chat.say("maybe").contains("yes or no"));
    assert!(chat.say("yes please").contains("L-9"));
    let lead = &chat.last_call().1["lead"];
    assert_eq!(lead["person"], json!({"name": "Erika Mustermann", "phone": "+49 30 1234567"}));
    assert_eq!((&lead["skus"], &lead["source"]), (&json!(["SKU-1001"]), &json!("chat")));
}

#[test]
fn without_a_helpdesk_the_bot_offers_a_call() {
    let mut chat = chat();
    chat.visitor.email = Some("erika@example.test".to_owned());
    assert!(chat.say("I want to report a problem").contains("one line"));
    assert!(chat.say("Scratched desk").contains("describe"));
    assert!(chat.say("It has a scratch.").contains("erika@example.test. Is that right?"));
    assert!(chat.say("yes").contains("can't open tickets"));
    assert!(chat.say("sure").contains("your name"));
    assert!(chat.say("Erika").contains("Scratched desk. Shall I pass it on?"));
    assert!(chat.say("no").contains("won't"));
    assert!(!chat.calls.iter().any(|(name, _)| name == "leads.create"));
}

#[test]
fn products_are_recommended_with_a_reason() {
    let mut chat = chat();
    assert!(
        chat.say("what goes well with SKU-1002?")
            .contains("Walnut Desk (SKU-1001), €349.00: often bought with SKU-1002")
    );
    assert_eq!(chat.last_call().1, &json!({"interest": {"skus": ["SKU-1002"]}, "limit": 3}));
    assert!(chat.say("I'm looking for a desk").contains("- Walnut Desk (SKU-1001), €349.00"));
    assert!(chat.say("ich suche einen Elefanten").contains("nichts gefunden"));
}

#[test]
fn people_take_over_and_conversations_end() {
    let mut chat = chat();
    chat.say("I want to talk to a human");
    assert_eq!(chat.outcome().handoff.as_ref().unwrap().reason, "the visitor asked for a person");
    let mut chat = self::chat();
    chat.say("goodbye");
    assert!(chat.outcome().ended && chat.outcome().state.is_empty());
}

#[test]
fn misses_are_staged() {
    let mut chat = chat();
    assert!(chat.say("what is the capital of France?").contains("put it another way"));
    assert!(chat.intent().is_none() && !chat.outcome().replies[0].choices.is_empty());
    assert!(chat.say("who is the president?").contains("bring in a colleague"));
    chat.say("yes");
    assert!(chat.outcome().handoff.is_some());
}

#[test]
fn who_tracks_an_order_hears_of_it_and_nobody_else_does() {
    let mut chat = chat();
    chat.say("Where is my order WEB-42? My mail is mallory@example.test");
    assert_eq!(chat.left, []);
    chat.say("Where is my order WEB-42? My mail is erika@example.test");
    assert_eq!(chat.left, [Effect::Watch { subject: "order:WEB-42".into(), for_seconds: 30 * 86_400 }]);
    let shipped = r#"{"number": "WEB-42", "url": "https://dhl.example/1"}"#;
    assert_eq!(
        chat.event("order.shipped", shipped),
        "Good news: your order WEB-42 is on its way. https://dhl.example/1"
    );
    assert_eq!(chat.left, []);
    assert!(chat.event("order.delivered", r#"{"number": "WEB-42"}"#).contains("WEB-42 has been delivered"));
    assert_eq!(chat.left, [Effect::Unwatch { subject: "order:WEB-42".into() }]);
    // In the conversation's language.
    let mut chat = self::chat();
    chat.say("Hallo, guten Tag");
    assert_eq!(
        chat.event("order.shipped", r#"{"number": "WEB-42"}"#),
        "Gute Nachricht: Ihre Bestellung WEB-42 ist unterwegs."
    );
    assert!(chat.event("order.delivered", r#"{"number": "WEB-42"}"#).contains("ist zugestellt"));
}

#[test]
fn what_happens_to_an_order_leaves_the_open_question_as_it_is() {
    let mut chat = chat();
    chat.say("where is my order?");
    let said = chat.event("order.shipped", r#"{"number": "WEB-41"}"#);
    assert_eq!(said, "Good news: your order WEB-41 is on its way.");
    assert!(chat.say("WEB-42").contains("e-mail"));
    let state = chat.state.clone();
    assert_eq!(chat.event("order.exploded", "{}"), "");
    assert!(chat.notes[0].contains("order.exploded") && chat.state == state);
}

#[test]
fn visitors_are_reminded_of_what_they_asked() {
    let reminder = |seconds: u32, note: &str| Effect::Schedule {
        key: "visitor".into(),
        event: "reminder".into(),
        after_seconds: seconds,
        data: Some(json!({"note": note})),
    };
    for (text, seconds, answer) in [
        ("Remind me in 2 hours", 7_200, "12:32 UTC"),
        ("please remind me in half an hour to order chairs", 1_800, "11:02 UTC"),
        ("remind me tomorrow", 86_400, "23 November 2026, 10:32 UTC"),
        ("Erinnere mich in zwei Stunden", 7_200, "12:32 UTC"),
        ("Bitte erinnern Sie mich morgen daran", 86_400, "23. November 2026, 10:32 UTC"),
        ("kannst du mich in einer stunde erinnern", 3_600, "11:32 UTC"),
    ] {
        let mut chat = chat();
        let said = chat.say(text);
        assert!(said.contains(answer), "{text}: {said} {:?}", chat.intent());
        assert_eq!(chat.left, [reminder(seconds, text)], "{text}");
        assert!(chat.event("reminder", &json!({"note": text}).to_string()).contains(text));
    }
    let mut chat = chat();
    assert!(chat.say("can you remind me about this?").contains("When"), "{:?}", chat.intent());
    assert!(chat.say("whenever").contains("something like"));
    assert!(chat.say("30 min").contains("11:02 UTC"));
    assert_eq!(chat.left, [reminder(1_800, "can you remind me about this?")]);
    // Nothing is promised that can't be kept.
    let mut chat = self::chat();
    assert!(chat.say("remind me in 40 weeks").contains("90 days"));
    assert_eq!(chat.left, []);
}

#[test]
fn a_system_that_does_not_answer_is_a_sentence_for_the_visitor_and_a_note_for_the_operator() {
    let ways = [
        ("Do you have SKU-1001 in stock?", "Haben Sie SKU-1001 auf Lager?"),
        ("is the walnut desk in stock?", "Ist der Schreibtisch auf Lager?"),
        ("what does SKU-1001 cost?", "Was kostet SKU-1001?"),
    ];
    for (code, en, de) in [
        ("rate-limited", "isn't answering right now", "antwortet gerade nicht"),
        ("unavailable", "isn't answering right now", "antwortet gerade nicht"),
        ("timeout", "isn't answering right now", "antwortet gerade nicht"),
        ("misconfigured", "can't look that up", "gerade nicht nachsehen"),
        ("forbidden", "can't look that up", "gerade nicht nachsehen"),
        ("internal", "can't look that up", "gerade nicht nachsehen"),
        ("a-code-of-tomorrow", "can't look that up", "gerade nicht nachsehen"),
    ] {
        for (english, german) in ways {
            for (question, expected, locale) in [(english, en, "en"), (german, de, "de")] {
                let mut chat = Chat::new(shop()).with(move |_, _| Err(failure(code, "HTTP 500 at erp.example:8443")));
                chat.locale = Some(locale);
                let said = chat.say(question);
                assert!(said.contains(expected), "{code}: {question}: {said}");
                assert!(!said.contains("500") && !said.contains("erp.example") && !said.contains(code), "{said}");
                assert!(chat.notes.iter().any(|note| note.contains(code)), "{code}: {:?}", chat.notes);
            }
        }
    }
}

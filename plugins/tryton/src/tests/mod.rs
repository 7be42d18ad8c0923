//! The capabilities against what a real Tryton 8.2 answered. See `tape.rs` for how to record anew.

mod tape;

use confab_plugin_sdk::catalog::Interest;
use confab_plugin_sdk::leads::{LeadInput, Qualification};
use confab_plugin_sdk::prelude::*;
use tape::Tape;

fn email(email: &str) -> Proof {
    Proof { email: Some(email.into()), ..Proof::default() }
}

/// Requests that reading the session takes.
const SESSION: usize = 4;

#[test]
fn an_order_is_given_to_its_owner_only() {
    let mut tape = Tape::load("order");
    let order = tape.run("", "en", |t| t.order(" web-42", &email("EINKAUF@muster.example"))).unwrap();
    assert_eq!(tape.calls, SESSION + 1);
    assert_eq!((order.reference.as_deref(), order.state.as_str()), (Some("WEB-42"), "processing"));
    assert_eq!(order.total, Some(Money { amount: "698.00".into(), currency: "EUR".into() }));
    assert_eq!((order.lines.len(), order.lines[0].quantity, order.lines[0].sku.as_deref()), (1, 2.0, Some("SKU-1001")));
    assert_eq!(
        (order.lines[0].name.as_str(), order.extra[0].value.as_str()),
        ("Espresso machine", "Muster & Söhne GmbH")
    );

    let by_number = Proof { phone: Some("01 555 01 42".into()), postal_code: Some("1010".into()), ..Proof::default() };
    assert_eq!(tape.run("", "en", |t| t.order(&order.number, &by_number)).unwrap(), order);
    assert_eq!(tape.calls, SESSION + 2, "the session is remembered");
    let customer = Proof { customer_id: order.customer_id.clone(), ..Proof::default() };
    assert!(tape.run("", "en", |t| t.order("WEB-42", &customer)).is_ok());

    let wrong = Proof { postal_code: Some("1020".into()), ..by_number };
    let wrong = tape.run("", "en", |t| t.order("WEB-42", &wrong)).unwrap_err();
    let unknown = tape.run("", "en", |t| t.order("WEB-99", &email("einkauf@muster.example"))).unwrap_err();
    let wildcard = tape.run("", "en", |t| t.order("WEB-4_", &email("einkauf@muster.example"))).unwrap_err();
    assert_eq!((&wrong, &wrong), (&unknown, &wildcard));
    assert_eq!(wrong.code, "not-found");
    assert_eq!(tape.run("", "en", |t| t.order("WEB-42", &email(" "))).unwrap_err().code, "proof-required");
}

#[test]
fn orders_of_a_customer_have_the_states_of_the_contract() {
    let mut tape = Tape::load("orders");
    let first = tape.run("", "en", |t| t.order("WEB-40", &email("erika@example.test"))).unwrap();
    let customer = first.customer_id.unwrap();
    let orders = tape.run("", "en", |t| t.orders_of(&customer, 10)).unwrap();
    let mut states: Vec<_> = orders.iter().map(|o| (o.reference.as_deref().unwrap(), o.state.as_str())).collect();
    states.sort();
    assert_eq!(states, [("WEB-40", "delivered"), ("WEB-41", "shipped"), ("WEB-44", "draft")]);
    let draft = orders.iter().find(|o| o.state == "draft").unwrap();
    assert_eq!((draft.number.as_str(), draft.placed_at.as_ref()), ("WEB-44", None));
    assert_eq!(tape.run("", "en", |t| t.orders_of(&customer, 1)).unwrap().len(), 1);
    assert!(tape.run("", "en", |t| t.orders_of("x", 1)).unwrap().is_empty());
}

#[test]
fn parcels_have_carrier_and_number() {
    let mut tape = Tape::load("tracking");
    let left = tape.run("", "de", |t| t.tracking("WEB-41", &email("erika@example.test"))).unwrap();
    assert_eq!((left.len(), left[0].state.as_str()), (1, "shipped"));
    assert_eq!(
        (left[0].carrier.as_deref(), left[0].tracking_number.as_deref()),
        (Some("Example Parcel"), Some("EX0000041AT"))
    );
    let arrived = tape.run("", "de", |t| t.tracking("WEB-40", &email("erika@example.test"))).unwrap();
    assert_eq!(
        (arrived[0].state.as_str(), arrived[0].events[0].text.as_str()),
        ("delivered", "Hat das Lager verlassen")
    );
    let waiting = tape.run("", "de", |t| t.tracking("WEB-42", &email("einkauf@muster.example"))).unwrap();
    assert_eq!(waiting[0].state, "pending");
    assert_eq!(tape.run("", "de", |t| t.tracking("WEB-41", &email("x@example.test"))).unwrap_err().code, "not-found");
}

#[test]
fn stock_is_two_requests_once_the_session_is_known() {
    let mut tape = Tape::load("stock");
    let now = "2026-11-22T10:00:00Z";
    let levels = tape.run("", "en", |t| t.availability("sku-1001", None, now)).unwrap();
    assert_eq!(tape.calls, SESSION + 2);
    assert_eq!(
        (levels.len(), levels[0].sku.as_str(), levels[0].on_hand, levels[0].available),
        (1, "SKU-1001", 7.0, 5.0)
    );
    assert_eq!((levels[0].location.as_deref(), levels[0].unit.as_deref()), (Some("Warehouse"), Some("u")));
    assert_eq!(tape.run("", "en", |t| t.availability("SKU-1002", Some("wh"), now)).unwrap()[0].available, 120.0);
    assert_eq!(tape.calls, SESSION + 4);
    let out = tape.run("", "en", |t| t.availability("SKU-1003", None, now)).unwrap();
    assert_eq!((out[0].on_hand, out[0].available, out[0].restock_at.as_ref()), (0.0, 0.0, None));
    assert!(tape.run("", "en", |t| t.availability("FREIGHT", None, now)).unwrap().is_empty());
    assert_eq!(tape.run("", "en", |t| t.availability("SKU-9", None, now)).unwrap_err().code, "not-found");
    assert_eq!(tape.run("", "en", |t| t.availability("SKU-1001", Some("Linz"), now)).unwrap_err().code, "not-found");
}

#[test]
fn articles_are_found_by_words_with_their_price() {
    let mut tape = Tape::load("articles");
    let found = tape.run("", "de", |t| t.articles("Do you have a milk frother, please?", 5)).unwrap();
    assert_eq!((found[0].sku.as_str(), found[0].name.as_str()), ("SKU-1002", "Milk frother"));
    assert_eq!(found[0].price, Some(Money { amount: "39.90".into(), currency: "EUR".into() }));
    assert_eq!(found[0].categories, ["Accessories"]);
    assert_eq!(tape.run("", "de", |t| t.articles("kaffeemühle", 5)).unwrap()[0].sku, "SKU-1004");
    assert!(tape.run("", "de", |t| t.articles("bicycle", 5)).unwrap().is_empty());
    let one = tape.run("", "en", |t| t.article("sku-1001")).unwrap();
    assert_eq!(
        (one.sku.as_str(), one.description.as_deref()),
        ("SKU-1001", Some("Pump machine with two cups at once"))
    );
    assert_eq!(tape.run("", "en", |t| t.article("SKU-%")).unwrap_err().code, "not-found");
}

#[test]
fn recommendations_come_from_past_sales_and_are_in_stock() {
    let mut tape = Tape::load("recommend");
    let machine = Interest { skus: vec!["SKU-1001".into()], ..Interest::default() };
    let found = tape.run("", "en", |t| t.recommended(&machine, 5)).unwrap();
    assert_eq!(
        (found[0].product.sku.as_str(), found[0].reason.as_str()),
        ("SKU-1002", "often bought with Espresso machine")
    );
    let words = Interest { query: Some("descaler or frother".into()), ..Interest::default() };
    let found = tape.run("", "de", |t| t.recommended(&words, 5)).unwrap();
    assert_eq!(
        found.iter().map(|r| r.product.sku.as_str()).collect::<Vec<_>>(),
        ["SKU-1002"],
        "the descaler is sold out"
    );
    assert_eq!(found[0].reason, "passt zu dem, was Sie suchen");
    assert!(tape.run("", "en", |t| t.recommended(&Interest::default(), 5)).unwrap().is_empty());
}

fn person() -> Person {
    Person {
        name: Some("Jörg Größwang".into()),
        email: Some("joerg@example.test".into()),
        phone: Some("+43 660 7770001".into()),
        company: Some("Größwang OG".into()),
    }
}

#[test]
fn contacts_are_found_and_made_once_and_never_changed() {
    let mut tape = Tape::load("contacts");
    let by_phone = tape.run("", "en", |t| t.contacts(None, Some("0660/555 01 77".into()))).unwrap();
    assert_eq!((by_phone.len(), by_phone[0].name.as_str()), (1, "Erika Mustermann"));
    let both =
        tape.run("", "en", |t| t.contacts(Some("erika@example.test".into()), Some("+43 1 5550142".into()))).unwrap();
    assert!(both.is_empty());
    let made = tape.run("", "en", |t| t.upsert(&person())).unwrap();
    let again = tape.run("", "en", |t| t.upsert(&Person { phone: None, ..person() })).unwrap();
    assert_eq!((&made.id, again.name.as_str()), (&again.id, "Jörg Größwang"));
    let stranger = Person { email: Some("erika@example.test".into()), ..person() };
    let erika = tape.run("", "en", |t| t.upsert(&stranger)).unwrap();
    assert_eq!((erika.name.as_str(), erika.phone.as_deref()), ("Erika Mustermann", Some("+43 660 5550177")));
    let bad = tape.run("", "en", |t| t.upsert(&Person { email: Some("not an address".into()), ..Person::default() }));
    assert_eq!(bad.unwrap_err().code, "invalid-input");
}

#[test]
fn a_lead_is_made_once_and_qualified() {
    let mut tape = Tape::load("leads");
    let input = LeadInput {
        person: Person { email: Some("lead@example.test".into()), ..person() },
        subject: "Zwölf Maschinen fürs Büro".into(),
        message: Some("Bitte um ein Angebot.".into()),
        source: Some("chat".into()),
        skus: vec!["SKU-1001".into(), "SKU-77".into()],
    };
    let made = tape.run("turn-1.0", "de", |t| t.create_lead(&input)).unwrap();
    assert_eq!((made.state.as_str(), made.subject.as_str()), ("new", "Zwölf Maschinen fürs Büro"));
    assert_eq!(tape.run("turn-1.0", "de", |t| t.create_lead(&input)).unwrap(), made);
    // The answer of the first try was lost before it was remembered.
    tape.map.retain(|key, _| key == "session");
    assert_eq!(tape.run("turn-1.0", "de", |t| t.create_lead(&input)).unwrap(), made);
    let other = tape.run("turn-2.0", "de", |t| t.create_lead(&input)).unwrap();
    assert!(other.id != made.id && other.contact_id == made.contact_id);

    let found = Qualification { score: Some(80), state: Some("qualified".into()), note: Some("Budget ist da".into()) };
    for _ in 0..2 {
        assert_eq!(tape.run("turn-3.0", "de", |t| t.qualify_lead(&made.id, &found)).unwrap().state, "qualified");
    }
    let comment = tape.run("", "de", |t| {
        t.find(
            "sale.opportunity",
            serde_json::json!([["id", "=", made.id.parse::<i64>().unwrap()]]),
            1,
            serde_json::Value::Null,
            serde_json::json!(["comment"]),
            serde_json::json!({}),
        )
    });
    let comment = comment.unwrap()[0]["comment"].as_str().unwrap().to_owned();
    assert_eq!(comment.matches("Budget ist da").count(), 1, "{comment}");
    assert!(comment.contains("Company: Größwang OG") && comment.contains("not in Tryton: SKU-77"), "{comment}");
    let converted = Qualification { state: Some("converted".into()), ..Qualification::default() };
    assert_eq!(tape.run("turn-4.0", "de", |t| t.qualify_lead(&made.id, &converted)).unwrap_err().code, "unsupported");
    assert_eq!(tape.run("turn-5.0", "de", |t| t.qualify_lead("99999", &found)).unwrap_err().code, "not-found");
}

#[test]
fn health_looks_at_rights() {
    let mut tape = Tape::load("health");
    let found = tape.run("", "en", |t| t.findings());
    assert!(found.iter().all(|f| f.status == "ok"), "{found:?}");
    assert_eq!(found.len(), 9);
    assert!(tape.calls <= 16);
}

#[test]
fn a_remembered_session_is_dropped_when_something_is_forbidden() {
    let mut tape = Tape::load("forbidden");
    tape.run("", "en", |t| t.session()).unwrap();
    let refused = tape
        .run("", "en", |t| t.call("res.user.write", vec![serde_json::json!([1]), serde_json::json!({"name": "x"})]));
    assert_eq!(refused.unwrap_err().code, "forbidden");
    assert!(tape.map.is_empty());
    let unknown = tape.run("", "en", |t| t.call("helpdesk.ticket.search", vec![serde_json::json!([])]));
    assert_eq!(unknown.unwrap_err().code, "misconfigured");
}

//! The connector against the small Odoo of `tests/src/vendors/odoo/orm`, which knows the fields of each version, the
//! search language and the exceptions. No server, no Wasm.

use crate::Connector;
use confab_plugin_sdk::catalog::{Catalog, Interest};
use confab_plugin_sdk::contacts::Contacts;
use confab_plugin_sdk::health::Health;
use confab_plugin_sdk::inventory::Inventory;
use confab_plugin_sdk::leads::{LeadInput, Leads, Qualification};
use confab_plugin_sdk::orders::Orders;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::testing::{Answer, Host, Sent};
use orm::{DATABASE, Helpdesk, KEY, LOGIN, Orm};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;

#[allow(dead_code, unreachable_pub, reason = "it is a part of the tests of the whole house, which use more of it")]
#[path = "../../../tests/src/vendors/odoo/orm/mod.rs"]
mod orm;

mod tickets;

type Shared = Rc<RefCell<Orm>>;

/// Puts in the key as the host does, and answers as Odoo does.
fn serve(orm: &Shared, request: &Sent) -> Answer {
    assert_eq!(
        (request.endpoint.as_str(), request.method.as_str(), request.path.as_str()),
        ("rpc", "POST", "/jsonrpc")
    );
    let mut call = request.json();
    if let Some(place) = call.pointer_mut("/params/args/2") {
        assert!(place.is_null(), "the plugin wrote something where the key belongs");
        *place = json!(KEY);
    }
    let params = &call["params"];
    let args = params["args"].as_array().unwrap();
    let made = orm.borrow_mut().dispatch(params["service"].as_str().unwrap(), params["method"].as_str().unwrap(), args);
    let mut answer = json!({"jsonrpc": "2.0", "id": call["id"]});
    match made {
        Ok(Value::Null) => {}
        Ok(result) => answer["result"] = result,
        Err(fault) => answer["error"] = json!({"code": 200, "message": "Odoo Server Error", "data": fault.data()}),
    }
    Answer::json(200, answer)
}

fn odoo(orm: Orm, settings: Value) -> (Shared, Host) {
    let orm = Rc::new(RefCell::new(orm));
    let mut all = json!({"database": DATABASE, "username": LOGIN});
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let serving = orm.clone();
    (orm, Host::new().settings(all).on(move |request| serve(&serving, request)))
}

/// Every version with its helpdesks.
fn each(test: impl Fn(&Shared, &Host, u32)) {
    for version in [16, 17, 18] {
        let helpdesk = if version == 17 { Helpdesk::Enterprise } else { Helpdesk::Oca };
        let (orm, host) = odoo(Orm::new(version, helpdesk), json!({}));
        test(&orm, &host, version);
    }
}

fn email(email: &str) -> Proof {
    Proof { email: Some(email.into()), ..Proof::default() }
}

fn person(name: &str, email: &str, phone: &str) -> Person {
    let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
    Person { name: some(name), email: some(email), phone: some(phone), company: None }
}

fn code<T>(result: Result<T>) -> String {
    result.err().map(|e| e.code).unwrap_or_default()
}

#[test]
fn an_order_is_read_with_its_lines() {
    each(|_, host, _| {
        let order = host.run(|| <Connector as Orders>::get("web-42".into(), email("einkauf@MUSTER.example"))).unwrap();
        assert_eq!((order.number.as_str(), order.reference.as_deref()), ("S00042", Some("WEB-42")));
        assert_eq!((order.state.as_str(), order.placed_at.as_deref()), ("processing", Some("2026-11-20T08:15:30Z")));
        assert_eq!(order.total, Some(Money { amount: "698.00".into(), currency: "EUR".into() }));
        assert_eq!(order.customer_id.as_deref(), Some("9"));
        let lines: Vec<_> = order.lines.iter().map(|l| (l.sku.as_deref(), l.name.as_str(), l.quantity)).collect();
        // The note is no line, and an archived article still has its name.
        let machine = (Some("SKU-1001"), "Espresso machine", 2.0);
        assert_eq!(
            lines,
            [machine, (Some("SKU-1003"), "Coffee beans 1 kg", 0.5), (Some("SKU-1006"), "Old machine", 0.0)]
        );
        assert!(host.sent().len() <= 12, "{} requests", host.sent().len());
    });
}

#[test]
fn names_come_in_the_visitors_language_when_odoo_has_it() {
    for (locale, name) in [
        ("de", "Espressomaschine"),
        ("de-AT", "Espressomaschine"),
        ("fr", "Espresso machine"),
        ("xx", "Espresso machine"),
    ] {
        let (_, host) = odoo(Orm::new(16, Helpdesk::None), json!({}));
        let host = host.locale(locale);
        let found = host.run(|| <Connector as Catalog>::get("SKU-1001".into())).unwrap();
        assert_eq!(found.name, name, "{locale}");
    }
}

#[test]
fn an_order_is_told_to_its_owner_and_to_nobody_else() {
    each(|_, host, _| {
        let get = |number: &str, proof: Proof| host.run(|| <Connector as Orders>::get(number.into(), proof));
        let with = |change: fn(&mut Proof)| {
            let mut proof = Proof::default();
            change(&mut proof);
            proof
        };
        assert_eq!(code(get("WEB-42", Proof::default())), "proof-required");
        for proof in [
            email("karl@muster.example"),
            with(|p| p.postal_code = Some("1010".into())),
            with(|p| p.phone = Some("01 555 0100".into())),
            with(|p| p.customer_id = Some("9".into())),
            with(|p| p.customer_id = Some("7".into())),
        ] {
            assert_eq!(get("S00042", proof).unwrap().number, "S00042");
        }
        // The same reference on another's order, a wrong proof, no such number, another company's: all the same.
        assert_eq!(get("WEB-42", email("erika@example.test")).unwrap().number, "S00043");
        let wrong = get("S00042", email("erika@example.test")).unwrap_err();
        let unknown = get("S99999", email("erika@example.test")).unwrap_err();
        let elsewhere = get("S00044", email("erika@example.test")).unwrap_err();
        assert_eq!((wrong.code.as_str(), &wrong), ("not-found", &unknown));
        assert_eq!(wrong, elsewhere);
    });
}

#[test]
fn wildcards_and_operators_in_what_people_type_mean_themselves() {
    each(|_, host, _| {
        for number in ["%", "WEB-4_", "S%", "\\", "WEB-42\" or 1=1", "' || '"] {
            let got = host.run(|| <Connector as Orders>::get(number.into(), email("erika@example.test")));
            assert_eq!(code(got), "not-found", "{number}");
        }
        let stock = |sku: &str| host.run(|| <Connector as Inventory>::availability(sku.into(), None));
        assert_eq!(code(stock("SKU%")), "not-found");
        // An underscore is no wildcard: each of the two is found for itself.
        assert_eq!(stock("SKU_1001").unwrap()[0].name, "Underscore");
        assert_eq!(stock("SKU-1001").unwrap()[0].name, "Espresso machine");
        let search = |query: &str| host.run(|| <Connector as Catalog>::search(query.into(), 5)).unwrap();
        assert!(search("sku_1002").is_empty());
        assert_eq!(search("sku_1001").len(), 1);
    });
}

#[test]
fn a_customers_orders_are_the_newest_of_their_company() {
    each(|_, host, _| {
        let list = |id: &str| {
            let orders = host.run(|| <Connector as Orders>::list_for_customer(id.into(), 5)).unwrap();
            orders.into_iter().map(|o| (o.number, o.state)).collect::<Vec<_>>()
        };
        assert_eq!(list("8"), [("S00043".into(), "cancelled".into()), ("S00041".into(), "shipped".to_owned())]);
        // Its people's orders are the company's.
        assert_eq!(list("7"), [("S00042".to_owned(), "processing".to_owned())]);
        assert!(list("nobody").is_empty());
    });
}

#[test]
fn parcels_that_leave_are_tracked_and_picking_is_not() {
    each(|_, host, _| {
        let track = |number: &str, who: &str| host.run(|| <Connector as Orders>::track(number.into(), email(who)));
        let parcels = track("WEB-41", "erika@example.test").unwrap();
        assert_eq!(parcels.len(), 1);
        assert_eq!((parcels[0].state.as_str(), parcels[0].carrier.as_deref()), ("shipped", Some("Express")));
        assert_eq!(parcels[0].tracking_number.as_deref(), Some("EX0000041AT"));
        assert_eq!(parcels[0].url.as_deref(), Some("https://express.example/EX0000041AT"));
        assert_eq!(parcels[0].events[0].at, "2026-11-02T14:07:50Z");
        let waiting = track("S00042", "karl@muster.example").unwrap();
        assert_eq!(
            (waiting[0].state.as_str(), waiting[0].expected_at.as_deref()),
            ("pending", Some("2026-11-25T08:00:00Z"))
        );
        assert_eq!(code(track("S00042", "erika@example.test")), "not-found");
    });
    let (_, host) = odoo(Orm::with_apps(16, Helpdesk::None, &["sale"]), json!({}));
    let tracked = host.run(|| <Connector as Orders>::track("WEB-41".into(), email("erika@example.test")));
    assert_eq!(code(tracked), "unsupported");
    let order = host.run(|| <Connector as Orders>::get("WEB-41".into(), email("erika@example.test"))).unwrap();
    assert_eq!(order.state, "confirmed");
}

#[test]
fn what_a_supplier_ships_is_no_return_and_what_he_delivers_to_us_is_no_parcel() {
    each(|_, host, version| {
        let proof = Proof { postal_code: Some("6020".into()), ..Proof::default() };
        let parcels = host.run(|| <Connector as Orders>::track("S00045".into(), proof)).unwrap();
        let told: Vec<_> = parcels.iter().map(|p| (p.state.as_str(), p.events[0].at.as_str())).collect();
        let (sent, back) = (("shipped", "2026-11-07T09:00:00Z"), ("returned", "2026-11-12T09:00:00Z"));
        assert_eq!(told, [sent, back], "Odoo {version}");
    });
}

#[test]
fn stock_is_told_by_warehouse_and_what_is_reserved_is_not_promised() {
    each(|_, host, version| {
        let stock = |sku: &str, place: Option<&str>| {
            host.run(|| <Connector as Inventory>::availability(sku.into(), place.map(str::to_owned)))
        };
        let all = stock("sku-1001", None).unwrap();
        let levels: Vec<_> = all.iter().map(|l| (l.location.as_deref(), l.on_hand, l.available)).collect();
        assert_eq!(levels, [(Some("Wien"), 5.0, 3.0), (Some("Graz"), 2.0, 2.0)], "Odoo {version}");
        assert_eq!((all[0].sku.as_str(), all[0].unit.as_deref()), ("SKU-1001", Some("Units")));
        assert_eq!(all[0].as_of, "2026-11-22T10:32:00Z");
        assert_eq!(stock("SKU-1001", Some("gr")).unwrap().len(), 1);
        assert_eq!(code(stock("SKU-1001", Some("Elsewhere"))), "not-found");
        assert_eq!(code(stock("SKU-9999", None)), "not-found");
        assert_eq!(code(stock("SKU-1006", None)), "not-found", "archived");
        assert!(stock("SKU-1005", None).unwrap().is_empty(), "a service has no stock");
        let gone = stock("SKU-1004", Some("Wien")).unwrap();
        assert_eq!((gone[0].available, gone[0].restock_at.as_deref()), (0.0, Some("2026-12-01T08:00:00Z")));
    });
}

#[test]
fn a_missing_right_is_told() {
    each(|orm, host, _| {
        orm.borrow_mut().deny("stock.move", "read");
        // Odoo computes quantities with the user's own rights.
        let stock = host.run(|| <Connector as Inventory>::availability("SKU-1004".into(), None)).unwrap_err();
        assert_eq!(stock.code, "forbidden");
        assert!(stock.message.contains("stock.move"), "{}", stock.message);
        orm.borrow_mut().deny("sale.order", "read");
        let refused =
            host.run(|| <Connector as Orders>::get("WEB-42".into(), email("karl@muster.example"))).unwrap_err();
        assert_eq!(refused.code, "forbidden");
        assert!(refused.message.contains("sale.order") && !refused.message.contains('\n'), "{}", refused.message);
    });
}

#[test]
fn articles_are_found_by_words_and_shown_with_price_and_category() {
    let (_, host) = odoo(Orm::new(16, Helpdesk::None), json!({"shop_url": "https://shop.example/"}));
    let search = |query: &str| {
        let found = host.run(|| <Connector as Catalog>::search(query.into(), 5)).unwrap();
        found.into_iter().map(|p| p.sku).collect::<Vec<_>>()
    };
    assert_eq!(search("what grinder do you have"), ["SKU-1002", "SKU-1004"]);
    assert_eq!(search("GRÜN"), ["SKU-1002"]);
    assert_eq!(search("espresso spaceship"), ["SKU-1001"], "any of the words");
    assert!(search("old machine").iter().all(|sku| sku != "SKU-1006"), "archived");
    assert!(search("the").is_empty());
    let machine = host.run(|| <Connector as Catalog>::get("sku-1001".into())).unwrap();
    assert_eq!(machine.price, Some(Money { amount: "349.00".into(), currency: "EUR".into() }));
    assert_eq!(machine.categories, ["Machines", "Coffee"]);
    assert_eq!(machine.url.as_deref(), Some("https://shop.example/shop/espresso-machine-1"));
    assert_eq!(machine.image_url.as_deref(), Some("https://shop.example/web/image/product.product/1/image_512"));
}

#[test]
fn recommendations_have_reasons_and_leave_out_what_is_gone() {
    each(|_, host, _| {
        let recommend = |interest: Interest| {
            let found = host.run(|| <Connector as Catalog>::recommend(interest, 5)).unwrap();
            found.into_iter().map(|r| (r.product.sku, r.reason)).collect::<Vec<_>>()
        };
        let for_machine = recommend(Interest { skus: vec!["sku-1001".into()], ..Interest::default() });
        assert_eq!(for_machine[0], ("SKU-1002".into(), "goes with Espresso machine".into()));
        assert_eq!(for_machine[1], ("SKU-1003".into(), "often bought with Espresso machine".into()));
        assert!(for_machine.iter().all(|(sku, _)| sku != "SKU-1004" && sku != "SKU-1001"), "{for_machine:?}");
        let for_customer = recommend(Interest {
            customer_id: Some("8".into()),
            query: Some("espresso".into()),
            ..Interest::default()
        });
        assert!(for_customer.iter().any(|(sku, _)| sku == "SKU-1001"), "{for_customer:?}");
        assert!(for_customer.iter().all(|(sku, _)| sku != "SKU-1002"), "they have it: {for_customer:?}");
        assert!(recommend(Interest::default()).is_empty());
        assert!(host.sent().len() < 40);
    });
}

#[test]
fn contacts_are_found_by_each_thing_given() {
    each(|_, host, _| {
        let find = |email: &str, phone: &str| {
            let some = |t: &str| Some(t.to_owned()).filter(|t| !t.is_empty());
            host.run(|| <Connector as Contacts>::find(some(email), some(phone)))
        };
        let names =
            |found: Vec<confab_plugin_sdk::contacts::Contact>| found.into_iter().map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(names(find("ERIKA@example.test", "").unwrap()), ["Erika Mustermann"]);
        assert_eq!(names(find("", "+43 660 5550177").unwrap()), ["Erika Mustermann"]);
        assert!(find("erika@example.test", "+43 1 5550100").unwrap().is_empty());
        assert_eq!(code(find("", "")), "invalid-input");
        assert_eq!(find("karl@muster.example", "").unwrap()[0].company.as_deref(), Some("Muster & Söhne GmbH"));
    });
}

#[test]
fn a_contact_is_made_once_and_one_that_is_there_is_never_changed() {
    each(|orm, host, _| {
        let upsert = |person: Person| host.run(|| <Connector as Contacts>::upsert(person)).unwrap();
        let ada = upsert(person("Ada Lovelace", "ada@example.test", "+44 20 5550123"));
        assert_eq!(upsert(person("Somebody", "ADA@example.test", "")).id, ada.id);
        let before = orm.borrow().all("res.partner");
        let erika = upsert(person("Eve", "erika@example.test", "+43 999 9999999"));
        assert_eq!((erika.id.as_str(), erika.name.as_str()), ("8", "Erika Mustermann"));
        assert_eq!(orm.borrow().all("res.partner"), before);
    });
}

fn lead(email: &str, phone: &str) -> LeadInput {
    LeadInput {
        person: person("Ada Lovelace", email, phone),
        subject: "Twelve machines".into(),
        message: Some("For our <offices> & \"labs\"".into()),
        source: Some("chat".into()),
        skus: vec!["SKU-1001".into()],
    }
}

#[test]
fn a_lead_is_made_once_whatever_happens_to_the_answer() {
    each(|orm, host, version| {
        let create = |input: LeadInput| host.run(|| <Connector as Leads>::create(input)).unwrap();
        let made = create(lead("ada@example.test", "+44 20 5550123"));
        assert_eq!((made.state.as_str(), made.subject.as_str()), ("new", "Twelve machines"));
        assert_eq!(create(lead("ada@example.test", "+44 20 5550123")), made);
        // As if the store had been lost with the answer: found by what stands in the lead, archived or not.
        orm.borrow_mut().set("crm.lead", 1, "active", json!(false));
        let (_, other) = odoo(Orm::new(version, Helpdesk::None), json!({}));
        let serving = orm.clone();
        let other = other.on(move |request| serve(&serving, request));
        let again = other.run(|| <Connector as Leads>::create(lead("ada@example.test", ""))).unwrap();
        assert_eq!((again.id, again.state.as_str()), (made.id, "lost"));
        assert_eq!(orm.borrow().all("crm.lead").len(), 1);
        let stored = orm.borrow().all("crm.lead").remove(0);
        assert_eq!(
            stored["description"],
            "<p>For our &lt;offices&gt; &amp; \"labs\"<br/>Articles: SKU-1001<br/>Source: chat</p>"
        );
        assert_eq!(
            (stored["phone"].as_str(), stored["referred"].as_str()),
            (Some("+44 20 5550123"), Some("confab:key-1"))
        );
        // It is nobody's yet, and its answers don't go to the connection's user.
        assert_eq!(
            (&stored["user_id"], &stored["team_id"], &stored["company_id"]),
            (&json!(false), &json!(false), &json!(1))
        );
        assert!(orm.borrow().followed().is_empty());
        host.set_key("key-2");
        assert_ne!(create(lead("ada@example.test", "")).id, "1");
    });
}

#[test]
fn a_lead_of_a_known_partner_does_not_change_that_partner() {
    each(|orm, host, _| {
        let before = orm.borrow().all("res.partner");
        let made = host.run(|| <Connector as Leads>::create(lead("erika@example.test", "+43 999 9999999"))).unwrap();
        assert_eq!(made.contact_id.as_deref(), Some("8"));
        assert_eq!(orm.borrow().all("res.partner"), before, "Odoo writes a lead's phone number to its partner");
        let stored = orm.borrow().all("crm.lead").remove(0);
        assert!(stored["description"].as_str().unwrap().contains("Phone: +43 999 9999999"));
    });
}

#[test]
fn a_lead_is_qualified_noted_once_and_lost() {
    each(|orm, host, _| {
        let made = host.run(|| <Connector as Leads>::create(lead("ada@example.test", ""))).unwrap();
        let qualify =
            |qualification: Qualification| host.run(|| <Connector as Leads>::qualify(made.id.clone(), qualification));
        let found =
            Qualification { score: Some(80), state: Some("qualified".into()), note: Some("Budget <ok>\nsoon".into()) };
        assert_eq!(qualify(found.clone()).unwrap().state, "qualified");
        assert_eq!(qualify(found).unwrap().state, "qualified");
        let stored = orm.borrow().all("crm.lead").remove(0);
        assert_eq!((stored["stage_id"].as_i64(), stored["probability"].as_f64()), (Some(2), Some(80.0)));
        let notes: Vec<Value> =
            orm.borrow().all("mail.message").into_iter().filter(|m| m["model"] == "crm.lead").collect();
        assert_eq!(notes.len(), 1);
        assert_eq!(notes[0]["body"], "<p>Budget &lt;ok&gt;<br/>soon</p><p>[confab:key-1]</p>");
        assert_eq!((notes[0]["subtype_id"].as_i64(), notes[0]["author_id"].as_i64()), (Some(2), Some(1)));
        assert!(orm.borrow().followed().is_empty());
        let state = |state: &str| Qualification { state: Some(state.into()), ..Qualification::default() };
        assert_eq!(code(qualify(state("converted"))), "unsupported");
        assert_eq!(code(qualify(state("sold"))), "invalid-input");
        assert_eq!(qualify(state("lost")).unwrap().state, "lost");
        let score = |score: u32| Qualification { score: Some(score), ..Qualification::default() };
        assert_eq!(qualify(score(50)).unwrap().state, "lost");
        assert_eq!(orm.borrow().all("crm.lead")[0]["probability"], 0.0, "what is lost has no chance");
        assert_eq!(qualify(state("qualified")).unwrap().state, "qualified");
        orm.borrow_mut().set("crm.lead", 1, "stage_id", json!(4));
        orm.borrow_mut().set("crm.lead", 1, "probability", json!(100.0));
        assert_eq!(qualify(score(50)).unwrap().state, "converted");
        assert_eq!(orm.borrow().all("crm.lead")[0]["probability"], 100.0, "what is won is certain");
        assert_eq!(code(host.run(|| <Connector as Leads>::qualify("999".into(), state("lost")))), "not-found");
    });
}

#[test]
fn the_check_names_each_missing_right_and_app_and_changes_nothing() {
    each(|orm, host, version| {
        let check = || host.run(<Connector as Health>::check);
        let found = check();
        assert!(found.iter().all(|f| f.status == "ok"), "{found:?}");
        let deprecated = |call: &String| call.ends_with(".check_access_rights");
        assert_eq!(orm.borrow().calls().iter().any(deprecated), version < 18, "Odoo {version}");
        orm.borrow_mut().set("res.users", 2, "email", json!(false));
        let found = check();
        assert!(found.iter().any(|f| f.name == "e-mail address" && f.status == "error"), "{found:?}");
        orm.borrow_mut().set("res.users", 2, "email", json!(LOGIN));
        orm.borrow_mut().deny("crm.lead", "create");
        let found = check();
        let bad: Vec<_> = found.iter().filter(|f| f.status != "ok").collect();
        assert_eq!((bad.len(), bad[0].name.as_str(), bad[0].status.as_str()), (1, "create leads", "error"));
        assert!(bad[0].message.contains("crm.lead"));
        assert!(host.sent().len() <= 3 * 16, "{} requests", host.sent().len());
        let changed = ["create", "write", "message_post"];
        assert!(orm.borrow().calls().iter().all(|call| !changed.iter().any(|c| call.ends_with(&format!(".{c}")))));
        orm.borrow_mut().change_key("another");
        let found = check();
        assert_eq!((found.len(), found[0].name.as_str(), found[0].status.as_str()), (1, "sign in", "error"));
    });
    let (_, host) = odoo(Orm::with_apps(16, Helpdesk::None, &["sale"]), json!({}));
    let found = host.run(<Connector as Health>::check);
    assert!(found.iter().all(|f| f.status != "error"), "{found:?}");
    assert!(found.iter().any(|f| f.status == "warning" && f.message.contains("Inventory")), "{found:?}");
    assert!(host.sent().len() <= 16, "{} requests", host.sent().len());
}

#[test]
fn a_wrong_key_user_database_or_company_is_told_and_a_new_key_is_noticed() {
    let (orm, host) = odoo(Orm::new(16, Helpdesk::None), json!({}));
    let get = || host.run(|| <Connector as Catalog>::get("SKU-1001".into()));
    get().unwrap();
    orm.borrow_mut().change_key("another");
    assert_eq!(code(get()), "misconfigured");
    assert!(host.kv().keys().all(|k| !k.starts_with("about/")), "what is remembered is forgotten");
    orm.borrow_mut().change_key(KEY);
    get().unwrap();
    for (wrong, expected) in [
        (json!({"database": "other"}), "misconfigured"),
        (json!({"username": "nobody"}), "misconfigured"),
        (json!({"company": 2}), "forbidden"),
    ] {
        let (_, host) = odoo(Orm::new(16, Helpdesk::None), wrong.clone());
        let got = host.run(|| <Connector as Catalog>::get("SKU-1001".into())).unwrap_err();
        assert_eq!(got.code, expected, "{wrong}");
        assert!(!got.message.contains(KEY));
    }
}

#[test]
fn what_is_known_is_not_asked_again_within_the_hour() {
    let (orm, host) = odoo(Orm::new(16, Helpdesk::None), json!({}));
    host.run(|| <Connector as Catalog>::get("SKU-1001".into())).unwrap();
    let before = host.sent().len();
    host.run(|| <Connector as Catalog>::get("SKU-1001".into())).unwrap();
    assert_eq!(host.sent().len() - before, 1);
    let later = host.now(1_795_343_520_000 + 3_600_000);
    let before = orm.borrow().calls().len();
    later.run(|| <Connector as Catalog>::get("SKU-1001".into())).unwrap();
    assert!(orm.borrow().calls().len() - before > 1);
}

#[test]
fn an_odoo_that_is_down_or_something_else_is_told_apart() {
    for (answer, expected) in [
        (Answer::status(502), "unavailable"),
        (Answer::body(200, "<html>"), "internal"),
        (Answer::status(404), "not-found"),
        (Answer::fail("timeout", "no answer"), "timeout"),
        (Answer::status(429).header("retry-after", "7"), "rate-limited"),
    ] {
        let host = Host::new().settings(json!({"database": "erp", "username": "u"})).on(move |_| answer.clone());
        assert_eq!(code(host.run(|| <Connector as Catalog>::get("SKU-1001".into()))), expected);
    }
}

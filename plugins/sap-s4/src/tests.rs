//! The connector against the small gateway of `tests/src/vendors/sap_s4/gateway`, which knows the services' properties,
//! parses `$filter`, and pages. No server, no Wasm.

use crate::Connector;
use confab_plugin_sdk::health::Health;
use confab_plugin_sdk::inventory::Inventory;
use confab_plugin_sdk::orders::Orders;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::testing::{Answer, Host};
use gateway::Gateway;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;

#[allow(dead_code, unreachable_pub, reason = "it is a part of the tests of the whole house, which use more of it")]
#[path = "../../../tests/src/vendors/sap_s4/gateway/mod.rs"]
mod gateway;

fn sap(gateway: Gateway, settings: Value) -> (Rc<RefCell<Gateway>>, Host) {
    let gateway = Rc::new(RefCell::new(gateway));
    let serving = gateway.clone();
    let host = Host::new().settings(settings).on(move |request| {
        assert_eq!((request.endpoint.as_str(), request.method.as_str()), ("odata", "GET"));
        assert_eq!(request.header("accept"), Some("application/json"));
        assert!(request.path.bytes().all(|b| b.is_ascii_graphic()), "{}", request.path);
        let (status, body) = serving.borrow_mut().answer(&request.path);
        Answer::json(status, body)
    });
    (gateway, host)
}

fn email(email: &str) -> Proof {
    Proof { email: Some(email.into()), ..Proof::default() }
}

fn code<T>(result: Result<T>) -> String {
    result.err().map(|e| e.code).unwrap_or_default()
}

#[test]
fn an_order_is_read_in_one_request_with_items_and_owners() {
    let (_, host) = sap(Gateway::new(), json!({"client": "100"}));
    let order = host.run(|| <Connector as Orders>::get("0000000042".into(), email("Einkauf@muster.example"))).unwrap();
    assert_eq!(
        (order.number.as_str(), order.reference.as_deref(), order.state.as_str()),
        ("42", Some("WEB-42"), "processing")
    );
    assert_eq!(order.total, Some(Money { amount: "698.00".into(), currency: "EUR".into() }));
    assert_eq!(
        (order.placed_at.as_deref(), order.customer_id.as_deref()),
        (Some("2026-11-20T00:00:00Z"), Some("100010"))
    );
    let lines: Vec<_> = order.lines.iter().map(|l| (l.sku.as_deref(), l.name.as_str(), l.quantity)).collect();
    assert_eq!(lines, [(Some("SKU-1001"), "Espressomaschine Größe 2", 2.0)], "a rejected item will not come");
    assert!(order.extra.iter().any(|e| e.name == "tax" && e.value == "139.60"));
    assert_eq!(host.sent().len(), 1);
    assert!(host.sent()[0].path.contains("&sap-client=100&sap-language=EN"));
}

#[test]
fn an_order_is_told_to_its_owner_and_to_nobody_else() {
    let (_, host) = sap(Gateway::new(), json!({}));
    let get = |number: &str, proof: Proof| host.run(|| <Connector as Orders>::get(number.into(), proof));
    assert_eq!(code(get("42", Proof::default())), "proof-required");
    assert!(host.sent().is_empty());
    for proof in [
        Proof { postal_code: Some("8010".into()), ..Proof::default() },
        Proof { phone: Some("+43 1 5550100".into()), ..Proof::default() },
        Proof { customer_id: Some("0000100010".into()), ..Proof::default() },
        Proof { customer_id: Some("100010".into()), ..email("lager@muster.example") },
    ] {
        assert_eq!(get("web-42", proof).unwrap().number, "42");
    }
    // The same reference on another's order is that order.
    let other = get("WEB-42", email("erika@example.test")).unwrap();
    assert_eq!((other.number.as_str(), other.state.as_str(), other.lines.len()), ("43", "cancelled", 1));
    let wrong = get("42", email("erika@example.test")).unwrap_err();
    let unknown = get("4242", email("erika@example.test")).unwrap_err();
    assert_eq!((wrong.code.as_str(), &wrong), ("not-found", &unknown));
}

#[test]
fn a_carrier_of_an_order_is_not_its_owner() {
    let (_, host) = sap(Gateway::new(), json!({}));
    for proof in [
        Proof { postal_code: Some("4600".into()), ..Proof::default() },
        Proof { phone: Some("+43 7242 9000".into()), ..Proof::default() },
        email("dispo@spedition.example"),
    ] {
        assert_eq!(code(host.run(|| <Connector as Orders>::get("42".into(), proof))), "not-found");
    }
}

#[test]
fn what_people_type_can_not_leave_its_quotes() {
    let (gateway, host) = sap(Gateway::new(), json!({}));
    let get = |number: &str| host.run(|| <Connector as Orders>::get(number.into(), email("erika@example.test")));
    for number in ["' or SalesOrder ne '", "x' or 'a' eq 'a", "42&$filter=", "12345678901", "", "((", "ü'ö"] {
        assert_eq!(code(get(number)), "not-found", "{number}");
    }
    assert_eq!(get("O'Neil \"4\"").unwrap().number, "44");
    let stock = host.run(|| <Connector as Inventory>::availability("x' or Plant eq '1010".into(), None));
    assert_eq!(code(stock), "not-found");
    assert!(gateway.borrow().requests().iter().all(|r| !r.contains('\'')), "quotes are encoded");
}

#[test]
fn only_orders_of_the_settings_sales_organisations_are_shown() {
    let (_, host) = sap(Gateway::new(), json!({"sales_organizations": ["1010", "3030"]}));
    let list = |id: &str| host.run(|| <Connector as Orders>::list_for_customer(id.into(), 10)).unwrap();
    assert_eq!(list("0000100020").into_iter().map(|o| o.number).collect::<Vec<_>>(), ["43", "41"]);
    assert_eq!(code(host.run(|| <Connector as Orders>::get("44".into(), email("erika@example.test")))), "not-found");
    assert!(list("nobody at all").is_empty());
}

#[test]
fn deliveries_are_tracked_each_once() {
    let (_, host) = sap(Gateway::new(), json!({}));
    let host = host.locale("de-AT");
    let track = |number: &str, who: &str| host.run(|| <Connector as Orders>::track(number.into(), email(who)));
    let parcels = track("42", "einkauf@muster.example").unwrap();
    let states: Vec<_> = parcels.iter().map(|p| (p.state.as_str(), p.tracking_number.as_deref())).collect();
    assert_eq!(states, [("shipped", Some("EX0000042AT")), ("packed", None)]);
    assert_eq!(
        (parcels[0].events[0].at.as_str(), parcels[0].events[0].text.as_str()),
        ("2026-11-21T00:00:00Z", "Hat das Lager verlassen")
    );
    assert_eq!(parcels[1].expected_at.as_deref(), Some("2026-11-25T00:00:00Z"));
    let arrived = track("41", "erika@example.test").unwrap();
    assert_eq!((arrived[0].state.as_str(), arrived[0].events.len()), ("delivered", 2));
    let waiting = track("44", "erika@example.test").unwrap();
    assert_eq!(
        (waiting[0].state.as_str(), waiting[0].expected_at.as_deref()),
        ("pending", Some("2026-11-25T00:00:00Z"))
    );
    assert!(track("43", "erika@example.test").unwrap().is_empty(), "cancelled");
    assert_eq!(code(track("42", "erika@example.test")), "not-found");
}

#[test]
fn stock_is_added_up_by_plant_over_all_pages() {
    let (gateway, host) = sap(Gateway::new(), json!({"plants": {"1010": "Wien", "2020": "Graz"}}));
    let stock = |sku: &str, place: Option<&str>| {
        host.run(|| <Connector as Inventory>::availability(sku.into(), place.map(str::to_owned)))
    };
    let all = stock("sku-1001", None).unwrap();
    let levels: Vec<_> =
        all.iter().map(|l| (l.location.as_deref(), l.on_hand, l.available, l.unit.as_deref())).collect();
    assert_eq!(levels, [(Some("Wien"), 7.5, 5.5, Some("PC")), (Some("Graz"), 4.0, 3.0, Some("PC"))]);
    assert_eq!((all[0].name.as_str(), all[0].as_of.as_str()), ("Espresso machine", "2026-11-22T10:32:00Z"));
    assert!(
        gateway.borrow().requests().iter().any(|r| r.contains("$skiptoken=6")),
        "{:?}",
        gateway.borrow().requests()
    );
    assert_eq!(stock("SKU-1001", Some("graz")).unwrap().len(), 1);
    assert_eq!(stock("SKU-1001", Some("2020")).unwrap()[0].available, 3.0);
    assert_eq!(code(stock("SKU-1001", Some("Linz"))), "not-found");
    // Known, but nothing is there; zeros before a number say nothing; unknown.
    assert_eq!(stock("000004711", Some("Wien")).unwrap()[0].available, 0.0);
    assert_eq!(stock("SKU-1003", None).unwrap().len(), 2);
    assert_eq!(code(stock("SKU-9999", None)), "not-found");
    let (_, host) = sap(Gateway::new(), json!({}));
    let host = host.locale("de");
    let nowhere = host.run(|| <Connector as Inventory>::availability("SKU-1003".into(), None)).unwrap();
    assert_eq!((nowhere.len(), nowhere[0].location.as_deref(), nowhere[0].on_hand), (1, None, 0.0));
    let named = host.run(|| <Connector as Inventory>::availability("SKU-1001".into(), Some("1010".into()))).unwrap();
    assert_eq!((named[0].name.as_str(), named[0].location.as_deref()), ("Espressomaschine", Some("1010")));
}

#[test]
fn a_missing_authorisation_or_service_is_told_and_names_are_only_nice_to_have() {
    let mut gateway = Gateway::new();
    gateway.refuse("API_PRODUCT_SRV");
    gateway.deactivate("API_OUTBOUND_DELIVERY_SRV;v=0002");
    let (gateway, host) = sap(gateway, json!({}));
    let stock = |sku: &str| host.run(|| <Connector as Inventory>::availability(sku.into(), None));
    assert_eq!(stock("SKU-1001").unwrap()[0].name, "SKU-1001");
    assert_eq!(code(stock("SKU-1003")), "not-found");
    let tracked = host.run(|| <Connector as Orders>::track("42".into(), email("einkauf@muster.example"))).unwrap_err();
    assert_eq!(tracked.code, "unsupported");
    assert!(tracked.message.contains("API_OUTBOUND_DELIVERY_SRV"), "{}", tracked.message);
    let findings = |host: &Host| {
        host.run(<Connector as Health>::check).into_iter().map(|f| (f.name, f.status)).collect::<Vec<_>>()
    };
    let expected = [("orders", "ok"), ("deliveries", "warning"), ("stock", "ok"), ("names of materials", "warning")];
    assert_eq!(findings(&host), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    gateway.borrow_mut().refuse("API_MATERIAL_STOCK_SRV");
    assert!(findings(&host).contains(&("stock".into(), "error".into())));
    assert_eq!(code(stock("SKU-1001")), "forbidden");
}

#[test]
fn a_wrong_client_user_or_a_gateway_that_is_down_is_told_apart() {
    let (_, host) = sap(Gateway::new(), json!({"client": "200"}));
    let found = host.run(<Connector as Health>::check);
    assert_eq!((found.len(), found[0].name.as_str(), found[0].status.as_str()), (1, "sign in", "error"));
    for (answer, expected) in [
        (Answer::body(401, "<html>Logon failed</html>"), "misconfigured"),
        (Answer::status(503), "unavailable"),
        (Answer::body(200, "<html>"), "internal"),
        (Answer::fail("timeout", "no answer"), "timeout"),
        (
            Answer::json(
                400,
                json!({"error": {"code": "x", "message": {"lang": "en", "value": "Property X not found"}}}),
            ),
            "internal",
        ),
    ] {
        let host = Host::new().on(move |_| answer.clone());
        assert_eq!(code(host.run(|| <Connector as Orders>::get("42".into(), email("a@example.test")))), expected);
    }
}

#[test]
fn half_a_list_is_no_stock() {
    let (gateway, host) = sap(Gateway::new(), json!({}));
    let serving = gateway.clone();
    let host = host.on(move |request| {
        if request.path.contains("skiptoken") {
            return Answer::status(503);
        }
        let (status, body) = serving.borrow_mut().answer(&request.path);
        Answer::json(status, body)
    });
    assert_eq!(code(host.run(|| <Connector as Inventory>::availability("SKU-1001".into(), None))), "unavailable");
}

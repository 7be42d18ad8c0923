//! What a Vendure 3.7 answered, shortened (`tests/systems/vendure` is the server that these come from), and what is made of it.

use crate::Connector;
use confab_plugin_sdk::catalog::{Catalog, Interest};
use confab_plugin_sdk::contacts::Contacts;
use confab_plugin_sdk::health::Health;
use confab_plugin_sdk::inventory::Inventory;
use confab_plugin_sdk::orders::Orders;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::testing::{Answer, Host, Sent};
use serde_json::{Value, json};

fn email(email: &str) -> Proof {
    Proof { email: Some(email.into()), ..Proof::default() }
}

/// A host whose Vendure answers each request with the data that is in turn.
fn vendure(data: Vec<Value>) -> Host {
    let mut left = data.into_iter();
    Host::new().on(move |sent| {
        assert_eq!((sent.method.as_str(), sent.endpoint.as_str()), ("POST", "api"));
        left.next().map_or_else(|| Answer::status(500), |data| Answer::json(200, json!({"data": data})))
    })
}

fn precise(precision: u64, mut data: Value) -> Value {
    data["globalSettings"] = json!({"serverConfig": {"moneyStrategyPrecision": precision}});
    data
}

fn refused(code: &str, message: &str) -> Host {
    let answer =
        Answer::json(200, json!({"data": null, "errors": [{"message": message, "extensions": {"code": code}}]}));
    Host::new().on(move |_| answer.clone())
}

fn variables(sent: &Sent) -> Value {
    sent.json()["variables"].clone()
}

fn order(code: &str, state: &str) -> Value {
    json!({
        "code": code, "state": state, "active": false, "orderPlacedAt": "2026-11-22T21:20:00.494Z", "totalWithTax": 14160, "currencyCode": "EUR",
        "customer": {"id": "2", "firstName": "Jürgen", "lastName": "Größe", "emailAddress": "juergen@example.test", "phoneNumber": null},
        "shippingAddress": {"postalCode": "50667", "phoneNumber": "0221 / 99 88 77"}, "billingAddress": {"postalCode": null, "phoneNumber": null},
        "lines": [
            {"id": "4", "quantity": 1, "orderPlacedQuantity": 1, "proratedLinePriceWithTax": 12990, "productVariant": {"sku": "SKU-1004", "name": "Kaffeemühle Grün"}},
            {"id": "5", "quantity": 3, "orderPlacedQuantity": 3, "proratedLinePriceWithTax": 1170, "productVariant": {"sku": "SKU-1008-S", "name": "Filter paper small"}},
        ],
        "fulfillments": [
            {"state": "Cancelled", "method": "Post", "trackingCode": "LOST", "updatedAt": "2026-11-22T21:20:00.000Z", "lines": []},
            {"state": "Delivered", "method": "DHL", "trackingCode": "DHL 43", "updatedAt": "2026-11-22T21:20:00.000Z",
             "lines": [{"quantity": 1, "orderLineId": "4", "orderLine": {"productVariant": {"name": "Kaffeemühle Grün"}}}]},
        ],
    })
}

fn one_order(order: Value) -> Value {
    precise(2, json!({"orders": {"items": [order]}}))
}

#[test]
fn an_order_is_shown_to_whoever_proves_it_in_any_of_the_ways() {
    let ways = [
        email("JUERGEN@example.test"),
        Proof { phone: Some("+49 221 998877".into()), ..Proof::default() },
        Proof { postal_code: Some("50667".into()), email: Some("juergen@example.test".into()), ..Proof::default() },
        Proof { customer_id: Some("2".into()), ..Proof::default() },
    ];
    for proof in ways {
        let host = vendure(vec![one_order(order("WEB-43", "PartiallyDelivered"))]);
        let order = host.run(|| <Connector as Orders>::get(" #web-43".into(), proof)).unwrap();
        assert_eq!((order.number.as_str(), order.state.as_str()), ("WEB-43", "shipped"));
        assert_eq!(order.placed_at.as_deref(), Some("2026-11-22T21:20:00Z"));
        assert_eq!(order.total.unwrap(), Money { amount: "141.60".into(), currency: "EUR".into() });
        assert_eq!((order.lines[1].quantity, order.lines[1].total.clone().unwrap().amount.as_str()), (3.0, "11.70"));
        assert_eq!(variables(&host.sent()[0]), json!({"codes": ["web-43", "WEB-43"]}));
    }
}

#[test]
fn a_wrong_proof_looks_like_a_number_that_does_not_exist_and_none_costs_no_request() {
    let ask = |host: &Host, proof: Proof| host.run(|| <Connector as Orders>::get("WEB-43".into(), proof)).unwrap_err();
    let wrong = ask(&vendure(vec![one_order(order("WEB-43", "Shipped"))]), email("erika@example.test"));
    let unknown = ask(&vendure(vec![precise(2, json!({"orders": {"items": []}}))]), email("erika@example.test"));
    assert_eq!((wrong.code.as_str(), wrong.message.clone()), ("not-found", unknown.message));
    let host = vendure(vec![]);
    assert_eq!(ask(&host, email(" ")).code, "proof-required");
    assert!(host.sent().is_empty());
}

#[test]
fn states_are_the_contracts_where_it_has_them() {
    for (own, state) in [
        ("AddingItems", "draft"),
        ("ArrangingPayment", "draft"),
        ("PaymentAuthorized", "confirmed"),
        ("PaymentSettled", "confirmed"),
        ("Modifying", "processing"),
        ("PartiallyShipped", "shipped"),
        ("Shipped", "shipped"),
        ("Delivered", "delivered"),
        ("Cancelled", "cancelled"),
        ("WaitingForEngraver", "WaitingForEngraver"),
    ] {
        let host = vendure(vec![one_order(order("WEB-43", own))]);
        let order = host.run(|| <Connector as Orders>::get("WEB-43".into(), email("juergen@example.test"))).unwrap();
        assert_eq!(order.state, state);
        assert!(order.extra.iter().any(|e| e.name == "state" && e.value == own));
    }
}

#[test]
fn money_has_the_decimals_of_the_shop_and_is_shown_with_those_of_its_currency() {
    for (precision, currency, shown) in
        [(2, "EUR", "141.60"), (2, "JPY", "141.6"), (0, "JPY", "14160"), (3, "KWD", "14.160"), (4, "EUR", "1.416")]
    {
        let mut yen = order("WEB-43", "Shipped");
        yen["currencyCode"] = json!(currency);
        let host = vendure(vec![precise(precision, json!({"orders": {"items": [yen]}}))]);
        let order = host.run(|| <Connector as Orders>::get("WEB-43".into(), email("juergen@example.test"))).unwrap();
        assert_eq!(order.total.unwrap(), Money { amount: shown.into(), currency: currency.into() });
    }
}

#[test]
fn each_parcel_is_tracked_and_what_is_in_none_is_pending() {
    let host = vendure(vec![one_order(order("WEB-43", "PartiallyDelivered"))])
        .locale("de-AT")
        .settings(json!({"tracking_urls": {"DHL": "https://dhl.example/?id={code}"}, "channel": "a&b"}));
    let parcels = host.run(|| <Connector as Orders>::track("WEB-43".into(), email("juergen@example.test"))).unwrap();
    assert_eq!(parcels.iter().map(|p| p.state.as_str()).collect::<Vec<_>>(), ["delivered", "pending"]);
    assert_eq!((parcels[0].carrier.as_deref(), parcels[0].tracking_number.as_deref()), (Some("DHL"), Some("DHL 43")));
    assert_eq!(parcels[0].url.as_deref(), Some("https://dhl.example/?id=DHL%2043"));
    assert_eq!(parcels[0].events[0].text, "Zugestellt: 1 × Kaffeemühle Grün");
    assert_eq!(host.sent()[0].path, "/admin-api?languageCode=de&vendure-token=a%26b");
}

#[test]
fn a_cancelled_order_tells_what_had_been_ordered_and_waits_for_nothing() {
    let mut cancelled = order("WEB-44", "Cancelled");
    for line in cancelled["lines"].as_array_mut().unwrap() {
        line["quantity"] = json!(0);
    }
    cancelled["fulfillments"] = json!([]);
    let host = vendure(vec![one_order(cancelled.clone()), one_order(cancelled)]);
    let order = host.run(|| <Connector as Orders>::get("WEB-44".into(), email("juergen@example.test"))).unwrap();
    assert_eq!((order.lines.len(), order.lines[1].quantity), (2, 3.0));
    assert!(
        host.run(|| <Connector as Orders>::track("WEB-44".into(), email("juergen@example.test"))).unwrap().is_empty()
    );
}

fn stocked(variant: Value) -> Host {
    let mut whole = json!({"sku": "SKU-1002", "name": "Milk frother", "trackInventory": "INHERIT", "outOfStockThreshold": 0,
        "useGlobalOutOfStockThreshold": true, "product": {"enabled": true}, "stockLevels": [
            {"stockOnHand": 120, "stockAllocated": 2, "stockLocation": {"name": "Zentrallager"}},
            {"stockOnHand": 5, "stockAllocated": 9, "stockLocation": {"name": "Wien"}}]});
    for (key, value) in variant.as_object().unwrap() {
        whole[key] = value.clone();
    }
    vendure(vec![
        json!({"globalSettings": {"trackInventory": true, "outOfStockThreshold": 3}, "productVariants": {"items": [whole]}}),
    ])
}

fn stock(host: &Host, location: Option<&str>) -> Result<Vec<(String, f64, f64)>> {
    let levels = host.run(|| <Connector as Inventory>::availability("sku-1002".into(), location.map(str::to_owned)))?;
    Ok(levels.into_iter().map(|l| (l.location.unwrap_or_default(), l.on_hand, l.available)).collect())
}

#[test]
fn what_is_allocated_or_held_back_is_not_available() {
    let all = stock(&stocked(json!({})), None).unwrap();
    assert_eq!(all, [("Zentrallager".into(), 120.0, 115.0), ("Wien".into(), 5.0, 0.0)]);
    let own = json!({"useGlobalOutOfStockThreshold": false, "outOfStockThreshold": -10});
    assert_eq!(stock(&stocked(own), Some(" wien ")).unwrap(), [("Wien".into(), 5.0, 0.0)]);
    let more = json!({"useGlobalOutOfStockThreshold": false, "outOfStockThreshold": 500});
    assert_eq!(stock(&stocked(more), Some("Zentrallager")).unwrap(), [("Zentrallager".into(), 120.0, 0.0)]);
    let nowhere = stock(&stocked(json!({})), Some("Linz")).unwrap_err();
    assert_eq!(nowhere.code, "not-found");
    assert!(nowhere.message.contains("Zentrallager, Wien"), "{}", nowhere.message);
}

#[test]
fn stock_that_is_not_tracked_is_said_to_be_so_or_what_the_settings_say() {
    let untracked = || stocked(json!({"trackInventory": "FALSE"}));
    let refused = stock(&untracked(), None).unwrap_err();
    assert_eq!(refused.code, "unsupported");
    assert!(refused.message.contains("does not track"), "{}", refused.message);
    let set = stock(&untracked().settings(json!({"untracked_quantity": 99})), None).unwrap();
    assert_eq!(set, [(String::new(), 99.0, 99.0)]);
}

#[test]
fn an_article_that_is_not_sold_does_not_exist() {
    assert_eq!(stock(&stocked(json!({"product": {"enabled": false}})), None).unwrap_err().code, "not-found");
    let none = vendure(vec![json!({"productVariants": {"items": []}})]);
    assert_eq!(stock(&none, None).unwrap_err().code, "not-found");
    let host = vendure(vec![]);
    let blank = host.run(|| <Connector as Inventory>::availability(" ".into(), None)).unwrap_err();
    assert_eq!((blank.code.as_str(), host.sent().len()), ("not-found", 0));
}

fn variant(sku: &str, stock: &str) -> Value {
    json!({
        "sku": sku, "name": format!("Article {sku}"), "enabled": true, "price": 29083, "priceWithTax": 34900, "currencyCode": "EUR", "stockLevel": stock,
        "featuredAsset": null, "facetValues": [{"id": "9", "name": "gold", "facet": {"name": "Margin", "isPrivate": true}}],
        "product": {"name": "Espresso machine", "slug": "espresso/1", "enabled": true,
            "description": "<p>Dual boiler &amp; <b>st</b>eam wand.</p><ul><li>2 &lt; 3</li></ul>", "featuredAsset": {"preview": "https://cdn.example/e.jpg"},
            "facetValues": [{"id": "1", "name": "machine", "facet": {"name": "Kind", "isPrivate": false}}],
            "collections": [{"id": "2", "name": "Machines", "isPrivate": false, "breadcrumbs": [{"id": "1"}, {"id": "2"}]},
                {"id": "3", "name": "Espresso", "isPrivate": false, "breadcrumbs": [{"id": "1"}, {"id": "2"}, {"id": "3"}]},
                {"id": "4", "name": "Staff picks", "isPrivate": true, "breadcrumbs": []}]},
    })
}

fn variants(of: &[Value]) -> Value {
    precise(2, json!({"productVariants": {"items": of}}))
}

fn products(of: &[Value]) -> Value {
    precise(
        2,
        json!({"products": {"items": of.iter().map(|v| json!({"variantList": {"items": [v]}})).collect::<Vec<_>>()}}),
    )
}

#[test]
fn an_article_is_told_in_plain_words_without_what_is_private() {
    let host = vendure(vec![variants(&[variant("SKU-1001", "IN_STOCK")])])
        .settings(json!({"product_url": "https://shop.example/p/{slug}", "prices": "without-tax"}));
    let article = host.run(|| <Connector as Catalog>::get("SKU-1001".into())).unwrap();
    assert_eq!(article.description.as_deref(), Some("Dual boiler & steam wand.\n2 < 3"));
    assert_eq!(article.price.unwrap().amount, "290.83");
    assert_eq!(article.categories, ["Espresso", "Machines"]);
    assert_eq!(article.url.as_deref(), Some("https://shop.example/p/espresso%2F1"));
    assert_eq!(article.image_url.as_deref(), Some("https://cdn.example/e.jpg"));
    assert_eq!(article.extra, [ExtraField { name: "Kind".into(), value: "machine".into() }]);
}

#[test]
fn words_are_looked_for_together_then_each_and_never_as_wildcards() {
    let host = vendure(vec![products(&[]), products(&[variant("SKU-1001", "IN_STOCK")])]);
    let found =
        host.run(|| <Connector as Catalog>::search("do you have a 100% \"blue\" machine_x?".into(), 5)).unwrap();
    assert_eq!(found.len(), 1);
    let filters: Vec<Value> =
        host.sent().iter().map(|s| variables(s)["options"]["filter"]["_and"][1].clone()).collect();
    let part = |w: &str| json!({"_or": [{"name": {"contains": w}}, {"description": {"contains": w}}, {"sku": {"contains": w}}]});
    let words = ["100", "blue", "machine"].map(part);
    assert_eq!(filters, [json!({"_and": words}), json!({"_or": words})]);
    let nothing = vendure(vec![]);
    assert!(nothing.run(|| <Connector as Catalog>::search("do you have any %?".into(), 5)).unwrap().is_empty());
    assert!(nothing.sent().is_empty());
}

#[test]
fn what_was_bought_together_comes_first_and_what_is_sold_out_not_at_all() {
    let base = || variants(&[variant("SKU-1", "IN_STOCK")]);
    let together = json!({"orders": {"items": [
        {"lines": [{"productVariant": {"sku": "SKU-1"}}, {"productVariant": {"sku": "SKU-2"}}]},
        {"lines": [{"productVariant": {"sku": "SKU-1"}}, {"productVariant": {"sku": "SKU-2"}}, {"productVariant": {"sku": "SKU-3"}}]},
        {"lines": [{"productVariant": {"sku": "SKU-9"}}]}]}});
    let collection = json!({"collections": {"items": [{"name": "Machines", "productVariants": {"items": [variant("SKU-4", "IN_STOCK")]}}]}});
    let same = products(&[variant("SKU-1", "IN_STOCK"), variant("SKU-5", "3")]);
    let last = variants(
        &["SKU-2", "SKU-4", "SKU-5"]
            .map(|s| variant(s, "IN_STOCK"))
            .into_iter()
            .chain([variant("SKU-3", "OUT_OF_STOCK")])
            .collect::<Vec<_>>(),
    );
    let interest = Interest { query: None, skus: vec!["SKU-1".into()], customer_id: None };
    let host = vendure(vec![base(), together, collection.clone(), same.clone(), last.clone()]);
    let found = host.run(|| <Connector as Catalog>::recommend(interest.clone(), 10)).unwrap();
    let told: Vec<(&str, &str)> = found.iter().map(|r| (r.product.sku.as_str(), r.reason.as_str())).collect();
    assert_eq!(
        told,
        [("SKU-2", "often bought with Article SKU-1"), ("SKU-4", "also Machines"), ("SKU-5", "also machine")]
    );
    // A role that may not read orders still gets the rest.
    let mut answers = vec![Answer::json(200, json!({"data": base()}))];
    answers.push(Answer::json(200, json!({"errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}]})));
    answers.extend([collection, same, last].map(|data| Answer::json(200, json!({"data": data}))));
    let mut left = answers.into_iter();
    let host = Host::new().on(move |_| left.next().unwrap());
    let found = host.run(|| <Connector as Catalog>::recommend(interest, 10)).unwrap();
    assert_eq!(found.len(), 2);
    assert!(host.logged()[0].contains("bought together"), "{:?}", host.logged());
}

fn erika() -> Value {
    json!({"id": "1", "firstName": "Erika", "lastName": "Mustermann", "emailAddress": "erika@example.test", "phoneNumber": "+43 1 234 56-78",
        "addresses": [{"company": "", "defaultBillingAddress": false}, {"company": "Muster & Söhne", "defaultBillingAddress": true}]})
}

fn customers(of: &[Value]) -> Value {
    json!({"customers": {"items": of}})
}

#[test]
fn contacts_are_found_by_address_or_number_and_both_must_match() {
    let find = |host: &Host, email: Option<&str>, phone: Option<&str>| {
        host.run(|| <Connector as Contacts>::find(email.map(str::to_owned), phone.map(str::to_owned)))
    };
    let host = vendure(vec![customers(&[erika()])]);
    let found = find(&host, None, Some("01 / 2345678")).unwrap();
    assert_eq!((found[0].name.as_str(), found[0].company.as_deref()), ("Erika Mustermann", Some("Muster & Söhne")));
    let pattern = variables(&host.sent()[0])["options"]["filter"]["phoneNumber"]["regex"].as_str().unwrap().to_owned();
    assert_eq!(pattern, "3[^0-9]*4[^0-9]*5[^0-9]*6[^0-9]*7[^0-9]*8[^0-9]*$");
    let host = vendure(vec![customers(&[erika()])]);
    assert!(find(&host, Some("Erika@example.test"), Some("+43 1 9999999")).unwrap().is_empty());
    assert_eq!(variables(&host.sent()[0])["options"]["filter"]["emailAddress"]["in"][0], "erika@example.test");
    assert_eq!(find(&vendure(vec![]), None, None).unwrap_err().code, "invalid-input");
}

fn person(email: Option<&str>, phone: Option<&str>) -> Person {
    Person {
        name: Some("Ada Maria Lovelace".into()),
        email: email.map(str::to_owned),
        phone: phone.map(str::to_owned),
        company: None,
    }
}

#[test]
fn a_customer_is_made_once_and_one_that_exists_is_left_as_it_is() {
    let upsert = |host: &Host, person: Person| host.run(|| <Connector as Contacts>::upsert(person));
    let known = vendure(vec![customers(&[erika()])]);
    assert_eq!(
        upsert(&known, person(Some("erika@example.test"), Some("+43 660 1234567"))).unwrap().phone.as_deref(),
        Some("+43 1 234 56-78")
    );
    assert_eq!(known.sent().len(), 1);

    let made = vendure(vec![
        customers(&[]),
        json!({"createCustomer": {"__typename": "Customer", "id": "7", "firstName": "Ada Maria", "lastName": "Lovelace", "emailAddress": "ada@example.test"}}),
    ]);
    assert_eq!(upsert(&made, person(Some("ada@example.test"), None)).unwrap().id, "7");
    assert_eq!(
        variables(&made.sent()[1]),
        json!({"input": {"firstName": "Ada Maria", "lastName": "Lovelace", "emailAddress": "ada@example.test", "phoneNumber": null}})
    );

    let conflict = json!({"createCustomer": {"__typename": "EmailAddressConflictError", "errorCode": "EMAIL_ADDRESS_CONFLICT_ERROR", "message": "no"}});
    let raced = vendure(vec![customers(&[]), conflict.clone(), customers(&[erika()])]);
    assert_eq!(upsert(&raced, person(Some("erika@example.test"), None)).unwrap().id, "1");
    let hidden = vendure(vec![customers(&[]), conflict, customers(&[])]);
    assert_eq!(upsert(&hidden, person(Some("boss@example.test"), None)).unwrap_err().code, "conflict");
    let phone_only = vendure(vec![customers(&[])]);
    assert_eq!(upsert(&phone_only, person(None, Some("+43 660 1234567"))).unwrap_err().code, "invalid-input");
}

#[test]
fn refusals_are_told_apart_and_a_key_that_lacks_a_right_is_told_which() {
    let ask = |host: Host| host.run(|| <Connector as Catalog>::get("SKU-1".into())).unwrap_err();
    let forbidden = ask(refused("FORBIDDEN", "You are not currently authorized to perform this action"));
    assert_eq!(forbidden.code, "forbidden");
    assert!(forbidden.message.contains("ReadCatalog") && forbidden.message.contains("key"), "{}", forbidden.message);
    assert_eq!(ask(refused("USER_INPUT_ERROR", "Cannot take more")).code, "invalid-input");
    assert_eq!(ask(refused("INTERNAL_SERVER_ERROR", "boom")).code, "internal");
    assert_eq!(ask(refused("CHANNEL_NOT_FOUND", "No channel with the token \"x\" exists")).code, "misconfigured");
    assert_eq!(ask(Host::new().on(|_| Answer::status(503))).code, "unavailable");
    assert_eq!(ask(Host::new().on(|_| Answer::fail("timeout", "late"))).code, "timeout");
}

#[test]
fn health_names_each_right_and_a_wrong_key_at_once() {
    let findings = refused("FORBIDDEN", "no").run(<Connector as Health>::check);
    assert_eq!((findings.len(), findings[0].name.as_str(), findings[0].status.as_str()), (1, "sign in", "error"));
    let host = Host::new().on(|sent| {
        let document = sent.json()["query"].as_str().unwrap_or_default().to_owned();
        if document.contains("customers") {
            return Answer::json(200, json!({"errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}]}));
        }
        Answer::json(200, json!({"data": {"activeChannel": {"code": "web", "defaultCurrencyCode": "EUR"}}}))
    });
    let findings = host.run(<Connector as Health>::check);
    let bad: Vec<&str> = findings.iter().filter(|f| f.status == "error").map(|f| f.message.as_str()).collect();
    assert_eq!(bad, ["give the API key's role the right ReadCustomer"]);
    assert!(findings[0].message.contains("web, EUR"));
}

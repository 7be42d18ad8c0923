//! What Shopify answers, shortened, and what is made of it. `tests/systems/shopify` checks the questions against Shopify's own schema.

use crate::{Connector, syntax};
use confab_plugin_sdk::catalog::{Catalog, Interest};
use confab_plugin_sdk::contacts::Contacts;
use confab_plugin_sdk::health::Health;
use confab_plugin_sdk::inventory::Inventory;
use confab_plugin_sdk::orders::Orders;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::testing::{Answer, Host};
use serde_json::{Value, json};

fn email(email: &str) -> Proof {
    Proof { email: Some(email.into()), ..Proof::default() }
}

/// A host whose Shopify answers each request with the data that is in turn.
fn shopify(data: Vec<Value>) -> Host {
    let mut left = data.into_iter();
    Host::new().on(move |sent| {
        assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/admin/api/2026-10/graphql.json"));
        left.next().map_or_else(|| Answer::status(500), |data| Answer::json(200, json!({"data": data})))
    })
}

/// The `query` of each request.
fn searches(host: &Host) -> Vec<String> {
    let query = |v: &Value| v["variables"]["query"].as_str().unwrap_or_default().to_owned();
    host.sent().iter().map(|sent| query(&sent.json())).collect()
}

fn refused(status: u16, errors: Value) -> Host {
    let answer = Answer::json(status, json!({ "errors": errors }));
    Host::new().on(move |_| answer.clone())
}

fn bag(amount: &str, currency: &str, shop: &str) -> Value {
    json!({"presentmentMoney": {"amount": amount, "currencyCode": currency}, "shopMoney": {"amount": shop, "currencyCode": "EUR"}})
}

fn line(sku: &str, quantity: u32, left: u32, waiting: u32) -> Value {
    json!({"name": format!("Article {sku}"), "sku": sku, "quantity": quantity, "currentQuantity": left, "unfulfilledQuantity": waiting,
        "discountedTotalSet": bag("349.0", "EUR", "349.0")})
}

fn order(more: Value) -> Value {
    let mut order = json!({
        "id": "gid://shopify/Order/1", "name": "#1042", "confirmationNumber": "CONF1", "poNumber": null, "email": "erika@example.test", "phone": null,
        "processedAt": "2026-11-21T11:32:00+01:00", "cancelledAt": null, "displayFinancialStatus": "PARTIALLY_REFUNDED",
        "displayFulfillmentStatus": "UNFULFILLED", "returnStatus": "NO_RETURN", "currentTotalPriceSet": bag("698.0", "EUR", "698.0"),
        "customer": {"id": "gid://shopify/Customer/7", "displayName": "Erika Mustermann", "defaultEmailAddress": null, "defaultPhoneNumber": {"phoneNumber": "+436605550177"}},
        "shippingAddress": {"zip": "1010", "phone": null}, "billingAddress": null, "fulfillments": [],
        "lineItems": {"nodes": [line("SKU-1", 2, 2, 2)], "pageInfo": {"hasNextPage": false, "endCursor": null}},
    });
    for (key, value) in more.as_object().unwrap() {
        order[key] = value.clone();
    }
    order
}

fn orders(of: &[Value]) -> Value {
    json!({"orders": {"nodes": of}})
}

/// What is answered to who asks for this order: the candidates, then all of it.
fn told(order: Value) -> Vec<Value> {
    vec![orders(std::slice::from_ref(&order)), json!({ "order": order })]
}

/// A page of candidates that is followed by another.
fn followed(mut page: Value, connection: &str, cursor: &str) -> Value {
    page[connection]["pageInfo"] = json!({"hasNextPage": true, "endCursor": cursor});
    page
}

/// The cursor of each request.
fn cursors(host: &Host) -> Vec<Value> {
    host.sent().iter().map(|sent| sent.json()["variables"]["after"].clone()).collect()
}

fn get(host: &Host, number: &str, proof: Proof) -> Result<confab_plugin_sdk::orders::Order> {
    host.run(|| <Connector as Orders>::get(number.into(), proof))
}

#[test]
fn an_order_is_looked_for_by_every_name_it_may_have_and_told_with_what_is_known() {
    let host = shopify(told(order(json!({})))).settings(json!({"order_prefix": "EN", "order_suffix": "-AT"}));
    let told = get(&host, " #1042", email("ERIKA@example.test")).unwrap();
    assert_eq!(
        searches(&host)[0],
        "(name:\"1042\" OR name:\"EN1042-AT\" OR name:\"EN1042\" OR name:\"#1042\" OR confirmation_number:\"1042\" OR po_number:\"1042\")"
    );
    assert_eq!(host.sent()[1].json()["variables"]["id"], "gid://shopify/Order/1");
    assert_eq!(
        (told.number.as_str(), told.state.as_str(), told.customer_id.as_deref()),
        ("#1042", "confirmed", Some("7"))
    );
    assert_eq!(told.placed_at.as_deref(), Some("2026-11-21T10:32:00Z"));
    assert_eq!(told.total.unwrap().amount, "698.00");
    assert!(told.extra.iter().any(|e| e.name == "payment" && e.value == "partially-refunded"));
    assert!(!told.extra.iter().any(|e| e.name == "return" || e.name.starts_with("total")));
}

#[test]
fn what_the_search_finds_beside_it_is_not_the_order() {
    let near = [order(json!({"name": "#10421"})), order(json!({"name": "#1042-F1", "email": "erika@example.test"}))];
    let wrong = get(&shopify(vec![orders(&near)]), "1042", email("erika@example.test")).unwrap_err();
    let proof = get(&shopify(vec![orders(&[order(json!({}))])]), "1042", email("max@example.test")).unwrap_err();
    assert_eq!((wrong.code.as_str(), wrong.message.clone()), ("not-found", proof.message));
    // Two may have the same purchase order number: the asker's is told.
    let two = [
        order(json!({"name": "#1", "poNumber": "PO-9", "email": "max@example.test"})),
        order(json!({"name": "#2", "poNumber": "po-9"})),
    ];
    let host = shopify(vec![orders(&two), json!({"order": two[1]})]);
    assert_eq!(get(&host, "PO-9", email("erika@example.test")).unwrap().number, "#2");
    // A newer one is called so by the customer, an older one by the shop.
    let two = [
        order(json!({"id": "gid://shopify/Order/8", "name": "#1050", "poNumber": "1042"})),
        order(json!({"id": "gid://shopify/Order/9"})),
    ];
    let host = shopify(vec![orders(&two), json!({"order": two[1]})]);
    get(&host, "1042", email("erika@example.test")).unwrap();
    assert_eq!(host.sent()[1].json()["variables"]["id"], "gid://shopify/Order/9");
    let host = shopify(vec![]);
    assert_eq!(get(&host, "1042", Proof::default()).unwrap_err().code, "proof-required");
    assert!(host.sent().is_empty());
}

#[test]
fn an_order_is_found_behind_any_number_of_near_ones() {
    let near = |from: u32, to: u32| {
        orders(&(from..to).map(|n| order(json!({"name": format!("#1042-R{n}")}))).collect::<Vec<_>>())
    };
    let mut right = near(50, 60);
    right["orders"]["nodes"].as_array_mut().unwrap().push(order(json!({"id": "gid://shopify/Order/61"})));
    let right = followed(right, "orders", "c2");
    let host = shopify(vec![followed(near(0, 50), "orders", "c1"), right, json!({"order": order(json!({}))})]);
    assert_eq!(get(&host, "1042", email("erika@example.test")).unwrap().number, "#1042");
    assert_eq!(cursors(&host), [json!(null), json!("c1"), json!(null)], "what comes after it is not asked for");
    assert_eq!(host.sent()[2].json()["variables"]["id"], "gid://shopify/Order/61");
    // Not for ever.
    let host = shopify((0..9).map(|n| followed(near(0, 50), "orders", &format!("c{n}"))).collect());
    assert_eq!(get(&host, "1042", email("erika@example.test")).unwrap_err().code, "not-found");
    assert_eq!(host.sent().len(), 4);
    assert!(host.logged()[0].contains("than the first 200"), "{:?}", host.logged());
    // One that was deleted since.
    let host = shopify(vec![orders(&[order(json!({}))]), json!({"order": null})]);
    assert_eq!(get(&host, "1042", email("erika@example.test")).unwrap_err().code, "not-found");
}

#[test]
fn nothing_that_somebody_types_is_an_operator() {
    assert_eq!(syntax::equals("sku", "a\" OR b:\"c\\\n"), r#"sku:"a\" OR b:\"c\\""#);
    let host = shopify(vec![orders(&[])]);
    get(&host, "1\" OR name:*", email("erika@example.test")).unwrap_err();
    assert!(searches(&host)[0].starts_with(r#"(name:"1\" OR name:*" OR "#), "{:?}", searches(&host));
    let host = shopify(vec![json!({"products": {"nodes": []}}), json!({"products": {"nodes": []}})]);
    host.run(|| <Connector as Catalog>::search("status:draft) OR (blue-ish \"x\"".into(), 5)).unwrap();
    assert_eq!(
        searches(&host)[0],
        r#"status:active AND ((status* OR sku:"status") AND (draft* OR sku:"draft") AND ("blue-ish" OR sku:"blue-ish"))"#
    );
    for id in ["7 OR 8", "", "gid://shopify/Customer/x"] {
        let host = shopify(vec![]);
        assert!(host.run(|| <Connector as Orders>::list_for_customer(id.into(), 5)).unwrap().is_empty());
        assert!(host.sent().is_empty());
    }
}

#[test]
fn states_come_from_fulfillment_and_parcels() {
    let parcels = |words: &[&str]| {
        json!(words.iter().map(|w| json!({"status": "SUCCESS", "displayStatus": w})).collect::<Vec<_>>())
    };
    for (own, sent, state) in [
        ("UNFULFILLED", parcels(&[]), "confirmed"),
        ("ON_HOLD", parcels(&[]), "confirmed"),
        ("IN_PROGRESS", parcels(&[]), "processing"),
        ("PARTIALLY_FULFILLED", parcels(&["DELIVERED"]), "shipped"),
        ("FULFILLED", parcels(&["DELIVERED", "IN_TRANSIT"]), "shipped"),
        ("FULFILLED", parcels(&["DELIVERED", "PICKED_UP"]), "delivered"),
        (
            "FULFILLED",
            json!([{"status": "CANCELLED", "displayStatus": "CANCELED"}, {"status": "SUCCESS", "displayStatus": "DELIVERED"}]),
            "delivered",
        ),
        ("FULFILLED", parcels(&[]), "shipped"),
        ("RESTOCKED", parcels(&[]), "restocked"),
    ] {
        let host = shopify(told(order(json!({"displayFulfillmentStatus": own, "fulfillments": sent}))));
        assert_eq!(get(&host, "1042", email("erika@example.test")).unwrap().state, state, "{own}");
    }
    let host =
        shopify(told(order(json!({"cancelledAt": "2026-11-22T00:00:00Z", "displayFulfillmentStatus": "FULFILLED"}))));
    assert_eq!(get(&host, "1042", email("erika@example.test")).unwrap().state, "cancelled");
}

#[test]
fn the_customers_currency_is_told_and_lines_that_went_back_are_not() {
    let lines = json!({"nodes": [line("A", 2, 2, 0), line("B", 2, 1, 0), line("C", 1, 0, 0)], "pageInfo": {"hasNextPage": false}});
    let host = shopify(told(order(json!({"currentTotalPriceSet": bag("6500.0", "JPY", "39.0"), "lineItems": lines}))));
    let told = get(&host, "1042", email("erika@example.test")).unwrap();
    assert_eq!(told.total.unwrap(), Money { amount: "6500".into(), currency: "JPY".into() });
    assert!(told.extra.iter().any(|e| e.value == "39.00 EUR"));
    let lines: Vec<(Option<&str>, f64, bool)> =
        told.lines.iter().map(|l| (l.sku.as_deref(), l.quantity, l.total.is_some())).collect();
    assert_eq!(lines, [(Some("A"), 2.0, true), (Some("B"), 1.0, false)]);
}

#[test]
fn lines_are_read_page_by_page() {
    let page = |skus: &[&str], next: Option<&str>| json!({"nodes": skus.iter().map(|s| line(s, 1, 1, 1)).collect::<Vec<_>>(), "pageInfo": {"hasNextPage": next.is_some(), "endCursor": next}});
    let mut answers = told(order(json!({"lineItems": page(&["A"], Some("c1"))})));
    answers.push(json!({"order": {"lineItems": page(&["B", "C"], Some("c2"))}}));
    answers.push(json!({"order": {"lineItems": page(&["D"], None)}}));
    let host = shopify(answers);
    let told = get(&host, "1042", email("erika@example.test")).unwrap();
    assert_eq!(told.lines.iter().filter_map(|l| l.sku.as_deref()).collect::<Vec<_>>(), ["A", "B", "C", "D"]);
    assert_eq!(cursors(&host)[1..], [json!(null), json!("c1"), json!("c2")]);
}

#[test]
fn a_parcel_with_two_numbers_is_two_and_what_is_unfulfilled_is_pending() {
    let parcels = json!([
        {"status": "CANCELLED", "displayStatus": "CANCELED", "createdAt": "2026-11-20T09:00:00Z"},
        {"status": "SUCCESS", "displayStatus": "OUT_FOR_DELIVERY", "createdAt": "2026-11-20T09:00:00+01:00", "estimatedDeliveryAt": "2026-11-23",
         "trackingInfo": [{"company": "DHL", "number": "1", "url": "https://dhl.example/1"}, {"company": "DHL", "number": "2", "url": null}],
         "events": {"nodes": [{"happenedAt": "2026-11-21T05:00:00Z", "status": "IN_TRANSIT", "message": null, "city": "Köln", "country": null}]}}]);
    let host = shopify(told(order(json!({"parcels": parcels})))).locale("de");
    let told = host.run(|| <Connector as Orders>::track("1042".into(), email("erika@example.test"))).unwrap();
    let states: Vec<(&str, Option<&str>)> =
        told.iter().map(|t| (t.state.as_str(), t.tracking_number.as_deref())).collect();
    assert_eq!(states, [("in-transit", Some("1")), ("in-transit", Some("2")), ("pending", None)]);
    assert_eq!(told[0].events.iter().map(|e| e.text.as_str()).collect::<Vec<_>>(), ["Übergeben", "in-transit"]);
    assert_eq!(
        (told[0].expected_at.as_deref(), told[0].events[1].place.as_deref()),
        (Some("2026-11-23T00:00:00Z"), Some("Köln"))
    );
}

fn stocked(more: Value) -> Value {
    let mut variant = json!({"sku": "SKU-1", "title": "Default Title", "inventoryPolicy": "DENY", "product": {"title": "Machine", "status": "ACTIVE"},
        "inventoryItem": {"id": "gid://shopify/InventoryItem/1", "tracked": true}});
    for (key, value) in more.as_object().unwrap() {
        variant[key] = value.clone();
    }
    variant
}

/// Places with what is available there, and whether they are open.
fn levels(of: &[(&str, bool, i32)]) -> Value {
    let level = |(name, open, available): &(&str, bool, i32)| json!({"isActive": true, "location": {"name": name, "isActive": open}, "quantities": [{"name": "on_hand", "quantity": 7}, {"name": "available", "quantity": available}]});
    let nodes: Vec<Value> = of.iter().map(level).collect();
    json!({"inventoryItem": {"inventoryLevels": {"nodes": nodes, "pageInfo": {"hasNextPage": false}}}})
}

fn places() -> Value {
    levels(&[("Wien", true, 5), ("Graz", true, -2), ("Linz", false, 9)])
}

fn variants(of: &[Value]) -> Value {
    json!({"shop": {"currencyCode": "EUR"}, "productVariants": {"nodes": of}})
}

fn stock(host: &Host, location: Option<&str>) -> Result<Vec<(String, f64)>> {
    let levels = host.run(|| <Connector as Inventory>::availability("sku-1".into(), location.map(str::to_owned)))?;
    Ok(levels.into_iter().map(|l| (l.location.unwrap_or_default(), l.available)).collect())
}

#[test]
fn stock_is_that_of_open_places_of_an_article_that_is_sold() {
    let draft = stocked(json!({"product": {"title": "Machine", "status": "DRAFT"}}));
    let near = stocked(json!({"sku": "SKU-1-B"}));
    let all = [draft.clone(), near.clone(), stocked(json!({}))];
    let host = shopify(vec![variants(&all), places()]);
    assert_eq!(stock(&host, None).unwrap(), [("Wien".into(), 5.0), ("Graz".into(), 0.0)]);
    assert_eq!(host.sent()[1].json()["variables"]["id"], "gid://shopify/InventoryItem/1");
    let one = || shopify(vec![variants(&[stocked(json!({}))]), places()]);
    assert_eq!(stock(&one(), Some("GRAZ")).unwrap(), [("Graz".into(), 0.0)]);
    assert!(stock(&one(), Some("Linz")).unwrap_err().message.contains("Wien, Graz"));
    assert_eq!(stock(&shopify(vec![variants(&[draft, near])]), None).unwrap_err().code, "not-found");
}

#[test]
fn an_article_is_found_behind_any_number_of_near_ones() {
    let near: Vec<Value> = (0..50).map(|n| stocked(json!({"sku": format!("SKU-1-{n}")}))).collect();
    let first = followed(variants(&near), "productVariants", "c1");
    let host = shopify(vec![first, variants(&[stocked(json!({}))]), places()]);
    assert_eq!(stock(&host, None).unwrap().len(), 2);
    assert_eq!(cursors(&host), [json!(null), json!("c1"), json!(null)]);
    // One that is spelled as it was typed ends the search.
    let there = followed(variants(&[stocked(json!({"sku": "sku-1"}))]), "productVariants", "c1");
    assert_eq!(stock(&shopify(vec![there, places()]), None).unwrap().len(), 2);

    let near: Vec<Value> = (0..40).map(|n| article(&format!("SKU-1-{n}"), "Machines", true)).collect();
    let first = followed(variants(&near), "productVariants", "c1");
    let host = shopify(vec![first, variants(&[article("SKU-1", "Machines", true)])]);
    assert_eq!(host.run(|| <Connector as Catalog>::get("SKU-1".into())).unwrap().sku, "SKU-1");
    assert_eq!(cursors(&host), [json!(null), json!("c1")]);
}

#[test]
fn what_is_not_tracked_or_sold_without_stock_is_said_as_the_settings_want() {
    let untracked = || variants(&[stocked(json!({"inventoryItem": {"tracked": false}}))]);
    assert_eq!(stock(&shopify(vec![untracked()]), None).unwrap_err().code, "unsupported");
    let set = || json!({"untracked_quantity": 50});
    assert_eq!(stock(&shopify(vec![untracked()]).settings(set()), None).unwrap(), [(String::new(), 50.0)]);
    let oversold = |levels: Value| shopify(vec![variants(&[stocked(json!({"inventoryPolicy": "CONTINUE"}))]), levels]);
    assert_eq!(stock(&oversold(levels(&[])).settings(set()), None).unwrap(), [(String::new(), 50.0)]);
    assert!(stock(&oversold(levels(&[])), None).unwrap().is_empty());
    assert_eq!(stock(&oversold(places()).settings(set()), None).unwrap()[0], ("Wien".into(), 5.0));
}

fn article(sku: &str, kind: &str, on_sale: bool) -> Value {
    json!({"sku": sku, "title": "Default Title", "price": "349.00", "availableForSale": on_sale, "selectedOptions": [{"name": "Title", "value": "Default Title"}],
        "product": {"id": "gid://shopify/Product/1", "title": format!("Article {sku}"), "status": "ACTIVE", "description": " ", "vendor": "M", "productType": kind, "tags": ["a\"b"],
            "onlineStoreUrl": null, "featuredMedia": null, "collections": {"nodes": [{"id": "gid://shopify/Collection/9", "title": "Bar"}]}}})
}

fn products(of: &[Value]) -> Value {
    let product = |v: &Value| {
        let mut whole = v["product"].clone();
        whole["variants"] = json!({"nodes": [v]});
        whole
    };
    json!({"shop": {"currencyCode": "EUR"}, "products": {"nodes": of.iter().map(product).collect::<Vec<_>>()}})
}

#[test]
fn an_article_is_told_with_price_and_places() {
    let host = shopify(vec![variants(&[article("SKU-1", "Machines", true)])]);
    let told = host.run(|| <Connector as Catalog>::get(" sku-1 ".into())).unwrap();
    assert_eq!((told.name.as_str(), told.price.unwrap().amount.as_str()), ("Article SKU-1", "349.00"));
    assert_eq!((told.categories, told.description), (vec!["Machines".to_owned(), "Bar".to_owned()], None));
    assert_eq!(told.extra, [ExtraField { name: "vendor".into(), value: "M".into() }]);
    assert_eq!(searches(&host), ["sku:\"sku-1\""]);
}

#[test]
fn what_was_bought_together_comes_first_and_what_cant_be_bought_not_at_all() {
    let basket = |cancelled: Value, skus: &[&str]| json!({"cancelledAt": cancelled, "lineItems": {"nodes": skus.iter().map(|s| json!({"sku": s})).collect::<Vec<_>>()}});
    let base = || variants(&[article("SKU-1", "Machines", true)]);
    let together = orders(&[
        basket(json!(null), &["SKU-1", "SKU-2", "SKU-2", "SKU-3"]),
        basket(json!(null), &["SKU-1", "SKU-3"]),
        basket(json!("2026-01-01"), &["SKU-1", "SKU-9"]),
    ]);
    let same = products(&[article("SKU-1", "Machines", true), article("SKU-4", "Machines", true)]);
    let last = variants(&[
        article("SKU-2", "Cups", false),
        article("SKU-3", "Cups", true),
        article("SKU-4", "Machines", true),
    ]);
    let host = shopify(vec![base(), together, same.clone(), last.clone()]);
    let interest = Interest { query: None, skus: vec!["SKU-1".into()], customer_id: None };
    let told = host.run(|| <Connector as Catalog>::recommend(interest.clone(), 9)).unwrap();
    let told: Vec<(&str, &str)> = told.iter().map(|r| (r.product.sku.as_str(), r.reason.as_str())).collect();
    assert_eq!(told, [("SKU-3", "often bought with Article SKU-1"), ("SKU-4", "similar to Article SKU-1")]);
    assert!(
        searches(&host)[2].contains(r#"tag:"a\"b""#) && searches(&host)[2].contains("collection_id:9"),
        "{:?}",
        searches(&host)
    );
    // Without the right to read orders the rest is told.
    let mut answers = [base(), json!(null), same, last].into_iter();
    let host = Host::new().on(move |_| match answers.next().unwrap() {
        Value::Null => Answer::json(
            200,
            json!({"errors": [{"message": "Access denied", "extensions": {"code": "ACCESS_DENIED"}}]}),
        ),
        data => Answer::json(200, json!({ "data": data })),
    });
    assert_eq!(host.run(|| <Connector as Catalog>::recommend(interest, 9)).unwrap().len(), 1);
    assert!(host.logged()[0].contains("bought together"), "{:?}", host.logged());
}

fn erika() -> Value {
    json!({"id": "gid://shopify/Customer/7", "displayName": "Erika Mustermann", "defaultEmailAddress": {"emailAddress": "erika@example.test"},
        "defaultPhoneNumber": {"phoneNumber": "+436605550177"}, "defaultAddress": {"company": "Muster & Söhne", "phone": null}})
}

fn person(email: Option<&str>, phone: Option<&str>) -> Person {
    Person {
        name: Some("Ada Lovelace".into()),
        email: email.map(str::to_owned),
        phone: phone.map(str::to_owned),
        company: None,
    }
}

#[test]
fn contacts_are_looked_up_by_their_identifiers() {
    let find = |host: &Host, email: Option<&str>, phone: Option<&str>| {
        host.run(|| <Connector as Contacts>::find(email.map(str::to_owned), phone.map(str::to_owned)))
    };
    let known = || shopify(vec![json!({"customerByIdentifier": erika()})]);
    let host = known().settings(json!({"phone_country_code": "43"}));
    assert_eq!(find(&host, None, Some("0660 / 555 01 77")).unwrap()[0].company.as_deref(), Some("Muster & Söhne"));
    assert_eq!(host.sent()[0].json()["variables"], json!({"identifier": {"phoneNumber": "+436605550177"}}));
    assert_eq!(find(&known(), Some("erika@example.test"), Some("0660 5550177")).unwrap().len(), 1);
    assert!(find(&known(), Some("erika@example.test"), Some("+43 1 234567")).unwrap().is_empty());
    assert_eq!(find(&known(), None, Some("0660 5550177")).unwrap_err().code, "invalid-input");
    assert!(
        find(&shopify(vec![json!({"customerByIdentifier": null})]), Some("x@example.test"), None).unwrap().is_empty()
    );
}

#[test]
fn a_customer_is_made_once_and_one_that_exists_is_left_as_it_is() {
    let upsert = |host: &Host, person: Person| host.run(|| <Connector as Contacts>::upsert(person));
    let (none, some) = (json!({"customerByIdentifier": null}), json!({"customerByIdentifier": erika()}));
    let errors = |field: &str, message: &str| json!({"customerCreate": {"customer": null, "userErrors": [{"field": [field], "message": message}]}});
    let made = json!({"customerCreate": {"customer": erika(), "userErrors": []}});

    let known = shopify(vec![some.clone()]);
    assert_eq!(
        upsert(&known, person(Some("erika@example.test"), Some("+43 1 999999"))).unwrap().phone.as_deref(),
        Some("+436605550177")
    );
    assert_eq!(known.sent().len(), 1);
    let raced = shopify(vec![none.clone(), errors("email", "Email has already been taken"), some]);
    assert_eq!(upsert(&raced, person(Some("erika@example.test"), None)).unwrap().id, "7");
    let others_phone = shopify(vec![none.clone(), errors("phone", "Phone has already been taken"), none.clone(), made]);
    assert_eq!(upsert(&others_phone, person(Some("ada@example.test"), Some("+43 660 5550177"))).unwrap().id, "7");
    assert_eq!(others_phone.sent()[3].json()["variables"]["input"]["phone"], json!(null));
    let bad = shopify(vec![none.clone(), errors("email", "Email is invalid"), none.clone()]);
    assert_eq!(upsert(&bad, person(Some("ada@example.test"), None)).unwrap_err().code, "invalid-input");
    let taken = shopify(vec![none.clone(), errors("email", "Email has already been taken"), none]);
    assert_eq!(upsert(&taken, person(Some("ada@example.test"), None)).unwrap_err().code, "conflict");
}

#[test]
fn refusals_say_what_to_do() {
    let ask = |host: Host| host.run(|| <Connector as Catalog>::get("SKU-1".into())).unwrap_err();
    let denied = |message: &str| refused(200, json!([{"message": message, "extensions": {"code": "ACCESS_DENIED"}}]));
    let scope = ask(denied("Access denied for productVariants field. Required access: `read_products` access scope."));
    assert!(
        scope.code == "forbidden"
            && scope.message.contains("read_products")
            && scope.message.contains("install it again"),
        "{}",
        scope.message
    );
    let data = ask(denied("This app is not approved to access the Customer object."));
    assert!(data.code == "forbidden" && data.message.contains("protected customer data"), "{}", data.message);
    let throttled = ask(refused(200, json!([{"message": "Throttled", "extensions": {"code": "THROTTLED"}}])));
    assert_eq!(throttled.code, "rate-limited");
    for (status, errors, code) in [
        (401, json!("[API] Invalid API key or access token (unrecognized login or wrong password)"), "misconfigured"),
        (404, json!("Not Found"), "misconfigured"),
        (402, json!("Unavailable Shop"), "unavailable"),
        (423, json!("Locked"), "unavailable"),
    ] {
        assert_eq!(ask(refused(status, errors)).code, code, "{status}");
    }
    assert_eq!(ask(Host::new().on(|_| Answer::status(503))).code, "unavailable");
    assert_eq!(ask(Host::new().on(|_| Answer::status(429).header("retry-after", "2"))).retry_after, Some(2));
}

#[test]
fn health_names_scopes_version_and_order_names() {
    let shop = |scopes: &[&str]| {
        json!({"shop": {"name": "M", "currencyCode": "EUR", "orderNumberFormatPrefix": "EN", "orderNumberFormatSuffix": ""},
            "currentAppInstallation": {"accessScopes": scopes.iter().map(|s| json!({"handle": s})).collect::<Vec<_>>()},
            "publicApiVersions": [{"handle": "2026-10", "supported": false}, {"handle": "2027-01", "supported": true}, {"handle": "2027-04", "supported": false}]})
    };
    let host =
        shopify(vec![shop(&["read_products", "write_orders", "read_all_orders", "read_inventory", "read_locations"])]);
    let findings = host.run(<Connector as Health>::check);
    let of = |status: &str| findings.iter().filter(|f| f.status == status).map(|f| f.name.as_str()).collect::<Vec<_>>();
    assert_eq!(of("error"), ["read contacts", "create contacts"]);
    assert_eq!(of("warning"), ["API version", "order names"]);
    assert!(
        findings.iter().any(|f| f.message.contains("2027-01")) && findings.iter().any(|f| f.message.contains("`EN`"))
    );
}

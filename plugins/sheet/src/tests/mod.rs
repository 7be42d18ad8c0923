//! The whole connector without a host, on the example shop's files: what is read. `writing` has what visitors create.

mod writing;

use crate::book::Book;
use crate::{catalog, load, orders, stock};
use confab_plugin_sdk::catalog::Interest;
use confab_plugin_sdk::prelude::*;

const NOW: &str = "2026-11-22T10:00:00Z";

fn file(name: &str, content: impl Into<Vec<u8>>) -> NamedFile {
    NamedFile { name: name.into(), content: content.into() }
}

fn shop_files() -> Vec<NamedFile> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/shop/data");
    load::FILES.iter().map(|s| file(s.file, std::fs::read(format!("{folder}/{}", s.file)).unwrap())).collect()
}

fn shop() -> Book {
    let (book, found) = load::load("{}", &shop_files()).unwrap();
    assert_eq!(found, []);
    book
}

fn email(email: &str) -> Proof {
    Proof { email: Some(email.into()), ..Proof::default() }
}

#[test]
fn an_order_is_given_to_its_owner_only() {
    let book = shop();
    let order = orders::get(&book, " web-42 ", email("EINKAUF@muster.example")).unwrap();
    assert_eq!((order.number.as_str(), order.state.as_str()), ("SO-2042", "shipped"));
    assert_eq!(order.total.unwrap().amount, "698.00");
    assert_eq!((order.lines[0].quantity, order.lines[0].sku.as_deref()), (2.0, Some("SKU-1001")));
    assert_eq!(order.placed_at.as_deref(), Some("2026-11-18T10:32:00Z"));

    let by_phone = Proof { phone: Some("01 / 555 01 42".into()), postal_code: Some("1010".into()), ..Proof::default() };
    assert!(orders::get(&book, "SO-2042", by_phone.clone()).is_ok());
    let one_wrong = Proof { postal_code: Some("1020".into()), ..by_phone };
    let wrong = orders::get(&book, "SO-2042", one_wrong).unwrap_err();
    let unknown = orders::get(&book, "SO-9999", email("einkauf@muster.example")).unwrap_err();
    assert_eq!(wrong, unknown);
    assert_eq!(wrong.code, "not-found");
    let blank = Proof { email: Some(" ".into()), ..Proof::default() };
    assert_eq!(orders::get(&book, "SO-2042", blank).unwrap_err().code, "proof-required");
    assert_eq!(orders::get(&book, "SO-9999", Proof::default()).unwrap_err().code, "proof-required");
}

#[test]
fn a_customers_orders_come_newest_first() {
    let orders = orders::list_for_customer(&shop(), "K-101", 2).unwrap();
    assert_eq!(orders.iter().map(|o| o.number.as_str()).collect::<Vec<_>>(), ["SO-2041", "SO-2040"]);
    assert!(orders::list_for_customer(&shop(), "K-999", 5).unwrap().is_empty());
}

#[test]
fn a_total_that_was_left_out_is_the_sum_of_its_lines() {
    let order = orders::get(&shop(), "WEB-43", email("amelie@example.test")).unwrap();
    assert_eq!(order.total.unwrap().amount, "112.00");
}

#[test]
fn tracking_tells_what_happened_in_order() {
    let tracking = orders::track(&shop(), "WEB-42", email("einkauf@muster.example")).unwrap();
    assert_eq!((tracking.len(), tracking[0].state.as_str(), tracking[0].events.len()), (1, "in-transit", 2));
    assert_eq!(tracking[0].events[0].text, "Handed over to the carrier");
    let pending = orders::track(&shop(), "WEB-41", email("erika@example.test")).unwrap();
    assert_eq!(pending[0].state, "pending");
}

#[test]
fn stock_is_told_by_place_with_its_moment() {
    let book = shop();
    let levels = stock::availability(&book, "sku-1001", None, NOW).unwrap();
    assert_eq!((levels.len(), levels[0].on_hand, levels[0].available), (1, 7.0, 5.0));
    assert_eq!(levels[0].as_of, "2026-11-22T06:00:00+01:00");
    assert_eq!(stock::availability(&book, "SKU-1004", None, NOW).unwrap().len(), 2);
    assert_eq!(stock::availability(&book, "SKU-1004", Some("graz"), NOW).unwrap()[0].available, 3.0);
    assert_eq!(stock::availability(&book, "SKU-1001", Some("Graz"), NOW).unwrap()[0].available, 0.0);
    let out = stock::availability(&book, "SKU-1003", None, NOW).unwrap();
    assert_eq!((out[0].available, out[0].restock_at.as_deref()), (0.0, Some("2026-12-03T00:00:00Z")));
    assert_eq!(stock::availability(&book, "SKU-9", None, NOW).unwrap_err().code, "not-found");
    assert_eq!(stock::availability(&book, "SKU-1001", Some("Linz"), NOW).unwrap_err().code, "not-found");
}

#[test]
fn articles_are_found_and_recommended_with_a_reason() {
    let book = shop();
    assert_eq!(catalog::search(&book, "espreso machine", 3).unwrap()[0].sku, "SKU-1001");
    assert_eq!(catalog::get(&book, "sku-1002").unwrap().price.unwrap().amount, "39.90");
    let interest = Interest { skus: vec!["SKU-1001".into()], ..Interest::default() };
    let english = catalog::recommend(&book, &interest, 10, Some("en")).unwrap();
    assert!(
        english.iter().any(|r| r.product.sku == "SKU-1002" && r.reason == "often bought with Espresso machine"),
        "{english:?}"
    );
    assert!(english.iter().all(|r| r.product.sku != "SKU-1001"));
    let german = catalog::recommend(&book, &interest, 1, Some("de-AT")).unwrap();
    assert_eq!(german[0].reason, "wird oft zusammen mit Espresso machine gekauft");
    let query = Interest { query: Some("something against lime, a descaler".into()), ..Interest::default() };
    let sold_out = catalog::recommend(&book, &query, 10, None).unwrap();
    assert!(sold_out.iter().all(|r| r.product.sku != "SKU-1003"), "out of stock");
    assert!(catalog::recommend(&book, &Interest::default(), 5, None).unwrap().is_empty());
}

#[test]
fn what_is_wrong_between_files_blocks_and_says_where() {
    let files = [
        file("orders.csv", "number,state,placed_at\nA-1,shipped,2026-13-01\na-1,draft,\n"),
        file("order_lines.csv", "order,sku,quantity\nA-9,X,1\nA-1,,two\n"),
        file("order.csv", "x"),
    ];
    let found = load::load(r#"{"as_of": "yesterday"}"#, &files).unwrap_err();
    let told: Vec<String> = found
        .iter()
        .map(|d| {
            format!(
                "{} {} {}:{} {}",
                d.severity,
                d.file.as_deref().unwrap_or("-"),
                d.line.unwrap_or(0),
                d.column.unwrap_or(0),
                d.message
            )
        })
        .collect();
    for expected in [
        "error - 0:0 settings: as_of \"yesterday\" is not a date",
        "warning order.csv 0:0 this file is not read",
        "error orders.csv 2:13 \"2026-13-01\" is not a date",
        "error orders.csv 3:1 number \"a-1\" appears twice",
        "error order_lines.csv 2:1 there is no order \"A-9\" in orders.csv",
        "error order_lines.csv 3:6 \"two\" is not a number",
    ] {
        assert!(told.iter().any(|t| t == expected), "{expected} is not in {told:#?}");
    }
    assert!(found.iter().any(|d| d.help.as_deref() == Some("did you mean orders.csv?")));
    let settings = load::load(r#"{"curency": "EUR"}"#, &[]).unwrap_err();
    assert!(settings[0].message.contains("curency"));
}

#[test]
fn a_call_without_its_file_says_which_is_missing() {
    let (book, _) = load::load("{}", &[]).unwrap();
    let missing = orders::get(&book, "1", email("a@example.test")).unwrap_err();
    assert_eq!(
        (missing.code.as_str(), missing.message.as_str()),
        ("misconfigured", "the connection has no file orders.csv")
    );
}

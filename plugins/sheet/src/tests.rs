//! The whole connector without a host: the example shop's files, and a store in memory.

use crate::book::Book;
use crate::shelf::fake::Memory;
use crate::{catalog, export, leads, load, orders, people, stock, tickets};
use confab_plugin_sdk::catalog::Interest;
use confab_plugin_sdk::leads::{LeadInput, Qualification};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{TicketInput, TicketQuery};

const NOW: &str = "2026-11-22T10:00:00Z";

fn file(name: &str, content: impl Into<Vec<u8>>) -> NamedFile {
    NamedFile {
        name: name.into(),
        content: content.into(),
    }
}

fn shop_files() -> Vec<NamedFile> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/shop/data");
    load::FILES
        .iter()
        .map(|s| {
            file(
                s.file,
                std::fs::read(format!("{folder}/{}", s.file)).unwrap(),
            )
        })
        .collect()
}

fn shop() -> Book {
    let (book, found) = load::load("{}", &shop_files()).unwrap();
    assert_eq!(found, []);
    book
}

fn email(email: &str) -> Proof {
    Proof {
        email: Some(email.into()),
        ..Proof::default()
    }
}

fn erika() -> Person {
    Person {
        name: Some("Erika M.".into()),
        email: Some("Erika@Example.test".into()),
        ..Person::default()
    }
}

fn stranger() -> Person {
    Person {
        name: Some("=HYPERLINK(1)".into()),
        email: Some("new@example.test".into()),
        phone: Some("+43 660 9990001".into()),
        ..Person::default()
    }
}

#[test]
fn an_order_is_given_to_its_owner_only() {
    let book = shop();
    let order = orders::get(&book, " web-42 ", email("EINKAUF@muster.example")).unwrap();
    assert_eq!(
        (order.number.as_str(), order.state.as_str()),
        ("SO-2042", "shipped")
    );
    assert_eq!(order.total.unwrap().amount, "698.00");
    assert_eq!(
        (order.lines[0].quantity, order.lines[0].sku.as_deref()),
        (2.0, Some("SKU-1001"))
    );
    assert_eq!(order.placed_at.as_deref(), Some("2026-11-18T10:32:00Z"));

    let by_phone = Proof {
        phone: Some("01 / 555 01 42".into()),
        postal_code: Some("1010".into()),
        ..Proof::default()
    };
    assert!(orders::get(&book, "SO-2042", by_phone.clone()).is_ok());
    let one_wrong = Proof {
        postal_code: Some("1020".into()),
        ..by_phone
    };
    let wrong = orders::get(&book, "SO-2042", one_wrong).unwrap_err();
    let unknown = orders::get(&book, "SO-9999", email("einkauf@muster.example")).unwrap_err();
    assert_eq!(wrong, unknown);
    assert_eq!(wrong.code, "not-found");
    let blank = Proof {
        email: Some(" ".into()),
        ..Proof::default()
    };
    assert_eq!(
        orders::get(&book, "SO-2042", blank).unwrap_err().code,
        "proof-required"
    );
    assert_eq!(
        orders::get(&book, "SO-9999", Proof::default())
            .unwrap_err()
            .code,
        "proof-required"
    );
}

#[test]
fn a_customers_orders_come_newest_first() {
    let orders = orders::list_for_customer(&shop(), "K-101", 2).unwrap();
    assert_eq!(
        orders.iter().map(|o| o.number.as_str()).collect::<Vec<_>>(),
        ["SO-2041", "SO-2040"]
    );
    assert!(
        orders::list_for_customer(&shop(), "K-999", 5)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_total_that_was_left_out_is_the_sum_of_its_lines() {
    let order = orders::get(&shop(), "WEB-43", email("amelie@example.test")).unwrap();
    assert_eq!(order.total.unwrap().amount, "112.00");
}

#[test]
fn tracking_tells_what_happened_in_order() {
    let tracking = orders::track(&shop(), "WEB-42", email("einkauf@muster.example")).unwrap();
    assert_eq!(
        (
            tracking.len(),
            tracking[0].state.as_str(),
            tracking[0].events.len()
        ),
        (1, "in-transit", 2)
    );
    assert_eq!(tracking[0].events[0].text, "Handed over to the carrier");
    let pending = orders::track(&shop(), "WEB-41", email("erika@example.test")).unwrap();
    assert_eq!(pending[0].state, "pending");
}

#[test]
fn stock_is_told_by_place_with_its_moment() {
    let book = shop();
    let levels = stock::availability(&book, "sku-1001", None, NOW).unwrap();
    assert_eq!(
        (levels.len(), levels[0].on_hand, levels[0].available),
        (1, 7.0, 5.0)
    );
    assert_eq!(levels[0].as_of, "2026-11-22T06:00:00+01:00");
    assert_eq!(
        stock::availability(&book, "SKU-1004", None, NOW)
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        stock::availability(&book, "SKU-1004", Some("graz"), NOW).unwrap()[0].available,
        3.0
    );
    assert_eq!(
        stock::availability(&book, "SKU-1001", Some("Graz"), NOW).unwrap()[0].available,
        0.0
    );
    let out = stock::availability(&book, "SKU-1003", None, NOW).unwrap();
    assert_eq!(
        (out[0].available, out[0].restock_at.as_deref()),
        (0.0, Some("2026-12-03T00:00:00Z"))
    );
    assert_eq!(
        stock::availability(&book, "SKU-9", None, NOW)
            .unwrap_err()
            .code,
        "not-found"
    );
    assert_eq!(
        stock::availability(&book, "SKU-1001", Some("Linz"), NOW)
            .unwrap_err()
            .code,
        "not-found"
    );
}

#[test]
fn articles_are_found_and_recommended_with_a_reason() {
    let book = shop();
    assert_eq!(
        catalog::search(&book, "espreso machine", 3).unwrap()[0].sku,
        "SKU-1001"
    );
    assert_eq!(
        catalog::get(&book, "sku-1002")
            .unwrap()
            .price
            .unwrap()
            .amount,
        "39.90"
    );
    let interest = Interest {
        skus: vec!["SKU-1001".into()],
        ..Interest::default()
    };
    let english = catalog::recommend(&book, &interest, 10, Some("en")).unwrap();
    assert!(
        english.iter().any(
            |r| r.product.sku == "SKU-1002" && r.reason == "often bought with Espresso machine"
        ),
        "{english:?}"
    );
    assert!(english.iter().all(|r| r.product.sku != "SKU-1001"));
    let german = catalog::recommend(&book, &interest, 1, Some("de-AT")).unwrap();
    assert_eq!(
        german[0].reason,
        "wird oft zusammen mit Espresso machine gekauft"
    );
    let query = Interest {
        query: Some("something against lime, a descaler".into()),
        ..Interest::default()
    };
    let sold_out = catalog::recommend(&book, &query, 10, None).unwrap();
    assert!(
        sold_out.iter().all(|r| r.product.sku != "SKU-1003"),
        "out of stock"
    );
    assert!(
        catalog::recommend(&book, &Interest::default(), 5, None)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn what_is_wrong_between_files_blocks_and_says_where() {
    let files = [
        file(
            "orders.csv",
            "number,state,placed_at\nA-1,shipped,2026-13-01\na-1,draft,\n",
        ),
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
        assert!(
            told.iter().any(|t| t == expected),
            "{expected} is not in {told:#?}"
        );
    }
    assert!(
        found
            .iter()
            .any(|d| d.help.as_deref() == Some("did you mean orders.csv?"))
    );
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

#[test]
fn a_contact_is_completed_and_never_changed() {
    let (book, mut memory) = (shop(), Memory::default());
    let person = Person {
        phone: Some("+43 660 1112223".into()),
        company: Some("Muster KG".into()),
        ..erika()
    };
    let contact = people::upsert(&book, &mut memory.desk("k1"), person).unwrap();
    assert_eq!(
        (contact.id.as_str(), contact.name.as_str()),
        ("K-101", "Erika Mustermann")
    );
    assert_eq!(contact.phone.as_deref(), Some("+43 660 5550177"));
    assert_eq!(contact.company.as_deref(), Some("Muster KG"));

    let created = people::upsert(&book, &mut memory.desk("k2"), stranger()).unwrap();
    let again = people::upsert(&book, &mut memory.desk("k3"), stranger()).unwrap();
    assert_eq!((created.id.as_str(), &again), ("C-000001", &created));
    let found = people::find(
        &book,
        &mut memory.desk(""),
        None,
        Some("0660 9990001".into()),
    )
    .unwrap();
    assert_eq!(found, [created]);
    let both = people::find(
        &book,
        &mut memory.desk(""),
        Some("erika@example.test".into()),
        Some("+43 660 9990001".into()),
    )
    .unwrap();
    assert!(both.is_empty(), "each one given must match");
    for bad in [
        Person::default(),
        Person {
            email: Some("x".into()),
            ..Person::default()
        },
        Person {
            phone: Some("12".into()),
            ..Person::default()
        },
    ] {
        assert_eq!(
            people::upsert(&book, &mut memory.desk("k4"), bad)
                .unwrap_err()
                .code,
            "invalid-input"
        );
    }
}

fn lead() -> LeadInput {
    LeadInput {
        person: stranger(),
        subject: "20 machines".into(),
        message: Some("+ service".into()),
        skus: vec!["SKU-1005".into()],
        ..LeadInput::default()
    }
}

#[test]
fn a_lead_is_made_once_wherever_the_first_try_stopped() {
    let book = shop();
    let writes = {
        let mut memory = Memory {
            writes_left: Some(100),
            ..Memory::default()
        };
        leads::create(&book, &mut memory.desk("turn-1"), lead()).unwrap();
        100 - memory.writes_left.unwrap()
    };
    for crash_after in 0..writes {
        let mut memory = Memory {
            writes_left: Some(crash_after),
            ..Memory::default()
        };
        assert!(leads::create(&book, &mut memory.desk("turn-1"), lead()).is_err());
        memory.writes_left = None;
        let made = leads::create(&book, &mut memory.desk("turn-1"), lead()).unwrap();
        let again = leads::create(&book, &mut memory.desk("turn-1"), lead()).unwrap();
        assert_eq!(made, again);
        assert_eq!(
            (memory.count("lead/"), memory.count("contact/")),
            (1, 1),
            "crash after {crash_after}"
        );
        let other = leads::create(&book, &mut memory.desk("turn-2"), lead()).unwrap();
        assert_ne!(made.id, other.id);
        assert_eq!(made.contact_id, other.contact_id);
    }
}

#[test]
fn leads_are_numbered_above_the_files_and_qualified_once() {
    let (book, mut memory) = (shop(), Memory::default());
    let made = leads::create(&book, &mut memory.desk("a"), lead()).unwrap();
    assert_eq!((made.id.as_str(), made.state.as_str()), ("L-000008", "new"));
    let found = Qualification {
        score: Some(80),
        state: Some("Qualified".into()),
        note: Some("budget is there".into()),
    };
    for _ in 0..2 {
        assert_eq!(
            leads::qualify(&book, &mut memory.desk("b"), "l-000008", found.clone())
                .unwrap()
                .state,
            "qualified"
        );
    }
    assert_eq!(memory.count("event/lead/"), 1);
    assert_eq!(
        leads::qualify(
            &book,
            &mut memory.desk("c"),
            "L-000007",
            Qualification::default()
        )
        .unwrap()
        .state,
        "qualified"
    );
    assert_eq!(
        leads::qualify(&book, &mut memory.desk("d"), "L-1", found)
            .unwrap_err()
            .code,
        "not-found"
    );
}

fn ticket() -> TicketInput {
    TicketInput {
        subject: "Machine drips".into(),
        body: "Since Monday".into(),
        requester: erika(),
        ..TicketInput::default()
    }
}

#[test]
fn a_ticket_lives_from_opening_to_closing() {
    let (book, mut memory) = (shop(), Memory::default());
    let made = tickets::create(&book, &mut memory.desk("a"), ticket()).unwrap();
    assert_eq!(
        (
            made.number.as_str(),
            made.state.as_str(),
            made.comments.len()
        ),
        ("T-000013", "new", 1)
    );
    assert_eq!(
        tickets::create(&book, &mut memory.desk("a"), ticket()).unwrap(),
        made
    );
    for _ in 0..2 {
        let now = tickets::comment(
            &book,
            &mut memory.desk("b"),
            "t-000013",
            "still drips",
            email("erika@example.test"),
        )
        .unwrap();
        assert_eq!(now.comments.len(), 2);
    }
    let closed = tickets::close(
        &book,
        &mut memory.desk("c"),
        "T-000013",
        None,
        email("erika@example.test"),
    )
    .unwrap();
    assert_eq!(closed.state, "closed");
    let wrong = tickets::get(
        &book,
        &mut memory.desk(""),
        "T-000013",
        email("x@example.test"),
    )
    .unwrap_err();
    let unknown = tickets::get(
        &book,
        &mut memory.desk(""),
        "T-000099",
        email("x@example.test"),
    )
    .unwrap_err();
    assert_eq!(wrong, unknown);

    let reopened = tickets::comment(
        &book,
        &mut memory.desk("d"),
        "T-000011",
        "drips again",
        email("erika@example.test"),
    )
    .unwrap();
    assert_eq!(
        (reopened.state.as_str(), reopened.comments.len()),
        ("open", 2)
    );
    let hers = TicketQuery {
        requester_email: Some("erika@example.test".into()),
        ..TicketQuery::default()
    };
    let found = tickets::search(&book, &mut memory.desk(""), &hers, 10).unwrap();
    assert_eq!(
        found.iter().map(|t| t.number.as_str()).collect::<Vec<_>>(),
        ["T-000013", "T-000011"]
    );
    let open = TicketQuery {
        state: Some("open".into()),
        text: Some("wand".into()),
        ..TicketQuery::default()
    };
    assert_eq!(
        tickets::search(&book, &mut memory.desk(""), &open, 10)
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_ticket_is_made_once_wherever_the_first_try_stopped() {
    let book = shop();
    for crash_after in 0..5 {
        let mut memory = Memory {
            writes_left: Some(crash_after),
            ..Memory::default()
        };
        let first = tickets::create(
            &book,
            &mut memory.desk("t"),
            TicketInput {
                requester: stranger(),
                ..ticket()
            },
        );
        memory.writes_left = None;
        let made = tickets::create(
            &book,
            &mut memory.desk("t"),
            TicketInput {
                requester: stranger(),
                ..ticket()
            },
        )
        .unwrap();
        assert!(first.is_err() || first.unwrap() == made);
        assert_eq!(
            (
                memory.count("ticket/"),
                memory.count("ticket-of/"),
                memory.count("contact/")
            ),
            (1, 1, 1)
        );
    }
}

#[test]
fn texts_that_are_too_long_are_refused() {
    let (book, mut memory) = (shop(), Memory::default());
    let long = TicketInput {
        body: "x".repeat(10_001),
        ..ticket()
    };
    assert_eq!(
        tickets::create(&book, &mut memory.desk("a"), long)
            .unwrap_err()
            .code,
        "invalid-input"
    );
    assert!(memory.map.is_empty());
}

#[test]
fn downloads_hold_uploaded_and_created_rows_and_calculate_nothing() {
    let (book, mut memory) = (shop(), Memory::default());
    leads::create(&book, &mut memory.desk("a"), lead()).unwrap();
    leads::qualify(
        &book,
        &mut memory.desk("b"),
        "L-000007",
        Qualification {
            note: Some("call, \"soon\"".into()),
            ..Qualification::default()
        },
    )
    .unwrap();
    people::upsert(
        &book,
        &mut memory.desk("c"),
        Person {
            phone: Some("+43 660 7770001".into()),
            email: Some("amelie@example.test".into()),
            ..Person::default()
        },
    )
    .unwrap();
    tickets::create(&book, &mut memory.desk("d"), ticket()).unwrap();
    tickets::comment(
        &book,
        &mut memory.desk("e"),
        "T-000012",
        "@all thanks",
        email("office@cafe-zentral.example"),
    )
    .unwrap();
    let mut text = |name: &str| {
        String::from_utf8(export::download(&book, &mut memory.desk(""), name).unwrap()).unwrap()
    };

    let leads = text("leads.csv");
    assert!(
        leads.contains("L-000007,Coffee corner")
            && leads.contains("call, \"\"soon\"\"")
            && leads.contains("L-000008,20 machines,new"),
        "{leads}"
    );
    assert!(
        leads.contains("'=HYPERLINK(1)") && leads.contains("'+ service"),
        "{leads}"
    );
    let contacts = text("contacts.csv");
    assert!(
        contacts.contains("C-000001,'=HYPERLINK(1),new@example.test,'+43 660 9990001"),
        "{contacts}"
    );
    assert!(
        contacts.contains("K-104,Amélie Durand,amelie@example.test,,,5020,,'+43 660 7770001,"),
        "{contacts}"
    );
    assert!(
        contacts.contains("K-100,Muster & Söhne GmbH,einkauf@muster.example,+43 1 5550142"),
        "{contacts}"
    );
    let tickets = text("tickets.csv");
    assert!(
        tickets.contains("T-000013,Machine drips,new,Since Monday")
            && tickets.contains("@all thanks"),
        "{tickets}"
    );
    assert!(text("orders.csv").starts_with("number,reference"));
    assert_eq!(export::names(&book).len(), 8);
    assert_eq!(
        export::download(&book, &mut memory.desk(""), "../x")
            .unwrap_err()
            .code,
        "not-found"
    );
}

#[test]
fn a_download_can_be_uploaded_again_and_nothing_doubles() {
    let (book, mut memory) = (shop(), Memory::default());
    leads::create(&book, &mut memory.desk("a"), lead()).unwrap();
    tickets::create(&book, &mut memory.desk("b"), ticket()).unwrap();
    tickets::comment(
        &book,
        &mut memory.desk("c"),
        "T-000012",
        "thanks",
        email("office@cafe-zentral.example"),
    )
    .unwrap();
    let mut files = shop_files();
    files.retain(|f| !["contacts.csv", "leads.csv", "tickets.csv"].contains(&f.name.as_str()));
    let mut download = |book: &Book, name: &str| {
        file(
            name,
            export::download(book, &mut memory.desk(""), name).unwrap(),
        )
    };
    let first: Vec<NamedFile> = ["contacts.csv", "leads.csv", "tickets.csv"]
        .map(|n| download(&book, n))
        .into();
    files.extend(first.clone());
    let (again, found) = load::load("{}", &files).unwrap();
    assert_eq!(found, []);
    for before in first {
        let after = download(&again, &before.name);
        assert_eq!(
            String::from_utf8(before.content).unwrap(),
            String::from_utf8(after.content).unwrap()
        );
    }
    let next = leads::create(&again, &mut memory.desk("z"), lead()).unwrap();
    assert_eq!(next.id, "L-000009");
}

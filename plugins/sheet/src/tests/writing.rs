//! What visitors create, in a store in memory that may stop anywhere, and what downloads make of it.

use super::{email, file, shop, shop_files};
use crate::book::Book;
use crate::shelf::fake::Memory;
use crate::{export, leads, load, people, tickets};
use confab_plugin_sdk::leads::{LeadInput, Qualification};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{TicketInput, TicketQuery};

fn erika() -> Person {
    Person { name: Some("Erika M.".into()), email: Some("Erika@Example.test".into()), ..Person::default() }
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
fn a_contact_is_completed_and_never_changed() {
    let (book, mut memory) = (shop(), Memory::default());
    let person = Person { phone: Some("+43 660 1112223".into()), company: Some("Muster KG".into()), ..erika() };
    let contact = people::upsert(&book, &mut memory.desk("k1"), person).unwrap();
    assert_eq!((contact.id.as_str(), contact.name.as_str()), ("K-101", "Erika Mustermann"));
    assert_eq!(contact.phone.as_deref(), Some("+43 660 5550177"));
    assert_eq!(contact.company.as_deref(), Some("Muster KG"));

    let created = people::upsert(&book, &mut memory.desk("k2"), stranger()).unwrap();
    let again = people::upsert(&book, &mut memory.desk("k3"), stranger()).unwrap();
    assert_eq!((created.id.as_str(), &again), ("C-000001", &created));
    let found = people::find(&book, &mut memory.desk(""), None, Some("0660 9990001".into())).unwrap();
    assert_eq!(found, [created]);
    let both =
        people::find(&book, &mut memory.desk(""), Some("erika@example.test".into()), Some("+43 660 9990001".into()))
            .unwrap();
    assert!(both.is_empty(), "each one given must match");
    for bad in [
        Person::default(),
        Person { email: Some("x".into()), ..Person::default() },
        Person { phone: Some("12".into()), ..Person::default() },
    ] {
        assert_eq!(people::upsert(&book, &mut memory.desk("k4"), bad).unwrap_err().code, "invalid-input");
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
        let mut memory = Memory { writes_left: Some(100), ..Memory::default() };
        leads::create(&book, &mut memory.desk("turn-1"), lead()).unwrap();
        100 - memory.writes_left.unwrap()
    };
    for crash_after in 0..writes {
        let mut memory = Memory { writes_left: Some(crash_after), ..Memory::default() };
        assert!(leads::create(&book, &mut memory.desk("turn-1"), lead()).is_err());
        memory.writes_left = None;
        let made = leads::create(&book, &mut memory.desk("turn-1"), lead()).unwrap();
        let again = leads::create(&book, &mut memory.desk("turn-1"), lead()).unwrap();
        assert_eq!(made, again);
        assert_eq!((memory.count("lead/"), memory.count("contact/")), (1, 1), "crash after {crash_after}");
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
    let found =
        Qualification { score: Some(80), state: Some("Qualified".into()), note: Some("budget is there".into()) };
    for _ in 0..2 {
        assert_eq!(leads::qualify(&book, &mut memory.desk("b"), "l-000008", found.clone()).unwrap().state, "qualified");
    }
    assert_eq!(memory.count("event/lead/"), 1);
    assert_eq!(
        leads::qualify(&book, &mut memory.desk("c"), "L-000007", Qualification::default()).unwrap().state,
        "qualified"
    );
    assert_eq!(leads::qualify(&book, &mut memory.desk("d"), "L-1", found).unwrap_err().code, "not-found");
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
    assert_eq!((made.number.as_str(), made.state.as_str(), made.comments.len()), ("T-000013", "new", 1));
    assert_eq!(tickets::create(&book, &mut memory.desk("a"), ticket()).unwrap(), made);
    for _ in 0..2 {
        let now =
            tickets::comment(&book, &mut memory.desk("b"), "t-000013", "still drips", email("erika@example.test"))
                .unwrap();
        assert_eq!(now.comments.len(), 2);
    }
    let closed = tickets::close(&book, &mut memory.desk("c"), "T-000013", None, email("erika@example.test")).unwrap();
    assert_eq!(closed.state, "closed");
    let wrong = tickets::get(&book, &mut memory.desk(""), "T-000013", email("x@example.test")).unwrap_err();
    let unknown = tickets::get(&book, &mut memory.desk(""), "T-000099", email("x@example.test")).unwrap_err();
    assert_eq!(wrong, unknown);

    let reopened =
        tickets::comment(&book, &mut memory.desk("d"), "T-000011", "drips again", email("erika@example.test")).unwrap();
    assert_eq!((reopened.state.as_str(), reopened.comments.len()), ("open", 2));
    let hers = TicketQuery { requester_email: Some("erika@example.test".into()), ..TicketQuery::default() };
    let found = tickets::search(&book, &mut memory.desk(""), &hers, 10).unwrap();
    assert_eq!(found.iter().map(|t| t.number.as_str()).collect::<Vec<_>>(), ["T-000013", "T-000011"]);
    let open = TicketQuery { state: Some("open".into()), text: Some("wand".into()), ..TicketQuery::default() };
    assert_eq!(tickets::search(&book, &mut memory.desk(""), &open, 10).unwrap().len(), 1);
}

#[test]
fn a_ticket_is_made_once_wherever_the_first_try_stopped() {
    let book = shop();
    for crash_after in 0..5 {
        let mut memory = Memory { writes_left: Some(crash_after), ..Memory::default() };
        let first = tickets::create(&book, &mut memory.desk("t"), TicketInput { requester: stranger(), ..ticket() });
        memory.writes_left = None;
        let made =
            tickets::create(&book, &mut memory.desk("t"), TicketInput { requester: stranger(), ..ticket() }).unwrap();
        assert!(first.is_err() || first.unwrap() == made);
        assert_eq!((memory.count("ticket/"), memory.count("ticket-of/"), memory.count("contact/")), (1, 1, 1));
    }
}

#[test]
fn texts_that_are_too_long_are_refused() {
    let (book, mut memory) = (shop(), Memory::default());
    let long = TicketInput { body: "x".repeat(10_001), ..ticket() };
    assert_eq!(tickets::create(&book, &mut memory.desk("a"), long).unwrap_err().code, "invalid-input");
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
        Qualification { note: Some("call, \"soon\"".into()), ..Qualification::default() },
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
    tickets::comment(&book, &mut memory.desk("e"), "T-000012", "@all thanks", email("office@cafe-zentral.example"))
        .unwrap();
    let mut text =
        |name: &str| String::from_utf8(export::download(&book, &mut memory.desk(""), name).unwrap()).unwrap();

    let leads = text("leads.csv");
    assert!(
        leads.contains("L-000007,Coffee corner")
            && leads.contains("call, \"\"soon\"\"")
            && leads.contains("L-000008,20 machines,new"),
        "{leads}"
    );
    assert!(leads.contains("'=HYPERLINK(1)") && leads.contains("'+ service"), "{leads}");
    let contacts = text("contacts.csv");
    assert!(contacts.contains("C-000001,'=HYPERLINK(1),new@example.test,'+43 660 9990001"), "{contacts}");
    assert!(contacts.contains("K-104,Amélie Durand,amelie@example.test,,,5020,,'+43 660 7770001,"), "{contacts}");
    assert!(contacts.contains("K-100,Muster & Söhne GmbH,einkauf@muster.example,+43 1 5550142"), "{contacts}");
    let tickets = text("tickets.csv");
    assert!(
        tickets.contains("T-000013,Machine drips,new,Since Monday") && tickets.contains("@all thanks"),
        "{tickets}"
    );
    assert!(text("orders.csv").starts_with("number,reference"));
    assert_eq!(export::names(&book).len(), 8);
    assert_eq!(export::download(&book, &mut memory.desk(""), "../x").unwrap_err().code, "not-found");
}

#[test]
fn a_download_can_be_uploaded_again_and_nothing_doubles() {
    let (book, mut memory) = (shop(), Memory::default());
    leads::create(&book, &mut memory.desk("a"), lead()).unwrap();
    tickets::create(&book, &mut memory.desk("b"), ticket()).unwrap();
    tickets::comment(&book, &mut memory.desk("c"), "T-000012", "thanks", email("office@cafe-zentral.example")).unwrap();
    let mut files = shop_files();
    files.retain(|f| !["contacts.csv", "leads.csv", "tickets.csv"].contains(&f.name.as_str()));
    let mut download =
        |book: &Book, name: &str| file(name, export::download(book, &mut memory.desk(""), name).unwrap());
    let first: Vec<NamedFile> = ["contacts.csv", "leads.csv", "tickets.csv"].map(|n| download(&book, n)).into();
    files.extend(first.clone());
    let (again, found) = load::load("{}", &files).unwrap();
    assert_eq!(found, []);
    for before in first {
        let after = download(&again, &before.name);
        assert_eq!(String::from_utf8(before.content).unwrap(), String::from_utf8(after.content).unwrap());
    }
    let next = leads::create(&again, &mut memory.desk("z"), lead()).unwrap();
    assert_eq!(next.id, "L-000009");
}

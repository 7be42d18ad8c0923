//! Tickets, in each helpdesk.

use super::*;
use confab_plugin_sdk::tickets::{TicketInput, TicketQuery, Tickets};

fn ticket(email: &str, phone: &str) -> TicketInput {
    TicketInput {
        subject: "Steam wand".into(),
        body: "It drips\nsince <Monday>".into(),
        requester: person("Ada Lovelace", email, phone),
        priority: Some("high".into()),
        category: Some("repairs".into()),
        order_number: Some("WEB-42".into()),
    }
}

#[test]
fn a_ticket_is_opened_once_in_whichever_helpdesk_there_is() {
    each(|orm, host, _| {
        let create = |input: TicketInput| host.run(|| <Connector as Tickets>::create(input));
        let before = orm.borrow().all("res.partner");
        let made = create(ticket("ada@example.test", "+44 20 5550123")).unwrap();
        assert_eq!((made.state.as_str(), made.subject.as_str()), ("new", "Steam wand"));
        assert!(!made.number.is_empty() && made.created_at.is_some());
        assert_eq!(create(ticket("ada@example.test", "")).unwrap().number, made.number);
        let all = orm.borrow().all("helpdesk.ticket");
        let stored: Vec<&Value> = all.iter().filter(|t| t["name"] == "Steam wand").collect();
        assert_eq!(stored.len(), 1);
        assert_eq!(
            (stored[0]["priority"].as_str(), stored[0]["partner_email"].as_str()),
            (Some("2"), Some("ada@example.test"))
        );
        let told = stored[0]["description"].as_str().unwrap();
        assert!(told.contains("since &lt;Monday&gt;") && told.contains("Order: WEB-42"), "{told}");
        assert_eq!(orm.borrow().all("res.partner"), before);
        host.set_key("key-2");
        assert_eq!(
            code(create(TicketInput { category: Some("Nonsense".into()), ..ticket("ada@example.test", "") })),
            "invalid-input"
        );
        create(ticket("erika@example.test", "+43 999 9999999")).unwrap();
        assert_eq!(orm.borrow().all("res.partner"), before, "a ticket's phone number is written to its partner");
    });
}

#[test]
fn the_settings_team_gets_what_has_no_category_of_a_team() {
    let (orm, host) = odoo(Orm::new(17, Helpdesk::Enterprise), json!({"ticket_team": 1}));
    for (category, team) in [(None, 1), (Some("repairs"), 2)] {
        host.set_key(&format!("key-{team}"));
        let input = TicketInput { category: category.map(str::to_owned), ..ticket("ada@example.test", "") };
        host.run(|| <Connector as Tickets>::create(input)).unwrap();
        assert_eq!(orm.borrow().all("helpdesk.ticket").pop().unwrap()["team_id"], team);
    }
}

#[test]
fn a_ticket_is_shown_to_its_requester_without_what_the_staff_says_among_themselves() {
    each(|_, host, version| {
        let number = if version == 17 { "00005" } else { "ht00005" };
        let get = |number: &str, who: &str| host.run(|| <Connector as Tickets>::get(number.into(), email(who)));
        let found = get(number, "Erika@example.test").unwrap();
        assert_eq!((found.state.as_str(), found.subject.as_str()), ("open", "Steam wand drips"));
        let said: Vec<_> = found.comments.iter().map(|c| (c.author.as_str(), c.text.as_str())).collect();
        assert_eq!(said, [("Erika Mustermann", "It drips & drips")]);
        let wrong = get(number, "einkauf@muster.example").unwrap_err();
        let unknown = get("HT99999", "einkauf@muster.example").unwrap_err();
        assert_eq!((wrong.code.as_str(), &wrong), ("not-found", &unknown));
        let unproven = host.run(|| <Connector as Tickets>::get(number.into(), Proof::default()));
        assert_eq!(code(unproven), "proof-required");
    });
}

#[test]
fn a_comment_is_the_requesters_and_said_once_and_a_ticket_is_closed_with_its_reason() {
    each(|orm, host, version| {
        let number = if version == 17 { "00005" } else { "HT00005" };
        let comment = || {
            host.run(|| {
                <Connector as Tickets>::comment(number.into(), "Still <drips>".into(), email("erika@example.test"))
            })
        };
        comment().unwrap();
        let after = comment().unwrap();
        let said: Vec<_> = after.comments.iter().map(|c| (c.author.as_str(), c.text.as_str())).collect();
        assert_eq!(said, [("Erika Mustermann", "It drips & drips"), ("Erika Mustermann", "Still <drips>")]);
        host.set_key("key-2");
        let close =
            |who: &str| host.run(|| <Connector as Tickets>::close(number.into(), Some("Repaired".into()), email(who)));
        assert_eq!(code(close("einkauf@muster.example")), "not-found");
        assert_eq!(close("erika@example.test").unwrap().state, "closed");
        assert_eq!(close("erika@example.test").unwrap().comments.len(), 3);
        assert_eq!(orm.borrow().all("helpdesk.ticket")[0]["stage_id"], 3);
    });
}

#[test]
fn whoever_has_no_address_is_spoken_for() {
    each(|orm, host, version| {
        let number = if version == 17 { "00005" } else { "HT00005" };
        let comment = |key: &str, proof: Proof| {
            host.set_key(key);
            host.run(|| <Connector as Tickets>::comment(number.into(), key.into(), proof)).unwrap();
            orm.borrow().all("mail.message").pop().unwrap()
        };
        // The partner has no address, the ticket has.
        orm.borrow_mut().set("res.partner", 8, "email", json!(false));
        let said = comment("key-1", email("erika@example.test"));
        assert_eq!((said["author_id"].as_i64(), said["email_from"].as_str()), (Some(8), Some("erika@example.test")));
        // No partner: Odoo shows the address.
        orm.borrow_mut().set("helpdesk.ticket", 5, "partner_id", json!(false));
        orm.borrow_mut().set("helpdesk.ticket", 5, "partner_email", json!("ada@example.test"));
        let said = comment("key-2", email("ada@example.test"));
        assert_eq!((&said["author_id"], said["email_from"].as_str()), (&json!(false), Some("ada@example.test")));
        // No address at all: the connection's user.
        orm.borrow_mut().set("helpdesk.ticket", 5, "partner_id", json!(8));
        orm.borrow_mut().set("helpdesk.ticket", 5, "partner_email", json!(false));
        let said = comment("key-3", Proof { phone: Some("0660/555 01 77".into()), ..Proof::default() });
        assert_eq!((said["author_id"].as_i64(), said["subtype_id"].as_i64()), (Some(1), Some(1)));
        assert!(orm.borrow().followed().is_empty());
    });
}

#[test]
fn a_ticket_in_a_teams_own_stage_has_that_stages_state() {
    let (orm, host) = odoo(Orm::new(18, Helpdesk::Oca), json!({}));
    let get = || host.run(|| <Connector as Tickets>::get("HT00005".into(), email("erika@example.test"))).unwrap().state;
    for (team, stage, state) in [(1, 4, "closed"), (1, 2, "open"), (2, 1, "new")] {
        orm.borrow_mut().set("helpdesk.ticket", 5, "team_id", json!(team));
        orm.borrow_mut().set("helpdesk.ticket", 5, "stage_id", json!(stage));
        assert_eq!(get(), state, "stage {stage} of team {team}");
    }
    // Another team's closed stage comes first, but is not this ticket's.
    host.run(|| <Connector as Tickets>::close("HT00005".into(), None, email("erika@example.test"))).unwrap();
    assert_eq!(orm.borrow().all("helpdesk.ticket")[0]["stage_id"], 3);
}

#[test]
fn tasks_of_a_project_are_tickets_where_there_is_no_helpdesk() {
    for version in [16, 17, 18] {
        let (orm, host) = odoo(Orm::new(version, Helpdesk::None), json!({"ticket_project": 3}));
        let input = TicketInput { category: None, ..ticket("ada@example.test", "+44 20 5550123") };
        let made = host.run(|| <Connector as Tickets>::create(input.clone())).unwrap();
        assert_eq!((made.state.as_str(), made.number.as_str()), ("new", "1"), "Odoo {version}");
        assert_eq!(host.run(|| <Connector as Tickets>::create(input)).unwrap().number, "1");
        let search = |state: &str| {
            let query = TicketQuery { state: Some(state.into()), ..TicketQuery::default() };
            host.run(|| <Connector as Tickets>::search(query, 5)).unwrap().len()
        };
        assert_eq!((search("new"), search("closed")), (1, 0));
        let close =
            || host.run(|| <Connector as Tickets>::close("#1".into(), None, email("ada@example.test"))).unwrap();
        assert_eq!(close().state, "closed");
        let task = orm.borrow().all("project.task").remove(0);
        assert_eq!((task["stage_id"].as_i64(), task["priority"].as_str()), (Some(2), Some("1")));
        assert_eq!(task.get("state").and_then(Value::as_str), (version > 16).then_some("1_done"));
        assert_eq!((search("new"), search("closed")), (0, 1));
        if version > 16 {
            // Canceled where it was.
            orm.borrow_mut().set("project.task", 1, "stage_id", json!(1));
            orm.borrow_mut().set("project.task", 1, "state", json!("1_canceled"));
            assert_eq!((close().state.as_str(), search("new"), search("closed")), ("closed", 0, 1));
        }
    }
}

#[test]
fn tickets_are_searched_by_requester_state_and_words() {
    each(|_, host, _| {
        let search = |email: &str, state: &str, text: &str| {
            let some = |t: &str| Some(t.to_owned()).filter(|t| !t.is_empty());
            let query = TicketQuery { requester_email: some(email), state: some(state), text: some(text) };
            host.run(|| <Connector as Tickets>::search(query, 10))
                .map(|found| found.into_iter().map(|t| t.subject).collect::<Vec<_>>())
        };
        assert_eq!(search("Erika@example.test", "", "").unwrap(), ["Steam wand drips"]);
        assert_eq!(search("", "closed", "").unwrap(), ["Invoice"]);
        assert_eq!(search("", "solved", "").unwrap(), ["Invoice"]);
        assert_eq!(search("", "", "monday").unwrap(), ["Steam wand drips"]);
        assert!(search("", "", "%").unwrap().is_empty());
        assert!(search("erika@example.test", "new", "").unwrap().is_empty());
        assert_eq!(code(search("", "", "")), "invalid-input");
    });
}

#[test]
fn without_a_helpdesk_tickets_are_unsupported_and_the_rest_works() {
    let (_, host) = odoo(Orm::new(16, Helpdesk::None), json!({}));
    let refused = host.run(|| <Connector as Tickets>::create(ticket("ada@example.test", ""))).unwrap_err();
    assert_eq!(refused.code, "unsupported");
    assert!(
        refused.message.contains("helpdesk_mgmt") && refused.message.contains("ticket_project"),
        "{}",
        refused.message
    );
    host.run(|| <Connector as Catalog>::get("SKU-1001".into())).unwrap();
}

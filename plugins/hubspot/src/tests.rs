//! What is rare or hard to bring about in an account. The rest is tested against a checking account:
//! `tests/tests/house/connector_hubspot.rs`.

use crate::Connector;
use confab_plugin_sdk::contacts::Contacts;
use confab_plugin_sdk::leads::{Leads, Qualification};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::testing::{Answer, Host, Sent};
use confab_plugin_sdk::tickets::{TicketInput, TicketQuery, Tickets};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;

fn record(id: &str, properties: Value) -> Value {
    json!({"id": id, "properties": properties, "createdAt": "2026-11-22T10:31:00.000Z", "updatedAt": "2026-11-22T10:31:00.000Z"})
}

fn pipelines() -> Answer {
    let stage = |id: &str, label: &str, state: &str, order: u32| json!({"id": id, "label": label, "displayOrder": order, "metadata": {"ticketState": state}});
    let old = json!({"id": "9", "label": "Old", "displayOrder": 0, "archived": true, "stages": []});
    let own = json!({"id": "0", "label": "Support", "displayOrder": 1, "stages": [stage("4", "Closed", "CLOSED", 3), stage("1", "New", "OPEN", 0), stage("2", "Wartet auf Kontakt", "OPEN", 1)]});
    Answer::json(200, json!({"results": [old, own]}))
}

fn ticket_input() -> TicketInput {
    TicketInput {
        subject: "Tea is cold".into(),
        body: "since noon".into(),
        requester: Person { email: Some("ada@example.test".into()), ..Person::default() },
        ..TicketInput::default()
    }
}

fn made(host: &Host, object: &str) -> Vec<Value> {
    let path = format!("/crm/v3/objects/{object}");
    host.sent().iter().filter(|r| r.method == "POST" && r.path == path).map(Sent::json).collect()
}

#[test]
fn a_contact_that_the_refusal_names_is_the_one() {
    let host = Host::new().on(|request| match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/crm/v3/objects/contacts") => Answer::json(
            409,
            json!({"status": "error", "category": "CONFLICT", "message": "Contact already exists. Existing ID: 51"}),
        ),
        ("GET", p) if p.starts_with("/crm/v3/objects/contacts/51?") => Answer::json(
            200,
            record("51", json!({"email": "main@example.test", "hs_additional_emails": "ada@example.test"})),
        ),
        ("POST", _) => Answer::json(200, json!({"total": 0, "results": []})),
        _ => Answer::json(404, json!({"category": "OBJECT_NOT_FOUND"})),
    });
    let contact = host
        .run(|| <Connector as Contacts>::upsert(Person { email: Some("ada@example.test".into()), ..Person::default() }))
        .unwrap();
    assert_eq!((contact.id.as_str(), contact.email.as_deref()), ("51", Some("main@example.test")));
    assert!(host.sent()[0].path.starts_with("/crm/v3/objects/contacts/ada%40example.test?properties="));
}

#[test]
fn a_ticket_that_another_call_made_at_the_same_moment_is_the_one() {
    let asked = Rc::new(RefCell::new(0));
    let count = asked.clone();
    let host = Host::new().key("turn-1").on(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", p) if p.contains("/pipelines/") => pipelines(),
        ("GET", p) if p.contains("/properties/") => Answer::json(200, json!({"name": "confab_key", "hasUniqueValue": true})),
        ("GET", p) if p.contains("/contacts/") => Answer::json(200, record("51", json!({"email": "ada@example.test"}))),
        ("GET", p) => {
            assert!(p.contains("idProperty=confab_key"), "{p}");
            *count.borrow_mut() += 1;
            if *count.borrow() == 1 { Answer::status(404) } else { Answer::json(200, record("77", json!({"subject": "Tea is cold", "hs_pipeline_stage": "2"}))) }
        }
        _ => Answer::json(400, json!({"category": "VALIDATION_ERROR", "message": "", "errors": [{"code": "CONFLICTING_UNIQUE_VALUE", "context": {"propertyName": ["confab_key"]}}]})),
    });
    let ticket = host.run(|| <Connector as Tickets>::create(ticket_input())).unwrap();
    assert_eq!((ticket.number.as_str(), ticket.state.as_str()), ("77", "pending"));
    let body = &made(&host, "tickets")[0];
    assert_eq!(body["associations"][0]["types"][0]["associationTypeId"], 16);
    assert_eq!(
        (&body["properties"]["hs_pipeline"], &body["properties"]["hs_pipeline_stage"]),
        (&json!("0"), &json!("1")),
        "the first open stage of the first pipeline in use"
    );
}

#[test]
fn without_the_key_property_a_repeat_finds_the_ticket_whose_answer_was_lost() {
    let host = Host::new().key("turn-1").on(|request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", p) if p.contains("/pipelines/") => pipelines(),
        ("GET", p) if p.contains("/contacts/51?") => {
            let mut contact = record("51", json!({}));
            contact["associations"] = json!({"tickets": {"results": [{"id": "70", "type": "x"}, {"id": "77", "type": "x"}, {"id": "77", "type": "y"}]}});
            Answer::json(200, contact)
        }
        ("GET", p) if p.contains("/contacts/") => Answer::json(200, record("51", json!({"email": "ada@example.test"}))),
        ("POST", "/crm/v3/objects/tickets/batch/read") => {
            assert_eq!(request.json()["inputs"], json!([{"id": "77"}, {"id": "70"}]), "newest first, each once");
            let mut old = record("70", json!({"subject": "Tea is cold"}));
            old["createdAt"] = json!("2026-11-20T10:00:00.000Z");
            Answer::json(200, json!({"results": [old, record("77", json!({"subject": "Tea is cold", "hs_pipeline_stage": "1"}))]}))
        }
        ("POST", "/crm/v3/objects/tickets") => Answer::fail("timeout", "no answer in time"),
        _ => Answer::status(404),
    });
    assert_eq!(host.run(|| <Connector as Tickets>::create(ticket_input())).unwrap_err().code, "timeout");
    let ticket = host.run(|| <Connector as Tickets>::create(ticket_input())).unwrap();
    assert_eq!((ticket.number.as_str(), made(&host, "tickets").len()), ("77", 1));
    assert!(made(&host, "tickets")[0]["properties"].get("confab_key").is_none());
}

#[test]
fn a_second_ticket_of_the_same_name_is_not_the_one_that_another_call_made() {
    let (tickets, lose) = (Rc::new(RefCell::new(Vec::<Value>::new())), Rc::new(RefCell::new(false)));
    let (kept, lost) = (tickets.clone(), lose.clone());
    let host = Host::new().on(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", p) if p.contains("/pipelines/") => pipelines(),
        ("GET", p) if p.contains("/contacts/51?") => {
            let mut contact = record("51", json!({}));
            contact["associations"] = json!({"tickets": {"results": *kept.borrow()}});
            Answer::json(200, contact)
        }
        ("GET", p) if p.contains("/contacts/") => Answer::json(200, record("51", json!({"email": "ada@example.test"}))),
        ("POST", "/crm/v3/objects/tickets/batch/read") => Answer::json(200, json!({"results": *kept.borrow()})),
        ("POST", "/crm/v3/objects/tickets") if lost.replace(false) => Answer::fail("timeout", "no answer in time"),
        ("POST", "/crm/v3/objects/tickets") => {
            let made = record(
                &format!("{}", 70 + kept.borrow().len()),
                json!({"subject": "Tea is cold", "hs_pipeline_stage": "1"}),
            );
            kept.borrow_mut().push(made.clone());
            Answer::json(201, made)
        }
        _ => Answer::status(404),
    });
    let create = |key: &str| {
        host.set_key(key);
        host.run(|| <Connector as Tickets>::create(ticket_input())).map(|t| t.number).map_err(|e| e.code)
    };
    assert_eq!(create("turn-1").unwrap(), "70");
    *lose.borrow_mut() = true;
    assert_eq!(create("turn-2").unwrap_err(), "timeout");
    assert_eq!(create("turn-2").unwrap(), "71", "the first call's ticket was taken for the second's");
    assert_eq!((create("turn-1").unwrap(), create("turn-2").unwrap()), ("70".to_owned(), "71".to_owned()));
    assert_eq!(tickets.borrow().len(), 2);
}

#[test]
fn pipelines_that_are_too_many_to_be_kept_are_read_once_a_call() {
    let stage = |n: usize| json!({"id": format!("{n}"), "label": format!("A stage with quite a long label, as people write them {n}"), "displayOrder": n, "metadata": {"ticketState": "OPEN"}});
    let all: Vec<Value> = (0..50)
        .map(|p| json!({"id": format!("p{p}"), "label": format!("Pipeline {p}"), "displayOrder": p, "stages": (0..40).map(|s| stage(p * 100 + s)).collect::<Vec<_>>()}))
        .collect();
    let host = Host::new().on(move |request| match request.path.as_str() {
        p if p.contains("/pipelines/") => Answer::json(200, json!({"results": all})),
        p if p.contains("/properties/") => Answer::status(404),
        p if p.contains("/contacts/") => Answer::json(200, record("51", json!({"email": "ada@example.test"}))),
        _ => Answer::json(201, record("77", json!({"subject": "Tea is cold", "hs_pipeline_stage": "0"}))),
    });
    host.run(|| <Connector as Tickets>::create(ticket_input())).unwrap();
    assert_eq!(host.sent().iter().filter(|r| r.path.contains("/pipelines/")).count(), 1);
    assert!(host.kv().values().all(|kept| kept.len() <= 64 * 1024), "the store refuses that");
    assert!(host.logged().iter().any(|line| line.contains("pipelines:tickets")), "{:?}", host.logged());
}

#[test]
fn a_merged_lead_is_changed_under_its_new_id() {
    let host = Host::new().on(|request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", p) if p.contains("/pipelines/") => Answer::json(200, json!({"results": [{"id": "p", "label": "Leads", "stages": [{"id": "n", "label": "New"}, {"id": "q", "label": "Qualified"}]}]})),
        ("PATCH", p) => {
            assert_eq!((p, request.json()), ("/crm/v3/objects/leads/20", json!({"properties": {"hs_lead_label": "WARM", "hs_pipeline_stage": "q"}})));
            Answer::json(200, record("20", json!({})))
        }
        (_, p) if p.contains("/leads/10?") => Answer::json(200, record("20", json!({"hs_pipeline": "p", "hs_pipeline_stage": "n"}))),
        _ => Answer::json(200, record("20", json!({"hs_lead_name": "Tea", "hs_pipeline": "p", "hs_pipeline_stage": "q"}))),
    });
    let found = Qualification { score: Some(50), state: Some("qualified".into()), note: None };
    let lead = host.run(|| <Connector as Leads>::qualify("10".into(), found)).unwrap();
    assert_eq!((lead.id.as_str(), lead.state.as_str()), ("20", "qualified"));
    let odd = Qualification { state: Some("on the moon".into()), ..Qualification::default() };
    let e = host.run(|| <Connector as Leads>::qualify("10".into(), odd)).unwrap_err();
    assert!(e.code == "invalid-input" && e.message.contains("New, Qualified"), "{e:?}");
}

#[test]
fn a_search_for_a_state_asks_for_its_stages_and_an_unknown_stage_is_shown_as_it_is() {
    let host = Host::new().settings(json!({"tickets": {"states": {"New": "open"}}})).on(|request| match request.path.as_str() {
        p if p.contains("/pipelines/") => pipelines(),
        _ => {
            let filters = request.json()["filterGroups"][0]["filters"].clone();
            assert_eq!(filters, json!([{"propertyName": "hs_pipeline_stage", "operator": "IN", "values": ["1"]}]));
            Answer::json(200, json!({"total": 1, "results": [record("77", json!({"subject": "Tea", "hs_pipeline_stage": "1"})), record("78", json!({"subject": "Tea", "hs_pipeline_stage": "99"}))]}))
        }
    });
    let query = TicketQuery { state: Some("open".into()), text: Some("tea".into()), ..TicketQuery::default() };
    let found = host.run(|| <Connector as Tickets>::search(query, 10)).unwrap();
    assert_eq!(found.iter().map(|t| t.number.as_str()).collect::<Vec<_>>(), ["77"]);
    let none = TicketQuery { state: Some("solved".into()), ..TicketQuery::default() };
    assert!(host.run(|| <Connector as Tickets>::search(none, 10)).unwrap().is_empty());
}

#[test]
fn a_stage_that_is_gone_is_told_and_pipelines_are_read_anew() {
    let host = Host::new().on(|request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", p) if p.contains("/pipelines/") => pipelines(),
        ("GET", _) => Answer::json(200, record("51", json!({"email": "ada@example.test"}))),
        _ => Answer::json(400, json!({"category": "VALIDATION_ERROR", "errors": [{"code": "INVALID_OPTION", "context": {"propertyName": ["hs_pipeline_stage"]}}]})),
    });
    let e = host.run(|| <Connector as Tickets>::create(ticket_input())).unwrap_err();
    assert!(e.code == "misconfigured" && e.message.contains("hs_pipeline_stage"), "{e:?}");
    assert!(!host.kv().contains_key("pipelines:tickets"));
}

#[test]
fn a_search_fits_into_what_hubspot_takes_however_many_stages_there_are() {
    let stages: Vec<Value> =
        (0..300).map(|n| json!({"id": format!("1987{n:06}"), "label": "New", "displayOrder": n})).collect();
    let host = Host::new().on(move |request| match request.path.as_str() {
        p if p.contains("/pipelines/") => {
            Answer::json(200, json!({"results": [{"id": "0", "label": "Support", "stages": stages}]}))
        }
        _ => {
            assert!(request.body.len() <= 3_000, "{} bytes", request.body.len());
            let of = |id: &str, stage: &str| record(id, json!({"subject": "Tea", "hs_pipeline_stage": stage}));
            Answer::json(200, json!({"results": [of("77", "1987000001"), of("78", "gone")]}))
        }
    });
    let query = TicketQuery { state: Some("new".into()), text: Some("tea ".repeat(900)), ..TicketQuery::default() };
    let found = host.run(|| <Connector as Tickets>::search(query, 10)).unwrap();
    assert_eq!(found.iter().map(|t| t.number.as_str()).collect::<Vec<_>>(), ["77"]);
}

//! What is rare or hard to bring about in an org: lost answers, duplicate rules, hidden fields, merged records.
//! Queries, pages and the rest are tested against a checking org: `tests/tests/house/connector_salesforce.rs`.

mod records;

use crate::Connector;
use confab_plugin_sdk::contacts::Contacts;
use confab_plugin_sdk::health::Health;
use confab_plugin_sdk::leads::{LeadInput, Leads, Qualification};
use confab_plugin_sdk::orders::Orders;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::testing::{Answer, Host, Sent};
use confab_plugin_sdk::tickets::{TicketInput, TicketQuery, Tickets};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;

const LEAD: &str = "00QA00000000001AAA";
const CASE: &str = "500A00000000001AAA";

/// The description of an object with these fields; `*` marks the external id.
fn described(name: &str, fields: &str) -> Answer {
    let fields: Vec<Value> = fields
        .split_whitespace()
        .map(|field| {
            let (name, values) = field.split_once('=').unwrap_or((field, ""));
            let values: Vec<Value> =
                values.split('|').filter(|v| !v.is_empty()).map(|v| json!({"value": v.replace('+', " "), "active": true})).collect();
            let name = name.trim_end_matches('*');
            let key = field.ends_with('*');
            json!({"name": name, "createable": true, "updateable": true, "externalId": key, "unique": key, "picklistValues": values})
        })
        .collect();
    Answer::json(
        200,
        json!({"name": name, "createable": true, "updateable": true, "fields": fields, "recordTypeInfos": []}),
    )
}

const LEAD_FIELDS: &str = "FirstName LastName Company Email Phone Description Status=New|Qualified|Unqualified LeadSource=Web|Chat IsConverted MasterRecordId";
const CASE_FIELDS: &str = "CaseNumber Subject Description Status IsClosed CreatedDate SuppliedName SuppliedEmail SuppliedPhone Priority=High|Medium|Low Origin=Chat Confab_Key__c* MasterRecordId";

/// Bytes of what is kept of an object's description.
fn described_size(host: &Host, name: &str) -> Option<usize> {
    let prefix = format!("object:v67.0:{name}:");
    host.kv().iter().find(|(key, _)| key.starts_with(&prefix)).map(|(_, kept)| kept.len())
}

fn records(records: Value) -> Value {
    json!({"totalSize": records.as_array().map_or(0, Vec::len), "done": true, "records": records})
}

/// What the parts of a composite request are answered, each with status and body.
fn composite(parts: &[(u16, Value)]) -> Answer {
    let parts: Vec<Value> = parts
        .iter()
        .map(|(status, body)| json!({"httpStatusCode": status, "body": body, "httpHeaders": {}, "referenceId": "x"}))
        .collect();
    Answer::json(200, json!({"compositeResponse": parts}))
}

fn halted() -> (u16, Value) {
    (400, json!([{"errorCode": "PROCESSING_HALTED", "message": "The transaction was rolled back"}]))
}

fn soql(request: &Sent) -> String {
    request.query("q").unwrap_or_default()
}

fn lead_input() -> LeadInput {
    LeadInput {
        person: Person {
            name: Some("Søren Åkerström".into()),
            email: Some("soren@example.test".into()),
            ..Person::default()
        },
        subject: "Zwölf Maschinen".into(),
        ..LeadInput::default()
    }
}

fn writes(host: &Host) -> Vec<Value> {
    host.sent()
        .iter()
        .filter(|r| r.path.ends_with("/composite"))
        .map(|r| r.json()["compositeRequest"][0].clone())
        .filter(|p| p["method"] != "GET")
        .collect()
}

#[test]
fn without_the_key_field_a_repeat_finds_the_lead_whose_answer_was_lost() {
    let made = Rc::new(RefCell::new(0));
    let count = made.clone();
    let host = Host::new().key("turn-7").on(move |request| {
        if request.path.ends_with("/describe") {
            return described("Lead", LEAD_FIELDS);
        }
        let lead = json!([{"Id": LEAD, "Status": "New", "Description": "Zwölf Maschinen"}]);
        if request.path.ends_with("/composite") {
            *count.borrow_mut() += 1;
            return Answer::fail("timeout", "no answer in time");
        }
        let soql = soql(request);
        assert!(soql.contains("Email = 'soren@example.test' AND CreatedDate >= 2026-11-22T10:27:00Z"), "{soql}");
        Answer::json(200, records(lead))
    });
    assert_eq!(host.run(|| <Connector as Leads>::create(lead_input())).unwrap_err().code, "timeout");
    let lead = host.run(|| <Connector as Leads>::create(lead_input())).unwrap();
    assert_eq!((lead.id.as_str(), lead.state.as_str(), lead.subject.as_str()), (LEAD, "new", "Zwölf Maschinen"));
    assert_eq!(*made.borrow(), 1, "it was made twice");
    let body = &writes(&host)[0]["body"];
    assert_eq!(
        (&body["FirstName"], &body["LastName"], &body["Company"]),
        (&json!("Søren"), &json!("Åkerström"), &json!("[not provided]"))
    );
}

#[test]
fn a_key_field_that_was_deleted_is_done_without() {
    let host = Host::new().key("turn-7").on(|request| match request.path.as_str() {
        p if p.ends_with("/describe") => described("Lead", &format!("{LEAD_FIELDS} Confab_Key__c*")),
        p if p.ends_with("/composite") && request.json()["compositeRequest"][0]["method"] == "PATCH" => {
            composite(&[(404, json!([{"errorCode": "NOT_FOUND", "message": "Provided external ID field does not exist or is not accessible: Confab_Key__c"}])), halted()])
        }
        p if p.ends_with("/composite") => {
            composite(&[(201, json!({"id": LEAD, "success": true, "errors": []})), (200, records(json!([{"Id": LEAD, "Status": "New"}])))])
        }
        _ => Answer::json(200, records(json!([]))),
    });
    let lead = host.run(|| <Connector as Leads>::create(lead_input())).unwrap();
    assert_eq!(lead.id, LEAD);
    let methods: Vec<Value> = writes(&host).iter().map(|w| w["method"].clone()).collect();
    assert_eq!(methods, ["PATCH", "POST"]);
    assert_eq!(described_size(&host, "Lead"), None, "the old description is still believed");
}

#[test]
fn what_a_duplicate_rule_refuses_is_added_to_the_lead_that_is_there() {
    let converted = json!({"Id": "00QA00000000008AAA", "Email": "soren@example.test", "IsConverted": true});
    let other =
        json!({"Id": "00QA00000000009AAA", "Status": "New", "Email": "other@example.test", "Description": "Coffee"});
    let own = json!({"Id": LEAD, "Status": "Qualified", "Email": "SOREN@example.test", "Description": "Tea"});
    let host = refusing(json!([converted, other, own]));
    let lead = host.run(|| <Connector as Leads>::create(lead_input())).unwrap();
    assert_eq!((lead.id.as_str(), lead.state.as_str()), (LEAD, "qualified"));
    assert_eq!(lead.subject, "Zwölf Maschinen", "what the lead was about before is told");
    let change = &writes(&host)[1];
    assert!(change["url"].as_str().unwrap_or_default().ends_with(LEAD), "{change}");
    assert_eq!(
        change["body"]["Description"],
        "Tea\nName: Søren Åkerström\nE-mail: soren@example.test\nZwölf Maschinen\n[confab:turn-7]"
    );
    // By their number too, however it is written.
    let own = json!({"Id": LEAD, "Status": "Qualified", "Phone": "0660/555 01 77"});
    let host = refusing(json!([own]));
    let mut input = lead_input();
    input.person.phone = Some("+43 660 5550177".into());
    assert_eq!(host.run(|| <Connector as Leads>::create(input)).unwrap().id, LEAD);
}

#[test]
fn a_lead_that_a_duplicate_rule_only_finds_alike_is_left_alone() {
    let mut input = lead_input();
    input.person.phone = Some("+43 660 5550177".into());
    for alike in [
        json!({"Id": LEAD, "Status": "New", "Email": "other@example.test", "Phone": "+43 1 5550100", "Description": "Coffee"}),
        // A colleague's: they share the company's number.
        json!({"Id": LEAD, "Status": "New", "Email": "other@example.test", "Phone": "+43 660 5550177"}),
        json!({"Id": LEAD, "Status": "New", "Description": "Coffee"}),
    ] {
        let host = refusing(json!([alike]));
        let e = host.run(|| <Connector as Leads>::create(input.clone())).unwrap_err();
        assert!(e.code == "conflict" && e.message.contains("another e-mail address or phone number"), "{e:?}");
        assert!(!e.message.contains("other@example.test"), "{e:?}");
        assert_eq!(writes(&host).len(), 1, "somebody else's lead was changed");
    }
}

/// An org with a duplicate rule that refuses every lead because of these.
fn refusing(because: Value) -> Host {
    let matched: Vec<Value> = because
        .as_array()
        .unwrap()
        .iter()
        .map(|lead| json!({"record": {"attributes": {"type": "Lead"}, "Id": lead["Id"]}}))
        .collect();
    let duplicate = json!([{"errorCode": "DUPLICATES_DETECTED", "message": "Use one of these records?", "duplicateResut": {"matchResults": [{"matchRecords": matched}]}}]);
    Host::new().key("turn-7").on(move |request| match request.path.as_str() {
        p if p.ends_with("/describe") => described("Lead", LEAD_FIELDS),
        p if p.ends_with("/composite") && request.json()["compositeRequest"][0]["method"] == "POST" => {
            composite(&[(400, duplicate.clone()), halted()])
        }
        p if p.ends_with("/composite") => composite(&[
            (204, Value::Null),
            (200, records(json!([{"Id": LEAD, "Status": "Qualified", "Description": "Tea\nmore"}]))),
        ]),
        _ => {
            let soql = soql(request);
            assert!(soql.contains("Id IN ('00QA") && soql.contains(" Email, Phone "), "{soql}");
            Answer::json(200, records(because.clone()))
        }
    })
}

/// An org that keeps the leads it makes, and loses them or the answer for the next write as the test says.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Kept,
    AnswerLost,
    Lost,
}

fn keeping(object: &'static str, fields: &'static str, fate: Rc<RefCell<Fate>>) -> (Host, Rc<RefCell<Vec<Value>>>) {
    let made: Rc<RefCell<Vec<Value>>> = Rc::default();
    let kept = made.clone();
    let host = Host::new().on(move |request| match request.path.as_str() {
        p if p.ends_with("/describe") => described(object, fields),
        p if p.ends_with("/composite") => {
            let now = fate.replace(Fate::Kept);
            let id = format!("00QA0000000000{}AAA", kept.borrow().len() + 1);
            let mut record = request.json()["compositeRequest"][0]["body"].clone();
            record["Id"] = json!(id);
            if now != Fate::Lost {
                kept.borrow_mut().push(record.clone());
            }
            if now == Fate::Kept {
                return composite(&[
                    (201, json!({"id": id, "success": true, "errors": []})),
                    (200, records(json!([record]))),
                ]);
            }
            Answer::fail("timeout", "no answer in time")
        }
        _ => {
            let soql = soql(request);
            let found: Vec<Value> = kept
                .borrow()
                .iter()
                .filter(|r| !soql.contains("Id = ") || soql.contains(r["Id"].as_str().unwrap()))
                .cloned()
                .collect();
            Answer::json(200, records(json!(found)))
        }
    });
    (host, made)
}

#[test]
fn a_second_wish_whose_first_try_never_arrived_is_not_taken_for_the_first() {
    let fate = Rc::new(RefCell::new(Fate::Kept));
    let (host, made) = keeping("Lead", LEAD_FIELDS, fate.clone());
    let create = |key: &str, subject: &str| {
        host.set_key(key);
        let input = LeadInput { subject: subject.into(), ..lead_input() };
        host.run(|| <Connector as Leads>::create(input)).map(|lead| lead.id).map_err(|e| e.code)
    };
    // The first one's answer is lost, too: so no claim knows its id.
    *fate.borrow_mut() = Fate::AnswerLost;
    assert_eq!(create("turn-1", "Zwölf Maschinen").unwrap_err(), "timeout");
    *fate.borrow_mut() = Fate::Lost;
    assert_eq!(create("turn-2", "Tea").unwrap_err(), "timeout");
    let tea = create("turn-2", "Tea").unwrap();
    assert_eq!(made.borrow().len(), 2, "the wish for tea is lost");
    let machines = create("turn-1", "Zwölf Maschinen").unwrap();
    assert!(machines != tea && made.borrow().len() == 2, "{machines} {tea}");
    // The same words again: those of the first are known to be another call's.
    *fate.borrow_mut() = Fate::Lost;
    assert_eq!(create("turn-3", "Tea").unwrap_err(), "timeout");
    let more = create("turn-3", "Tea").unwrap();
    assert!(more != tea && made.borrow().len() == 3, "{more} {tea}");
    assert_eq!(create("turn-3", "Tea").unwrap(), more);
}

#[test]
fn where_address_and_number_are_hidden_nobody_gets_another_persons_case() {
    let fate = Rc::new(RefCell::new(Fate::Lost));
    let fields = "CaseNumber Subject Description Status IsClosed CreatedDate SuppliedName Origin=Chat";
    let (host, made) = keeping("Case", fields, fate);
    made.borrow_mut().push(json!({"Id": CASE, "CaseNumber": "00000001", "Subject": "Drips"}));
    let input = TicketInput {
        subject: "Drips".into(),
        body: "Since Monday".into(),
        requester: Person {
            email: Some("erika@example.test".into()),
            phone: Some("+43 660 5550177".into()),
            ..Person::default()
        },
        ..TicketInput::default()
    };
    assert_eq!(host.run(|| <Connector as Tickets>::create(input.clone())).unwrap_err().code, "timeout");
    let ticket = host.run(|| <Connector as Tickets>::create(input)).unwrap();
    assert_ne!(ticket.number, "00000001");
    assert!(host.sent().iter().all(|r| !soql(r).contains("Subject = ")), "looked for by the subject alone");
    assert_eq!(made.borrow().len(), 2);
}

#[test]
fn of_a_large_object_only_what_is_used_is_kept() {
    let many: String = (0..800).map(|n| format!(" Custom_field_with_a_long_name_{n}__c=One|Two|Three")).collect();
    let fields = format!("{LEAD_FIELDS} Score__c Annual_score__c{many}");
    let host = Host::new().settings(json!({"leads": {"score_field": "Score__c"}})).on(move |request| {
        match request.path.as_str() {
            p if p.ends_with("/describe") => described("Lead", &fields),
            p if p.ends_with("/composite") => composite(&[(204, Value::Null), (200, records(json!([{"Id": LEAD}])))]),
            _ => Answer::json(200, records(json!([{"Id": LEAD, "Status": "New", "IsDeleted": false}]))),
        }
    });
    let score = || Qualification { score: Some(85), ..Qualification::default() };
    host.run(|| <Connector as Leads>::qualify(LEAD.into(), score())).unwrap();
    assert_eq!(writes(&host)[0]["body"], json!({"Score__c": 85}));
    let size = described_size(&host, "Lead");
    assert!(size.is_some_and(|size| size < 8 * 1024), "{size:?}");
    // Other settings name other fields: what was kept for the old ones does not do.
    let host = host.settings(json!({"leads": {"score_field": "Annual_score__c"}}));
    host.run(|| <Connector as Leads>::qualify(LEAD.into(), score())).unwrap();
    assert_eq!(writes(&host)[1]["body"], json!({"Annual_score__c": 85}));
}

#[test]
fn a_lead_is_changed_by_the_right_to_change_it() {
    let field = |name: &str, create: bool, update: bool| {
        let values: Vec<Value> = ["Hot", "New"].iter().map(|v| json!({"value": v, "active": true})).collect();
        json!({"name": name, "createable": create, "updateable": update, "picklistValues": values})
    };
    let fields = json!([field("Description", true, false), field("Rating", false, true), field("Status", true, true)]);
    let host = Host::new().on(move |request| match request.path.as_str() {
        p if p.ends_with("/describe") => {
            Answer::json(200, json!({"name": "Lead", "createable": true, "updateable": true, "fields": fields}))
        }
        p if p.ends_with("/composite") => composite(&[(204, Value::Null), (200, records(json!([{"Id": LEAD}])))]),
        _ => Answer::json(200, records(json!([{"Id": LEAD, "Status": "New", "IsDeleted": false}]))),
    });
    let qualify = |found| host.run(|| <Connector as Leads>::qualify(LEAD.into(), found));
    qualify(Qualification { score: Some(85), ..Qualification::default() }).unwrap();
    assert_eq!(writes(&host)[0]["body"], json!({"Rating": "Hot"}));
    let note = Qualification { score: Some(85), note: Some("Budget is there".into()), ..Qualification::default() };
    let e = qualify(note).unwrap_err();
    assert!(e.code == "forbidden" && e.message.contains("Lead.Description"), "{e:?}");
    assert_eq!(writes(&host).len(), 1, "half of it was written");
}

#[test]
fn the_switchboard_of_an_account_proves_an_order_only_where_the_settings_say_so() {
    let answer = |request: &Sent| match request.path.as_str() {
        p if p.contains("/OrderItem/") => described("OrderItem", "Quantity"),
        p if p.ends_with("/describe") => described("Order", "OrderNumber Status AccountId"),
        // More than was asked for: it must not count.
        _ => Answer::json(
            200,
            records(json!([{"Id": "801A00000000001AAA", "OrderNumber": "00000100", "Status": "Activated",
            "Account": {"Name": "Muster & Söhne GmbH", "Phone": "+43 1 5550100"}}])),
        ),
    };
    let proof = Proof { phone: Some("01 5550100".into()), ..Proof::default() };
    let host = Host::new().on(answer);
    let e = host.run(|| <Connector as Orders>::get("100".into(), proof.clone())).unwrap_err();
    assert_eq!(e.code, "not-found");
    assert!(host.sent().iter().all(|r| !soql(r).contains("Account.Phone")));
    let host = Host::new().settings(json!({"orders": {"phone_fields": ["Account.Phone"]}})).on(answer);
    host.run(|| <Connector as Orders>::get("100".into(), proof)).unwrap();
    assert!(host.sent().iter().any(|r| soql(r).contains("Account.Phone")));
}

//! Records that were converted, merged or partly hidden, and what visitors write into them and into searches.

use super::*;

#[test]
fn a_converted_lead_is_told_and_left_alone() {
    let host = Host::new().on(|request| match request.path.as_str() {
        p if p.ends_with("/describe") => described("Lead", LEAD_FIELDS),
        _ => Answer::json(
            200,
            records(json!([{"Id": LEAD, "Status": "Qualified", "IsConverted": true, "IsDeleted": false}])),
        ),
    });
    let note = Qualification { note: Some("budget is there".into()), ..Qualification::default() };
    let refused = host.run(|| <Connector as Leads>::qualify(LEAD.into(), note)).unwrap_err();
    assert!(refused.code == "conflict" && refused.message.contains("converted"), "{refused:?}");
    let convert = Qualification { state: Some("converted".into()), ..Qualification::default() };
    assert_eq!(host.run(|| <Connector as Leads>::qualify(LEAD.into(), convert)).unwrap_err().code, "unsupported");
    assert!(writes(&host).is_empty());
    let odd =
        host.run(|| <Connector as Leads>::qualify("00Q' OR Id != '".into(), Qualification::default())).unwrap_err();
    assert_eq!(odd.code, "not-found");
}

#[test]
fn a_merged_case_is_the_one_it_was_merged_into() {
    // And that one into a third.
    let host = Host::new().on(|request| match (request.path.as_str(), soql(request)) {
        (p, _) if p.ends_with("/describe") => described("Case", CASE_FIELDS),
        (_, q) if q.contains("'00001025'") => Answer::json(200, records(json!([{"Id": "500A00000000002AAA", "IsDeleted": true, "MasterRecordId": "500A00000000003AAA"}]))),
        (_, q) if q.contains("WHERE Id = '500A00000000003'") => Answer::json(200, records(json!([{"Id": "500A00000000003AAA", "IsDeleted": true, "MasterRecordId": CASE}]))),
        (p, q) => {
            assert!(p.contains("/queryAll") && q.contains("WHERE Id = '500A00000000001' LIMIT"), "{q}");
            Answer::json(200, records(json!([{"Id": CASE, "CaseNumber": "00001026", "Status": "On Hold", "SuppliedEmail": "Erika@Example.test",
                "IsDeleted": false, "CreatedDate": "2026-11-22T10:32:00.000+0000"}])))
        }
    });
    let proof = Proof { email: Some("erika@example.test".into()), ..Proof::default() };
    let ticket = host.run(|| <Connector as Tickets>::get("1025".into(), proof)).unwrap();
    assert_eq!((ticket.number.as_str(), ticket.state.as_str()), ("00001026", "pending"));
    assert_eq!(ticket.created_at.as_deref(), Some("2026-11-22T10:32:00Z"));
    assert!(soql(&host.sent()[1]).contains("CaseNumber IN ('1025', '00001025')"));
}

#[test]
fn fields_that_are_hidden_are_not_asked_for_and_an_amount_without_currency_is_none() {
    let order = json!({"Id": "801A00000000001AAA", "OrderNumber": "00000100", "Status": "Activated", "TotalAmount": 698.0, "AccountId": "001A00000000001AAA",
        "OrderItems": {"records": [{"Quantity": 2.0, "TotalPrice": 698.0, "Product2": {"Name": "Mühle", "ProductCode": "SKU-1"}}]}});
    let answer = move |request: &Sent| match request.path.as_str() {
        p if p.contains("/OrderItem/") => described("OrderItem", "Quantity TotalPrice Product2Id"),
        p if p.ends_with("/describe") => described("Order", "OrderNumber Status TotalAmount AccountId"),
        _ => {
            let soql = soql(request);
            assert!(
                !soql.contains("BillToContact") && !soql.contains("PoNumber") && soql.contains("Account.Name"),
                "{soql}"
            );
            assert!(soql.contains("WHERE OrderNumber IN ('100', '00000100') ORDER BY"), "{soql}");
            Answer::json(200, records(json!([order])))
        }
    };
    let proof = Proof { customer_id: Some("001A00000000001".into()), ..Proof::default() };
    let host = Host::new().on(answer.clone());
    let found = host.run(|| <Connector as Orders>::get("100".into(), proof.clone())).unwrap();
    assert_eq!((found.state.as_str(), &found.total, found.lines[0].quantity), ("confirmed", &None, 2.0));
    let host = Host::new().settings(json!({"currency": "EUR"})).on(answer.clone());
    let found = host.run(|| <Connector as Orders>::get("100".into(), proof)).unwrap();
    assert_eq!(found.total, Some(Money { amount: "698.00".into(), currency: "EUR".into() }));
    // Neither nothing nor something else opens it.
    let host = Host::new().on(answer);
    let of = |proof: Proof| host.run(|| <Connector as Orders>::get("100".into(), proof)).unwrap_err().code;
    assert_eq!(of(Proof { email: Some(" ".into()), ..Proof::default() }), "proof-required");
    assert_eq!(of(Proof { email: Some("erika@example.test".into()), ..Proof::default() }), "not-found");
}

#[test]
fn a_comment_whose_answer_was_lost_is_not_said_twice() {
    let said: Rc<RefCell<Vec<Value>>> = Rc::default();
    let kept = said.clone();
    let host = Host::new().key("turn-9").on(move |request| {
        if request.path.ends_with("/describe") {
            return described("Case", CASE_FIELDS);
        }
        if request.path.ends_with("/composite") {
            let text = request.json()["compositeRequest"][0]["body"]["CommentBody"].clone();
            kept.borrow_mut().push(json!({"CommentBody": text, "CreatedDate": "2026-11-22T10:32:01.000+0000"}));
            return Answer::fail("timeout", "no answer in time");
        }
        let comments = json!({"records": kept.borrow().clone()});
        Answer::json(200, records(json!([{"Id": CASE, "CaseNumber": "00001025", "SuppliedEmail": "erika@example.test", "IsDeleted": false, "CaseComments": comments}])))
    });
    let proof = Proof { email: Some("erika@example.test".into()), ..Proof::default() };
    let say = || host.run(|| <Connector as Tickets>::comment("00001025".into(), " Still drips ".into(), proof.clone()));
    assert_eq!(say().unwrap_err().code, "timeout");
    assert_eq!(say().unwrap().comments.len(), 1);
    assert_eq!(said.borrow().len(), 1);
    // Another turn may say the same words again.
    host.set_key("turn-10");
    assert_eq!(say().unwrap_err().code, "timeout");
    assert_eq!(said.borrow().len(), 2);
}

#[test]
fn a_contact_that_a_duplicate_rule_knows_counts_only_with_the_same_address() {
    let duplicate = json!([{"errorCode": "DUPLICATES_DETECTED", "message": "", "duplicateResut": {"matchResults": [
        {"matchRecords": [{"record": {"attributes": {"type": "Contact"}, "Id": "003A00000000001AAA"}}]}]}}]);
    let with = |email: &'static str| {
        let duplicate = duplicate.clone();
        Host::new().on(move |request| match request.path.as_str() {
            p if p.ends_with("/describe") => {
                described("Contact", "FirstName LastName Name Email Phone AccountId CreatedDate")
            }
            p if p.ends_with("/composite") => composite(&[(400, duplicate.clone()), halted()]),
            _ if soql(request).contains("Id IN") => {
                Answer::json(200, records(json!([{"Id": "003A00000000001AAA", "Name": "Erika", "Email": email}])))
            }
            _ => Answer::json(200, records(json!([]))),
        })
    };
    let person =
        Person { name: Some("Erika Mustermann".into()), email: Some("erika@example.test".into()), ..Person::default() };
    let hidden = with("ERIKA@example.test").run(|| <Connector as Contacts>::upsert(person.clone())).unwrap();
    assert_eq!(hidden.id, "003A00000000001AAA");
    let other = with("another@example.test").run(|| <Connector as Contacts>::upsert(person)).unwrap_err();
    assert_eq!(other.code, "conflict");
}

#[test]
fn a_category_that_is_neither_type_nor_queue_is_told() {
    let host = Host::new().on(|request| match request.path.as_str() {
        p if p.ends_with("/describe") => described("Case", &format!("{CASE_FIELDS} Type=Mechanical|Electrical")),
        _ => composite(&[(200, records(json!([])))]),
    });
    let input = TicketInput {
        subject: "Drips".into(),
        body: "Since Monday".into(),
        requester: Person { phone: Some("+43 660 5550177".into()), ..Person::default() },
        category: Some("Spaß' OR Name != '".into()),
        ..TicketInput::default()
    };
    let e = host.run(|| <Connector as Tickets>::create(input)).unwrap_err();
    assert!(e.code == "invalid-input" && e.message.contains("Mechanical, Electrical"), "{e:?}");
    let asked = host.sent()[1].json()["compositeRequest"][0]["url"].as_str().unwrap_or_default().to_owned();
    assert!(asked.contains("Spa%C3%9F%5C%27%20OR"), "{asked}");
}

#[test]
fn the_check_says_which_right_is_missing_and_changes_nothing() {
    let host = Host::new().on(|request| match request.path.as_str() {
        p if p.ends_with("/limits") => Answer::json(200, json!({"DailyApiRequests": {"Max": 15000, "Remaining": 200}})),
        "/services/data/" => Answer::json(200, json!([{"version": "66.0"}, {"version": "67.0"}, {"version": "68.0"}])),
        p if p.contains("/Lead/") => described("Lead", LEAD_FIELDS),
        p if p.contains("/Case/") => described("Case", CASE_FIELDS),
        p if p.contains("/Order/") => {
            Answer::json(404, json!([{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]))
        }
        p if p.contains("/CaseComment/") => {
            Answer::json(200, json!({"name": "CaseComment", "createable": false, "updateable": false, "fields": []}))
        }
        p if p.ends_with("/describe") => described("Contact", "Email Phone"),
        _ => Answer::json(200, records(json!([{"ApiName": "Closed"}]))),
    });
    let found = host.run(<Connector as Health>::check);
    let of = |name: &str| {
        found.iter().find(|f| f.name == name).map(|f| (f.status.as_str(), f.message.as_str())).unwrap_or_default()
    };
    assert!(of("sign in").0 == "warning" && of("sign in").1.contains("200 of 15000"), "{found:#?}");
    assert!(of("api version").1.contains("newest is 68.0"), "{found:#?}");
    assert!(of("key field of Lead").0 == "warning" && of("key field of Lead").1.contains("External ID"), "{found:#?}");
    assert_eq!(of("key field of Case").0, "ok");
    assert_eq!(
        (of("read Order").0, of("create CaseComment").0, of("close cases").1),
        ("error", "error", "Status Closed")
    );
    assert!(host.sent().iter().all(|r| r.method == "GET"));
    let refused = Host::new().on(|_| {
        Answer::json(401, json!([{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}]))
    });
    let found = refused.run(<Connector as Health>::check);
    assert!(found.len() == 1 && found[0].status == "error" && found[0].message.contains("token"), "{found:#?}");
}

#[test]
fn what_a_visitor_writes_refers_to_no_other_part_of_the_request() {
    let said = Rc::new(RefCell::new(Vec::<Value>::new()));
    let kept = said.clone();
    let host = Host::new().key("turn-9").on(move |request| match request.path.as_str() {
        p if p.ends_with("/describe") => described("Case", CASE_FIELDS),
        p if p.ends_with("/composite") => {
            let text = request.json()["compositeRequest"][0]["body"]["CommentBody"].clone();
            kept.borrow_mut().push(json!({"CommentBody": text.as_str().unwrap_or_default().replace('\n', "\r\n"), "CreatedDate": "2026-11-22T10:32:01.000+0000"}));
            composite(&[(201, json!({"id": "00aA00000000001AAA"})), (200, records(json!([{"Id": CASE}])))])
        }
        _ => Answer::json(200, records(json!([{"Id": CASE, "SuppliedEmail": "erika@example.test", "IsDeleted": false, "CaseComments": {"records": *kept.borrow()}}]))),
    });
    let proof = Proof { email: Some("erika@example.test".into()), ..Proof::default() };
    for _ in 0..2 {
        let text = "Use @{read.records[0].SuppliedPhone}\nplease".to_owned();
        host.run(|| <Connector as Tickets>::comment("00001025".into(), text, proof.clone())).unwrap();
    }
    let text = said.borrow()[0]["CommentBody"].as_str().unwrap_or_default().to_owned();
    assert_eq!(text, "Use @ {read.records[0].SuppliedPhone}\r\nplease");
    assert_eq!(said.borrow().len(), 1, "said twice");
    // Nor does an address in a query, which may have braces.
    let person = Person { email: Some("x@{made.id}.test".into()), ..Person::default() };
    let input = TicketInput { subject: "Drips".into(), requester: person, ..TicketInput::default() };
    let host = Host::new().on(|request| match request.path.as_str() {
        p if p.ends_with("/describe") => described("Case", &format!("{CASE_FIELDS} ContactId")),
        _ => composite(&[(200, records(json!([{"Id": CASE}]))), (200, records(json!([{"Id": CASE}])))]),
    });
    let _ = host.run(|| <Connector as Tickets>::create(input));
    let parts: Vec<Value> =
        host.sent().iter().flat_map(|r| r.json()["compositeRequest"].as_array().cloned().unwrap_or_default()).collect();
    assert!(parts.len() == 3 && parts.iter().all(|p| !p.to_string().contains("x@{")), "{parts:#?}");
}

#[test]
fn of_two_calls_with_one_key_the_slower_gives_what_the_faster_made() {
    let asked = Rc::new(RefCell::new(0));
    let host = Host::new().key("turn-7").on(move |request| match request.path.as_str() {
        p if p.ends_with("/describe") => described("Lead", &format!("{LEAD_FIELDS} Confab_Key__c*")),
        p if p.ends_with("/composite") => {
            composite(&[(400, json!([{"errorCode": "DUPLICATE_VALUE", "message": "duplicate value found"}])), halted()])
        }
        _ => {
            *asked.borrow_mut() += 1;
            Answer::json(
                200,
                records(if *asked.borrow() == 1 { json!([]) } else { json!([{"Id": LEAD, "Status": "New"}]) }),
            )
        }
    });
    assert_eq!(host.run(|| <Connector as Leads>::create(lead_input())).unwrap().id, LEAD);
}

#[test]
fn names_are_cut_to_what_their_fields_hold_and_hidden_fields_are_not_read_back() {
    let host = Host::new().on(|request| match request.path.as_str() {
        p if p.ends_with("/describe") => described("Contact", "FirstName LastName Name Email AccountId CreatedDate"),
        p if p.ends_with("/composite") => composite(&[
            (201, json!({"id": "003A00000000001AAA"})),
            (200, records(json!([{"Id": "003A00000000001AAA"}]))),
        ]),
        _ => Answer::json(200, records(json!([]))),
    });
    let person = Person {
        name: Some(format!("{} {}", "É".repeat(60), "x".repeat(100))),
        email: Some("erika@example.test".into()),
        phone: Some("+43 660 5550177".into()),
        ..Person::default()
    };
    host.run(|| <Connector as Contacts>::upsert(person)).unwrap();
    let made = &writes(&host)[0]["body"];
    assert_eq!(made, &json!({"FirstName": "É".repeat(40), "LastName": "x".repeat(80), "Email": "erika@example.test"}));
    assert!(host.sent().iter().all(|r| !String::from_utf8_lossy(&r.body).contains("Phone")), "{:?}", host.sent());
}

#[test]
fn a_search_fits_into_a_url_whatever_is_looked_for() {
    let host = Host::new().on(|request| match request.path.as_str() {
        p if p.ends_with("/describe") => described("Case", CASE_FIELDS),
        p => {
            assert!(p.len() < 16_000, "{} characters", p.len());
            Answer::json(200, records(json!([])))
        }
    });
    let find = |email: Option<&str>| {
        let (text, state) = (Some("𝄞".repeat(500) + " "), Some("ü".repeat(9_000)));
        let query = TicketQuery { text: text.map(|t| t.repeat(20)), state, requester_email: email.map(str::to_owned) };
        host.run(|| <Connector as Tickets>::search(query, 10)).unwrap().len()
    };
    assert_eq!((find(None), find(Some("erika@example.test"))), (0, 0));
    let before = host.sent().len();
    assert_eq!(find(Some(&format!("{}@example.test", "x".repeat(90_000)))), 0);
    assert_eq!(host.sent().len(), before, "what is no address was asked for");
}

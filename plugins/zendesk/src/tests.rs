//! The connector against answers in Zendesk's shapes; whole ways are in tests/tests/house/connector_zendesk.rs.

use crate::Connector;
use confab_plugin_sdk::contacts::Contacts;
use confab_plugin_sdk::health::Health;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::testing::{Answer, Host, Sent};
use confab_plugin_sdk::tickets::{TicketInput, TicketQuery, Tickets};
use serde_json::{Value, json};

fn ticket(status: &str) -> Value {
    json!({
        "id": 35436, "url": "https://shop.zendesk.com/api/v2/tickets/35436.json", "status": status, "subject": "Dampf fehlt",
        "created_at": "2026-11-22T10:00:00Z", "updated_at": "2026-11-22T10:05:00Z", "requester_id": 7, "assignee_id": null,
    })
}

fn users() -> Value {
    json!([
        {"id": 7, "name": "Mina Öz", "email": "mina@example.test", "phone": "+436605550177", "active": true},
        {"id": 9, "name": "Bob Agent", "alias": "Bob from support", "email": "bob@shop.example", "active": true},
    ])
}

/// Zendesk with one ticket, of which somebody said something in private.
fn desk(status: &'static str) -> impl FnMut(&Sent) -> Answer {
    move |request| match (request.method.as_str(), request.path.split('?').next().unwrap_or_default()) {
        ("GET", "/api/v2/tickets/35436.json") => Answer::json(200, json!({"ticket": ticket(status), "users": users()})),
        ("GET", "/api/v2/tickets/35436/comments.json") => match request.query("page[after]").as_deref() {
            None => Answer::json(
                200,
                json!({
                    "comments": [{"id": 3, "author_id": 9, "public": true, "body": "Bitte entkalken", "created_at": "2026-11-22T10:05:00Z"}],
                    "users": users(), "meta": {"has_more": true, "after_cursor": "eyJv"}, "links": {},
                }),
            ),
            Some(_) => Answer::json(
                200,
                json!({
                    "comments": [
                        {"id": 2, "author_id": 9, "public": false, "plain_body": "a difficult one"},
                        {"id": 1, "author_id": 7, "public": true, "plain_body": "Seit Montag", "created_at": "2026-11-22T10:00:00Z"},
                    ],
                    "users": users(), "meta": {"has_more": false, "after_cursor": "eyJx"}, "links": {},
                }),
            ),
        },
        ("GET", "/api/v2/tickets.json") => Answer::json(200, json!({"tickets": []})),
        ("GET", "/api/v2/users/search.json") => Answer::json(200, json!({"users": []})),
        ("POST", "/api/v2/tickets.json") => Answer::json(201, json!({"ticket": ticket("new")})),
        ("PUT", "/api/v2/tickets/35436.json") => {
            let after = request.json().pointer("/ticket/status").is_some();
            Answer::json(200, json!({"ticket": ticket(if after { "solved" } else { status })}))
        }
        _ => Answer::json(404, json!({"error": "RecordNotFound", "description": "Not found"})),
    }
}

fn mail(email: &str) -> Proof {
    Proof { email: Some(email.into()), ..Proof::default() }
}

fn input() -> TicketInput {
    TicketInput {
        subject: "Dampf fehlt".into(),
        body: "Seit Montag".into(),
        requester: Person {
            email: Some("mina@example.test".into()),
            phone: Some("+43 660 5550177".into()),
            ..Person::default()
        },
        priority: Some("High".into()),
        category: Some("Reparatur & Teile".into()),
        order_number: Some("WEB-42".into()),
    }
}

fn writes(host: &Host) -> Vec<Sent> {
    host.sent().into_iter().filter(|s| s.method != "GET").collect()
}

#[test]
fn a_ticket_is_opened_under_its_key() {
    let host = Host::new().settings(json!({"order_field": 360, "tags": ["chat"], "locale_id": 8})).on(desk("new"));
    let made = host.run(|| Connector::create(input())).unwrap();
    assert_eq!(made.url.as_deref(), Some("https://shop.zendesk.com/agent/tickets/35436"));
    let sent = host.sent();
    assert_eq!(sent.first().and_then(|s| s.query("external_id")).as_deref(), Some("confab:key-1"));
    assert!(sent.iter().all(|s| s.header("accept") == Some("application/json")));
    let post = writes(&host).pop().unwrap();
    assert_eq!(post.header("idempotency-key"), Some("confab:key-1"));
    assert_eq!(
        post.json(),
        json!({"ticket": {
            "subject": "Dampf fehlt", "comment": {"body": "Seit Montag\n\nPhone: +43 660 5550177\nOrder: WEB-42", "public": true},
            "requester": {"name": "mina@example.test", "email": "mina@example.test", "locale_id": 8}, "priority": "high",
            "tags": ["chat", "reparatur_teile"], "custom_fields": [{"id": 360, "value": "WEB-42"}], "external_id": "confab:key-1",
        }})
    );
    let odd = host.run(|| Connector::create(TicketInput { priority: Some("asap".into()), ..input() })).unwrap_err();
    assert_eq!(odd.code, "invalid-input");
}

#[test]
fn what_an_earlier_try_opened_is_found() {
    let mut inner = desk("open");
    let host = Host::new().on(move |request| match request.path.contains("external_id=") {
        true => Answer::json(200, json!({"tickets": [ticket("open")]})),
        false => inner(request),
    });
    assert_eq!(host.run(|| Connector::create(input())).unwrap().comments.len(), 2);
    assert!(writes(&host).is_empty());
}

#[test]
fn a_category_may_be_a_group() {
    let host = Host::new().settings(json!({"groups": {"reparatur & teile": 77}})).on(desk("new"));
    host.run(|| Connector::create(input())).unwrap();
    let body = writes(&host).pop().unwrap().json();
    assert_eq!((body["ticket"]["group_id"].as_u64(), body["ticket"].get("tags")), (Some(77), None));
}

#[test]
fn the_requester_reads_public_comments_of_all_pages() {
    let host = Host::new().settings(json!({"page": "help-center"})).on(desk("hold"));
    let got = host.run(|| Connector::get("#35436".into(), mail("MINA@example.test"))).unwrap();
    let said: Vec<(&str, &str)> = got.comments.iter().map(|c| (c.author.as_str(), c.text.as_str())).collect();
    assert_eq!(said, [("Mina Öz", "Seit Montag"), ("Bob from support", "Bitte entkalken")]);
    assert_eq!(
        (got.state.as_str(), got.url.as_deref()),
        ("pending", Some("https://shop.zendesk.com/hc/requests/35436"))
    );
    assert_eq!(host.sent().pop().unwrap().query("page[after]").as_deref(), Some("eyJv"));
}

#[test]
fn a_wrong_proof_and_no_ticket_look_the_same() {
    let host = Host::new().on(desk("open"));
    for (number, proof) in
        [("35436", mail("bob@shop.example")), ("1", mail("mina@example.test")), ("1/../users/me", mail("x@y.test"))]
    {
        let refused = host.run(|| Connector::get(number.into(), proof)).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.message), ("not-found", format!("there is no ticket {number}")));
    }
    assert!(host.sent().iter().all(|s| !s.path.contains("..")));
    let id = Proof { customer_id: Some("7".into()), phone: Some("0660 5550177".into()), ..Proof::default() };
    assert_eq!(host.run(|| Connector::get("35436".into(), id)).unwrap().number, "35436");
    let hidden = Host::new().on(|_| Answer::json(403, json!({"error": "Forbidden"})));
    assert_eq!(hidden.run(|| Connector::get("35436".into(), mail("x@y.test"))).unwrap_err().code, "not-found");
}

#[test]
fn searches_can_not_be_widened() {
    let host = Host::new().on(|_| Answer::json(200, json!({"results": [ticket("pending")]})));
    let query = TicketQuery {
        requester_email: None,
        state: Some("pending".into()),
        text: Some("Dampf\" requester:bob* -type:ticket".into()),
    };
    assert_eq!(host.run(|| Connector::search(query, 3)).unwrap().len(), 1);
    let sent = host.sent().pop().unwrap();
    assert_eq!(
        sent.query("query").unwrap(),
        r#"type:ticket status:"pending" status:"hold" "Dampf" "requester:bob" "-type:ticket""#
    );
    assert_eq!(sent.query("per_page").as_deref(), Some("3"));
    let odd = TicketQuery { requester_email: Some("mina\" OR type:user".into()), ..TicketQuery::default() };
    assert_eq!(host.run(|| Connector::search(odd, 3)).unwrap_err().code, "invalid-input");
}

#[test]
fn a_requesters_search_tells_nothing_of_private_comments() {
    // Zendesk's index finds words of private comments, too: here "difficult" is one.
    let of = |more: Value| {
        let mut ticket = ticket("open");
        for (key, value) in more.as_object().unwrap() {
            ticket[key] = value.clone();
        }
        ticket
    };
    let all = json!([
        of(json!({"id": 1, "submitter_id": 7, "description": "Seit Montag kalt"})),
        of(json!({"id": 2, "submitter_id": 9, "description": "a difficult one, kalt"})),
        of(json!({"id": 3, "external_id": "confab:k", "submitter_id": 9, "subject": "Zu KALT", "description": "-"})),
        of(json!({"id": 4, "requester_id": 9, "subject": "kalt, of somebody else"})),
    ]);
    let host = Host::new().on(move |request| match request.path.contains("/users/search") {
        true => Answer::json(200, json!({"users": users()})),
        false => Answer::json(200, json!({"results": all})),
    });
    let find = |text: &str, limit: u32| {
        let email = Some("mina@example.test".into());
        let query = TicketQuery { requester_email: email, text: Some(text.into()), ..TicketQuery::default() };
        let found = host.run(|| Connector::search(query, limit)).unwrap();
        found.into_iter().map(|t| t.number).collect::<Vec<_>>()
    };
    assert!(find("difficult", 5).is_empty());
    assert_eq!(find("kalt?", 5), ["1", "3"]);
    assert_eq!(find("kalt montag dampf", 5), ["1"]);
    assert_eq!(find("", 2), ["1", "2"]);
    let asked: Vec<String> = host.sent().iter().filter_map(|s| s.query("query")).collect();
    assert!(
        asked.iter().all(|q| q == r#"email:"mina@example.test""# || q == "type:ticket requester_id:7"),
        "{asked:?}"
    );
    let nobody = TicketQuery { requester_email: Some("new@example.test".into()), ..TicketQuery::default() };
    let before = host.sent().len();
    assert!(host.run(|| Connector::search(nobody, 5)).unwrap().is_empty());
    assert_eq!(host.sent().len(), before + 1, "tickets of nobody are not searched");
}

#[test]
fn words_are_the_requesters_and_said_once() {
    let host = Host::new().on(desk("open"));
    for _ in 0..2 {
        host.run(|| Connector::comment("35436".into(), "Danke".into(), mail("mina@example.test"))).unwrap();
    }
    let puts = writes(&host);
    assert_eq!(puts.len(), 1);
    let body = puts.first().unwrap().json();
    assert_eq!(body["ticket"]["comment"], json!({"body": "Danke", "public": true, "author_id": 7}));
    assert_eq!(body["ticket"]["metadata"]["custom"]["confab"], "confab:key-1");
}

#[test]
fn words_whose_answer_was_lost_are_found_in_the_audits() {
    let mut inner = desk("open");
    let host = Host::new().on(move |request| match (request.method.as_str(), request.path.contains("/audits.json")) {
        ("PUT", _) => Answer::fail("timeout", "no answer"),
        (_, true) => Answer::json(200, json!({
            "audits": [{"id": 1, "metadata": {"system": {}, "custom": {}}}, {"id": 2, "metadata": {"custom": {"confab": "confab:key-1"}}}],
            "meta": {"has_more": false},
        })),
        _ => inner(request),
    });
    let say = || Connector::comment("35436".into(), "Danke".into(), mail("mina@example.test"));
    assert_eq!(host.run(say).unwrap_err().code, "timeout");
    assert_eq!(host.run(say).unwrap().number, "35436");
    assert_eq!(writes(&host).len(), 1);
}

#[test]
fn on_a_long_ticket_the_newest_comments_and_audits_are_looked_at() {
    // 900 of each, the newest is ours. Zendesk gives the oldest first unless it is told otherwise.
    let page = |request: &Sent, of: &str, one: fn(u64) -> Value| {
        let newest = request.query("sort").as_deref() == Some("-created_at");
        let from: u64 = request.query("page[after]").map_or(0, |at| at.parse().unwrap());
        let number = |n: u64| if newest { 900 - n } else { n + 1 };
        let items: Vec<Value> = (from..(from + 100).min(900)).map(|n| one(number(n))).collect();
        let meta = json!({"has_more": from + 100 < 900, "after_cursor": (from + 100).to_string()});
        Answer::json(200, json!({of: items, "users": users(), "meta": meta}))
    };
    let mut inner = desk("open");
    let host = Host::new().on(move |request| match (request.method.as_str(), request.path.split('?').next()) {
        ("PUT", _) => Answer::fail("timeout", "no answer"),
        (_, Some("/api/v2/tickets/35436/audits.json")) => page(request, "audits", |n| {
            let custom = if n == 900 { json!({"confab": "confab:key-1"}) } else { json!({}) };
            json!({"id": n, "metadata": {"custom": custom}})
        }),
        (_, Some("/api/v2/tickets/35436/comments.json")) => {
            page(request, "comments", |n| json!({"id": n, "author_id": 7, "public": true, "body": format!("word {n}")}))
        }
        _ => inner(request),
    });
    let say = || Connector::comment("35436".into(), "Danke".into(), mail("mina@example.test"));
    assert_eq!(host.run(say).unwrap_err().code, "timeout");
    let before = host.sent().len();
    let got = host.run(say).unwrap();
    let texts: Vec<&str> = got.comments.iter().map(|c| c.text.as_str()).collect();
    assert_eq!((texts.len(), texts.first(), texts.last()), (500, Some(&"word 401"), Some(&"word 900")));
    assert_eq!(writes(&host).len(), 1, "it was said already");
    assert!(host.sent().len() - before <= 16);
}

#[test]
fn words_to_a_closed_ticket_open_a_follow_up() {
    let host = Host::new().on(desk("closed"));
    host.run(|| Connector::comment("35436".into(), "Wieder kaputt".into(), mail("mina@example.test"))).unwrap();
    let post = writes(&host).pop().unwrap();
    assert_eq!((post.path.as_str(), post.header("idempotency-key")), ("/api/v2/tickets.json", Some("confab:key-1")));
    let body = post.json();
    assert_eq!(
        (body["ticket"]["via_followup_source_id"].as_u64(), body["ticket"]["requester_id"].as_u64()),
        (Some(35436), Some(7))
    );
}

#[test]
fn closing_is_solving_and_needs_somebody_assigned() {
    let host = Host::new().settings(json!({"solver_id": 9})).on(desk("open"));
    let closed =
        host.run(|| Connector::close("35436".into(), Some("geht wieder".into()), mail("mina@example.test"))).unwrap();
    assert_eq!(closed.state, "solved");
    let body = writes(&host).pop().unwrap().json();
    assert_eq!((body["ticket"]["status"].as_str(), body["ticket"]["assignee_id"].as_u64()), (Some("solved"), Some(9)));
    let mut inner = desk("open");
    let unassigned = Host::new().on(move |request| match request.method.as_str() {
        "PUT" => Answer::json(
            422,
            json!({"error": "RecordInvalid", "description": "Record validation errors",
            "details": {"base": [{"description": "Assignee: is required when solving a ticket"}]}}),
        ),
        _ => inner(request),
    });
    let refused = unassigned.run(|| Connector::close("35436".into(), None, mail("mina@example.test"))).unwrap_err();
    assert!(refused.code == "misconfigured" && refused.message.contains("solver_id"), "{}", refused.message);
    let solved = Host::new().on(desk("solved"));
    solved.run(|| Connector::close("35436".into(), None, mail("mina@example.test"))).unwrap();
    assert!(writes(&solved).is_empty());
}

#[test]
fn people_who_exist_are_never_changed() {
    let host = Host::new().on(|_| Answer::json(200, json!({"users": users()})));
    let person = Person {
        name: Some("Somebody Else".into()),
        email: Some("mina@example.test".into()),
        phone: Some("+43 1 999999".into()),
        ..Person::default()
    };
    assert_eq!(host.run(|| Connector::upsert(person.clone())).unwrap().name, "Mina Öz");
    assert!(writes(&host).is_empty());
    assert_eq!(host.sent().pop().unwrap().query("query").as_deref(), Some("email:\"mina@example.test\""));
    // Not in the index yet: Zendesk knows the address all the same.
    let late = Host::new().on(|request| match request.path.as_str() {
        "/api/v2/users.json" => Answer::json(422, json!({"error": "RecordInvalid", "description": "Record validation errors",
            "details": {"email": [{"description": "Email: mina@example.test is already being used by another user", "error": "DuplicateValue"}]}})),
        "/api/v2/users/create_or_update.json" => Answer::json(200, json!({"user": {"id": 7, "name": "Mina Öz"}})),
        _ => Answer::json(200, json!({"users": []})),
    });
    assert_eq!(late.run(|| Connector::upsert(person)).unwrap().id, "7");
    assert_eq!(writes(&late).pop().unwrap().json(), json!({"user": {"email": "mina@example.test"}}));
}

#[test]
fn somebody_with_a_number_only_is_made_once() {
    // The search knows nobody for minutes; lists by external id and by id are current.
    let made = std::rc::Rc::new(std::cell::RefCell::new(Vec::<Value>::new()));
    let lost = std::rc::Rc::new(std::cell::Cell::new(true));
    let (users, losing) = (made.clone(), lost.clone());
    let host = Host::new().on(move |request| {
        let path = request.path.split('?').next().unwrap_or_default();
        match (request.method.as_str(), path, request.query("external_id")) {
            ("POST", "/api/v2/users.json", _) => {
                let mut user = request.json()["user"].clone();
                user["id"] = json!(40 + users.borrow().len());
                users.borrow_mut().push(user.clone());
                if losing.replace(false) { Answer::status(503) } else { Answer::json(201, json!({"user": user})) }
            }
            (_, "/api/v2/users/search.json", Some(mark)) => {
                let fit: Vec<Value> = users.borrow().iter().filter(|u| u["external_id"] == mark).cloned().collect();
                Answer::json(200, json!({"users": fit}))
            }
            (_, "/api/v2/users/40.json", _) => Answer::json(200, json!({"user": users.borrow().first()})),
            _ => Answer::json(200, json!({"users": []})),
        }
    });
    let anna = || Person { name: Some("Anna".into()), phone: Some("+43 660 9990001".into()), ..Person::default() };
    let upsert = |person: Person| host.run(|| Connector::upsert(person));
    // The first answer is lost: the second try finds the user by the token, the third one by its id.
    assert_eq!(upsert(anna()).unwrap_err().code, "unavailable");
    assert_eq!(upsert(anna()).unwrap().id, "40");
    let before = host.sent().len();
    assert_eq!(upsert(Person { phone: Some("0043 660 999 0001".into()), ..anna() }).unwrap().id, "40");
    assert_eq!(host.sent().len(), before + 1);
    assert_eq!(made.borrow().len(), 1);
    let mark = made.borrow()[0]["external_id"].as_str().unwrap().to_owned();
    assert!(mark.starts_with("confab:phone:") && !mark.contains("9990001"), "{mark}");
    // Staff gave the number to nobody, or another one to this user: who calls now is somebody else.
    made.borrow_mut()[0]["phone"] = json!("+43 1 234567");
    assert_eq!(upsert(anna()).unwrap().id, "41");
    assert_eq!(made.borrow()[1].get("external_id"), None, "it is the other one's");
}

#[test]
fn refusals_are_told_without_names_and_addresses() {
    let refusal = json!({"error": "RecordInvalid", "description": "Record validation errors",
        "details": {"requester": [{"description": "Requester: Mina Öz is suspended.", "error": "Suspended"}]}});
    let mut inner = desk("new");
    let host = Host::new().on(move |request| match request.method.as_str() {
        "POST" => Answer::json(422, refusal.clone()),
        _ => inner(request),
    });
    let refused = host.run(|| Connector::create(input())).unwrap_err();
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("invalid-input", "Zendesk refused it: RecordInvalid requester: Suspended")
    );
    let busy = Host::new().on(|_| Answer::status(429).header("retry-after", "93"));
    let busy = busy.run(|| Connector::create(input())).unwrap_err();
    assert_eq!((busy.code.as_str(), busy.retry_after), ("rate-limited", Some(93)));
}

#[test]
fn health_looks_at_the_role_and_the_ids() {
    let host = Host::new().settings(json!({"order_field": 360, "groups": {"repair": 5}})).on(|request| {
        match request.path.split('?').next().unwrap_or_default() {
            "/api/v2/users/me.json" => {
                Answer::json(200, json!({"user": {"id": 9, "role": "agent", "ticket_restriction": "groups"}}))
            }
            "/api/v2/ticket_fields/360.json" => {
                Answer::json(200, json!({"ticket_field": {"id": 360, "title": "Order", "active": true}}))
            }
            "/api/v2/groups/5.json" => Answer::json(404, json!({"error": "RecordNotFound"})),
            _ => Answer::json(200, json!({"tickets": [], "users": []})),
        }
    });
    let found = host.run(Connector::check);
    let of = |name: &str| found.iter().find(|f| f.name == name).map(|f| f.status.as_str());
    assert_eq!((of("sign in"), of("tickets"), of("contacts")), (Some("ok"), Some("warning"), Some("ok")));
    assert_eq!((of("ticket field 360"), of("group of repair")), (Some("ok"), Some("error")));
    let nobody = Host::new()
        .on(|_| Answer::json(200, json!({"user": {"id": null, "role": "end-user", "name": "Anonymous user"}})));
    assert!(nobody.run(Connector::check).iter().all(|f| f.status == "error"));
}

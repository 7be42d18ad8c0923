//! The connector against answers in the shape of RT 5.0.3; what a real one does is in tests/tests/house/request_tracker.rs.

use crate::Connector;
use confab_plugin_sdk::contacts::Contacts;
use confab_plugin_sdk::health::Health;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::testing::{Answer, Host, Sent};
use confab_plugin_sdk::tickets::{TicketInput, TicketQuery, Tickets};
use serde_json::{Value, json};

fn list(items: Value) -> Answer {
    let count = items.as_array().map_or(0, Vec::len);
    Answer::json(200, json!({"items": items, "count": count, "total": null, "pages": null, "page": 1, "per_page": 100}))
}

fn ticket(id: u32, status: &str) -> Value {
    json!({
        "type": "ticket", "id": id.to_string(), "EffectiveId": id.to_string(), "Status": status, "Subject": "Dampf fehlt",
        "Created": "2026-11-22T21:19:12Z", "LastUpdated": "2026-11-22T21:20:00Z",
        "_url": format!("https://rt.example.com/rt/REST/2.0/ticket/{id}"),
        "Requestor": [{"type": "user", "id": "mina", "EmailAddress": "mina@example.test", "RealName": "Mina Öz", "MobilePhone": ""}],
        "CustomFields": [{"name": "Phone", "values": ["+43 660 5550177"]}],
        "_hyperlinks": [{"ref": "refers-to", "_url": "confab:key-1", "type": "external"}],
    })
}

fn person() -> Person {
    Person {
        name: Some("Mina \"Öz\" <x@evil.test>,".into()),
        email: Some("mina@example.test".into()),
        ..Person::default()
    }
}

fn input() -> TicketInput {
    TicketInput {
        subject: "Dampf fehlt\n".into(),
        body: "Seit Montag.\n-- \nnoch was".into(),
        requester: person(),
        priority: Some("high".into()),
        category: None,
        order_number: Some("WEB-42".into()),
    }
}

fn mail(email: &str) -> Proof {
    Proof { email: Some(email.into()), ..Proof::default() }
}

fn settings() -> Value {
    json!({"queue": "Support", "order_field": "Order number", "phone_field": "Phone"})
}

/// RT with ticket 5, which has been answered by mail, in HTML, and by the chat.
fn answered(request: &Sent) -> Answer {
    let path = request.path.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path) {
        ("GET", "/REST/2.0/tickets") if request.query("query").is_some_and(|q| q.contains("id = 5")) => {
            list(json!([ticket(5, "stalled")]))
        }
        ("GET", "/REST/2.0/tickets") => list(json!([])),
        ("GET", "/REST/2.0/ticket/5/history") => list(json!([
            {"id": "90", "Created": "2026-11-22T21:22:00Z", "Creator": {"id": "chatbot", "RealName": ""}},
            {"id": "85", "Created": "2026-11-22T21:21:00Z", "Creator": {"id": "root", "RealName": "Enoch Root"}},
            {"id": "73", "Created": "2026-11-22T21:19:12Z", "Creator": {"id": "mina", "RealName": "Mina Öz"}},
        ])),
        ("GET", "/REST/2.0/attachments") => list(json!([
            {"id": "19", "TransactionId": "73", "ContentType": "text/plain", "Filename": "", "Content": "Frage ü\n"},
            {"id": "20", "TransactionId": "73", "ContentType": "text/plain", "Filename": "a.txt", "Content": "a file"},
            {"id": "34", "TransactionId": "85", "ContentType": "text/html", "Content": "<p>Hello <b>Mina</b> &amp; co</p><style>p{}</style><p>2&lt;3</p>"},
            {"id": "39", "TransactionId": "90", "ContentType": "text/plain", "Content": "Mina Öz wrote in the chat:\n\nDanke\n\n-- \n[confab:k]"},
        ])),
        ("POST", _) => Answer::json(201, json!({"id": "5", "type": "ticket"})),
        _ => Answer::json(404, json!({"message": "Not Found"})),
    }
}

#[test]
fn a_ticket_is_opened_with_its_requester_and_mark() {
    let host = Host::new().settings(settings()).on(answered);
    let made = host.run(|| Connector::create(input())).unwrap();
    assert_eq!((made.number.as_str(), made.state.as_str()), ("5", "pending"));
    assert_eq!(made.url.as_deref(), Some("https://rt.example.com/rt/Ticket/Display.html?id=5"));
    assert_eq!(made.comments.len(), 1);
    let sent = host.sent();
    assert_eq!(sent.len(), 3, "search, create, look: {sent:#?}");
    let body = sent.get(1).unwrap().json();
    // A name can't smuggle in a second address.
    assert_eq!(body["Requestor"], "\"Mina  Öz   x@evil.test ,\" <mina@example.test>");
    assert_eq!((body["Queue"].as_str(), body["Subject"].as_str()), (Some("Support"), Some("Dampf fehlt")));
    assert_eq!((body["Priority"].as_str(), body["RefersTo"].as_str()), (Some("75"), Some("confab:key-1")));
    assert_eq!(body["CustomFields"], json!({"Order number": "WEB-42"}));
    let text = body["Content"].as_str().unwrap();
    assert!(text.contains("Seit Montag.\n--\nnoch was") && text.ends_with("Order: WEB-42"), "{text}");
}

#[test]
fn a_repeated_call_finds_what_the_first_one_made() {
    let host = Host::new().settings(settings()).on(answered);
    host.run(|| Connector::create(input())).unwrap();
    let again = host.run(|| Connector::create(input())).unwrap();
    assert_eq!((again.number.as_str(), again.comments.len()), ("5", 3));
    assert_eq!(host.sent().iter().filter(|s| s.method == "POST").count(), 1);
    host.set_key("key-2");
    host.run(|| Connector::create(input())).unwrap();
    assert_eq!(host.sent().iter().filter(|s| s.method == "POST").count(), 2, "another key is another ticket");
}

#[test]
fn an_answer_that_was_lost_is_found_by_the_link() {
    let made = std::cell::Cell::new(false);
    let host = Host::new().settings(settings()).on(move |request| match request.method.as_str() {
        "POST" => {
            made.set(true);
            Answer::fail("timeout", "no answer")
        }
        "GET"
            if made.get()
                && request.query("query").is_some_and(|q| q == "RefersTo = 'confab:key-1' AND EffectiveId > 0") =>
        {
            list(json!([ticket(5, "new")]))
        }
        _ => answered(request),
    });
    assert_eq!(host.run(|| Connector::create(input())).unwrap_err().code, "timeout");
    assert_eq!(host.run(|| Connector::create(input())).unwrap().number, "5");
    assert_eq!(host.sent().iter().filter(|s| s.method == "POST").count(), 1);
}

#[test]
fn a_queue_that_is_closed_to_us_says_which_right_is_missing() {
    let denied = json!({"message": "No permission to create tickets in the queue 'Nope'"});
    let host = Host::new().settings(settings()).on(move |request| match request.method.as_str() {
        "POST" => Answer::json(403, denied.clone()),
        _ => list(json!([])),
    });
    let refused = host.run(|| Connector::create(TicketInput { category: Some("Nope".into()), ..input() })).unwrap_err();
    assert_eq!(refused.code, "forbidden");
    assert!(refused.message.contains("CreateTicket") && refused.message.contains("Nope"), "{}", refused.message);
    let odd = host.run(|| Connector::create(TicketInput { priority: Some("asap".into()), ..input() })).unwrap_err();
    assert_eq!(odd.code, "invalid-input");
}

#[test]
fn categories_go_to_their_queues() {
    let settings = json!({"queue": "Support", "queues": {"Repair": "Werkstatt"}, "priorities": {"high": 60}});
    let host = Host::new().settings(settings).on(answered);
    for category in ["repair", "anything else"] {
        host.set_key(category);
        host.run(|| Connector::create(TicketInput { category: Some(category.into()), ..input() })).unwrap();
    }
    let posts: Vec<Value> = host.sent().iter().filter(|s| s.method == "POST").map(Sent::json).collect();
    assert_eq!(posts.iter().map(|p| p["Queue"].as_str().unwrap()).collect::<Vec<_>>(), ["Werkstatt", "Support"]);
    assert!(posts.iter().all(|p| p["Priority"] == "60" && p["CustomFields"] == json!({})));
}

#[test]
fn the_requester_reads_what_was_said_to_them() {
    let host = Host::new().settings(settings()).on(answered);
    let got = host.run(|| Connector::get("#5".into(), mail("MINA@example.test"))).unwrap();
    let said: Vec<(&str, &str)> = got.comments.iter().map(|c| (c.author.as_str(), c.text.as_str())).collect();
    assert_eq!(said, [("Mina Öz", "Frage ü"), ("Enoch Root", "Hello Mina & co\n2<3"), ("Mina Öz", "Danke")]);
    assert_eq!(got.comments.first().unwrap().at.as_deref(), Some("2026-11-22T21:19:12Z"));
    let history = host.sent().into_iter().find(|s| s.path.contains("/history")).unwrap();
    assert!(!history.query("query").unwrap().contains("Comment"), "notes of the staff are not asked for");
}

#[test]
fn a_wrong_proof_and_no_ticket_look_the_same() {
    let host = Host::new().settings(settings()).on(answered);
    let wrong = host.run(|| Connector::get("5".into(), mail("erika@example.test"))).unwrap_err();
    let absent = host.run(|| Connector::get("6".into(), mail("erika@example.test"))).unwrap_err();
    assert_eq!((wrong.code.as_str(), wrong.message.replace('5', "6")), (absent.code.as_str(), absent.message));
    for number in ["5 OR id > 0", "", "99999999999", "5'"] {
        let refused = host.run(|| Connector::get(number.into(), mail("mina@example.test"))).unwrap_err();
        assert_eq!(refused.code, "not-found", "{number}");
    }
    assert_eq!(host.run(|| Connector::get("5".into(), Proof::default())).unwrap_err().code, "proof-required");
    let phone = Proof { phone: Some("0660 5550177".into()), ..Proof::default() };
    assert_eq!(host.run(|| Connector::get("5".into(), phone)).unwrap().number, "5");
    assert_eq!(host.sent().iter().filter(|s| s.query("query").is_some_and(|q| q.contains("OR id"))).count(), 0);
}

#[test]
fn a_merged_ticket_is_the_one_it_was_merged_into() {
    let host = Host::new().settings(settings()).on(|request| match request.query("query") {
        Some(query) if query.contains("id = 6") => {
            let mut merged = ticket(6, "new");
            merged["EffectiveId"] = json!("5");
            list(json!([merged]))
        }
        _ => answered(request),
    });
    assert_eq!(host.run(|| Connector::get("6".into(), mail("mina@example.test"))).unwrap().number, "5");
}

#[test]
fn searches_are_quoted() {
    let host = Host::new().settings(settings()).on(|_| list(json!([ticket(5, "open")])));
    let query = TicketQuery {
        requester_email: Some("o'neil\\@example.test".into()),
        state: Some("pending".into()),
        text: Some("100% ' OR id>0 --".into()),
    };
    let found = host.run(|| Connector::search(query, 500)).unwrap();
    assert_eq!((found.len(), found.first().unwrap().state.as_str()), (1, "open"));
    let sent = host.sent().pop().unwrap();
    assert_eq!(
        sent.query("query").unwrap(),
        r"id > 0 AND Requestor.EmailAddress = 'o\'neil\\@example.test' AND (Status = 'stalled') AND Subject LIKE '100' AND Subject LIKE 'OR' AND Subject LIKE 'id>0'",
        "a requester's words are not looked for in notes of the staff"
    );
    assert_eq!(sent.query("per_page").as_deref(), Some("50"));
    let all = TicketQuery { text: Some("o'x".into()), ..TicketQuery::default() };
    host.run(|| Connector::search(all, 5)).unwrap();
    let asked = host.sent().pop().unwrap().query("query").unwrap();
    assert_eq!(asked, r"id > 0 AND (Subject LIKE 'o\'x' OR Content LIKE 'o\'x')");
}

#[test]
fn own_lifecycles_have_words_of_ours() {
    let settings = json!({"queue": "Support", "statuses": {"waiting for customer": "pending", "resolved": "closed"}});
    let host = Host::new()
        .settings(settings)
        .on(|_| list(json!([ticket(1, "waiting for customer"), ticket(2, "resolved"), ticket(3, "odd")])));
    let query = TicketQuery { state: Some("pending".into()), ..TicketQuery::default() };
    let states: Vec<String> = host.run(|| Connector::search(query, 9)).unwrap().into_iter().map(|t| t.state).collect();
    assert_eq!(states, ["pending", "closed", "odd"]);
    let asked = host.sent().pop().unwrap().query("query").unwrap();
    assert_eq!(asked, "id > 0 AND (Status = 'waiting for customer' OR Status = 'stalled')");
}

#[test]
fn words_are_said_once_and_in_the_requesters_name() {
    let host = Host::new().settings(settings()).key("k").on(answered);
    host.run(|| Connector::comment("5".into(), "Danke".into(), mail("mina@example.test"))).unwrap();
    host.run(|| Connector::comment("5".into(), "Danke".into(), mail("mina@example.test"))).unwrap();
    let posts: Vec<Sent> = host.sent().into_iter().filter(|s| s.method == "POST").collect();
    assert_eq!(posts.len(), 1);
    let post = posts.first().unwrap();
    assert_eq!(post.path, "/REST/2.0/ticket/5/correspond");
    assert_eq!(post.json()["Content"], "Mina Öz wrote in the chat:\n\nDanke\n\n-- \n[confab:k]");
    let empty = host.run(|| Connector::comment("5".into(), " ".into(), mail("mina@example.test"))).unwrap_err();
    assert_eq!(empty.code, "invalid-input");
}

#[test]
fn words_whose_answer_was_lost_are_found_in_the_history() {
    let host = Host::new().settings(settings()).key("k").on(|request| match request.method.as_str() {
        "POST" => Answer::fail("timeout", "no answer"),
        _ => answered(request),
    });
    let first = host.run(|| Connector::comment("5".into(), "Danke".into(), mail("mina@example.test")));
    assert_eq!(first.unwrap_err().code, "timeout");
    let again = host.run(|| Connector::comment("5".into(), "Danke".into(), mail("mina@example.test"))).unwrap();
    assert_eq!(again.comments.len(), 3);
    assert_eq!(host.sent().iter().filter(|s| s.method == "POST").count(), 1);
}

#[test]
fn a_repeated_comment_on_a_long_ticket_stays_within_the_requests_of_a_call() {
    // 200 answers, each with a text in two forms and more pages of texts than one.
    let host = Host::new().settings(settings()).key("k").on(|request| match request.path.split('?').next() {
        _ if request.method == "POST" => Answer::fail("timeout", "no answer"),
        Some("/REST/2.0/ticket/5/history") => list((0..100).map(|n| json!({"id": (900 - n).to_string()})).collect()),
        Some("/REST/2.0/attachments") => list(vec![json!({"id": "1", "ContentType": "text/plain"}); 100].into()),
        _ => answered(request),
    });
    let say = || host.run(|| Connector::comment("5".into(), "Danke".into(), mail("mina@example.test")));
    say().unwrap_err();
    let first = host.sent().len();
    say().unwrap_err();
    assert_eq!(host.sent().len() - first, 6, "ticket, history, three pages of texts, the words");
}

#[test]
fn a_ticket_that_rt_leaves_open_is_not_called_closed() {
    let host = Host::new().settings(settings()).on(answered);
    let left = host.run(|| Connector::close("5".into(), Some("found it".into()), mail("mina@example.test")));
    let left = left.unwrap_err();
    assert!(left.code == "forbidden" && left.message.contains("ModifyTicket"), "{}", left.message);
    let post = host.sent().into_iter().find(|s| s.method == "POST").unwrap();
    assert_eq!(post.json()["Status"], "resolved");
    let solved = Host::new().settings(settings()).on(|request| match request.path.contains("/tickets?") {
        true => list(json!([ticket(5, "rejected")])),
        false => answered(request),
    });
    let closed = solved.run(|| Connector::close("5".into(), None, mail("mina@example.test"))).unwrap();
    assert_eq!(closed.state, "closed");
    assert!(solved.sent().iter().all(|s| s.method == "GET"), "what is closed is left alone");
}

#[test]
fn people_are_found_and_never_changed() {
    let user = json!({"id": "mina", "type": "user", "EmailAddress": "mina@example.test", "RealName": "Mina Öz", "MobilePhone": "+43 (0)660 / 555 01 77"});
    let other = json!({"id": "erika@example.test", "type": "user", "EmailAddress": "erika@example.test"});
    let host = Host::new().settings(settings()).on(move |request| match request.path.contains("/tickets?") {
        true => list(json!([{"id": "3", "Requestor": [user, other]}, {"id": "6", "Requestor": [user]}])),
        false => list(json!([user])),
    });
    let known = host.run(|| Connector::upsert(Person { phone: Some("+43 1 5550000".into()), ..person() })).unwrap();
    assert_eq!((known.id.as_str(), known.name.as_str()), ("mina", "Mina Öz"));
    assert!(host.sent().iter().all(|s| s.method == "GET"));
    let found = host.run(|| Connector::find(None, Some("0660 5550177".into()))).unwrap();
    assert_eq!(found.len(), 1, "two tickets, one person: {found:?}");
    let sent = host.sent().pop().unwrap();
    assert_eq!((sent.query("orderby").as_deref(), sent.query("order").as_deref()), (Some("id"), Some("DESC")));
    let asked = sent.query("query").unwrap();
    assert!(asked.starts_with("Requestor.MobilePhone LIKE '5%5%0%1%7%7' OR "), "{asked}");
    let other = host.run(|| Connector::find(Some("mina@example.test".into()), Some("0660 5550178".into()))).unwrap();
    assert!(other.is_empty());
}

#[test]
fn a_search_that_rt_ignores_is_noticed() {
    // Without AdminUsers RT may give everybody, and no number.
    let all =
        json!([{"id": "root", "EmailAddress": "root@localhost", "Requestor": [{"id": "mina", "MobilePhone": ""}]}]);
    let host = Host::new().settings(settings()).on(move |_| list(all.clone()));
    for (email, phone) in [(Some("mina@example.test".to_owned()), None), (None, Some("0660 5550177".to_owned()))] {
        let refused = host.run(|| Connector::find(email, phone)).unwrap_err();
        assert!(refused.code == "forbidden" && refused.message.contains("AdminUsers"), "{}", refused.message);
    }
    let denied = Host::new().settings(settings()).on(|request| match request.method.as_str() {
        "GET" => list(json!([])),
        _ => Answer::json(400, json!({"message": "Permission Denied"})),
    });
    let refused = denied.run(|| Connector::upsert(person())).unwrap_err();
    assert!(refused.code == "forbidden" && refused.message.contains("AdminUsers"), "{}", refused.message);
}

#[test]
fn somebody_with_a_number_only_is_made_once() {
    let caller = Person { name: Some("Anna".into()), phone: Some("+43 660 999".into()), ..Person::default() };
    let made = std::cell::Cell::new(false);
    let host = Host::new().settings(settings()).on(move |request| match request.method.as_str() {
        "POST" => {
            made.set(true);
            Answer::json(201, json!({"id": "phone-43660999", "type": "user"}))
        }
        _ if request.path.contains("/tickets?") => list(json!([])),
        _ if made.get() => Answer::json(200, json!({"id": 7, "Name": "phone-43660999", "RealName": "Anna"})),
        _ => Answer::json(404, json!({"message": "Not Found"})),
    });
    for _ in 0..2 {
        let known = host.run(|| Connector::upsert(caller.clone())).unwrap();
        assert_eq!((known.id.as_str(), known.name.as_str()), ("phone-43660999", "Anna"));
    }
    assert_eq!(host.sent().iter().filter(|s| s.method == "POST").count(), 1);
}

#[test]
fn health_names_each_right() {
    let host = Host::new().settings(settings()).on(|request| match request.path.split('?').next().unwrap_or_default() {
        "/REST/2.0/rt" => Answer::json(200, json!({"Version": "5.0.3"})),
        "/REST/2.0/queue/Support" => {
            Answer::json(200, json!({"Name": "Support", "Disabled": "0", "_hyperlinks": [{"ref": "create"}], "TicketCustomFields": [{"name": "Phone"}]}))
        }
        "/REST/2.0/tickets" => list(json!([{"id": "1", "_hyperlinks": [{"ref": "correspond"}]}])),
        _ => Answer::json(200, json!({"Name": "Nobody"})),
    });
    let found = host.run(Connector::check);
    let of = |name: &str| found.iter().find(|f| f.name == name).map(|f| f.status.as_str());
    assert_eq!((of("sign in"), of("create tickets"), of("answer tickets")), (Some("ok"), Some("ok"), Some("ok")));
    assert_eq!((of("close tickets"), of("contacts")), (Some("error"), Some("warning")));
    assert_eq!((of("custom field Phone"), of("custom field Order number")), (Some("ok"), Some("error")));
    let shut = Host::new().settings(settings()).on(|_| Answer::json(401, json!({"message": "Unauthorized"})));
    let found = shut.run(Connector::check);
    assert!(found.len() == 1 && found.iter().all(|f| f.message.contains("credentials")), "{found:?}");
    let page = Host::new().settings(settings()).on(|_| Answer::body(200, "<html>login</html>"));
    assert!(page.run(Connector::check).iter().all(|f| f.message.contains("/REST/2.0")));
}

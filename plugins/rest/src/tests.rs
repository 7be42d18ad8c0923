use super::*;
use confab_plugin_sdk::testing::{Answer, Host, Sent};

const API_YAML: &str = include_str!("../../../examples/connections/rest.api.yaml");

fn files(text: &str) -> Vec<NamedFile> {
    vec![NamedFile { name: spec::FILE.into(), content: text.as_bytes().to_vec() }]
}

/// All tests share the description, since it is in a static.
fn host(respond: impl FnMut(&Sent) -> Answer + 'static) -> Host {
    let warnings = Rest::prepare("{}".into(), files(API_YAML)).unwrap();
    assert_eq!(warnings, []);
    Host::new().on(respond)
}

fn order() -> Value {
    json!({"id": 42, "orderNo": "WEB-42", "status": "SENT", "createdAt": 1_795_343_520, "customer": {"id": 7, "email": "Erika@example.test", "phone": "+43 660 5550177"},
        "delivery": {"zip": "1010", "carrier": "Post", "tracking": "AT1"}, "totalCents": 69800, "currency": "EUR",
        "items": [{"article": "SKU-1001", "title": "Espressomaschine „Größe L“", "qty": 2, "sumCents": 69800}]})
}

fn by_email(email: &str) -> Proof {
    Proof { email: Some(email.into()), ..Proof::default() }
}

#[test]
fn an_order_is_given_to_its_owner_only_and_a_wrong_number_sounds_the_same() {
    let host = host(|request| {
        assert_eq!(request.header("x-api-version"), Some("2026-11"));
        match request.query("search").as_deref() {
            Some("web-42") => Answer::json(200, json!({"data": [{"orderNo": "WEB-421"}, order()], "next": null})),
            _ => Answer::json(200, json!({"data": [], "next": null})),
        }
    });
    let get = |number: &str, email: &str| host.run(|| <Rest as Orders>::get(number.into(), by_email(email)));
    let found = get("web-42", "erika@example.test").unwrap();
    assert_eq!((found.number.as_str(), found.state.as_str()), ("WEB-42", "shipped"));
    assert_eq!(found.placed_at.as_deref(), Some("2026-11-22T10:32:00Z"));
    assert_eq!(found.total, Some(Money { amount: "698.00".into(), currency: "EUR".into() }));
    assert_eq!(found.lines[0].name, "Espressomaschine „Größe L“");
    assert_eq!(found.extra, [ExtraField { name: "carrier".into(), value: "Post".into() }]);
    let (other, none) = (get("web-42", "max@example.test").unwrap_err(), get("WEB-1", "max@example.test").unwrap_err());
    assert_eq!(other, none);
    assert_eq!(other.code, "not-found");
    let without = host.run(|| <Rest as Orders>::get("WEB-42".into(), Proof::default()));
    assert_eq!(without.unwrap_err().code, "proof-required");
    let sent = host.sent().len();
    assert_eq!(sent, 3, "without proof nothing is asked");
}

#[test]
fn arguments_stay_in_their_place() {
    let host = host(|_| Answer::json(404, json!({"error": {"code": "NO_ARTICLE", "message": "gibt es nicht"}})));
    let error = host.run(|| Rest::availability("../orders?x=1#".into(), None)).unwrap_err();
    assert_eq!(error.code, "not-found");
    assert_eq!(host.sent()[0].path, "/articles/..%2Forders%3Fx%3D1%23/stock");
    for dots in ["..", "."] {
        let error = host.run(|| Rest::availability(dots.into(), None)).unwrap_err();
        assert_eq!(error.code, "invalid-input");
    }
    assert_eq!(host.sent().len(), 1);
}

#[test]
fn pages_are_followed_by_their_link() {
    let host = host(|request| match request.path.as_str() {
        "/articles?limit=3&q=mill" => Answer::json(
            200,
            json!({"data": [{"sku": "A", "title": "a", "priceCents": 1250}], "next": "https://elsewhere.example/x?q=mill&limit=3&after=A"}),
        ),
        "/articles?q=mill&limit=3&after=A" => {
            Answer::json(200, json!({"data": [{"sku": "B", "title": "b", "priceCents": "990"}], "next": null}))
        }
        other => panic!("{other}"),
    });
    let found = host.run(|| <Rest as Catalog>::search(" mill ".into(), 3)).unwrap();
    let prices: Vec<_> = found.iter().map(|p| p.price.clone().unwrap().amount).collect();
    assert_eq!(prices, ["12.50", "9.90"]);
}

#[test]
fn errors_are_told_by_the_apis_own_codes() {
    let answer =
        |answer: Answer| host(move |_| answer.clone()).run(|| <Rest as Catalog>::search("x".into(), 3).unwrap_err());
    let busy = answer(Answer::json(200, json!({"error": {"code": "BUSY", "message": "später\nbitte"}})));
    assert_eq!((busy.code.as_str(), busy.message.contains("später bitte")), ("rate-limited", true));
    assert_eq!(answer(Answer::status(418).header("retry-after", "7")).code, "unavailable");
    assert_eq!(answer(Answer::status(500)).code, "unavailable");
    assert_eq!(answer(Answer::body(200, "<html>")).code, "internal");
    let other = answer(Answer::json(200, json!({"data": [{"title": "no number"}]})));
    assert!(other.message.contains("catalog.search") && other.message.contains("`sku` at /sku"), "{other:?}");
}

#[test]
fn a_ticket_is_opened_once_whoever_lost_the_answer() {
    let mut made: Vec<Value> = Vec::new();
    let mut lose = true;
    let host = host(move |request| match (request.method.as_str(), request.path.split('?').next().unwrap()) {
        ("GET", "/tickets") => {
            let key = request.query("externalId").unwrap();
            let found: Vec<&Value> = made.iter().filter(|t| t["externalId"] == json!(key)).collect();
            Answer::json(200, json!({"data": found}))
        }
        ("POST", "/tickets") => {
            let mut ticket = request.json();
            assert_eq!(ticket.get("orderNo"), None, "what is absent is left out");
            ticket["no"] = json!(format!("T-{}", made.len() + 1));
            made.push(ticket.clone());
            if std::mem::take(&mut lose) { Answer::fail("timeout", "no answer") } else { Answer::json(201, ticket) }
        }
        other => panic!("{other:?}"),
    });
    let open = || {
        host.run(|| {
            Rest::create_ticket(TicketInput {
                subject: "Leaks".into(),
                body: "It leaks.".into(),
                requester: Person { email: Some("erika@example.test".into()), ..Person::default() },
                ..TicketInput::default()
            })
        })
    };
    assert_eq!(open().unwrap_err().code, "timeout");
    assert_eq!(open().unwrap().number, "T-1");
    assert_eq!(open().unwrap().number, "T-1");
    host.set_key("key-2");
    assert_eq!(open().unwrap().number, "T-2");
    assert_eq!(host.sent().iter().filter(|r| r.method == "POST").count(), 2);
}

impl Rest {
    fn create_ticket(input: TicketInput) -> Result<Ticket> {
        <Rest as Tickets>::create(input)
    }
}

#[test]
fn what_is_wrong_with_the_file_is_said_with_its_line() {
    let findings = |text: &str| -> Vec<String> {
        let found = spec::read(&files(text)).map(|(_, warnings)| warnings).unwrap_or_else(|errors| errors);
        found.iter().map(|d| format!("{}:{} {}", d.severity, d.line.unwrap_or(0), d.message)).collect()
    };
    let all = findings(
        "errors: { codes: { X: nothing-known } }\noperations:\n  orders.get:\n    request: { path: \"/orders/{numbr}\" }\n    result: { number: /no, sate: /state }\n  orders.delete:\n    request: { path: /x }\n  tickets.create:\n    request: { method: POST, path: /tickets }\n    result: { number: /id }\n",
    )
    .join("\n");
    for wanted in [
        "`nothing-known` is none of",
        "orders.get: request: there is no argument `numbr`",
        "orders.get: result.sate: there is no such field",
        "orders.get: result: `state` is missing",
        "orders.get: proof: say where",
        "orders.delete: is no operation",
        "warning:9 tickets.create: a repeated call may write twice",
    ] {
        assert!(all.contains(wanted), "{wanted} not in\n{all}");
    }
    assert!(findings("operations: [").iter().any(|f| f.starts_with("error:")));
    assert!(findings("operations: {}\ncolour: red\n")[0].contains("colour"));
}

#[test]
fn what_only_looks_like_the_number_is_not_told_and_no_number_is_no_question() {
    let parcel =
        |number: &str| json!({"orderNo": number, "status": "SENT", "customer": {}, "delivery": {"zip": "1010"}});
    let found = json!({"data": [parcel("1042"), parcel("10421")], "next": null});
    let host = host(move |_| Answer::json(200, found.clone()));
    let proof = || Proof { postal_code: Some("1010".into()), ..Proof::default() };
    let track = |number: &str| host.run(|| <Rest as Orders>::track(number.into(), proof()));
    assert_eq!(track("1042").unwrap().len(), 1);
    for number in ["1", "104", "", " "] {
        assert_eq!(track(number).unwrap_err().code, "not-found", "{number}");
    }
    let error = host.run(|| Rest::availability(" ".into(), None)).unwrap_err();
    assert_eq!(
        (error.code.as_str(), host.sent().iter().any(|r| r.path.starts_with("/articles"))),
        ("invalid-input", false)
    );
}

#[test]
fn a_search_that_ignores_what_it_was_asked_gives_nobody_elses_ticket() {
    let others =
        json!({"data": [{"externalId": "confab:other", "no": "T-9", "title": "secret", "email": "max@example.test"}]});
    let host = host(move |request| match request.method.as_str() {
        "GET" => Answer::json(200, others.clone()),
        _ => Answer::json(201, json!({"no": "T-10", "title": "Leaks", "state": "OPEN"})),
    });
    let input = || TicketInput {
        subject: "Leaks".into(),
        body: "It leaks.".into(),
        requester: Person { email: Some("erika@example.test".into()), ..Person::default() },
        ..TicketInput::default()
    };
    let made = host.run(|| Rest::create_ticket(input())).unwrap();
    assert_eq!((made.number.as_str(), made.subject.as_str()), ("T-10", "Leaks"));
}

#[test]
fn a_write_that_was_accepted_with_an_unreadable_answer_is_not_sent_again() {
    let host = host(|request| match request.method.as_str() {
        "POST" => Answer::status(204),
        _ => Answer::json(200, json!({"data": []})),
    });
    let lead = || {
        host.run(|| {
            <Rest as Leads>::create(LeadInput {
                subject: "Twelve machines".into(),
                person: Person { email: Some("ada@example.test".into()), ..Person::default() },
                ..LeadInput::default()
            })
        })
    };
    assert_eq!(lead().unwrap_err().code, "internal", "it has no id");
    assert_eq!(lead().unwrap_err().code, "conflict");
    assert_eq!(host.sent().iter().filter(|r| r.method == "POST").count(), 1);
}

#[test]
fn what_a_system_tells_of_others_is_left_out() {
    let orders = json!({"data": [order(), {"orderNo": "X-1", "status": "NEW", "customer": {"id": 8}}, {"orderNo": "X-2", "status": "NEW"}]});
    let host = host(move |_| Answer::json(200, orders.clone()));
    let theirs = host.run(|| <Rest as Orders>::list_for_customer("7".into(), 5)).unwrap();
    assert_eq!(theirs.iter().map(|o| o.number.as_str()).collect::<Vec<_>>(), ["WEB-42"]);
    let all = spec::read(&files(
        "operations:\n  tickets.search:\n    request: { path: /t }\n    result: { number: /no, state: /s, subject: /t }\n",
    ));
    assert!(all.unwrap_err()[0].message.contains("requester's e-mail address"));
}

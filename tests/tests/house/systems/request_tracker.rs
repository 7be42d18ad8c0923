//! The connector on a real Request Tracker 5: what it made is looked up in RT's own database.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::connection::Connection;
use confab_tests::folder::Folder;
use confab_tests::place;
use confab_tests::server::{Host, Server};
use confab_tests::systems::request_tracker::RequestTracker;
use serde_json::{Value, json};

/// The connection of `examples/connections`, for one of the seeded users.
fn yaml(id: &str, rt: &RequestTracker, secret: &str) -> Result<String> {
    let mut text = std::fs::read_to_string(place::example("connections").join("request-tracker.yaml"))?;
    let url = rt.url();
    for (example, ours) in [
        ("id: helpdesk", format!("id: {id}").as_str()),
        ("https://rt.example.com", url.as_str()),
        ("env:SHOP__RT_TOKEN", format!("env:SHOP__{secret}").as_str()),
        ("{ repair: Workshop, invoice: Accounting }", "{ repair: Werkstatt, secret: Internal }"),
    ] {
        ensure!(text.contains(example), "the example has no `{example}`");
        text = text.replace(example, ours);
    }
    Ok(text)
}

struct House {
    rt: RequestTracker,
    host: Host,
    server: Server,
    client: Client,
}

/// RT, and a server with a connection for each of its users; `helpdesk` is the bot's.
async fn house() -> Result<House> {
    let rt = RequestTracker::start().await?;
    let folder = Folder::shop()?;
    folder.write("connections/helpdesk.yaml", &yaml("helpdesk", &rt, "CHATBOT")?)?;
    folder.write("connections/admin.yaml", &yaml("admin", &rt, "CHATADMIN")?)?;
    folder.write("connections/looks.yaml", &yaml("looks", &rt, "CHATLOOKS")?)?;
    folder.write("connections/wrong.yaml", &yaml("wrong", &rt, "WRONG")?)?;
    let mut host = Host::new()?.flag("--allow-private", &rt.address()).env("SHOP__WRONG", "1-31-canary0000000000");
    for user in ["chatbot", "chatadmin", "chatlooks"] {
        host = host.env(&format!("SHOP__{}", user.to_uppercase()), &rt.token(user)?);
    }
    let server = host.clone().apply(folder.path()).start().await?;
    let client = Client::new(&server, &host.key("shop", &["--scope", "admin"]).await?)?;
    Ok(House { rt, host, server, client })
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn said(ticket: &Value) -> Vec<(&str, &str)> {
    let comments = ticket["comments"].as_array().map(Vec::as_slice).unwrap_or_default();
    comments.iter().map(|c| (at(c, "/author"), at(c, "/text"))).collect()
}

/// Words that RT keeps of a ticket, oldest first, with the type of their transaction.
const WORDS: &str = "select t.Type, a.Content from Transactions t join Attachments a on a.TransactionId = t.id \
     where t.ObjectType = 'RT::Ticket' and t.ObjectId = ? and a.ContentType = 'text/plain' \
     and t.Type in ('Create', 'Correspond', 'Comment') order by t.id";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn a_ticket_is_opened_answered_and_closed_once() -> Result<()> {
    let House { rt, client, server: _server, .. } = house().await?;
    let desk = Connection::new(&client, "helpdesk");
    let subject = "Geht nicht: O'Neils Mühle \\ 100%";
    let input = json!({"ticket": {
        "subject": subject, "body": "Seit Montag ☕\nkein Dampf", "category": "Repair", "priority": "high", "order_number": "WEB-42",
        "requester": {"name": "Jörg \"Joe\" Weiß, Dr.", "email": "joerg@example.test", "phone": "+43 660 1234567"},
    }});
    let made = desk.write("tickets.create", input.clone(), "open-1").await?;
    let number = at(&made, "/number").to_owned();
    ensure!(made["state"] == "new" && at(&made, "/subject") == subject, "{made:#}");
    ensure!(at(&made, "/url") == format!("{}/Ticket/Display.html?id={number}", rt.url()), "{made:#}");
    // The same call again; and by a connection whose store knows nothing of it, as after a loss.
    for connection in [&desk, &Connection::new(&client, "admin")] {
        let again = connection.write("tickets.create", input.clone(), "open-1").await?;
        ensure!(at(&again, "/number") == number && said(&again).len() == 1, "{again:#}");
    }

    let rows = rt.rows("select t.id, q.Name, t.Priority, t.Status from Tickets t join Queues q on q.id = t.Queue where t.Subject = ?", &[subject]).await?;
    ensure!(rows == [json!([number.parse::<u32>()?, "Werkstatt", 75, "new"])], "{rows:?}");
    let rows =
        rt.rows("select Target from Links where Base like '%/ticket/' || ? and Type = 'RefersTo'", &[&number]).await?;
    ensure!(rows == [json!(["confab:open-1"])], "{rows:?}");
    let fields = "select f.Name, v.Content from ObjectCustomFieldValues v join CustomFields f on f.id = v.CustomField \
                  where v.ObjectType = 'RT::Ticket' and v.ObjectId = ? and v.Disabled = 0 order by f.Name";
    let rows = rt.rows(fields, &[&number]).await?;
    ensure!(rows == [json!(["Order number", "WEB-42"]), json!(["Phone", "+43 660 1234567"])], "{rows:?}");
    let rows =
        rt.rows("select EmailAddress, RealName from Users where EmailAddress = 'joerg@example.test'", &[]).await?;
    ensure!(rows == [json!(["joerg@example.test", "Jörg  Joe  Weiß, Dr."])], "{rows:?}");

    // Read by who opened it, by address or by number; by nobody else.
    let proof = json!({"email": "JOERG@example.test"});
    let got = desk.call("tickets.get", json!({"number": number, "proof": {"phone": "0660 1234567"}})).await?;
    ensure!(said(&got) == [("Jörg \"Joe\" Weiß, Dr.", "Seit Montag ☕\nkein Dampf")], "{got:#}");
    let (wrong, _) =
        desk.refused("tickets.get", json!({"number": number, "proof": {"email": "mina@example.test"}})).await?;
    let (bare, _) = desk.refused("tickets.get", json!({"number": number, "proof": {}})).await?;
    ensure!(wrong == "not-found" && bare == "proof-required", "{wrong} {bare}");

    // Answered, once.
    let words = json!({"number": number, "text": "Foto folgt: größer ✓", "proof": proof});
    desk.write("tickets.comment", words.clone(), "say-1").await?;
    let got = desk.write("tickets.comment", words, "say-1").await?;
    ensure!(said(&got).last() == Some(&("Jörg  Joe  Weiß, Dr.", "Foto folgt: größer ✓")), "{got:#}");
    ensure!(got["state"] == "open" && said(&got).len() == 2, "{got:#}");

    // Closed, once; and open again by the next word, as RT does it.
    let close = json!({"number": number, "reason": "Hat sich erledigt", "proof": proof});
    let got = desk.write("tickets.close", close.clone(), "close-1").await?;
    ensure!(got["state"] == "solved" && said(&got).len() == 3, "{got:#}");
    desk.write("tickets.close", close, "close-2").await?;
    let rows = rt.rows(WORDS, &[&number]).await?;
    let kinds: Vec<&str> = rows.iter().map(|row| at(row, "/0")).collect();
    ensure!(kinds == ["Create", "Correspond", "Correspond"], "{rows:#?}");
    ensure!(rows.iter().all(|row| at(row, "/1").contains(" wrote in the chat:")), "each says who: {rows:#?}");
    let rows = rt.rows("select Status from Tickets where id = ?", &[&number]).await?;
    ensure!(rows == [json!(["resolved"])], "{rows:?}");
    let got =
        desk.write("tickets.comment", json!({"number": number, "text": "Doch nicht", "proof": proof}), "say-2").await?;
    ensure!(got["state"] == "open", "{got:#}");
    let got = desk.write("tickets.close", json!({"number": number, "reason": null, "proof": proof}), "close-3").await?;
    ensure!(got["state"] == "solved" && said(&got).len() == 4, "{got:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn tickets_are_found_as_their_requesters_may_see_them() -> Result<()> {
    let House { client, rt: _rt, server: _server, .. } = house().await?;
    let desk = Connection::new(&client, "helpdesk");
    let mina = json!({"email": "mina@example.test"});

    // Plain, with files, in HTML; the staff's own notes are not there.
    let got = desk.call("tickets.get", json!({"number": "3", "proof": mina})).await?;
    let texts: Vec<&str> = said(&got).into_iter().map(|(_, text)| text).collect();
    ensure!(texts == ["Erste Frage ü ☕", "Antwort für dich", "Hello Mina & co\nbye", "Me too"], "{got:#}");
    // By her number only where the user may see numbers.
    let phone = json!({"number": "3", "proof": {"phone": "0660 5550177"}});
    ensure!(desk.refused("tickets.get", phone.clone()).await?.0 == "not-found");
    ensure!(Connection::new(&client, "admin").call("tickets.get", phone).await?["number"] == "3");
    // Merged: Erika's is Mina's now. Deleted, of another queue, never there: all the same.
    let got = desk.call("tickets.get", json!({"number": "4", "proof": {"email": "erika@example.test"}})).await?;
    ensure!(got["number"] == "3", "{got:#}");
    for number in ["5", "2", "4711", "3 OR id > 0"] {
        let (code, message) = desk.refused("tickets.get", json!({"number": number, "proof": mina})).await?;
        ensure!(code == "not-found" && message == format!("there is no ticket {number}"), "{code} {message}");
    }
    // 111 words on two pages, with notes between.
    let got = desk.call("tickets.get", json!({"number": "6", "proof": mina})).await?;
    let texts: Vec<String> = said(&got).into_iter().map(|(_, text)| text.to_owned()).collect();
    ensure!(texts == (0..=110).map(|n| format!("word {n}")).collect::<Vec<_>>(), "{texts:?}");

    let numbers = async |query: Value| -> Result<Vec<String>> {
        let full = json!({"requester_email": null, "state": null, "text": null});
        let mut arguments = json!({"query": full, "limit": 10});
        for (key, value) in query.as_object().into_iter().flatten() {
            arguments["query"][key] = value.clone();
        }
        let found = desk.call("tickets.search", arguments).await?;
        Ok(found.as_array().context("no list")?.iter().map(|t| at(t, "/number").to_owned()).collect())
    };
    ensure!(numbers(json!({"requester_email": "MINA@example.test"})).await? == ["6", "3"], "newest first");
    ensure!(numbers(json!({"requester_email": "erika@example.test", "text": "leaks machine"})).await? == ["1"]);
    // What the staff wrote to each other is in RT's index of texts, too: of a requester's tickets no text is searched.
    for text in ["complains", "complains lanze", "internal", "Antwort"] {
        let found = numbers(json!({"requester_email": "mina@example.test", "text": text})).await?;
        ensure!(found.is_empty(), "{text} tells of {found:?}");
    }
    ensure!(
        numbers(json!({"requester_email": "mina@example.test", "text": "LANZE"})).await? == ["3"],
        "in the subject"
    );
    // Without a requester it is the staff who search.
    ensure!(
        numbers(json!({"text": "complains"})).await? == ["3"] && numbers(json!({"text": "It leaks"})).await? == ["1"]
    );
    ensure!(numbers(json!({"requester_email": "erika@example.test", "state": "new"})).await? == ["1"]);
    for injected in ["x' OR id > 0 OR Subject = 'x", "x\\", "%", "') OR (id > 0"] {
        let found = numbers(json!({"requester_email": injected})).await?;
        ensure!(found.is_empty(), "{injected} found {found:?}");
        let found =
            numbers(json!({"requester_email": "erika@example.test", "text": format!("leaks {injected}")})).await?;
        ensure!(found.is_empty() || found == ["1"], "{injected} found {found:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn rights_that_are_missing_are_named() -> Result<()> {
    let House { rt, host, client, server } = house().await?;
    let (desk, admin) = (Connection::new(&client, "helpdesk"), Connection::new(&client, "admin"));
    let looks = Connection::new(&client, "looks");

    let checked = async |connection: &Connection, name: &str| -> Result<(String, String)> {
        let found = connection.check().await?;
        let finding = found.iter().find(|f| f.0 == name).with_context(|| format!("no {name} in {found:?}"))?;
        Ok((finding.1.clone(), finding.2.clone()))
    };
    for name in ["sign in", "queue", "create tickets", "custom field Phone", "answer tickets", "close tickets"] {
        let (status, message) = checked(&desk, name).await?;
        ensure!(status == "ok", "{name}: {status} {message}");
    }
    ensure!(checked(&desk, "contacts").await?.0 == "warning" && checked(&admin, "contacts").await?.0 == "ok");
    for (name, right) in
        [("create tickets", "CreateTicket"), ("answer tickets", "ReplyToTicket"), ("close tickets", "ModifyTicket")]
    {
        let (status, message) = checked(&looks, name).await?;
        ensure!(status == "error" && message.contains(right), "{name}: {status} {message}");
    }
    let (status, message) = checked(&Connection::new(&client, "wrong"), "sign in").await?;
    ensure!(status == "error" && message.contains("credentials"), "{status} {message}");
    ensure!(!host.log()?.contains("canary"), "the log has the token");

    // Each refusal says which right; nothing is made.
    let ticket = json!({"subject": "refused", "body": "x", "requester": {"email": "erika@example.test"}});
    let (code, message) = looks.refused("tickets.create", json!({"ticket": ticket})).await?;
    ensure!(code == "forbidden" && message.contains("CreateTicket"), "{code} {message}");
    let mut elsewhere = ticket.clone();
    elsewhere["category"] = json!("secret");
    let (code, message) = desk.refused("tickets.create", json!({"ticket": elsewhere})).await?;
    ensure!(code == "forbidden" && message.contains("Internal"), "{code} {message}");
    let erika = json!({"email": "erika@example.test"});
    let (code, message) = looks.refused("tickets.comment", json!({"number": "1", "text": "x", "proof": erika})).await?;
    ensure!(code == "forbidden" && message.contains("ReplyToTicket"), "{code} {message}");
    let (code, message) =
        looks.refused("tickets.close", json!({"number": "1", "reason": null, "proof": erika})).await?;
    ensure!(code == "forbidden" && message.contains("ModifyTicket"), "{code} {message}");
    ensure!(rt.rows("select id from Tickets where Subject = 'refused'", &[]).await?.is_empty());

    // People: found by address by all, by number and made only with AdminUsers, changed by nobody.
    let mina = json!({"email": "mina@example.test", "phone": null});
    ensure!(desk.call("contacts.find", mina.clone()).await?[0]["name"] == "Mina Öz");
    let by_phone = json!({"email": null, "phone": "0660 5550177"});
    let (code, message) = desk.refused("contacts.find", by_phone.clone()).await?;
    ensure!(code == "forbidden" && message.contains("AdminUsers"), "{code} {message}");
    let found = admin.call("contacts.find", by_phone).await?;
    ensure!(found[0]["id"] == "mina" && found[0]["company"] == "Öz & Töchter", "{found:#}");
    let known = json!({"person": {"name": "Somebody Else", "email": "mina@example.test", "phone": "+43 1 999999"}});
    ensure!(admin.call("contacts.upsert", known).await?["name"] == "Mina Öz");
    let fresh = json!({"person": {"name": "Nöra", "email": "noera@example.test", "company": "N & Co"}});
    let (code, message) = desk.refused("contacts.upsert", fresh.clone()).await?;
    ensure!(code == "forbidden" && message.contains("AdminUsers"), "{code} {message}");
    for _ in 0..2 {
        ensure!(admin.call("contacts.upsert", fresh.clone()).await?["name"] == "Nöra");
    }
    let people = "select RealName, MobilePhone, Organization from Users where EmailAddress in ('mina@example.test', 'noera@example.test') order by id";
    let rows = rt.rows(people, &[]).await?;
    ensure!(
        rows == [json!(["Mina Öz", "+43 (0)660 / 555 01 77", "Öz & Töchter"]), json!(["Nöra", null, "N & Co"])],
        "{rows:?}"
    );

    // A bot opens one by talking.
    let visitor = Client::new(&server, &host.key("shop", &["--bot", "shop"]).await?)?;
    let mut talk = visitor.talk();
    for message in ["i want to open a ticket", "Steam wand drips", "Since Monday", "ada@example.test"] {
        talk.say(message).await?;
    }
    let answer = talk.say("yes").await?;
    let rows = rt.rows("select id from Tickets where Subject = 'Steam wand drips'", &[]).await?;
    let number = rows.first().and_then(|row| row[0].as_u64()).context("no ticket")?;
    ensure!(rows.len() == 1 && answer.response.contains(&number.to_string()), "{rows:?} {}", answer.response);

    // RT is gone: the bot answers all the same.
    drop(rt);
    let mut talk = visitor.talk();
    for message in ["i want to open a ticket", "Steam wand drips", "Since Monday", "ada@example.test"] {
        talk.say(message).await?;
    }
    ensure!(!talk.say("yes").await?.response.is_empty());
    Ok(())
}

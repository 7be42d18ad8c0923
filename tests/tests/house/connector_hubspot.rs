//! The connector for HubSpot against a checking account: bodies validated by the models of HubSpot's own client, a search
//! that lags behind, and what was made looked at there.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::connection::Connection;
use confab_tests::folder::Folder;
use confab_tests::place;
use confab_tests::server::{Host, Server};
use confab_tests::vendors::hubspot::{HubSpot, TOKEN};
use serde_json::{Value, json};

struct House {
    account: HubSpot,
    crm: Connection,
    host: Host,
    _server: Server,
}

async fn open(settings: &str) -> Result<House> {
    place::plugin("hubspot")?;
    let account = HubSpot::start().await?;
    let folder = Folder::of("shop")?;
    let file = format!(
        "id: crm\nconnector: hubspot\nendpoints:\n  api:\n    url: http://{}\n    auth: {{ kind: bearer, token: \"env:SHOP__HUBSPOT_TOKEN\" }}\nsettings: {settings}\n",
        account.address()
    );
    folder.write("connections/crm.yaml", &file)?;
    let host =
        Host::new()?.flag("--allow-private", &account.address()).env("SHOP__HUBSPOT_TOKEN", TOKEN).apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &["--scope", "admin"]).await?)?;
    Ok(House { account, crm: Connection::new(&client, "crm"), host, _server: server })
}

fn erika() -> Value {
    json!({"name": "Erika Mustermann", "email": "erika@example.test", "phone": "+43 660 5550177", "company": "Muster & Söhne GmbH"})
}

fn count(account: &HubSpot, object: &str) -> usize {
    account.account().records.keys().filter(|(o, _)| o == object).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_made_once_though_the_search_lags_behind() -> Result<()> {
    let House { account, crm, host: _host, _server } = open("{}").await?;
    let made = crm.write("contacts.upsert", json!({"person": erika()}), "turn-1").await?;
    let mut stranger = erika();
    stranger["email"] = json!("ERIKA@example.test");
    stranger["phone"] = json!("+43 1 999999");
    let again = crm.write("contacts.upsert", json!({"person": stranger}), "turn-2").await?;
    ensure!(made == again && made["company"] == "Muster & Söhne GmbH", "{made} {again}");
    // By phone alone, twice, before the index knows anything.
    let by_phone = json!({"person": {"name": "Ada", "phone": "0664/1234567"}});
    let ada = crm.write("contacts.upsert", by_phone.clone(), "turn-3").await?;
    ensure!(crm.write("contacts.upsert", by_phone, "turn-4").await?["id"] == ada["id"], "two for one number");
    ensure!(count(&account, "contacts") == 2, "too many contacts");
    // A further address that HubSpot knows and the index does not: the refusal names the contact.
    {
        let mut account = account.account();
        for n in 0..120 {
            account.seed(
                "contacts",
                json!({"lastname": format!("N{n}"), "mobilephone": format!("+49 30 {n:03} 55 01 77")}),
            );
        }
        account.index();
    }
    let found = crm.call("contacts.find", json!({"phone": "030 119550177"})).await?;
    ensure!(found.as_array().map(Vec::len) == Some(1) && found[0]["name"] == "N119", "{found}");
    let pages = account.account().requests.iter().filter(|(_, body)| body["after"].is_string()).count();
    ensure!(pages == 1, "{pages} further pages");
    let both = crm.call("contacts.find", json!({"email": "erika@example.test", "phone": "0660 5550177"})).await?;
    ensure!(both[0]["id"] == made["id"], "{both}");
    ensure!(
        crm.call("contacts.find", json!({"email": "erika@example.test", "phone": "0660 5550178"})).await? == json!([]),
        "one of two was enough"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_is_made_once_with_its_message_and_qualified() -> Result<()> {
    for (settings, object, name, stage) in [
        ("{}", "leads", "hs_lead_name", "hs_pipeline_stage"),
        ("{ leads: { object: deal } }", "deals", "dealname", "dealstage"),
    ] {
        let House { account, crm, host: _host, _server } = open(settings).await?;
        let input = json!({"lead": {"person": erika(), "subject": "Zwölf Maschinen", "message": "bis <Weihnachten>\n& sicher", "source": "chat", "skus": ["SKU-1001"]}});
        crm.write("contacts.upsert", json!({"person": erika()}), "turn-0").await?;
        account.account().lose_answer = true;
        let lost = crm.answer("leads.create", input.clone(), Some("turn-1")).await?;
        ensure!(lost["error"]["code"] == "unavailable", "{lost}");
        let lead = crm.write("leads.create", input.clone(), "turn-1").await?;
        ensure!(crm.write("leads.create", input, "turn-1").await? == lead && lead["state"] == "new", "{lead}");
        ensure!(lead["subject"] == "Zwölf Maschinen" && count(&account, object) == 1, "{object}: {lead}");
        let id = lead["id"].as_str().context("no id")?.to_owned();
        let contact = account.account().with("contacts", "email", "erika@example.test");
        ensure!(
            account.account().linked((object, &id), "contacts") == contact && lead["contact_id"] == contact[0].as_str(),
            "{lead}"
        );
        let found = json!({"id": id, "qualification": {"score": 85, "state": "qualified", "note": "Budget is there"}});
        for _ in 0..2 {
            ensure!(
                crm.write("leads.qualify", found.clone(), "turn-2").await?["state"] == "qualified",
                "not qualified"
            );
        }
        {
            let account = account.account();
            let record = &account.records.get(&(object.to_owned(), id.clone())).context("gone")?.properties;
            ensure!(record[name] == "Zwölf Maschinen" && record[stage].starts_with("qualified"), "{record:?}");
            let notes: Vec<String> = account
                .linked((object, &id), "notes")
                .iter()
                .filter_map(|n| {
                    account.records.get(&("notes".to_owned(), n.clone()))?.properties.get("hs_note_body").cloned()
                })
                .collect();
            ensure!(notes.iter().filter(|n| n.contains("Budget is there")).count() == 1, "{notes:?}");
            let message = if object == "deals" { vec![record["description"].clone()] } else { notes };
            ensure!(message.iter().any(|m| m.contains("Weihnachten") && m.contains("SKU-1001")), "{message:?}");
            ensure!(
                object == "deals" || message.iter().any(|m| m.contains("&lt;Weihnachten&gt;<br/>&amp;")),
                "{message:?}"
            );
        }
        let own = if object == "deals" { "Closed Won" } else { "converted" };
        for state in ["converted", own] {
            let refused = crm.refused("leads.qualify", json!({"id": id, "qualification": {"state": state}})).await?;
            ensure!(refused.0 == "unsupported", "{state}: {refused:?}");
        }
        let lost = crm.write("leads.qualify", json!({"id": id, "qualification": {"state": "lost"}}), "turn-3").await?;
        ensure!(lost["state"] == "lost", "{lost}");
        account.account().archive(object, &id);
        for odd in [id.as_str(), "99", "1/../../contacts", "' OR 1"] {
            let unknown = crm.refused("leads.qualify", json!({"id": odd, "qualification": {"note": "x"}})).await?;
            ensure!(unknown.0 == "not-found", "{odd}: {unknown:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_made_once_shown_to_its_requester_and_closed() -> Result<()> {
    let House { account, crm, host: _host, _server } =
        open("{ tickets: { url: \"https://help.example.com/{number}\" } }").await?;
    let input = json!({"ticket": {"subject": "Dampflanze tropft", "body": "Seit Montag", "requester": erika(), "priority": "urgent", "category": "billing issue", "order_number": "WEB-42"}});
    crm.write("contacts.upsert", json!({"person": erika()}), "turn-0").await?;
    account.account().lose_answer = true;
    crm.answer("tickets.create", input.clone(), Some("turn-1")).await?;
    let ticket = crm.write("tickets.create", input.clone(), "turn-1").await?;
    let number = ticket["number"].as_str().context("no number")?.to_owned();
    ensure!(
        ticket["state"] == "new"
            && ticket["url"] == format!("https://help.example.com/{number}")
            && count(&account, "tickets") == 1,
        "{ticket}"
    );
    let contact = {
        let mut account = account.account();
        let record = account.records.get(&("tickets".to_owned(), number.clone())).context("gone")?.properties.clone();
        ensure!(
            record["hs_ticket_priority"] == "URGENT"
                && record["hs_ticket_category"] == "BILLING_ISSUE"
                && record["content"].contains("WEB-42"),
            "{record:?}"
        );
        let internal = account
            .seed("notes", json!({"hs_note_body": "<p>difficult customer</p>", "hs_timestamp": "1700000000000"}));
        let public = account.seed(
            "notes",
            json!({"hs_note_body": "<p>[public] Please send a <b>picture</b></p>", "hs_timestamp": "1700000001000"}),
        );
        for note in [internal, public] {
            account.associate(("notes", &note), ("tickets", &number));
        }
        account.linked(("tickets", &number), "contacts").first().cloned().context("no contact")?
    };
    let proof = json!({"email": "Erika@example.test", "phone": "0660/5550177", "customer_id": contact});
    account.account().lose_answer = true;
    let say = json!({"number": number, "text": "Hier: <b>1</b> & 2", "proof": proof});
    let lost = crm.answer("tickets.comment", say.clone(), Some("turn-2")).await?;
    ensure!(lost["error"]["code"] == "unavailable", "{lost}");
    for _ in 0..2 {
        crm.write("tickets.comment", say.clone(), "turn-2").await?;
    }
    let shown = crm.call("tickets.get", json!({"number": format!("#{number}"), "proof": proof})).await?;
    let said: Vec<&str> =
        shown["comments"].as_array().into_iter().flatten().filter_map(|c| c["text"].as_str()).collect();
    ensure!(
        said == ["Please send a picture", "Hier: <b>1</b> & 2"] && shown["comments"][1]["author"] == "Erika Mustermann",
        "{shown:#}"
    );
    let stranger =
        crm.refused("tickets.get", json!({"number": number, "proof": {"email": "mallory@example.test"}})).await?;
    let unknown =
        crm.refused("tickets.get", json!({"number": "999", "proof": {"email": "mallory@example.test"}})).await?;
    ensure!(stranger.0 == "not-found" && stranger == unknown, "{stranger:?} {unknown:?}");
    ensure!(
        crm.refused("tickets.get", json!({"number": number, "proof": {}})).await?.0 == "proof-required",
        "no proof was enough"
    );
    // At once, without the index; and with the index for those who look at all.
    let search = |query: Value| crm.call("tickets.search", json!({"query": query, "limit": 10}));
    let own = search(json!({"requester_email": "erika@example.test", "text": "montag tropft", "state": "new"})).await?;
    ensure!(own.as_array().map(Vec::len) == Some(1) && own[0]["number"] == number.as_str(), "{own}");
    ensure!(search(json!({"requester_email": "mallory@example.test"})).await? == json!([]), "a stranger found tickets");
    account.account().index();
    ensure!(
        search(json!({"state": "new", "text": "tropft"})).await?.as_array().map(Vec::len) == Some(1),
        "the search found nothing"
    );
    // However much is asked, HubSpot is sent what it takes.
    let long = search(json!({"state": "new", "text": "Dampflanze ".repeat(2_000)})).await?;
    ensure!(long.as_array().map(Vec::len) == Some(1), "{long}");
    let nobody = search(json!({"requester_email": format!("{}@example.test", "x".repeat(20_000))})).await?;
    ensure!(nobody == json!([]), "{nobody}");
    let close = json!({"number": number, "reason": "It stopped", "proof": proof});
    for _ in 0..2 {
        ensure!(crm.write("tickets.close", close.clone(), "turn-3").await?["state"] == "closed", "not closed");
    }
    let notes = account.account().linked(("tickets", &number), "notes").len();
    ensure!(notes == 4, "{notes} notes");
    // Merged into another contact: the old id is known still.
    {
        let mut account = account.account();
        if let Some(record) = account.records.get_mut(&("contacts".to_owned(), contact.clone())) {
            record.properties.insert("hs_merged_object_ids".into(), "51;52".into());
        }
    }
    crm.call("tickets.get", json!({"number": number, "proof": {"customer_id": "52"}})).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_scopes_and_properties_and_limits_are_told() -> Result<()> {
    let House { account, crm, host, _server } = open("{}").await?;
    let checked = crm.check().await?;
    ensure!(checked.iter().all(|(_, status, _)| status == "ok"), "{checked:#?}");
    ensure!(
        account.account().requests.iter().all(|(request, _)| request.starts_with("GET")),
        "the check wrote something"
    );
    {
        let mut account = account.account();
        account.scopes.remove("crm.objects.leads.read");
        account.properties.get_mut("tickets").context("no tickets")?.remove("confab_key");
    }
    let checked = crm.check().await?;
    let of = |name: &str| {
        checked
            .iter()
            .find(|(n, _, _)| n == name)
            .map(|(_, status, message)| (status.as_str(), message.as_str()))
            .unwrap_or_default()
    };
    ensure!(of("read leads").0 == "error" && of("read leads").1.contains("crm.objects.leads.read"), "{checked:#?}");
    ensure!(
        of("key property of tickets").0 == "warning" && of("key property of tickets").1.contains("unique values"),
        "{checked:#?}"
    );
    // Without the property a ticket is made once all the same.
    let input = json!({"ticket": {"subject": "Tea", "body": "cold", "requester": {"email": "ada@example.test"}}});
    crm.write("contacts.upsert", json!({"person": {"email": "ada@example.test"}}), "turn-0").await?;
    account.account().lose_answer = true;
    crm.answer("tickets.create", input.clone(), Some("turn-1")).await?;
    let ticket = crm.write("tickets.create", input.clone(), "turn-1").await?;
    ensure!(
        crm.write("tickets.create", input.clone(), "turn-1").await? == ticket && count(&account, "tickets") == 1,
        "made twice"
    );
    ensure!(
        crm.write("tickets.create", input, "turn-2").await?["number"] != ticket["number"],
        "another turn's wish was swallowed"
    );
    account.account().scopes.remove("tickets");
    let (code, message) =
        crm.refused("tickets.get", json!({"number": "1", "proof": {"email": "ada@example.test"}})).await?;
    ensure!(code == "forbidden" && message.contains("tickets") && !message.contains("ada@"), "{code} {message}");
    account.account().left = 0;
    let limit = crm.answer("contacts.find", json!({"email": "ada@example.test"}), None).await?;
    ensure!(limit["error"]["code"] == "rate-limited", "{limit}");
    ensure!(!host.log()?.contains(TOKEN), "the log has the token");
    Ok(())
}

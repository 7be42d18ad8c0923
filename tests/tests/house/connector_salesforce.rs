//! The connector for Salesforce against a checking org: what it asks is parsed, what it writes is validated, and what it made is looked at there.

use anyhow::{Context, Result, ensure};
use confab_tests::client::Client;
use confab_tests::connection::Connection;
use confab_tests::folder::Folder;
use confab_tests::place;
use confab_tests::server::{Host, Server};
use confab_tests::vendors::salesforce::store::DuplicateRule;
use confab_tests::vendors::salesforce::{Salesforce, TOKEN};
use serde_json::{Value, json};

struct House {
    org: Salesforce,
    crm: Connection,
    host: Host,
    _server: Server,
}

async fn open(settings: &str) -> Result<House> {
    open_with(settings, TOKEN).await
}

async fn open_with(settings: &str, token: &str) -> Result<House> {
    place::plugin("salesforce")?;
    let org = Salesforce::start().await?;
    let folder = Folder::of("shop")?;
    let file = format!(
        "id: crm\nconnector: salesforce\nendpoints:\n  api:\n    url: http://{}\n    auth: {{ kind: bearer, token: \"env:SHOP__SF_TOKEN\" }}\nsettings: {settings}\n",
        org.address()
    );
    folder.write("connections/crm.yaml", &file)?;
    let host = Host::new()?.flag("--allow-private", &org.address()).env("SHOP__SF_TOKEN", token).apply(folder.path());
    let server = host.start().await?;
    let client = Client::new(&server, &host.key("shop", &["--scope", "admin"]).await?)?;
    Ok(House { org, crm: Connection::new(&client, "crm"), host, _server: server })
}

fn erika() -> Value {
    json!({"name": "Erika Mustermann", "email": "erika@example.test", "phone": "+43 660 5550177", "company": "Muster & Söhne GmbH"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_is_made_once_qualified_and_refused_when_converted() -> Result<()> {
    let House { org, crm, host: _host, _server } = open("{}").await?;
    let input = json!({"lead": {"person": erika(), "subject": "Zwölf O'Neil \\ Maschinen", "message": "bis Weihnachten\n100% sicher", "source": "chat", "skus": ["SKU-1001"]}});
    org.org().lose_answer = true;
    let lost = crm.answer("leads.create", input.clone(), Some("turn-1")).await?;
    ensure!(lost["error"]["code"] == "unavailable", "{lost}");
    let lead = crm.write("leads.create", input.clone(), "turn-1").await?;
    let again = crm.write("leads.create", input.clone(), "turn-1").await?;
    ensure!(
        lead == again && lead["state"] == "new" && lead["subject"] == "Zwölf O'Neil \\ Maschinen",
        "{lead} {again}"
    );
    let id = lead["id"].as_str().context("no id")?.to_owned();
    {
        let org = org.org();
        ensure!(org.store.with("Lead", "Email", "erika@example.test").len() == 1, "made more than once");
        let record = org.store.record(&id).context("not there")?.values.clone();
        ensure!(
            record["Company"] == "Muster & Söhne GmbH"
                && record["LeadSource"] == "Chat"
                && record["LastName"] == "Mustermann",
            "{record:#?}"
        );
    }
    // The same visitor in another turn wants something else: another lead.
    let other = crm.write("leads.create", input.clone(), "turn-2").await?;
    ensure!(other["id"] != lead["id"], "two wishes are one lead");
    let found = json!({"id": id, "qualification": {"score": 85, "state": "qualified", "note": "Budget is there"}});
    for _ in 0..2 {
        let qualified = crm.write("leads.qualify", found.clone(), "turn-3").await?;
        ensure!(qualified["state"] == "qualified", "{qualified}");
    }
    {
        let org = org.org();
        let record = &org.store.record(&id).context("not there")?.values;
        ensure!(record["Rating"] == "Hot" && record["Status"] == "Working - Contacted", "{record:#?}");
        let text = record["Description"].as_str().unwrap_or_default();
        ensure!(text.matches("Budget is there").count() == 1, "{text}");
    }
    // Merged into another: that one is meant. Converted: nobody changes it.
    {
        let mut org = org.org();
        let master = other["id"].clone();
        org.store.set(&id, "IsDeleted", json!(true));
        org.store.set(&id, "MasterRecordId", master.clone());
        org.store.set(master.as_str().unwrap_or_default(), "IsConverted", json!(true));
    }
    let (code, message) = crm.refused("leads.qualify", json!({"id": id, "qualification": {"note": "more"}})).await?;
    ensure!(code == "conflict" && message.contains("converted"), "{code} {message}");
    let unknown =
        crm.refused("leads.qualify", json!({"id": "00QA00000099999AAA", "qualification": {"note": "x"}})).await?;
    ensure!(unknown.0 == "not-found", "{unknown:?}");
    // What a rule of the org blocks is added to the lead that it names.
    let anna = json!({"lead": {"person": {"email": "anna@example.test"}, "subject": "Tea", "skus": []}});
    let first = crm.write("leads.create", anna.clone(), "turn-4").await?;
    org.org().store.duplicates = DuplicateRule::Alert;
    let second = crm.write("leads.create", anna.clone(), "turn-5").await?;
    ensure!(first["id"] != second["id"], "a rule that warns was taken for one that blocks");
    org.org().store.duplicates = DuplicateRule::Block;
    let third = crm
        .write(
            "leads.create",
            json!({"lead": {"person": {"email": "anna@example.test"}, "subject": "Cups", "skus": []}}),
            "turn-6",
        )
        .await?;
    ensure!(third["id"] == first["id"], "{third}");
    let about = |lead: &Value| {
        let org = org.org();
        Ok::<_, anyhow::Error>(
            org.store.record(lead["id"].as_str().unwrap_or_default()).context("gone")?.values["Description"].clone(),
        )
    };
    let text = about(&first)?;
    ensure!(
        text == "Tea\nE-mail: anna@example.test\nCups\n[confab:turn-6]" && third["subject"] == "Cups",
        "{text} {third}"
    );
    // One who is only called the same is somebody else: nothing is added, and nothing told.
    org.org().store.duplicates = DuplicateRule::Off;
    let called = |email: &str, subject: &str| json!({"lead": {"person": {"name": "Anna Muster", "email": email}, "subject": subject, "skus": []}});
    let other = crm.write("leads.create", called("anna.m@example.test", "Mills"), "turn-7").await?;
    org.org().store.duplicates = DuplicateRule::Block;
    let alike = crm.answer("leads.create", called("a.muster@example.test", "Beans"), Some("turn-8")).await?;
    ensure!(alike["error"]["code"] == "conflict" && !alike.to_string().contains("anna.m@"), "{alike}");
    ensure!(about(&other)? == "Mills", "a namesake's words were added");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_org_with_hundreds_of_fields_is_described_once() -> Result<()> {
    let House { org, crm, host: _host, _server } = open("{}").await?;
    {
        let mut org = org.org();
        let lead = org.store.objects.get_mut("Lead").context("no Lead")?;
        let field = lead.fields.get("LeadSource").context("no LeadSource")?.clone();
        for n in 0..900 {
            lead.fields.insert(format!("What_marketing_wanted_to_know_in_some_year_{n}__c"), field.clone());
        }
    }
    for turn in ["turn-1", "turn-2"] {
        let input = json!({"lead": {"person": erika(), "subject": "Tea", "source": "chat", "skus": []}});
        crm.write("leads.create", input, turn).await?;
    }
    let described = org.org().requests.iter().filter(|(path, _)| path.contains("/describe")).count();
    ensure!(described == 1, "described {described} times");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_made_once_shown_to_its_requester_commented_and_closed() -> Result<()> {
    let House { org, crm, host: _host, _server } =
        open("{ cases: { url: \"https://help.example.com/{number}\" } }").await?;
    let contact = org.org().store.seed("Contact", json!({"FirstName": "Erika", "LastName": "Mustermann", "Email": "Erika@Example.test", "Phone": "0660/555 01 77"}));
    let input = json!({"ticket": {"subject": "Dampflanze tropft", "body": "Seit Montag", "requester": erika(), "priority": "urgent", "category": "Second level", "order_number": "WEB-42"}});
    org.org().lose_answer = true;
    crm.answer("tickets.create", input.clone(), Some("turn-1")).await?;
    let ticket = crm.write("tickets.create", input.clone(), "turn-1").await?;
    let number = ticket["number"].as_str().context("no number")?.to_owned();
    ensure!(ticket["state"] == "new" && ticket["url"] == format!("https://help.example.com/{number}"), "{ticket}");
    {
        let org = org.org();
        let cases = org.store.with("Case", "Subject", "Dampflanze tropft");
        ensure!(cases.len() == 1, "{} cases", cases.len());
        let case = org.store.record(&cases[0]).context("gone")?.values.clone();
        ensure!(
            case["ContactId"] == contact.as_str() && case["Priority"] == "High" && case["Origin"] == "Chat",
            "{case:#?}"
        );
        let queue = org.store.with("Group", "Name", "Second level");
        ensure!(
            case["OwnerId"] == queue[0].as_str() && case["Description"].as_str().is_some_and(|d| d.contains("WEB-42")),
            "{case:#?}"
        );
    }
    // What the service team says among themselves is nobody else's.
    let case = org.org().store.with("Case", "CaseNumber", &number).first().cloned().context("no case")?;
    org.org().store.seed(
        "CaseComment",
        json!({"ParentId": case, "CommentBody": "internal: difficult customer", "IsPublished": false}),
    );
    org.org()
        .store
        .seed("CaseComment", json!({"ParentId": case, "CommentBody": "Please send a picture", "IsPublished": true}));
    let proof = json!({"email": "ERIKA@example.test"});
    let short = number.trim_start_matches('0').to_owned();
    // The braces are text: they refer to nothing that another part of the request answered.
    let say = json!({"number": short, "text": "Here it is: 'picture.png' @{read.records[0].Id}", "proof": proof});
    for _ in 0..2 {
        crm.write("tickets.comment", say.clone(), "turn-2").await?;
    }
    let shown = crm.call("tickets.get", json!({"number": number, "proof": proof})).await?;
    let said: Vec<&str> =
        shown["comments"].as_array().into_iter().flatten().filter_map(|c| c["text"].as_str()).collect();
    let own = "Here it is: 'picture.png' @ {read.records[0].Id}";
    ensure!(said == ["Please send a picture", own], "{shown:#}");
    // By the contact's number and id too; by nothing, by another address, and by a number that does not exist: the same words.
    crm.call(
        "tickets.get",
        json!({"number": number, "proof": {"phone": "+43 660 5550177", "customer_id": &contact[..15]}}),
    )
    .await?;
    let stranger =
        crm.refused("tickets.get", json!({"number": number, "proof": {"email": "mallory@example.test"}})).await?;
    let unknown =
        crm.refused("tickets.get", json!({"number": "00999999", "proof": {"email": "mallory@example.test"}})).await?;
    let injected = crm
        .refused(
            "tickets.get",
            json!({"number": "x') OR (CaseNumber != '", "proof": {"email": "mallory@example.test"}}),
        )
        .await?;
    ensure!(
        stranger.0 == "not-found" && stranger == unknown && stranger == injected,
        "{stranger:?} {unknown:?} {injected:?}"
    );
    ensure!(
        crm.refused("tickets.get", json!({"number": number, "proof": {"email": " "}})).await?.0 == "proof-required",
        "no proof was enough"
    );
    // Found by words of subject and text, and by nobody else's address.
    let search = |query: Value| crm.call("tickets.search", json!({"query": query, "limit": 10}));
    let found = search(json!({"requester_email": "erika@example.test", "text": "seit tropft", "state": "new"})).await?;
    ensure!(found.as_array().map(Vec::len) == Some(1) && found[0]["number"] == number.as_str(), "{found}");
    let others = search(json!({"requester_email": "e' OR SuppliedEmail != 'x@example.test"})).await?;
    ensure!(others == json!([]), "{others}");
    ensure!(search(json!({"text": "100%_'\\"})).await? == json!([]), "a wildcard found something");
    let long = search(json!({"text": "Dampflanze ".repeat(4_000), "state": "new"})).await?;
    ensure!(long.as_array().map(Vec::len) == Some(1), "{long}");
    // Somebody else holds the record: nothing is written, neither reason nor status.
    let close = json!({"number": number, "reason": "It stopped", "proof": proof});
    org.org().store.locked.push(case.clone());
    let locked = crm.answer("tickets.close", close.clone(), Some("turn-3")).await?;
    ensure!(
        locked["error"]["code"] == "conflict"
            && org.org().store.with("CaseComment", "CommentBody", "It stopped").is_empty(),
        "{locked}"
    );
    org.org().store.locked.clear();
    for _ in 0..2 {
        let closed = crm.write("tickets.close", close.clone(), "turn-3").await?;
        ensure!(closed["state"] == "closed", "{closed}");
    }
    ensure!(
        org.org().store.with("CaseComment", "CommentBody", "It stopped").len() == 1,
        "the reason is not there once"
    );
    ensure!(
        search(json!({"requester_email": "erika@example.test", "state": "open"})).await? == json!([]),
        "a closed case is open"
    );
    let closed = search(json!({"requester_email": "erika@example.test", "state": "closed"})).await?;
    ensure!(closed.as_array().map(Vec::len) == Some(1), "{closed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_told_to_whom_it_belongs_with_its_lines() -> Result<()> {
    let House { org, crm, host: _host, _server } =
        open("{ currency: EUR, orders: { phone_fields: [Account.Phone] } }").await?;
    let (contact, order) = {
        let mut org = org.org();
        let account = org.store.seed("Account", json!({"Name": "Muster & Söhne GmbH", "Phone": "+43 1 5550100"}));
        let contact = org
            .store
            .seed("Contact", json!({"LastName": "Mustermann", "Email": "erika@example.test", "AccountId": account}));
        let machine = org.store.seed("Product2", json!({"Name": "Espressomaschine", "ProductCode": "SKU-1001"}));
        let values = json!({"PoNumber": "WEB-42", "Status": "Activated", "StatusCode": "Activated", "EffectiveDate": "2026-11-20", "TotalAmount": 698.0,
            "AccountId": account, "BillToContactId": contact, "ShippingPostalCode": "8010"});
        let order = org.store.seed("Order", values);
        org.store.seed(
            "OrderItem",
            json!({"OrderId": order, "Product2Id": machine, "Quantity": 2.0, "UnitPrice": 349.0, "TotalPrice": 698.0}),
        );
        // The same number of another customer's, newer; and one that was deleted.
        org.store.seed(
            "Order",
            json!({"PoNumber": "WEB-42", "Status": "Draft", "StatusCode": "Draft", "EffectiveDate": "2026-11-21"}),
        );
        org.store.seed(
            "Order",
            json!({"PoNumber": "WEB-43", "Status": "Draft", "BillToContactId": contact, "IsDeleted": true}),
        );
        (contact, order)
    };
    let get = |number: &str, proof: Value| json!({"number": number, "proof": proof});
    let shown =
        crm.call("orders.get", get("WEB-42", json!({"email": "Erika@example.test", "postal_code": "80 10"}))).await?;
    ensure!(
        shown["reference"] == "WEB-42" && shown["state"] == "confirmed" && shown["placed_at"] == "2026-11-20T00:00:00Z",
        "{shown:#}"
    );
    ensure!(shown["total"] == json!({"amount": "698.00", "currency": "EUR"}), "{shown:#}");
    ensure!(
        shown["lines"][0]["sku"] == "SKU-1001"
            && shown["lines"][0]["quantity"] == 2.0
            && shown["customer_id"] == contact.as_str(),
        "{shown:#}"
    );
    let number = shown["number"].as_str().context("no number")?.trim_start_matches('0').to_owned();
    crm.call("orders.get", get(&number, json!({"phone": "01 5550100"}))).await?;
    let wrong =
        crm.refused("orders.get", get("WEB-42", json!({"email": "erika@example.test", "postal_code": "1010"}))).await?;
    let deleted = crm.refused("orders.get", get("WEB-43", json!({"email": "erika@example.test"}))).await?;
    ensure!(wrong.0 == "not-found" && wrong == deleted, "{wrong:?} {deleted:?}");
    let listed = crm.call("orders.list-for-customer", json!({"customer_id": contact, "limit": 5})).await?;
    ensure!(listed.as_array().map(Vec::len) == Some(1), "{listed}");
    ensure!(
        crm.call("orders.list-for-customer", json!({"customer_id": "003' OR Id != '", "limit": 5})).await? == json!([]),
        "an injected id found orders"
    );
    org.org().store.set(&order, "Status", json!("Shipped"));
    let tracked = crm.call("orders.track", get("WEB-42", json!({"email": "erika@example.test"}))).await?;
    ensure!(tracked[0]["state"] == "shipped", "{tracked}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_found_over_pages_made_once_and_never_changed() -> Result<()> {
    let House { org, crm, host: _host, _server } = open("{ contacts: { accounts: create } }").await?;
    {
        // 250 numbers that end alike; one of them is meant.
        let mut org = org.org();
        for n in 0..250 {
            org.store.seed(
                "Contact",
                json!({"LastName": format!("N{n}"), "MobilePhone": format!("+49 30 {n:03} 55 01 77")}),
            );
        }
    }
    let found = crm.call("contacts.find", json!({"phone": "030/249550177"})).await?;
    ensure!(found.as_array().map(Vec::len) == Some(1) && found[0]["name"] == "N249", "{found}");
    let pages = org.org().requests.iter().filter(|(path, _)| path.contains("/query")).count();
    ensure!(pages == 2, "{pages} pages were asked for");
    let made = crm.write("contacts.upsert", json!({"person": erika()}), "turn-1").await?;
    ensure!(made["company"] == "Muster & Söhne GmbH" && made["phone"] == "+43 660 5550177", "{made}");
    let mut stranger = erika();
    stranger["phone"] = json!("+43 1 999999");
    let again = crm.write("contacts.upsert", json!({"person": stranger}), "turn-2").await?;
    ensure!(made == again, "somebody who knows an address changed the contact: {again}");
    org.org()
        .store
        .seed("Lead", json!({"LastName": "Lovelace", "Company": "[not provided]", "Email": "ada@example.test"}));
    let lead = crm.call("contacts.find", json!({"email": "ada@example.test"})).await?;
    ensure!(
        lead[0]["name"] == "Lovelace" && lead[0]["extra"][0]["value"] == "Lead" && lead[0]["company"].is_null(),
        "{lead}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_and_a_used_up_limit_are_told_and_the_check_names_what_is_missing() -> Result<()> {
    let House { org, crm, host, _server } = open("{}").await?;
    let checked = crm.check().await?;
    let of = |name: &str| {
        checked
            .iter()
            .find(|(n, _, _)| n == name)
            .map(|(_, status, message)| (status.as_str(), message.as_str()))
            .unwrap_or_default()
    };
    ensure!(
        of("key field of Lead").0 == "ok" && of("create Lead").0 == "ok" && of("api version").0 == "ok",
        "{checked:#?}"
    );
    ensure!(of("close cases").1 == "Status Closed" && of("currency").0 == "warning", "{checked:#?}");
    ensure!(org.org().requests.iter().all(|(request, _)| request.starts_with("GET")), "the check wrote something");
    {
        let mut org = org.org();
        let lead = org.store.objects.get_mut("Lead").context("no Lead")?;
        lead.fields.remove("Confab_Key__c");
        org.store.objects.remove("Order");
    }
    let checked = crm.check().await?;
    let of = |name: &str| {
        checked
            .iter()
            .find(|(n, _, _)| n == name)
            .map(|(_, status, message)| (status.as_str(), message.as_str()))
            .unwrap_or_default()
    };
    ensure!(
        of("key field of Lead").0 == "warning" && of("key field of Lead").1.contains("External ID"),
        "{checked:#?}"
    );
    ensure!(of("read Order").0 == "error", "{checked:#?}");
    // Without the field a lead is made once all the same.
    let input = json!({"lead": {"person": {"email": "ada@example.test"}, "subject": "Tea", "skus": []}});
    org.org().lose_answer = true;
    crm.answer("leads.create", input.clone(), Some("turn-1")).await?;
    let lead = crm.write("leads.create", input.clone(), "turn-1").await?;
    ensure!(crm.write("leads.create", input, "turn-1").await? == lead, "another one");
    ensure!(org.org().store.with("Lead", "Email", "ada@example.test").len() == 1, "made twice");
    org.org().left = 0;
    let limit = crm.answer("contacts.find", json!({"email": "ada@example.test"}), None).await?;
    ensure!(limit["error"]["code"] == "rate-limited", "{limit}");
    ensure!(!host.log()?.contains(TOKEN), "the log has the token");

    let House { org: _org, crm, host, _server: _second } = open_with("{}", "wrong-token-canary").await?;
    let (code, message) = crm.refused("contacts.find", json!({"email": "ada@example.test"})).await?;
    ensure!(code == "misconfigured" && !message.contains("canary") && !message.contains("ada"), "{code} {message}");
    ensure!(!host.log()?.contains("wrong-token-canary"), "the log has the token");
    Ok(())
}

//! The connector on Shopify's own schema: a server refuses what is no query of it, lacks a scope, or costs too much.

use anyhow::{Result, ensure};
use confab_tests::client::Client;
use confab_tests::connection::Connection;
use confab_tests::folder::Folder;
use confab_tests::server::{Host, Server};
use confab_tests::systems::shopify::Shopify;
use serde_json::{Value, json};

struct House {
    shopify: Shopify,
    host: Host,
    _server: Server,
    client: Client,
}

impl House {
    fn connection(&self, id: &str) -> Connection {
        Connection::new(&self.client, id)
    }

    /// Each request was a query of Shopify's schema, which cost no more than one may; what was refused lacked a scope.
    async fn accepted(&self) -> Result<()> {
        let state = self.shopify.state().await?;
        let requests = state["requests"].as_array().map(Vec::as_slice).unwrap_or_default();
        for request in requests {
            let errors = request["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
            let denied = errors.iter().all(|error| error["extensions"]["code"] == "ACCESS_DENIED");
            ensure!(denied && request["cost"].as_u64().is_some_and(|cost| cost <= 1_000), "{request}");
        }
        ensure!(!requests.is_empty(), "nothing was asked");
        Ok(())
    }
}

/// A connection for each token that the server has, by what the token may; `old` speaks another version, `wrong` has no token's value.
const CONNECTIONS: [(&str, &str); 8] = [
    ("whole", "{}"),
    ("stock", "{untracked_quantity: 99}"),
    ("recent", "{order_prefix: EN, phone_country_code: \"43\"}"),
    ("unapproved", "{}"),
    ("poor", "{}"),
    ("wrong", "{}"),
    ("old", "{api_version: 2025-10}"),
    ("future", "{api_version: 2099-01}"),
];

async fn house() -> Result<House> {
    let shopify = Shopify::start().await?;
    let folder = Folder::shop()?;
    let mut host = Host::new()?.flag("--allow-private", &shopify.address());
    for (id, settings) in CONNECTIONS {
        let secret = id.to_uppercase();
        let token = match id {
            "old" | "future" => "shpat_whole".to_owned(),
            "wrong" => "canary-shpat-0123456789".to_owned(),
            id => format!("shpat_{id}"),
        };
        host = host.env(&format!("SHOP__{secret}"), &token);
        let yaml = format!(
            "id: {id}\nconnector: shopify\nendpoints:\n  api:\n    url: {}\n    \
             auth: {{ kind: header, name: x-shopify-access-token, value: \"env:SHOP__{secret}\" }}\nsettings: {settings}\n",
            shopify.url()
        );
        folder.write(&format!("connections/{id}.yaml"), &yaml)?;
    }
    let server = host.clone().apply(folder.path()).start().await?;
    let client = Client::new(&server, &host.key("shop", &["--scope", "admin"]).await?)?;
    Ok(House { shopify, host, _server: server, client })
}

fn texts<'v>(list: &'v Value, pointer: &str) -> Vec<&'v str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|entry| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default()).collect()
}

fn of(number: &str, email: &str) -> Value {
    json!({"number": number, "proof": {"email": email}})
}

fn extra<'v>(order: &'v Value, name: &str) -> &'v str {
    let all = order["extra"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().find(|e| e["name"] == name).and_then(|e| e["value"].as_str()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn orders_are_told_to_their_owners_only_by_each_of_their_numbers() -> Result<()> {
    let house = house().await?;
    let shop = house.connection("whole");
    for number in ["1042", "#1042", " conf1042 ", "web-42"] {
        let order = shop.call("orders.get", of(number, "Erika@example.test")).await?;
        ensure!(
            order["number"] == "#1042" && order["reference"] == "WEB-42" && order["state"] == "confirmed",
            "{order}"
        );
        ensure!(
            order["total"] == json!({"amount": "698.00", "currency": "EUR"}) && order["lines"][0]["quantity"] == 2.0,
            "{order}"
        );
    }
    let ways = [
        ("1041", json!({"postal_code": "10 20"}), "shipped"),
        ("1043", json!({"phone": "0221 998877", "email": "juergen@example.test"}), "shipped"),
        ("1044", json!({"customer_id": "gid://shopify/Customer/7002"}), "cancelled"),
        ("1045", json!({"customer_id": "7003"}), "delivered"),
        ("1046", json!({"postal_code": "sw1a1aa"}), "confirmed"),
    ];
    for (number, proof, state) in ways {
        let order = shop.call("orders.get", json!({"number": number, "proof": proof})).await?;
        ensure!(order["state"] == state && order["number"] == format!("#{number}"), "{order}");
    }
    // What the customer paid in, and what the shop counts in.
    let yen = shop.call("orders.get", of("1045", "yuki@example.test")).await?;
    ensure!(yen["total"] == json!({"amount": "6500", "currency": "JPY"}), "{yen}");
    ensure!(
        extra(&yen, "total in the shop's currency") == "39.00 EUR" && extra(&yen, "return") == "return-requested",
        "{yen}"
    );
    let cancelled = shop.call("orders.get", of("1044", "juergen@example.test")).await?;
    ensure!(cancelled["lines"][0]["quantity"] == 1.0 && extra(&cancelled, "payment") == "refunded", "{cancelled}");
    // More lines than a page has.
    let long = shop.call("orders.get", of("1047", "juergen@example.test")).await?;
    ensure!(long["lines"].as_array().map(Vec::len) == Some(130) && extra(&long, "more lines").is_empty(), "{long}");

    // Sixty newer ones have names that begin with this one's.
    let behind = shop.call("orders.get", of("1048", "mona@example.test")).await?;
    ensure!(behind["number"] == "#1048" && behind["lines"][0]["sku"] == "KIT-1", "{behind}");
    let near = shop.call("orders.get", of("1048-r7", "mona@example.test")).await?;
    ensure!(near["number"] == "#1048-R7", "{near}");

    let unknown = shop.refused("orders.get", of("4711", "erika@example.test")).await?;
    ensure!(unknown.0 == "not-found", "{unknown:?}");
    for number in ["1043", "104*", "*", "1042\" OR name:\"1043", "x) OR (name:1043", "\\", "-1042", "NOT 1"] {
        let (code, message) = shop.refused("orders.get", of(number, "erika@example.test")).await?;
        ensure!((&code, &message) == (&unknown.0, &unknown.1), "{number} can be told apart: {code}: {message}");
    }
    ensure!(
        shop.refused("orders.get", json!({"number": "1042", "proof": {"email": " "}})).await?.0 == "proof-required"
    );

    let latest = shop.call("orders.list-for-customer", json!({"customer_id": "7001", "limit": 50})).await?;
    ensure!(texts(&latest, "/number") == ["#1042", "#1041", "#900"], "{latest}");
    let listed = shop.call("orders.list-for-customer", json!({"customer_id": "7002", "limit": 3})).await?;
    ensure!(
        texts(&listed, "/number") == ["#1043", "#1044", "#1047"] && !extra(&listed[2], "more lines").is_empty(),
        "{listed}"
    );
    ensure!(
        shop.call("orders.list-for-customer", json!({"customer_id": "7001 OR 7002", "limit": 3})).await? == json!([])
    );
    house.accepted().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn parcels_are_tracked_by_each_number_and_the_rest_is_waited_for() -> Result<()> {
    let house = house().await?;
    let shop = house.connection("whole");
    let sent = shop.call("orders.track", of("1041", "erika@example.test")).await?;
    ensure!(texts(&sent, "/tracking_number") == ["EX0000041AT", "EX0000042AT"], "{sent}");
    ensure!(
        texts(&sent, "/state") == ["in-transit", "in-transit"] && sent[0]["expected_at"] == "2026-11-24T17:00:00Z",
        "{sent}"
    );
    ensure!(texts(&sent[0]["events"], "/at") == ["2026-11-20T08:00:00Z", "2026-11-21T05:00:00Z"], "{sent}");
    ensure!(
        sent[0]["events"][1]["place"] == "Wien, Austria"
            && sent[0]["url"].as_str().is_some_and(|u| u.ends_with("EX0000041AT")),
        "{sent}"
    );
    let partly = shop.call("orders.track", of("1043", "juergen@example.test")).await?;
    ensure!(texts(&partly, "/state") == ["delivered", "pending"], "{partly}");
    ensure!(texts(&shop.call("orders.track", of("1042", "erika@example.test")).await?, "/state") == ["pending"]);
    ensure!(shop.call("orders.track", of("1044", "juergen@example.test")).await? == json!([]));
    house.accepted().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn stock_is_told_by_open_place_and_never_below_nothing() -> Result<()> {
    let house = house().await?;
    let (shop, stock_only) = (house.connection("whole"), house.connection("stock"));
    let stock = |sku: &str, place: Option<&str>| json!({"sku": sku, "location": place});
    let levels = |list: &Value| -> Vec<(String, f64, f64)> {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let number = |level: &Value, field: &str| level[field].as_f64().unwrap_or(-1.0);
        list.iter()
            .map(|l| (l["location"].as_str().unwrap_or("-").to_owned(), number(l, "on_hand"), number(l, "available")))
            .collect()
    };
    let main = ("Zentrallager".to_owned(), 7.0, 5.0);
    let machine = shop.call("inventory.availability", stock("sku-1001", None)).await?;
    ensure!(levels(&machine) == [main.clone(), ("Wien".into(), 0.0, 0.0)], "{machine}");
    let there = stock_only.call("inventory.availability", stock("SKU-1001", Some(" zentrallager "))).await?;
    ensure!(levels(&there) == [main], "{there}");
    // More places than a page has.
    let cup = shop.call("inventory.availability", stock("SKU-1011", None)).await?;
    ensure!(levels(&cup).len() == 60, "{cup}");
    let small = shop.call("inventory.availability", stock("SKU-1008-S", None)).await?;
    ensure!(small[0]["name"] == "Filter paper - small", "{small}");
    let odd = "SET \"A\" \\ (1):*";
    ensure!(shop.call("inventory.availability", stock(odd, None)).await?[0]["sku"] == odd);
    // Sixty older ones have numbers that begin with this one's.
    for sku in ["KIT-1", "kit-1"] {
        let kit = shop.call("inventory.availability", stock(sku, None)).await?;
        ensure!(kit[0]["sku"] == "KIT-1" && kit[0]["on_hand"] == 2.0, "{kit}");
        ensure!(shop.call("catalog.get", json!({"sku": sku})).await?["name"] == "Kit");
    }
    for sku in ["SKU-1006", "SKU-1007", "SKU-9999", "SKU-10*", "*", "SKU-1001\" OR sku:\"SKU-1002"] {
        let (code, message) = shop.refused("inventory.availability", stock(sku, None)).await?;
        ensure!(code == "not-found", "{sku}: {code}: {message}");
    }
    let (code, message) = shop.refused("inventory.availability", stock("SKU-1001", Some("Linz"))).await?;
    ensure!(code == "not-found" && message.contains("Zentrallager, Wien") && !message.contains("Closed"), "{message}");
    ensure!(shop.refused("inventory.availability", stock("SKU-1005", None)).await?.0 == "unsupported");
    ensure!(
        levels(&shop.call("inventory.availability", stock("SKU-1009", None)).await?)
            == [("Zentrallager".into(), 0.0, 0.0)]
    );
    for sku in ["SKU-1005", "SKU-1009"] {
        let told = stock_only.call("inventory.availability", stock(sku, None)).await?;
        ensure!(levels(&told) == [("-".into(), 99.0, 99.0)], "{told}");
    }
    house.accepted().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn articles_are_found_and_recommended_only_if_they_can_be_bought() -> Result<()> {
    let house = house().await?;
    let (shop, stock_only) = (house.connection("whole"), house.connection("stock"));
    let machine = shop.call("catalog.get", json!({"sku": "SKU-1001"})).await?;
    ensure!(
        machine["price"] == json!({"amount": "349.00", "currency": "EUR"})
            && machine["categories"] == json!(["Machines", "Coffee bar"]),
        "{machine}"
    );
    ensure!(machine["image_url"].is_string() && machine["url"].is_string(), "{machine}");
    ensure!(shop.call("catalog.get", json!({"sku": "SKU-1010"})).await?["name"] == "Friends only");
    for sku in ["SKU-1006", "SKU-1007", "SKU*"] {
        ensure!(shop.refused("catalog.get", json!({"sku": sku})).await?.0 == "not-found", "{sku}");
    }
    let search = |query: &str| json!({"query": query, "limit": 10});
    for (query, skus) in [
        ("haben Sie die Kaffeemühle Grün?", vec!["SKU-1004"]),
        ("sku-1002", vec!["SKU-1002"]),
        ("filter", vec!["SKU-1008-S", "SKU-1008-L"]),
        ("machine", vec!["SKU-1001", "SKU-1003", "SKU-1004", "SKU-1009"]),
        ("kettle", vec![]),
        ("friends", vec![]),
        ("\" OR status:archived OR \"", vec![]),
        ("(*) status:draft", vec![]),
    ] {
        let found = shop.call("catalog.search", search(query)).await?;
        let mut told = texts(&found, "/sku");
        told.sort_unstable_by_key(|sku| skus.iter().position(|s| s == sku));
        ensure!(told == skus, "{query}: {found}");
    }
    let wanted = |skus: Value, query: Value, customer: Value| json!({"interest": {"query": query, "skus": skus, "customer_id": customer}, "limit": 10});
    let told = |list: &Value| -> Vec<String> {
        texts(list, "/product/sku")
            .into_iter()
            .zip(texts(list, "/reason"))
            .map(|(sku, reason)| format!("{sku} {reason}"))
            .collect()
    };
    let bought = shop.call("catalog.recommend", wanted(json!(["sku-1001"]), json!(null), json!(null))).await?;
    let first = [
        "SKU-1002 often bought with Espresso machine",
        "SKU-1004 similar to Espresso machine",
        "SKU-1009 similar to Espresso machine",
    ];
    ensure!(told(&bought) == first, "{bought}");
    // What the customer has is not recommended again, nor what can't be bought now or is a draft.
    let own = shop.call("catalog.recommend", wanted(json!([]), json!("descaler, filter"), json!("7001"))).await?;
    let skus = texts(&own, "/product/sku");
    ensure!(
        skus.contains(&"SKU-1008-S")
            && !skus.iter().any(|s| ["SKU-1001", "SKU-1002", "SKU-1003", "SKU-1006", "SKU-1007"].contains(s)),
        "{own}"
    );
    let tagged = shop.call("catalog.recommend", wanted(json!(["SKU-1002"]), json!(null), json!(null))).await?;
    ensure!(told(&tagged).contains(&"SKU-1008-S similar to Milk frother".to_owned()), "{tagged}");
    let poor = stock_only.call("catalog.recommend", wanted(json!(["SKU-1001"]), json!(null), json!(null))).await?;
    ensure!(
        texts(&poor, "/product/sku").first() == Some(&"SKU-1002") || texts(&poor, "/product/sku").contains(&"SKU-1004"),
        "{poor}"
    );
    ensure!(!told(&poor).iter().any(|t| t.contains("bought with")), "{poor}");
    house.accepted().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn a_customer_is_made_once_and_keeps_what_is_known() -> Result<()> {
    let house = house().await?;
    let (shop, recent) = (house.connection("whole"), house.connection("recent"));
    let email = "ada.lovelace@example.test";
    let count = |state: &Value, email: &str| {
        state["customers"].as_array().into_iter().flatten().filter(|c| c["email"] == email).count()
    };
    ensure!(count(&house.shopify.state().await?, email) == 0);
    let ada = |name: &str, phone: Value| json!({"person": {"name": name, "email": "Ada.Lovelace@example.test", "phone": phone, "company": "Analytical & Söhne"}});
    let made = shop.write("contacts.upsert", ada("Ada Ünal Lovelace", json!("+44 20 7946 0000")), "once").await?;
    for (key, phone) in
        [("once", json!("+44 20 7946 0000")), ("again", json!("+44 20 7946 1111")), ("third", json!(null))]
    {
        let same = shop.write("contacts.upsert", ada("Somebody Else", phone), key).await?;
        ensure!(
            same["id"] == made["id"] && same["name"] == "Ada Ünal Lovelace" && same["phone"] == "+442079460000",
            "{same}"
        );
    }
    // Several at the same moment: Shopify refuses the second, which then finds the first.
    let grace = json!({"person": {"name": "Grace", "email": "grace@example.test", "phone": null, "company": null}});
    let tries = (0..5).map(|n| {
        let (shop, grace) = (shop.clone(), grace.clone());
        async move { shop.write("contacts.upsert", grace, &format!("g-{n}")).await }
    });
    let answers = futures::future::try_join_all(tries).await?;
    ensure!(answers.iter().all(|a| a["id"] == answers[0]["id"]), "{answers:?}");
    // A number that is another customer's, or none at all, doesn't keep somebody from being known by the address.
    for (email, phone) in [("second@example.test", "+43 1 234 56 78"), ("third@example.test", "+999 123456789")] {
        let person = json!({"person": {"name": "Some Body", "email": email, "phone": phone, "company": null}});
        ensure!(shop.write("contacts.upsert", person, email).await?["phone"].is_null(), "{email}");
    }
    let state = house.shopify.state().await?;
    for email in [email, "grace@example.test", "second@example.test", "third@example.test"] {
        ensure!(count(&state, email) == 1, "{email}: {}", state["customers"]);
    }
    let there = state["customers"].as_array().into_iter().flatten().find(|c| c["email"] == email);
    ensure!(
        there.is_some_and(|c| c["lastName"] == "Lovelace" && c["note"] == "Company: Analytical & Söhne"),
        "{there:?}"
    );

    let find = |email: Option<&str>, phone: Option<&str>| json!({"email": email, "phone": phone});
    ensure!(
        texts(&shop.call("contacts.find", find(None, Some("+43 1 2345678"))).await?, "/name") == ["Erika Mustermann"]
    );
    ensure!(
        texts(&recent.call("contacts.find", find(None, Some("01 234 56 78"))).await?, "/name") == ["Erika Mustermann"]
    );
    ensure!(shop.refused("contacts.find", find(None, Some("01 234 56 78"))).await?.0 == "invalid-input");
    ensure!(shop.call("contacts.find", find(Some("erika@example.test"), Some("+43 1 999 99 99"))).await? == json!([]));
    ensure!(shop.call("contacts.find", find(Some("nobody@example.test"), None)).await? == json!([]));
    let company = shop.call("contacts.find", find(Some("JUERGEN@example.test"), None)).await?;
    ensure!(company[0]["company"] == "Größe & Söhne" && company[0]["name"] == "Jürgen Größe", "{company}");
    let refused = recent
        .refused(
            "contacts.upsert",
            json!({"person": {"name": null, "email": "new@example.test", "phone": null, "company": null}}),
        )
        .await?;
    ensure!(refused.0 == "forbidden" && refused.1.contains("write_customers"), "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn what_is_missing_is_named_and_a_token_is_never_told() -> Result<()> {
    let house = house().await?;
    let errors = |findings: &[(String, String, String)], wanted: &str| {
        findings.iter().filter(|(_, status, _)| status == wanted).map(|(name, ..)| name.clone()).collect::<Vec<_>>()
    };
    let good = house.connection("whole").check().await?;
    ensure!(good.iter().all(|(_, status, _)| status == "ok") && good.len() == 10, "{good:?}");
    let poor = house.connection("stock").check().await?;
    ensure!(errors(&poor, "error") == ["read orders", "read contacts", "create contacts"], "{poor:?}");
    let recent = house.connection("recent").check().await?;
    ensure!(errors(&recent, "warning") == ["order names", "read old orders"], "{recent:?}");
    let unapproved = house.connection("unapproved").check().await?;
    ensure!(errors(&unapproved, "error") == ["protected customer data"], "{unapproved:?}");
    let old = house.connection("old").check().await?;
    ensure!(
        errors(&old, "warning") == ["API version"] && old.iter().any(|(.., message)| message.contains("2026-10")),
        "{old:?}"
    );
    ensure!(errors(&house.connection("wrong").check().await?, "error") == ["sign in"]);

    let order = of("1042", "erika@example.test");
    for (connection, code, words) in [
        ("stock", "forbidden", "read_orders"),
        ("unapproved", "forbidden", "protected customer data"),
        ("wrong", "misconfigured", ""),
        ("future", "misconfigured", "2099-01"),
    ] {
        let (refused, message) = house.connection(connection).refused("orders.get", order.clone()).await?;
        ensure!(refused == code && message.contains(words), "{connection}: {refused}: {message}");
    }
    // Orders older than 60 days need a scope of their own.
    let old = of("900", "erika@example.test");
    ensure!(house.connection("whole").call("orders.get", old.clone()).await?["number"] == "#900");
    ensure!(house.connection("recent").refused("orders.get", old).await?.0 == "not-found");
    // Points that are spent come back in time, and the answer says when.
    let spent = house.connection("poor");
    let mut said = json!(null);
    for sku in ["SKU-1001", "SKU-1002", "SKU-1003", "SKU-1004", "SKU-1008-S", "SKU-1008-L"] {
        let answer = spent.answer("inventory.availability", json!({"sku": sku, "location": null}), None).await?;
        if !answer["error"].is_null() {
            said = answer;
            break;
        }
    }
    ensure!(
        said["error"]["code"] == "rate-limited" && said["error"]["retry_after"].as_u64().is_some_and(|s| s > 0),
        "{said}"
    );

    // The server had nothing to complain about but what it was made to refuse.
    let state = house.shopify.state().await?;
    let expected = ["ACCESS_DENIED", "THROTTLED"];
    for error in
        state["requests"].as_array().into_iter().flatten().flat_map(|r| r["errors"].as_array().into_iter().flatten())
    {
        ensure!(expected.iter().any(|code| error["extensions"]["code"] == *code), "{error}");
    }
    let dearest = state["requests"].as_array().into_iter().flatten().filter_map(|r| r["cost"].as_u64()).max();
    ensure!(dearest.is_some_and(|cost| cost <= 1_000), "{dearest:?}");
    ensure!(!house.host.log()?.contains("canary-shpat-0123456789"), "the log has the token");
    Ok(())
}

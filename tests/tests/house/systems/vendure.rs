//! The connector on a real Vendure 3.7: what it said and made is compared with what the shop's administrator sees.

use anyhow::{Result, ensure};
use confab_tests::client::Client;
use confab_tests::connection::Connection;
use confab_tests::folder::Folder;
use confab_tests::server::{Host, Server};
use confab_tests::systems::vendure::Vendure;
use serde_json::{Value, json};

struct House {
    vendure: Vendure,
    host: Host,
    _server: Server,
    shop: Connection,
    stock_only: Connection,
    wrong: Connection,
}

/// A shop, and a server with a connection for each of its keys.
async fn house() -> Result<House> {
    let vendure = Vendure::start().await?;
    let folder = Folder::shop()?;
    for (id, settings) in
        [("store", "{recent_orders: 50}"), ("stock-only", "{untracked_quantity: 99}"), ("wrong", "{}")]
    {
        let secret = id.to_uppercase().replace('-', "_");
        let yaml = format!(
            "id: {id}\nconnector: vendure\nendpoints:\n  api:\n    url: {}\n    token: env:SHOP__{secret}\nsettings: {settings}\n",
            vendure.url()
        );
        folder.write(&format!("connections/{id}.yaml"), &yaml)?;
    }
    let host = Host::new()?.flag("--allow-private", &vendure.address()).env("SHOP__WRONG", "canary-0123456789abcdef");
    let host = host.env("SHOP__STORE", &vendure.key("chatbot")?).env("SHOP__STOCK_ONLY", &vendure.key("stock-only")?);
    let server = host.clone().apply(folder.path()).start().await?;
    let client = Client::new(&server, &host.key("shop", &["--scope", "admin"]).await?)?;
    let [shop, stock_only, wrong] = ["store", "stock-only", "wrong"].map(|id| Connection::new(&client, id));
    Ok(House { vendure, host, _server: server, shop, stock_only, wrong })
}

fn texts<'v>(list: &'v Value, pointer: &str) -> Vec<&'v str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|entry| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default()).collect()
}

fn erika(number: &str) -> Value {
    json!({"number": number, "proof": {"email": "Erika@example.test"}})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn orders_are_told_to_their_owners_only_and_as_the_shop_has_them() -> Result<()> {
    let house = house().await?;
    let vendure = &house.vendure;
    let shop = &house.shop;
    let order = shop.call("orders.get", erika("#web-42")).await?;
    let question = "{ orders(options: { filter: { code: { eq: \"WEB-42\" } } }) { items { totalWithTax state customer { id } lines { quantity } } } }";
    let there = vendure.ask(question, json!({})).await?["orders"]["items"][0].take();
    ensure!(there["totalWithTax"] == 69_800 && there["state"] == "PaymentSettled", "{there}");
    ensure!(order["number"] == "WEB-42" && order["state"] == "confirmed", "{order}");
    ensure!(order["total"] == json!({"amount": "698.00", "currency": "EUR"}), "{order}");
    ensure!(order["customer_id"] == there["customer"]["id"] && order["lines"][0]["quantity"] == 2.0, "{order} {there}");

    let proofs = [
        ("WEB-41", json!({"phone": "0043 1 234 56 78", "postal_code": "1010"}), "shipped"),
        ("WEB-43", json!({"phone": "+49 221 998877"}), "shipped"),
        ("WEB-44", json!({"postal_code": "50 667"}), "cancelled"),
        ("WEB-45", json!({"email": "juergen@example.test"}), "draft"),
    ];
    for (number, proof, state) in proofs {
        let order = shop.call("orders.get", json!({"number": number, "proof": proof})).await?;
        ensure!(order["state"] == state && order["number"] == number, "{order}");
    }
    // What isn't the asker's can't be told from what isn't there; nothing in a number is an operator.
    let unknown = shop.refused("orders.get", erika("WEB-4711")).await?;
    for number in ["WEB-43", "%", "WEB-4_", "' OR 1=1 --", "\"}} {"] {
        ensure!(shop.refused("orders.get", erika(number)).await? == unknown, "{number} can be told apart");
    }
    ensure!(unknown.0 == "not-found", "{unknown:?}");
    ensure!(shop.refused("orders.get", json!({"number": "WEB-42", "proof": {}})).await?.0 == "proof-required");

    let latest =
        shop.call("orders.list-for-customer", json!({"customer_id": order["customer_id"], "limit": 10})).await?;
    ensure!(texts(&latest, "/number") == ["WEB-42", "WEB-41"], "{latest}");
    let limited =
        shop.call("orders.list-for-customer", json!({"customer_id": order["customer_id"], "limit": 1})).await?;
    ensure!(texts(&limited, "/number") == ["WEB-42"], "{limited}");
    ensure!(
        shop.call("orders.list-for-customer", json!({"customer_id": "1' or '1'='1", "limit": 9})).await? == json!([])
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn parcels_are_tracked_and_what_is_in_none_is_waited_for() -> Result<()> {
    let house = house().await?;
    let shop = &house.shop;
    let whole = shop.call("orders.track", erika("WEB-41")).await?;
    ensure!(texts(&whole, "/state") == ["shipped"] && whole[0]["tracking_number"] == "EX0000041AT", "{whole}");
    ensure!(
        whole[0]["carrier"] == "Post"
            && whole[0]["events"][0]["text"].as_str().is_some_and(|t| t.contains("Milk frother")),
        "{whole}"
    );
    let partly =
        shop.call("orders.track", json!({"number": "WEB-43", "proof": {"email": "juergen@example.test"}})).await?;
    ensure!(
        texts(&partly, "/state") == ["delivered", "pending"] && partly[0]["tracking_number"] == "DHL-43",
        "{partly}"
    );
    let none = shop.call("orders.track", erika("WEB-42")).await?;
    ensure!(texts(&none, "/state") == ["pending"], "{none}");
    ensure!(shop.refused("orders.track", erika("WEB-43")).await?.0 == "not-found");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn stock_is_told_by_place_less_what_is_promised_or_held_back() -> Result<()> {
    let house = house().await?;
    let vendure = &house.vendure;
    let shop = &house.shop;
    let stock_only = &house.stock_only;
    let stock = |sku: &str, place: Option<&str>| json!({"sku": sku, "location": place});
    let levels = |list: &Value| -> Vec<(String, f64, f64)> {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let number = |level: &Value, field: &str| level[field].as_f64().unwrap_or(-1.0);
        let place = |level: &Value| level["location"].as_str().unwrap_or("-").to_owned();
        list.iter().map(|l| (place(l), number(l, "on_hand"), number(l, "available"))).collect()
    };
    let machine = shop.call("inventory.availability", stock("sku-1001", None)).await?;
    let told = levels(&machine);
    ensure!(told.iter().any(|l| *l == ("Zentrallager".into(), 7.0, 5.0)) && told.len() == 3, "{machine}");
    let there = "{ productVariants(options: { filter: { sku: { eq: \"SKU-1001\" } } }) { items { stockLevels { stockOnHand stockAllocated stockLocation { name } } } } }";
    let there = vendure.ask(there, json!({})).await?["productVariants"]["items"][0]["stockLevels"].take();
    for level in there.as_array().into_iter().flatten() {
        let count = |field: &str| level[field].as_f64().unwrap_or(-1.0);
        let wanted = (count("stockOnHand"), count("stockOnHand") - count("stockAllocated"));
        let name = level["stockLocation"]["name"].as_str().unwrap_or_default();
        ensure!(
            told.iter().any(|(place, on_hand, free)| place == name && (*on_hand, *free) == wanted),
            "{name}: {told:?} {there}"
        );
    }
    let vienna = shop.call("inventory.availability", stock("SKU-1002", Some("wien"))).await?;
    ensure!(levels(&vienna) == [("Wien".into(), 5.0, 5.0)], "{vienna}");
    let held_back = shop.call("inventory.availability", stock("SKU-1004", Some("Zentrallager"))).await?;
    ensure!(levels(&held_back) == [("Zentrallager".into(), 3.0, 2.0)], "{held_back}");
    let odd = shop.call("inventory.availability", stock("SET-'09_%", None)).await?;
    ensure!(odd[0]["sku"] == "SET-'09_%", "{odd}");
    // Disabled, deleted, a disabled variant, unknown, and what would be a pattern.
    for sku in ["SKU-1006", "SKU-1007", "SKU-1008-L", "SKU-9999", "SKU-100_", "%"] {
        let (code, message) = shop.refused("inventory.availability", stock(sku, None)).await?;
        ensure!(code == "not-found", "{sku}: {code}: {message}");
    }
    ensure!(shop.refused("inventory.availability", stock("SKU-1001", Some("Linz"))).await?.1.contains("Graz"));
    ensure!(shop.refused("inventory.availability", stock("SKU-1005", None)).await?.0 == "unsupported");
    let set = stock_only.call("inventory.availability", stock("SKU-1005", None)).await?;
    ensure!(levels(&set) == [("-".into(), 99.0, 99.0)], "{set}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn articles_are_found_and_recommended_only_if_they_are_sold() -> Result<()> {
    let house = house().await?;
    let shop = &house.shop;
    let stock_only = &house.stock_only;
    let machine = shop.call("catalog.get", json!({"sku": "SKU-1001"})).await?;
    ensure!(
        machine["description"] == "Dual boiler & steam wand." && machine["price"]["amount"] == "349.00",
        "{machine}"
    );
    ensure!(machine["categories"] == json!(["Machines"]), "{machine}");
    ensure!(shop.refused("catalog.get", json!({"sku": "SKU-1006"})).await?.0 == "not-found");
    let search = |query: &str| json!({"query": query, "limit": 10});
    let green = shop.call("catalog.search", search("haben Sie die Kaffeemühle Grün?")).await?;
    ensure!(texts(&green, "/sku") == ["SKU-1004"], "{green}");
    let paper = shop.call("catalog.search", search("filter paper")).await?;
    ensure!(texts(&paper, "/sku") == ["SKU-1008-S"], "{paper}");
    for nothing in ["kettle", "grinder recalled", "%", "_", "zzz"] {
        ensure!(shop.call("catalog.search", search(nothing)).await? == json!([]), "{nothing}");
    }
    let wanted = |skus: Value, query: Value, customer: Value| json!({"interest": {"query": query, "skus": skus, "customer_id": customer}, "limit": 10});
    let bought = shop.call("catalog.recommend", wanted(json!(["SKU-1001"]), json!(null), json!(null))).await?;
    let reasons: Vec<(&str, &str)> =
        texts(&bought, "/product/sku").into_iter().zip(texts(&bought, "/reason")).collect();
    ensure!(reasons == [("SKU-1002", "often bought with Espresso machine"), ("SKU-1004", "also Machines")], "{bought}");
    // The newest customer's own articles are not recommended again, and what is sold out never is.
    let own = shop.call("catalog.recommend", wanted(json!([]), json!("descaler or milk frother"), json!("1"))).await?;
    ensure!(!texts(&own, "/product/sku").iter().any(|sku| ["SKU-1001", "SKU-1002", "SKU-1003"].contains(sku)), "{own}");
    ensure!(!texts(&own, "/product/sku").is_empty(), "{own}");
    // A key that may not read orders loses only what is bought together.
    let poor = stock_only.call("catalog.recommend", wanted(json!(["SKU-1001"]), json!(null), json!(null))).await?;
    ensure!(texts(&poor, "/product/sku") == ["SKU-1004"], "{poor}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn a_customer_is_made_once_whoever_asks_how_often() -> Result<()> {
    let house = house().await?;
    let vendure = &house.vendure;
    let shop = &house.shop;
    let stock_only = &house.stock_only;
    let count = "query($e: String!) { customers(options: { filter: { emailAddress: { eq: $e } } }) { totalItems items { id firstName lastName phoneNumber } } }";
    let email = "ada.lovelace@example.test";
    ensure!(vendure.ask(count, json!({"e": email})).await?["customers"]["totalItems"] == 0);
    let ada = |name: &str, phone: Value| json!({"person": {"name": name, "email": "Ada.Lovelace@example.test", "phone": phone, "company": null}});
    let made = shop.write("contacts.upsert", ada("Ada Ünal Lovelace", json!("+43 660 5550177")), "once").await?;
    for (key, phone) in [("once", "+43 660 5550177"), ("again", "+43 1 7654321")] {
        let same = shop.write("contacts.upsert", ada("Somebody Else", json!(phone)), key).await?;
        ensure!(
            same["id"] == made["id"] && same["name"] == "Ada Ünal Lovelace" && same["phone"] == "+43 660 5550177",
            "{same}"
        );
    }
    // Several at the same moment too: Vendure itself refuses the second.
    let grace =
        json!({"person": {"name": "Grace Hopper", "email": "grace@example.test", "phone": null, "company": null}});
    let tries = (0..5).map(|n| {
        let (shop, grace) = (shop.clone(), grace.clone());
        async move { shop.answer("contacts.upsert", grace, Some(&format!("g-{n}"))).await }
    });
    let answers = futures::future::try_join_all(tries).await?;
    ensure!(answers.iter().any(|a| a["result"]["email"] == "grace@example.test"), "{answers:?}");
    for (email, first) in [(email, "Ada Ünal"), ("grace@example.test", "Grace")] {
        let there = vendure.ask(count, json!({"e": email})).await?["customers"].take();
        ensure!(there["totalItems"] == 1 && there["items"][0]["firstName"] == first, "{there}");
    }
    let by_phone = shop.call("contacts.find", json!({"email": null, "phone": "0660/555 01 77"})).await?;
    ensure!(texts(&by_phone, "/email") == [email], "{by_phone}");
    let both = shop.call("contacts.find", json!({"email": email, "phone": "+43 1 2345678"})).await?;
    ensure!(both == json!([]), "{both}");
    let erika = shop.call("contacts.find", json!({"email": "ERIKA@example.test", "phone": "01 2345678"})).await?;
    ensure!(texts(&erika, "/name") == ["Erika Mustermann"], "{erika}");
    ensure!(stock_only.refused("contacts.find", json!({"email": email, "phone": null})).await?.0 == "forbidden");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make test-systems"]
async fn the_check_names_each_right_and_a_key_is_never_told() -> Result<()> {
    let House { vendure, host, _server, shop, stock_only, wrong } = house().await?;
    let status = |findings: &[(String, String, String)], wanted: &str| {
        findings.iter().filter(|(_, status, _)| status == wanted).map(|(name, ..)| name.clone()).collect::<Vec<_>>()
    };
    let good = shop.check().await?;
    ensure!(status(&good, "error").is_empty() && status(&good, "warning") == ["create contacts"], "{good:?}");
    let poor = stock_only.check().await?;
    ensure!(status(&poor, "error") == ["read orders", "read contacts"], "{poor:?}");
    let none = wrong.check().await?;
    ensure!(status(&none, "error") == ["sign in"], "{none:?}");
    let (code, message) = wrong.refused("catalog.get", json!({"sku": "SKU-1001"})).await?;
    ensure!(code == "forbidden" && message.contains("API key"), "{code}: {message}");
    drop(vendure);
    let (code, _) = shop.refused("inventory.availability", json!({"sku": "SKU-1002", "location": null})).await?;
    ensure!(code == "unavailable" || code == "timeout", "{code}");
    ensure!(!host.log()?.contains("canary-0123456789abcdef"), "the log has the key");
    Ok(())
}

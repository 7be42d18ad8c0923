//! What Shopify tells by itself.
//!
//! | topic | event | about |
//! |---|---|---|
//! | `orders/create`, `orders/updated`, `orders/paid`, `orders/cancelled` | `order.created`, `order.updated`, `order.paid`, `order.cancelled` | the order, its customer |
//! | `fulfillments/create`, with success | `order.shipped` | the order |
//! | `fulfillments/create` otherwise, `fulfillments/update` | `order.shipment_changed` | the order |
//! | `inventory_levels/update` | `stock.changed` | the article |
//! | any other, `products/update` | `shopify.products.update` | nothing |
//!
//! Signed is the body alone, and not when it was sent. So an event's id is made of topic and body, not of the headers with ids: a call that
//! somebody caught and sends again under another id is the same event. Shopify repeats a call with the same body.
//!
//! An order is known by its name (`#1042`) and by the number in it. What is kept of orders and stock has these subjects as tags.

use crate::api::Shopify;
use crate::api::short_id;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::signatures::{Algorithm, from_base64, require, verify_hmac};
use confab_plugin_sdk::webhook::{Accepted, Event, Request, Webhook};
use confab_plugin_sdk::{dates, json, once};
use serde_json::{Value, json};

impl Webhook for crate::Connector {
    fn receive(request: Request) -> Result<Accepted, Failure> {
        let signature = from_base64(request.header("x-shopify-hmac-sha256").unwrap_or_default()).unwrap_or_default();
        require(verify_hmac("app", Algorithm::Sha256, &request.body, &signature)?)?;
        let topic = request.header("x-shopify-topic").unwrap_or_default().to_owned();
        let body: Value = request.json()?;
        let told = read(&topic, &body)?;
        let id = once::token(&format!("{topic}\n{}", String::from_utf8_lossy(&request.body)));
        let mut event = Event::new(id, told.name, &told.data)?;
        for subject in told.subjects {
            event = event.about(subject);
        }
        if let Some(at) = json::text(&body, "/updated_at").or_else(|| json::text(&body, "/created_at")) {
            event.occurred_at = dates::rfc3339(&at);
        }
        Ok(Accepted::of([event]))
    }
}

struct Told {
    name: String,
    data: Value,
    subjects: Vec<String>,
}

fn read(topic: &str, body: &Value) -> Result<Told, Failure> {
    let as_failure = |e: Error| Failure { code: "unavailable".into(), message: e.message };
    let shopify = Shopify::open().map_err(as_failure)?;
    Ok(match topic {
        "orders/create" => order(&shopify, "order.created", body),
        "orders/updated" => order(&shopify, "order.updated", body),
        "orders/paid" => order(&shopify, "order.paid", body),
        "orders/cancelled" => order(&shopify, "order.cancelled", body),
        "fulfillments/create" if json::text(body, "/status").as_deref() == Some("success") => {
            shipment(&shopify, "order.shipped", body)
        }
        "fulfillments/create" | "fulfillments/update" => shipment(&shopify, "order.shipment_changed", body),
        "inventory_levels/update" => stock(&shopify, body),
        other => {
            let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '.' };
            let name = format!("shopify.{}", other.chars().take(100).map(plain).collect::<String>());
            Told { name, data: body.clone(), subjects: Vec::new() }
        }
    })
}

/// An order as the REST resource shows it, without what is known of people but the customer's id.
fn order(shopify: &Shopify, event: &str, body: &Value) -> Told {
    let text = |pointer: &str| json::text(body, pointer);
    let name = text("/name").unwrap_or_default();
    let mut subjects = about(shopify, &name);
    let customer = text("/customer/id");
    subjects.extend(customer.as_deref().map(|id| format!("customer:{}", short_id(id))));
    let items: Vec<Value> = json::list(body, "/line_items").iter().map(item).collect();
    let data = json!({
        "order": name, "number": shopify.bare(&name), "order_id": text("/id"), "customer_id": customer,
        "payment": text("/financial_status"), "fulfillment": text("/fulfillment_status"), "cancelled_at": text("/cancelled_at"),
        "total": text("/total_price"), "currency": text("/currency"), "items": items,
    });
    Told { name: event.to_owned(), data, subjects }
}

/// A fulfillment. Its name is the order's with a number of its own: `#1042.1`.
fn shipment(shopify: &Shopify, event: &str, body: &Value) -> Told {
    let text = |pointer: &str| json::text(body, pointer);
    let own = text("/name").unwrap_or_default();
    let name = match own.rsplit_once('.') {
        Some((order, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => order,
        _ => &own,
    };
    let mut tracking: Vec<String> =
        json::list(body, "/tracking_numbers").iter().filter_map(|n| json::text(n, "")).collect();
    tracking.extend(text("/tracking_number").filter(|number| !tracking.contains(number)));
    let items: Vec<Value> = json::list(body, "/line_items").iter().map(item).collect();
    let url = text("/tracking_url").or_else(|| json::text(body, "/tracking_urls/0"));
    let data = json!({
        "order": name, "number": shopify.bare(name), "order_id": text("/order_id"), "shipment": own, "state": text("/status"),
        "delivery": text("/shipment_status"), "carrier": text("/tracking_company"), "tracking": tracking, "tracking_url": url,
        "items": items,
    });
    Told { name: event.to_owned(), data, subjects: about(shopify, name) }
}

fn item(line: &Value) -> Value {
    json!({"sku": json::text(line, "/sku"), "name": json::text(line, "/name"), "quantity": json::number(line, "/quantity")})
}

fn about(shopify: &Shopify, name: &str) -> Vec<String> {
    let bare = shopify.bare(name);
    let mut names = vec![name.to_owned()];
    if bare != name {
        names.push(bare);
    }
    names.retain(|name| !name.is_empty() && name.len() <= 150);
    names.into_iter().map(|name| format!("order:{name}")).collect()
}

/// A level names its article by the id of its inventory item: one more question tells the SKU. Without an answer all stock is meant.
fn stock(shopify: &Shopify, body: &Value) -> Told {
    let id = json::text(body, "/inventory_item_id").unwrap_or_default();
    let document = "query($id: ID!) { inventoryItem(id: $id) { sku } }";
    let asked = shopify.ask(document, json!({"id": format!("gid://shopify/InventoryItem/{}", short_id(&id))}));
    let sku = asked.ok().and_then(|answer| json::text(&answer, "/inventoryItem/sku")).filter(|sku| sku.len() <= 150);
    let subjects = vec![sku.as_ref().map_or_else(|| "stock".to_owned(), |sku| format!("stock:{sku}"))];
    let data = json!({
        "sku": sku, "inventory_item_id": id, "location_id": json::text(body, "/location_id"),
        "available": json::number(body, "/available"),
    });
    Told { name: "stock.changed".to_owned(), data, subjects }
}

impl Shopify {
    /// The number in an order's name, without what the shop puts around it.
    fn bare(&self, name: &str) -> String {
        let bare = name.strip_prefix(self.settings.order_prefix.as_str()).unwrap_or(name);
        bare.strip_suffix(self.settings.order_suffix.as_str()).unwrap_or(bare).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Connector;
    use confab_plugin_sdk::testing::{Answer, Host, base64, hmac};

    fn signed(key: &str, topic: &str, body: &Value) -> Request {
        let signature = base64(&hmac(Algorithm::Sha256, key, body.to_string()));
        Request::post(body).with("X-Shopify-Topic", topic).with("X-Shopify-Hmac-Sha256", signature)
    }

    fn host() -> Host {
        Host::new()
            .settings(json!({"order_prefix": "EN", "order_suffix": "-AT"}))
            .webhook_secret("app", "the app's secret")
    }

    fn event(topic: &str, body: &Value) -> Event {
        let accepted = host().receive::<Connector>(signed("the app's secret", topic, body)).unwrap();
        accepted.events.into_iter().next().unwrap()
    }

    #[test]
    fn only_what_the_apps_secret_signed_is_believed() {
        let body = json!({"id": 1, "name": "EN1042-AT"});
        let code = |request: Request| host().receive::<Connector>(request).map(|_| ()).map_err(|e| e.code);
        let refused = || Err("unauthorised".to_owned());
        assert_eq!(code(signed("the app's secret", "orders/create", &body)), Ok(()));
        assert_eq!(code(signed("another", "orders/create", &body)), refused());
        assert_eq!(code(Request::post(&body)), refused());
        let good = signed("the app's secret", "orders/create", &body);
        assert_eq!(code(Request { body: br#"{"id": 2}"#.to_vec(), ..good.clone() }), refused());
        assert_eq!(code(good.with("x-shopify-hmac-sha256", "")), Ok(()), "the first header counts");
    }

    #[test]
    fn an_order_is_told_with_its_names_and_nothing_of_people() {
        let body = json!({"id": 820_982_911, "name": "EN1042-AT", "email": "erika@example.test", "customer": {"id": 7, "phone": "+436605550177"},
            "shipping_address": {"zip": "1010"}, "financial_status": "paid", "fulfillment_status": null, "total_price": "698.00", "currency": "EUR",
            "updated_at": "2026-11-21T11:32:00+01:00", "line_items": [{"sku": "SKU-1", "name": "Chair", "quantity": 2, "price": "349.00"}]});
        let told = event("orders/create", &body);
        assert_eq!((told.name.as_str(), told.occurred_at.as_deref()), ("order.created", Some("2026-11-21T10:32:00Z")));
        assert_eq!(told.subjects, ["order:EN1042-AT", "order:1042", "customer:7"]);
        let data: Value = serde_json::from_str(&told.data).unwrap();
        assert_eq!(
            (&data["number"], &data["total"], &data["items"][0]["sku"]),
            (&json!("1042"), &json!("698.00"), &json!("SKU-1"))
        );
        assert!(!told.data.contains("erika") && !told.data.contains("660") && !told.data.contains("1010"));
    }

    #[test]
    fn a_call_that_is_sent_again_is_the_same_event_whatever_its_headers_say() {
        let body = json!({"name": "EN1-AT", "updated_at": "2026-11-21T11:32:00Z"});
        let request = || signed("the app's secret", "orders/updated", &body);
        let id = |request: Request| host().receive::<Connector>(request).unwrap().events[0].id.clone();
        let again = request().with("X-Shopify-Webhook-Id", "another").with("X-Shopify-Event-Id", "another");
        assert_eq!(id(request()), id(again));
        assert_ne!(id(request()), event("orders/create", &body).id);
        assert_ne!(
            id(request()),
            event("orders/updated", &json!({"name": "EN1-AT", "updated_at": "2026-11-21T11:32:01Z"})).id
        );
    }

    #[test]
    fn a_shipment_belongs_to_the_order_in_its_name() {
        let body = json!({"id": 1, "order_id": 2, "name": "EN1042-AT.1", "status": "success", "tracking_company": "Post", "tracking_number": "A1",
            "tracking_numbers": ["A1", "A2"], "tracking_urls": ["https://post.example/A1"], "line_items": []});
        let told = event("fulfillments/create", &body);
        assert_eq!(
            (told.name.as_str(), &told.subjects[..]),
            ("order.shipped", &["order:EN1042-AT".to_owned(), "order:1042".into()][..])
        );
        let data: Value = serde_json::from_str(&told.data).unwrap();
        assert_eq!((&data["tracking"], &data["carrier"]), (&json!(["A1", "A2"]), &json!("Post")));
        let pending = json!({"name": "EN1042-AT.2", "status": "pending"});
        assert_eq!(event("fulfillments/create", &pending).name, "order.shipment_changed");
    }

    #[test]
    fn a_stock_level_is_of_the_article_that_shopify_names_or_of_all() {
        let body = json!({"inventory_item_id": 271_878_346, "location_id": 24_826_418, "available": 6, "updated_at": "2026-11-21T11:32:00+01:00"});
        let request = || signed("the app's secret", "inventory_levels/update", &body);
        let host = host().on(|sent| {
            assert_eq!(sent.json()["variables"]["id"], "gid://shopify/InventoryItem/271878346");
            Answer::json(200, json!({"data": {"inventoryItem": {"sku": "SKU-1"}}}))
        });
        assert_eq!(host.receive::<Connector>(request()).unwrap().events[0].subjects, ["stock:SKU-1"]);
        let silent = self::host().on(|_| Answer::status(503));
        assert_eq!(silent.receive::<Connector>(request()).unwrap().events[0].subjects, ["stock"]);
    }

    #[test]
    fn other_topics_keep_their_name() {
        let told = event("products/update", &json!({"id": 1}));
        assert_eq!((told.name.as_str(), told.data.as_str()), ("shopify.products.update", r#"{"id":1}"#));
    }
}

//! Orders by their code, and their fulfillments as parcels.
//!
//! One request reads the order with its customer and addresses, so that the proof is compared here and a wrong one looks like a number that
//! doesn't exist.
//!
//! | Vendure | here |
//! |---|---|
//! | `Created`, `Draft`, `AddingItems`, `ArrangingPayment` | `draft` |
//! | `PaymentAuthorized`, `PaymentSettled` | `confirmed` |
//! | `Modifying`, `ArrangingAdditionalPayment` | `processing` |
//! | `PartiallyShipped`, `Shipped`, `PartiallyDelivered` | `shipped` |
//! | `Delivered`, `Cancelled` | the same |
//! | fulfillment `Created`, `Pending` | `pending` |
//! | fulfillment `Shipped`, `Delivered` | `shipped`, `delivered` |
//!
//! States that a shop has added to its process keep their own word.

use crate::api::{PRECISION, Purse, Vendure, closest, is_id, spellings};
use confab_plugin_sdk::orders::{Order, OrderLine, Tracking, TrackingEvent};
use confab_plugin_sdk::people::{self, Known};
use confab_plugin_sdk::{dates, json, prelude::*};
use serde_json::{Value, json};

/// More than anybody reads in a chat.
const MOST: u32 = 50;
const ORDER: &str = "fragment O on Order { code state active createdAt orderPlacedAt totalWithTax currencyCode
    customer { id firstName lastName emailAddress phoneNumber }
    shippingAddress { postalCode phoneNumber } billingAddress { postalCode phoneNumber }
    lines { id quantity orderPlacedQuantity proratedLinePriceWithTax productVariant { sku name } } }";

impl Vendure {
    pub(crate) fn order(&self, number: &str, proof: &Proof) -> Result<Order> {
        let (order, purse) = self.proven(number, proof, "")?;
        Ok(shown(&order, &purse))
    }

    pub(crate) fn orders_of(&self, customer_id: &str, limit: u32) -> Result<Vec<Order>> {
        let customer_id = customer_id.trim();
        if !is_id(customer_id) || limit == 0 {
            return Ok(Vec::new());
        }
        let document = format!("query($id: ID!, $take: Int!) {{ {PRECISION} customer(id: $id) {{ orders(options: {{
            filter: {{ active: {{ eq: false }} }}, sort: {{ orderPlacedAt: DESC }}, take: $take }}) {{ items {{ ...O }} }} }} }} {ORDER}");
        let answer =
            self.ask("ReadCustomer, ReadOrder", &document, json!({"id": customer_id, "take": limit.min(MOST)}))?;
        let purse = Purse::of(&answer);
        Ok(json::list(&answer, "/customer/orders/items").iter().map(|o| shown(o, &purse)).collect())
    }

    pub(crate) fn tracking(&self, number: &str, proof: &Proof) -> Result<Vec<Tracking>> {
        let parcels = "fulfillments { state method trackingCode createdAt updatedAt lines { quantity orderLineId orderLine { productVariant { name } } } }";
        let (order, _) = self.proven(number, proof, parcels)?;
        let parcels: Vec<&Value> = json::list(&order, "/fulfillments")
            .iter()
            .filter(|f| json::text(f, "/state").as_deref() != Some("Cancelled"))
            .collect();
        let mut tracked: Vec<Tracking> = parcels.iter().map(|f| self.parcel(f)).collect();
        let wanted: i64 = json::list(&order, "/lines").iter().filter_map(|l| l.get("quantity")?.as_i64()).sum();
        let packed =
            parcels.iter().flat_map(|f| json::list(f, "/lines")).filter_map(|l| l.get("quantity")?.as_i64()).sum();
        // What is in no parcel yet is waited for too.
        if wanted > packed && json::text(&order, "/state").as_deref() != Some("Cancelled") {
            tracked.push(Tracking { state: "pending".into(), ..Tracking::default() });
        }
        Ok(tracked)
    }

    fn parcel(&self, fulfillment: &Value) -> Tracking {
        let text = |pointer: &str| json::text(fulfillment, pointer);
        let own = text("/state").unwrap_or_default();
        let (state, happened) = match own.as_str() {
            "Created" | "Pending" => ("pending", host::say("Being prepared", "In Vorbereitung")),
            "Shipped" => ("shipped", host::say("Shipped", "Versandt")),
            "Delivered" => ("delivered", host::say("Delivered", "Zugestellt")),
            other => (other, other),
        };
        let goods = json::list(fulfillment, "/lines").iter().filter_map(|line| {
            Some(format!(
                "{} × {}",
                line.get("quantity")?.as_i64()?,
                json::text(line, "/orderLine/productVariant/name")?
            ))
        });
        let goods: Vec<String> = goods.collect();
        let event = text("/updatedAt").and_then(|at| dates::rfc3339(&at)).map(|at| TrackingEvent {
            at,
            text: if goods.is_empty() { happened.to_owned() } else { format!("{happened}: {}", goods.join(", ")) },
            place: None,
        });
        let (carrier, number) = (text("/method"), text("/trackingCode"));
        let page = carrier.as_ref().and_then(|c| self.settings.tracking_urls.get(c));
        Tracking {
            state: state.to_owned(),
            url: page.zip(number.as_deref()).map(|(page, code)| page.replace("{code}", &path_segment(code))),
            carrier,
            tracking_number: number,
            expected_at: None,
            events: event.into_iter().collect(),
        }
    }

    /// The order, if it is the asker's.
    fn proven(&self, number: &str, proof: &Proof, more: &str) -> Result<(Value, Purse)> {
        people::given(proof)?;
        let missing = || {
            "there is no order with this number that belongs to this e-mail address, phone number, postal code or customer".to_owned()
        };
        let codes = spellings(number);
        if codes.is_empty() {
            return Err(error(Code::NotFound, missing()));
        }
        let document = format!(
            "query($codes: [String!]!) {{ {PRECISION} orders(options: {{ filter: {{ code: {{ in: $codes }} }}, take: 10 }}) {{ items {{ ...O {more} }} }} }} {ORDER}"
        );
        let answer = self.ask("ReadOrder, ReadCustomer", &document, json!({"codes": codes}))?;
        let mut refused = error(Code::NotFound, missing());
        for order in closest(json::list(&answer, "/orders/items"), "/code", &codes) {
            match known(order).proves(proof, missing) {
                Ok(()) => return Ok((order.clone(), Purse::of(&answer))),
                Err(e) => refused = e,
            }
        }
        Err(refused)
    }
}

fn known(order: &Value) -> Known {
    let all = |pointers: &[&str]| pointers.iter().filter_map(|p| json::text(order, p)).collect();
    Known {
        emails: all(&["/customer/emailAddress"]),
        phones: all(&["/customer/phoneNumber", "/shippingAddress/phoneNumber", "/billingAddress/phoneNumber"]),
        postal_codes: all(&["/shippingAddress/postalCode", "/billingAddress/postalCode"]),
        customer_ids: all(&["/customer/id"]),
    }
}

fn shown(order: &Value, purse: &Purse) -> Order {
    let text = |pointer: &str| json::text(order, pointer);
    let currency = text("/currencyCode").unwrap_or_default();
    let own = text("/state").unwrap_or_default();
    let lines = json::list(order, "/lines").iter().map(|line| {
        // Of a cancelled order nothing is left; what it was about is what had been ordered.
        let count = if own == "Cancelled" { "orderPlacedQuantity" } else { "quantity" };
        let sku = json::text(line, "/productVariant/sku");
        OrderLine {
            name: json::text(line, "/productVariant/name").or_else(|| sku.clone()).unwrap_or_default(),
            sku,
            quantity: line.get(count).and_then(Value::as_f64).unwrap_or_default(),
            total: purse.money(line, "proratedLinePriceWithTax", &currency),
        }
    });
    let state = match own.as_str() {
        "Created" | "Draft" | "AddingItems" | "ArrangingPayment" => "draft",
        "PaymentAuthorized" | "PaymentSettled" => "confirmed",
        "Modifying" | "ArrangingAdditionalPayment" => "processing",
        "PartiallyShipped" | "Shipped" | "PartiallyDelivered" => "shipped",
        "Delivered" => "delivered",
        "Cancelled" => "cancelled",
        other => other,
    };
    let name =
        [text("/customer/firstName"), text("/customer/lastName")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let extra = [("state", own.clone()), ("customer", name)].into_iter().filter(|(_, value)| !value.is_empty());
    Order {
        number: text("/code").unwrap_or_default(),
        reference: None,
        state: state.to_owned(),
        placed_at: text("/orderPlacedAt").and_then(|at| dates::rfc3339(&at)),
        total: purse.money(order, "totalWithTax", &currency),
        lines: lines.filter(|l| l.quantity > 0.0).collect(),
        customer_id: text("/customer/id"),
        extra: extra.map(|(name, value)| ExtraField { name: name.into(), value }).collect(),
    }
}

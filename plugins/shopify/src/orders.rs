//! Orders by their name, confirmation number or purchase order number, and their fulfillments as parcels.
//!
//! The name is the shop's own: a number with what the shop puts around it (`#1042`, `EN1042-AT`). Visitors leave that out, so both are looked
//! for. Whatever the search finds is compared again here, with the proof: a wrong one looks like a number that doesn't exist, and costs the
//! same requests. Only the asker's order is read as a whole.
//!
//! | Shopify | here |
//! |---|---|
//! | cancelled | `cancelled` |
//! | `UNFULFILLED`, `OPEN`, `SCHEDULED`, `ON_HOLD`, `FULFILLMENT_NOT_REQUIRED` | `confirmed` |
//! | `IN_PROGRESS`, `PENDING_FULFILLMENT`, `REQUEST_DECLINED` | `processing` |
//! | `PARTIALLY_FULFILLED`, `FULFILLED` | `shipped`; `delivered` when it is all fulfilled and each parcel has come |
//! | `RESTOCKED` | `restocked` |
//!
//! Whether it is paid, and what comes back, stands in `extra`.

use crate::api::{MONEY, Shopify, bag, paid, parse_id, short_id, typed};
use crate::candidates::next_page;
use crate::syntax;
use confab_plugin_sdk::orders::{Order, OrderLine, Tracking, TrackingEvent, no_order};
use confab_plugin_sdk::people::{self, Known};
use confab_plugin_sdk::{extras, json, pages, prelude::*};
use serde_json::{Value, json};

/// As many as one request can pay for: 1,000 points, of which each line of each order costs four.
const MOST: u32 = 10;
/// Lines of an order in the first answer, in a list of orders, and on each further page.
const LINES: u32 = 20;
const LINES_LISTED: u32 = 10;
const LINES_PAGED: u32 = 100;
/// Pages of lines: the host allows 16 requests a call.
const PAGES: usize = 6;
/// What tells which order is meant, and whose it is.
const CANDIDATES: &str = "query($query: String!, $after: String) {
    orders(first: 50, after: $after, query: $query, sortKey: PROCESSED_AT, reverse: true) {
        nodes { id name confirmationNumber poNumber email phone
            customer { id defaultEmailAddress { emailAddress } defaultPhoneNumber { phoneNumber } }
            shippingAddress { zip phone } billingAddress { zip phone } }
        pageInfo { hasNextPage endCursor } } }";
const LINE: &str = "fragment L on LineItem { name sku quantity currentQuantity unfulfilledQuantity discountedTotalSet(withCodeDiscounts: true) { ...M } }";
const ORDER: &str =
    "fragment O on Order { id name confirmationNumber poNumber processedAt cancelledAt displayFinancialStatus
    displayFulfillmentStatus returnStatus currentTotalPriceSet { ...M } customer { id displayName }
    fulfillments(first: 20) { status displayStatus }
    lineItems(first: $lines) { nodes { ...L } pageInfo { hasNextPage endCursor } } }";
const PARCELS: &str =
    "fragment P on Order { parcels: fulfillments(first: 20) { status displayStatus createdAt estimatedDeliveryAt
    trackingInfo(first: 5) { company number url }
    events(first: 20, sortKey: HAPPENED_AT) { nodes { happenedAt status message city country } } } }";

impl Shopify {
    pub(crate) fn order(&self, number: &str, proof: &Proof) -> Result<Order> {
        let order = self.proven(number, proof, "", "")?;
        let lines = self.lines(&order)?;
        Ok(shown(&order, lines))
    }

    pub(crate) fn orders_of(&self, customer_id: &str, limit: u32) -> Result<Vec<Order>> {
        let Some(customer) = parse_id(customer_id).filter(|_| limit > 0) else {
            return Ok(Vec::new());
        };
        let document = format!(
            "query($query: String!, $first: Int!, $lines: Int!) {{ orders(first: $first, query: $query, sortKey: PROCESSED_AT, reverse: true) {{ nodes {{ ...O }} }} }} {ORDER} {LINE} {MONEY}"
        );
        let variables =
            json!({"query": format!("customer_id:{customer}"), "first": limit.min(MOST), "lines": LINES_LISTED});
        let answer = self.ask(&document, variables)?;
        let own = |order: &&Value| json::text(order, "/customer/id").is_some_and(|id| short_id(&id) == customer);
        let listed = |order| shown(order, json::list(order, "/lineItems/nodes").to_vec());
        Ok(json::list(&answer, "/orders/nodes").iter().filter(own).map(listed).collect())
    }

    pub(crate) fn tracking(&self, number: &str, proof: &Proof) -> Result<Vec<Tracking>> {
        let order = self.proven(number, proof, "...P", PARCELS)?;
        let parcels = json::list(&order, "/parcels").iter().filter(|p| !is_void(p));
        let mut tracked: Vec<Tracking> = parcels.flat_map(parcel).collect();
        let left = |line: &Value| line.get("unfulfilledQuantity").and_then(Value::as_i64).unwrap_or(0) > 0;
        // What is in no parcel yet is waited for too.
        if json::text(&order, "/cancelledAt").is_none() && self.lines(&order)?.iter().any(left) {
            tracked.push(Tracking { state: "pending".into(), ..Tracking::default() });
        }
        Ok(tracked)
    }

    /// The order, if it is the asker's.
    fn proven(&self, number: &str, proof: &Proof, more: &str, fragments: &str) -> Result<Value> {
        people::given(proof)?;
        let bare = typed(number).ok_or_else(no_order)?.trim_start_matches('#').trim();
        let names = self.names(bare);
        let references = ["confirmation_number", "po_number"].map(|field| syntax::equals(field, bare));
        let terms: Vec<String> = names.iter().map(|name| syntax::equals("name", name)).chain(references).collect();
        let own = |order: &Value, pointer: &str| json::text(order, pointer).unwrap_or_default().to_lowercase();
        let wanted = bare.to_lowercase();
        let is_named = |order: &Value| names.iter().any(|name| name.to_lowercase() == own(order, "/name"));
        let is_theirs = |order: &&Value| {
            let meant =
                is_named(order) || own(order, "/confirmationNumber") == wanted || own(order, "/poNumber") == wanted;
            meant && known(order).proves(proof, String::new).is_ok()
        };
        let is_there = |answer: &Value| json::list(answer, "/orders/nodes").iter().any(|order| is_theirs(&order));
        let found = self.candidates(CANDIDATES, "orders", &syntax::any(&terms), is_there)?;
        // An order's own name says more than what a customer calls it.
        let order = found.iter().filter(is_theirs).min_by_key(|order| !is_named(order));
        let id = order.and_then(|order| json::text(order, "/id")).ok_or_else(no_order)?;
        let document = format!(
            "query($id: ID!, $lines: Int!) {{ order(id: $id) {{ ...O {more} }} }} {ORDER} {LINE} {MONEY} {fragments}"
        );
        let answer = self.ask(&document, json!({"id": id, "lines": LINES}))?;
        let order = answer.get("order").filter(|order| order.is_object());
        order.cloned().ok_or_else(no_order)
    }

    /// Names that an order may have whose number somebody typed.
    fn names(&self, bare: &str) -> Vec<String> {
        let (prefix, suffix) = (&self.settings.order_prefix, &self.settings.order_suffix);
        let mut names: Vec<String> = Vec::new();
        for (before, after) in [("", ""), (prefix, suffix), (prefix, ""), ("#", "")] {
            let name = format!("{before}{bare}{after}");
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// All lines of an order, also of one with more than an answer holds.
    fn lines(&self, order: &Value) -> Result<Vec<Value>> {
        let Some(first) = order.get("lineItems") else { return Ok(Vec::new()) };
        let mut all = json::list(first, "/nodes").to_vec();
        let (Some(after), Some(id)) = (next_page(first), json::text(order, "/id")) else { return Ok(all) };
        let document = format!(
            "query($id: ID!, $first: Int!, $after: String!) {{ order(id: $id) {{ lineItems(first: $first, after: $after) {{ nodes {{ ...L }} pageInfo {{ hasNextPage endCursor }} }} }} }} {LINE} {MONEY}"
        );
        let more = pages::collect(usize::MAX, PAGES, |cursor| {
            let after = cursor.unwrap_or_else(|| after.clone());
            let answer = self.ask(&document, json!({"id": id, "first": LINES_PAGED, "after": after}))?;
            let page = answer.pointer("/order/lineItems").unwrap_or(&Value::Null);
            Ok(pages::Page { items: json::list(page, "/nodes").to_vec(), next: next_page(page) })
        })?;
        all.extend(more);
        Ok(all)
    }
}

/// One for each number that the carrier gave.
fn parcel(fulfillment: &Value) -> Vec<Tracking> {
    let own = json::text(fulfillment, "/displayStatus").unwrap_or_default();
    let state = match own.as_str() {
        "DELIVERED" | "PICKED_UP" => "delivered".to_owned(),
        "IN_TRANSIT" | "OUT_FOR_DELIVERY" | "ATTEMPTED_DELIVERY" | "DELAYED" | "CARRIER_PICKED_UP" => {
            "in-transit".to_owned()
        }
        "LABEL_PRINTED" | "LABEL_PURCHASED" | "CONFIRMED" | "SUBMITTED" | "READY_FOR_PICKUP" => "packed".to_owned(),
        "" | "FULFILLED" | "MARKED_AS_FULFILLED" | "LABEL_VOIDED" => "shipped".to_owned(),
        other => own_word(other),
    };
    let handed_over = host::say("Handed over", "Übergeben").to_owned();
    let left = json::moment(fulfillment, "/createdAt").map(|at| TrackingEvent { at, text: handed_over, place: None });
    let told = json::list(fulfillment, "/events/nodes").iter().filter_map(|event| {
        let place: Vec<String> = ["/city", "/country"].iter().filter_map(|p| json::text(event, p)).collect();
        Some(TrackingEvent {
            at: json::moment(event, "/happenedAt")?,
            text: json::text(event, "/message").or_else(|| json::text(event, "/status").map(|s| own_word(&s)))?,
            place: Some(place.join(", ")).filter(|p| !p.is_empty()),
        })
    });
    let mut events: Vec<TrackingEvent> = left.into_iter().chain(told).collect();
    events.sort_by(|a, b| a.at.cmp(&b.at));
    let parcel = |info: &Value| Tracking {
        state: state.clone(),
        carrier: json::text(info, "/company"),
        tracking_number: json::text(info, "/number"),
        url: json::text(info, "/url"),
        expected_at: json::moment(fulfillment, "/estimatedDeliveryAt"),
        events: events.clone(),
    };
    let numbers = json::list(fulfillment, "/trackingInfo");
    if numbers.is_empty() { vec![parcel(&Value::Null)] } else { numbers.iter().map(parcel).collect() }
}

fn shown(order: &Value, all: Vec<Value>) -> Order {
    let text = |pointer: &str| json::text(order, pointer);
    let cancelled = text("/cancelledAt").is_some();
    // In a list of orders only the first lines are read.
    let partial = all.len() == json::list(order, "/lineItems/nodes").len()
        && json::flag(order, "/lineItems/pageInfo/hasNextPage");
    let lines = all.into_iter().map(|line| {
        let count = |field: &str| line.get(field).and_then(Value::as_f64).unwrap_or_default();
        // Of a cancelled order nothing is left; what it was about is what had been ordered.
        let quantity = if cancelled { count("quantity") } else { count("currentQuantity") };
        // The line's price is that of what was ordered: for less than that it says nothing.
        let total = paid(&line, "/discountedTotalSet").filter(|_| quantity == count("quantity"));
        let name = json::text(&line, "/name").unwrap_or_default();
        OrderLine { sku: json::text(&line, "/sku"), name, quantity, total }
    });
    let lines = lines.filter(|l| l.quantity > 0.0).collect();
    let total = paid(order, "/currentTotalPriceSet");
    let own = bag(order, "/currentTotalPriceSet/shopMoney")
        .filter(|own| total.as_ref().is_some_and(|t| t.currency != own.currency));
    let extra = [
        ("payment", text("/displayFinancialStatus").map(|s| own_word(&s))),
        ("fulfillment", text("/displayFulfillmentStatus").map(|s| own_word(&s))),
        ("return", text("/returnStatus").filter(|s| s != "NO_RETURN").map(|s| own_word(&s))),
        ("customer", text("/customer/displayName")),
        ("confirmation number", text("/confirmationNumber")),
        ("total in the shop's currency", own.map(|own| format!("{} {}", own.amount, own.currency))),
        ("more lines", partial.then(|| "there are more than these".to_owned())),
    ];
    Order {
        number: text("/name").unwrap_or_default(),
        reference: text("/poNumber"),
        state: state(order),
        placed_at: json::moment(order, "/processedAt"),
        total,
        lines,
        customer_id: text("/customer/id").map(|id| short_id(&id).to_owned()),
        extra: extras(extra),
    }
}

/// `IN_PROGRESS` is `in-progress`.
fn own_word(constant: &str) -> String {
    constant.to_lowercase().replace('_', "-")
}

/// A parcel that will never come.
fn is_void(fulfillment: &Value) -> bool {
    matches!(json::text(fulfillment, "/status").as_deref(), Some("CANCELLED" | "ERROR" | "FAILURE"))
}

fn state(order: &Value) -> String {
    if json::text(order, "/cancelledAt").is_some() {
        return "cancelled".into();
    }
    let own = json::text(order, "/displayFulfillmentStatus").unwrap_or_default();
    let mut parcels = json::list(order, "/fulfillments").iter().filter(|f| !is_void(f)).peekable();
    let come = |f: &Value| matches!(json::text(f, "/displayStatus").as_deref(), Some("DELIVERED" | "PICKED_UP"));
    let word = match own.as_str() {
        "UNFULFILLED" | "OPEN" | "SCHEDULED" | "ON_HOLD" | "FULFILLMENT_NOT_REQUIRED" => "confirmed",
        "IN_PROGRESS" | "PENDING_FULFILLMENT" | "REQUEST_DECLINED" => "processing",
        "FULFILLED" if parcels.peek().is_some() && parcels.all(come) => "delivered",
        "FULFILLED" | "PARTIALLY_FULFILLED" => "shipped",
        other => return own_word(other),
    };
    word.to_owned()
}

fn known(order: &Value) -> Known {
    let all = |pointers: &[&str]| pointers.iter().filter_map(|p| json::text(order, p)).collect::<Vec<String>>();
    let id = json::text(order, "/customer/id");
    Known {
        emails: all(&["/email", "/customer/defaultEmailAddress/emailAddress"]),
        phones: all(&[
            "/phone",
            "/customer/defaultPhoneNumber/phoneNumber",
            "/shippingAddress/phone",
            "/billingAddress/phone",
        ]),
        postal_codes: all(&["/shippingAddress/zip", "/billingAddress/zip"]),
        customer_ids: id.iter().map(|id| short_id(id).to_owned()).chain(id.clone()).collect(),
    }
}

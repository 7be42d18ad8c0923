//! Orders are `sale.order`, their parcels the `stock.picking` that leave.
//!
//! The records that a number may mean are read first, then the partners on them, so that the proof is compared here
//! and a wrong one looks like a number that does not exist. Several orders may share a customer's reference: the
//! newest that is the asker's is taken.
//!
//! | Odoo | here |
//! |---|---|
//! | order `draft`, `sent` | `draft` |
//! | order `cancel` | `cancelled` |
//! | order `sale`, `done` with delivery `started`, `partial` | `processing` |
//! | ... with delivery `full` | `shipped` (Odoo knows when goods leave, not when they arrive) |
//! | ... with any other or no delivery | `confirmed` |
//! | transfer `draft`, `waiting`, `confirmed`, `assigned` | `pending` |
//! | transfer `done` | `shipped`; of a return `returned` |

use crate::parties::{known, missing};
use crate::session::{Odoo, id, literal, moment, named, one, parse_id, text};
use confab_plugin_sdk::orders::{Order, OrderLine, Tracking, TrackingEvent};
use confab_plugin_sdk::people::{self, Known};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{json, money};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Orders that may share a number or reference: more are not looked at.
const CANDIDATES: u32 = 20;
/// More than anybody reads in a chat.
const MOST: u32 = 50;
/// Lines of all orders of an answer.
const LINES: u32 = 1_000;
const FIELDS: [&str; 9] = [
    "name",
    "client_order_ref",
    "state",
    "date_order",
    "amount_total",
    "currency_id",
    "partner_id",
    "partner_invoice_id",
    "partner_shipping_id",
];
const OPTIONAL: [&str; 2] = ["delivery_status", "commitment_date"];
/// Who an order is for.
const OWNERS: [&str; 3] = ["partner_id", "partner_invoice_id", "partner_shipping_id"];
const CARRIER: [&str; 5] = ["sale_id", "carrier_id", "carrier_tracking_ref", "carrier_tracking_url", "is_dropship"];

impl Odoo {
    pub(crate) fn order(&mut self, number: &str, proof: &Proof) -> Result<Order> {
        let found = self.proven(number, proof)?;
        let order = self.with_lines(vec![found])?.into_iter().next();
        order.ok_or_else(|| missing("order"))
    }

    pub(crate) fn orders_of(&mut self, customer_id: &str, limit: u32) -> Result<Vec<Order>> {
        let Some(partner) = parse_id(customer_id) else {
            return Ok(Vec::new());
        };
        let company = self.session()?.company;
        // A company's orders are those of its people too.
        let domain = json!([["partner_id", "child_of", partner], ["company_id", "=", company]]);
        let found = self.sales(domain, "date_order desc, id desc", limit.clamp(1, MOST))?;
        self.with_lines(found)
    }

    fn sales(&mut self, domain: Value, order: &str, limit: u32) -> Result<Vec<Value>> {
        let fields = self.fields("sale.order", &FIELDS, &OPTIONAL)?;
        self.find("sale.order", domain, json!(fields), order, limit, Value::Null)
    }

    /// The newest order with this number or reference that the proof fits.
    fn proven(&mut self, number: &str, proof: &Proof) -> Result<Value> {
        let proof = people::given(proof)?;
        let number = number.trim();
        if number.is_empty() || number.chars().count() > 64 {
            return Err(missing("order"));
        }
        let (company, number) = (self.session()?.company, literal(number));
        let domain = json!([
            ["company_id", "=", company],
            "|",
            ["name", "=ilike", number],
            ["client_order_ref", "=ilike", number]
        ]);
        let found = self.sales(domain, "id desc", CANDIDATES)?;
        let partners = self.partners(&found, &OWNERS)?;
        let is_theirs = |sale: &Value| owners(sale, &partners).proves(&proof, String::new).is_ok();
        found.into_iter().find(is_theirs).ok_or_else(|| missing("order"))
    }

    fn with_lines(&mut self, sales: Vec<Value>) -> Result<Vec<Order>> {
        let ids: Vec<i64> = sales.iter().map(id).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // Sections and notes are lines too.
        let domain = json!([["order_id", "in", ids], ["display_type", "=", false]]);
        let fields = ["order_id", "product_id", "name", "product_uom_qty", "price_total"];
        let lines =
            self.find("sale.order.line", domain, json!(fields), "order_id, sequence, id", LINES, Value::Null)?;
        let products = lines.iter().filter_map(|line| one(line, "product_id")).collect();
        let products = self.by_id("product.product", products, json!(["default_code", "name"]))?;
        Ok(sales.iter().map(|sale| order(sale, &lines, &products)).collect())
    }

    pub(crate) fn tracking(&mut self, number: &str, proof: &Proof) -> Result<Vec<Tracking>> {
        let sale = self.proven(number, proof)?;
        let always = ["state", "picking_type_code", "scheduled_date", "date_done"];
        let fields = match self.fields("stock.picking", &always, &CARRIER) {
            Err(e) if e.code == Code::Misconfigured.as_str() => Vec::new(),
            other => other?,
        };
        if !fields.iter().any(|f| f == "sale_id") {
            return Err(error(Code::Unsupported, "this Odoo does not track deliveries: install the Inventory app"));
        }
        let domain = json!([
            ["sale_id", "=", id(&sale)],
            ["state", "!=", "cancel"],
            "|",
            ["picking_type_id.code", "in", ["outgoing", "dropship"]],
            "|",
            ["location_dest_id.usage", "=", "customer"],
            "&",
            ["location_id.usage", "=", "customer"],
            ["state", "=", "done"]
        ]);
        let found = self.find("stock.picking", domain, json!(fields), "scheduled_date, id", 50, Value::Null)?;
        let cancelled = text(&sale, "state").as_deref() == Some("cancel");
        if found.is_empty() && !cancelled {
            let expected_at = moment(&sale, "commitment_date");
            return Ok(vec![Tracking { state: "pending".into(), expected_at, ..Tracking::default() }]);
        }
        Ok(found.iter().map(parcel).collect())
    }
}

/// Who can show that an order is theirs.
fn owners(sale: &Value, partners: &HashMap<i64, Value>) -> Known {
    let mut owners = Known::default();
    for owner in OWNERS.iter().filter_map(|o| partners.get(&one(sale, o)?)) {
        let Known { emails, phones, postal_codes, .. } = known(owner);
        owners.emails.extend(emails);
        owners.phones.extend(phones);
        owners.postal_codes.extend(postal_codes);
    }
    let customer = one(sale, "partner_id");
    let company = customer.and_then(|id| one(partners.get(&id)?, "commercial_partner_id"));
    owners.customer_ids.extend([customer, company].into_iter().flatten().map(|id| id.to_string()));
    owners
}

fn order(sale: &Value, lines: &[Value], products: &HashMap<i64, Value>) -> Order {
    let currency = named(sale, "currency_id").unwrap_or_default();
    let amount = |record: &Value, field: &str| money::number(record.get(field)?.as_f64()?, &currency);
    let lines = lines.iter().filter(|line| one(line, "order_id") == Some(id(sale))).map(|line| {
        let product = one(line, "product_id").and_then(|id| products.get(&id));
        let described = text(line, "name").and_then(|n| n.lines().next().map(str::to_owned));
        OrderLine {
            sku: product.and_then(|p| text(p, "default_code")),
            name: product.and_then(|p| text(p, "name")).or(described).unwrap_or_default(),
            quantity: json::number(line, "/product_uom_qty").unwrap_or_default(),
            total: amount(line, "price_total"),
        }
    });
    let extra = |name: &str, value: Option<String>| value.map(|value| ExtraField { name: name.into(), value });
    Order {
        number: text(sale, "name").unwrap_or_default(),
        reference: text(sale, "client_order_ref"),
        state: state(sale),
        placed_at: moment(sale, "date_order"),
        total: amount(sale, "amount_total"),
        lines: lines.collect(),
        customer_id: one(sale, "partner_id").map(|id| id.to_string()),
        extra: [extra("customer", named(sale, "partner_id")), extra("promised for", moment(sale, "commitment_date"))]
            .into_iter()
            .flatten()
            .collect(),
    }
}

fn state(sale: &Value) -> String {
    let (own, delivery) = (text(sale, "state").unwrap_or_default(), text(sale, "delivery_status"));
    let state = match (own.as_str(), delivery.as_deref()) {
        ("draft" | "sent", _) => "draft",
        ("cancel", _) => "cancelled",
        ("sale" | "done", Some("full")) => "shipped",
        ("sale" | "done", Some("started" | "partial")) => "processing",
        ("sale" | "done", _) => "confirmed",
        (own, _) => own,
    };
    state.to_owned()
}

fn parcel(picking: &Value) -> Tracking {
    let done = text(picking, "state").as_deref() == Some("done");
    // What a supplier sends to the customer is `incoming` too in 16.
    let comes = matches!(text(picking, "picking_type_code").as_deref(), Some("incoming" | "dropship"));
    let back = comes && !json::flag(picking, "/is_dropship");
    let (state, happened) = match (done, back) {
        (false, _) => ("pending", ""),
        (true, true) => ("returned", host::say("Came back", "Ist zurückgekommen")),
        (true, false) => ("shipped", host::say("Left the warehouse", "Hat das Lager verlassen")),
    };
    let event = moment(picking, "date_done").filter(|_| done);
    Tracking {
        state: state.into(),
        carrier: named(picking, "carrier_id"),
        tracking_number: text(picking, "carrier_tracking_ref"),
        // With several parcels Odoo keeps a JSON list here.
        url: text(picking, "carrier_tracking_url").filter(|url| url.starts_with("http")),
        expected_at: if done { None } else { moment(picking, "scheduled_date") },
        events: event.map(|at| TrackingEvent { at, text: happened.into(), place: None }).into_iter().collect(),
    }
}

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
        order.ok_or_else(missing)
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
        let optional = self.fields("sale.order", &OPTIONAL)?;
        let fields: Vec<&str> = FIELDS.into_iter().chain(optional.iter().map(String::as_str)).collect();
        self.find("sale.order", domain, &fields, order, limit, Value::Null)
    }

    /// The newest order with this number or reference that the proof fits.
    fn proven(&mut self, number: &str, proof: &Proof) -> Result<Value> {
        let proof = people::given(proof)?;
        let number = number.trim();
        if number.is_empty() || number.chars().count() > 64 {
            return Err(missing());
        }
        let (company, number) = (self.session()?.company, literal(number));
        let domain = json!([
            ["company_id", "=", company],
            "|",
            ["name", "=ilike", number],
            ["client_order_ref", "=ilike", number]
        ]);
        let found = self.sales(domain, "id desc", CANDIDATES)?;
        let partners: Vec<i64> = found.iter().flat_map(|sale| OWNERS.iter().filter_map(|o| one(sale, o))).collect();
        let partners = self.partners(&partners)?;
        for sale in found {
            if self.owners(&sale, &partners).proves(&proof, || missing().message).is_ok() {
                return Ok(sale);
            }
        }
        Err(missing())
    }

    /// Who can show that an order is theirs.
    fn owners(&self, sale: &Value, partners: &HashMap<i64, Value>) -> Known {
        let mut known = Known::default();
        for owner in OWNERS.iter().filter_map(|o| partners.get(&one(sale, o)?)) {
            known.emails.extend(text(owner, "email"));
            known.phones.extend(["phone", "mobile"].into_iter().filter_map(|f| text(owner, f)));
            known.postal_codes.extend(text(owner, "zip"));
        }
        if let Some(customer) = one(sale, "partner_id") {
            known.customer_ids.push(customer.to_string());
            let company = partners.get(&customer).and_then(|p| one(p, "commercial_partner_id"));
            known.customer_ids.extend(company.map(|id| id.to_string()));
        }
        known
    }

    fn with_lines(&mut self, sales: Vec<Value>) -> Result<Vec<Order>> {
        let ids: Vec<i64> = sales.iter().map(id).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // Sections and notes are lines too.
        let domain = json!([["order_id", "in", ids], ["display_type", "=", false]]);
        let fields = ["order_id", "product_id", "name", "product_uom_qty", "price_total"];
        let lines = self.find("sale.order.line", domain, &fields, "order_id, sequence, id", LINES, Value::Null)?;
        let mut products: Vec<i64> = lines.iter().filter_map(|line| one(line, "product_id")).collect();
        products.sort_unstable();
        products.dedup();
        let products = self.products_of(&products)?;
        Ok(sales.iter().map(|sale| order(sale, &lines, &products)).collect())
    }

    /// Numbers and names of articles, archived ones too.
    fn products_of(&mut self, ids: &[i64]) -> Result<HashMap<i64, Value>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let all = json!({"active_test": false});
        let domain = json!([["id", "in", ids]]);
        let found = self.find("product.product", domain, &["default_code", "name"], "", LINES, all)?;
        Ok(found.into_iter().map(|product| (id(&product), product)).collect())
    }

    pub(crate) fn tracking(&mut self, number: &str, proof: &Proof) -> Result<Vec<Tracking>> {
        let sale = self.proven(number, proof)?;
        let known = self.fields("stock.picking", &CARRIER).or_else(|e| match e.code.as_str() {
            // Without the Inventory app there are no transfers.
            "misconfigured" => Ok(Vec::new()),
            _ => Err(e),
        })?;
        if !known.iter().any(|f| f == "sale_id") {
            return Err(error(Code::Unsupported, "this Odoo does not track deliveries: install the Inventory app"));
        }
        let fields = ["state", "picking_type_code", "scheduled_date", "date_done"];
        let fields: Vec<&str> = fields.into_iter().chain(known.iter().map(String::as_str)).collect();
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
        let found = self.find("stock.picking", domain, &fields, "scheduled_date, id", 50, Value::Null)?;
        let cancelled = text(&sale, "state").as_deref() == Some("cancel");
        if found.is_empty() && !cancelled {
            let expected_at = moment(&sale, "commitment_date");
            return Ok(vec![Tracking { state: "pending".into(), expected_at, ..Tracking::default() }]);
        }
        let german = self.german();
        Ok(found.iter().map(|picking| parcel(picking, german)).collect())
    }
}

fn missing() -> Error {
    let message =
        "there is no order with this number that belongs to this e-mail address, phone number, postal code or customer";
    error(Code::NotFound, message)
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
    let delivery = text(sale, "delivery_status");
    match text(sale, "state").as_deref().unwrap_or_default() {
        "draft" | "sent" => "draft".to_owned(),
        "cancel" => "cancelled".to_owned(),
        "sale" | "done" => match delivery.as_deref() {
            Some("full") => "shipped".to_owned(),
            Some("started" | "partial") => "processing".to_owned(),
            _ => "confirmed".to_owned(),
        },
        own => own.to_owned(),
    }
}

fn parcel(picking: &Value, german: bool) -> Tracking {
    let done = text(picking, "state").as_deref() == Some("done");
    // What a supplier sends to the customer is `incoming` too in 16.
    let comes = matches!(text(picking, "picking_type_code").as_deref(), Some("incoming" | "dropship"));
    let back = comes && !json::flag(picking, "/is_dropship");
    let (state, happened) = match (done, back) {
        (false, _) => ("pending", ""),
        (true, true) => ("returned", if german { "Ist zurückgekommen" } else { "Came back" }),
        (true, false) => ("shipped", if german { "Hat das Lager verlassen" } else { "Left the warehouse" }),
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

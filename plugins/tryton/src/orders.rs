//! Orders are `sale.sale`, their parcels `stock.shipment.out`.
//!
//! One request reads the sale with its lines, parcels, parties and addresses, so that the proof is compared here and
//! a wrong one looks like a number that doesn't exist. Several sales may share a reference: the newest that is the
//! asker's is taken.
//!
//! | Tryton | here |
//! |---|---|
//! | `draft`, `quotation` | `draft`, `quotation` |
//! | `confirmed`, `cancelled` | the same |
//! | `processing`, `done` | `processing`; `shipped` when all parcels have left; `delivered` when all are done |
//! | parcel `draft`, `waiting`, `assigned` | `pending` |
//! | parcel `picked`, `packed` | `packed` |
//! | parcel `shipped`, `done` | `shipped`, `delivered` |

use crate::parties::mechanisms;
use crate::session::{Tryton, id_text, parse_id};
use crate::value::{decimal, field, literal, moment, number, records, text};
use confab_plugin_sdk::orders::{Order, OrderLine, Tracking, TrackingEvent};
use confab_plugin_sdk::people::{Known, given};
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};

/// Sales that may share a number or reference: more are not looked at.
const CANDIDATES: u32 = 20;
/// More than anybody reads in a chat.
const MOST: u32 = 50;
/// The same for a number that doesn't exist and one that is somebody else's.
const MISSING: &str =
    "there is no order with this number that belongs to this e-mail address, phone number, postal code or customer";
const OWNERS: [&str; 3] = ["party", "invoice_party", "shipment_party"];
const ADDRESSES: [&str; 2] = ["shipment_address", "invoice_address"];
const ORDER_FIELDS: [&str; 16] = [
    "number",
    "reference",
    "state",
    "shipment_state",
    "sale_date",
    "total_amount",
    "currency.code",
    "party.name",
    "lines.type",
    "lines.product.code",
    "lines.product.name",
    "lines.description",
    "lines.quantity",
    "lines.unit.symbol",
    "lines.amount",
    "shipments.state",
];

impl Tryton<'_> {
    pub(crate) fn order(&mut self, number: &str, proof: &Proof) -> Result<Order> {
        let sale = self.proven_sale(number, proof, ORDER_FIELDS.map(str::to_owned).to_vec())?;
        Ok(order(&sale))
    }

    pub(crate) fn orders_of(&mut self, customer_id: &str, limit: u32) -> Result<Vec<Order>> {
        let Some(party) = parse_id(customer_id) else {
            return Ok(Vec::new());
        };
        let company = self.session()?.company;
        let domain = json!([["party", "=", party], ["company", "=", company]]);
        let newest = json!([["sale_date", "DESC NULLS LAST"], ["id", "DESC"]]);
        let shown = self.shown();
        let sales = self.find("sale.sale", domain, limit.clamp(1, MOST), newest, json!(ORDER_FIELDS), shown)?;
        Ok(sales.iter().map(order).collect())
    }

    pub(crate) fn tracking(&mut self, number: &str, proof: &Proof) -> Result<Vec<Tracking>> {
        let known = self.session()?.shipment_fields;
        let has = |name: &str| known.iter().any(|f| f == name);
        let mut fields =
            ["state", "shipments.number", "shipments.state", "shipments.effective_date"].map(str::to_owned).to_vec();
        fields.extend(has("carrier").then(|| "shipments.carrier.party.name".to_owned()));
        fields.extend(has("shipping_reference").then(|| "shipments.shipping_reference".to_owned()));
        let packages = has("root_packages") && has("shipping_reference");
        fields.extend(packages.then(|| "shipments.root_packages.shipping_tracking_url".to_owned()));
        let sale = self.proven_sale(number, proof, fields)?;
        let left = self.speaker()("Left the warehouse", "Hat das Lager verlassen");
        let parcels: Vec<Tracking> = records(&sale, "shipments").into_iter().filter_map(|s| parcel(s, &left)).collect();
        let cancelled = text(&sale, "state").as_deref() == Some("cancelled");
        if parcels.is_empty() && !cancelled {
            return Ok(vec![Tracking { state: "pending".into(), ..Tracking::default() }]);
        }
        Ok(parcels)
    }

    fn proven_sale(&mut self, number: &str, proof: &Proof, mut fields: Vec<String>) -> Result<Value> {
        let proof = given(proof)?;
        let missing = || error(Code::NotFound, MISSING);
        let number = number.trim();
        if number.is_empty() || number.chars().count() > 64 {
            return Err(missing());
        }
        for owner in OWNERS {
            fields.extend(["type", "value"].map(|f| format!("{owner}.contact_mechanisms.{f}")));
        }
        fields.extend(ADDRESSES.map(|a| format!("{a}.postal_code")));
        let (company, shown) = (self.session()?.company, self.shown());
        let named = |field: &str| json!([field, "ilike", literal(number)]);
        let domain = json!([["company", "=", company], ["OR", named("number"), named("reference")]]);
        let sales = self.find("sale.sale", domain, CANDIDATES, json!([["id", "DESC"]]), json!(fields), shown)?;
        let theirs = |sale: &Value| known(sale).proves(&proof, String::new).is_ok();
        sales.into_iter().find(theirs).ok_or_else(missing)
    }
}

/// What a sale says of its owners.
fn known(sale: &Value) -> Known {
    let owners: Vec<&Value> = OWNERS.iter().flat_map(|owner| records(sale, owner)).collect();
    let reached = |kinds: &[&str]| owners.iter().flat_map(|owner| mechanisms(owner, kinds)).collect();
    Known {
        emails: reached(&["email"]),
        phones: reached(&["phone", "mobile"]),
        postal_codes: ADDRESSES.iter().filter_map(|address| text(sale, &format!("{address}.postal_code"))).collect(),
        customer_ids: field(sale, "party.id").map(Value::to_string).into_iter().collect(),
    }
}

fn order(sale: &Value) -> Order {
    let currency = text(sale, "currency.code").unwrap_or_default();
    let money =
        |record: &Value, name: &str| decimal(record, name).map(|amount| Money { amount, currency: currency.clone() });
    let lines = records(sale, "lines").into_iter().filter(|l| text(l, "type").as_deref() == Some("line"));
    let lines = lines.map(|line| {
        let described = text(line, "description").and_then(|d| d.lines().next().map(str::to_owned));
        let sku = text(line, "product.code");
        let name = text(line, "product.name").or(described).or_else(|| sku.clone()).unwrap_or_default();
        OrderLine { sku, name, quantity: number(line, "quantity").unwrap_or_default(), total: money(line, "amount") }
    });
    let reference = text(sale, "reference");
    Order {
        // A draft has no number yet.
        number: text(sale, "number").or_else(|| reference.clone()).or_else(|| id_text(sale)).unwrap_or_default(),
        reference,
        state: state(sale),
        placed_at: moment(sale, "sale_date"),
        total: money(sale, "total_amount"),
        lines: lines.collect(),
        customer_id: field(sale, "party.id").and_then(Value::as_i64).map(|id| id.to_string()),
        extra: text(sale, "party.name")
            .map(|value| ExtraField { name: "customer".into(), value })
            .into_iter()
            .collect(),
    }
}

fn state(sale: &Value) -> String {
    let own = text(sale, "state").unwrap_or_default();
    if own != "processing" && own != "done" {
        return own;
    }
    let parcels: Vec<String> =
        records(sale, "shipments").into_iter().filter_map(|s| text(s, "state")).filter(|s| s != "cancelled").collect();
    // A part of the goods may not be in any parcel yet: then the sale still waits.
    let waits = matches!(text(sale, "shipment_state").as_deref(), Some("partially shipped" | "exception"));
    let all = |states: &[&str]| !waits && !parcels.is_empty() && parcels.iter().all(|p| states.contains(&p.as_str()));
    let word = if all(&["done"]) {
        "delivered"
    } else if all(&["shipped", "done"]) {
        "shipped"
    } else {
        "processing"
    };
    word.to_owned()
}

fn parcel(shipment: &Value, words: &str) -> Option<Tracking> {
    let state = match text(shipment, "state")?.as_str() {
        "cancelled" => return None,
        "draft" | "waiting" | "assigned" => "pending".to_owned(),
        "picked" | "packed" => "packed".to_owned(),
        "done" => "delivered".to_owned(),
        other => other.to_owned(),
    };
    let left = moment(shipment, "effective_date").map(|at| TrackingEvent { at, text: words.to_owned(), place: None });
    Some(Tracking {
        state,
        carrier: text(shipment, "carrier.party.name"),
        tracking_number: text(shipment, "shipping_reference"),
        url: records(shipment, "root_packages").into_iter().find_map(|p| text(p, "shipping_tracking_url")),
        expected_at: None,
        events: left.into_iter().collect(),
    })
}

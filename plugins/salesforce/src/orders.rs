//! Orders are `Order` with its `OrderItems`.
//!
//! One request reads an order with everything that proves whose it is, so that a wrong proof looks like a number that
//! does not exist. Several orders may share a number of the customer's: the newest that is the asker's is taken.
//!
//! | Salesforce | here |
//! |---|---|
//! | Status that the settings name | what they say |
//! | Status `Draft`, `Activated`, `Processing`, `Shipped`, `Delivered`, `Cancelled` | `draft`, `confirmed`, ... |
//! | another Status of `StatusCode` Draft, Canceled | `draft`, `cancelled` |
//! | any other | as it is |
//!
//! Core Salesforce has no parcels: where the goods are is known from fields that the settings name, or from the state.

use crate::org::{Object, Org};
use crate::soql::{forms, id, literal, numbers};
use confab_plugin_sdk::orders::{Order, OrderLine, Tracking};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{dates, json, money, people};
use serde_json::Value;

const MOST: u32 = 50;
/// Orders that may share a number: more are not looked at.
const CANDIDATES: usize = 20;
const SELECT: [&str; 23] = [
    "Id",
    "OrderNumber",
    "PoNumber",
    "OrderReferenceNumber",
    "Name",
    "Status",
    "StatusCode",
    "EffectiveDate",
    "OrderedDate",
    "TotalAmount",
    "CurrencyIsoCode",
    "AccountId",
    "Account.Name",
    "BillToContactId",
    "BillToContact.Email",
    "BillToContact.Phone",
    "BillToContact.MobilePhone",
    "ShipToContactId",
    "ShipToContact.Email",
    "ShipToContact.Phone",
    "ShipToContact.MobilePhone",
    "ShippingPostalCode",
    "BillingPostalCode",
];
const NUMBERS: [&str; 3] = ["OrderNumber", "PoNumber", "OrderReferenceNumber"];
const LINES: [&str; 5] = ["Quantity", "TotalPrice", "Description", "Product2.Name", "Product2.ProductCode"];

impl Org {
    pub(crate) fn order(&self, number: &str, proof: &Proof) -> Result<Order> {
        Ok(self.as_order(&self.proven_order(number, proof)?))
    }

    pub(crate) fn orders_of(&self, customer: &str, limit: u32) -> Result<Vec<Order>> {
        let object = self.object("Order")?;
        let condition = match (id(customer, "003"), id(customer, "001")) {
            (Some(contact), _) => {
                let fields = object.readable(["BillToContactId", "ShipToContactId"]);
                fields.iter().map(|f| format!("{f} = {}", literal(contact))).collect::<Vec<_>>().join(" OR ")
            }
            (None, Some(account)) => format!("AccountId = {}", literal(account)),
            (None, None) => return Ok(Vec::new()),
        };
        if condition.is_empty() {
            return Err(error(Code::Misconfigured, "the integration user may not see Order.BillToContactId"));
        }
        let limit = limit.clamp(1, MOST) as usize;
        let found = self.order_records(&object, &condition, limit)?;
        Ok(found.iter().map(|o| self.as_order(o)).collect())
    }

    pub(crate) fn tracking(&self, number: &str, proof: &Proof) -> Result<Vec<Tracking>> {
        let record = self.proven_order(number, proof)?;
        let order = self.order_state(&record);
        let of = |what: &str| {
            let path = self.settings.orders.tracking.get(what)?;
            json::text(&record, &pointer(path))
        };
        if order == "cancelled" {
            return Ok(Vec::new());
        }
        let usual = match order.as_str() {
            "draft" | "confirmed" | "processing" => "pending",
            other => other,
        };
        Ok(vec![Tracking {
            state: of("state").unwrap_or_else(|| usual.to_owned()),
            carrier: of("carrier"),
            tracking_number: of("number"),
            url: of("url").filter(|url| url.starts_with("https://") || url.starts_with("http://")),
            expected_at: of("expected_at").and_then(|at| dates::rfc3339(&at)),
            events: Vec::new(),
        }])
    }

    fn proven_order(&self, number: &str, proof: &Proof) -> Result<Value> {
        let proof = people::given(proof)?;
        let missing = || {
            "there is no order with this number that belongs to this e-mail address, phone number, postal code or customer".to_owned()
        };
        let number = number.trim().trim_start_matches('#');
        if number.is_empty() || number.chars().count() > 80 {
            return Err(error(Code::NotFound, missing()));
        }
        let object = self.object("Order")?;
        let own = self.settings.orders.number_fields.iter().map(String::as_str);
        let fields = object.readable(NUMBERS.into_iter().chain(own));
        let condition =
            fields.iter().map(|field| format!("{field} IN {}", numbers(number))).collect::<Vec<_>>().join(" OR ");
        let found = self.order_records(&object, &condition, CANDIDATES)?;
        let theirs = found.iter().find(|order| self.known(order).proves(&proof, missing).is_ok());
        theirs.cloned().ok_or_else(|| error(Code::NotFound, missing()))
    }

    fn order_records(&self, object: &Object, condition: &str, most: usize) -> Result<Vec<Value>> {
        let settings = &self.settings.orders;
        let own = [&settings.number_fields, &settings.email_fields, &settings.phone_fields];
        let own = own.into_iter().flatten().chain(settings.tracking.values()).map(String::as_str);
        let mut fields = object.readable(SELECT.into_iter().chain(own));
        fields.sort_unstable();
        fields.dedup();
        let lines = self.object("OrderItem")?;
        let lines = lines.readable(["Id"].into_iter().chain(LINES)).join(", ");
        let soql = format!(
            "SELECT {}, (SELECT {lines} FROM OrderItems ORDER BY CreatedDate LIMIT 200) FROM Order WHERE {condition} ORDER BY CreatedDate DESC LIMIT {most}",
            fields.join(", ")
        );
        self.rest.query(&soql, most).map_err(|e| {
            self.forget("OrderItem");
            self.failed("Order", e)
        })
    }

    /// What an order says of its customer. The account's phone is a company's switchboard, which is no secret.
    fn known(&self, order: &Value) -> people::Known {
        let settings = &self.settings.orders;
        let all = |fields: &[&str], own: &[String]| {
            let fields = fields.iter().map(|f| (*f).to_owned()).chain(own.iter().map(|path| pointer(path)));
            fields.filter_map(|f| json::text(order, &f)).collect::<Vec<_>>()
        };
        let phones = [
            "/BillToContact/Phone",
            "/BillToContact/MobilePhone",
            "/ShipToContact/Phone",
            "/ShipToContact/MobilePhone",
        ];
        people::Known {
            emails: all(&["/BillToContact/Email", "/ShipToContact/Email"], &settings.email_fields),
            phones: all(&phones, &settings.phone_fields),
            postal_codes: all(&["/ShippingPostalCode", "/BillingPostalCode"], &[]),
            customer_ids: all(&["/BillToContactId", "/ShipToContactId", "/AccountId"], &[])
                .iter()
                .flat_map(|id| forms(id))
                .collect(),
        }
    }

    fn as_order(&self, record: &Value) -> Order {
        let text = |field: &str| json::text(record, field);
        // With one currency only, records don't say which: an amount without its currency is no amount.
        let currency = text("/CurrencyIsoCode").or_else(|| self.settings.currency.clone());
        let amount = |value: &Value, field: &str| money::number(json::number(value, field)?, currency.as_deref()?);
        let lines = json::list(record, "/OrderItems/records").iter().map(|line| {
            let sku = json::text(line, "/Product2/ProductCode");
            let name =
                json::text(line, "/Product2/Name").or_else(|| json::text(line, "/Description")).or_else(|| sku.clone());
            OrderLine {
                sku,
                name: name.unwrap_or_default(),
                quantity: json::number(line, "/Quantity").unwrap_or_default(),
                total: amount(line, "/TotalPrice"),
            }
        });
        let own = self.settings.orders.number_fields.iter().find_map(|field| text(&pointer(field)));
        let extra = [("account", "/Account/Name"), ("name", "/Name")];
        Order {
            number: text("/OrderNumber").unwrap_or_default(),
            reference: own.or_else(|| text("/PoNumber")).or_else(|| text("/OrderReferenceNumber")),
            state: self.order_state(record),
            placed_at: text("/OrderedDate").or_else(|| text("/EffectiveDate")).and_then(|at| dates::rfc3339(&at)),
            total: amount(record, "/TotalAmount"),
            lines: lines.collect(),
            customer_id: text("/BillToContactId").or_else(|| text("/AccountId")),
            extra: extra
                .into_iter()
                .filter_map(|(name, f)| Some(ExtraField { name: name.into(), value: text(f)? }))
                .collect(),
        }
    }

    fn order_state(&self, record: &Value) -> String {
        let status = json::text(record, "/Status").unwrap_or_default();
        if let Some(own) = self.settings.orders.states.get(&status) {
            return own.clone();
        }
        let word = match status.to_lowercase().as_str() {
            "activated" => "confirmed",
            "canceled" | "cancelled" => "cancelled",
            "draft" | "processing" | "shipped" | "delivered" | "confirmed" => &status.to_lowercase(),
            _ => match json::text(record, "/StatusCode").as_deref() {
                Some("Draft" | "D") => "draft",
                Some("Canceled" | "C") => "cancelled",
                _ => &status,
            },
        };
        word.to_owned()
    }
}

/// `Account.PersonEmail` is at `/Account/PersonEmail`.
fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

//! Orders are `A_SalesOrder` of `API_SALES_ORDER_SRV`.
//!
//! One request reads the order with its items, its partners and their addresses, so that the proof is compared here and
//! a wrong one looks like a number that does not exist. Several orders may have a customer's reference: the newest that
//! is the asker's is taken.
//!
//! | SAP | here |
//! |---|---|
//! | `OverallSDDocumentRejectionSts` C | `cancelled` |
//! | `OverallSDProcessStatus` C | `shipped` (all is delivered as far as the order goes, and billed) |
//! | `OverallTotalDeliveryStatus` B, C (deliveries were made out), `OverallSDProcessStatus` B | `processing` |
//! | anything else | `confirmed` |

use crate::gateway::{Gateway, either, key, moment};
use confab_plugin_sdk::odata::{Query, literal};
use confab_plugin_sdk::orders::{Order, OrderLine, no_order};
use confab_plugin_sdk::people::{self, Known};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{extras, json, money};
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) const SERVICE: &str = "API_SALES_ORDER_SRV";
/// Orders that may share a reference: more are not looked at.
const CANDIDATES: u32 = 20;
/// More than anybody reads in a chat.
const MOST: u32 = 50;
/// Longest `SalesOrder`, longest `PurchaseOrderByCustomer`.
const NUMBER: usize = 10;
const REFERENCE: usize = 35;
const FIELDS: &str = "SalesOrder,PurchaseOrderByCustomer,SoldToParty,SalesOrderDate,CreationDate,RequestedDeliveryDate,\
    TotalNetAmount,TransactionCurrency,OverallSDProcessStatus,OverallTotalDeliveryStatus,OverallSDDocumentRejectionSts,\
    to_Item/SalesOrderItem,to_Item/Material,to_Item/SalesOrderItemText,to_Item/RequestedQuantity,to_Item/NetAmount,\
    to_Item/TaxAmount,to_Item/SalesDocumentRjcnReason";
const OWNERS: &str = "to_Partner/PartnerFunction,to_Partner/Customer,to_Partner/to_Address/PostalCode,\
    to_Partner/to_Address/EmailAddress,to_Partner/to_Address/PhoneNumber,to_Partner/to_Address/MobileNumber";

impl Gateway {
    pub(crate) fn order(&self, number: &str, proof: &Proof) -> Result<Order> {
        Ok(order(&self.proven(number, proof)?))
    }

    pub(crate) fn orders_of(&self, customer_id: &str, limit: u32) -> Result<Vec<Order>> {
        let customer = key(customer_id);
        if customer.is_empty() || customer.len() > NUMBER {
            return Ok(Vec::new());
        }
        let limit = limit.clamp(1, MOST);
        let filter = self.within(format!("SoldToParty eq {}", literal(&customer)));
        let query = Query::new("/A_SalesOrder").filter(filter).select(&[FIELDS]).expand(&["to_Item"]);
        let query = query.order_by("SalesOrderDate desc,SalesOrder desc").top(limit);
        Ok(self.list(SERVICE, query, limit as usize)?.iter().map(order).collect())
    }

    /// A filter, with the sales organisations of the settings.
    fn within(&self, filter: String) -> String {
        let own = &self.settings.sales_organizations;
        if own.is_empty() { filter } else { format!("({filter}) and {}", either("SalesOrganization", own)) }
    }

    /// The newest order with this number or reference that the proof fits, with all that belongs to it.
    pub(crate) fn proven(&self, number: &str, proof: &Proof) -> Result<Value> {
        let proof = people::given(proof)?;
        let number = number.trim();
        let mut filters = Vec::new();
        // Too long a key is an error of the gateway's, not an order that isn't there.
        if number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty() && key(number).len() <= NUMBER {
            filters.push(either("SalesOrder", [key(number)]));
        }
        // Case matters to the gateway, and references are mostly written in capitals.
        let references = [number.to_owned(), number.to_uppercase()];
        let is_reference = |r: &&String| (1..=REFERENCE).contains(&r.chars().count()) && !r.contains(char::is_control);
        let references: BTreeSet<&String> = references.iter().filter(is_reference).collect();
        if !references.is_empty() {
            filters.push(either("PurchaseOrderByCustomer", references));
        }
        if filters.is_empty() {
            return Err(no_order());
        }
        let query = Query::new("/A_SalesOrder").filter(self.within(filters.join(" or "))).select(&[FIELDS, OWNERS]);
        let query = query.expand(&["to_Item", "to_Partner/to_Address"]).order_by("SalesOrder desc").top(CANDIDATES);
        let found = self.list(SERVICE, query, CANDIDATES as usize)?;
        found.into_iter().find(|order| owners(order).proves(&proof, String::new).is_ok()).ok_or_else(no_order)
    }
}

/// Who can show that an order is theirs.
fn owners(order: &Value) -> Known {
    let mut known = Known::default();
    // Carriers, suppliers and employees are partners too, and their postal code is no secret.
    let customers = json::list(order, "/to_Partner/results").iter().filter(|p| json::text(p, "/Customer").is_some());
    for partner in customers {
        for address in json::list(partner, "/to_Address/results") {
            known.emails.extend(json::text(address, "/EmailAddress"));
            known.postal_codes.extend(json::text(address, "/PostalCode"));
            known
                .phones
                .extend(["/PhoneNumber", "/MobileNumber"].iter().filter_map(|field| json::text(address, field)));
        }
    }
    // With and without zeros: who verified the visitor may have either.
    if let Some(customer) = json::text(order, "/SoldToParty") {
        known.customer_ids = vec![format!("{:0>10}", key(&customer)), key(&customer)];
    }
    known
}

fn order(order: &Value) -> Order {
    let currency = json::text(order, "/TransactionCurrency").unwrap_or_default();
    let cancelled = json::text(order, "/OverallSDDocumentRejectionSts").as_deref() == Some("C");
    let items = json::list(order, "/to_Item/results").iter();
    // A rejected item is none that will come, unless nothing will.
    let items: Vec<&Value> =
        items.filter(|item| cancelled || json::text(item, "/SalesDocumentRjcnReason").is_none()).collect();
    let amount = |value: &Value, field: &str| money::of(&json::text(value, field)?, &currency);
    let tax: f64 = items.iter().filter_map(|item| json::number(item, "/TaxAmount")).sum();
    let lines = items.iter().map(|item| OrderLine {
        sku: json::text(item, "/Material"),
        name: json::text(item, "/SalesOrderItemText").or_else(|| json::text(item, "/Material")).unwrap_or_default(),
        quantity: json::number(item, "/RequestedQuantity").unwrap_or_default(),
        total: amount(item, "/NetAmount"),
    });
    let tax = money::number(tax, &currency).filter(|_| tax != 0.0).map(|m| m.amount);
    Order {
        number: json::text(order, "/SalesOrder").unwrap_or_default(),
        reference: json::text(order, "/PurchaseOrderByCustomer"),
        state: state(order).to_owned(),
        placed_at: moment(order, "SalesOrderDate").or_else(|| moment(order, "CreationDate")),
        total: amount(order, "/TotalNetAmount"),
        lines: lines.collect(),
        customer_id: json::text(order, "/SoldToParty"),
        extra: extras([("tax", tax), ("requested for", moment(order, "RequestedDeliveryDate"))]),
    }
}

pub(crate) fn state(order: &Value) -> &'static str {
    let status = |field: &str| json::text(order, field).unwrap_or_default();
    let (process, delivery) = (status("/OverallSDProcessStatus"), status("/OverallTotalDeliveryStatus"));
    match (status("/OverallSDDocumentRejectionSts").as_str(), process.as_str(), delivery.as_str()) {
        ("C", ..) => "cancelled",
        (_, "C", _) => "shipped",
        (_, "B", _) | (.., "B" | "C") => "processing",
        _ => "confirmed",
    }
}

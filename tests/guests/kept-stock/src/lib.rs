//! Asks its system once for each call: what the system counts is how many calls were made, and which answers were kept.

use confab_plugin_sdk::http::Request;
use confab_plugin_sdk::inventory::{Inventory, StockLevel};
use confab_plugin_sdk::leads::{Lead, LeadInput, Leads, Qualification};
use confab_plugin_sdk::orders::{Order, Orders, Tracking};
use confab_plugin_sdk::prelude::*;

struct KeptStock;

fn asks(method: &str, path: &str) -> Result<()> {
    Request::new(method, "api", path).send()?.ok().map(drop)
}

impl Inventory for KeptStock {
    fn availability(sku: String, _location: Option<String>) -> Result<Vec<StockLevel>> {
        asks("GET", &format!("/stock/{sku}"))?;
        if sku == "SKU-404" {
            return Err(error(Code::NotFound, "no such article"));
        }
        let name = "Kept article".to_owned();
        Ok(vec![StockLevel {
            sku,
            name,
            on_hand: 7.0,
            available: 5.0,
            as_of: host::now_rfc3339(),
            ..Default::default()
        }])
    }
}

impl Orders for KeptStock {
    fn get(number: String, proof: Proof) -> Result<Order> {
        asks("GET", &format!("/orders/{number}"))?;
        Ok(Order { number, reference: proof.email, state: "shipped".to_owned(), ..Default::default() })
    }

    fn list_for_customer(_customer_id: String, _limit: u32) -> Result<Vec<Order>> {
        Err(error(Code::Unsupported, "only `get`"))
    }

    fn track(_number: String, _proof: Proof) -> Result<Vec<Tracking>> {
        Err(error(Code::Unsupported, "only `get`"))
    }
}

impl Leads for KeptStock {
    fn create(lead: LeadInput) -> Result<Lead> {
        asks("POST", "/leads")?;
        Ok(Lead { id: "1".to_owned(), state: "new".to_owned(), subject: lead.subject, ..Default::default() })
    }

    fn qualify(_id: String, _qualification: Qualification) -> Result<Lead> {
        Err(error(Code::Unsupported, "only `create`"))
    }
}

confab_plugin_sdk::connector!(KeptStock: inventory, orders, leads);

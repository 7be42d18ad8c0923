//! Connector for SAP S/4HANA, on premise and in the cloud, over the OData V2 services that SAP publishes.
//!
//! | module | what it holds |
//! |---|---|
//! | `gateway` | one request, its pages, and what the gateway's errors mean |
//! | `orders` | `API_SALES_ORDER_SRV` |
//! | `deliveries` | `API_OUTBOUND_DELIVERY_SRV`, version 2: where the goods are |
//! | `stock` | `API_MATERIAL_STOCK_SRV`, with names out of `API_PRODUCT_SRV` |
//! | `health` | which service answers |
//!
//! It only reads, so it needs no CSRF token. Keys come without their leading zeros and are sent so: the gateway converts
//! them (ALPHA). Decimals are texts, dates are `/Date(..)/`.

mod deliveries;
mod gateway;
mod health;
mod orders;
mod stock;

#[cfg(test)]
mod tests;

use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::inventory::{Inventory, StockLevel};
use confab_plugin_sdk::orders::{Order, Orders, Tracking};
use confab_plugin_sdk::prelude::*;
use gateway::Gateway;

struct Connector;

impl Orders for Connector {
    fn get(number: String, proof: Proof) -> Result<Order> {
        Gateway::new()?.order(&number, &proof)
    }
    fn list_for_customer(customer_id: String, limit: u32) -> Result<Vec<Order>> {
        Gateway::new()?.orders_of(&customer_id, limit)
    }
    fn track(number: String, proof: Proof) -> Result<Vec<Tracking>> {
        Gateway::new()?.tracking(&number, &proof)
    }
}

impl Inventory for Connector {
    fn availability(sku: String, location: Option<String>) -> Result<Vec<StockLevel>> {
        Gateway::new()?.availability(&sku, location.as_deref())
    }
}

impl Health for Connector {
    fn check() -> Vec<Finding> {
        Gateway::new().map_or_else(|e| vec![Finding::error("settings", e.message)], |gateway| gateway.findings())
    }
}

confab_plugin_sdk::connector!(Connector: orders, inventory, health);

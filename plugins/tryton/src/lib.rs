//! Connector for the Tryton ERP, 8.2 or later, over its JSON-RPC.
//!
//! | module | what it holds |
//! |---|---|
//! | `rpc` | one call, and what Tryton's errors mean |
//! | `value` | decimals, dates and related records in Tryton's JSON |
//! | `session` | company, currency, warehouses: read once, remembered; the context of each call |
//! | `orders`, `stock`, `articles`, `parties`, `leads` | the capabilities, each with what it maps to |
//! | `health` | rights and modules |
//!
//! They are all one type, [`session::Tryton`], that borrows the way to Tryton and the store: the host's here, recorded
//! answers and a map in tests. The host signs in (see `plugin.toml`); no password comes near this code.

mod articles;
mod health;
mod leads;
mod orders;
mod parties;
mod rpc;
mod session;
mod stock;
mod value;

#[cfg(test)]
mod tests;

use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::contacts::{Contact, Contacts};
use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::inventory::{Inventory, StockLevel};
use confab_plugin_sdk::leads::{Lead, LeadInput, Leads, Qualification};
use confab_plugin_sdk::orders::{Order, Orders, Tracking};
use confab_plugin_sdk::prelude::*;
use rpc::Live;
use session::{Kv, Settings, Tryton};

struct Connector;

/// Runs a call against the connection's Tryton.
fn with<T>(work: impl FnOnce(&mut Tryton<'_>) -> Result<T>) -> Result<T> {
    let settings: Settings = host::settings()?;
    let context = host::context();
    work(&mut Tryton {
        rpc: &mut Live,
        memory: &mut Kv,
        settings,
        now: host::now_millis(),
        once: context.idempotency_key,
        locale: context.locale,
        session: None,
    })
}

impl Orders for Connector {
    fn get(number: String, proof: Proof) -> Result<Order> {
        with(|t| t.order(&number, &proof))
    }
    fn list_for_customer(customer_id: String, limit: u32) -> Result<Vec<Order>> {
        with(|t| t.orders_of(&customer_id, limit))
    }
    fn track(number: String, proof: Proof) -> Result<Vec<Tracking>> {
        with(|t| t.tracking(&number, &proof))
    }
}

impl Inventory for Connector {
    fn availability(sku: String, location: Option<String>) -> Result<Vec<StockLevel>> {
        with(|t| t.availability(&sku, location.as_deref(), &host::now_rfc3339()))
    }
}

impl Catalog for Connector {
    fn search(query: String, limit: u32) -> Result<Vec<Product>> {
        with(|t| t.articles(&query, limit))
    }
    fn get(sku: String) -> Result<Product> {
        with(|t| t.article(&sku))
    }
    fn recommend(interest: Interest, limit: u32) -> Result<Vec<Recommendation>> {
        with(|t| t.recommended(&interest, limit))
    }
}

impl Contacts for Connector {
    fn find(email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        with(|t| t.contacts(email, phone))
    }
    fn upsert(person: Person) -> Result<Contact> {
        with(|t| t.upsert(&person))
    }
}

impl Leads for Connector {
    fn create(lead: LeadInput) -> Result<Lead> {
        with(|t| t.create_lead(&lead))
    }
    fn qualify(id: String, qualification: Qualification) -> Result<Lead> {
        with(|t| t.qualify_lead(&id, &qualification))
    }
}

impl Health for Connector {
    fn check() -> Vec<Finding> {
        with(|t| Ok(t.findings())).unwrap_or_else(|e| vec![Finding::error("settings", e.message)])
    }
}

confab_plugin_sdk::connector!(Connector: orders, inventory, catalog, contacts, leads, health);

//! Connector for Vendure shops, 3.6 or later, over the Admin API (GraphQL).
//!
//! | module | what it holds |
//! |---|---|
//! | `api` | one question to Vendure, its settings, money and refusals |
//! | `orders`, `stock`, `articles`, `customers` | the capabilities, each with what it maps to |
//! | `advice` | recommendations |
//! | `health` | the key and its rights |
//!
//! Each call opens an [`api::Vendure`], which is no more than the settings and the language. Nothing is remembered between calls: what
//! the shop's settings say (decimals of money, stock thresholds) is asked for in the same request as the record.

mod advice;
mod api;
mod articles;
mod customers;
mod health;
mod orders;
mod stock;

#[cfg(test)]
mod tests;

use api::Vendure;
use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::contacts::{Contact, Contacts};
use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::inventory::{Inventory, StockLevel};
use confab_plugin_sdk::orders::{Order, Orders, Tracking};
use confab_plugin_sdk::prelude::*;

struct Connector;

impl Orders for Connector {
    fn get(number: String, proof: Proof) -> Result<Order> {
        Vendure::open()?.order(&number, &proof)
    }
    fn list_for_customer(customer_id: String, limit: u32) -> Result<Vec<Order>> {
        Vendure::open()?.orders_of(&customer_id, limit)
    }
    fn track(number: String, proof: Proof) -> Result<Vec<Tracking>> {
        Vendure::open()?.tracking(&number, &proof)
    }
}

impl Inventory for Connector {
    fn availability(sku: String, location: Option<String>) -> Result<Vec<StockLevel>> {
        Vendure::open()?.availability(&sku, location.as_deref())
    }
}

impl Catalog for Connector {
    fn search(query: String, limit: u32) -> Result<Vec<Product>> {
        Vendure::open()?.articles(&query, limit)
    }
    fn get(sku: String) -> Result<Product> {
        Vendure::open()?.article(&sku)
    }
    fn recommend(interest: Interest, limit: u32) -> Result<Vec<Recommendation>> {
        Vendure::open()?.recommended(&interest, limit)
    }
}

impl Contacts for Connector {
    fn find(email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        Vendure::open()?.contacts(email, phone)
    }
    fn upsert(person: Person) -> Result<Contact> {
        Vendure::open()?.upsert(&person)
    }
}

impl Health for Connector {
    fn check() -> Vec<Finding> {
        match Vendure::open() {
            Ok(vendure) => vendure.findings(),
            Err(e) => vec![Finding::error("settings", e.message)],
        }
    }
}

confab_plugin_sdk::connector!(Connector: orders, inventory, catalog, contacts, health);

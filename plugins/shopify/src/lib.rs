//! Connector for Shopify shops, over the Admin GraphQL API.
//!
//! | module | what it holds |
//! |---|---|
//! | `api` | one question to Shopify, its settings, what its refusals mean |
//! | `syntax` | values in Shopify's search syntax |
//! | `candidates` | what looks like a number that somebody gave |
//! | `orders`, `stock`, `articles`, `customers` | the capabilities, each with what it maps to |
//! | `advice` | recommendations |
//! | `webhook` | what Shopify tells by itself |
//! | `health` | the token, its scopes, the API's version |
//!
//! Shopify's search is looser than an equation (it folds case, splits words, takes beginnings) and lags behind by seconds, so whatever it
//! finds is compared here again, and customers are looked up by their identifiers instead.

mod advice;
mod api;
mod articles;
mod candidates;
mod customers;
mod health;
mod orders;
mod stock;
mod syntax;
mod webhook;

#[cfg(test)]
mod tests;

use api::Shopify;
use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::contacts::{Contact, Contacts};
use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::inventory::{Inventory, StockLevel};
use confab_plugin_sdk::orders::{Order, Orders, Tracking};
use confab_plugin_sdk::prelude::*;

struct Connector;

impl Orders for Connector {
    fn get(number: String, proof: Proof) -> Result<Order> {
        Shopify::open()?.order(&number, &proof)
    }
    fn list_for_customer(customer_id: String, limit: u32) -> Result<Vec<Order>> {
        Shopify::open()?.orders_of(&customer_id, limit)
    }
    fn track(number: String, proof: Proof) -> Result<Vec<Tracking>> {
        Shopify::open()?.tracking(&number, &proof)
    }
}

impl Inventory for Connector {
    fn availability(sku: String, location: Option<String>) -> Result<Vec<StockLevel>> {
        Shopify::open()?.availability(&sku, location.as_deref())
    }
}

impl Catalog for Connector {
    fn search(query: String, limit: u32) -> Result<Vec<Product>> {
        Shopify::open()?.articles(&query, limit)
    }
    fn get(sku: String) -> Result<Product> {
        Shopify::open()?.article(&sku)
    }
    fn recommend(interest: Interest, limit: u32) -> Result<Vec<Recommendation>> {
        Shopify::open()?.recommended(&interest, limit)
    }
}

impl Contacts for Connector {
    fn find(email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        Shopify::open()?.contacts(email, phone)
    }
    fn upsert(person: Person) -> Result<Contact> {
        Shopify::open()?.upsert(&person)
    }
}

impl Health for Connector {
    fn check() -> Vec<Finding> {
        match Shopify::open() {
            Ok(shopify) => shopify.findings(),
            Err(e) => vec![Finding::error("settings", e.message)],
        }
    }
}

confab_plugin_sdk::connector!(Connector: orders, inventory, catalog, contacts, health, webhook);

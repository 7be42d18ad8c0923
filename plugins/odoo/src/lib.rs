//! Connector for Odoo 16, 17 and 18, over its external API (JSON-RPC, `execute_kw`).
//!
//! | module | what it holds |
//! |---|---|
//! | `rpc` | one call, and what Odoo's exceptions mean |
//! | `session` | user, company, languages, which fields and stages there are: read once, remembered; each call's context |
//! | `orders`, `stock`, `articles`, `parties`, `leads`, `tickets` | the capabilities, each with what it maps to |
//! | `desk` | the three helpdesks that an Odoo can have |
//! | `writes` | records and messages that are made once |
//! | `health` | version, rights and modules |
//!
//! All are one type, [`session::Odoo`]. Versions differ in their fields, so what is not in all of them is asked for
//! only when `fields_get` has it. Odoo writes `false` for what is empty, and a related record as `[id, "name"]`.
//! The API key is put into each call by the host (see `plugin.toml`); it never comes near this code.

mod articles;
mod desk;
mod health;
mod leads;
mod orders;
mod parties;
mod rpc;
mod session;
mod stock;
mod tickets;
mod writes;

#[cfg(test)]
mod tests;

use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::contacts::{Contact, Contacts};
use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::inventory::{Inventory, StockLevel};
use confab_plugin_sdk::leads::{Lead, LeadInput, Leads, Qualification};
use confab_plugin_sdk::orders::{Order, Orders, Tracking};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{Ticket, TicketInput, TicketQuery, Tickets};
use session::Odoo;

struct Connector;

impl Orders for Connector {
    fn get(number: String, proof: Proof) -> Result<Order> {
        Odoo::new()?.order(&number, &proof)
    }
    fn list_for_customer(customer_id: String, limit: u32) -> Result<Vec<Order>> {
        Odoo::new()?.orders_of(&customer_id, limit)
    }
    fn track(number: String, proof: Proof) -> Result<Vec<Tracking>> {
        Odoo::new()?.tracking(&number, &proof)
    }
}

impl Inventory for Connector {
    fn availability(sku: String, location: Option<String>) -> Result<Vec<StockLevel>> {
        Odoo::new()?.availability(&sku, location.as_deref())
    }
}

impl Catalog for Connector {
    fn search(query: String, limit: u32) -> Result<Vec<Product>> {
        Odoo::new()?.articles(&query, limit)
    }
    fn get(sku: String) -> Result<Product> {
        Odoo::new()?.article(&sku)
    }
    fn recommend(interest: Interest, limit: u32) -> Result<Vec<Recommendation>> {
        Odoo::new()?.recommended(&interest, limit)
    }
}

impl Contacts for Connector {
    fn find(email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        Odoo::new()?.contacts(email, phone)
    }
    fn upsert(person: Person) -> Result<Contact> {
        Odoo::new()?.upsert(&person)
    }
}

impl Leads for Connector {
    fn create(lead: LeadInput) -> Result<Lead> {
        Odoo::new()?.create_lead(&lead)
    }
    fn qualify(id: String, qualification: Qualification) -> Result<Lead> {
        Odoo::new()?.qualify_lead(&id, &qualification)
    }
}

impl Tickets for Connector {
    fn create(ticket: TicketInput) -> Result<Ticket> {
        Odoo::new()?.create_ticket(&ticket)
    }
    fn get(number: String, proof: Proof) -> Result<Ticket> {
        Odoo::new()?.ticket(&number, &proof)
    }
    fn comment(number: String, text: String, proof: Proof) -> Result<Ticket> {
        Odoo::new()?.comment_ticket(&number, &text, &proof)
    }
    fn search(query: TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
        Odoo::new()?.tickets(&query, limit)
    }
    fn close(number: String, reason: Option<String>, proof: Proof) -> Result<Ticket> {
        Odoo::new()?.close_ticket(&number, reason.as_deref(), &proof)
    }
}

impl Health for Connector {
    fn check() -> Vec<Finding> {
        Odoo::new().map(|mut odoo| odoo.findings()).unwrap_or_else(|e| vec![Finding::error("settings", e.message)])
    }
}

confab_plugin_sdk::connector!(Connector: orders, inventory, catalog, contacts, leads, tickets, health);

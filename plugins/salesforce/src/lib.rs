//! Connector for Salesforce: Sales Cloud and Service Cloud over the REST API.
//!
//! | module | what it holds |
//! |---|---|
//! | `rest` | one request, several in one, and what Salesforce's errors mean |
//! | `soql` | values in queries |
//! | `org` | settings, what the org's objects have, creating a record once |
//! | `people`, `leads`, `cases`, `orders` | the capabilities, each with what it maps to |
//! | `health` | version, limits, rights, the key field |
//!
//! The host signs in with OAuth2 and renews; no token comes near this code.

mod cases;
mod health;
mod leads;
mod orders;
mod org;
mod people;
mod rest;
mod soql;

#[cfg(test)]
mod tests;

use confab_plugin_sdk::contacts::{Contact, Contacts};
use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::leads::{Lead, LeadInput, Leads, Qualification};
use confab_plugin_sdk::orders::{Order, Orders, Tracking};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{Ticket, TicketInput, TicketQuery, Tickets};
use org::Org;

struct Connector;

impl Contacts for Connector {
    fn find(email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        Org::of_call()?.find_contacts(email, phone)
    }
    fn upsert(person: Person) -> Result<Contact> {
        Org::of_call()?.upsert_contact(&person)
    }
}

impl Leads for Connector {
    fn create(lead: LeadInput) -> Result<Lead> {
        Org::of_call()?.create_lead(&lead)
    }
    fn qualify(id: String, qualification: Qualification) -> Result<Lead> {
        Org::of_call()?.qualify_lead(&id, &qualification)
    }
}

impl Tickets for Connector {
    fn create(ticket: TicketInput) -> Result<Ticket> {
        Org::of_call()?.create_case(&ticket)
    }
    fn get(number: String, proof: Proof) -> Result<Ticket> {
        Org::of_call()?.case(&number, &proof)
    }
    fn comment(number: String, text: String, proof: Proof) -> Result<Ticket> {
        Org::of_call()?.comment_case(&number, &text, &proof)
    }
    fn search(query: TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
        Org::of_call()?.search_cases(&query, limit)
    }
    fn close(number: String, reason: Option<String>, proof: Proof) -> Result<Ticket> {
        Org::of_call()?.close_case(&number, reason.as_deref(), &proof)
    }
}

impl Orders for Connector {
    fn get(number: String, proof: Proof) -> Result<Order> {
        Org::of_call()?.order(&number, &proof)
    }
    fn list_for_customer(customer_id: String, limit: u32) -> Result<Vec<Order>> {
        Org::of_call()?.orders_of(&customer_id, limit)
    }
    fn track(number: String, proof: Proof) -> Result<Vec<Tracking>> {
        Org::of_call()?.tracking(&number, &proof)
    }
}

impl Health for Connector {
    fn check() -> Vec<Finding> {
        let findings = Org::of_call().map(|org| org.findings());
        findings
            .unwrap_or_else(|e| vec![Finding { name: "settings".into(), status: "error".into(), message: e.message }])
    }
}

confab_plugin_sdk::connector!(Connector: contacts, leads, tickets, orders, health);

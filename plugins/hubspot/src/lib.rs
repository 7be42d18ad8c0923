//! Connector for HubSpot: the CRM API, v3 (associations v4).
//!
//! | module | what it holds |
//! |---|---|
//! | `api` | one request, and what HubSpot's errors mean |
//! | `portal` | settings, pipelines and properties, records, creating one once, notes |
//! | `contacts`, `leads`, `tickets` | the capabilities, each with what it maps to |
//! | `webhook` | what it tells by itself |
//! | `health` | scopes, pipelines, the key property |
//!
//! The host holds the token or renews it; none comes near this code.

mod api;
mod contacts;
mod health;
mod leads;
mod portal;
mod tickets;
mod webhook;

#[cfg(test)]
mod tests;

use confab_plugin_sdk::contacts::{Contact, Contacts};
use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::leads::{Lead, LeadInput, Leads, Qualification};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{Ticket, TicketInput, TicketQuery, Tickets};
use portal::Portal;

struct Connector;

impl Contacts for Connector {
    fn find(email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        Portal::of_call()?.find_contacts(email, phone)
    }
    fn upsert(person: Person) -> Result<Contact> {
        Portal::of_call()?.upsert_contact(&person)
    }
}

impl Leads for Connector {
    fn create(lead: LeadInput) -> Result<Lead> {
        Portal::of_call()?.create_lead(&lead)
    }
    fn qualify(id: String, qualification: Qualification) -> Result<Lead> {
        Portal::of_call()?.qualify_lead(&id, &qualification)
    }
}

impl Tickets for Connector {
    fn create(ticket: TicketInput) -> Result<Ticket> {
        Portal::of_call()?.create_ticket(&ticket)
    }
    fn get(number: String, proof: Proof) -> Result<Ticket> {
        Portal::of_call()?.ticket_of(&number, &proof)
    }
    fn comment(number: String, text: String, proof: Proof) -> Result<Ticket> {
        Portal::of_call()?.comment_ticket(&number, &text, &proof)
    }
    fn search(query: TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
        Portal::of_call()?.search_tickets(&query, limit)
    }
    fn close(number: String, reason: Option<String>, proof: Proof) -> Result<Ticket> {
        Portal::of_call()?.close_ticket(&number, reason.as_deref(), &proof)
    }
}

impl Health for Connector {
    fn check() -> Vec<Finding> {
        let findings = Portal::of_call().map(|portal| portal.findings());
        findings
            .unwrap_or_else(|e| vec![Finding { name: "settings".into(), status: "error".into(), message: e.message }])
    }
}

confab_plugin_sdk::connector!(Connector: contacts, leads, tickets, health, webhook);

//! Connector for Request Tracker 5, over its REST2.
//!
//! | module | what it holds |
//! |---|---|
//! | `rest` | one request, what RT's refusals mean, and text in TicketSQL |
//! | `settings` | what a connection sets: queues, priorities, statuses |
//! | `tickets` | finding a ticket and showing it; opening, answering and closing one, once each |
//! | `history` | what was said on a ticket, as far as its requester may see it |
//! | `words` | how a visitor's words stand in RT, and how they are told from an agent's |
//! | `people` | contacts are RT's users |
//! | `health` | rights, one by one |
//!
//! The host signs in; no token comes near this code.

mod health;
mod history;
mod people;
mod rest;
mod settings;
mod tickets;
mod words;

#[cfg(test)]
mod tests;

use confab_plugin_sdk::contacts::{Contact, Contacts};
use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{Ticket, TicketInput, TicketQuery, Tickets};

struct Connector;

impl Tickets for Connector {
    fn create(ticket: TicketInput) -> Result<Ticket> {
        tickets::create(&host::settings()?, &ticket)
    }
    fn get(number: String, proof: Proof) -> Result<Ticket> {
        tickets::get(&host::settings()?, &number, &proof)
    }
    fn comment(number: String, text: String, proof: Proof) -> Result<Ticket> {
        tickets::comment(&host::settings()?, &number, &text, &proof)
    }
    fn search(query: TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
        tickets::search(&host::settings()?, &query, limit)
    }
    fn close(number: String, reason: Option<String>, proof: Proof) -> Result<Ticket> {
        tickets::close(&host::settings()?, &number, reason.as_deref(), &proof)
    }
}

impl Contacts for Connector {
    fn find(email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        people::find(&Person { email, phone, ..Person::default() })
    }
    fn upsert(person: Person) -> Result<Contact> {
        people::upsert(&person)
    }
}

impl Health for Connector {
    fn check() -> Vec<Finding> {
        health::check()
    }
}

confab_plugin_sdk::connector!(Connector: tickets, contacts, health);

//! Connector for Zendesk Support, over its API v2.
//!
//! | module | what it holds |
//! |---|---|
//! | `api` | one request, what Zendesk's errors mean, cursor pages, text in its search |
//! | `tickets` | opening, showing, finding, answering and closing tickets, once each |
//! | `people` | contacts are Zendesk's users |
//! | `webhook` | what it tells by itself |
//! | `health` | rights, and the ids in the settings |
//!
//! The host signs in; no token comes near this code.

mod api;
mod health;
mod people;
mod tickets;
mod webhook;

#[cfg(test)]
mod tests;

use confab_plugin_sdk::contacts::{Contact, Contacts};
use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{Ticket, TicketInput, TicketQuery, Tickets};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The connection's settings.
#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(default)]
    groups: BTreeMap<String, u64>,
    order_field: Option<u64>,
    #[serde(default)]
    tags: Vec<String>,
    locale_id: Option<u64>,
    solver_id: Option<u64>,
    #[serde(default)]
    page: Page,
}

/// Which page of a ticket is linked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Page {
    #[default]
    Agent,
    HelpCenter,
}

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
        let found = people::find(&Person { email, phone, ..Person::default() })?;
        Ok(found.iter().map(people::contact).collect())
    }
    fn upsert(person: Person) -> Result<Contact> {
        Ok(people::contact(&people::upsert(&person)?))
    }
}

impl Health for Connector {
    fn check() -> Vec<Finding> {
        health::check()
    }
}

confab_plugin_sdk::connector!(Connector: tickets, contacts, health, webhook);

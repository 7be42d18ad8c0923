//! Everything the files say, indexed, so that a call never reads a file.
//!
//! `prepare` builds one [`Book`] (see `load.rs`), the host snapshots it, and each call starts with it in memory.
//! What visitors create is not in here: it lives in the connection's store (see `shelf.rs`), and contacts, leads and
//! tickets look in both places.

use crate::leads::LeadRecord;
use crate::search::SearchIndex;
use crate::table::Table;
use crate::text::{Phone, key, postal_code};
use crate::tickets::TicketRecord;
use confab_plugin_sdk::catalog::Product;
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::orders::{Order, Tracking};
use confab_plugin_sdk::prelude::*;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// Settings of the connection; `settings.schema.json` explains them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) currency: String,
    pub(crate) ticket_prefix: String,
    pub(crate) lead_prefix: String,
    pub(crate) contact_prefix: String,
    pub(crate) as_of: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            currency: "EUR".into(),
            ticket_prefix: "T-".into(),
            lead_prefix: "L-".into(),
            contact_prefix: "C-".into(),
            as_of: None,
        }
    }
}

/// Who the owner of an order or ticket is, for comparison with what a visitor says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owner {
    pub(crate) emails: Vec<String>,
    pub(crate) phones: Vec<Phone>,
    pub(crate) postal_codes: Vec<String>,
    pub(crate) customer_id: Option<String>,
}

impl Owner {
    pub(crate) fn add(&mut self, email: Option<&str>, phone: Option<&str>, postal: Option<&str>) {
        self.emails.extend(email.map(key));
        self.phones.extend(phone.and_then(Phone::parse));
        self.postal_codes.extend(postal.map(postal_code));
    }

    /// Whether each thing given fits. Ask [`given`] first: nothing given fits everything.
    pub(crate) fn matches(&self, proof: &Proof) -> bool {
        let email = proof.email.as_ref().is_none_or(|e| self.emails.contains(&key(e)));
        let phone = proof
            .phone
            .as_ref()
            .is_none_or(|p| Phone::parse(p).is_some_and(|p| self.phones.iter().any(|own| own.same(&p))));
        let postal = proof.postal_code.as_ref().is_none_or(|p| self.postal_codes.contains(&postal_code(p)));
        let customer = proof.customer_id.as_ref().is_none_or(|c| self.customer_id.as_deref() == Some(c.trim()));
        email && phone && postal && customer
    }
}

#[derive(Debug)]
pub(crate) struct OrderEntry {
    pub(crate) order: Order,
    pub(crate) epoch: i64,
    pub(crate) owner: Owner,
    pub(crate) parcels: Vec<Tracking>,
}

#[derive(Debug)]
pub(crate) struct StockEntry {
    pub(crate) name: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) on_hand: f64,
    pub(crate) available: f64,
    pub(crate) unit: Option<String>,
    pub(crate) restock_at: Option<String>,
    pub(crate) as_of: Option<String>,
}

#[derive(Debug)]
pub(crate) struct ContactEntry {
    pub(crate) contact: Contact,
    pub(crate) postal_code: Option<String>,
}

/// The highest numbers after our prefixes that the files use: what is created gets higher ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Highest {
    pub(crate) contact: i64,
    pub(crate) lead: i64,
    pub(crate) ticket: i64,
}

/// See the module's essay. Keys of the maps are folded with [`key`]; values are positions in the lists.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) settings: Settings,
    pub(crate) tables: BTreeMap<&'static str, Table>,
    pub(crate) orders: Vec<OrderEntry>,
    /// By number and by reference; the newest first where several share one.
    pub(crate) orders_by_number: HashMap<String, Vec<usize>>,
    /// Newest first.
    pub(crate) orders_by_customer: HashMap<String, Vec<usize>>,
    pub(crate) articles: Vec<Product>,
    pub(crate) articles_by_sku: HashMap<String, usize>,
    pub(crate) search: SearchIndex,
    /// How many orders hold both articles.
    pub(crate) together: HashMap<usize, HashMap<usize, u32>>,
    pub(crate) stock: HashMap<String, Vec<StockEntry>>,
    pub(crate) places: Vec<String>,
    pub(crate) contacts: Vec<ContactEntry>,
    pub(crate) contacts_by_id: HashMap<String, usize>,
    pub(crate) contacts_by_email: HashMap<String, Vec<usize>>,
    pub(crate) contacts_by_phone: HashMap<String, Vec<usize>>,
    pub(crate) leads: HashMap<String, LeadRecord>,
    pub(crate) tickets: HashMap<String, TicketRecord>,
    pub(crate) highest: Highest,
    pub(crate) warnings: usize,
}

impl Book {
    /// Fails in a way that the operator understands when a call needs a file that isn't there.
    pub(crate) fn needs(&self, file: &str) -> Result<()> {
        if self.tables.contains_key(file) {
            return Ok(());
        }
        Err(error(Code::Misconfigured, format!("the connection has no file {file}")))
    }

    pub(crate) fn article(&self, sku: &str) -> Option<&Product> {
        self.articles.get(*self.articles_by_sku.get(&key(sku))?)
    }

    pub(crate) fn contact(&self, id: &str) -> Option<&ContactEntry> {
        self.contacts.get(*self.contacts_by_id.get(&key(id))?)
    }

    /// Whether any of it can be promised; nothing when stock is not known.
    pub(crate) fn in_stock(&self, sku: &str) -> Option<bool> {
        self.stock.get(&key(sku)).map(|rows| rows.iter().any(|r| r.available > 0.0))
    }
}

//! Connector for a business whose system is a set of CSV files.
//!
//! ```text
//! prepare: files -> table (rows, places) -> load (rules, report) -> book (records, indexes) -> snapshot of the host
//! a call:  book, and the connection's store for what visitors created (shelf)
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `values`, `text` | numbers, dates, words, addresses: made comparable |
//! | `table`, `report`, `load`, `book` | from files to indexed records, with every mistake in its place |
//! | `orders`, `stock`, `search`, `catalog` | answers from the book alone |
//! | `shelf`, `people`, `leads`, `tickets` | what visitors create, once each |
//! | `export` | the files as they are now |
//!
//! Everything but this file works without a host, and is tested so.

mod book;
mod catalog;
mod export;
mod leads;
mod load;
mod orders;
mod people;
mod report;
mod search;
mod shelf;
mod stock;
mod table;
mod text;
mod tickets;
mod values;

#[cfg(test)]
mod tests;

use book::Book;
use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::contacts::{Contact, Contacts};
use confab_plugin_sdk::files::Files;
use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::inventory::{Inventory, StockLevel};
use confab_plugin_sdk::leads::{Lead, LeadInput, Leads, Qualification};
use confab_plugin_sdk::lifecycle::Lifecycle;
use confab_plugin_sdk::orders::{Order, Orders, Tracking};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{Ticket, TicketInput, TicketQuery, Tickets};
use shelf::{Desk, Kv, Shelf};
use std::sync::{Arc, RwLock};

/// What `prepare` built. The host's snapshot carries it to each call.
static BOOK: RwLock<Option<Arc<Book>>> = RwLock::new(None);

struct Sheet;

fn prepared() -> Result<Arc<Book>> {
    let book = BOOK.read().map_err(|_| error(Code::Internal, "the prepared files can't be read"))?.clone();
    book.ok_or_else(|| error(Code::Misconfigured, "the connection's files have not been prepared"))
}

/// Runs a call that may write: with the book, the store, the idempotency key and the time.
fn at_desk<T>(work: impl FnOnce(&Book, &mut Desk<'_>) -> Result<T>) -> Result<T> {
    let (once, now) = (host::context().idempotency_key, host::now_rfc3339());
    work(&*prepared()?, &mut Desk { shelf: &mut Kv, once: &once, now: &now })
}

impl Lifecycle for Sheet {
    fn prepare(settings: String, files: Vec<NamedFile>) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        confab_plugin_sdk::preparing(|| {
            let (book, warnings) = load::load(&settings, &files)?;
            if let Ok(mut slot) = BOOK.write() {
                *slot = Some(Arc::new(book));
            }
            Ok(warnings)
        })
    }
}

impl Orders for Sheet {
    fn get(number: String, proof: Proof) -> Result<Order> {
        orders::get(&*prepared()?, &number, proof)
    }
    fn list_for_customer(customer_id: String, limit: u32) -> Result<Vec<Order>> {
        orders::list_for_customer(&*prepared()?, &customer_id, limit)
    }
    fn track(number: String, proof: Proof) -> Result<Vec<Tracking>> {
        orders::track(&*prepared()?, &number, proof)
    }
}

impl Inventory for Sheet {
    fn availability(sku: String, location: Option<String>) -> Result<Vec<StockLevel>> {
        stock::availability(&*prepared()?, &sku, location.as_deref(), &host::now_rfc3339())
    }
}

impl Catalog for Sheet {
    fn search(query: String, limit: u32) -> Result<Vec<Product>> {
        catalog::search(&*prepared()?, &query, limit)
    }
    fn get(sku: String) -> Result<Product> {
        catalog::get(&*prepared()?, &sku)
    }
    fn recommend(interest: Interest, limit: u32) -> Result<Vec<Recommendation>> {
        catalog::recommend(&*prepared()?, &interest, limit, host::context().locale.as_deref())
    }
}

impl Contacts for Sheet {
    fn find(email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        at_desk(|book, desk| people::find(book, desk, email, phone))
    }
    fn upsert(person: Person) -> Result<Contact> {
        at_desk(|book, desk| people::upsert(book, desk, person))
    }
}

impl Leads for Sheet {
    fn create(lead: LeadInput) -> Result<Lead> {
        at_desk(|book, desk| leads::create(book, desk, lead))
    }
    fn qualify(id: String, qualification: Qualification) -> Result<Lead> {
        at_desk(|book, desk| leads::qualify(book, desk, &id, qualification))
    }
}

impl Tickets for Sheet {
    fn create(ticket: TicketInput) -> Result<Ticket> {
        at_desk(|book, desk| tickets::create(book, desk, ticket))
    }
    fn get(number: String, proof: Proof) -> Result<Ticket> {
        at_desk(|book, desk| tickets::get(book, desk, &number, proof))
    }
    fn comment(number: String, text: String, proof: Proof) -> Result<Ticket> {
        at_desk(|book, desk| tickets::comment(book, desk, &number, &text, proof))
    }
    fn search(query: TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
        at_desk(|book, desk| tickets::search(book, desk, &query, limit))
    }
    fn close(number: String, reason: Option<String>, proof: Proof) -> Result<Ticket> {
        at_desk(|book, desk| tickets::close(book, desk, &number, reason, proof))
    }
}

impl Files for Sheet {
    fn list_files() -> Result<Vec<String>> {
        Ok(export::names(&*prepared()?))
    }
    fn download(name: String) -> Result<Vec<u8>> {
        at_desk(|book, desk| export::download(book, desk, &name))
    }
}

impl Health for Sheet {
    fn check() -> Vec<Finding> {
        let store = match Kv.get("health") {
            Ok(_) => Finding::ok("store", "can be read"),
            Err(e) => Finding::error("store", e.message),
        };
        match prepared() {
            Ok(book) => files_found(&book).into_iter().chain([store]).collect(),
            Err(e) => vec![Finding::error("files", e.message), store],
        }
    }
}

fn files_found(book: &Book) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        book.tables.iter().map(|(f, t)| Finding::ok(*f, format!("{} rows", t.rows().count()))).collect();
    if found.is_empty() {
        found.push(Finding::error("files", "the connection has no files; add orders.csv, stock.csv or catalog.csv"));
    }
    if book.warnings > 0 {
        let message = format!("{} warnings when they were read; `confab apply` shows them", book.warnings);
        found.push(Finding::warning("files", message));
    }
    found
}

confab_plugin_sdk::connector!(Sheet: orders, inventory, catalog, contacts, leads, tickets, lifecycle, files, health);

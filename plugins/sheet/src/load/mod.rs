//! From files to a [`Book`]: which files there are, their columns, and what must hold between them.
//!
//! Each kind of file has a function that goes through its rows: articles and stock in `goods`, orders with their lines
//! and parcels in `orders`, contacts, leads and tickets in `people`. They go on after a mistake, so that the report
//! has all of them.

mod goods;
mod orders;
mod people;

use crate::book::{Book, Highest, Settings};
use crate::report::Report;
use crate::search::SearchIndex;
use crate::table::{Row, Spec, Table};
use crate::text::{distance, key};
use crate::values::Moment;
use confab_plugin_sdk::prelude::*;

/// Takes the rows of one file into the book.
type Step = fn(&mut Book, &Table, &mut Report);

pub(crate) const CATALOG: Spec = Spec {
    file: "catalog.csv",
    required: &["sku", "name"],
    optional: &["description", "price", "currency", "categories", "url", "image_url"],
};
pub(crate) const STOCK: Spec = Spec {
    file: "stock.csv",
    required: &["sku", "on_hand"],
    optional: &["available", "reserved", "location", "name", "unit", "restock_at", "as_of"],
};
pub(crate) const CONTACTS: Spec = Spec {
    file: "contacts.csv",
    required: &["id", "name"],
    // What visitors added stands in columns of its own in a download, and is not read back: it comes from the store.
    // If it were, a stranger's phone number would become proof of the customer's orders.
    optional: &["email", "phone", "company", "postal_code", "added_email", "added_phone", "added_company"],
};
pub(crate) const ORDERS: Spec = Spec {
    file: "orders.csv",
    required: &["number", "state"],
    optional: &[
        "reference",
        "placed_at",
        "total",
        "currency",
        "customer_id",
        "customer",
        "email",
        "phone",
        "postal_code",
    ],
};
pub(crate) const ORDER_LINES: Spec =
    Spec { file: "order_lines.csv", required: &["order", "quantity"], optional: &["sku", "name", "total", "currency"] };
pub(crate) const SHIPMENTS: Spec = Spec {
    file: "shipments.csv",
    required: &["order", "state"],
    optional: &["carrier", "tracking_number", "url", "expected_at", "event_at", "event", "place"],
};
pub(crate) const LEADS: Spec = Spec {
    file: "leads.csv",
    required: &["id", "subject"],
    optional: &[
        "state",
        "contact_id",
        "name",
        "email",
        "phone",
        "company",
        "message",
        "source",
        "skus",
        "score",
        "notes",
        "created_at",
    ],
};
pub(crate) const TICKETS: Spec = Spec {
    file: "tickets.csv",
    required: &["number", "subject"],
    optional: &[
        "state",
        "body",
        "priority",
        "category",
        "order_number",
        "name",
        "email",
        "phone",
        "company",
        "postal_code",
        "created_at",
        "updated_at",
        "comments",
    ],
};
/// All, in the order in which they are read: what is referred to comes first.
pub(crate) const FILES: [Spec; 8] = [CATALOG, STOCK, CONTACTS, ORDERS, ORDER_LINES, SHIPMENTS, LEADS, TICKETS];

/// Reads everything. The warnings come with the book; any error refuses it.
pub(crate) fn load(settings: &str, files: &[NamedFile]) -> Result<(Book, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut report = Report::default();
    let mut book = Book { settings: read_settings(settings, &mut report), ..Book::default() };
    for file in files {
        let name = key(&file.name);
        match FILES.iter().find(|spec| spec.file == name) {
            Some(spec) if book.tables.contains_key(spec.file) => {
                report.error(&file.name, None, "this file is given twice".into(), "remove one of them");
            }
            Some(spec) => {
                book.tables.insert(spec.file, Table::read(*spec, &file.content, &mut report));
            }
            None => {
                let near = FILES.iter().filter_map(|s| distance(s.file, &name, 3).map(|d| (d, s.file))).min();
                let help = match near {
                    Some((_, near)) => format!("did you mean {near}?"),
                    None => format!("files that are read: {}", FILES.map(|s| s.file).join(", ")),
                };
                report.warning(&file.name, None, "this file is not read".into(), &help);
            }
        }
    }
    let tables = std::mem::take(&mut book.tables);
    let steps: [(&str, Step); 8] = [
        (CATALOG.file, goods::catalog),
        (STOCK.file, goods::stock),
        (CONTACTS.file, people::contacts),
        (ORDERS.file, orders::orders),
        (ORDER_LINES.file, orders::order_lines),
        (SHIPMENTS.file, orders::shipments),
        (LEADS.file, people::leads),
        (TICKETS.file, people::tickets),
    ];
    for (file, step) in steps {
        if let Some(table) = tables.get(file) {
            step(&mut book, table, &mut report);
        }
    }
    book.tables = tables;
    orders::finish(&mut book);
    book.search = SearchIndex::build(&book.articles);
    let used = |prefix: &str, ids: &mut dyn Iterator<Item = &String>| {
        ids.filter_map(|id| id.strip_prefix(&key(prefix))?.parse().ok()).max().unwrap_or(0)
    };
    book.highest = Highest {
        contact: used(&book.settings.contact_prefix, &mut book.contacts_by_id.keys()),
        lead: used(&book.settings.lead_prefix, &mut book.leads.keys()),
        ticket: used(&book.settings.ticket_prefix, &mut book.tickets.keys()),
    };
    let found = report.finish()?;
    book.warnings = found.len();
    Ok((book, found))
}

fn read_settings(text: &str, report: &mut Report) -> Settings {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let mut settings: Settings = serde_json::from_str(text).unwrap_or_else(|e| {
        report.error("", None, format!("settings: {e}"), "see settings.schema.json");
        Settings::default()
    });
    if let Some(as_of) = settings.as_of.take() {
        settings.as_of = Moment::parse(&as_of).map(|m| m.text);
        if settings.as_of.is_none() {
            report.error("", None, format!("settings: as_of \"{as_of}\" is not a date"), "write 2026-11-22T08:00:00Z");
        }
    }
    settings
}

fn duplicate(row: &Row<'_>, column: &str, value: &str, report: &mut Report) {
    row.error(
        report,
        column,
        format!("{column} \"{value}\" appears twice"),
        "each must be there once; remove or rename one",
    );
}

//! From files to a [`Book`]: which files there are, their columns, and what must hold between them.

use crate::book::{Book, ContactEntry, OrderEntry, Owner, Settings, StockEntry};
use crate::leads::LeadRecord;
use crate::report::Report;
use crate::search::SearchIndex;
use crate::table::{Row, Spec, Table};
use crate::text::{Phone, distance, is_email, key};
use crate::tickets::TicketRecord;
use crate::values::{Amount, Moment};
use confab_plugin_sdk::catalog::Product;
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::orders::{Order, OrderLine, Tracking, TrackingEvent};
use confab_plugin_sdk::prelude::*;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

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
    optional: &["email", "phone", "company", "postal_code"],
};
pub(crate) const ORDERS: Spec = Spec {
    file: "orders.csv",
    required: &["number", "state"],
    optional: &["reference", "placed_at", "total", "currency", "customer_id", "customer", "email", "phone", "postal_code"],
};
pub(crate) const ORDER_LINES: Spec = Spec {
    file: "order_lines.csv",
    required: &["order", "quantity"],
    optional: &["sku", "name", "total", "currency"],
};
pub(crate) const SHIPMENTS: Spec = Spec {
    file: "shipments.csv",
    required: &["order", "state"],
    optional: &["carrier", "tracking_number", "url", "expected_at", "event_at", "event", "place"],
};
pub(crate) const LEADS: Spec = Spec {
    file: "leads.csv",
    required: &["id", "subject"],
    optional: &["state", "contact_id", "name", "email", "phone", "company", "message", "source", "skus", "score", "notes", "created_at"],
};
pub(crate) const TICKETS: Spec = Spec {
    file: "tickets.csv",
    required: &["number", "subject"],
    optional: &[
        "state", "body", "priority", "category", "order_number", "name", "email", "phone", "company", "postal_code", "created_at",
        "updated_at", "comments",
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
    let steps: [(&str, fn(&mut Book, &Table, &mut Report)); 8] = [
        (CATALOG.file, catalog), (STOCK.file, stock), (CONTACTS.file, contacts), (ORDERS.file, orders),
        (ORDER_LINES.file, order_lines), (SHIPMENTS.file, shipments), (LEADS.file, leads), (TICKETS.file, tickets),
    ];
    for (file, step) in steps {
        if let Some(table) = tables.get(file) {
            step(&mut book, table, &mut report);
        }
    }
    book.tables = tables;
    finish_orders(&mut book);
    book.search = SearchIndex::build(&book.articles);
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
    row.error(report, column, format!("{column} \"{value}\" appears twice"), "each must be there once; remove or rename one");
}

fn catalog(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let (Some(sku), name) = (row.key("sku", report), row.required("name", report)) else { continue };
        let currency = row.currency(&book.settings.currency, report);
        let price = row.amount("price", report).map(|a| Money { amount: a.to_string(), currency });
        let categories = row.text("categories").unwrap_or_default();
        if book.articles_by_sku.insert(key(&sku), book.articles.len()).is_some() {
            duplicate(&row, "sku", &sku, report);
        }
        book.articles.push(Product {
            name: name.unwrap_or_default(),
            sku,
            description: row.text("description"),
            price,
            categories: categories.split('|').map(str::trim).filter(|c| !c.is_empty()).map(str::to_owned).collect(),
            url: row.text("url"),
            image_url: row.text("image_url"),
            extra: row.extra(),
        });
    }
}

fn stock(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let (Some(sku), on_hand) = (row.key("sku", report), row.number("on_hand", report)) else { continue };
        row.required("on_hand", report);
        let on_hand = on_hand.unwrap_or_default();
        let reserved = row.number("reserved", report).unwrap_or_default();
        let available = row.number("available", report).unwrap_or(on_hand - reserved);
        if available > on_hand {
            row.warning(report, "available", format!("{sku}: more available than on hand"), "");
        }
        if !book.articles.is_empty() && book.article(&sku).is_none() {
            row.warning(report, "sku", format!("{sku} is not in {}", CATALOG.file), "");
        }
        let location = row.text("location");
        let entries = book.stock.entry(key(&sku)).or_default();
        if entries.iter().any(|e| e.location.as_deref().map(key) == location.as_deref().map(key)) {
            duplicate(&row, "sku", &sku, report);
        }
        if let Some(place) = location.as_ref().filter(|l| !book.places.iter().any(|p| key(p) == key(l))) {
            book.places.push(place.clone());
        }
        entries.push(StockEntry {
            name: row.text("name"),
            location,
            on_hand,
            available,
            unit: row.text("unit"),
            restock_at: row.moment("restock_at", report).map(|m| m.text),
            as_of: row.moment("as_of", report).map(|m| m.text),
        });
    }
}

fn contacts(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let (Some(id), name) = (row.key("id", report), row.required("name", report)) else { continue };
        let (email, phone, at) = (row.text("email"), row.text("phone"), book.contacts.len());
        check_person(&row, report);
        if book.contacts_by_id.insert(key(&id), at).is_some() {
            duplicate(&row, "id", &id, report);
        }
        if let Some(email) = &email {
            let same = book.contacts_by_email.entry(key(email)).or_default();
            if !same.is_empty() {
                row.warning(report, "email", format!("\"{email}\" belongs to several contacts"), "");
            }
            same.push(at);
        }
        if let Some(phone) = phone.as_deref().and_then(Phone::parse) {
            book.contacts_by_phone.entry(phone.tail().to_owned()).or_default().push(at);
        }
        let contact = Contact { id, name: name.unwrap_or_default(), email, phone, company: row.text("company"), extra: row.extra() };
        book.contacts.push(ContactEntry { contact, postal_code: row.text("postal_code") });
    }
}

fn check_person(row: &Row<'_>, report: &mut Report) {
    if let Some(email) = row.text("email").filter(|e| !is_email(e)) {
        row.warning(report, "email", format!("\"{email}\" is not an e-mail address"), "");
    }
    if let Some(phone) = row.text("phone").filter(|p| Phone::parse(p).is_none()) {
        row.warning(report, "phone", format!("\"{phone}\" is not a phone number and will not be found"), "");
    }
}

fn orders(book: &mut Book, table: &Table, report: &mut Report) {
    let mut numbers = HashSet::new();
    for row in table.rows() {
        let (Some(number), state) = (row.key("number", report), row.required("state", report)) else { continue };
        check_person(&row, report);
        if !numbers.insert(key(&number)) {
            duplicate(&row, "number", &number, report);
        }
        let currency = row.currency(&book.settings.currency, report);
        let placed = row.moment("placed_at", report);
        let mut owner = Owner { customer_id: row.text("customer_id"), ..Owner::default() };
        owner.add(row.text("email").as_deref(), row.text("phone").as_deref(), row.text("postal_code").as_deref());
        if let Some(id) = &owner.customer_id {
            match book.contact(id) {
                Some(known) => {
                    let c = &known.contact;
                    owner.add(c.email.as_deref(), c.phone.as_deref(), known.postal_code.as_deref());
                }
                None if !book.contacts.is_empty() => {
                    row.warning(report, "customer_id", format!("customer \"{id}\" is not in {}", CONTACTS.file), "");
                }
                None => {}
            }
        }
        if owner.emails.is_empty() && owner.phones.is_empty() && owner.postal_codes.is_empty() && owner.customer_id.is_none() {
            let help = "give email, phone, postal_code or customer_id";
            row.warning(report, "number", format!("nobody can prove that order {number} is theirs"), help);
        }
        let mut extra = row.extra();
        extra.extend(row.text("customer").map(|value| ExtraField { name: "customer".into(), value }));
        let reference = row.text("reference");
        let order = Order {
            number,
            reference,
            state: order_state(&state.unwrap_or_default()),
            placed_at: placed.as_ref().map(|m| m.text.clone()),
            // Without a total its currency still says what the lines' sum is in: see `finish_orders`.
            total: Some(Money { amount: row.amount("total", report).map(|a| a.to_string()).unwrap_or_default(), currency }),
            customer_id: owner.customer_id.clone(),
            extra,
            lines: Vec::new(),
        };
        let names = [Some(key(&order.number)), order.reference.as_deref().map(key)];
        for name in names.into_iter().flatten() {
            let at = book.orders_by_number.entry(name).or_default();
            if !at.contains(&book.orders.len()) {
                at.push(book.orders.len());
            }
        }
        book.orders.push(OrderEntry { order, epoch: placed.map(|m| m.epoch).unwrap_or_default(), owner, parcels: Vec::new() });
    }
}

/// The contract's words for what people write; anything else stays.
fn order_state(text: &str) -> String {
    let word = key(text);
    match word.as_str() {
        "canceled" | "storniert" => "cancelled",
        "bestätigt" => "confirmed",
        "in bearbeitung" => "processing",
        "versendet" | "versandt" | "sent" => "shipped",
        "geliefert" | "zugestellt" => "delivered",
        "entwurf" => "draft",
        other => other,
    }
    .to_owned()
}

/// The order that a row of another file is about: by its number, not by its reference.
fn order_of<'b>(book: &'b mut Book, row: &Row<'_>, report: &mut Report) -> Option<&'b mut OrderEntry> {
    let number = row.key("order", report)?;
    let folded = key(&number);
    let found = book.orders_by_number.get(&folded).into_iter().flatten().copied();
    let found = found.into_iter().find(|i| book.orders.get(*i).is_some_and(|o| key(&o.order.number) == folded));
    if found.is_none() {
        let message = format!("there is no order \"{number}\" in {}", ORDERS.file);
        row.error(report, "order", message, "give the order's `number`, or add the order");
    }
    book.orders.get_mut(found?)
}

fn order_lines(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let sku = row.text("sku");
        let article = sku.as_deref().and_then(|s| book.article(s)).map(|p| p.name.clone());
        if let Some(sku) = sku.as_ref().filter(|_| article.is_none() && !book.articles.is_empty()) {
            row.warning(report, "sku", format!("{sku} is not in {}", CATALOG.file), "");
        }
        let currency = row.currency(&book.settings.currency, report);
        let total = row.amount("total", report).map(|a| Money { amount: a.to_string(), currency });
        row.required("quantity", report);
        let quantity = row.number("quantity", report).unwrap_or_default();
        let Some(name) = row.text("name").or(article).or_else(|| sku.clone()) else {
            row.error(report, "order", "this line has neither sku nor name".into(), "");
            continue;
        };
        if let Some(entry) = order_of(book, &row, report) {
            entry.order.lines.push(OrderLine { sku, name, quantity, total });
        }
    }
}

fn shipments(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let state = row.required("state", report).map(|s| order_state(&s)).unwrap_or_default();
        let expected_at = row.moment("expected_at", report).map(|m| m.text);
        let at = row.moment("event_at", report);
        let tracking_number = row.text("tracking_number");
        let Some(entry) = order_of(book, &row, report) else { continue };
        let known = entry.parcels.iter().position(|p| p.tracking_number == tracking_number);
        let at_index = known.unwrap_or_else(|| {
            entry.parcels.push(Tracking { tracking_number, ..Tracking::default() });
            entry.parcels.len() - 1
        });
        let Some(parcel) = entry.parcels.get_mut(at_index) else { continue };
        // Several rows are the history of one parcel; the last one says how it stands.
        parcel.state.clone_from(&state);
        parcel.carrier = row.text("carrier").or_else(|| parcel.carrier.take());
        parcel.url = row.text("url").or_else(|| parcel.url.take());
        parcel.expected_at = expected_at.or_else(|| parcel.expected_at.take());
        if let Some(at) = at {
            parcel.events.push(TrackingEvent { at: at.text, text: row.text("event").unwrap_or(state), place: row.text("place") });
        }
    }
    for entry in &mut book.orders {
        for parcel in &mut entry.parcels {
            parcel.events.sort_by_key(|e| Moment::parse(&e.at).map(|m| m.epoch));
        }
    }
}

/// Totals that were left out, newest first, and what is bought together: all that needs the lines.
fn finish_orders(book: &mut Book) {
    for entry in &mut book.orders {
        let Some(total) = entry.order.total.take() else { continue };
        if !total.amount.is_empty() {
            entry.order.total = Some(total);
            continue;
        }
        let amounts = entry.order.lines.iter().map(|l| {
            let money = l.total.as_ref().filter(|m| m.currency == total.currency)?;
            Amount::parse(&money.amount, false)
        });
        let sum: Option<Amount> = amounts.try_fold(Amount::default(), |sum, a| a.map(|a| sum.plus(a)));
        let sum = sum.filter(|_| !entry.order.lines.is_empty());
        entry.order.total = sum.map(|s| Money { amount: s.to_string(), currency: total.currency });
    }
    let epochs: Vec<i64> = book.orders.iter().map(|e| e.epoch).collect();
    let newest = |i: &usize| Reverse((epochs.get(*i).copied(), *i));
    for (i, entry) in book.orders.iter().enumerate() {
        if let Some(id) = &entry.owner.customer_id {
            book.orders_by_customer.entry(id.clone()).or_default().push(i);
        }
    }
    book.orders_by_customer.values_mut().chain(book.orders_by_number.values_mut()).for_each(|list| list.sort_by_key(newest));
    let mut together: HashMap<usize, HashMap<usize, u32>> = HashMap::new();
    for entry in &book.orders {
        let skus = entry.order.lines.iter().filter_map(|l| book.articles_by_sku.get(&key(l.sku.as_deref()?)).copied());
        let articles: HashSet<usize> = skus.collect();
        // An order of a hundred articles says nothing about any two of them, and would cost 10,000 pairs.
        if entry.order.state == "cancelled" || articles.len() > 50 {
            continue;
        }
        for a in &articles {
            for b in articles.iter().filter(|b| *b != a) {
                *together.entry(*a).or_default().entry(*b).or_default() += 1;
            }
        }
    }
    book.together = together;
}

fn leads(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let (Some(id), subject) = (row.key("id", report), row.required("subject", report)) else { continue };
        let score = row.number("score", report);
        let record = LeadRecord {
            id: id.clone(),
            subject: subject.unwrap_or_default(),
            state: row.text("state"),
            score,
            contact_id: row.text("contact_id"),
            person: person(&row),
            message: row.text("message"),
            source: row.text("source"),
            skus: row.text("skus").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            created_at: row.moment("created_at", report).map(|m| m.text),
            ..LeadRecord::default()
        };
        if book.leads.insert(key(&id), record).is_some() {
            duplicate(&row, "id", &id, report);
        }
    }
}

fn tickets(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let (Some(number), subject) = (row.key("number", report), row.required("subject", report)) else { continue };
        let record = TicketRecord {
            number: number.clone(),
            subject: subject.unwrap_or_default(),
            body: row.text("body").unwrap_or_default(),
            state: row.text("state").map(|s| key(&s)).unwrap_or_else(|| "open".into()),
            priority: row.text("priority"),
            category: row.text("category"),
            order_number: row.text("order_number"),
            person: person(&row),
            postal_code: row.text("postal_code"),
            created_at: row.moment("created_at", report).map(|m| m.text),
            updated_at: row.moment("updated_at", report).map(|m| m.text),
            ..TicketRecord::default()
        };
        if book.tickets.insert(key(&number), record).is_some() {
            duplicate(&row, "number", &number, report);
        }
    }
}

fn person(row: &Row<'_>) -> Person {
    Person { name: row.text("name"), email: row.text("email"), phone: row.text("phone"), company: row.text("company") }
}

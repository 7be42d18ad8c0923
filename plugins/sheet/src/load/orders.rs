//! orders.csv, order_lines.csv and shipments.csv.

use super::people::check_person;
use super::{CATALOG, CONTACTS, ORDERS, duplicate};
use crate::book::{Book, OrderEntry, Owner};
use crate::report::Report;
use crate::table::{Row, Table};
use crate::text::key;
use crate::values::{Amount, Moment};
use confab_plugin_sdk::orders::{Order, OrderLine, Tracking, TrackingEvent};
use confab_plugin_sdk::prelude::*;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

pub(super) fn orders(book: &mut Book, table: &Table, report: &mut Report) {
    let mut numbers = HashSet::new();
    for row in table.rows() {
        let (Some(number), state) = (row.key("number", report), row.required("state", report)) else {
            continue;
        };
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
        if owner.emails.is_empty()
            && owner.phones.is_empty()
            && owner.postal_codes.is_empty()
            && owner.customer_id.is_none()
        {
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
            // Without a total its currency still says what the lines' sum is in: see [`finish`].
            total: Some(Money {
                amount: row.amount("total", report).map(|a| a.to_string()).unwrap_or_default(),
                currency,
            }),
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
        book.orders.push(OrderEntry {
            order,
            epoch: placed.map(|m| m.epoch).unwrap_or_default(),
            owner,
            parcels: Vec::new(),
        });
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

pub(super) fn order_lines(book: &mut Book, table: &Table, report: &mut Report) {
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

pub(super) fn shipments(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let state = row.required("state", report).map(|s| order_state(&s)).unwrap_or_default();
        let expected_at = row.moment("expected_at", report).map(|m| m.text);
        let at = row.moment("event_at", report);
        let tracking_number = row.text("tracking_number");
        let Some(entry) = order_of(book, &row, report) else {
            continue;
        };
        let known = entry.parcels.iter().position(|p| p.tracking_number == tracking_number);
        let at_index = known.unwrap_or_else(|| {
            entry.parcels.push(Tracking { tracking_number, ..Tracking::default() });
            entry.parcels.len() - 1
        });
        let Some(parcel) = entry.parcels.get_mut(at_index) else {
            continue;
        };
        // Several rows are the history of one parcel; the last one says how it stands.
        parcel.state.clone_from(&state);
        parcel.carrier = row.text("carrier").or_else(|| parcel.carrier.take());
        parcel.url = row.text("url").or_else(|| parcel.url.take());
        parcel.expected_at = expected_at.or_else(|| parcel.expected_at.take());
        if let Some(at) = at {
            parcel.events.push(TrackingEvent {
                at: at.text,
                text: row.text("event").unwrap_or(state),
                place: row.text("place"),
            });
        }
    }
    for entry in &mut book.orders {
        for parcel in &mut entry.parcels {
            parcel.events.sort_by_key(|e| Moment::parse(&e.at).map(|m| m.epoch));
        }
    }
}

/// Totals that were left out, newest first, and what is bought together: all that needs the lines.
pub(super) fn finish(book: &mut Book) {
    for entry in &mut book.orders {
        let Some(total) = entry.order.total.take() else {
            continue;
        };
        if !total.amount.is_empty() {
            entry.order.total = Some(total);
            continue;
        }
        let mut amounts = entry.order.lines.iter().map(|l| {
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
    book.orders_by_customer
        .values_mut()
        .chain(book.orders_by_number.values_mut())
        .for_each(|list| list.sort_by_key(newest));
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

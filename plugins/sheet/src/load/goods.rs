//! catalog.csv and stock.csv.

use super::{CATALOG, duplicate};
use crate::book::{Book, StockEntry};
use crate::report::Report;
use crate::table::Table;
use crate::text::key;
use confab_plugin_sdk::catalog::Product;
use confab_plugin_sdk::prelude::*;

pub(super) fn catalog(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let (Some(sku), name) = (row.key("sku", report), row.required("name", report)) else {
            continue;
        };
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

pub(super) fn stock(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let (Some(sku), on_hand) = (row.key("sku", report), row.number("on_hand", report)) else {
            continue;
        };
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

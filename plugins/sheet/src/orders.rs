//! Orders, and where their goods are.
//!
//! Whoever asks must prove that the order is theirs. An order that doesn't exist and one that is somebody else's give
//! the same answer, word for word.

use crate::book::{Book, OrderEntry};
use crate::text::key;
use confab_plugin_sdk::orders::{Order, Tracking};
use confab_plugin_sdk::people::given;
use confab_plugin_sdk::prelude::*;

/// More than anybody reads in a chat.
const MOST: u32 = 50;

pub(crate) fn get(book: &Book, number: &str, proof: Proof) -> Result<Order> {
    find(book, number, proof).map(|e| e.order.clone())
}

pub(crate) fn track(book: &Book, number: &str, proof: Proof) -> Result<Vec<Tracking>> {
    let entry = find(book, number, proof)?;
    if !entry.parcels.is_empty() {
        return Ok(entry.parcels.clone());
    }
    // Nothing known of parcels: say what the order's own state says.
    let state = match entry.order.state.as_str() {
        "shipped" | "delivered" => entry.order.state.clone(),
        "cancelled" => return Ok(Vec::new()),
        _ => "pending".to_owned(),
    };
    Ok(vec![Tracking { state, ..Tracking::default() }])
}

pub(crate) fn list_for_customer(book: &Book, customer_id: &str, limit: u32) -> Result<Vec<Order>> {
    book.needs("orders.csv")?;
    let theirs = book.orders_by_customer.get(customer_id.trim()).into_iter().flatten();
    let orders = theirs.filter_map(|i| book.orders.get(*i)).map(|e| e.order.clone());
    Ok(orders.take(limit.min(MOST) as usize).collect())
}

fn find<'b>(book: &'b Book, number: &str, proof: Proof) -> Result<&'b OrderEntry> {
    book.needs("orders.csv")?;
    let proof = given(&proof)?;
    let named = book.orders_by_number.get(&key(number)).into_iter().flatten();
    let mut entries = named.filter_map(|i| book.orders.get(*i));
    entries.find(|e| e.owner.matches(&proof)).ok_or_else(|| {
        error(Code::NotFound, "there is no order with this number that belongs to this e-mail address, phone number, postal code or customer")
    })
}

//! What each operation gives, field by field, and what it is asked with: the contract of `confab:capabilities` as data.
//!
//! A rule of the YAML file names a field of these shapes; anything else is a mistake that is found when the
//! connection is prepared, not when a visitor asks.

use confab_plugin_sdk::catalog::Interest;
use confab_plugin_sdk::leads::{LeadInput, Qualification};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{TicketInput, TicketQuery};
use serde_json::{Value, json};

/// What kind of value a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    Number,
    /// RFC 3339.
    Moment,
    Money,
    Texts,
    /// Named values.
    Extra,
    Records(Shape),
}

/// A field: name as in WIT, kind, and whether a record without it makes no sense.
pub(crate) type Field = (&'static str, Kind, bool);
pub(crate) type Shape = &'static [Field];

use Kind::{Extra, Moment, Money as Price, Number, Records, Text, Texts};

const LINE: Shape = &[("sku", Text, false), ("name", Text, true), ("quantity", Number, true), ("total", Price, false)];
const ORDER: Shape = &[
    ("number", Text, true),
    ("reference", Text, false),
    ("state", Text, true),
    ("placed-at", Moment, false),
    ("total", Price, false),
    ("lines", Records(LINE), false),
    ("customer-id", Text, false),
    ("extra", Extra, false),
];
const EVENT: Shape = &[("at", Moment, true), ("text", Text, true), ("place", Text, false)];
const TRACKING: Shape = &[
    ("state", Text, true),
    ("carrier", Text, false),
    ("tracking-number", Text, false),
    ("url", Text, false),
    ("expected-at", Moment, false),
    ("events", Records(EVENT), false),
];
const STOCK: Shape = &[
    ("sku", Text, true),
    ("name", Text, true),
    ("location", Text, false),
    ("on-hand", Number, true),
    ("available", Number, true),
    ("unit", Text, false),
    ("restock-at", Moment, false),
    ("as-of", Moment, false),
];
const RECOMMENDED: Shape = &[
    ("sku", Text, true),
    ("name", Text, true),
    ("description", Text, false),
    ("price", Price, false),
    ("categories", Texts, false),
    ("url", Text, false),
    ("image-url", Text, false),
    ("extra", Extra, false),
    ("reason", Text, true),
];
const PRODUCT: Shape = match RECOMMENDED {
    [product @ .., _reason] => product,
    [] => RECOMMENDED,
};
const CONTACT: Shape = &[
    ("id", Text, true),
    ("name", Text, true),
    ("email", Text, false),
    ("phone", Text, false),
    ("company", Text, false),
    ("extra", Extra, false),
];
const LEAD: Shape = &[
    ("id", Text, true),
    ("number", Text, false),
    ("state", Text, true),
    ("subject", Text, true),
    ("contact-id", Text, false),
];
const COMMENT: Shape = &[("at", Moment, false), ("author", Text, true), ("text", Text, true)];
const TICKET: Shape = &[
    ("number", Text, true),
    ("state", Text, true),
    ("subject", Text, true),
    ("created-at", Moment, false),
    ("updated-at", Moment, false),
    ("url", Text, false),
    ("comments", Records(COMMENT), false),
];

/// An operation of the contract.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contract {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// Whether it asks for proof that a record is the asker's.
    pub(crate) proof: bool,
    /// Whether it changes something.
    pub(crate) writes: bool,
}

const fn reads(name: &'static str, shape: Shape) -> Contract {
    Contract { name, shape, proof: false, writes: false }
}
const fn proven(name: &'static str, shape: Shape) -> Contract {
    Contract { name, shape, proof: true, writes: false }
}
const fn writes(name: &'static str, shape: Shape) -> Contract {
    Contract { name, shape, proof: false, writes: true }
}

pub(crate) const CONTRACTS: [Contract; 16] = [
    proven("orders.get", ORDER),
    reads("orders.list-for-customer", ORDER),
    proven("orders.track", TRACKING),
    reads("inventory.availability", STOCK),
    reads("catalog.search", PRODUCT),
    reads("catalog.get", PRODUCT),
    reads("catalog.recommend", RECOMMENDED),
    reads("contacts.find", CONTACT),
    writes("contacts.upsert", CONTACT),
    writes("leads.create", LEAD),
    writes("leads.qualify", LEAD),
    writes("tickets.create", TICKET),
    proven("tickets.get", TICKET),
    writes("tickets.comment", TICKET),
    reads("tickets.search", TICKET),
    writes("tickets.close", TICKET),
];

pub(crate) fn contract(name: &str) -> Option<&'static Contract> {
    CONTRACTS.iter().find(|contract| contract.name == name)
}

/// An operation's arguments, all of them there: what a placeholder may name.
pub(crate) fn sample(name: &str) -> Value {
    let own = match name {
        "orders.get" | "orders.track" | "tickets.get" => json!({"number": "", "proof": Proof::default()}),
        "orders.list-for-customer" => json!({"customer_id": "", "limit": 1}),
        "inventory.availability" => json!({"sku": "", "location": ""}),
        "catalog.search" => json!({"query": "", "limit": 1}),
        "catalog.get" => json!({"sku": ""}),
        "catalog.recommend" => json!({"interest": Interest::default(), "limit": 1}),
        "contacts.find" => json!({"email": "", "phone": ""}),
        "contacts.upsert" => json!({"person": Person::default()}),
        "leads.create" => json!({"lead": LeadInput::default()}),
        "leads.qualify" => json!({"id": "", "qualification": Qualification::default()}),
        "tickets.create" => json!({"ticket": TicketInput::default()}),
        "tickets.comment" => json!({"number": "", "text": "", "proof": Proof::default()}),
        "tickets.search" => json!({"query": TicketQuery::default(), "limit": 1}),
        "tickets.close" => json!({"number": "", "reason": "", "proof": Proof::default()}),
        _ => json!({}),
    };
    with_call(own, "", "", "", None)
}

/// Arguments with what every call has: `{idempotency-key}`, `{once}`, `{now}`, `{locale}`.
pub(crate) fn with_call(mut arguments: Value, key: &str, once: &str, now: &str, locale: Option<&str>) -> Value {
    if let Some(arguments) = arguments.as_object_mut() {
        for (name, value) in
            [("idempotency_key", json!(key)), ("once", json!(once)), ("now", json!(now)), ("locale", json!(locale))]
        {
            arguments.insert(name.to_owned(), value);
        }
    }
    arguments
}

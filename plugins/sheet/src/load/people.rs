//! contacts.csv, leads.csv and tickets.csv.

use super::duplicate;
use crate::book::{Book, ContactEntry};
use crate::leads::LeadRecord;
use crate::report::Report;
use crate::table::{Row, Table};
use crate::text::{Phone, key};
use crate::tickets::TicketRecord;
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::people::is_email;
use confab_plugin_sdk::prelude::*;

pub(super) fn contacts(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let (Some(id), name) = (row.key("id", report), row.required("name", report)) else {
            continue;
        };
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
        let contact = Contact {
            id,
            name: name.unwrap_or_default(),
            email,
            phone,
            company: row.text("company"),
            extra: row.extra(),
        };
        book.contacts.push(ContactEntry { contact, postal_code: row.text("postal_code") });
    }
}

pub(super) fn check_person(row: &Row<'_>, report: &mut Report) {
    if let Some(email) = row.text("email").filter(|e| !is_email(e)) {
        row.warning(report, "email", format!("\"{email}\" is not an e-mail address"), "");
    }
    if let Some(phone) = row.text("phone").filter(|p| Phone::parse(p).is_none()) {
        row.warning(report, "phone", format!("\"{phone}\" is not a phone number and will not be found"), "");
    }
}

pub(super) fn leads(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let (Some(id), subject) = (row.key("id", report), row.required("subject", report)) else {
            continue;
        };
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
        };
        if book.leads.insert(key(&id), record).is_some() {
            duplicate(&row, "id", &id, report);
        }
    }
}

pub(super) fn tickets(book: &mut Book, table: &Table, report: &mut Report) {
    for row in table.rows() {
        let (Some(number), subject) = (row.key("number", report), row.required("subject", report)) else {
            continue;
        };
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

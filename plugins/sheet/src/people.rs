//! Contacts: those of contacts.csv and those whom chats brought.
//!
//! A visitor may complete a contact, never change it: who says they are somebody has not shown it. What is completed
//! on a contact of the file is kept beside the file, and the file's own values win.

use crate::book::Book;
use crate::shelf::{Desk, checked, part, record};
use crate::text::{Phone, key};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::people::is_email;
use confab_plugin_sdk::prelude::*;

/// Longest name of a person or company.
const NAME: usize = 200;

pub(crate) fn find(
    book: &Book,
    desk: &mut Desk<'_>,
    email: Option<String>,
    phone: Option<String>,
) -> Result<Vec<Contact>> {
    let person = validated(Person { email, phone, ..Person::default() })?;
    let phone = person.phone.as_deref().and_then(Phone::parse);
    let ids = match (&person.email, &phone) {
        (Some(email), _) => by_email(book, desk, email)?,
        (None, Some(phone)) => by_phone(book, desk, phone)?,
        (None, None) => Vec::new(),
    };
    let mut found = Vec::new();
    for id in ids {
        found.extend(view(book, desk, &id)?.filter(|c| fits(c, person.email.as_deref(), phone.as_ref())));
    }
    Ok(found)
}

fn fits(contact: &Contact, email: Option<&str>, phone: Option<&Phone>) -> bool {
    let same_email = email.is_none_or(|e| contact.email.as_deref().map(key) == Some(key(e)));
    let same_phone =
        phone.is_none_or(|p| contact.phone.as_deref().and_then(Phone::parse).is_some_and(|own| own.same(p)));
    same_email && same_phone
}

pub(crate) fn upsert(book: &Book, desk: &mut Desk<'_>, person: Person) -> Result<Contact> {
    let person = validated(person)?;
    let phone = person.phone.as_deref().and_then(Phone::parse);
    let ids = match (&person.email, &phone) {
        (Some(email), _) => by_email(book, desk, email)?,
        (None, Some(phone)) => by_phone(book, desk, phone)?,
        (None, None) => Vec::new(),
    };
    for id in ids {
        if let Some(known) = view(book, desk, &id)?
            .filter(|c| fits(c, person.email.as_deref(), phone.as_ref().filter(|_| person.email.is_none())))
        {
            return complete(desk, known, &person, phone.as_ref());
        }
    }
    let fresh = desk.next("contact", &book.settings.contact_prefix, book.highest.contact)?;
    // The index is the claim: of two calls for one address, the first one's id holds for both.
    let id = match (&person.email, &phone) {
        (Some(email), _) => desk.claim(&email_key(email), fresh)?,
        (None, Some(phone)) => desk.claim(&phone_key(phone), fresh)?,
        (None, None) => fresh,
    };
    let name = [&person.name, &person.company, &person.email, &person.phone].into_iter().flatten().next().cloned();
    let contact = Contact {
        id: id.clone(),
        name: name.unwrap_or_default(),
        email: person.email.clone(),
        phone: person.phone.clone(),
        company: person.company.clone(),
        extra: Vec::new(),
    };
    let contact = desk.create(&record("contact", &id), contact)?;
    if let Some(phone) = phone.as_ref().filter(|_| person.email.is_some()) {
        desk.claim(&phone_key(phone), id)?;
    }
    Ok(contact)
}

/// Adds what is missing on a known contact.
fn complete(desk: &mut Desk<'_>, known: Contact, person: &Person, phone: Option<&Phone>) -> Result<Contact> {
    let mut full = known.clone();
    full.email = full.email.or_else(|| person.email.clone());
    full.phone = full.phone.or_else(|| person.phone.clone());
    full.company = full.company.or_else(|| person.company.clone());
    // A name that is only the address, for want of one, is no name.
    let nameless = full.email.as_ref() == Some(&full.name) || full.phone.as_ref() == Some(&full.name);
    if let Some(name) = person.name.as_ref().filter(|_| nameless) {
        full.name.clone_from(name);
    }
    if full == known {
        return Ok(known);
    }
    desk.write(&record("contact", &full.id), &full)?;
    if let (None, Some(phone)) = (&known.phone, phone) {
        desk.claim(&phone_key(phone), full.id.clone())?;
    }
    if let (None, Some(email)) = (&known.email, &person.email) {
        desk.claim(&email_key(email), full.id.clone())?;
    }
    Ok(full)
}

/// A contact as it is now: the file's values, then what visitors added.
pub(crate) fn view(book: &Book, desk: &mut Desk<'_>, id: &str) -> Result<Option<Contact>> {
    let added: Option<Contact> = desk.read(&record("contact", id))?;
    let filed = book.contact(id).map(|e| e.contact.clone());
    Ok(merge(filed, added))
}

pub(crate) fn merge(filed: Option<Contact>, added: Option<Contact>) -> Option<Contact> {
    match (filed, added) {
        (Some(filed), Some(added)) => Some(Contact {
            email: filed.email.or(added.email),
            phone: filed.phone.or(added.phone),
            company: filed.company.or(added.company),
            ..filed
        }),
        (filed, added) => filed.or(added),
    }
}

fn by_email(book: &Book, desk: &mut Desk<'_>, email: &str) -> Result<Vec<String>> {
    let mut ids = ids(book, book.contacts_by_email.get(&key(email)));
    ids.extend(desk.read_text(&email_key(email))?);
    ids.dedup();
    Ok(ids)
}

fn by_phone(book: &Book, desk: &mut Desk<'_>, phone: &Phone) -> Result<Vec<String>> {
    let mut ids = ids(book, book.contacts_by_phone.get(phone.tail()));
    let prefix = format!("contact-phone/{}/", phone.tail());
    for (_, id) in desk.shelf.scan(&prefix, None, 20)? {
        let id = String::from_utf8_lossy(&id).into_owned();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn ids(book: &Book, positions: Option<&Vec<usize>>) -> Vec<String> {
    positions.into_iter().flatten().filter_map(|i| book.contacts.get(*i)).map(|e| e.contact.id.clone()).collect()
}

fn email_key(email: &str) -> String {
    format!("contact-email/{}", part(email))
}

fn phone_key(phone: &Phone) -> String {
    format!("contact-phone/{}/{}", phone.tail(), phone.digits())
}

/// A person whose fields have the right shape, with an address or number.
pub(crate) fn validated(person: Person) -> Result<Person> {
    let text = |name: &str, value: Option<String>| -> Result<Option<String>> {
        let value = value.map(|v| checked(name, &v, NAME, false)).transpose()?;
        Ok(value.filter(|v| !v.is_empty()))
    };
    let person = Person {
        name: text("the name", person.name)?,
        email: person.email.map(|e| e.trim().to_owned()).filter(|e| !e.is_empty()),
        phone: text("the phone number", person.phone)?,
        company: text("the company", person.company)?,
    };
    if person.email.as_deref().is_some_and(|e| !is_email(e)) {
        return Err(error(Code::InvalidInput, "this is not an e-mail address"));
    }
    if person.phone.as_deref().is_some_and(|p| Phone::parse(p).is_none()) {
        return Err(error(Code::InvalidInput, "this is not a phone number: it needs 6 to 15 digits"));
    }
    if person.email.is_none() && person.phone.is_none() {
        return Err(error(Code::InvalidInput, "an e-mail address or phone number is needed"));
    }
    Ok(person)
}

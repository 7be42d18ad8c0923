//! Contacts are `party.party` with their contact mechanisms.
//!
//! A party that exists is never changed from here. A visitor who gives somebody's e-mail address has not shown to be
//! them, and a phone number added to a party would be proof of that party's orders. What the visitor said stands in
//! the lead, where a person sees it.

use crate::session::{Tryton, id_text};
use crate::value::{literal, records, text};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};

/// A page of parties, and how many pages: numbers are compared here, because each is written in its own way.
const PAGE: u32 = 100;
const PAGES: u32 = 3;
const NAME: usize = 200;
const FIELDS: [&str; 4] = ["name", "code", "contact_mechanisms.type", "contact_mechanisms.value"];

impl Tryton<'_> {
    pub(crate) fn contacts(&mut self, email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        let person = validated(&Person { email, phone, ..Person::default() })?;
        Ok(self.parties(&person)?.iter().map(contact).collect())
    }

    /// Parties that have each of e-mail and phone that is given, oldest first.
    fn parties(&mut self, person: &Person) -> Result<Vec<Value>> {
        let mut domain = Vec::new();
        if let Some(email) = &person.email {
            domain.push(json!([
                "contact_mechanisms",
                "where",
                [["type", "=", "email"], ["value", "ilike", literal(email)]]
            ]));
        }
        if let Some(phone) = &person.phone {
            // The last six digits with anything between them; what is found is compared below.
            let digits = digits(phone);
            let tail = digits.get(digits.len().saturating_sub(6)..).unwrap_or(&digits);
            let pattern: String = tail.chars().flat_map(|c| ['%', c]).chain(['%']).collect();
            domain.push(json!([
                "contact_mechanisms",
                "where",
                [["type", "in", ["phone", "mobile"]], ["value", "like", pattern]]
            ]));
        }
        let mut found = Vec::new();
        for page in 0..PAGES {
            let params = vec![json!(domain), json!(page * PAGE), json!(PAGE), json!([["id", "ASC"]]), json!(FIELDS)];
            let Value::Array(parties) = self.call("party.party.search_read", params)? else {
                break;
            };
            let full = parties.len() == PAGE as usize;
            found.extend(parties.into_iter().filter(|p| {
                let email = person
                    .email
                    .as_ref()
                    .is_none_or(|e| mechanisms(p, &["email"]).iter().any(|own| same_email(own, e)));
                let phone = person
                    .phone
                    .as_ref()
                    .is_none_or(|n| mechanisms(p, &["phone", "mobile"]).iter().any(|own| same_phone(own, n)));
                email && phone
            }));
            if !full {
                break;
            }
        }
        Ok(found)
    }

    /// The party with this e-mail address (without one: phone number), created if there is none.
    pub(crate) fn upsert(&mut self, person: &Person) -> Result<Contact> {
        let person = validated(person)?;
        let key = match &person.email {
            Some(_) => Person { email: person.email.clone(), ..Person::default() },
            None => Person { phone: person.phone.clone(), ..Person::default() },
        };
        if let Some(known) = self.parties(&key)?.first() {
            return Ok(contact(known));
        }
        let name = [&person.name, &person.company, &person.email, &person.phone]
            .into_iter()
            .flatten()
            .next()
            .cloned()
            .unwrap_or_default();
        let reached = [("email", &person.email), ("phone", &person.phone)];
        let reached: Vec<Value> = reached
            .into_iter()
            .filter_map(|(kind, value)| Some(json!({"type": kind, "value": value.as_ref()?})))
            .collect();
        let id = self.create("party.party", json!({"name": name, "contact_mechanisms": [["create", reached]]}))?;
        Ok(Contact {
            id: id.to_string(),
            name,
            email: person.email,
            phone: person.phone,
            company: None,
            extra: Vec::new(),
        })
    }
}

fn contact(party: &Value) -> Contact {
    let name = text(party, "name").unwrap_or_default();
    Contact {
        id: id_text(party).unwrap_or_default(),
        email: mechanisms(party, &["email"]).into_iter().next(),
        phone: mechanisms(party, &["phone", "mobile"]).into_iter().next(),
        company: None,
        extra: text(party, "code").map(|value| ExtraField { name: "code".into(), value }).into_iter().collect(),
        name,
    }
}

/// Values of a party's contact mechanisms of some kinds.
pub(crate) fn mechanisms(party: &Value, kinds: &[&str]) -> Vec<String> {
    let all = records(party, "contact_mechanisms").into_iter();
    let of_kind = all.filter(|m| text(m, "type").is_some_and(|t| kinds.contains(&t.as_str())));
    of_kind.filter_map(|m| text(m, "value")).collect()
}

pub(crate) fn same_email(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

fn digits(phone: &str) -> String {
    phone.replace("(0)", "").chars().filter(char::is_ascii_digit).collect()
}

/// `+43 660 5550177` and `0660/5550177` are the same: with a country code on one side only, up to three more digits.
pub(crate) fn same_phone(a: &str, b: &str) -> bool {
    let parse = |phone: &str| {
        let digits = digits(phone);
        match (phone.trim().starts_with('+'), digits.strip_prefix("00")) {
            (true, _) => (digits, true),
            (false, Some(rest)) => (rest.to_owned(), true),
            (false, None) => (digits.strip_prefix('0').unwrap_or(&digits).to_owned(), false),
        }
    };
    let ((a, a_full), (b, b_full)) = (parse(a), parse(b));
    let extends =
        |full: &str, national: &str| full.strip_suffix(national).is_some_and(|code| (1..=3).contains(&code.len()));
    match (a_full, b_full) {
        _ if a.len() < 6 || b.len() < 6 => false,
        (true, false) => extends(&a, &b),
        (false, true) => extends(&b, &a),
        _ => a == b,
    }
}

/// A person whose fields have the right shape, with an address or number.
pub(crate) fn validated(person: &Person) -> Result<Person> {
    let clean = |value: &Option<String>| value.as_deref().map(one_line).filter(|v| !v.is_empty());
    let person = Person {
        name: clean(&person.name),
        email: clean(&person.email),
        phone: clean(&person.phone),
        company: clean(&person.company),
    };
    let fields = [&person.name, &person.email, &person.phone, &person.company];
    if fields.into_iter().flatten().any(|v| v.chars().count() > NAME) {
        return Err(error(Code::InvalidInput, format!("a name, address or number has more than {NAME} characters")));
    }
    // Tryton itself takes anything for an e-mail address.
    if person.email.as_deref().is_some_and(|e| !is_email(e)) {
        return Err(error(Code::InvalidInput, "this is not an e-mail address"));
    }
    let is_phone = |p: &str| (6..=15).contains(&digits(p).len()) && !p.chars().any(char::is_alphabetic);
    if person.phone.as_deref().is_some_and(|p| !is_phone(p)) {
        return Err(error(Code::InvalidInput, "this is not a phone number: it needs 6 to 15 digits"));
    }
    if person.email.is_none() && person.phone.is_none() {
        return Err(error(Code::InvalidInput, "an e-mail address or phone number is needed"));
    }
    Ok(person)
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let odd =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '<' | '>' | ',' | ';' | '"' | '(' | ')');
    let labels = domain.split('.').all(|l| !l.is_empty() && !l.starts_with('-') && !l.ends_with('-'));
    !local.is_empty()
        && local.len() <= 64
        && domain.contains('.')
        && labels
        && !local.contains(odd)
        && !domain.contains(odd)
}

/// Trimmed, without control characters.
pub(crate) fn one_line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

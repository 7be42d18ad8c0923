//! Contacts are `party.party` with their contact mechanisms.
//!
//! A party that exists is never changed from here. A visitor who gives somebody's e-mail address has not shown to be
//! them, and a phone number added to a party would be proof of that party's orders. What the visitor said stands in
//! the lead, where a person sees it.

use crate::session::{Tryton, id_text};
use crate::value::{literal, records, text};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::people::{Known, display_name, key, tail, valid};
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};

/// A page of parties, and how many pages: numbers are compared here, because each is written in its own way.
const PAGE: u32 = 100;
const PAGES: u32 = 3;
const FIELDS: [&str; 4] = ["name", "code", "contact_mechanisms.type", "contact_mechanisms.value"];

impl Tryton<'_> {
    pub(crate) fn contacts(&mut self, email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        let person = valid(&Person { email, phone, ..Person::default() })?;
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
            let pattern: String = tail(phone).chars().flat_map(|c| ['%', c]).chain(['%']).collect();
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
                let (emails, phones) = (mechanisms(p, &["email"]), mechanisms(p, &["phone", "mobile"]));
                Known { emails, phones, ..Known::default() }.fits(person)
            }));
            if !full {
                break;
            }
        }
        Ok(found)
    }

    /// The party with this e-mail address (without one: phone number), created if there is none.
    pub(crate) fn upsert(&mut self, person: &Person) -> Result<Contact> {
        let person = valid(person)?;
        if let Some(known) = self.parties(&key(&person))?.first() {
            return Ok(contact(known));
        }
        let name = display_name(&person);
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

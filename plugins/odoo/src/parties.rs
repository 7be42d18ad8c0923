//! Contacts are `res.partner`.
//!
//! A partner that exists is never changed from here. A visitor who gives somebody's e-mail address has not shown to be
//! them, and a phone number added to a partner would be proof of that partner's orders. What the visitor said stands
//! in the lead or ticket, where a person sees it.

use crate::session::{Odoo, any, id, literal, named, one, text};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::people::{self, Known};
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Partners that are compared here for a phone number, because each writes it in its own way.
const CANDIDATES: u32 = 200;
const FIELDS: [&str; 8] =
    ["name", "email", "phone", "zip", "ref", "parent_id", "company_name", "commercial_partner_id"];
/// Gone in later versions.
const OPTIONAL: [&str; 2] = ["mobile", "email_normalized"];

impl Odoo {
    /// The partners that these records name in these fields, by id.
    pub(crate) fn partners(&mut self, records: &[Value], fields: &[&str]) -> Result<HashMap<i64, Value>> {
        let ids = records.iter().flat_map(|record| fields.iter().filter_map(|field| one(record, field))).collect();
        let fields = self.fields("res.partner", &FIELDS, &OPTIONAL)?;
        self.by_id("res.partner", ids, json!(fields))
    }

    pub(crate) fn contacts(&mut self, email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        let person = people::valid(&Person { email, phone, ..Person::default() })?;
        Ok(self.people(&person)?.iter().map(contact).collect())
    }

    /// Partners that have each of e-mail and phone that is given, oldest first.
    fn people(&mut self, person: &Person) -> Result<Vec<Value>> {
        let fields = self.fields("res.partner", &FIELDS, &OPTIONAL)?;
        let has = |name: &str| fields.iter().any(|f| f == name);
        let mut domain = Vec::new();
        if let Some(email) = &person.email {
            domain.push(match has("email_normalized") {
                true => json!(["email_normalized", "=", email.to_lowercase()]),
                false => json!(["email", "=ilike", literal(email)]),
            });
        }
        if let Some(phone) = &person.phone {
            // The last digits with anything between them; what is found is compared below.
            let digits: Vec<String> = people::tail(phone).chars().map(String::from).collect();
            let pattern = digits.join("%");
            let numbers = ["mobile", "phone"].into_iter().filter(|field| *field == "phone" || has(field));
            domain.extend(any(numbers.map(|field| json!([field, "like", pattern]))));
        }
        let found = self.find("res.partner", json!(domain), json!(fields), "id", CANDIDATES, Value::Null)?;
        Ok(found.into_iter().filter(|partner| known(partner).fits(person)).collect())
    }

    /// The partner with this e-mail address (without one: phone number).
    pub(crate) fn partner_of(&mut self, person: &Person) -> Result<Option<Value>> {
        Ok(self.people(&people::key(person))?.into_iter().next())
    }

    pub(crate) fn upsert(&mut self, person: &Person) -> Result<Contact> {
        let person = people::valid(person)?;
        if let Some(there) = self.partner_of(&person)? {
            return Ok(contact(&there));
        }
        let name = people::display_name(&person);
        let Person { email, phone, company, .. } = person;
        // `company_name` is the text that Odoo makes a company of when a salesperson says so.
        let company = company.filter(|company| *company != name);
        let values = json!({"name": name, "email": email, "phone": phone, "company_name": company});
        let id = self.create("res.partner", values)?;
        Ok(Contact { id: id.to_string(), name, email, phone, company, extra: Vec::new() })
    }
}

/// What a partner can show.
pub(crate) fn known(partner: &Value) -> Known {
    Known {
        emails: ["email", "email_normalized"].into_iter().filter_map(|f| text(partner, f)).collect(),
        phones: ["phone", "mobile"].into_iter().filter_map(|f| text(partner, f)).collect(),
        postal_codes: text(partner, "zip").into_iter().collect(),
        customer_ids: vec![id(partner).to_string()],
    }
}

/// What a number is answered with that isn't known, and one whose proof is wrong.
pub(crate) fn missing(what: &str) -> Error {
    let message = format!(
        "there is no {what} with this number that belongs to this e-mail address, phone number, postal code or customer"
    );
    error(Code::NotFound, message)
}

fn contact(partner: &Value) -> Contact {
    Contact {
        id: id(partner).to_string(),
        name: text(partner, "name").unwrap_or_default(),
        email: text(partner, "email"),
        phone: text(partner, "phone").or_else(|| text(partner, "mobile")),
        company: named(partner, "parent_id").or_else(|| text(partner, "company_name")),
        extra: text(partner, "ref").map(|value| ExtraField { name: "ref".into(), value }).into_iter().collect(),
    }
}

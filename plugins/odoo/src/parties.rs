//! Contacts are `res.partner`.
//!
//! A partner that exists is never changed from here. A visitor who gives somebody's e-mail address has not shown to be
//! them, and a phone number added to a partner would be proof of that partner's orders. What the visitor said stands
//! in the lead or ticket, where a person sees it.

use crate::session::{Odoo, id, named, one, text};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::people::{self, Known};
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Partners that are compared here for a phone number, because each writes it in its own way.
const CANDIDATES: u32 = 200;
const FIELDS: [&str; 9] =
    ["name", "email", "phone", "zip", "ref", "is_company", "parent_id", "company_name", "commercial_partner_id"];
/// Gone in later versions.
const OPTIONAL: [&str; 2] = ["mobile", "email_normalized"];

impl Odoo {
    fn partner_fields(&mut self) -> Result<Vec<String>> {
        let optional = self.fields("res.partner", &OPTIONAL)?;
        Ok(FIELDS.into_iter().map(str::to_owned).chain(optional).collect())
    }

    /// Partners by id, archived ones too.
    pub(crate) fn partners(&mut self, ids: &[i64]) -> Result<HashMap<i64, Value>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let fields = self.partner_fields()?;
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let domain = json!([["id", "in", ids]]);
        let found = self.find("res.partner", domain, &fields, "", CANDIDATES, json!({"active_test": false}))?;
        Ok(found.into_iter().map(|partner| (id(&partner), partner)).collect())
    }

    pub(crate) fn contacts(&mut self, email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        let person = people::valid(&Person { email, phone, ..Person::default() })?;
        Ok(self.people(&person)?.iter().map(contact).collect())
    }

    /// Partners that have each of e-mail and phone that is given, oldest first.
    pub(crate) fn people(&mut self, person: &Person) -> Result<Vec<Value>> {
        let fields = self.partner_fields()?;
        let has = |name: &str| fields.iter().any(|f| f == name);
        let mut domain = Vec::new();
        if let Some(email) = &person.email {
            domain.push(if has("email_normalized") {
                json!(["email_normalized", "=", email.to_lowercase()])
            } else {
                json!(["email", "=ilike", crate::session::literal(email)])
            });
        }
        if let Some(phone) = &person.phone {
            // The last six digits with anything between them; what is found is compared below.
            let digits = people::digits(phone);
            let tail = digits.get(digits.len().saturating_sub(6)..).unwrap_or(&digits);
            let pattern: String = tail.chars().flat_map(|c| [c, '%']).collect();
            let pattern = pattern.trim_end_matches('%').to_owned();
            if has("mobile") {
                domain.push(json!("|"));
                domain.push(json!(["mobile", "like", pattern]));
            }
            domain.push(json!(["phone", "like", pattern]));
        }
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let found = self.find("res.partner", Value::Array(domain), &fields, "id", CANDIDATES, Value::Null)?;
        let proof = Proof { email: person.email.clone(), phone: person.phone.clone(), ..Proof::default() };
        Ok(found.into_iter().filter(|partner| known(partner).proves(&proof, String::new).is_ok()).collect())
    }

    /// The partner with this e-mail address (without one: phone number).
    pub(crate) fn partner_of(&mut self, person: &Person) -> Result<Option<Value>> {
        let key = match &person.email {
            Some(_) => Person { email: person.email.clone(), ..Person::default() },
            None => Person { phone: person.phone.clone(), ..Person::default() },
        };
        Ok(self.people(&key)?.into_iter().next())
    }

    pub(crate) fn upsert(&mut self, person: &Person) -> Result<Contact> {
        let person = people::valid(person)?;
        if let Some(there) = self.partner_of(&person)? {
            return Ok(contact(&there));
        }
        let name = [&person.name, &person.company, &person.email, &person.phone].into_iter().flatten().next().cloned();
        let name = name.unwrap_or_default();
        // `company_name` is the text that Odoo makes a company of when a salesperson says so.
        let company = person.company.clone().filter(|company| *company != name);
        let values = json!({
            "name": name, "email": person.email.clone().map_or(json!(false), Value::from),
            "phone": person.phone.clone().map_or(json!(false), Value::from),
            "company_name": company.clone().map_or(json!(false), Value::from),
        });
        let id = self.create("res.partner", values)?;
        let (email, phone) = (person.email, person.phone);
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

fn contact(partner: &Value) -> Contact {
    let parent = named(partner, "parent_id").filter(|_| one(partner, "parent_id").is_some());
    Contact {
        id: id(partner).to_string(),
        name: text(partner, "name").unwrap_or_default(),
        email: text(partner, "email"),
        phone: text(partner, "phone").or_else(|| text(partner, "mobile")),
        company: parent.or_else(|| text(partner, "company_name")),
        extra: text(partner, "ref").map(|value| ExtraField { name: "ref".into(), value }).into_iter().collect(),
    }
}

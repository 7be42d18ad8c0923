//! Contacts, by e-mail address (unique in HubSpot) or by phone number.
//!
//! A contact that exists is never changed from here. A visitor who gives somebody's e-mail address has not shown to be
//! them, and a phone number added to a contact would be proof of that contact's tickets.

use crate::api;
use crate::portal::{Portal, value};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{json, once, pages, people};
use serde_json::{Map, Value, json};

pub(crate) const PROPERTIES: [&str; 8] = [
    "firstname",
    "lastname",
    "email",
    "phone",
    "mobilephone",
    "company",
    "hs_additional_emails",
    "hs_merged_object_ids",
];
/// Contacts whose numbers are compared, and pages of them.
const MOST: usize = 300;
const PAGE: usize = 100;

impl Portal {
    pub(crate) fn find_contacts(&self, email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        let person = people::valid(&Person { email, phone, ..Person::default() })?;
        let found = match &person.email {
            Some(email) => self.by_email(email)?.into_iter().collect(),
            None => self.by_phone(person.phone.as_deref().unwrap_or_default())?,
        };
        let same =
            |c: &&Value| person.phone.as_ref().is_none_or(|n| phones(c).iter().any(|own| people::same_phone(own, n)));
        Ok(found.iter().filter(same).map(contact).collect())
    }

    /// The contact with this address, as its first or a further one.
    pub(crate) fn by_email(&self, email: &str) -> Result<Option<Value>> {
        if let Some(found) = self.record("contacts", email, Some("email"), &PROPERTIES, &[])? {
            return Ok(Some(found));
        }
        let further = self.search(
            "contacts",
            json!([{"filters": [filter("hs_additional_emails", "CONTAINS_TOKEN", email)]}]),
            &PROPERTIES,
            5,
        )?;
        Ok(further.into_iter().find(|c| emails(c).iter().any(|own| people::same_email(own, email))))
    }

    /// HubSpot keeps numbers for searching without country code and signs; what it finds is compared.
    fn by_phone(&self, phone: &str) -> Result<Vec<Value>> {
        let tail = format!("*{}", people::tail(phone));
        let groups: Vec<Value> = ["hs_searchable_calculated_phone_number", "hs_searchable_calculated_mobile_number"]
            .iter()
            .map(|property| json!({"filters": [filter(property, "CONTAINS_TOKEN", &tail)]}))
            .collect();
        let found = self.search("contacts", Value::Array(groups), &PROPERTIES, MOST)?;
        Ok(found.into_iter().filter(|c| phones(c).iter().any(|own| people::same_phone(own, phone))).collect())
    }

    /// Records that fit, oldest first for contacts. The index lags behind by seconds.
    pub(crate) fn search(&self, object: &str, groups: Value, properties: &[&str], most: usize) -> Result<Vec<Value>> {
        let body =
            json!({"filterGroups": groups, "properties": properties, "sorts": ["createdate"], "limit": PAGE.min(most)});
        self.searched(object, body, most)
    }

    /// Pages of a search.
    pub(crate) fn searched(&self, object: &str, mut body: Value, most: usize) -> Result<Vec<Value>> {
        pages::collect(most, most.div_ceil(PAGE), |cursor: Option<String>| {
            if let (Some(after), Some(body)) = (cursor, body.as_object_mut()) {
                body.insert("after".into(), after.into());
            }
            let found = self.checked(api::post(&format!("/crm/v3/objects/{object}/search"), &body)?.ok())?;
            Ok(pages::Page {
                items: json::list(&found, "/results").to_vec(),
                next: json::text(&found, "/paging/next/after"),
            })
        })
    }

    pub(crate) fn upsert_contact(&self, person: &Person) -> Result<Contact> {
        Ok(contact(&self.person(&people::valid(person)?)?))
    }

    /// The contact of a person, created if there is none.
    pub(crate) fn person(&self, person: &Person) -> Result<Value> {
        let number = format!("phone:{}", once::token(&people::digits(person.phone.as_deref().unwrap_or_default())));
        let known = match (&person.email, &person.phone) {
            (Some(email), _) => self.by_email(email)?,
            (None, phone) => {
                // What was made a moment ago is not in the index yet.
                let made = kv::get_json::<String>(&number)?
                    .map(|id| self.record("contacts", &id, None, &PROPERTIES, &[]))
                    .transpose()?
                    .flatten();
                let same = |c: &Value| {
                    phones(c).iter().any(|own| people::same_phone(own, phone.as_deref().unwrap_or_default()))
                };
                match made.filter(same) {
                    Some(made) => Some(made),
                    None => self.by_phone(phone.as_deref().unwrap_or_default())?.into_iter().next(),
                }
            }
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let (first, last) =
            person.name.as_deref().map(people::split_name).map_or((None, None), |(first, last)| (first, Some(last)));
        let given = [
            ("firstname", first),
            ("lastname", last),
            ("email", person.email.clone()),
            ("phone", person.phone.clone()),
            ("company", person.company.clone()),
        ];
        let properties: Map<String, Value> =
            given.into_iter().filter_map(|(name, v)| Some((name.to_owned(), v?.into()))).collect();
        let answer = api::post("/crm/v3/objects/contacts", &json!({"properties": properties}))?;
        // Somebody else was faster, or the address is a further one that the index does not have yet.
        let made = match answer.taken() {
            Some(Some(id)) => self.record("contacts", &id, None, &PROPERTIES, &[])?,
            Some(None) => None,
            None => Some(self.checked(answer.ok())?),
        };
        let made =
            made.ok_or_else(|| error(Code::Conflict, "HubSpot has this contact already, but does not show it"))?;
        if person.email.is_none()
            && let Err(e) = kv::set_json(&number, &json::text(&made, "/id").unwrap_or_default())
        {
            log::warn(format!("a contact was made, but that is not noted: {}", e.message));
        }
        Ok(made)
    }
}

/// A filter of a search. Values are values: HubSpot's search has no syntax to leave, but for `*`.
pub(crate) fn filter(property: &str, operator: &str, wanted: &str) -> Value {
    json!({"propertyName": property, "operator": operator, "value": wanted})
}

pub(crate) fn emails(contact: &Value) -> Vec<String> {
    let further = value(contact, "hs_additional_emails").unwrap_or_default();
    let further = further.split(';').map(|e| e.trim().to_owned()).filter(|e| !e.is_empty());
    value(contact, "email").into_iter().chain(further).collect()
}

pub(crate) fn phones(contact: &Value) -> Vec<String> {
    ["phone", "mobilephone"].iter().filter_map(|p| value(contact, p)).collect()
}

pub(crate) fn name(contact: &Value) -> Option<String> {
    let parts: Vec<String> = ["firstname", "lastname"].iter().filter_map(|p| value(contact, p)).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn contact(record: &Value) -> Contact {
    Contact {
        id: json::text(record, "/id").unwrap_or_default(),
        name: name(record).or_else(|| value(record, "email")).or_else(|| value(record, "phone")).unwrap_or_default(),
        email: value(record, "email"),
        phone: phones(record).into_iter().next(),
        company: value(record, "company"),
        extra: Vec::new(),
    }
}

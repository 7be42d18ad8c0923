//! Contacts are `Contact`, found by e-mail or any of their phone numbers; where there is none, leads.
//!
//! A contact that exists is never changed from here. A visitor who gives somebody's e-mail address has not shown to be
//! them, and a phone number added to a contact would be proof of that contact's orders and cases. What the visitor said
//! stands in the lead or case, where a person sees it.

use crate::org::{Accounts, Object, Org, owned};
use crate::rest::Part;
use crate::soql::{literal, phone};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{json, people};
use serde_json::{Map, Value};

/// Contacts that are looked at: numbers are compared here, because each is written in its own way.
const MOST: usize = 400;
pub(crate) const PHONES: [&str; 3] = ["Phone", "MobilePhone", "HomePhone"];
/// What Salesforce itself writes where a name or company has to stand and nobody knows it.
pub(crate) const UNKNOWN: &str = "[not provided]";

impl Org {
    pub(crate) fn find_contacts(&self, email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        let person = people::valid(&Person { email, phone, ..Person::default() })?;
        let found = self.people("Contact", "Account.Name", &person)?;
        if !found.is_empty() || !self.settings.contacts.leads {
            return Ok(found.iter().map(contact).collect());
        }
        match self.people("Lead", "Company", &person) {
            Ok(leads) => Ok(leads.iter().map(contact).collect()),
            // A service org may have no leads, or keep them from the bot.
            Err(e) if e.code == Code::Misconfigured.as_str() || e.code == Code::Forbidden.as_str() => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    /// People of an object that have each of e-mail and phone that is given, oldest first.
    fn people(&self, object: &str, company: &str, person: &Person) -> Result<Vec<Value>> {
        let described = self.object(object)?;
        let phones = described.readable(PHONES);
        let mut conditions = Vec::new();
        if let Some(email) = &person.email {
            conditions.push(format!("Email = {}", literal(email)));
        }
        if let Some(number) = &person.phone {
            let any: Vec<String> = phones.iter().map(|field| format!("{field} LIKE {}", phone(number))).collect();
            if any.is_empty() {
                return Ok(Vec::new());
            }
            conditions.push(format!("({})", any.join(" OR ")));
        }
        if described.has("IsConverted") {
            conditions.push("IsConverted = FALSE".into());
        }
        let (select, conditions) = (selected(&described, company), conditions.join(" AND "));
        let soql = format!("SELECT {select} FROM {object} WHERE {conditions} ORDER BY CreatedDate LIMIT {MOST}");
        let found = self.rest.query(&soql, MOST).map_err(|e| self.failed(object, e))?;
        let same = |record: &Value| {
            person.phone.as_ref().is_none_or(|n| numbers(record).iter().any(|own| people::same_phone(own, n)))
        };
        Ok(found.into_iter().filter(same).collect())
    }

    /// The id of the one contact with this e-mail address; none when there are several: nobody knows which one it is.
    pub(crate) fn only_contact(email: &str) -> String {
        format!("SELECT Id FROM Contact WHERE Email = {} LIMIT 2", literal(email))
    }

    /// The contact with this e-mail address (without one: phone number), created if there is none.
    pub(crate) fn upsert_contact(&self, person: &Person) -> Result<Contact> {
        let person = people::valid(person)?;
        let key = people::key(&person);
        if let Some(known) = self.people("Contact", "Account.Name", &key)?.first() {
            return Ok(contact(known));
        }
        let object = self.object("Contact")?;
        let mut values = owned(self.settings.contacts.owner.as_ref());
        let (first, last) = names(&person);
        let account = person.company.as_deref().map(|company| self.account(company)).transpose()?.flatten();
        values.insert("LastName".into(), last.into());
        let given = [("FirstName", first), ("Email", person.email), ("Phone", person.phone), ("AccountId", account)];
        for (field, value) in given {
            object.put(&mut values, field, value);
        }
        let insert = Part::write("made", "POST", "/sobjects/Contact".into(), values).assigned(false);
        let select = format!("SELECT {} FROM Contact", selected(&object, "Account.Name"));
        let (written, read) = self.rest.write(insert, &format!("{select} WHERE Id = '@{{made.id}}'"))?;
        let refused = written.duplicates();
        if refused.is_empty() {
            written.ok().map_err(|e| self.failed("Contact", e))?;
            let body = read.ok()?;
            return Ok(contact(body.pointer("/records/0").unwrap_or(&Value::Null)));
        }
        // A duplicate rule looks past the sharing rules. Who is alike is the same only with the same address or number.
        let ids: Vec<String> =
            refused.iter().filter(|(object, _)| object == "Contact").map(|(_, id)| literal(id)).collect();
        let alike = if ids.is_empty() {
            Vec::new()
        } else {
            self.rest.query(&format!("{select} WHERE Id IN ({})", ids.join(", ")), 20)?
        };
        let same = alike.iter().find(|c| {
            let emails = json::text(c, "/Email").into_iter().collect();
            people::Known { emails, phones: numbers(c), ..people::Known::default() }.fits(&key)
        });
        same.map(contact).ok_or_else(|| {
            let message = "a duplicate rule of the org refuses this contact: let the rule warn instead, or leave out the integration user";
            error(Code::Conflict, message)
        })
    }

    /// The account that a new contact's company stands for.
    fn account(&self, company: &str) -> Result<Option<String>> {
        if self.settings.contacts.accounts == Accounts::None {
            return Ok(None);
        }
        let found = self.rest.query(&format!("SELECT Id FROM Account WHERE Name = {} LIMIT 2", literal(company)), 2)?;
        match (found.as_slice(), self.settings.contacts.accounts) {
            ([only], _) => Ok(json::text(only, "/Id")),
            ([], Accounts::Create) => {
                let values = Map::from_iter([("Name".to_owned(), company.into())]);
                let insert = Part::write("made", "POST", "/sobjects/Account".into(), values);
                let made = self.rest.composite(vec![insert.assigned(true)], true)?.into_iter().next();
                Ok(made.map(|m| m.ok()).transpose()?.and_then(|body| json::text(&body, "/id")))
            }
            _ => Ok(None),
        }
    }
}

/// What is read of a contact or lead, as far as it may be seen.
fn selected(object: &Object, company: &str) -> String {
    object.readable(["Id", "Name", "Email"].into_iter().chain(PHONES).chain([company])).join(", ")
}

/// First and last name, as long as their fields hold. A last name has to be there.
pub(crate) fn names(person: &Person) -> (Option<String>, String) {
    let (first, last) = person.name.as_deref().map_or((None, UNKNOWN.to_owned()), people::split_name);
    (first.map(|name| cut(&name, 40)), cut(&last, 80))
}

/// The beginning of a text: Salesforce refuses what a field does not hold.
pub(crate) fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// The telephone numbers of a contact or lead.
pub(crate) fn numbers(record: &Value) -> Vec<String> {
    PHONES.iter().filter_map(|field| json::text(record, &format!("/{field}"))).collect()
}

fn contact(record: &Value) -> Contact {
    let company = json::text(record, "/Account/Name").or_else(|| json::text(record, "/Company"));
    let object = json::text(record, "/attributes/type").filter(|object| object != "Contact");
    Contact {
        id: json::text(record, "/Id").unwrap_or_default(),
        name: json::text(record, "/Name").unwrap_or_default(),
        email: json::text(record, "/Email"),
        phone: numbers(record).into_iter().next(),
        company: company.filter(|name| name != UNKNOWN),
        extra: object.map(|value| ExtraField { name: "object".into(), value }).into_iter().collect(),
    }
}

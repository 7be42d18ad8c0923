//! Contacts are RT's users, privileged or not.
//!
//! RT makes a user of each new requestor by itself. A user who exists is never changed from here: a visitor who gives
//! somebody's address has not shown to be them. RT ignores a search by a field that the connection's user may not search
//! by, and gives everybody; that is noticed here. Nobody may search users by number, so that goes by way of their tickets.

use crate::rest::{NEWEST, get, post, quoted, read};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::people::Known;
use confab_plugin_sdk::{json, people, prelude::*};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// RT's columns for numbers. They are empty for who lacks AdminUsers.
const PHONES: [&str; 3] = ["MobilePhone", "HomePhone", "WorkPhone"];
pub(crate) const FIELDS: &str = "EmailAddress,RealName,Organization,MobilePhone,HomePhone,WorkPhone";

pub(crate) fn find(person: &Person) -> Result<Vec<Contact>> {
    let person = people::valid(person)?;
    let mut found = match (&person.email, &person.phone) {
        (Some(email), _) => users(email)?,
        (None, Some(phone)) => requestors(phone)?,
        (None, None) => Vec::new(),
    };
    found.retain(|user| known(user).fits(&person));
    Ok(found.iter().map(contact).collect())
}

fn users(email: &str) -> Result<Vec<Value>> {
    let query = json!([{"field": "EmailAddress", "operator": "=", "value": email}]).to_string();
    let answer = get("/users", &[("query", &query), ("fields", FIELDS), ("per_page", "50")])?;
    let found = json::list(&answer, "/items").to_vec();
    let asked = Person { email: Some(email.to_owned()), ..Person::default() };
    if found.iter().all(|user| known(user).fits(&asked)) {
        return Ok(found);
    }
    let message = "RT can't be searched by e-mail address: give the user AdminUsers, or name EmailAddress in UserSummaryExtraInfo";
    Err(error(Code::Forbidden, message))
}

/// Requestors of tickets who may have this number.
fn requestors(phone: &str) -> Result<Vec<Value>> {
    // Its last digits with anything between them; each number is written in its own way.
    let pattern: Vec<String> = people::tail(phone).chars().map(String::from).collect();
    let pattern = quoted(&pattern.join("%"));
    let query = PHONES.map(|field| format!("Requestor.{field} LIKE {pattern}")).join(" OR ");
    // Of many tickets the newest.
    let shown = [("query", query.as_str()), ("fields", "Requestor"), ("fields[Requestor]", FIELDS), ("per_page", "50")];
    let answer = get("/tickets", &[&shown[..], &NEWEST].concat())?;
    let all = json::list(&answer, "/items").iter().flat_map(|ticket| json::list(ticket, "/Requestor"));
    let by_id: BTreeMap<_, _> = all.map(|user| (json::id(user, "/id"), user.clone())).collect();
    if !by_id.is_empty() && by_id.values().all(|user| known(user).phones.is_empty()) {
        return Err(error(Code::Forbidden, "seeing phone numbers in RT needs the right AdminUsers"));
    }
    Ok(by_id.into_values().collect())
}

/// What a user is known by.
pub(crate) fn known(user: &Value) -> Known {
    let all = |fields: &[&str]| fields.iter().filter_map(|field| json::text(user, &format!("/{field}"))).collect();
    Known { emails: all(&["EmailAddress"]), phones: all(&PHONES), customer_ids: all(&["id"]), ..Known::default() }
}

fn contact(user: &Value) -> Contact {
    let text = |field: &str| json::text(user, field);
    // Users are told by name in collections, by number on their own page.
    let id = text("/Name").or_else(|| json::id(user, "/id")).unwrap_or_default();
    Contact {
        name: text("/RealName").unwrap_or_else(|| id.clone()),
        email: text("/EmailAddress"),
        phone: known(user).phones.into_iter().next(),
        company: text("/Organization"),
        extra: Vec::new(),
        id,
    }
}

pub(crate) fn upsert(person: &Person) -> Result<Contact> {
    let person = people::valid(person)?;
    if let Some(known) = find(&people::key(&person))?.into_iter().next() {
        return Ok(known);
    }
    let digits = person.phone.as_deref().map(people::digits).unwrap_or_default();
    let id = person.email.clone().unwrap_or_else(|| format!("phone-{digits}"));
    if person.email.is_none() {
        // Without a ticket nobody is found by number; this is the name that such a user got.
        let response = read(&format!("/user/{id}"), &[])?;
        if response.status != 404 {
            return Ok(contact(&response.json()?));
        }
    }
    let mut user = json!({"Name": id, "Privileged": 0});
    let fields = [
        ("EmailAddress", &person.email),
        ("RealName", &person.name),
        ("MobilePhone", &person.phone),
        ("Organization", &person.company),
    ];
    for (field, value) in fields {
        if let (Some(value), Some(user)) = (value, user.as_object_mut()) {
            user.insert(field.to_owned(), json!(value));
        }
    }
    let right = "creating users needs AdminUsers (without it RT makes a user of each new requestor of a ticket)";
    let made = post("/user", &user, right)?;
    let name = people::display_name(&person);
    let id = json::id(&made, "/id").unwrap_or(id);
    Ok(Contact { id, name, email: person.email, phone: person.phone, company: person.company, extra: Vec::new() })
}

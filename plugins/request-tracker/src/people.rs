//! Contacts are RT's users, privileged or not.
//!
//! RT makes a user of each new requestor by itself. A user who exists is never changed from here: a visitor who gives
//! somebody's address has not shown to be them. RT ignores a search by a field that the connection's user may not search
//! by, and gives everybody; that is noticed here.

use crate::rest::{get, post};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::{json, people, prelude::*};
use serde_json::{Value, json};

/// RT's columns for numbers.
const PHONES: [&str; 3] = ["MobilePhone", "HomePhone", "WorkPhone"];
const FIELDS: &str = "EmailAddress,RealName,Organization,MobilePhone,HomePhone,WorkPhone";

fn users(field: &str, operator: &str, value: &str) -> Result<Vec<Value>> {
    let query = json!([{"field": field, "operator": operator, "value": value}]).to_string();
    let answer = get("/users", &[("query", &query), ("fields", FIELDS), ("per_page", "50")])?;
    Ok(json::list(&answer, "/items").to_vec())
}

pub(crate) fn find(person: &Person) -> Result<Vec<Contact>> {
    let person = people::valid(person)?;
    let phones =
        |user: &Value| -> Vec<String> { PHONES.iter().filter_map(|f| json::text(user, &format!("/{f}"))).collect() };
    let mut found = Vec::new();
    if let Some(email) = &person.email {
        found = users("EmailAddress", "=", email)?;
        let is_theirs =
            |user: &Value| json::text(user, "/EmailAddress").is_some_and(|own| people::same_email(&own, email));
        if !found.iter().all(is_theirs) {
            let message = "RT can't be searched by e-mail address: give the user AdminUsers, or name EmailAddress in UserSummaryExtraInfo";
            return Err(error(Code::Forbidden, message));
        }
    } else if let Some(phone) = &person.phone {
        // Its last digits with anything between them; each number is written in its own way.
        let digits = people::digits(phone);
        let tail = digits.get(digits.len().saturating_sub(6)..).unwrap_or(&digits);
        let pattern: Vec<String> = tail.chars().map(String::from).collect();
        for field in PHONES {
            let some = users(field, "LIKE", &pattern.join("%"))?;
            if !some.iter().all(|user| phones(user).iter().any(|own| people::digits(own).contains(tail))) {
                return Err(error(
                    Code::Forbidden,
                    "RT can't be searched by phone number: that needs the right AdminUsers",
                ));
            }
            found.extend(some);
        }
        found.dedup_by_key(|user| json::id(user, "/id"));
    }
    if let Some(phone) = &person.phone {
        found.retain(|user| phones(user).iter().any(|own| people::same_phone(own, phone)));
    }
    Ok(found.iter().map(contact).collect())
}

fn contact(user: &Value) -> Contact {
    let text = |field: &str| json::text(user, field);
    let id = json::id(user, "/id").unwrap_or_default();
    Contact {
        name: text("/RealName").unwrap_or_else(|| id.clone()),
        email: text("/EmailAddress"),
        phone: PHONES.iter().find_map(|f| text(&format!("/{f}"))),
        company: text("/Organization"),
        extra: Vec::new(),
        id,
    }
}

pub(crate) fn upsert(person: &Person) -> Result<Contact> {
    let person = people::valid(person)?;
    let key = match &person.email {
        Some(_) => Person { phone: None, name: None, company: None, ..person.clone() },
        None => Person { name: None, company: None, ..person.clone() },
    };
    if let Some(known) = find(&key)?.into_iter().next() {
        return Ok(known);
    }
    let digits = person.phone.as_deref().map(people::digits).unwrap_or_default();
    let id = person.email.clone().unwrap_or_else(|| format!("phone-{digits}"));
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
    let name = person.name.or_else(|| person.company.clone()).unwrap_or_else(|| id.clone());
    let id = json::id(&made, "/id").unwrap_or(id);
    Ok(Contact { id, name, email: person.email, phone: person.phone, company: person.company, extra: Vec::new() })
}

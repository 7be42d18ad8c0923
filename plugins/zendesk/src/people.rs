//! Contacts are Zendesk's users.
//!
//! `create_or_update` would let a visitor who knows somebody's address change their name and number. So a user is looked
//! for, and created if there is none; one who exists is never changed. Zendesk's search lags behind by minutes: a user
//! whom it does not know yet is met as `DuplicateValue`, and then named by `create_or_update` with the address alone,
//! which changes nothing.

use crate::api::{body, get, quoted, request};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::{json, people, prelude::*};
use serde_json::{Value, json};

pub(crate) fn contact(user: &Value) -> Contact {
    let extra = |name: &str| {
        let value = json::flag(user, &format!("/{name}")).then(|| "true".to_owned())?;
        Some(ExtraField { name: name.to_owned(), value })
    };
    Contact {
        id: json::id(user, "/id").unwrap_or_default(),
        name: json::text(user, "/name").unwrap_or_default(),
        email: json::text(user, "/email"),
        phone: json::text(user, "/phone"),
        company: None,
        extra: extra("suspended").into_iter().collect(),
    }
}

/// Users who are not deleted, by e-mail (first) or phone; each one given must match.
pub(crate) fn find(person: &Person) -> Result<Vec<Value>> {
    let person = people::valid(person)?;
    let query = match (&person.email, &person.phone) {
        (Some(email), _) => format!("email:{}", quoted(email)),
        // Zendesk keeps E.164.
        (None, Some(phone)) => {
            let plus = if phone.starts_with('+') || phone.starts_with("00") { "+" } else { "" };
            format!("phone:{}", quoted(&format!("{plus}{}", people::digits(phone).trim_start_matches("00"))))
        }
        (None, None) => return Ok(Vec::new()),
    };
    let answer = get("/users/search.json", &[("query", &query)])?;
    let mut found = json::list(&answer, "/users").to_vec();
    let fits = |user: &Value, field: &str, wanted: &Option<String>, same: fn(&str, &str) -> bool| {
        wanted.as_deref().is_none_or(|wanted| json::text(user, field).is_some_and(|own| same(&own, wanted)))
    };
    found.retain(|user| {
        user.get("active") != Some(&Value::Bool(false))
            && fits(user, "/email", &person.email, people::same_email)
            && fits(user, "/phone", &person.phone, people::same_phone)
    });
    Ok(found)
}

pub(crate) fn upsert(person: &Person) -> Result<Value> {
    let person = people::valid(person)?;
    let key = match &person.email {
        Some(_) => Person { phone: None, ..person.clone() },
        None => person.clone(),
    };
    if let Some(known) = find(&key)?.into_iter().next() {
        return Ok(known);
    }
    let mut user = json!({"name": name(&person), "role": "end-user", "skip_verify_email": true});
    for (field, value) in [("email", &person.email), ("phone", &person.phone)] {
        if let (Some(user), Some(value)) = (user.as_object_mut(), value) {
            user.insert(field.to_owned(), json!(value));
        }
    }
    let made = body(request("POST", "/users.json").json(&json!({"user": user})).send()?);
    let made = match (made, &person.email) {
        (Err(e), Some(email)) if e.code == Code::Conflict.as_str() => {
            let only = json!({"user": {"email": email}});
            body(request("POST", "/users/create_or_update.json").json(&only).send()?)
        }
        (made, _) => made,
    };
    made?.get("user").cloned().ok_or_else(|| error(Code::Internal, "Zendesk did not say which user it made"))
}

/// Zendesk wants a name.
pub(crate) fn name(person: &Person) -> String {
    let named = [&person.name, &person.company, &person.email, &person.phone].into_iter().flatten().next();
    named.cloned().unwrap_or_default()
}

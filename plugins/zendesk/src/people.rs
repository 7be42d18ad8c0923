//! Contacts are Zendesk's users.
//!
//! `create_or_update` would let a visitor who knows somebody's address change their name and number. So a user is looked
//! for, and created if there is none; one who exists is never changed. Zendesk's search lags behind by minutes: a user
//! whom it does not know yet is met as `DuplicateValue`, and then named by `create_or_update` with the address alone,
//! which changes nothing. Nothing tells two users with one number apart: who is made with a number only carries a token
//! of it as `external_id`, which Zendesk lists without delay, and is remembered in the connection's store.

use crate::api::{body, get, quoted, request};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::people::{self, Known};
use confab_plugin_sdk::{extras, json, once, prelude::*};
use serde_json::{Value, json};

pub(crate) fn contact(user: &Value) -> Contact {
    Contact {
        id: json::id(user, "/id").unwrap_or_default(),
        name: json::text(user, "/name").unwrap_or_default(),
        email: json::text(user, "/email"),
        phone: json::text(user, "/phone"),
        company: None,
        extra: extras([("suspended", json::flag(user, "/suspended").then(|| "true".to_owned()))]),
    }
}

/// Users who are not deleted, by e-mail (first) or phone; each one given must match.
pub(crate) fn find(person: &Person) -> Result<Vec<Value>> {
    let person = people::valid(person)?;
    let query = match (&person.email, &person.phone) {
        (Some(email), _) => format!("email:{}", quoted(email)),
        // Zendesk keeps E.164.
        (None, Some(phone)) => format!("phone:{}", quoted(&full(phone))),
        (None, None) => return Ok(Vec::new()),
    };
    let answer = get("/users/search.json", &[("query", &query)])?;
    let users = json::list(&answer, "/users").iter();
    Ok(users.filter(|user| is_active(user) && Known::from(&contact(user)).fits(&person)).cloned().collect())
}

fn is_active(user: &Value) -> bool {
    user.get("active") != Some(&Value::Bool(false))
}

/// A number as Zendesk keeps it, as far as it has a country.
fn full(phone: &str) -> String {
    let plus = if phone.starts_with('+') || phone.starts_with("00") { "+" } else { "" };
    format!("{plus}{}", people::digits(phone).trim_start_matches("00"))
}

pub(crate) fn upsert(person: &Person) -> Result<Value> {
    let person = people::valid(person)?;
    let number = match (&person.email, &person.phone) {
        (None, Some(phone)) => Some(Number::new(phone)),
        _ => None,
    };
    let (remembered, taken) = number.as_ref().map(Number::user).transpose()?.unwrap_or_default();
    if let Some(known) = remembered {
        return Ok(known);
    }
    if let Some(known) = find(&people::key(&person))?.into_iter().next() {
        return Ok(known);
    }
    let mut user = json!({"name": people::display_name(&person), "role": "end-user", "skip_verify_email": true});
    let mark = number.as_ref().filter(|_| !taken).map(|number| number.mark.clone());
    for (field, value) in [("email", &person.email), ("phone", &person.phone), ("external_id", &mark)] {
        if let (Some(user), Some(value)) = (user.as_object_mut(), value) {
            user.insert(field.to_owned(), json!(value));
        }
    }
    let made = body(request("POST", "/users.json").json(&json!({"user": user})).send()?);
    let made = match (made, &person.email, &number) {
        (Err(e), Some(email), _) if e.code == Code::Conflict.as_str() => {
            let only = json!({"user": {"email": email}});
            body(request("POST", "/users/create_or_update.json").json(&only).send()?)
        }
        // Somebody else was faster.
        (Err(e), None, Some(number)) if e.code == Code::Conflict.as_str() => return number.user()?.0.ok_or(e),
        (made, ..) => made,
    };
    let made = made?.get("user").cloned();
    let made = made.ok_or_else(|| error(Code::Internal, "Zendesk did not say which user it made"))?;
    if let Some(number) = &number {
        number.remember(&made)?;
    }
    Ok(made)
}

/// The number of somebody without an e-mail address.
struct Number {
    phone: String,
    mark: String,
    memory: String,
}

impl Number {
    fn new(phone: &str) -> Number {
        let token = once::token(&full(phone));
        Number { phone: phone.to_owned(), mark: format!("confab:phone:{token}"), memory: format!("phone:{token}") }
    }

    /// The user who was made for this number, as long as it is theirs, and whether the mark is somebody's.
    fn user(&self) -> Result<(Option<Value>, bool)> {
        let asked = Person { phone: Some(self.phone.clone()), ..Person::default() };
        let theirs = |user: &Value| is_active(user) && Known::from(&contact(user)).fits(&asked);
        if let Some(id) = kv::get_json::<String>(&self.memory)? {
            let user = match get(&format!("/users/{id}.json"), &[]) {
                Err(e) if e.code == Code::NotFound.as_str() => None,
                answer => answer?.get("user").cloned(),
            };
            if user.as_ref().is_some_and(theirs) {
                return Ok((user, true));
            }
        }
        let answer = get("/users/search.json", &[("external_id", &self.mark)])?;
        let marked = json::list(&answer, "/users");
        let user = marked.iter().find(|user| theirs(user)).cloned();
        if let Some(user) = &user {
            self.remember(user)?;
        }
        Ok((user, !marked.is_empty()))
    }

    fn remember(&self, user: &Value) -> Result<()> {
        Ok(kv::set_json(&self.memory, &json::id(user, "/id").unwrap_or_default())?)
    }
}

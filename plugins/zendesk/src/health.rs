//! Whether the connection works: who it is, what it may see, and whether the ids in the settings mean something.
//! Nothing is changed.

use crate::Settings;
use crate::api::get;
use confab_plugin_sdk::health::Finding;
use confab_plugin_sdk::{json, prelude::*};
use serde_json::Value;

pub(crate) fn check() -> Vec<Finding> {
    let settings: Settings = match host::settings() {
        Ok(settings) => settings,
        Err(e) => return vec![Finding::error("settings", e.message)],
    };
    let me = match get("/users/me.json", &[]) {
        Ok(answer) => answer,
        Err(e) => return vec![Finding::error("sign in", e.message)],
    };
    let role = json::text(&me, "/user/role").unwrap_or_default();
    // Zendesk lets nobody in particular in as an end user without an id.
    if json::id(&me, "/user/id").is_none() || !matches!(role.as_str(), "agent" | "admin") {
        return vec![Finding::error("sign in", "the credentials are no agent's: Zendesk sees an end user")];
    }
    let mut found = vec![Finding::ok("sign in", format!("role {role}"))];
    let restriction = json::text(&me, "/user/ticket_restriction");
    found.push(match (get("/tickets.json", &[("page[size]", "1")]), restriction) {
        (Err(e), _) => Finding::error("tickets", e.message),
        (Ok(_), Some(seen)) => {
            Finding::warning("tickets", format!("the agent sees only a part of the tickets ({seen})"))
        }
        (Ok(_), None) => Finding::ok("tickets", "allowed"),
    });
    found.push(match get("/users/search.json", &[("query", "email:\"nobody@example.invalid\"")]) {
        Ok(_) => Finding::ok("contacts", "allowed"),
        Err(e) => Finding::error("contacts", e.message),
    });
    let field = settings.order_field.map(|id| {
        let path = format!("/ticket_fields/{id}.json");
        named(format!("ticket field {id}"), &path, "/ticket_field/title", |field| {
            (!json::flag(field, "/ticket_field/active")).then_some("the field is not active")
        })
    });
    // Requests are counted; more groups than these are not looked at.
    let groups = settings.groups.iter().take(8).map(|(category, id)| {
        named(format!("group of {category}"), &format!("/groups/{id}.json"), "/group/name", |group| {
            json::flag(group, "/group/deleted").then_some("the group was deleted")
        })
    });
    found.extend(field.into_iter().chain(groups));
    found
}

/// What an id of the settings means: its name, unless something is wrong with it.
fn named(what: String, path: &str, name: &str, wrong: impl Fn(&Value) -> Option<&'static str>) -> Finding {
    match get(path, &[]) {
        Ok(record) => match wrong(&record) {
            Some(message) => Finding::error(what, message),
            None => Finding::ok(what, json::text(&record, name).unwrap_or_default()),
        },
        Err(e) => Finding::error(what, e.message),
    }
}

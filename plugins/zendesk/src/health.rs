//! Whether the connection works: who it is, what it may see, and whether the ids in the settings mean something.
//! Nothing is changed.

use crate::Settings;
use crate::api::get;
use confab_plugin_sdk::health::Finding;
use confab_plugin_sdk::{json, prelude::*};

fn finding(name: &str, status: &str, message: impl Into<String>) -> Finding {
    Finding { name: name.into(), status: status.into(), message: message.into() }
}

pub(crate) fn check() -> Vec<Finding> {
    let settings: Settings = match host::settings() {
        Ok(settings) => settings,
        Err(e) => return vec![finding("settings", "error", e.message)],
    };
    let me = match get("/users/me.json", &[]) {
        Ok(answer) => answer,
        Err(e) => return vec![finding("sign in", "error", e.message)],
    };
    let role = json::text(&me, "/user/role").unwrap_or_default();
    // Zendesk lets nobody in particular in as an end user without an id.
    if json::id(&me, "/user/id").is_none() || !matches!(role.as_str(), "agent" | "admin") {
        return vec![finding("sign in", "error", "the credentials are no agent's: Zendesk sees an end user")];
    }
    let mut found = vec![finding("sign in", "ok", format!("role {role}"))];
    let restriction = json::text(&me, "/user/ticket_restriction");
    found.push(match get("/tickets.json", &[("page[size]", "1")]) {
        Err(e) => finding("tickets", "error", e.message),
        Ok(_) if restriction.is_some() => {
            let seen = restriction.unwrap_or_default();
            finding("tickets", "warning", format!("the agent sees only a part of the tickets ({seen})"))
        }
        Ok(_) => finding("tickets", "ok", "allowed"),
    });
    found.push(match get("/users/search.json", &[("query", "email:\"nobody@example.invalid\"")]) {
        Ok(_) => finding("contacts", "ok", "allowed"),
        Err(e) => finding("contacts", "error", e.message),
    });
    if let Some(id) = settings.order_field {
        let name = format!("ticket field {id}");
        found.push(match get(&format!("/ticket_fields/{id}.json"), &[]) {
            Ok(field) if !json::flag(&field, "/ticket_field/active") => {
                finding(&name, "error", "the field is not active")
            }
            Ok(field) => finding(&name, "ok", json::text(&field, "/ticket_field/title").unwrap_or_default()),
            Err(e) => finding(&name, "error", e.message),
        });
    }
    // Requests are counted; more groups than these are not looked at.
    for (category, id) in settings.groups.iter().take(8) {
        let name = format!("group of {category}");
        found.push(match get(&format!("/groups/{id}.json"), &[]) {
            Ok(group) if json::flag(&group, "/group/deleted") => finding(&name, "error", "the group was deleted"),
            Ok(group) => finding(&name, "ok", json::text(&group, "/group/name").unwrap_or_default()),
            Err(e) => finding(&name, "error", e.message),
        });
    }
    found
}

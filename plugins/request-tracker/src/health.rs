//! Whether the connection works: signing in, the queue, each right. Nothing is changed.
//!
//! RT tells rights by the links that it puts under a record: `create` under a queue, `correspond` and the steps of the
//! lifecycle under a ticket. So a queue without open tickets leaves two rights unseen.

use crate::rest::{get, quoted, read};
use crate::settings::Settings;
use confab_plugin_sdk::health::Finding;
use confab_plugin_sdk::{json, prelude::*};
use serde_json::Value;

fn finding(name: &str, status: &str, message: impl Into<String>) -> Finding {
    Finding { name: name.into(), status: status.into(), message: message.into() }
}

pub(crate) fn check() -> Vec<Finding> {
    let settings = match Settings::read() {
        Ok(settings) => settings,
        Err(e) => return vec![finding("settings", "error", e.message)],
    };
    let version = match get("/rt", &[]) {
        Ok(rt) => json::text(&rt, "/Version").unwrap_or_default(),
        Err(e) => return vec![finding("sign in", "error", e.message)],
    };
    let mut found = vec![finding("sign in", "ok", format!("Request Tracker {version}"))];
    queue(&settings, &mut found).unwrap_or_else(|e| found.push(finding("queue", "error", e.message)));
    tickets(&settings, &mut found).unwrap_or_else(|e| found.push(finding("tickets", "error", e.message)));
    match get("/user/Nobody", &[]) {
        // RT shows the whole record only to those who may change it.
        Ok(user) if user.get("Disabled").is_some() => found.push(finding("contacts", "ok", "AdminUsers: allowed")),
        Ok(_) => {
            let message =
                "without AdminUsers contacts are found by e-mail only, and made by RT as requestors of tickets";
            found.push(finding("contacts", "warning", message));
        }
        Err(e) => found.push(finding("contacts", "warning", format!("users can't be seen: {}", e.message))),
    }
    found
}

fn linked(record: &Value, what: &str) -> bool {
    json::list(record, "/_hyperlinks").iter().any(|link| json::text(link, "/ref").as_deref() == Some(what))
}

fn queue(settings: &Settings, found: &mut Vec<Finding>) -> Result<()> {
    let name = &settings.queue;
    let response = read(&format!("/queue/{}", path_segment(name)), &[])?;
    if matches!(response.status, 403 | 404) {
        let message = format!("the user sees no queue {name}: check its name, and give the user SeeQueue in it");
        found.push(finding("queue", "error", message));
        return Ok(());
    }
    let queue: Value = response.json()?;
    if json::text(&queue, "/Disabled").as_deref() == Some("1") {
        found.push(finding("queue", "error", format!("the queue {name} is disabled")));
        return Ok(());
    }
    found.push(finding("queue", "ok", name.clone()));
    found.push(match linked(&queue, "create") {
        true => finding("create tickets", "ok", "allowed"),
        false => finding("create tickets", "error", format!("give the user CreateTicket in the queue {name}")),
    });
    let fields = json::list(&queue, "/TicketCustomFields");
    for wanted in [&settings.order_field, &settings.phone_field].into_iter().flatten() {
        let there = fields.iter().any(|f| json::text(f, "/name").as_deref() == Some(wanted));
        let name = format!("custom field {wanted}");
        found.push(match there {
            true => finding(&name, "ok", "seen; setting it needs ModifyCustomField"),
            false => {
                finding(&name, "error", "apply it to the queue, and give the user SeeCustomField and ModifyCustomField")
            }
        });
    }
    Ok(())
}

fn tickets(settings: &Settings, found: &mut Vec<Finding>) -> Result<()> {
    let query = format!("Queue = {} AND Status = '__Active__'", quoted(&settings.queue));
    let parameters = [("query", query.as_str()), ("fields", "Status,_hyperlinks"), ("per_page", "1")];
    let answer = get("/tickets", &parameters)?;
    let Some(ticket) = json::list(&answer, "/items").first() else {
        let message =
            "no open ticket is seen in the queue: ShowTicket, ReplyToTicket and ModifyTicket could not be checked";
        found.push(finding("answer tickets", "warning", message));
        return Ok(());
    };
    found.push(match linked(ticket, "correspond") {
        true => finding("answer tickets", "ok", "allowed"),
        false => finding("answer tickets", "error", "give the user ReplyToTicket in the queue"),
    });
    let steps = json::list(ticket, "/_hyperlinks").iter();
    let closes = steps.filter_map(|link| json::text(link, "/to")).any(|to| to == settings.close_status);
    found.push(match closes {
        true => finding("close tickets", "ok", "allowed"),
        false => {
            let message = format!(
                "give the user ModifyTicket in the queue; the lifecycle needs a step to {}",
                settings.close_status
            );
            finding("close tickets", "error", message)
        }
    });
    Ok(())
}

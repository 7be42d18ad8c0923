//! Whether the connection works: signing in, the queue, each right. Nothing is changed.
//!
//! RT tells rights by the links that it puts under a record: `create` under a queue, `correspond` and the steps of the
//! lifecycle under a ticket. So a queue without open tickets leaves two rights unseen.

use crate::rest::{get, quoted, read};
use crate::settings::Settings;
use confab_plugin_sdk::health::Finding;
use confab_plugin_sdk::{json, prelude::*};
use serde_json::Value;

pub(crate) fn check() -> Vec<Finding> {
    let settings: Settings = match host::settings() {
        Ok(settings) => settings,
        Err(e) => return vec![Finding::error("settings", e.message)],
    };
    let version = match get("/rt", &[]) {
        Ok(rt) => json::text(&rt, "/Version").unwrap_or_default(),
        Err(e) => return vec![Finding::error("sign in", e.message)],
    };
    let mut found = vec![Finding::ok("sign in", format!("Request Tracker {version}"))];
    found.extend(queue(&settings).unwrap_or_else(|e| vec![Finding::error("queue", e.message)]));
    found.extend(tickets(&settings).unwrap_or_else(|e| vec![Finding::error("tickets", e.message)]));
    found.push(match get("/user/Nobody", &[]) {
        // RT shows the whole record only to those who may change it.
        Ok(user) if user.get("Disabled").is_some() => Finding::ok("contacts", "AdminUsers: allowed"),
        Ok(_) => Finding::warning(
            "contacts",
            "without AdminUsers contacts are found by e-mail only, and made by RT as requestors of tickets",
        ),
        Err(e) => Finding::warning("contacts", format!("users can't be seen: {}", e.message)),
    });
    found
}

/// Allowed, or what to give the user.
fn allowed(name: &str, there: bool, without: impl Into<String>) -> Finding {
    if there { Finding::ok(name, "allowed") } else { Finding::error(name, without) }
}

fn linked(record: &Value, what: &str) -> bool {
    json::list(record, "/_hyperlinks").iter().any(|link| json::text(link, "/ref").as_deref() == Some(what))
}

fn queue(settings: &Settings) -> Result<Vec<Finding>> {
    let name = &settings.queue;
    let response = read(&format!("/queue/{}", path_segment(name)), &[])?;
    if matches!(response.status, 403 | 404) {
        let message = format!("the user sees no queue {name}: check its name, and give the user SeeQueue in it");
        return Ok(vec![Finding::error("queue", message)]);
    }
    let queue: Value = response.json()?;
    if json::text(&queue, "/Disabled").as_deref() == Some("1") {
        return Ok(vec![Finding::error("queue", format!("the queue {name} is disabled"))]);
    }
    let without = format!("give the user CreateTicket in the queue {name}");
    let mut found = vec![Finding::ok("queue", name), allowed("create tickets", linked(&queue, "create"), without)];
    let fields = json::list(&queue, "/TicketCustomFields");
    for wanted in [&settings.order_field, &settings.phone_field].into_iter().flatten() {
        let there = fields.iter().any(|f| json::text(f, "/name").as_deref() == Some(wanted));
        let name = format!("custom field {wanted}");
        found.push(match there {
            true => Finding::ok(name, "seen; setting it needs ModifyCustomField"),
            false => {
                Finding::error(name, "apply it to the queue, and give the user SeeCustomField and ModifyCustomField")
            }
        });
    }
    Ok(found)
}

fn tickets(settings: &Settings) -> Result<Vec<Finding>> {
    let query = format!("Queue = {} AND Status = '__Active__'", quoted(&settings.queue));
    let parameters = [("query", query.as_str()), ("fields", "Status,_hyperlinks"), ("per_page", "1")];
    let answer = get("/tickets", &parameters)?;
    let Some(ticket) = json::list(&answer, "/items").first() else {
        let message =
            "no open ticket is seen in the queue: ShowTicket, ReplyToTicket and ModifyTicket could not be checked";
        return Ok(vec![Finding::warning("answer tickets", message)]);
    };
    let target = &settings.close_status;
    let closes = json::list(ticket, "/_hyperlinks").iter().any(|link| json::text(link, "/to").as_ref() == Some(target));
    let without = format!("give the user ModifyTicket in the queue; the lifecycle needs a step to {target}");
    Ok(vec![
        allowed("answer tickets", linked(ticket, "correspond"), "give the user ReplyToTicket in the queue"),
        allowed("close tickets", closes, without),
    ])
}

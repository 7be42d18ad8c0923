//! Whether the connection works: signing in, rights, warehouses, helpdesk. Nothing is changed.

use crate::desk::Kind;
use crate::session::Odoo;
use confab_plugin_sdk::health::Finding;
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};

/// What is looked at: what for, model, right, and the app that has it. With signing in, the desk and its stages these are
/// fewer than 16 requests.
const RIGHTS: [(&str, &str, &str, &str); 7] = [
    ("read orders", "sale.order", "read", "Sales"),
    ("read deliveries", "stock.picking", "read", "Inventory"),
    ("read articles", "product.product", "read", "Sales"),
    ("read contacts", "res.partner", "read", "Contacts"),
    ("create contacts", "res.partner", "create", "Contacts"),
    ("create leads", "crm.lead", "create", "CRM"),
    ("change leads", "crm.lead", "write", "CRM"),
];
/// Versions that this connector was written for.
const VERSIONS: std::ops::RangeInclusive<u32> = 16..=18;

impl Odoo {
    pub(crate) fn findings(&mut self) -> Vec<Finding> {
        // What is remembered may be what is wrong.
        let session = match self.forget().and_then(|()| self.session()) {
            Ok(session) => session,
            Err(e) => return vec![Finding::error("sign in", e.message)],
        };
        let mut found = vec![Finding::ok("sign in", format!("user {}, company {}", session.uid, session.company))];
        let version = format!("Odoo {}", session.version);
        found.push(match VERSIONS.contains(&session.version) {
            true => Finding::ok("version", version),
            false => Finding::warning("version", format!("{version}: this connector was written for 16 to 18")),
        });
        found.push(match session.can_write {
            true => Finding::ok("e-mail address", "messages can be written"),
            false => Finding::error(
                "e-mail address",
                "the user has none, and Odoo lets nobody write notes or comments without one",
            ),
        });
        found.extend(RIGHTS.map(|(name, model, right, app)| self.right(name, model, right, app)));
        match self.desk() {
            Ok(desk) => {
                let name = match desk.kind {
                    Kind::Enterprise => "Helpdesk (Enterprise)",
                    Kind::Oca => "helpdesk_mgmt (OCA)",
                    Kind::Tasks(_) => "tasks of a project",
                };
                let closes = desk.has("state") || desk.stages.iter().any(|s| s.closed);
                let cannot = format!("{name}: no stage is closed or folded, so tickets can't be closed");
                found.push(if closes { Finding::ok("helpdesk", name) } else { Finding::warning("helpdesk", cannot) });
                found.push(self.right("create tickets", desk.model(), "create", "Helpdesk"));
            }
            // No helpdesk is no fault of a connection that is not used for tickets.
            Err(e) if e.code == Code::Unsupported.as_str() => found.push(Finding::warning("helpdesk", e.message)),
            Err(e) => found.push(Finding::error("helpdesk", e.message)),
        }
        found
    }

    fn right(&mut self, name: &str, model: &str, right: &str, app: &str) -> Finding {
        // Renamed in 18, which keeps the old one as deprecated.
        let allowed = match self.session() {
            Ok(session) if session.version >= 18 => self.call(model, "has_access", json!([[], right]), Value::Null),
            _ => self.call(model, "check_access_rights", json!([right]), json!({"raise_exception": false})),
        };
        match allowed {
            Ok(Value::Bool(true)) => Finding::ok(name, "allowed"),
            Ok(_) => {
                let message = format!("the user may not {right} {model}: give it a role in {app} (Settings, Users)");
                Finding::error(name, message)
            }
            Err(e) if e.code == Code::Misconfigured.as_str() => {
                Finding::warning(name, format!("there is no {model}: install {app} if bots need it"))
            }
            Err(e) => Finding::error(name, e.message),
        }
    }
}

//! Whether the connection works: signing in, rights, warehouses. Nothing is changed.

use crate::session::Tryton;
use confab_plugin_sdk::health::Finding;
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};

/// What is looked at: capability, model, right, and where the model comes from.
const RIGHTS: [(&str, &str, &str, &str); 7] = [
    ("read orders", "sale.sale", "read", "sale"),
    ("read shipments", "stock.shipment.out", "read", "stock"),
    ("read articles", "product.product", "read", "product"),
    ("read stock moves", "stock.move", "read", "stock"),
    ("read contacts", "party.party", "read", "party"),
    ("create contacts", "party.party", "create", "party"),
    ("create leads", "sale.opportunity", "create", "sale_opportunity"),
];

impl Tryton<'_> {
    pub(crate) fn findings(&mut self) -> Vec<Finding> {
        // What was remembered may be what is wrong.
        let session = self.memory.delete("session").and_then(|()| self.session());
        let session = match session {
            Ok(session) => session,
            Err(e) => return vec![Finding::error("sign in", e.message)],
        };
        let mut found = vec![Finding::ok("sign in", format!("company {}, {}", session.company, session.currency))];
        if session.employee.is_none() {
            found.push(Finding::warning(
                "employee",
                "the user is no employee of its company: creating leads may be refused",
            ));
        }
        let names: Vec<&str> = session.warehouses.iter().map(|w| w.name.as_str()).collect();
        found.push(match names.as_slice() {
            [] => Finding::error("warehouses", "none can be seen: give the user the group Stock"),
            names => Finding::ok("warehouses", names.join(", ")),
        });
        if session.shipment_fields.is_empty() {
            let message = "no carrier and tracking number: activate stock_shipment_cost and stock_package_shipping";
            found.push(Finding::warning("tracking", message));
        }
        found.extend(RIGHTS.map(|(name, model, right, module)| self.right(name, model, right, module)));
        found
    }

    fn right(&mut self, name: &str, model: &str, right: &str, module: &str) -> Finding {
        let rights = self.call("ir.model.access.get_access", vec![json!([model])]);
        let has = rights.as_ref().ok().and_then(|r| r.get(model)?.get(right));
        let has = has.is_some_and(|v| v.as_bool().unwrap_or_else(|| v.as_i64().is_some_and(|n| n != 0)));
        match rights {
            Ok(_) if has => Finding::ok(name, "allowed"),
            Ok(Value::Object(_)) => {
                Finding::error(name, format!("the user may not {right} {model}: give it the group that may"))
            }
            Ok(other) => Finding::warning(name, format!("Tryton did not say: {other}")),
            Err(e) if e.code == Code::Misconfigured.as_str() => {
                Finding::error(name, format!("activate the module {module}: {}", e.message))
            }
            Err(e) => Finding::error(name, e.message),
        }
    }
}

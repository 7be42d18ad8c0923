//! Whether the connection works: one small request to each service. Nothing is changed.

use crate::deliveries::DELIVERIES;
use crate::gateway::Gateway;
use crate::orders::SERVICE;
use crate::stock::{PRODUCTS, STOCK};
use confab_plugin_sdk::health::Finding;
use confab_plugin_sdk::odata::Query;
use confab_plugin_sdk::prelude::*;

/// What a service is for, its name, one of its entity sets, and whether the connector does without it.
const SERVICES: [(&str, &str, &str, bool); 4] = [
    ("orders", SERVICE, "/A_SalesOrder", false),
    ("deliveries", DELIVERIES, "/A_OutbDeliveryHeader", true),
    ("stock", STOCK, "/A_MatlStkInAcctMod", false),
    ("names of materials", PRODUCTS, "/A_ProductDescription", true),
];

impl Gateway {
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (name, service, set, spare) in SERVICES {
            let mut query = Query::new(set).top(1);
            if service == SERVICE {
                // Older releases have no addresses, and then only a customer id can be proof.
                query = query.expand(&["to_Partner/to_Address"]);
            }
            let without = if spare { Finding::warning } else { Finding::error };
            found.push(match self.list(service, query, 1) {
                Ok(_) => Finding::ok(name, format!("{service} answers")),
                Err(e) if e.code == Code::Misconfigured.as_str() => return vec![Finding::error("sign in", e.message)],
                Err(e) if e.code == Code::Forbidden.as_str() => without(
                    name,
                    format!("{}; give the user a role with the service (S_SERVICE) and its data", e.message),
                ),
                Err(e) => without(name, e.message),
            });
        }
        found
    }
}

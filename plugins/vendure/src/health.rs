//! Whether the connection works: the key, the channel and each right. Nothing is changed.

use crate::api::Vendure;
use confab_plugin_sdk::health::Finding;
use confab_plugin_sdk::{json, prelude::*};
use serde_json::json;

/// What is looked at: what for, the right, a question that needs it.
const RIGHTS: [(&str, &str, &str); 4] = [
    ("read orders", "ReadOrder", "{ orders(options: { take: 1 }) { totalItems } }"),
    ("read articles", "ReadCatalog", "{ productVariants(options: { take: 1 }) { totalItems } }"),
    ("read stock", "ReadStockLocation", "{ stockLocations(options: { take: 1 }) { totalItems } }"),
    ("read contacts", "ReadCustomer", "{ customers(options: { take: 1 }) { totalItems } }"),
];

impl Vendure {
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let question = "{ activeChannel { code defaultCurrencyCode pricesIncludeTax } globalSettings { serverConfig { moneyStrategyPrecision } } }";
        let shop = match self.ask("any right", question, json!({})) {
            Ok(shop) => shop,
            Err(e) => return vec![finding("sign in", "error", e.message)],
        };
        let text = |pointer: &str| json::text(&shop, pointer).unwrap_or_default();
        let channel =
            format!("channel {}, {}", text("/activeChannel/code"), text("/activeChannel/defaultCurrencyCode"));
        let mut found = vec![finding("sign in", "ok", channel)];
        for (name, right, question) in RIGHTS {
            found.push(match self.ask(right, question, json!({})) {
                Ok(_) => finding(name, "ok", "allowed"),
                Err(e) if e.code == Code::Forbidden.as_str() => {
                    finding(name, "error", format!("give the API key's role the right {right}"))
                }
                Err(e) => finding(name, "error", e.message),
            });
        }
        // Vendure tells a key's rights to nobody but the key's owner, and there is no way to try this one without making a customer.
        found.push(finding(
            "create contacts",
            "warning",
            "can't be seen without creating one: the API key's role needs CreateCustomer",
        ));
        found
    }
}

pub(crate) fn finding(name: &str, status: &str, message: impl Into<String>) -> Finding {
    Finding { name: name.into(), status: status.into(), message: message.into() }
}

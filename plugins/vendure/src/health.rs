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
            Err(e) => return vec![Finding::error("sign in", e.message)],
        };
        let text = |pointer: &str| json::text(&shop, pointer).unwrap_or_default();
        let channel =
            format!("channel {}, {}", text("/activeChannel/code"), text("/activeChannel/defaultCurrencyCode"));
        let mut found = vec![Finding::ok("sign in", channel)];
        for (name, right, question) in RIGHTS {
            found.push(match self.ask(right, question, json!({})) {
                Ok(_) => Finding::ok(name, "allowed"),
                Err(e) if e.code == Code::Forbidden.as_str() => {
                    Finding::error(name, format!("give the API key's role the right {right}"))
                }
                Err(e) => Finding::error(name, e.message),
            });
        }
        // Vendure tells a key's rights to nobody but the key's owner, and there is no way to try this one without making a customer.
        found.push(Finding::warning(
            "create contacts",
            "can't be seen without creating one: the API key's role needs CreateCustomer",
        ));
        found
    }
}

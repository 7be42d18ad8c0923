//! Whether the connection works: the token, each scope, access to customers' data, the API's version. Nothing is changed.

use crate::api::Shopify;
use confab_plugin_sdk::health::Finding;
use confab_plugin_sdk::json;
use serde_json::{Value, json};

/// What is looked at: what for, the scope, how bad it is without.
const SCOPES: [(&str, &str, &str); 7] = [
    ("read orders", "read_orders", "error"),
    ("read old orders", "read_all_orders", "warning"),
    ("read articles", "read_products", "error"),
    ("read stock", "read_inventory", "error"),
    ("read locations", "read_locations", "error"),
    ("read contacts", "read_customers", "error"),
    ("create contacts", "write_customers", "error"),
];
const SHOP: &str = "{ shop { name currencyCode orderNumberFormatPrefix orderNumberFormatSuffix taxesIncluded }
    currentAppInstallation { accessScopes { handle } } publicApiVersions { handle supported } }";

impl Shopify {
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let shop = match self.ask(SHOP, json!({})) {
            Ok(shop) => shop,
            Err(e) => return vec![finding("sign in", "error", e.message)],
        };
        let text = |pointer: &str| json::text(&shop, pointer).unwrap_or_default();
        let mut found =
            vec![finding("sign in", "ok", format!("{}, {}", text("/shop/name"), text("/shop/currencyCode")))];
        found.push(self.version(&shop));
        let settings = &self.settings;
        let (prefix, suffix) = (text("/shop/orderNumberFormatPrefix"), text("/shop/orderNumberFormatSuffix"));
        if prefix != settings.order_prefix || suffix != settings.order_suffix {
            let message = format!(
                "set order_prefix to `{prefix}` and order_suffix to `{suffix}`, as the shop's orders are named"
            );
            found.push(finding("order names", "warning", message));
        }
        let scopes: Vec<String> = json::list(&shop, "/currentAppInstallation/accessScopes")
            .iter()
            .filter_map(|s| json::text(s, "/handle"))
            .collect();
        let has = |scope: &str| {
            // Who may write may read.
            scopes.iter().any(|s| s == scope)
                || scope.strip_prefix("read_").is_some_and(|s| scopes.contains(&format!("write_{s}")))
        };
        for (name, scope, without) in SCOPES {
            found.push(match (has(scope), scope) {
                (true, _) => finding(name, "ok", "allowed"),
                (false, "read_all_orders") => {
                    finding(name, without, "only orders of the last 60 days: request the scope read_all_orders")
                }
                (false, _) => finding(name, without, format!("give the app the scope {scope} and install it again")),
            });
        }
        if has("read_orders") && has("read_customers") {
            let question =
                "{ orders(first: 1) { nodes { email phone shippingAddress { zip } customer { displayName } } } }";
            found.push(match self.ask(question, json!({})) {
                Ok(_) => finding("protected customer data", "ok", "allowed"),
                Err(e) => finding("protected customer data", "error", e.message),
            });
        }
        found
    }

    fn version(&self, shop: &Value) -> Finding {
        let asked = &self.settings.api_version;
        let versions = json::list(shop, "/publicApiVersions");
        let named = |v: &&Value| json::text(v, "/handle").as_ref() == Some(asked);
        if versions.iter().find(named).is_some_and(|v| json::flag(v, "/supported")) {
            return finding("API version", "ok", asked.clone());
        }
        let newest =
            versions.iter().filter(|v| json::flag(v, "/supported")).filter_map(|v| json::text(v, "/handle")).max();
        let message = format!(
            "{asked} is no longer supported: set api_version to {}",
            newest.unwrap_or_else(|| "a newer one".into())
        );
        finding("API version", "warning", message)
    }
}

pub(crate) fn finding(name: &str, status: &str, message: impl Into<String>) -> Finding {
    Finding { name: name.into(), status: status.into(), message: message.into() }
}

//! Whether the connection works: the token, each scope, access to customers' data, the API's version. Nothing is changed.

use crate::api::Shopify;
use confab_plugin_sdk::health::Finding;
use confab_plugin_sdk::json;
use serde_json::{Value, json};

/// What is looked at: what for, and the scope.
const SCOPES: [(&str, &str); 7] = [
    ("read orders", "read_orders"),
    ("read old orders", "read_all_orders"),
    ("read articles", "read_products"),
    ("read stock", "read_inventory"),
    ("read locations", "read_locations"),
    ("read contacts", "read_customers"),
    ("create contacts", "write_customers"),
];
const SHOP: &str = "{ shop { name currencyCode orderNumberFormatPrefix orderNumberFormatSuffix }
    currentAppInstallation { accessScopes { handle } } publicApiVersions { handle supported } }";
const PROTECTED: &str =
    "{ orders(first: 1) { nodes { email phone shippingAddress { zip } customer { displayName } } } }";

impl Shopify {
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let shop = match self.ask(SHOP, json!({})) {
            Ok(shop) => shop,
            Err(e) => return vec![Finding::error("sign in", e.message)],
        };
        let text = |pointer: &str| json::text(&shop, pointer).unwrap_or_default();
        let signed_in = format!("{}, {}", text("/shop/name"), text("/shop/currencyCode"));
        let mut found = vec![Finding::ok("sign in", signed_in), self.version(&shop)];
        let (prefix, suffix) = (text("/shop/orderNumberFormatPrefix"), text("/shop/orderNumberFormatSuffix"));
        if prefix != self.settings.order_prefix || suffix != self.settings.order_suffix {
            let message = format!(
                "set order_prefix to `{prefix}` and order_suffix to `{suffix}`, as the shop's orders are named"
            );
            found.push(Finding::warning("order names", message));
        }
        let scopes = json::list(&shop, "/currentAppInstallation/accessScopes").iter();
        let scopes: Vec<String> = scopes.filter_map(|s| json::text(s, "/handle")).collect();
        // Who may write may read.
        let has = |scope: &str| scopes.iter().any(|s| s == scope || *s == scope.replacen("read_", "write_", 1));
        found.extend(SCOPES.map(|(name, scope)| match (has(scope), scope) {
            (true, _) => Finding::ok(name, "allowed"),
            (false, "read_all_orders") => {
                Finding::warning(name, "only orders of the last 60 days: request the scope read_all_orders")
            }
            (false, _) => Finding::error(name, format!("give the app the scope {scope} and install it again")),
        }));
        if has("read_orders") && has("read_customers") {
            found.push(match self.ask(PROTECTED, json!({})) {
                Ok(_) => Finding::ok("protected customer data", "allowed"),
                Err(e) => Finding::error("protected customer data", e.message),
            });
        }
        found
    }

    fn version(&self, shop: &Value) -> Finding {
        let asked = &self.settings.api_version;
        let supported = json::list(shop, "/publicApiVersions").iter().filter(|v| json::flag(v, "/supported"));
        let supported: Vec<String> = supported.filter_map(|v| json::text(v, "/handle")).collect();
        if supported.contains(asked) {
            return Finding::ok("API version", asked);
        }
        let newest = supported.into_iter().max().unwrap_or_else(|| "a newer one".into());
        Finding::warning("API version", format!("{asked} is no longer supported: set api_version to {newest}"))
    }
}

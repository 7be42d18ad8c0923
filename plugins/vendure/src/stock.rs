//! Stock: the levels of a variant in each stock location that the channel has.
//!
//! Available is what lies there less what is allocated to orders. Of all places together the shop holds back its `outOfStockThreshold` (of the
//! variant, or the global one), so that much is taken off where most is left. A threshold below zero lets a shop sell what it doesn't have:
//! that is not promised here. A variant of which Vendure doesn't track the stock has none to tell; see `untracked_quantity`.

use crate::api::{Vendure, closest, spellings};
use confab_plugin_sdk::inventory::{StockLevel, at, no_article};
use confab_plugin_sdk::{json, prelude::*};
use serde_json::{Value, json};

const DOCUMENT: &str = "query($skus: [String!]!) { globalSettings { trackInventory outOfStockThreshold }
    productVariants(options: { filter: { sku: { in: $skus }, enabled: { eq: true } }, sort: { id: ASC }, take: 10 }) { items {
        sku name trackInventory outOfStockThreshold useGlobalOutOfStockThreshold product { enabled }
        stockLevels { stockOnHand stockAllocated stockLocation { name } } } } }";

impl Vendure {
    pub(crate) fn availability(&self, sku: &str, location: Option<&str>) -> Result<Vec<StockLevel>> {
        let skus = spellings(sku);
        if skus.is_empty() {
            return Err(no_article(sku));
        }
        let answer = self.ask("ReadCatalog, ReadStockLocation", DOCUMENT, json!({"skus": skus}))?;
        let variants = closest(json::list(&answer, "/productVariants/items"), "/sku", &skus);
        let variant =
            variants.into_iter().find(|v| json::flag(v, "/product/enabled")).ok_or_else(|| no_article(sku))?;
        let level = |location: Option<String>, on_hand: f64, available: f64| StockLevel {
            sku: json::text(variant, "/sku").unwrap_or_default(),
            name: json::text(variant, "/name").unwrap_or_default(),
            location,
            on_hand,
            available,
            unit: None,
            restock_at: None,
            as_of: host::now_rfc3339(),
        };
        let tracked = match json::text(variant, "/trackInventory").as_deref() {
            Some("TRUE") => true,
            Some("FALSE") => false,
            _ => json::flag(&answer, "/globalSettings/trackInventory"),
        };
        if !tracked {
            let told = self.settings.untracked_quantity.map(|many| vec![level(None, many, many)]);
            return told.ok_or_else(|| {
                let message =
                    format!("Vendure does not track the stock of {}: it can always be ordered", json::said(sku));
                error(Code::Unsupported, message)
            });
        }
        let mut places: Vec<(String, f64, f64)> = json::list(variant, "/stockLevels").iter().map(place).collect();
        let global = json::flag(variant, "/useGlobalOutOfStockThreshold");
        let threshold = if global {
            json::number(&answer, "/globalSettings/outOfStockThreshold")
        } else {
            json::number(variant, "/outOfStockThreshold")
        };
        hold_back(&mut places, threshold.unwrap_or_default());
        at(places.into_iter().map(|(name, on_hand, free)| level(Some(name), on_hand, free)).collect(), location)
    }
}

/// Name, on hand, available.
fn place(level: &Value) -> (String, f64, f64) {
    let number = |pointer: &str| json::number(level, pointer).unwrap_or_default();
    let on_hand = number("/stockOnHand");
    let name = json::text(level, "/stockLocation/name").unwrap_or_default();
    (name, on_hand, (on_hand - number("/stockAllocated")).max(0.0))
}

/// Takes what is not for sale from where most is left.
fn hold_back(places: &mut [(String, f64, f64)], mut reserve: f64) {
    while reserve > 0.0 {
        let Some(most) = places.iter_mut().filter(|(.., free)| *free > 0.0).max_by(|a, b| a.2.total_cmp(&b.2)) else {
            return;
        };
        let taken = reserve.min(most.2);
        most.2 -= taken;
        reserve -= taken;
    }
}

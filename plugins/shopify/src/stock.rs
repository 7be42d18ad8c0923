//! Stock: the inventory levels of a variant's item in each location.
//!
//! Available is what Shopify says is: on hand less committed, reserved, damaged. It is below zero where more was sold than there is; nothing
//! can be promised then. An article without tracking has no numbers, and one that is sold without stock (`CONTINUE`) may be ordered all the
//! same: see `untracked_quantity`.

use crate::api::{Shopify, typed, variant_name};
use crate::syntax;
use confab_plugin_sdk::inventory::StockLevel;
use confab_plugin_sdk::{json, pages, prelude::*};
use serde_json::{Value, json};

/// Locations in the first answer, which are paid for with each variant that may come, and on each further page. A plan has at most 200
/// (1,000 with Plus).
const LOCATIONS: u32 = 20;
const LOCATIONS_PAGED: u32 = 100;
const PAGES: usize = 10;
const LEVELS: &str = "fragment S on InventoryLevelConnection { nodes { isActive location { name isActive } quantities(names: [\"available\", \"on_hand\"]) { name quantity } } pageInfo { hasNextPage endCursor } }";

impl Shopify {
    pub(crate) fn availability(&self, sku: &str, location: Option<&str>) -> Result<Vec<StockLevel>> {
        let missing = || error(Code::NotFound, format!("there is no article {}", json::said(sku)));
        let wanted = typed(sku).ok_or_else(missing)?;
        let document = format!(
            "query($query: String!, $first: Int!) {{ productVariants(first: 5, query: $query) {{ nodes {{ sku title inventoryPolicy product {{ title status }}
                inventoryItem {{ id tracked inventoryLevels(first: $first) {{ ...S }} }} }} }} }} {LEVELS}"
        );
        let answer = self.ask(&document, json!({"query": syntax::equals("sku", wanted), "first": LOCATIONS}))?;
        let variant = exact(json::list(&answer, "/productVariants/nodes"), wanted).into_iter().find(|v| is_sold(v));
        let variant = variant.ok_or_else(missing)?;
        let text = |pointer: &str| json::text(variant, pointer).unwrap_or_default();
        let (number, name) = (text("/sku"), variant_name(&text("/product/title"), &text("/title")));
        let level = |location: Option<String>, on_hand: f64, available: f64| StockLevel {
            sku: number.clone(),
            name: name.clone(),
            location,
            on_hand,
            available,
            unit: None,
            restock_at: None,
            as_of: host::now_rfc3339(),
        };
        let unlimited = self.settings.untracked_quantity.map(|many| vec![level(None, many, many)]);
        if !json::flag(variant, "/inventoryItem/tracked") {
            return unlimited.ok_or_else(|| {
                let message =
                    format!("Shopify does not track the stock of {}: it can always be ordered", json::said(sku));
                error(Code::Unsupported, message)
            });
        }
        let levels: Vec<StockLevel> =
            self.levels(variant)?.iter().filter_map(place).map(|(n, h, a)| level(Some(n), h, a)).collect();
        let nothing_left = levels.iter().all(|l| l.available <= 0.0);
        if let Some(unlimited) = unlimited.filter(|_| nothing_left && text("/inventoryPolicy") == "CONTINUE") {
            return Ok(unlimited);
        }
        let Some(there) = location.map(str::trim).filter(|l| !l.is_empty()).map(str::to_lowercase) else {
            return Ok(levels);
        };
        let names: Vec<String> = levels.iter().filter_map(|l| l.location.clone()).collect();
        let found: Vec<StockLevel> =
            levels.into_iter().filter(|l| l.location.as_deref().is_some_and(|l| l.to_lowercase() == there)).collect();
        if found.is_empty() {
            return Err(error(
                Code::NotFound,
                format!("it is kept in no such location; known ones: {}", names.join(", ")),
            ));
        }
        Ok(found)
    }

    /// All levels of a variant, also of one that is in more places than an answer holds.
    fn levels(&self, variant: &Value) -> Result<Vec<Value>> {
        let next = |page: &Value| {
            json::text(page, "/pageInfo/endCursor").filter(|_| json::flag(page, "/pageInfo/hasNextPage"))
        };
        let first = variant.pointer("/inventoryItem/inventoryLevels").unwrap_or(&Value::Null);
        let mut all = json::list(first, "/nodes").to_vec();
        let (Some(after), Some(id)) = (next(first), json::text(variant, "/inventoryItem/id")) else { return Ok(all) };
        let document = format!(
            "query($id: ID!, $first: Int!, $after: String!) {{ inventoryItem(id: $id) {{ inventoryLevels(first: $first, after: $after) {{ ...S }} }} }} {LEVELS}"
        );
        let more = pages::collect(usize::MAX, PAGES, |cursor| {
            let after = cursor.unwrap_or_else(|| after.clone());
            let answer = self.ask(&document, json!({"id": id, "first": LOCATIONS_PAGED, "after": after}))?;
            let page = answer.pointer("/inventoryItem/inventoryLevels").unwrap_or(&Value::Null);
            Ok(pages::Page { items: json::list(page, "/nodes").to_vec(), next: next(page) })
        })?;
        all.extend(more);
        Ok(all)
    }
}

/// Variants with this number, those that are spelled so first. Several variants may have the same.
pub(crate) fn exact<'v>(variants: &'v [Value], sku: &str) -> Vec<&'v Value> {
    let own = |v: &Value| json::text(v, "/sku").unwrap_or_default();
    let mut found: Vec<&Value> = variants.iter().filter(|v| own(v).to_lowercase() == sku.to_lowercase()).collect();
    found.sort_by_key(|v| own(v) != sku);
    found
}

/// Whether customers can see it: neither a draft nor archived.
pub(crate) fn is_sold(variant: &Value) -> bool {
    matches!(json::text(variant, "/product/status").as_deref(), Some("ACTIVE" | "UNLISTED"))
}

/// Name, on hand, available; nothing for a place that is closed.
fn place(level: &Value) -> Option<(String, f64, f64)> {
    let open = json::flag(level, "/isActive") && json::flag(level, "/location/isActive");
    let count = |name: &str| {
        let found = json::list(level, "/quantities").iter().find(|q| json::text(q, "/name").as_deref() == Some(name));
        found.and_then(|q| json::number(q, "/quantity")).unwrap_or_default()
    };
    Some((json::text(level, "/location/name").filter(|_| open)?, count("on_hand"), count("available").max(0.0)))
}

//! Stock: the inventory levels of a variant's item in each location.
//!
//! Available is what Shopify says is: on hand less committed, reserved, damaged. It is below zero where more was sold than there is; nothing
//! can be promised then. An article without tracking has no numbers, and one that is sold without stock (`CONTINUE`) may be ordered all the
//! same: see `untracked_quantity`.

use crate::api::{Shopify, typed, variant_name};
use crate::candidates::next_page;
use crate::syntax;
use confab_plugin_sdk::inventory::{StockLevel, at, no_article};
use confab_plugin_sdk::{json, pages, prelude::*};
use serde_json::{Value, json};

/// What tells which variant is meant, and whether there is anything to count.
const CANDIDATES: &str =
    "query($query: String!, $after: String) { productVariants(first: 50, after: $after, query: $query) {
    nodes { sku title inventoryPolicy product { title status } inventoryItem { id tracked } }
    pageInfo { hasNextPage endCursor } } }";
/// Locations of a page. A plan has at most 200, or 1,000 with Plus.
const LOCATIONS: u32 = 100;
const PAGES: usize = 10;
const LEVELS: &str = "query($id: ID!, $first: Int!, $after: String) { inventoryItem(id: $id) {
    inventoryLevels(first: $first, after: $after) {
        nodes { isActive location { name isActive } quantities(names: [\"available\", \"on_hand\"]) { name quantity } }
        pageInfo { hasNextPage endCursor } } } }";

impl Shopify {
    pub(crate) fn availability(&self, sku: &str, location: Option<&str>) -> Result<Vec<StockLevel>> {
        let missing = || no_article(sku);
        let wanted = typed(sku).ok_or_else(missing)?;
        let sold = |variants: &[Value]| exact(variants, wanted).into_iter().find(|v| is_sold(v)).cloned();
        let is_there = |answer: &Value| {
            let found = sold(json::list(answer, "/productVariants/nodes"));
            found.is_some_and(|v| json::text(&v, "/sku").as_deref() == Some(wanted))
        };
        let found = self.candidates(CANDIDATES, "productVariants", &syntax::equals("sku", wanted), is_there)?;
        let variant = sold(&found).ok_or_else(missing)?;
        let text = |pointer: &str| json::text(&variant, pointer).unwrap_or_default();
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
        if !json::flag(&variant, "/inventoryItem/tracked") {
            return unlimited.ok_or_else(|| {
                let message =
                    format!("Shopify does not track the stock of {}: it can always be ordered", json::said(sku));
                error(Code::Unsupported, message)
            });
        }
        let places = self.levels(&text("/inventoryItem/id"))?;
        let levels: Vec<StockLevel> =
            places.iter().filter_map(place).map(|(name, on_hand, free)| level(Some(name), on_hand, free)).collect();
        let nothing_left = levels.iter().all(|l| l.available <= 0.0);
        if let Some(unlimited) = unlimited.filter(|_| nothing_left && text("/inventoryPolicy") == "CONTINUE") {
            return Ok(unlimited);
        }
        at(levels, location)
    }

    /// The levels of an inventory item in all of its places.
    fn levels(&self, item: &str) -> Result<Vec<Value>> {
        pages::collect(usize::MAX, PAGES, |after| {
            let answer = self.ask(LEVELS, json!({"id": item, "first": LOCATIONS, "after": after}))?;
            let page = answer.pointer("/inventoryItem/inventoryLevels").unwrap_or(&Value::Null);
            Ok(pages::Page { items: json::list(page, "/nodes").to_vec(), next: next_page(page) })
        })
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

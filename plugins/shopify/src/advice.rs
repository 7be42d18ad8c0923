//! Recommendations: what was bought together, then what fits the visitor's words, then what is of the same type, collection or tag.
//!
//! Shopify's own recommendations belong to the storefront's API, so they are made here: the newest orders with an article are read and counted
//! (`recent_orders`; a token without the scope read_orders loses this part only). What can't be bought now is left out.

use crate::api::{Shopify, parse_id, short_id, typed};
use crate::articles::{is_active, product};
use crate::syntax;
use confab_plugin_sdk::catalog::{Interest, Picks, Recommendation, together};
use confab_plugin_sdk::{json, log, prelude::*};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeSet;

const MOST: u32 = 20;
/// Articles of the visitor that are looked at, and tags and collections of theirs: each is a term of a search.
const BASES: usize = 8;
const LINES: &str = "query($query: String!, $first: Int!) { orders(first: $first, query: $query, sortKey: PROCESSED_AT, reverse: true) {
    nodes { cancelledAt lineItems(first: 10) { nodes { sku } } } } }";

impl Shopify {
    pub(crate) fn recommended(&self, interest: &Interest, limit: u32) -> Result<Vec<Recommendation>> {
        let mut has: Vec<String> =
            interest.skus.iter().filter_map(|sku| typed(sku)).map(str::to_owned).take(BASES).collect();
        if let Some(customer) = interest.customer_id.as_deref().and_then(parse_id) {
            for sku in self.baskets(&format!("customer_id:{customer}"), MOST)?.into_iter().flatten() {
                if !has.contains(&sku) {
                    has.push(sku);
                }
            }
        }
        let looked_at: Vec<String> = has.iter().take(2 * BASES).cloned().collect();
        let bases = self.by_number(&looked_at)?.variants;
        let mut picks = Picks::besides(has);
        let number = |v: &Value| json::text(v, "/sku").unwrap_or_default();
        if let Some(name) = bases.first().and_then(|b| json::text(b, "/product/title")) {
            let reason = format!("{} {name}", host::say("often bought with", "oft gekauft mit"));
            picks.add(self.bought_with(&looked_at), &reason);
        }
        if let Some(query) = interest.query.as_deref() {
            let reason = host::say("fits what you are looking for", "passt zu dem, was Sie suchen");
            picks.add(self.matching(query)?.variants.iter().map(number), reason);
        }
        for (variant, base) in self.related(&bases)? {
            picks.add([number(&variant)], &format!("{} {base}", host::say("similar to", "ähnlich wie")));
        }
        let skus = picks.skus(MOST as usize);
        let found = self.by_number(&skus)?;
        let recommended = skus.iter().filter_map(|sku| {
            // By number unlisted products are found too; these are not advertised.
            let shown = |v: &&Value| number(v) == *sku && json::flag(v, "/availableForSale") && is_active(v);
            let product = product(found.variants.iter().find(shown)?, &found.currency);
            Some(Recommendation { product, reason: picks.reason(sku)?.to_owned() })
        });
        Ok(recommended.take(limit.min(MOST) as usize).collect())
    }

    /// The numbers in each order that a search finds, newest first.
    fn baskets(&self, search: &str, first: u32) -> Result<Vec<Vec<String>>> {
        let answer = self.ask(LINES, json!({"query": search, "first": first}))?;
        let orders = json::list(&answer, "/orders/nodes").iter().filter(|o| json::text(o, "/cancelledAt").is_none());
        let numbers = |o| json::list(o, "/lineItems/nodes").iter().filter_map(|l| json::text(l, "/sku")).collect();
        Ok(orders.map(numbers).collect())
    }

    /// Numbers of what is in the newest orders that have one of these, most often first.
    fn bought_with(&self, skus: &[String]) -> Vec<String> {
        if self.settings.recent_orders == 0 {
            return Vec::new();
        }
        let terms: Vec<String> = skus.iter().map(|sku| syntax::equals("sku", sku)).collect();
        match self.baskets(&syntax::any(&terms), self.settings.recent_orders) {
            Ok(baskets) => together(baskets, skus),
            Err(e) => {
                log::warn(format!("what is bought together is not known: {}", e.message));
                Vec::new()
            }
        }
    }

    /// Variants that share type, collections or tags with these, those that share most first, each with the name of what it is like.
    fn related(&self, bases: &[Value]) -> Result<Vec<(Value, String)>> {
        let shared: BTreeSet<String> = bases.iter().flat_map(traits).collect();
        let terms: Vec<String> = shared.iter().take(2 * BASES).cloned().collect();
        if terms.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.products(&syntax::any(&terms))?.variants;
        let mut ranked: Vec<(usize, Value, String)> = Vec::new();
        for variant in found {
            let own = traits(&variant);
            let alike = |base: &&Value| traits(base).iter().filter(|t| own.contains(t)).count();
            if let Some(base) = bases.iter().max_by_key(alike) {
                ranked.push((alike(&base), variant, json::text(base, "/product/title").unwrap_or_default()));
            }
        }
        ranked.retain(|(alike, ..)| *alike > 0);
        ranked.sort_by_key(|(alike, ..)| Reverse(*alike));
        Ok(ranked.into_iter().map(|(_, variant, base)| (variant, base)).collect())
    }
}

/// What a product may share with others, as terms of a search.
fn traits(variant: &Value) -> Vec<String> {
    let kind = json::text(variant, "/product/productType").map(|kind| syntax::equals("product_type", &kind));
    let tags =
        json::list(variant, "/product/tags").iter().filter_map(Value::as_str).map(|tag| syntax::equals("tag", tag));
    let collections = json::list(variant, "/product/collections/nodes").iter().filter_map(|c| json::text(c, "/id"));
    let collections = collections.map(|id| format!("collection_id:{}", short_id(&id)));
    kind.into_iter().chain(collections).chain(tags.take(BASES)).collect()
}

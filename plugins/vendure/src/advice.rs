//! Recommendations: what was bought together, then what fits the visitor's words, then what shares facets or collections.
//!
//! Vendure can't be asked which orders have an article, so the newest orders are read and counted here (`recent_orders`, one request). A role
//! that may not read orders, or a server that finds that many too costly, loses this part only. What is sold out is left out.

use crate::api::{Vendure, spellings};
use crate::articles::VARIANT;
use confab_plugin_sdk::catalog::{Interest, Picks, Recommendation, together};
use confab_plugin_sdk::{json, log, prelude::*};
use serde_json::{Value, json};
use std::cmp::Reverse;

const MOST: u32 = 20;
/// Articles of the visitor that are looked at.
const BASES: usize = 10;

impl Vendure {
    pub(crate) fn recommended(&self, interest: &Interest, limit: u32) -> Result<Vec<Recommendation>> {
        let mut has: Vec<String> = interest.skus.iter().take(BASES).flat_map(|sku| spellings(sku)).collect();
        if let Some(customer) = interest.customer_id.as_deref().map(str::trim).filter(|c| crate::api::is_id(c)) {
            has.extend(self.bought(customer)?);
        }
        let (bases, _) = self.by_number(&has)?;
        let mut picks = Picks::besides(has.clone());
        let number = |v: &Value| json::text(v, "/sku").unwrap_or_default();
        if let Some(name) = bases.first().and_then(|b| json::text(b, "/name")) {
            let reason = format!("{} {name}", host::say("often bought with", "oft gekauft mit"));
            picks.add(self.together(&has), &reason);
        }
        if let Some(query) = interest.query.as_deref() {
            let reason = host::say("fits what you are looking for", "passt zu dem, was Sie suchen");
            picks.add(self.matching(query)?.0.iter().map(number), reason);
        }
        for (variant, group) in self.related(&bases)? {
            picks.add([number(&variant)], &format!("{} {group}", host::say("also", "auch")));
        }
        let skus = picks.skus(2 * MOST as usize);
        let (found, purse) = self.by_number(&skus)?;
        // A shop's own way to show stock may be a number.
        let left = |v: &&Value| !matches!(json::text(v, "/stockLevel").as_deref(), Some("OUT_OF_STOCK" | "0"));
        let recommended = skus.iter().filter_map(|sku| {
            let variant = found.iter().find(|v| number(v) == *sku).filter(left)?;
            Some(Recommendation { product: self.product(variant, &purse), reason: picks.reason(sku)?.to_owned() })
        });
        Ok(recommended.take(limit.min(MOST) as usize).collect())
    }

    /// Numbers of what a customer has bought.
    fn bought(&self, customer: &str) -> Result<Vec<String>> {
        let document = "query($id: ID!) { customer(id: $id) { orders(options: { filter: { active: { eq: false }, state: { notEq: \"Cancelled\" } },
            sort: { orderPlacedAt: DESC }, take: 20 }) { items { lines { productVariant { sku } } } } } }";
        let answer = self.ask("ReadCustomer, ReadOrder", document, json!({"id": customer}))?;
        Ok(json::list(&answer, "/customer/orders/items").iter().flat_map(numbers).collect())
    }

    /// Numbers of what is in the newest orders that have one of these, most often first.
    fn together(&self, skus: &[String]) -> Vec<String> {
        if self.settings.recent_orders == 0 {
            return Vec::new();
        }
        let document =
            "query($take: Int!) { orders(options: { filter: { active: { eq: false }, state: { notEq: \"Cancelled\" } },
            sort: { orderPlacedAt: DESC }, take: $take }) { items { lines { productVariant { sku } } } } }";
        let answer = match self.ask("ReadOrder", document, json!({"take": self.settings.recent_orders})) {
            Ok(answer) => answer,
            Err(e) => {
                log::warn(format!("what is bought together is not known: {}", e.message));
                return Vec::new();
            }
        };
        together(json::list(&answer, "/orders/items").iter().map(numbers), skus)
    }

    /// Variants that share facet values or collections with these, those that share most first, each with the name of what is shared.
    fn related(&self, bases: &[Value]) -> Result<Vec<(Value, String)>> {
        let mut facets: Vec<(String, String)> = Vec::new();
        let mut collections: Vec<(String, String)> = Vec::new();
        for base in bases {
            let own = json::list(base, "/facetValues").iter().chain(json::list(base, "/product/facetValues"));
            facets.extend(own.filter(|f| !json::flag(f, "/facet/isPrivate")).filter_map(named));
            collections.extend(
                json::list(base, "/product/collections")
                    .iter()
                    .filter(|c| !json::flag(c, "/isPrivate"))
                    .filter_map(named),
            );
        }
        let mut found: Vec<(Value, String)> = Vec::new();
        if !collections.is_empty() {
            let ids: Vec<&String> = collections.iter().map(|(id, _)| id).collect();
            let document = format!(
                "query($ids: [String!]!) {{ collections(options: {{ filter: {{ id: {{ in: $ids }} }}, take: 5 }}) {{ items {{ name
                    productVariants(options: {{ filter: {{ enabled: {{ eq: true }} }}, take: 20 }}) {{ items {{ ...V }} }} }} }} }} {VARIANT}"
            );
            let answer = self.ask("ReadCatalog", &document, json!({"ids": ids}))?;
            for collection in json::list(&answer, "/collections/items") {
                let name = json::text(collection, "/name").unwrap_or_default();
                found
                    .extend(json::list(collection, "/productVariants/items").iter().map(|v| (v.clone(), name.clone())));
            }
        }
        if !facets.is_empty() {
            let ids: Vec<&String> = facets.iter().map(|(id, _)| id).collect();
            for variant in self.products(json!({"facetValueId": {"in": ids}}))?.0 {
                let shared =
                    own_facets(&variant).into_iter().find_map(|id| facets.iter().find(|(known, _)| *known == id));
                let name = shared.map(|(_, name)| name.clone()).unwrap_or_default();
                found.push((variant, name));
            }
        }
        let shares = |v: &Value| own_facets(v).iter().filter(|id| facets.iter().any(|(known, _)| known == *id)).count();
        found.sort_by_key(|(variant, _)| Reverse(shares(variant)));
        Ok(found)
    }
}

fn numbers(order: &Value) -> Vec<String> {
    json::list(order, "/lines").iter().filter_map(|l| json::text(l, "/productVariant/sku")).collect()
}

fn named(thing: &Value) -> Option<(String, String)> {
    Some((json::id(thing, "/id")?, json::text(thing, "/name")?))
}

fn own_facets(variant: &Value) -> Vec<String> {
    let all = json::list(variant, "/facetValues").iter().chain(json::list(variant, "/product/facetValues"));
    all.filter_map(|f| json::id(f, "/id")).collect()
}

//! Articles are product variants, those that are enabled and whose product is.
//!
//! They are found with Vendure's own filters, by parts of words in name, description and article number, not with `search`: that one belongs
//! to a plugin which a shop may have replaced or left out. First those with all words, else those with any, and best first by where a word
//! stands. The price is the one for the channel's default zone and currency.

use crate::api::{PRECISION, Prices, Purse, Vendure, closest, spellings};
use confab_plugin_sdk::catalog::Product;
use confab_plugin_sdk::inventory::no_article;
use confab_plugin_sdk::{html, json, prelude::*, words};
use serde_json::{Value, json};
use std::cmp::Reverse;

/// Products that are read for one search: the best of them are shown.
const MOST: u32 = 30;
pub(crate) const VARIANT: &str =
    "fragment V on ProductVariant { sku name enabled price priceWithTax currencyCode stockLevel
    featuredAsset { preview } facetValues { id name facet { name isPrivate } }
    product { name slug enabled description featuredAsset { preview } facetValues { id name facet { name isPrivate } }
        collections { id name isPrivate breadcrumbs { id } } } }";

impl Vendure {
    pub(crate) fn article(&self, sku: &str) -> Result<Product> {
        let skus = spellings(sku);
        let (found, purse) = self.by_number(&skus)?;
        let best = closest(&found, "/sku", &skus).into_iter().next().map(|v| self.product(v, &purse));
        best.ok_or_else(|| no_article(sku))
    }

    pub(crate) fn articles(&self, query: &str, limit: u32) -> Result<Vec<Product>> {
        let (found, purse) = self.matching(query)?;
        Ok(found.iter().take(limit.min(MOST) as usize).map(|v| self.product(v, &purse)).collect())
    }

    /// Variants with these numbers that are for sale.
    pub(crate) fn by_number(&self, skus: &[String]) -> Result<(Vec<Value>, Purse)> {
        if skus.is_empty() {
            return Ok((Vec::new(), Purse::of(&Value::Null)));
        }
        let document = format!(
            "query($skus: [String!]!) {{ {PRECISION} productVariants(options: {{ filter: {{ sku: {{ in: $skus }}, enabled: {{ eq: true }} }},
                sort: {{ id: ASC }}, take: 100 }}) {{ items {{ ...V }} }} }} {VARIANT}"
        );
        let answer = self.ask("ReadCatalog", &document, json!({"skus": skus}))?;
        let found = json::list(&answer, "/productVariants/items").iter().filter(|v| for_sale(v)).cloned().collect();
        Ok((found, Purse::of(&answer)))
    }

    /// Variants that fit the words, best first.
    pub(crate) fn matching(&self, query: &str) -> Result<(Vec<Value>, Purse)> {
        let words = words::of(query);
        let clause = |word: &String| {
            let part = json!({"contains": word});
            json!({"_or": [{"name": part}, {"description": part}, {"sku": part}]})
        };
        let clauses: Vec<Value> = words.iter().map(clause).collect();
        if clauses.is_empty() {
            return Ok((Vec::new(), Purse::of(&Value::Null)));
        }
        let mut found = self.products(json!({"_and": clauses}))?;
        if found.0.is_empty() && words.len() > 1 {
            found = self.products(json!({"_or": clauses}))?;
        }
        let text = |v: &Value, pointer: &str| json::text(v, pointer).unwrap_or_default();
        let score = |v: &Value| {
            let name = format!("{} {} {}", text(v, "/sku"), text(v, "/name"), text(v, "/product/name"));
            words::fit(&words, &[&name, &text(v, "/product/description")])
        };
        found.0.sort_by_key(|v| Reverse(score(v)));
        Ok(found)
    }

    /// Variants of the products that pass a filter.
    pub(crate) fn products(&self, filter: Value) -> Result<(Vec<Value>, Purse)> {
        let document = format!(
            "query($options: ProductListOptions!) {{ {PRECISION} products(options: $options) {{ items {{
                variantList(options: {{ filter: {{ enabled: {{ eq: true }} }}, take: 10 }}) {{ items {{ ...V }} }} }} }} }} {VARIANT}"
        );
        let options =
            json!({"filter": {"_and": [{"enabled": {"eq": true}}, filter]}, "sort": {"id": "ASC"}, "take": MOST});
        let answer = self.ask("ReadCatalog", &document, json!({"options": options}))?;
        let products = json::list(&answer, "/products/items").iter();
        let variants = products.flat_map(|p| json::list(p, "/variantList/items")).filter(|v| for_sale(v)).cloned();
        Ok((variants.collect(), Purse::of(&answer)))
    }

    pub(crate) fn product(&self, variant: &Value, purse: &Purse) -> Product {
        let text = |pointer: &str| json::text(variant, pointer);
        let field = match self.settings.prices {
            Prices::WithTax => "priceWithTax",
            Prices::WithoutTax => "price",
        };
        let mut collections: Vec<&Value> =
            json::list(variant, "/product/collections").iter().filter(|c| !json::flag(c, "/isPrivate")).collect();
        collections.sort_by_key(|c| Reverse(json::list(c, "/breadcrumbs").len()));
        let facets = json::list(variant, "/facetValues").iter().chain(json::list(variant, "/product/facetValues"));
        let facets = facets.filter(|f| !json::flag(f, "/facet/isPrivate"));
        let page = self.settings.product_url.as_deref().zip(text("/product/slug"));
        Product {
            sku: text("/sku").unwrap_or_default(),
            name: text("/name").or_else(|| text("/product/name")).unwrap_or_default(),
            description: text("/product/description").map(|html| html::to_text(&html)).filter(|d| !d.is_empty()),
            price: purse.money(variant, field, &text("/currencyCode").unwrap_or_default()),
            categories: collections.into_iter().filter_map(|c| json::text(c, "/name")).collect(),
            url: page.map(|(page, slug)| page.replace("{slug}", &path_segment(&slug))),
            image_url: text("/featuredAsset/preview").or_else(|| text("/product/featuredAsset/preview")),
            extra: facets
                .filter_map(|f| {
                    Some(ExtraField { name: json::text(f, "/facet/name")?, value: json::text(f, "/name")? })
                })
                .collect(),
        }
    }
}

fn for_sale(variant: &Value) -> bool {
    json::flag(variant, "/enabled") && json::flag(variant, "/product/enabled") && json::text(variant, "/sku").is_some()
}

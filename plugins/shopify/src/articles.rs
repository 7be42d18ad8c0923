//! Articles are product variants that have a number (SKU), of products that are active.
//!
//! A search gives the words to Shopify's own, each as the beginning of a word anywhere in the product or as an article number: first those
//! with all words, else those with any, and best first by where a word stands. Unlisted products are told by number only. The price is the
//! shop's own (no market's), in the shop's currency, with or without tax as the shop enters its prices.

use crate::api::{Shopify, typed, variant_name};
use crate::stock::{exact, is_sold};
use crate::syntax;
use confab_plugin_sdk::catalog::Product;
use confab_plugin_sdk::inventory::no_article;
use confab_plugin_sdk::{extras, json, money, prelude::*, words};
use serde_json::{Value, json};
use std::cmp::Reverse;

/// Products of one search: the best of them are shown.
const MOST: u32 = 20;
/// A variant's own fields, and those of its product. A description's first characters: all of it would fill a prompt.
pub(crate) const VARIANT: &str =
    "fragment V on ProductVariant { sku title price availableForSale selectedOptions { name value } }
    fragment P on Product { id title status description(truncateAt: 1000) vendor productType tags onlineStoreUrl
        featuredMedia { preview { image { url } } } collections(first: 3) { nodes { id title } } }";

impl Shopify {
    pub(crate) fn article(&self, sku: &str) -> Result<Product> {
        let missing = || no_article(sku);
        let wanted = typed(sku).ok_or_else(missing)?;
        let found = self.by_number(&[wanted.to_owned()])?;
        let variant = exact(&found.variants, wanted).into_iter().next().ok_or_else(missing)?;
        Ok(product(variant, &found.currency))
    }

    pub(crate) fn articles(&self, query: &str, limit: u32) -> Result<Vec<Product>> {
        let found = self.matching(query)?;
        let shown = found.variants.iter().take(limit.min(MOST) as usize);
        Ok(shown.map(|v| product(v, &found.currency)).collect())
    }

    /// Variants with these numbers that are for sale.
    pub(crate) fn by_number(&self, skus: &[String]) -> Result<Found> {
        let terms: Vec<String> = skus.iter().map(|sku| syntax::equals("sku", sku)).collect();
        if terms.is_empty() {
            return Ok(Found::default());
        }
        let document = format!(
            "query($query: String!, $after: String) {{ shop {{ currencyCode }} productVariants(first: 40, after: $after, query: $query) {{
                nodes {{ ...V product {{ ...P }} }} pageInfo {{ hasNextPage endCursor }} }} }} {VARIANT}"
        );
        let mut currency = String::new();
        let mut missing: Vec<&String> = skus.iter().collect();
        // Whole records: near ones are rare here, and more questions would cost more.
        let found = self.candidates(&document, "productVariants", &syntax::any(&terms), |answer| {
            currency = json::text(answer, "/shop/currencyCode").unwrap_or_default();
            for variant in json::list(answer, "/productVariants/nodes").iter().filter(|v| is_sold(v)) {
                missing.retain(|sku| json::text(variant, "/sku").as_ref() != Some(*sku));
            }
            missing.is_empty()
        })?;
        let wanted = |v: &Value| {
            let own = json::text(v, "/sku").unwrap_or_default().to_lowercase();
            is_sold(v) && skus.iter().any(|sku| sku.to_lowercase() == own)
        };
        Ok(Found { variants: found.into_iter().filter(wanted).collect(), currency })
    }

    /// Variants that fit the words, best first.
    pub(crate) fn matching(&self, query: &str) -> Result<Found> {
        let words = words::of(query);
        let terms: Vec<String> = words.iter().map(|word| syntax::word(word)).collect();
        if terms.is_empty() {
            return Ok(Found::default());
        }
        let mut found = self.products(&syntax::all(&terms))?;
        if found.variants.is_empty() && terms.len() > 1 {
            found = self.products(&syntax::any(&terms))?;
        }
        let text = |v: &Value, pointer: &str| json::text(v, pointer).unwrap_or_default();
        let score = |v: &Value| {
            let name = format!("{} {} {}", text(v, "/sku"), text(v, "/title"), text(v, "/product/title"));
            let kind = format!("{} {}", text(v, "/product/productType"), text(v, "/product/vendor"));
            words::fit(&words, &[&name, &kind, &text(v, "/product/description")])
        };
        found.variants.sort_by_key(|v| Reverse(score(v)));
        Ok(found)
    }

    /// Variants of the active products that a search finds.
    pub(crate) fn products(&self, search: &str) -> Result<Found> {
        let document = format!(
            "query($query: String!, $first: Int!) {{ shop {{ currencyCode }} products(first: $first, query: $query, sortKey: RELEVANCE) {{ nodes {{
                ...P variants(first: 5) {{ nodes {{ ...V }} }} }} }} }} {VARIANT}"
        );
        let answer = self.ask(&document, json!({"query": format!("status:active AND {search}"), "first": MOST}))?;
        // Asked for once with the product, each of its variants gets it here: the other way round it would cost points for each.
        let variants = json::list(&answer, "/products/nodes").iter().flat_map(|product| {
            let whole = |variant: &Value| {
                let mut variant = variant.clone();
                if let Some(fields) = variant.as_object_mut() {
                    fields.insert("product".into(), product.clone());
                }
                variant
            };
            json::list(product, "/variants/nodes").iter().map(whole)
        });
        let variants = variants.filter(|v| is_active(v) && json::text(v, "/sku").is_some()).collect();
        Ok(Found { variants, currency: json::text(&answer, "/shop/currencyCode").unwrap_or_default() })
    }
}

/// What a search found, with the currency of its prices.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) variants: Vec<Value>,
    pub(crate) currency: String,
}

pub(crate) fn is_active(variant: &Value) -> bool {
    json::text(variant, "/product/status").as_deref() == Some("ACTIVE")
}

pub(crate) fn product(variant: &Value, currency: &str) -> Product {
    let text = |pointer: &str| json::text(variant, pointer);
    let collections = json::list(variant, "/product/collections/nodes").iter().filter_map(|c| json::text(c, "/title"));
    let mut categories: Vec<String> = text("/product/productType").into_iter().collect();
    categories.extend(collections.filter(|c| text("/product/productType").as_ref() != Some(c)));
    let options = json::list(variant, "/selectedOptions").iter();
    let options = options.filter_map(|o| Some((json::text(o, "/name")?, json::text(o, "/value"))));
    let options = options.map(|(name, value)| (name, value.filter(|v| v != "Default Title")));
    Product {
        sku: text("/sku").unwrap_or_default(),
        name: variant_name(&text("/product/title").unwrap_or_default(), &text("/title").unwrap_or_default()),
        description: text("/product/description"),
        price: text("/price").and_then(|price| money::of(&price, currency)),
        categories,
        url: text("/product/onlineStoreUrl"),
        image_url: text("/product/featuredMedia/preview/image/url"),
        extra: extras([("vendor".to_owned(), text("/product/vendor"))].into_iter().chain(options)),
    }
}

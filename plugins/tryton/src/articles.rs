//! Articles are `product.product`, those that are salable.
//!
//! Tryton finds them by parts of words (`ilike`) in name, number, description and category; first those with all words,
//! else those with any. What a visitor pays is `sale_price_uom`: the list price, or whatever price module is active.
//! Recommendations come from the lines of past sales, then from the visitor's words, then from the same category.

use crate::session::{Tryton, parse_id};
use crate::value::{decimal, literal, number, records, text};
use confab_plugin_sdk::catalog::{Interest, Picks, Product, Recommendation, most_often};
use confab_plugin_sdk::inventory::no_article;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::words;
use serde_json::{Value, json};

const MOST: u32 = 30;
/// Sale lines that are looked at for what is bought together: the newest.
const LINES: u32 = 300;
const FIELDS: [&str; 6] =
    ["code", "name", "description", "sale_price_uom", "template.categories.name", "default_uom.symbol"];

impl Tryton<'_> {
    pub(crate) fn article(&mut self, sku: &str) -> Result<Product> {
        let sku = sku.trim();
        let found = self.products(json!([["code", "ilike", literal(sku)], ["salable", "=", true]]), 5)?;
        let exact = found.iter().position(|p| text(p, "code").as_deref() == Some(sku)).unwrap_or(0);
        let currency = self.session()?.currency;
        let product = found.get(exact).map(|p| product(p, &currency));
        product.ok_or_else(|| no_article(sku))
    }

    pub(crate) fn articles(&mut self, query: &str, limit: u32) -> Result<Vec<Product>> {
        let currency = self.session()?.currency;
        let found = self.matching(query)?;
        Ok(found.iter().take(limit.min(MOST) as usize).map(|p| product(p, &currency)).collect())
    }

    /// Articles that fit the words, best first.
    fn matching(&mut self, query: &str) -> Result<Vec<Value>> {
        let words = words::of(query);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let clause = |word: &String| {
            let part = format!("%{}%", literal(word));
            json!([
                "OR",
                ["rec_name", "ilike", part],
                ["description", "ilike", part],
                ["template.categories.name", "ilike", part]
            ])
        };
        let mut domain: Vec<Value> = vec![json!(["salable", "=", true])];
        domain.extend(words.iter().map(clause));
        let mut found = self.products(Value::Array(domain), MOST)?;
        if found.is_empty() && words.len() > 1 {
            let any: Vec<Value> = std::iter::once(json!("OR")).chain(words.iter().map(clause)).collect();
            found = self.products(json!([["salable", "=", true], any]), MOST)?;
        }
        let score = |p: &Value| {
            let told = |field: &str| text(p, field).unwrap_or_default();
            words::fit(&words, &[&format!("{} {}", told("code"), told("name")), &told("description")])
        };
        found.sort_by_key(|p| std::cmp::Reverse(score(p)));
        Ok(found)
    }

    fn products(&mut self, domain: Value, limit: u32) -> Result<Vec<Value>> {
        let shown = self.shown();
        let mut domain = domain;
        if let Some(clauses) = domain.as_array_mut() {
            clauses.push(json!(["code", "!=", null]));
        }
        self.find("product.product", domain, limit, Value::Null, json!(FIELDS), shown)
    }

    pub(crate) fn recommended(&mut self, interest: &Interest, limit: u32) -> Result<Vec<Recommendation>> {
        let (say, limit) = (self.speaker(), limit.min(MOST) as usize);
        let mut has: Vec<String> =
            interest.skus.iter().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).take(10).collect();
        if let Some(party) = interest.customer_id.as_deref().and_then(parse_id) {
            let domain = json!([
                ["sale.party", "=", party],
                ["sale.state", "in", ["confirmed", "processing", "done"]],
                ["product.code", "!=", null]
            ]);
            let bought =
                self.find("sale.line", domain, 30, json!([["id", "DESC"]]), json!(["product.code"]), json!({}))?;
            has.extend(bought.iter().filter_map(|l| text(l, "product.code")));
        }
        let mut picks = Picks::besides(has.clone());
        let mut categories = Vec::new();
        if !has.is_empty() {
            let bases = self.products(json!([["code", "in", has]]), MOST)?;
            let names: Vec<String> = bases.iter().filter_map(|b| text(b, "name")).collect();
            categories = bases.iter().flat_map(category_ids).collect();
            let with = names.first().cloned().unwrap_or_default();
            let reason = say(&format!("often bought with {with}"), &format!("wird oft zusammen mit {with} gekauft"));
            picks.add(self.sold_with(&has)?, &reason);
        }
        let codes = |found: Vec<Value>| found.into_iter().filter_map(|p| text(&p, "code")).collect::<Vec<_>>();
        if let Some(query) = interest.query.as_deref() {
            let reason = say("fits what you are looking for", "passt zu dem, was Sie suchen");
            picks.add(codes(self.matching(query)?), &reason);
        }
        if !categories.is_empty() {
            let same =
                self.products(json!([["template.categories", "in", categories], ["salable", "=", true]]), MOST)?;
            picks.add(codes(same), &say("from the same category", "aus derselben Kategorie"));
        }
        self.in_stock(&picks, limit)
    }

    /// Numbers of articles that were sold with any of these, most often first.
    fn sold_with(&mut self, skus: &[String]) -> Result<Vec<String>> {
        let domain = json!([
            ["sale.lines.product.code", "in", skus],
            ["sale.state", "in", ["confirmed", "processing", "done"]],
            ["type", "=", "line"],
            ["product.code", "not in", skus],
            ["product.salable", "=", true],
            ["product.type", "=", "goods"],
        ]);
        let lines =
            self.find("sale.line", domain, LINES, json!([["id", "DESC"]]), json!(["product.code"]), json!({}))?;
        Ok(most_often(lines.iter().filter_map(|l| text(l, "product.code"))))
    }

    /// The articles themselves, without goods of which nothing is left.
    fn in_stock(&mut self, picks: &Picks, limit: usize) -> Result<Vec<Recommendation>> {
        let skus = picks.skus(MOST as usize);
        if skus.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.session()?;
        let mut context = self.shown();
        if let Some(context) = context.as_object_mut() {
            let storages: Vec<i64> = session.warehouses.iter().map(|w| w.storage).collect();
            context.insert("locations".into(), json!(storages));
            context.insert("stock_date_end".into(), crate::value::date(self.now, self.settings.forecast_days));
        }
        let fields: Vec<&str> = FIELDS.into_iter().chain(["type", "forecast_quantity"]).collect();
        let products =
            self.find("product.product", json!([["code", "in", skus]]), MOST, Value::Null, json!(fields), context)?;
        let left = |p: &&Value| {
            text(p, "type").as_deref() != Some("goods") || number(p, "forecast_quantity").is_some_and(|q| q > 0.0)
        };
        let recommendations = skus.iter().filter_map(|sku| {
            let known = products.iter().find(|p| text(p, "code").as_ref() == Some(sku)).filter(left)?;
            Some(Recommendation { product: product(known, &session.currency), reason: picks.reason(sku)?.to_owned() })
        });
        Ok(recommendations.take(limit).collect())
    }
}

fn category_ids(product: &Value) -> Vec<i64> {
    let template = product.get("template.");
    template.map(|t| records(t, "categories")).unwrap_or_default().into_iter().filter_map(crate::value::id).collect()
}

fn product(record: &Value, currency: &str) -> Product {
    let template = record.get("template.");
    let categories = template.map(|t| records(t, "categories")).unwrap_or_default();
    Product {
        sku: text(record, "code").unwrap_or_default(),
        name: text(record, "name").unwrap_or_default(),
        description: text(record, "description"),
        price: decimal(record, "sale_price_uom").map(|amount| Money { amount, currency: currency.to_owned() }),
        categories: categories.into_iter().filter_map(|c| text(c, "name")).collect(),
        url: None,
        image_url: None,
        extra: text(record, "default_uom.symbol")
            .map(|value| ExtraField { name: "unit".into(), value })
            .into_iter()
            .collect(),
    }
}

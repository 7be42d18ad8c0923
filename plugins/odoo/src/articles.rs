//! Articles are `product.product` that can be sold and have an internal reference, which is their number here.
//!
//! Words are looked for in number, name, sales description and category: first articles with all of them, else with
//! any. The price is the list price in the company's currency. Recommendations come from what a salesperson set
//! (optional and alternative products, accessories), from what was sold together, from the visitor's words, then from the
//! same category; goods that are counted and gone are left out.

use crate::session::{Odoo, id, literal, named, one, parse_id, text};
use crate::stock::{KIND, is_counted};
use confab_plugin_sdk::catalog::{Interest, Product, Recommendation};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{json, money};
use serde_json::{Value, json};
use std::collections::HashMap;

const MOST: u32 = 30;
/// Words of a query that are looked at; each is four clauses of the domain.
const WORDS: usize = 6;
/// Order lines that are looked at for what is bought together: the newest.
const LINES: u32 = 300;
const FIELDS: [&str; 7] =
    ["default_code", "name", "description_sale", "lst_price", "currency_id", "categ_id", "product_tmpl_id"];
const OPTIONAL: [&str; 4] = ["optional_product_ids", "accessory_product_ids", "alternative_product_ids", "website_url"];
/// Words that say nothing about an article, in the languages that bots speak here.
const STOP: &str = " and any are buy can for have looking need please something the want what which with would you your der die das \
     den dem ein eine einen einer gibt haben habt ich ihr ist mit oder sie suche und von ";

impl Odoo {
    pub(crate) fn article(&mut self, sku: &str) -> Result<Product> {
        let sku = sku.trim();
        let found = self.products(vec![json!(["default_code", "=ilike", literal(sku)])], 5)?;
        let exact = found.iter().position(|p| text(p, "default_code").as_deref() == Some(sku)).unwrap_or(0);
        let shown: String = sku.chars().take(64).collect();
        let found = found.get(exact).ok_or_else(|| error(Code::NotFound, format!("there is no article {shown}")))?;
        Ok(self.product(found))
    }

    pub(crate) fn articles(&mut self, query: &str, limit: u32) -> Result<Vec<Product>> {
        let found = self.matching(query)?;
        Ok(found.iter().take(limit.min(MOST) as usize).map(|p| self.product(p)).collect())
    }

    /// Articles that fit the words, best first.
    fn matching(&mut self, query: &str) -> Result<Vec<Value>> {
        let words = words(query);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let clause = |word: &String| {
            let word = literal(word);
            let part = |field: &str| json!([field, "ilike", word]);
            let fields = ["default_code", "name", "description_sale", "categ_id.name"];
            [json!("|"), json!("|"), json!("|")].into_iter().chain(fields.map(part)).collect::<Vec<Value>>()
        };
        let mut found = self.products(words.iter().flat_map(clause).collect(), MOST)?;
        if found.is_empty() && words.len() > 1 {
            let ors = std::iter::repeat_n(json!("|"), words.len() - 1);
            found = self.products(ors.chain(words.iter().flat_map(clause)).collect(), MOST)?;
        }
        let score = |p: &Value| -> usize {
            let has = |field: &str, word: &str| text(p, field).is_some_and(|t| t.to_lowercase().contains(word));
            let points = |w: &String| {
                4 * usize::from(has("default_code", w))
                    + 3 * usize::from(has("name", w))
                    + usize::from(has("description_sale", w))
            };
            words.iter().map(points).sum()
        };
        found.sort_by_key(|p| std::cmp::Reverse(score(p)));
        Ok(found)
    }

    fn products(&mut self, domain: Vec<Value>, limit: u32) -> Result<Vec<Value>> {
        let optional = self.fields("product.template", &OPTIONAL)?;
        let kind = self.fields("product.product", &KIND)?;
        let fields: Vec<&str> = FIELDS.into_iter().chain(optional.iter().chain(&kind).map(String::as_str)).collect();
        let company = self.session()?.company;
        let mut all = vec![json!(["sale_ok", "=", true]), json!(["default_code", "!=", false])];
        all.extend([json!("|"), json!(["company_id", "=", false]), json!(["company_id", "=", company])]);
        all.extend(domain);
        self.find("product.product", Value::Array(all), &fields, "default_code, id", limit, Value::Null)
    }

    fn product(&self, product: &Value) -> Product {
        let shop = self.settings.shop_url.as_deref().map(|url| url.trim_end_matches('/'));
        let path = text(product, "website_url").filter(|path| path.starts_with('/'));
        // `All / Saleable / Coffee`: the root says nothing.
        let categories = named(product, "categ_id").unwrap_or_default();
        let categories = categories.split(" / ").skip(usize::from(categories.contains(" / "))).map(str::to_owned);
        let mut categories: Vec<String> = categories.filter(|c| !c.is_empty() && c != "All").collect();
        categories.reverse();
        let currency = named(product, "currency_id").unwrap_or_default();
        Product {
            sku: text(product, "default_code").unwrap_or_default(),
            name: text(product, "name").unwrap_or_default(),
            description: text(product, "description_sale"),
            price: json::number(product, "/lst_price").and_then(|price| money::number(price, &currency)),
            categories,
            url: shop.zip(path).map(|(shop, path)| format!("{shop}{path}")),
            image_url: shop.map(|shop| format!("{shop}/web/image/product.product/{}/image_512", id(product))),
            extra: Vec::new(),
        }
    }

    pub(crate) fn recommended(&mut self, interest: &Interest, limit: u32) -> Result<Vec<Recommendation>> {
        let (german, limit) = (self.german(), limit.min(MOST) as usize);
        let skus = interest.skus.iter().map(|s| s.trim()).filter(|s| !s.is_empty()).take(10);
        let mut domain: Vec<Value> = skus.map(|s| json!(["default_code", "=ilike", literal(s)])).collect();
        if let Some(bought) = self.bought_by(interest.customer_id.as_deref())? {
            domain.push(json!(["id", "in", bought]));
        }
        let mut has = Vec::new();
        if !domain.is_empty() {
            let ors = std::iter::repeat_n(json!("|"), domain.len() - 1);
            has = self.products(ors.chain(domain).collect(), MOST)?;
        }
        let ids: Vec<i64> = has.iter().map(id).collect();
        let with = has.first().and_then(|p| text(p, "name")).unwrap_or_default();
        let say = |en: String, de: String| if german { de } else { en };
        let mut found: Vec<(Value, String)> = Vec::new();
        let mut add = |products: Vec<Value>, reason: String| {
            for product in products {
                let gone = is_counted(&product) && json::number(&product, "/free_qty").is_some_and(|q| q <= 0.0);
                if !gone && !ids.contains(&id(&product)) && !found.iter().any(|(known, _)| id(known) == id(&product)) {
                    found.push((product, reason.clone()));
                }
            }
        };
        if !has.is_empty() {
            let set = |field: &str| -> Vec<i64> {
                has.iter().flat_map(|p| json::list(p, &format!("/{field}"))).filter_map(Value::as_i64).collect()
            };
            let (accessories, optional, other) =
                (set("accessory_product_ids"), set("optional_product_ids"), set("alternative_product_ids"));
            if !accessories.is_empty() || !optional.is_empty() {
                let domain = json!(["|", ["id", "in", accessories], ["product_tmpl_id", "in", optional]]);
                let goes = self.products(json::list(&domain, "").to_vec(), MOST)?;
                add(goes, say(format!("goes with {with}"), format!("passt zu {with}")));
            }
            if !other.is_empty() {
                let instead = self.products(vec![json!(["product_tmpl_id", "in", other])], MOST)?;
                add(instead, say(format!("an alternative to {with}"), format!("eine Alternative zu {with}")));
            }
            let together = self.sold_with(&ids)?;
            let reason = say(format!("often bought with {with}"), format!("wird oft zusammen mit {with} gekauft"));
            add(together, reason);
        }
        if let Some(query) = interest.query.as_deref() {
            let fits = self.matching(query)?;
            add(fits, say("fits what you are looking for".into(), "passt zu dem, was Sie suchen".into()));
        }
        let categories: Vec<i64> = has.iter().filter_map(|p| one(p, "categ_id")).collect();
        if !categories.is_empty() {
            let same = self.products(vec![json!(["categ_id", "in", categories])], MOST)?;
            add(same, say("from the same category".into(), "aus derselben Kategorie".into()));
        }
        found.truncate(limit);
        Ok(found
            .iter()
            .map(|(p, reason)| Recommendation { product: self.product(p), reason: reason.clone() })
            .collect())
    }

    /// What a customer bought lately.
    fn bought_by(&mut self, customer: Option<&str>) -> Result<Option<Vec<i64>>> {
        let Some(partner) = customer.and_then(parse_id) else {
            return Ok(None);
        };
        let domain = json!([
            ["order_partner_id", "child_of", partner],
            ["state", "in", ["sale", "done"]],
            ["product_id", "!=", false]
        ]);
        let lines = self.find("sale.order.line", domain, &["product_id"], "id desc", 30, Value::Null)?;
        let bought: Vec<i64> = lines.iter().filter_map(|line| one(line, "product_id")).collect();
        Ok(Some(bought).filter(|bought| !bought.is_empty()))
    }

    /// Articles that were sold with any of these, most often first. Down payments and shipping have no number.
    fn sold_with(&mut self, ids: &[i64]) -> Result<Vec<Value>> {
        let domain = json!([
            ["order_id.order_line.product_id", "in", ids],
            ["state", "in", ["sale", "done"]],
            ["product_id", "!=", false],
            ["product_id", "not in", ids]
        ]);
        let lines = self.find("sale.order.line", domain, &["product_id"], "id desc", LINES, Value::Null)?;
        let mut times: HashMap<i64, usize> = HashMap::new();
        for product in lines.iter().filter_map(|line| one(line, "product_id")) {
            *times.entry(product).or_default() += 1;
        }
        if times.is_empty() {
            return Ok(Vec::new());
        }
        let mut ranked: Vec<i64> = times.keys().copied().collect();
        ranked.sort_by_key(|product| (std::cmp::Reverse(times.get(product).copied().unwrap_or_default()), *product));
        ranked.truncate(MOST as usize);
        let mut found = self.products(vec![json!(["id", "in", ranked]), json!(["type", "!=", "service"])], MOST)?;
        found.sort_by_key(|p| ranked.iter().position(|product| *product == id(p)));
        Ok(found)
    }
}

/// The words of a query that can say something about an article, in lower case.
fn words(query: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in query.to_lowercase().split(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.' | '/')) {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        if word.chars().count() > 2 && !STOP.contains(&format!(" {word} ")) && !words.iter().any(|w| w == word) {
            words.push(word.to_owned());
        }
    }
    words.truncate(WORDS);
    words
}

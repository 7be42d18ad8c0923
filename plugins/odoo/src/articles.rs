//! Articles are `product.product` that can be sold and have an internal reference, which is their number here.
//!
//! Words are looked for in number, name, sales description and category: first articles with all of them, else with
//! any. The price is the list price in the company's currency. Recommendations come from what a salesperson set
//! (optional and alternative products, accessories), from what was sold together, from the visitor's words, then from the
//! same category; goods that are counted and gone are left out.

use crate::session::{Odoo, any, exact, id, literal, many, named, one, parse_id, text};
use crate::stock::is_counted;
use confab_plugin_sdk::catalog::{Interest, Picks, Product, Recommendation, most_often};
use confab_plugin_sdk::inventory::no_article;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{filled, json, money, words};
use serde_json::{Value, json};

const MOST: u32 = 30;
/// Order lines that are looked at for what is bought together: the newest.
const LINES: u32 = 300;
const FIELDS: [&str; 7] =
    ["default_code", "name", "description_sale", "lst_price", "currency_id", "categ_id", "product_tmpl_id"];
/// What not every version and app has. Stock is read with them, too.
pub(crate) const OPTIONAL: [&str; 9] = [
    "qty_available",
    "free_qty",
    "type",
    "detailed_type",
    "is_storable",
    "optional_product_ids",
    "accessory_product_ids",
    "alternative_product_ids",
    "website_url",
];

impl Odoo {
    pub(crate) fn article(&mut self, sku: &str) -> Result<Product> {
        let sku = sku.trim();
        let found = self.products(vec![json!(["default_code", "=ilike", literal(sku)])])?;
        exact(found, "default_code", sku).map(|p| self.product(&p)).ok_or_else(|| no_article(sku))
    }

    pub(crate) fn articles(&mut self, query: &str, limit: u32) -> Result<Vec<Product>> {
        let found = self.matching(query)?;
        Ok(found.iter().take(limit.min(MOST) as usize).map(|p| self.product(p)).collect())
    }

    /// Articles that fit the words, best first.
    fn matching(&mut self, query: &str) -> Result<Vec<Value>> {
        let words = words::with(query, &['-', '_', '.', '/']);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let clauses = |word: &String| {
            let word = literal(word);
            ["default_code", "name", "description_sale", "categ_id.name"].map(|field| json!([field, "ilike", word]))
        };
        let mut found = self.products(words.iter().flat_map(|word| any(clauses(word))).collect())?;
        if found.is_empty() && words.len() > 1 {
            found = self.products(any(words.iter().flat_map(clauses)))?;
        }
        let told = |p: &Value| ["default_code", "name", "description_sale"].map(|f| text(p, f).unwrap_or_default());
        found.sort_by_key(|p| std::cmp::Reverse(words::fit(&words, &told(p).each_ref().map(String::as_str))));
        Ok(found)
    }

    fn products(&mut self, domain: Vec<Value>) -> Result<Vec<Value>> {
        let fields = self.fields("product.product", &FIELDS, &OPTIONAL)?;
        let company = self.session()?.company;
        let mut all = any([json!(["company_id", "=", false]), json!(["company_id", "=", company])]);
        all.extend([json!(["sale_ok", "=", true]), json!(["default_code", "!=", false])]);
        all.extend(domain);
        self.find("product.product", json!(all), json!(fields), "default_code, id", MOST, Value::Null)
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
        let skus = interest.skus.iter().filter_map(|sku| filled(Some(sku))).take(10);
        let mut theirs: Vec<Value> = skus.map(|sku| json!(["default_code", "=ilike", literal(sku)])).collect();
        theirs.extend(self.bought_by(interest.customer_id.as_deref())?.map(|bought| json!(["id", "in", bought])));
        let has = if theirs.is_empty() { Vec::new() } else { self.products(any(theirs))? };
        let number = |p: &Value| text(p, "default_code").unwrap_or_default();
        let mut picks = Picks::besides(has.iter().map(number));
        let mut found: Vec<Value> = Vec::new();
        let mut add = |mut products: Vec<Value>, reason: &str| {
            products.retain(|p| !is_counted(p) || json::number(p, "/free_qty").is_none_or(|left| left > 0.0));
            picks.add(products.iter().map(number), reason);
            found.extend(products);
        };
        if let Some(first) = has.first() {
            let with = text(first, "name").unwrap_or_default();
            let set = |field: &str| has.iter().flat_map(|p| many(p, field)).collect::<Vec<i64>>();
            let goes = (set("accessory_product_ids"), set("optional_product_ids"));
            if !goes.0.is_empty() || !goes.1.is_empty() {
                let goes = any([json!(["id", "in", goes.0]), json!(["product_tmpl_id", "in", goes.1])]);
                add(self.products(goes)?, &format!("{} {with}", host::say("goes with", "passt zu")));
            }
            let instead = set("alternative_product_ids");
            if !instead.is_empty() {
                let instead = self.products(vec![json!(["product_tmpl_id", "in", instead])])?;
                add(instead, &format!("{} {with}", host::say("an alternative to", "eine Alternative zu")));
            }
            let reason =
                host::say(format!("often bought with {with}"), format!("wird oft zusammen mit {with} gekauft"));
            add(self.sold_with(&has.iter().map(id).collect::<Vec<_>>())?, &reason);
        }
        if let Some(query) = interest.query.as_deref() {
            add(self.matching(query)?, host::say("fits what you are looking for", "passt zu dem, was Sie suchen"));
        }
        let categories: Vec<i64> = has.iter().filter_map(|p| one(p, "categ_id")).collect();
        if !categories.is_empty() {
            let same = self.products(vec![json!(["categ_id", "in", categories])])?;
            add(same, host::say("from the same category", "aus derselben Kategorie"));
        }
        let recommended = picks.skus(limit.min(MOST) as usize).into_iter().filter_map(|sku| {
            let product = self.product(found.iter().find(|p| number(p) == sku)?);
            Some(Recommendation { product, reason: picks.reason(&sku)?.to_owned() })
        });
        Ok(recommended.collect())
    }

    /// What a customer bought lately.
    fn bought_by(&mut self, customer: Option<&str>) -> Result<Option<Vec<i64>>> {
        let Some(partner) = customer.and_then(parse_id) else {
            return Ok(None);
        };
        let bought = self.sold(vec![json!(["order_partner_id", "child_of", partner])], 30)?;
        Ok(Some(bought).filter(|bought| !bought.is_empty()))
    }

    /// Articles that were sold with any of these, most often first. Down payments and shipping have no number.
    fn sold_with(&mut self, ids: &[i64]) -> Result<Vec<Value>> {
        let beside = vec![json!(["order_id.order_line.product_id", "in", ids]), json!(["product_id", "not in", ids])];
        let mut ranked = most_often(self.sold(beside, LINES)?);
        ranked.truncate(MOST as usize);
        if ranked.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = self.products(vec![json!(["id", "in", ranked]), json!(["type", "!=", "service"])])?;
        found.sort_by_key(|p| ranked.iter().position(|product| *product == id(p)));
        Ok(found)
    }

    /// The articles of order lines, newest first.
    fn sold(&mut self, lines: Vec<Value>, most: u32) -> Result<Vec<i64>> {
        let mut domain = vec![json!(["state", "in", ["sale", "done"]]), json!(["product_id", "!=", false])];
        domain.extend(lines);
        let found = self.find("sale.order.line", json!(domain), json!(["product_id"]), "id desc", most, Value::Null)?;
        Ok(found.iter().filter_map(|line| one(line, "product_id")).collect())
    }
}

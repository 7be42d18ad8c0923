//! Stock is `A_MatlStkInAcctMod` of `API_MATERIAL_STOCK_SRV`: a row for each plant, storage location, batch and stock
//! type. They are added up by plant.
//!
//! | `InventoryStockType` | |
//! |---|---|
//! | 01 unrestricted use | on hand, available |
//! | 02 quality inspection, 03 returns, 07 blocked, 08 restricted use | on hand |
//! | 04, 05, 06 on its way between storage locations and plants | neither |
//!
//! Special stock (`InventorySpecialStockType`: of a customer, of a sales order, of a supplier) belongs to somebody, so it
//! counts as neither. What open orders will take is not subtracted: this service does not know it.

use crate::gateway::{Gateway, either, key};
use confab_plugin_sdk::inventory::{StockLevel, no_article, no_place, same_place};
use confab_plugin_sdk::odata::{Query, literal};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{filled, json};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) const STOCK: &str = "API_MATERIAL_STOCK_SRV";
pub(crate) const PRODUCTS: &str = "API_PRODUCT_SRV";
/// Rows of one material: batches and locations of all plants.
const ROWS: usize = 5_000;
const FIELDS: &str =
    "Material,Plant,InventoryStockType,InventorySpecialStockType,MaterialBaseUnit,MatlWrhsStkQtyInMatlBaseUnit";
/// Longest material number.
const MATERIAL: usize = 40;

#[derive(Default)]
struct Amount {
    on_hand: f64,
    available: f64,
    unit: Option<String>,
}

impl Gateway {
    pub(crate) fn availability(&self, sku: &str, location: Option<&str>) -> Result<Vec<StockLevel>> {
        let sku = key(sku);
        if sku.is_empty() || sku.chars().count() > MATERIAL {
            return Err(no_article(&sku));
        }
        let plants = self.plants(location)?;
        let mut filter = format!("Material eq {}", literal(&sku));
        if !plants.is_empty() {
            filter = format!("{filter} and {}", either("Plant", &plants));
        }
        let query = Query::new("/A_MatlStkInAcctMod").filter(filter).select(&[FIELDS]);
        let rows = self.list(STOCK, query, ROWS)?;
        let name = self.name(&sku)?;
        if rows.is_empty() && name.is_none() {
            return Err(no_article(&sku));
        }
        let mut amounts: BTreeMap<String, Amount> = plants.iter().map(|p| (p.clone(), Amount::default())).collect();
        for row in &rows {
            count(row, &mut amounts);
        }
        if amounts.is_empty() {
            // It was never anywhere: none, in all plants together.
            amounts.insert(String::new(), Amount::default());
        }
        let level = |(plant, amount): (String, Amount)| StockLevel {
            sku: sku.clone(),
            name: name.clone().unwrap_or_else(|| sku.clone()),
            location: self.settings.plants.get(&plant).cloned().or(Some(plant)).filter(|p| !p.is_empty()),
            on_hand: amount.on_hand,
            available: amount.available.max(0.0),
            unit: amount.unit,
            restock_at: None,
            as_of: host::now_rfc3339(),
        };
        Ok(amounts.into_iter().map(level).collect())
    }

    /// Keys of the plants that are asked for; none for all.
    fn plants(&self, location: Option<&str>) -> Result<Vec<String>> {
        let known = &self.settings.plants;
        let Some(wanted) = filled(location) else { return Ok(known.keys().cloned().collect()) };
        let named = known.iter().find(|(plant, name)| same_place(plant, wanted) || same_place(name, wanted));
        match named {
            Some((plant, _)) => Ok(vec![plant.clone()]),
            None if known.is_empty() && wanted.len() <= 4 && wanted.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                Ok(vec![wanted.to_uppercase()])
            }
            None => Err(no_place(&known.values().collect::<Vec<_>>())),
        }
    }

    /// The material's name in the visitor's language, else in English, else in any; none where there is no such material.
    fn name(&self, sku: &str) -> Result<Option<String>> {
        let query = Query::new("/A_ProductDescription").filter(format!("Product eq {}", literal(sku)));
        let found = match self.list(PRODUCTS, query.select(&["Language", "ProductDescription"]), 50) {
            Ok(found) => found,
            // Nice to have: without it the material's number is its name.
            Err(e) if [Code::Forbidden, Code::Unsupported].iter().any(|c| c.as_str() == e.code) => return Ok(None),
            Err(e) => return Err(e),
        };
        let of = |language: &str| found.iter().find(|d| json::text(d, "/Language").as_deref() == Some(language));
        let best = of(&self.language).or_else(|| of("EN")).or(found.first());
        Ok(best.and_then(|d| json::text(d, "/ProductDescription")))
    }
}

fn count(row: &Value, amounts: &mut BTreeMap<String, Amount>) {
    let text = |field: &str| json::text(row, field).unwrap_or_default();
    let amount = amounts.entry(text("/Plant")).or_default();
    amount.unit = amount.unit.take().or_else(|| json::text(row, "/MaterialBaseUnit"));
    if !text("/InventorySpecialStockType").is_empty() {
        return;
    }
    let quantity = json::number(row, "/MatlWrhsStkQtyInMatlBaseUnit").unwrap_or_default();
    match text("/InventoryStockType").as_str() {
        "01" => {
            amount.on_hand += quantity;
            amount.available += quantity;
        }
        "02" | "03" | "07" | "08" => amount.on_hand += quantity,
        _ => {}
    }
}

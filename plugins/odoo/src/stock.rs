//! Stock: quantities of `product.product`, which Odoo computes for the warehouse that the context names.
//!
//! `qty_available` is what lies there, `free_qty` what is not reserved. The warehouse is `warehouse` in the context of
//! Odoo 16 and 17, `warehouse_id` in 18: both are given, and each version leaves the other's alone. One request a
//! warehouse, and one more for the next receipt when nothing is left.

use crate::session::{Odoo, id, literal, moment, named, text};
use confab_plugin_sdk::inventory::StockLevel;
use confab_plugin_sdk::json;
use confab_plugin_sdk::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Warehouses that are asked without `location`: the host allows 16 requests a call.
const WAREHOUSES: usize = 5;
/// What tells goods that are counted from those that are not; `detailed_type` until 17, `is_storable` from 18.
pub(crate) const KIND: [&str; 5] = ["qty_available", "free_qty", "type", "detailed_type", "is_storable"];

#[derive(Clone, Serialize, Deserialize)]
struct Warehouse {
    id: i64,
    name: String,
    code: Option<String>,
}

impl Odoo {
    pub(crate) fn availability(&mut self, sku: &str, location: Option<&str>) -> Result<Vec<StockLevel>> {
        let sku = sku.trim();
        let kind = self.fields("product.product", &KIND)?;
        if !kind.iter().any(|f| f == "free_qty") {
            return Err(error(Code::Unsupported, "this Odoo keeps no stock: install the Inventory app"));
        }
        let wanted = location.map(str::trim).filter(|l| !l.is_empty()).map(str::to_lowercase);
        let all = self.warehouses()?;
        let is_wanted = |w: &&Warehouse| {
            let name = |n: &str| wanted.as_deref() == Some(n.to_lowercase().as_str());
            wanted.is_none() || name(&w.name) || w.code.as_deref().is_some_and(name)
        };
        let places: Vec<Warehouse> = all.iter().filter(is_wanted).take(WAREHOUSES).cloned().collect();
        if places.is_empty() {
            let known: Vec<&str> = all.iter().map(|w| w.name.as_str()).collect();
            return Err(match known.as_slice() {
                [] => error(Code::Misconfigured, "Odoo has no warehouse that the connection's user can see"),
                known => error(Code::NotFound, format!("there is no such warehouse; known ones: {}", known.join(", "))),
            });
        }
        let mut levels = Vec::new();
        for place in places {
            let Some(product) = self.stocked(sku, &kind, &place)? else {
                let shown: String = sku.chars().take(64).collect();
                return Err(error(Code::NotFound, format!("there is no article {shown}")));
            };
            if !is_counted(&product) {
                return Ok(Vec::new());
            }
            let available = json::number(&product, "/free_qty").unwrap_or_default().max(0.0);
            let restock_at = if available > 0.0 { None } else { self.next_receipt(id(&product), &place)? };
            levels.push(StockLevel {
                sku: text(&product, "default_code").unwrap_or_default(),
                name: text(&product, "name").unwrap_or_default(),
                location: Some(place.name),
                on_hand: json::number(&product, "/qty_available").unwrap_or_default(),
                available,
                unit: named(&product, "uom_id"),
                restock_at,
                as_of: host::now_rfc3339(),
            });
        }
        Ok(levels)
    }

    fn warehouses(&mut self) -> Result<Vec<Warehouse>> {
        self.remembered("warehouses", |odoo| {
            let domain = json!([["company_id", "=", odoo.session()?.company]]);
            let found = odoo.find("stock.warehouse", domain, &["name", "code"], "sequence, id", 50, Value::Null)?;
            let warehouse = |w: &Value| Some(Warehouse { id: id(w), name: text(w, "name")?, code: text(w, "code") });
            Ok(found.iter().filter_map(warehouse).collect())
        })
    }

    /// The article with what is in a warehouse. Case doesn't matter unless two articles differ by nothing else.
    fn stocked(&mut self, sku: &str, kind: &[String], place: &Warehouse) -> Result<Option<Value>> {
        let fields: Vec<&str> =
            ["default_code", "name", "uom_id"].into_iter().chain(kind.iter().map(String::as_str)).collect();
        let there = json!({"warehouse": place.id, "warehouse_id": place.id});
        let domain = json!([["default_code", "=ilike", literal(sku)]]);
        let found = self.find("product.product", domain, &fields, "id", 5, there)?;
        let exact = found.iter().position(|p| text(p, "default_code").as_deref() == Some(sku)).unwrap_or(0);
        Ok(found.into_iter().nth(exact))
    }

    /// When a supplier's delivery of it is planned.
    fn next_receipt(&mut self, product: i64, place: &Warehouse) -> Result<Option<String>> {
        let domain = json!([
            ["product_id", "=", product],
            ["state", "in", ["confirmed", "waiting", "partially_available", "assigned"]],
            ["picking_type_id.code", "=", "incoming"],
            ["picking_type_id.warehouse_id", "=", place.id]
        ]);
        let moves = self.find("stock.move", domain, &["date"], "date, id", 1, Value::Null)?;
        Ok(moves.first().and_then(|m| moment(m, "date")))
    }
}

/// Whether Odoo counts it: services and consumables have no stock.
pub(crate) fn is_counted(product: &Value) -> bool {
    match product.get("is_storable").and_then(Value::as_bool) {
        Some(storable) => storable,
        None => text(product, "detailed_type").or_else(|| text(product, "type")).as_deref() == Some("product"),
    }
}

//! Stock: quantities of `product.product`, which Odoo computes for the warehouse that the context names.
//!
//! `qty_available` is what lies there, `free_qty` what is not reserved. The warehouse is `warehouse` in the context of
//! Odoo 16 and 17, `warehouse_id` in 18: both are given, and each version leaves the other's alone. One request a
//! warehouse, and one more for the next receipt when nothing is left.

use crate::articles::OPTIONAL;
use crate::session::{Odoo, exact, id, literal, moment, named, text};
use confab_plugin_sdk::inventory::{StockLevel, no_article, no_place, same_place};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{filled, json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Warehouses that are asked without `location`: the host allows 16 requests a call.
const WAREHOUSES: usize = 5;

#[derive(Clone, Serialize, Deserialize)]
struct Warehouse {
    id: i64,
    name: String,
    code: Option<String>,
}

impl Odoo {
    pub(crate) fn availability(&mut self, sku: &str, location: Option<&str>) -> Result<Vec<StockLevel>> {
        let sku = sku.trim();
        let fields = self.fields("product.product", &["default_code", "name", "uom_id"], &OPTIONAL)?;
        if !fields.iter().any(|f| f == "free_qty") {
            return Err(error(Code::Unsupported, "this Odoo keeps no stock: install the Inventory app"));
        }
        let all = self.warehouses()?;
        if all.is_empty() {
            return Err(error(Code::Misconfigured, "Odoo has no warehouse that the connection's user can see"));
        }
        let wanted = filled(location);
        let is_wanted = |w: &&Warehouse| {
            wanted.is_none_or(|place| same_place(&w.name, place) || w.code.iter().any(|code| same_place(code, place)))
        };
        let places: Vec<Warehouse> = all.iter().filter(is_wanted).take(WAREHOUSES).cloned().collect();
        if places.is_empty() {
            let known: Vec<&str> = all.iter().map(|w| w.name.as_str()).collect();
            return Err(no_place(&known));
        }
        let mut levels = Vec::new();
        for place in places {
            let product = self.stocked(sku, &fields, &place)?.ok_or_else(|| no_article(sku))?;
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
            let found =
                odoo.find("stock.warehouse", domain, json!(["name", "code"]), "sequence, id", 50, Value::Null)?;
            let warehouse = |w: &Value| Some(Warehouse { id: id(w), name: text(w, "name")?, code: text(w, "code") });
            Ok(found.iter().filter_map(warehouse).collect())
        })
    }

    /// The article with what is in a warehouse.
    fn stocked(&mut self, sku: &str, fields: &[String], place: &Warehouse) -> Result<Option<Value>> {
        let there = json!({"warehouse": place.id, "warehouse_id": place.id});
        let domain = json!([["default_code", "=ilike", literal(sku)]]);
        let found = self.find("product.product", domain, json!(fields), "id", 5, there)?;
        Ok(exact(found, "default_code", sku))
    }

    /// When a supplier's delivery of it is planned.
    fn next_receipt(&mut self, product: i64, place: &Warehouse) -> Result<Option<String>> {
        let domain = json!([
            ["product_id", "=", product],
            ["state", "in", ["confirmed", "waiting", "partially_available", "assigned"]],
            ["picking_type_id.code", "=", "incoming"],
            ["picking_type_id.warehouse_id", "=", place.id]
        ]);
        let moves = self.find("stock.move", domain, json!(["date"]), "date, id", 1, Value::Null)?;
        Ok(moves.first().and_then(|m| moment(m, "date")))
    }
}

/// Whether Odoo counts it: services and consumables have no stock. `detailed_type` says so until 17, `is_storable` from 18.
pub(crate) fn is_counted(product: &Value) -> bool {
    match product.get("is_storable").and_then(Value::as_bool) {
        Some(storable) => storable,
        None => text(product, "detailed_type").or_else(|| text(product, "type")).as_deref() == Some("product"),
    }
}

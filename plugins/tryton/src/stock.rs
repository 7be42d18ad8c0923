//! Stock: quantities of `product.product` in the storage of each warehouse.
//!
//! Tryton computes them from its moves when the context names `locations` and a day up to which to look. `quantity`
//! is what lies there, `forecast_quantity` what will be left when planned moves are done; the lesser of the two can
//! be promised, so that a delivery that has not come yet isn't. What should have left already and hasn't is no part
//! of Tryton's forecast (its cron may plan such moves anew), but it is promised all the same, so it is taken off here. One
//! request a warehouse, one for what is late there, and one more for the next delivery when nothing is left.

use crate::session::{Tryton, Warehouse};
use crate::value::{date, field, id, literal, moment, number, text};
use confab_plugin_sdk::filled;
use confab_plugin_sdk::inventory::{StockLevel, no_article, no_place, same_place};
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};

/// Warehouses that are asked without `location`: the host allows 16 requests a call.
const WAREHOUSES: usize = 5;
/// Late moves of one article that are looked at, the oldest first.
const LATE: u32 = 200;

impl Tryton<'_> {
    pub(crate) fn availability(&mut self, sku: &str, location: Option<&str>, as_of: &str) -> Result<Vec<StockLevel>> {
        let session = self.session()?;
        let wanted = filled(location);
        let is_wanted = |w: &Warehouse| {
            let called =
                |wanted: &str| [Some(&w.name), w.code.as_ref()].into_iter().flatten().any(|n| same_place(n, wanted));
            wanted.is_none_or(called)
        };
        let places: Vec<Warehouse> =
            session.warehouses.iter().filter(|w| is_wanted(w)).take(WAREHOUSES).cloned().collect();
        if places.is_empty() && wanted.is_some() {
            let known: Vec<&str> = session.warehouses.iter().map(|w| w.name.as_str()).collect();
            return Err(no_place(&known));
        }
        if places.is_empty() {
            return Err(error(Code::Misconfigured, "Tryton has no warehouse that the connection's user can see"));
        }
        let (mut levels, mut next) = (Vec::new(), None);
        for place in places {
            let Some(product) = self.stocked(sku, &place)? else {
                return Err(no_article(sku));
            };
            if text(&product, "type").as_deref() == Some("service") {
                return Ok(Vec::new());
            }
            let on_hand = number(&product, "quantity").unwrap_or_default();
            let mut available = on_hand.min(number(&product, "forecast_quantity").unwrap_or(on_hand)).max(0.0);
            if available > 0.0 {
                available = (available - self.late(&product, &place)?).max(0.0);
            }
            if available <= 0.0 && next.is_none() {
                next = Some(self.next_delivery(&product)?);
            }
            let restock_at = next.clone().flatten().filter(|_| available <= 0.0);
            levels.push(StockLevel {
                sku: text(&product, "code").unwrap_or_default(),
                name: text(&product, "name").unwrap_or_default(),
                location: Some(place.name),
                on_hand,
                available,
                unit: text(&product, "default_uom.symbol"),
                restock_at,
                as_of: as_of.to_owned(),
            });
        }
        Ok(levels)
    }

    /// The article with what is in a warehouse. Case doesn't matter unless two articles differ by nothing else.
    fn stocked(&mut self, sku: &str, place: &Warehouse) -> Result<Option<Value>> {
        let sku = sku.trim();
        let mut context = self.shown();
        if let Some(context) = context.as_object_mut() {
            context.insert("locations".into(), json!([place.storage]));
            context.insert("stock_date_end".into(), date(self.now, self.settings.forecast_days));
        }
        let fields = json!(["code", "name", "type", "quantity", "forecast_quantity", "default_uom.symbol"]);
        let found =
            self.find("product.product", json!([["code", "ilike", literal(sku)]]), 5, Value::Null, fields, context)?;
        let exact = found.iter().position(|p| text(p, "code").as_deref() == Some(sku)).unwrap_or(0);
        Ok(found.into_iter().nth(exact))
    }

    /// How much of it should have left a warehouse's storage before today.
    fn late(&mut self, product: &Value, place: &Warehouse) -> Result<f64> {
        let domain = json!([
            ["product", "=", id(product)],
            ["from_location", "child_of", [place.storage], "parent"],
            ["to_location", "not child_of", [place.storage], "parent"],
            ["state", "=", "draft"],
            ["planned_date", "<", date(self.now, 0)],
        ]);
        let oldest = json!([["planned_date", "ASC"]]);
        match self.find("stock.move", domain, LATE, oldest, json!(["internal_quantity"]), json!({})) {
            Ok(moves) => Ok(moves.iter().filter_map(|one| number(one, "internal_quantity")).sum()),
            // A user who may not read moves still gets the stock.
            Err(e) if e.code == Code::Forbidden.as_str() => Ok(0.0),
            Err(e) => Err(e),
        }
    }

    /// When a supplier's delivery of it is planned.
    fn next_delivery(&mut self, product: &Value) -> Result<Option<String>> {
        let domain = json!([
            ["product", "=", id(product)],
            ["from_location.type", "=", "supplier"],
            ["state", "in", ["draft", "assigned"]],
            ["planned_date", ">=", date(self.now, 0)],
        ]);
        let soonest = json!([["planned_date", "ASC"]]);
        let moves = self.find("stock.move", domain, 1, soonest, json!(["planned_date"]), json!({}));
        match moves {
            Ok(moves) => {
                Ok(moves.first().filter(|m| field(m, "planned_date").is_some()).and_then(|m| moment(m, "planned_date")))
            }
            // Nice to have: a user who may not read moves still gets the stock.
            Err(e) if e.code == Code::Forbidden.as_str() => Ok(None),
            Err(e) => Err(e),
        }
    }
}

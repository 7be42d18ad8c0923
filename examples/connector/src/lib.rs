//! A connector to start from: stock of an imaginary Acme, whose API answers `GET /stock/SKU` with
//! `{"sku": "A-1", "title": "Anvil", "shelf": 7, "free": 5}`.

use confab_plugin_sdk::http::Request;
use confab_plugin_sdk::inventory::{Inventory, StockLevel};
use confab_plugin_sdk::prelude::*;
use serde::Deserialize;

struct Acme;

#[derive(Deserialize)]
struct Stock {
    sku: String,
    title: String,
    shelf: f64,
    free: f64,
}

impl Inventory for Acme {
    fn availability(sku: String, _location: Option<String>) -> Result<Vec<StockLevel>> {
        if sku.is_empty() || sku.len() > 64 {
            return Err(error(Code::InvalidInput, "an article number has 1 to 64 characters"));
        }
        let stock: Stock = Request::get("api", format!("/stock/{}", path_segment(&sku))).send()?.json()?;
        Ok(vec![StockLevel {
            sku: stock.sku,
            name: stock.title,
            on_hand: stock.shelf,
            available: stock.free,
            as_of: host::now_rfc3339(),
            ..Default::default()
        }])
    }
}

confab_plugin_sdk::connector!(Acme: inventory);
